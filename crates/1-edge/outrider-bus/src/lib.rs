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
pub mod crc;
pub mod e2e;
pub mod ether;
pub mod isotp;
pub mod linux_sll;
pub mod uds;
