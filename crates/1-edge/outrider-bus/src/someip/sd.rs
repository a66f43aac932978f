//! Service discovery: who offers, who subscribes, and where they can be reached.

use core::fmt;

use super::super::ether::IpAddress;
use crate::bytes::{ByteOrder, NoSpace, Writer, array, u8_at, u16_at, u32_at, uint_be};
use crate::codes::code_enum;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 16;
/// Bytes before the entries: flags, reserved bytes and the entries' length.
const HEAD_BYTES: usize = 8;

code_enum! {
    /// What an entry says; a time to live of 0 takes it back.
    EntryKind: u8 {
        /// Who offers the service?
        Find = 0x00,
        /// The service is here.
        Offer = 0x01,
        /// Send me these events.
        Subscribe = 0x06,
        /// They will come; with a time to live of 0: they will not.
        SubscribeAck = 0x07,
    }
}

/// Why bytes are no service discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SdError {
    /// The bytes end before entries or options do.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The entries are no multiple of 16 bytes.
    Entries {
        /// Their length.
        got: u32,
    },
}

impl fmt::Display for SdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "message needs {needed} bytes, got {got}"),
            Self::Entries { got } => write!(f, "entries of {got} bytes are no multiple of {ENTRY_BYTES}"),
        }
    }
}

impl core::error::Error for SdError {}

/// Entry of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// What it says.
    pub kind: EntryKind,
    /// First option of the first run, and how many (0 to 15).
    pub first_run: (u8, u8),
    /// First option of the second run, and how many (0 to 15).
    pub second_run: (u8, u8),
    /// Service; 0xFFFF means any.
    pub service: u16,
    /// Instance; 0xFFFF means any.
    pub instance: u16,
    /// Major version; 0xFF means any.
    pub major_version: u8,
    /// Seconds for which the entry holds, 24 bits; 0 takes it back.
    pub ttl_s: u32,
    /// Minor version of a find or offer; counter and event group of a subscription.
    pub last: u32,
}

impl Entry {
    /// Returns the event group of a subscription or its acknowledgement, or `None` for another entry.
    #[must_use]
    pub fn event_group(&self) -> Option<u16> {
        let is_group = matches!(self.kind, EntryKind::Subscribe | EntryKind::SubscribeAck);
        let [_, _, high, low] = self.last.to_be_bytes();
        is_group.then_some(u16::from_be_bytes([high, low]))
    }

    /// Returns whether the entry takes back what it names.
    #[must_use]
    pub const fn is_stop(&self) -> bool {
        self.ttl_s == 0
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let counts = u8_at(bytes, 3)?;
        Some(Self {
            kind: EntryKind::from_code(u8_at(bytes, 0)?),
            first_run: (u8_at(bytes, 1)?, counts >> 4),
            second_run: (u8_at(bytes, 2)?, counts & 0x0F),
            service: u16_at(bytes, 4)?,
            instance: u16_at(bytes, 6)?,
            major_version: u8_at(bytes, 8)?,
            ttl_s: u32::try_from(uint_be(bytes, 9, 3)?).ok()?,
            last: u32_at(bytes, 12, ByteOrder::Big)?,
        })
    }

    fn put(&self, writer: &mut Writer<'_>) {
        let counts = self.first_run.1 << 4 | self.second_run.1 & 0x0F;
        writer.put(&[self.kind.code(), self.first_run.0, self.second_run.0, counts]);
        writer.put(&self.service.to_be_bytes());
        writer.put(&self.instance.to_be_bytes());
        let [_, ttl @ ..] = self.ttl_s.to_be_bytes();
        writer.put(&[self.major_version]);
        writer.put(&ttl);
        writer.put(&self.last.to_be_bytes());
    }
}

/// Address that an option names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddress,
    /// Protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// Port.
    pub port: u16,
}

/// Option of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdOption<'a> {
    /// Key and value texts.
    Configuration(&'a [u8]),
    /// Priority and weight.
    LoadBalancing {
        /// Lower is better.
        priority: u16,
        /// Share among equals.
        weight: u16,
    },
    /// Where the service can be reached.
    Endpoint(Endpoint),
    /// Where events are sent to.
    Multicast(Endpoint),
    /// Where the sender's service discovery can be reached.
    SdEndpoint(Endpoint),
    /// An option of another type, or one whose length does not fit its type.
    Unknown {
        /// The type.
        kind: u8,
        /// What is behind the reserved byte.
        data: &'a [u8],
    },
}

impl<'a> SdOption<'a> {
    fn parse(kind: u8, data: &'a [u8]) -> Self {
        let unknown = Self::Unknown { kind, data };
        let v4 = || endpoint(data, IpAddress::V4(array(data, 0)?), 4);
        let v6 = || endpoint(data, IpAddress::V6(array(data, 0)?), 16);
        match kind {
            0x01 => Self::Configuration(data),
            0x02 => match (u16_at(data, 0), u16_at(data, 2), data.len()) {
                (Some(priority), Some(weight), 4) => Self::LoadBalancing { priority, weight },
                _ => unknown,
            },
            0x04 => v4().map_or(unknown, Self::Endpoint),
            0x06 => v6().map_or(unknown, Self::Endpoint),
            0x14 => v4().map_or(unknown, Self::Multicast),
            0x16 => v6().map_or(unknown, Self::Multicast),
            0x24 => v4().map_or(unknown, Self::SdEndpoint),
            0x26 => v6().map_or(unknown, Self::SdEndpoint),
            _ => unknown,
        }
    }

