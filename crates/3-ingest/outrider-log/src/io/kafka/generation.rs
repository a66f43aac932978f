//! The generation of a consumer group, which the Rust client does not show.

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};

/// Returns the generation in which this member belongs to its group; 0 if it does not.
#[expect(unsafe_code, reason = "one number of the C client, see the comments")]
pub(super) fn generation<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> u64 {
    let client = consumer.client().native_ptr();
    // SAFETY: `client` is valid as long as `consumer`, which is borrowed here. The function only reads and returns a
    // copy of its own, or null if there is no group.
    let metadata = unsafe { bindings::rd_kafka_consumer_group_metadata(client) };
    if metadata.is_null() {
        return 0;
    }
    // SAFETY: `metadata` is not null, comes from the call above, and nobody else knows it.
    let generation = unsafe { bindings::rd_kafka_consumer_group_metadata_generation_id(metadata) };
    // SAFETY: as above; it is not used after this.
    unsafe { bindings::rd_kafka_consumer_group_metadata_destroy(metadata) };
    u64::try_from(generation).unwrap_or(0)
}
