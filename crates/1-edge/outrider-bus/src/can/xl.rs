//! CAN XL: header and borrowed payload.
//!
//! Layout of the kernel's struct and of pcap link type 227: priority word (4 bytes; 11 bits of priority, the virtual
//! network in bits 16 to 23), flags (1; bit 7 always set), SDU type (1), payload length (2), acceptance field (4),
//! payload. Sources: Linux `include/uapi/linux/can.h`; libpcap `LINKTYPE_CAN_SOCKETCAN`; CiA 610-1. The checks of
//! header and frame never leave the controller.

use core::fmt;

use crate::bytes::{ByteOrder, NoSpace, Writer, array, u8_at, u32_at};

/// Bytes before the payload.
pub const XL_HEADER_BYTES: usize = 12;
/// Most payload bytes of a CAN XL frame.
pub const XL_DATA_BYTES_MAX: usize = 2048;

const FLAG_XLF: u8 = 0x80;
const FLAG_SEC: u8 = 0x01;
const FLAG_RRS: u8 = 0x02;
const PRIORITY_MASK: u32 = 0x7FF;

/// Why bytes are no CAN XL frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XlError {
    /// The bytes end before the header or the payload does.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The flag that tells a CAN XL frame is not set.
    NotXl,
    /// No payload, or more than 2048 bytes.
    Length {
        /// Bytes the header says.
        got: u16,
    },
    /// Bits of the priority word that are reserved.
    Priority {
        /// The word.
        word: u32,
    },
}

impl fmt::Display for XlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "frame needs {needed} bytes, got {got}"),
            Self::NotXl => f.write_str("no CAN XL frame"),
            Self::Length { got } => write!(f, "no CAN XL frame has {got} payload bytes"),
            Self::Priority { word } => write!(f, "priority word {word:#010x} has reserved bits"),
        }
    }
}

impl core::error::Error for XlError {}

/// Header of a CAN XL frame. What is in the payload depends on `sdu_type` (CiA 611-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct XlHeader {
    /// Priority, 0 to 0x7FF, lowest first.
    pub priority: u16,
    /// Virtual CAN network.
    pub network: u8,
    /// Simple extended content: the payload begins with a header of another layer.
    pub sec: bool,
    /// Remote request substitution bit.
    pub rrs: bool,
    /// Type of the payload.
    pub sdu_type: u8,
    /// Acceptance field: what receivers filter by.
    pub acceptance: u32,
}

/// CAN XL frame whose payload is borrowed, 1 to 2048 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct XlFrame<'a> {
    header: XlHeader,
    payload: &'a [u8],
}

