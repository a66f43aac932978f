//! pcap files, and what pcap and pcapng share.

use std::collections::VecDeque;

use outrider_bus::can::{ByteOrder, TimedFrame};
use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_types::BusId;

use super::input::Input;
use super::link::{Decoded, LinkType, decode, sense};
use super::source::{Context, Source};
use super::{CaptureError, IdOrder, Place, ProblemReason, RECORD_BYTES_MAX, Record, TimedXl};

/// Packets looked at to find the order of identifier bytes.
const ORDER_PACKETS: usize = 64;

/// One captured packet.
pub(super) struct Packet {
    pub(super) place: Place,
    pub(super) unix_us: i64,
    pub(super) link: LinkType,
    pub(super) bus: BusId,
    pub(super) bytes: Vec<u8>,
}

/// A format of packets.
pub(super) trait PacketFormat: Send {
    /// Returns the next packet, having counted everything before it.
    fn packet(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Packet>, CaptureError>;
}

/// Reader of a format of packets.
pub(super) struct Packets<F> {
    format: F,
    order: Option<ByteOrder>,
    waiting: VecDeque<Packet>,
    /// What ended the packets while looking ahead: their end, or an error that comes up behind them.
    ended: Option<Result<(), CaptureError>>,
}

impl<F: PacketFormat> Packets<F> {
    pub(super) fn new(format: F, order: IdOrder) -> Self {
        let order = match order {
            IdOrder::Detect => None,
            IdOrder::Big => Some(ByteOrder::Big),
            IdOrder::Little => Some(ByteOrder::Little),
        };
        Self { format, order, waiting: VecDeque::new(), ended: None }
    }

    /// Reads ahead and decides on the order.
    fn detect(&mut self, input: &mut Input, context: &mut Context) -> ByteOrder {
        let (mut big, mut little) = (0u32, 0u32);
        while self.waiting.len() < ORDER_PACKETS {
            let packet = match self.format.packet(input, context) {
                Ok(Some(packet)) => packet,
                other => {
                    self.ended = Some(other.map(|_| ()));
                    break;
                }
            };
            if let Some((for_big, for_little)) = sense(packet.link, &packet.bytes) {
                big += for_big;
                little += for_little;
            }
            self.waiting.push_back(packet);
        }
        if little > big { ByteOrder::Little } else { ByteOrder::Big }
    }
}

impl<F: PacketFormat> Source for Packets<F> {
    fn next(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Record>, CaptureError> {
        let order = match self.order {
            Some(order) => order,
            None => {
                let order = self.detect(input, context);
                self.order = Some(order);
                order
            }
        };
        loop {
            let packet = match self.waiting.pop_front() {
                Some(packet) => packet,
                None => match self.ended.take() {
                    Some(ended) => return ended.map(|()| None),
                    None => match self.format.packet(input, context)? {
                        Some(packet) => packet,
                        None => return Ok(None),
                    },
                },
            };
            context.stats.records += 1;
            let bus = packet.bus;
            match decode(packet.link, &packet.bytes, order) {
                Ok(decoded) => {
                    let at = context.since_first(packet.unix_us);
                    return Ok(Some(match decoded {
                        Decoded::Can(frame) => Record::Can(TimedFrame { at, bus, frame }),
                        Decoded::CanXl(header, payload) => {
                            Record::CanXl(Box::new(TimedXl { at, bus, header, payload }))
                        }
                        Decoded::Ethernet(bytes) => Record::Ethernet { at, bus, bytes },
                        Decoded::Lin(heard) => Record::Lin(TimedLin { at, bus, heard }),
                        Decoded::FlexRay(heard) => {
                            Record::FlexRay(Box::new(TimedFlexRay { at, bus, heard: *heard }))
                        }
                    }));
                }
                Err(reason) => context.stats.problem(packet.place, reason),
            }
        }
    }
}

/// Reads a 32-bit integer.
pub(super) fn u32_at(bytes: &[u8], offset: usize, order: ByteOrder) -> Option<u32> {
    let raw = *bytes.get(offset..)?.first_chunk::<4>()?;
    Some(match order {
        ByteOrder::Big => u32::from_be_bytes(raw),
        ByteOrder::Little => u32::from_le_bytes(raw),
    })
}

/// Reads a 16-bit integer.
pub(super) fn u16_at(bytes: &[u8], offset: usize, order: ByteOrder) -> Option<u16> {
    let raw = *bytes.get(offset..)?.first_chunk::<2>()?;
    Some(match order {
        ByteOrder::Big => u16::from_be_bytes(raw),
        ByteOrder::Little => u16::from_le_bytes(raw),
    })
}

/// Order and ticks a second of a pcap magic number.
fn magic(head: &[u8]) -> Option<(ByteOrder, u32)> {
    match head.first_chunk::<4>()? {
        [0xA1, 0xB2, 0xC3, 0xD4] => Some((ByteOrder::Big, 1_000_000)),
        [0xD4, 0xC3, 0xB2, 0xA1] => Some((ByteOrder::Little, 1_000_000)),
        [0xA1, 0xB2, 0x3C, 0x4D] => Some((ByteOrder::Big, 1_000_000_000)),
        [0x4D, 0x3C, 0xB2, 0xA1] => Some((ByteOrder::Little, 1_000_000_000)),
        _ => None,
    }
}

/// Returns whether bytes begin with a pcap magic number.
pub(super) fn is_magic(head: &[u8]) -> bool {
    magic(head).is_some()
}

/// Reader state of a pcap file.
pub(super) struct Pcap {
    order: ByteOrder,
    ticks: u32,
    link: LinkType,
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn begin(input: &mut Input) -> Result<Self, CaptureError> {
        let mut header = Vec::new();
        input.bytes(&mut header, 24)?;
        let bad = |offset, expected| CaptureError::Header { offset, expected };
        let (order, ticks) = magic(&header).ok_or(bad(0, "a pcap magic number"))?;
        let code = u32_at(&header, 20, order).ok_or(bad(header.len() as u64, "24 header bytes"))?;
        // The upper bits say how long a frame check sequence is.
        let code = u16::try_from(code & 0x03FF_FFFF).unwrap_or(u16::MAX);
        Ok(Self { order, ticks, link: LinkType::from_code(code) })
    }
}

impl PacketFormat for Pcap {
    fn packet(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Packet>, CaptureError> {
        let offset = input.offset();
        let place = Place::Offset(offset);
        let mut header = Vec::new();
        input.bytes(&mut header, 16)?;
        if header.is_empty() && !input.is_cut() {
            return Ok(None);
        }
        let word = |at| u32_at(&header, at, self.order);
        let (Some(seconds), Some(fraction), Some(length), Some(_)) = (word(0), word(4), word(8), word(12))
        else {
            context.stats.records += 1;
            context.stats.problem(place, ProblemReason::Truncated);
            return Ok(None);
        };
        let framing = CaptureError::Framing { offset, length: u64::from(length) };
        let Some(length) = usize::try_from(length).ok().filter(|&length| length <= RECORD_BYTES_MAX) else {
            return Err(framing);
        };
        let mut bytes = Vec::new();
        input.bytes(&mut bytes, length)?;
        if bytes.len() < length {
            context.stats.records += 1;
            context.stats.problem(place, ProblemReason::Truncated);
            return Ok(None);
        }
        let micros = u64::from(fraction) * 1_000_000 / u64::from(self.ticks);
        let unix_us = i64::from(seconds) * 1_000_000 + i64::try_from(micros).unwrap_or(0);
        Ok(Some(Packet { place, unix_us, link: self.link, bus: context.channels.only(), bytes }))
    }
}
