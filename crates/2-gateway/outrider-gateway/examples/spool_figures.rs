//! Measures the spool: bytes and time of an append, a flush, an eviction, a start.
//!
//! `cargo run --release -p outrider-gateway --example spool_figures [FOLDER]`: in memory, or on the disk of a folder.

use std::path::Path;
use std::time::Instant;

use outrider_gateway::spool::{Boot, Spool, SpoolConfig};
use outrider_gateway::{FileStorage, MemoryStorage, SecurityEvent, Storage};
use outrider_types::{BootEpoch, EventTypeId, Lane, VehicleMicros};

fn event(lane: Lane, context_bytes: usize, at: u64) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventTypeId(100), VehicleMicros(at));
    event.lane = lane;
    event.context = vec![0x5A; context_bytes];
    event
}

#[expect(clippy::disallowed_methods, reason = "an example that measures reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "an example prints what it measured")]
fn measure<S: Storage>(storage: S, critical: u64) {
    let boot = || Boot::in_memory(BootEpoch(1), 7, &[3; 32]);
    let begin = now();
    let (mut spool, _) = Spool::open(storage, SpoolConfig::default(), boot()).expect("a medium");
    println!("first start: {:.1?}", begin.elapsed());
    for context_bytes in [16, 64, 256, 1024] {
        let count = 20_000;
        let (before, begin) = (spool.wear(), now());
        for at in 0..count {
            spool.append(&event(Lane::Batched, context_bytes, at)).expect("room");
        }
        let each = begin.elapsed().as_nanos() as f64 / count as f64 / 1000.0;
        let bytes = (spool.wear().bytes - before.bytes) as f64 / count as f64;
        println!("append, context of {context_bytes} bytes: {each:.2} us, {bytes:.1} bytes written a row");
    }
    let (before, begin) = (spool.wear(), now());
    for at in 0..critical {
        spool.append(&event(Lane::Critical, 16, at)).expect("room");
    }
    let each = begin.elapsed().as_nanos() as f64 / critical as f64 / 1000.0;
    let wear = spool.wear();
    println!(
        "critical, flushed: {each:.1} us, {} bytes and {:.3} flushes a row",
        (wear.bytes - before.bytes) / critical,
        (wear.flushes - before.flushes) as f64 / critical as f64
    );
    spool.sync().expect("a medium");
    let storage = spool.into_storage();
    let begin = now();
    let (_, recovery) = Spool::open(storage, SpoolConfig::default(), boot()).expect("a medium");
    println!("start with {} rows in {} segments: {:.1?}", recovery.rows, recovery.segments, begin.elapsed());
}

fn main() {
    match std::env::args().nth(1) {
        Some(folder) => measure(FileStorage::open(Path::new(&folder)).expect("a folder"), 1000),
        None => measure(MemoryStorage::new(), 20_000),
    }
}