impl<'a> XlFrame<'a> {
    /// Creates a frame.
    ///
    /// # Errors
    /// [`XlError::Length`] for a payload of 0 or more than 2048 bytes, [`XlError::Priority`] above 0x7FF.
    pub fn new(header: XlHeader, payload: &'a [u8]) -> Result<Self, XlError> {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        if payload.is_empty() || payload.len() > XL_DATA_BYTES_MAX {
            return Err(XlError::Length { got: length });
        }
        if u32::from(header.priority) > PRIORITY_MASK {
            return Err(XlError::Priority { word: header.priority.into() });
        }
        Ok(Self { header, payload })
    }

    /// Reads the kernel's struct; the priority word is in `order`, everything else little endian. Bytes behind the
    /// payload are padding.
    ///
    /// # Errors
    /// [`XlError`] for each way the bytes are no frame.
    pub fn parse(bytes: &'a [u8], order: ByteOrder) -> Result<Self, XlError> {
        let short = |needed| XlError::Truncated { needed, got: bytes.len() };
        let word = u32_at(bytes, 0, order).ok_or(short(XL_HEADER_BYTES))?;
        let flags = u8_at(bytes, 4).ok_or(short(XL_HEADER_BYTES))?;
        let sdu_type = u8_at(bytes, 5).ok_or(short(XL_HEADER_BYTES))?;
        let length = array(bytes, 6).map(u16::from_le_bytes).ok_or(short(XL_HEADER_BYTES))?;
        let acceptance = u32_at(bytes, 8, ByteOrder::Little).ok_or(short(XL_HEADER_BYTES))?;
        if flags & FLAG_XLF == 0 {
            return Err(XlError::NotXl);
        }
        if word & 0xFF00_F800 != 0 {
            return Err(XlError::Priority { word });
        }
        if usize::from(length) > XL_DATA_BYTES_MAX {
            return Err(XlError::Length { got: length });
        }
        let end = XL_HEADER_BYTES.saturating_add(length.into());
        let payload = bytes.get(XL_HEADER_BYTES..end).ok_or(short(end))?;
        let [_, network, high, low] = word.to_be_bytes();
        let header = XlHeader {
            priority: u16::from_be_bytes([high, low]),
            network,
            sec: flags & FLAG_SEC != 0,
            rrs: flags & FLAG_RRS != 0,
            sdu_type,
            acceptance,
        };
        Self::new(header, payload)
    }

    /// Writes the kernel's struct without padding and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, order: ByteOrder, out: &mut [u8]) -> Result<usize, NoSpace> {
        let header = &self.header;
        let [high, low] = header.priority.to_be_bytes();
        let word = u32::from_be_bytes([0, header.network, high, low]);
        let flags = FLAG_XLF | if header.sec { FLAG_SEC } else { 0 } | if header.rrs { FLAG_RRS } else { 0 };
        let mut writer = Writer::new(out);
        writer.put(&match order {
            ByteOrder::Big => word.to_be_bytes(),
            ByteOrder::Little => word.to_le_bytes(),
        });
        writer.put(&[flags, header.sdu_type]);
        writer.put(&u16::try_from(self.payload.len()).unwrap_or(0).to_le_bytes());
        writer.put(&header.acceptance.to_le_bytes());
        writer.put(self.payload);
        writer.finish()
    }

    /// Returns the header.
    #[must_use]
    pub const fn header(&self) -> &XlHeader {
        &self.header
    }

    /// Returns the payload.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernels_struct_is_read_and_padding_left_out() {
        let bytes = [0x23, 1, 7, 0, 0x81, 3, 2, 0, 0x78, 0x56, 0x34, 0x12, 0xAA, 0xBB, 0, 0];
        let frame = XlFrame::parse(&bytes, ByteOrder::Little).expect("a frame");
        let expected = XlHeader {
            priority: 0x123,
            network: 7,
            sec: true,
            rrs: false,
            sdu_type: 3,
            acceptance: 0x1234_5678,
        };
        assert_eq!((*frame.header(), frame.payload()), (expected, [0xAA, 0xBB].as_slice()));
    }

    #[test]
    fn each_way_to_be_no_frame_is_named() {
        let mut bytes = [0u8; 14];
        assert_eq!(XlFrame::parse(&bytes, ByteOrder::Big), Err(XlError::NotXl));
        bytes[4] = 0x80;
        assert_eq!(XlFrame::parse(&bytes, ByteOrder::Big), Err(XlError::Length { got: 0 }));
        bytes[6] = 3;
        assert_eq!(XlFrame::parse(&bytes, ByteOrder::Big), Err(XlError::Truncated { needed: 15, got: 14 }));
        bytes[6..8].copy_from_slice(&[1, 8]);
        assert_eq!(XlFrame::parse(&bytes, ByteOrder::Big), Err(XlError::Length { got: 2049 }));
        bytes[2] = 8;
        assert_eq!(XlFrame::parse(&bytes, ByteOrder::Big), Err(XlError::Priority { word: 0x800 }));
        assert_eq!(
            XlFrame::parse(&bytes[..11], ByteOrder::Big),
            Err(XlError::Truncated { needed: 12, got: 11 })
        );
    }

    proptest! {
        #[test]
        fn every_frame_survives_the_wire(
            priority in 0u16..=0x7FF, network: u8, sec: bool, rrs: bool, sdu_type: u8, acceptance: u32,
            payload in proptest::collection::vec(any::<u8>(), 1..=2048),
        ) {
            let header = XlHeader { priority, network, sec, rrs, sdu_type, acceptance };
            let frame = XlFrame::new(header, &payload).expect("legal");
            let mut out = [0; XL_HEADER_BYTES + XL_DATA_BYTES_MAX];
            for order in [ByteOrder::Big, ByteOrder::Little] {
                let length = frame.emit(order, &mut out).expect("largest frame fits");
                prop_assert_eq!(XlFrame::parse(&out[..length], order), Ok(frame));
            }
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(flags) = bytes.get_mut(4) { *flags |= 0x80; }
            if let Ok(frame) = XlFrame::parse(&bytes, ByteOrder::Big) {
                prop_assert!(frame.payload().len() + XL_HEADER_BYTES <= bytes.len());
            }
        }
    }
}
