//! Where payload, freshness and authenticator lie.

/// Most bits of freshness that are sent.
pub const FRESHNESS_BITS_MAX: u16 = 64;
/// Most bits of authenticator that are sent: a whole CMAC.
pub const MAC_BITS_MAX: u16 = 128;

/// Trailer of a secured PDU: freshness, then authenticator, most significant bits first, together whole bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    freshness_bits: u16,
    mac_bits: u16,
}

impl Layout {
    /// Profile 1: 8 bits of freshness, 24 of authenticator.
    pub const PROFILE_1: Self = Self { freshness_bits: 8, mac_bits: 24 };
    /// Profile 2: no freshness, 24 bits of authenticator.
    pub const PROFILE_2: Self = Self { freshness_bits: 0, mac_bits: 24 };
    /// Profile 3 (JasPar): 4 bits of freshness, 28 of authenticator.
    pub const PROFILE_3: Self = Self { freshness_bits: 4, mac_bits: 28 };

    /// Creates a layout, or returns `None` if there is no authenticator, a part is above its bound or both together
    /// are no whole bytes.
    #[must_use]
    pub const fn new(freshness_bits: u16, mac_bits: u16) -> Option<Self> {
        let fits = mac_bits > 0 && mac_bits <= MAC_BITS_MAX && freshness_bits <= FRESHNESS_BITS_MAX;
        if !fits || freshness_bits.saturating_add(mac_bits) & 7 != 0 {
            return None;
        }
        Some(Self { freshness_bits, mac_bits })
    }

    /// Returns the bits of freshness sent.
    #[must_use]
    pub const fn freshness_bits(self) -> u16 {
        self.freshness_bits
    }

    /// Returns the bits of authenticator sent.
    #[must_use]
    pub const fn mac_bits(self) -> u16 {
        self.mac_bits
    }

    /// Returns the bytes of the trailer.
    #[must_use]
    pub const fn trailer_bytes(self) -> usize {
        (self.freshness_bits.saturating_add(self.mac_bits) >> 3) as usize
    }

    /// Cuts a secured PDU, or returns `None` if it has no byte of payload. Bounded by [`FRESHNESS_BITS_MAX`] and
    /// [`MAC_BITS_MAX`].
    #[must_use]
    pub fn view(self, bytes: &[u8]) -> Option<SecuredPdu<'_>> {
        let split = bytes.len().checked_sub(self.trailer_bytes()).filter(|&payload| payload > 0)?;
        let (payload, trailer) = (bytes.get(..split)?, bytes.get(split..)?);
        let freshness = bits(trailer, 0, self.freshness_bits);
        let mut mac = Mac { bytes: [0; 16], bits: self.mac_bits };
        let mut at = 0u16;
        for byte in &mut mac.bytes {
            let take = self.mac_bits.saturating_sub(at).min(8);
            let value = bits(trailer, self.freshness_bits.saturating_add(at), take);
            let aligned = value << 8u16.saturating_sub(take);
            *byte = u8::try_from(aligned & 0xFF).unwrap_or(0);
            at = at.saturating_add(take);
        }
        Some(SecuredPdu { payload, freshness, mac })
    }
}

/// Reads up to 64 bits that begin `from` bits into the bytes.
fn bits(bytes: &[u8], from: u16, count: u16) -> u64 {
    (from..from.saturating_add(count)).fold(0, |value, bit| {
        let byte = bytes.get(usize::from(bit >> 3)).copied().unwrap_or(0);
        value << 1 | u64::from(byte >> (7 ^ bit & 7) & 1)
    })
}

/// Truncated authenticator: its first `bits` bits, the rest zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac {
    bytes: [u8; 16],
    bits: u16,
}

impl Mac {
    /// Cuts a whole authenticator to its first bits, at most 128.
    #[must_use]
    pub fn truncate(whole: &[u8; 16], bits: u16) -> Self {
        let bits = bits.min(MAC_BITS_MAX);
        let mut bytes = *whole;
        for (index, byte) in (0u16..).zip(&mut bytes) {
            let keep = bits.saturating_sub(index.saturating_mul(8)).min(8);
            let mask = 0xFF00u16 >> keep;
            *byte &= u8::try_from(mask & 0xFF).unwrap_or(0);
        }
        Self { bytes, bits }
    }

    /// Returns the bytes, zeros behind the last bit.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Returns the number of bits sent.
    #[must_use]
    pub const fn bits(&self) -> u16 {
        self.bits
    }
}

/// Parts of a secured PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecuredPdu<'a> {
    /// What is secured.
    pub payload: &'a [u8],
    /// Lowest bits of the freshness value.
    pub freshness: u64,
    /// First bits of the authenticator.
    pub mac: Mac,
}
