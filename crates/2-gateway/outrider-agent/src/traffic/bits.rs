//! Signals written into payloads, and the checks over them.

use outrider_bus::can::ByteOrder;

use crate::io::dbc::DbcSignal;

/// Writes the lowest bits of `raw` where the signal is; bits outside the payload are dropped.
pub(super) fn put(payload: &mut [u8], signal: &DbcSignal, raw: u64) {
    let start = usize::from(signal.start_bit);
    if signal.order == ByteOrder::Little && payload.len() <= 8 && start < 64 {
        let mut bytes = [0u8; 8];
        bytes.iter_mut().zip(payload.iter()).for_each(|(slot, byte)| *slot = *byte);
        let mask = u64::MAX.checked_shr(64 - u32::from(signal.bits.clamp(1, 64))).unwrap_or(0) << start;
        let word = u64::from_le_bytes(bytes) & !mask | raw << start & mask;
        payload.iter_mut().zip(word.to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
        return;
    }
    for index in 0..usize::from(signal.bits) {
        let (bit, position) = match signal.order {
            ByteOrder::Little => (index, start + index),
            ByteOrder::Big => {
                // From the most significant bit, down inside a byte, then on to the next byte's highest bit.
                let linear = start - start % 8 + 7 - start % 8 + index;
                (usize::from(signal.bits) - 1 - index, linear - linear % 8 + 7 - linear % 8)
            }
        };
        let Some(byte) = payload.get_mut(position / 8) else { continue };
        let mask = 1u8 << (position % 8);
        if raw >> bit & 1 == 1 { *byte |= mask } else { *byte &= !mask }
    }
}

/// CRC-8 of SAE J1850: polynomial 0x1D, start and final exclusive-or 0xFF.
pub(crate) fn crc8(bytes: &[u8]) -> u8 {
    let crc = bytes.iter().fold(0xFFu8, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x1D })
    });
    crc ^ 0xFF
}

/// Stand-in for a SecOC authenticator: depends on identifier, freshness and payload, and is no cryptography.
pub(super) fn authenticator(id: u32, freshness: u64, payload: &[u8]) -> u64 {
    let start = outrider_types::Seed::new(u64::from(id)).fork(freshness).next_u64();
    payload.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Exclusive-or of all bytes.
pub(super) fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0x5A, |sum, byte| sum ^ byte)
}

/// Sum of all bytes.
pub(super) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}
