//! CRC-32C, enough to tell a damaged file from a whole one.

/// Returns the checksum of `bytes`, O(n).
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    outrider_bus::crc::CRC32_C.compute(bytes)
}
