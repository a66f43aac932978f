#![doc = include_str!("../README.md")]

pub mod api;
pub mod edge;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod evidence;
pub mod feeds;
mod housekeeping;
pub mod http;
pub mod hub;
pub mod identity;
pub mod metrics;
pub mod notices;
pub mod pipeline;
pub mod port;
pub mod registry;
pub mod roles;
pub mod rulebook;
pub mod server;
pub mod store;
mod tasks;
pub mod update;
pub mod vault;
pub mod vehicle;

/// Writes bytes as lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        text
    })
}
