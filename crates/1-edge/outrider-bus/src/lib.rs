#![doc = include_str!("../README.md")]
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
mod codes;
pub mod crc;
pub mod doip;
pub mod e2e;
pub mod ether;
pub mod flexray;
pub mod homeplug;
pub mod isotp;
pub mod kwp;
pub mod lin;
pub mod linux_sll;
pub mod neighbour;
pub mod obd;
pub mod plca;
pub mod secoc;
pub mod someip;
mod tp_header;
pub mod uds;
pub mod v2g;
mod walk;

pub use bytes::NoSpace;