    fn put(&self, writer: &mut Writer<'_>) {
        let mut raw = |kind: u8, parts: &[&[u8]]| {
            let data = parts.iter().fold(1usize, |sum, part| sum.saturating_add(part.len()));
            writer.put(&u16::try_from(data).unwrap_or(u16::MAX).to_be_bytes());
            writer.put(&[kind, 0]);
            parts.iter().for_each(|part| writer.put(part));
        };
        let mut address = |v4: u8, v6: u8, endpoint: &Endpoint| {
            let port = endpoint.port.to_be_bytes();
            let tail = [0, endpoint.protocol, port[0], port[1]];
            match &endpoint.ip {
                IpAddress::V4(ip) => raw(v4, &[ip, &tail]),
                IpAddress::V6(ip) => raw(v6, &[ip, &tail]),
            }
        };
        match self {
            Self::Endpoint(endpoint) => address(0x04, 0x06, endpoint),
            Self::Multicast(endpoint) => address(0x14, 0x16, endpoint),
            Self::SdEndpoint(endpoint) => address(0x24, 0x26, endpoint),
            Self::Configuration(data) => raw(0x01, &[data]),
            Self::LoadBalancing { priority, weight } => {
                raw(0x02, &[&priority.to_be_bytes(), &weight.to_be_bytes()]);
            }
            Self::Unknown { kind, data } => raw(*kind, &[data]),
        }
    }
}

fn endpoint(data: &[u8], ip: IpAddress, width: usize) -> Option<Endpoint> {
    let protocol = u8_at(data, width.saturating_add(1))?;
    let port = u16_at(data, width.saturating_add(2))?;
    (data.len() == width.saturating_add(4)).then_some(Endpoint { ip, protocol, port })
}

/// Borrowed payload of a service discovery message whose lengths are consistent.
#[derive(Debug, Clone, Copy)]
pub struct SdView<'a> {
    flags: u8,
    entries: &'a [u8],
    options: &'a [u8],
}

impl<'a> SdView<'a> {
    /// Views the payload of a message.
    ///
    /// # Errors
    /// [`SdError`] if the lengths do not fit.
    pub fn new(payload: &'a [u8]) -> Result<Self, SdError> {
        let cut = |needed| SdError::Truncated { needed, got: payload.len() };
        let entries_bytes = u32_at(payload, 4, ByteOrder::Big).ok_or(cut(HEAD_BYTES))?;
        let wide = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
        let entries_end = HEAD_BYTES.saturating_add(wide(entries_bytes));
        let entries = payload.get(HEAD_BYTES..entries_end).ok_or(cut(entries_end))?;
        if entries.len() & (ENTRY_BYTES - 1) != 0 {
            return Err(SdError::Entries { got: entries_bytes });
        }
        let options_at = entries_end.saturating_add(4);
        let options_bytes = u32_at(payload, entries_end, ByteOrder::Big).ok_or(cut(options_at))?;
        let end = options_at.saturating_add(wide(options_bytes));
        let options = payload.get(options_at..end).ok_or(cut(end))?;
        Ok(Self { flags: u8_at(payload, 0).unwrap_or(0), entries, options })
    }

    /// Returns whether the sender has not sent its 65,536th message since it started.
    #[must_use]
    pub const fn is_rebooted(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// Returns the entries in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + use<'a> {
        let entries = self.entries;
        entries.chunks_exact(ENTRY_BYTES).map(|bytes| {
            // A chunk has all the bytes of an entry; the empty one cannot be reached.
            Entry::parse(bytes).unwrap_or(Entry {
                kind: EntryKind::Unknown(0xFF),
                first_run: (0, 0),
                second_run: (0, 0),
                service: 0,
                instance: 0,
                major_version: 0,
                ttl_s: 0,
                last: 0,
            })
        })
    }

    /// Returns the options in order; a cut last one is left out.
    pub fn options(&self) -> impl Iterator<Item = SdOption<'a>> + use<'a> {
        let mut rest = self.options;
        core::iter::from_fn(move || {
            let length = usize::from(u16_at(rest, 0)?);
            let kind = u8_at(rest, 2)?;
            let end = length.checked_add(3)?;
            // The length covers the reserved byte; an option without it has no data.
            let data = rest.get(4..end.max(4)).filter(|_| length > 0)?;
            rest = rest.get(end..)?;
            Some(SdOption::parse(kind, data))
        })
    }

    /// Returns the options that an entry refers to, first run first. O(options) for each.
    pub fn options_of(&self, entry: &Entry) -> impl Iterator<Item = SdOption<'a>> + use<'a> {
        let (first, second) = (entry.first_run, entry.second_run);
        let run = |(begin, count): (u8, u8)| (usize::from(begin), usize::from(count));
        let ((a, a_count), (b, b_count)) = (run(first), run(second));
        self.options().skip(a).take(a_count).chain(self.options().skip(b).take(b_count))
    }
}

/// Writes the payload of a service discovery message with the unicast flag set and returns its length in bytes.
///
/// # Errors
/// [`NoSpace`] if the buffer is too small.
pub fn emit(
    is_rebooted: bool,
    entries: &[Entry],
    options: &[SdOption<'_>],
    out: &mut [u8],
) -> Result<usize, NoSpace> {
    let mut counter = Writer::new(&mut []);
    options.iter().for_each(|option| option.put(&mut counter));
    let options_bytes = counter.finish().unwrap_or_else(|error| error.needed);
    let wide = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut writer = Writer::new(out);
    writer.put(&[if is_rebooted { 0xC0 } else { 0x40 }, 0, 0, 0]);
    writer.put(&wide(entries.len().saturating_mul(ENTRY_BYTES)));
    entries.iter().for_each(|entry| entry.put(&mut writer));
    writer.put(&wide(options_bytes));
    options.iter().for_each(|option| option.put(&mut writer));
    writer.finish()
}
