//! Fields of packets, read from borrowed bytes: numbers, text, binary data, properties. Nothing is allocated.
//!
//! Numbers in brackets are normative statements of OASIS MQTT 5.0; which fault is which reason code is in its sections
//! 1.2 (Malformed Packet, Protocol Error), 2.2.2.2 and 4.13.

use super::packet::{Fault, PROPERTIES_BYTES_MAX};

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that was not read.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Refuses bytes behind the end of a packet.
    pub(super) const fn end(self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a number of one to four bytes; one that fewer bytes could say is malformed [MQTT-1.5.5-1].
    fn varint(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return if byte == 0 && index > 0 { Err(Fault::Malformed) } else { Ok(value) };
            }
        }
        Err(Fault::Malformed)
    }

    /// Reads binary data with its length.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }

    /// Reads text with its length: UTF-8 [MQTT-1.5.4-1] without the null character [MQTT-1.5.4-2]. Control characters and
    /// what Unicode calls no characters may be refused (1.5.4) and are: no name of ours has them, and they upset logs.
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Fault::Malformed)?;
        if text.chars().any(|c| c.is_control() || is_noncharacter(c)) {
            return Err(Fault::Malformed);
        }
        Ok(text)
    }

    /// Reads the properties of a packet. All are taken apart, few say something that matters here.
    ///
    /// # Errors
    /// [`Fault::TooLarge`] above the cap, before any is looked at; [`Fault::Malformed`] for one that does not exist,
    /// belongs to another packet (2.2.2.2) or is cut off; [`Fault::Protocol`] for one that comes twice or has a value that
    /// it may not have.
    pub(super) fn properties(&mut self, owner: Owner) -> Result<Said, Fault> {
        let count = usize::try_from(self.varint()?).map_err(|_| Fault::TooLarge)?;
        if count > PROPERTIES_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        let mut fields = Self(self.take(count)?);
        let mut said = Said::default();
        while !fields.is_empty() {
            let id = fields.varint()?;
            fields.property(id, owner, &mut said)?;
        }
        Ok(said)
    }

    fn property(&mut self, id: u32, owner: Owner, said: &mut Said) -> Result<(), Fault> {
        let mut is_legal = true;
        match id {
            // Bytes: payload format, request problem and response information; the others are a server's.
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => {
                let byte = self.u8()?;
                is_legal = byte <= 1;
                if id == REQUEST_PROBLEM_INFORMATION {
                    said.wants_no_reasons = byte == 0;
                }
            }
            // Two bytes: receive maximum and topic alias are not zero; keep-alive and topic alias maximum may be.
            0x13 | 0x22 => {
                self.u16()?;
            }
            0x21 | 0x23 => is_legal = self.u16()? != 0,
            // Four bytes: message expiry, will delay.
            0x02 | 0x18 => {
                self.u32()?;
            }
            0x11 => said.session_expiry_s = self.u32()?,
            0x27 => {
                let bytes = self.u32()?;
                said.packet_bytes_max = Some(bytes);
                is_legal = bytes != 0;
            }
            SUBSCRIPTION_IDENTIFIER => is_legal = self.varint()? != 0,
            // Text: content type, assigned client identifier, authentication method, information, reference, reason.
            0x03 | 0x12 | AUTHENTICATION_METHOD | 0x1a | 0x1c | 0x1f => {
                self.text()?;
            }
            // Response topic [MQTT-3.3.2-14].
            0x08 => is_legal = !self.text()?.contains(['+', '#']),
            0x09 | AUTHENTICATION_DATA => {
                self.binary()?;
            }
            USER_PROPERTY => {
                self.text()?;
                self.text()?;
            }
            _ => return Err(Fault::Malformed),
        }
        let bit = 1u64 << id;
        if owner.properties() & bit == 0 {
            return Err(Fault::Malformed);
        }
        let is_again = id != USER_PROPERTY && said.seen & bit != 0;
        said.seen |= bit;
        if is_legal && !is_again { Ok(()) } else { Err(Fault::Protocol) }
    }
}

/// What Unicode reserves for no character: U+FDD0 to U+FDEF, and the last two of each plane.
const fn is_noncharacter(c: char) -> bool {
    let code = c as u32;
    matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}

const REQUEST_PROBLEM_INFORMATION: u32 = 0x17;
const USER_PROPERTY: u32 = 0x26;
/// Identifier of the property with which a subscription is numbered.
pub(super) const SUBSCRIPTION_IDENTIFIER: u32 = 0x0b;
/// Identifier of the property that names a method of authentication.
pub(super) const AUTHENTICATION_METHOD: u32 = 0x15;
/// Identifier of the property that brings its data.
pub(super) const AUTHENTICATION_DATA: u32 = 0x16;
/// Identifier of the property that stands for a topic.
pub(super) const TOPIC_ALIAS: u32 = 0x23;

/// Whose properties are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Connect,
    Will,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
}

impl Owner {
    /// Bits of the properties that it may have, by identifier: table 2-4.
    const fn properties(self) -> u64 {
        let ids: &[u32] = match self {
            Self::Connect => &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27],
            Self::Will => &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26],
            Self::Publish => &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26],
            Self::Subscribe => &[0x0b, 0x26],
            Self::Unsubscribe => &[0x26],
            Self::Disconnect => &[0x11, 0x1c, 0x1f, 0x26],
        };
        let (mut bits, mut index) = (0, 0);
        while index < ids.len() {
            bits |= 1 << ids[index];
            index += 1;
        }
        bits
    }
}

/// What the properties of a packet say, as far as it matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Bits of the identifiers that came.
    seen: u64,
    /// Longest packet that the sender takes, in bytes; not zero.
    pub(super) packet_bytes_max: Option<u32>,
    /// Seconds for which a session shall outlive its connection.
    pub(super) session_expiry_s: u32,
    /// Whether reason strings are not wanted.
    pub(super) wants_no_reasons: bool,
}

impl Said {
    /// Returns whether a property came.
    pub(super) const fn has(&self, id: u32) -> bool {
        self.seen & 1 << id != 0
    }
}
