//! CAN and CAN FD frames.
//!
//! [`Frame`] is the checked value, [`SocketCanView`] reads the Linux wire structs and the records of pcap link
//! type 227 (`LINKTYPE_CAN_SOCKETCAN`), [`XlFrame`] a CAN XL frame. Sources: ISO 11898-1:2015 (lengths, identifiers); Linux
//! `include/uapi/linux/can.h` and `can/error.h` (layout, flag bits).

mod id;
mod repr;
#[cfg(test)]
mod tests;
mod view;
mod xl;

pub use crate::bytes::ByteOrder;
pub use id::{CanId, ParseCanIdError};
pub use repr::{DATA_BYTES_MAX, Dlc, ErrorClass, FdFlags, Frame, FrameError, FrameKind, TimedFrame};
pub use view::{FRAME_CLASSIC_BYTES, FRAME_FD_BYTES, SocketCanError, SocketCanView};
pub use xl::{XL_DATA_BYTES_MAX, XL_HEADER_BYTES, XlError, XlFrame, XlHeader};
