//! Frames of the AUTOSAR IDS protocol, versions 1 and 2 (FO PRS IntrusionDetectionSystem).
//!
//! [`IdsView`] borrows a frame and judges nothing but its lengths; [`IdsMessage`] has legal values only and is written
//! back with [`IdsMessage::emit`]. A frame ends where its parts end, so several may follow each other in one datagram.
//! The eight bytes that some transports put before each frame are no part of it.
//!
//! ```text
//! event, 8 bytes    version:4 flags:4 | instance:10 sensor:6 | event:16 | count:16 | reserved:8
//! timestamp, 8      source:1 reserved:1 nanoseconds:30 seconds:32                      flag bit 1
//! context           version 2 only: altered:1 layout:15; then 0 length:7 or 1 length:31; bytes   bit 0
//! signature         length:16; bytes                                                    flag bit 2
//! ```
//! All big endian [PRS_Ids_00004].

mod repr;
mod view;

pub use repr::{
    ContextLayout, IdsContext, IdsMessage, IdsTimestamp, IdsVersion, IdsmInstance, SensorInstance, SevId,
};
pub use view::{ContextView, EVENT_BYTES, IdsFrameError, IdsView, TIMESTAMP_BYTES};
