//! Vehicle bus protocols: zero-copy views and checked values.
//!
//! **In:** bytes as they came off a bus or out of a capture. **Out:** small `Copy` values that cannot be
//! wrong ([`can::Frame`]), views that borrow the bytes ([`ether::EtherView`]), reassembled diagnostic messages
//! ([`isotp::Reassembler`]) and what they say ([`uds::Message`]). **Never:** allocation, I/O, a clock, a panic
//! on input. **Start reading** at [`can::Frame`].
//!
//! Each protocol has the same shape: `view` borrows bytes and judges nothing, `repr` holds legal values only,
//! `state` is a machine fed by `receive` and `tick`, `events` says what the machine saw. A protocol leaves out
//! the parts it has no use for.
//!
//! ```
//! use outrider_bus::can::{CanId, Frame};
//!
//! let id = CanId::standard(0x641).expect("eleven bits");
//! let frame = Frame::classic(id, &[0x02, 0x10, 0x03]).expect("three bytes fit");
//! assert_eq!(frame.data(), [0x02, 0x10, 0x03]);
//! assert!(Frame::classic(id, &[0; 9]).is_err());
//! ```
#![no_std]
// Tests may index and expect; the library itself is checked without them.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::std_instead_of_core
    )
)]

mod bytes;
pub mod can;
pub mod ether;
pub mod isotp;
pub mod linux_sll;
pub mod uds;
