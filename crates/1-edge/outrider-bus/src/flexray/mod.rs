//! FlexRay (ISO 17458-2): frames, their two checksums, and slots in cycles.
//!
//! [`FlexRayView`] reads the records of pcap link type 210, [`Header`] is the checked value, [`Heard`] what a listener
//! takes in whatever the capture's format, [`Occupancy`] says in which slots and cycles a frame belongs. Source: FlexRay protocol specification 3.0.1, chapter 4; libpcap
//! `LINKTYPE_FLEXRAY`.

mod heard;
mod repr;
#[cfg(test)]
mod tests;
mod view;

pub use heard::{Frame, Heard, PAYLOAD_BYTES_MAX, TimedFlexRay};
pub use repr::{Channel, FlexRayError, HEADER_BYTES, Header, Occupancy, TRAILER_BYTES, frame_crc};
pub use view::{FlexRayView, RecordErrors};
