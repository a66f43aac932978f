//! pcapng files: sections, interfaces, packets; every other block is passed over.

use outrider_bus::can::ByteOrder;
use outrider_types::BusId;

use super::input::Input;
use super::link::LinkType;
use super::pcap::{Packet, PacketFormat, u16_at, u32_at};
use super::source::Context;
use super::{CaptureError, Place, ProblemReason, RECORD_BYTES_MAX};

const BLOCK_SECTION: u32 = 0x0A0D_0D0A;
const BLOCK_INTERFACE: u32 = 1;
const BLOCK_PACKET_OBSOLETE: u32 = 2;
const BLOCK_PACKET_SIMPLE: u32 = 3;
const BLOCK_PACKET: u32 = 6;
const OPTION_NAME: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;
/// Most interfaces of a section that are kept; there are 256 bus numbers.
const INTERFACES_MAX: usize = 256;
/// Bytes of the fields around a packet in its block.
const AROUND_BYTES: usize = 4096;

/// One described interface.
struct Interface {
    link: LinkType,
    bus: Result<BusId, ProblemReason>,
    snap_bytes: u32,
    /// Ticks a second, or `None` if the file states more than 10^38.
    ticks: Option<u128>,
    offset_s: i64,
}

/// Reader state: the current section.
pub(super) struct PcapNg {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    is_begun: bool,
    /// Time of the packet before, for simple packets, which have none.
    last_us: i64,
}

impl Default for PcapNg {
    fn default() -> Self {
        Self { order: ByteOrder::Little, interfaces: Vec::new(), is_begun: false, last_us: 0 }
    }
}

/// A block's type and body.
struct Block {
    place: Place,
    kind: u32,
    body: Vec<u8>,
}

impl PacketFormat for PcapNg {
    fn packet(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Packet>, CaptureError> {
        loop {
            let Some(block) = self.block(input, context)? else { return Ok(None) };
            let outcome = match block.kind {
                BLOCK_SECTION => {
                    self.interfaces.clear();
                    Ok(None)
                }
                BLOCK_INTERFACE => self.interface(&block.body, context).map(|()| None),
                BLOCK_PACKET => self.enhanced(&block).map(Some),
                BLOCK_PACKET_OBSOLETE => self.obsolete(&block).map(Some),
                BLOCK_PACKET_SIMPLE => self.simple(&block).map(Some),
                _ => Ok(None),
            };
            match outcome {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) => {
                    context.stats.records += 1;
                    context.stats.skipped += 1;
                }
                Err(reason) => {
                    context.stats.records += 1;
                    context.stats.problem(block.place, reason);
                }
            }
        }
    }
}

impl PcapNg {
    /// Reads one block; long ones that carry no packet are passed over unread.
    fn block(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Block>, CaptureError> {
        loop {
            let offset = input.offset();
            let place = Place::Offset(offset);
            let mut bytes = Vec::new();
            input.bytes(&mut bytes, 8)?;
            if bytes.is_empty() && !input.is_cut() {
                return Ok(None);
            }
            if bytes.starts_with(&BLOCK_SECTION.to_be_bytes()) {
                self.section(input, &mut bytes, offset)?;
            }
            let head = (u32_at(&bytes, 0, self.order), u32_at(&bytes, 4, self.order));
            let (Some(kind), Some(length)) = head else { return Ok(cut(context, place)) };
            if length < 12 || length % 4 != 0 {
                return Err(CaptureError::Framing { offset, length: u64::from(length) });
            }
            let already = bytes.len() - 8;
            let rest = usize::try_from(length - 8).unwrap_or(usize::MAX).saturating_sub(already);
            if rest > RECORD_BYTES_MAX + AROUND_BYTES {
                let is_packet = matches!(kind, BLOCK_PACKET | BLOCK_PACKET_OBSOLETE | BLOCK_PACKET_SIMPLE);
                context.stats.records += 1;
                if !input.skip(rest as u64)? {
                    context.stats.problem(place, ProblemReason::Truncated);
                    return Ok(None);
                }
                if is_packet {
                    context.stats.problem(place, ProblemReason::RecordTooLong);
                } else {
                    context.stats.skipped += 1;
                }
                continue;
            }
            let mut body = bytes.split_off(8);
            let mut tail = Vec::new();
            input.bytes(&mut tail, rest)?;
            if tail.len() < rest {
                return Ok(cut(context, place));
            }
            body.append(&mut tail);
            let at = body.len().saturating_sub(4);
            if u32_at(&body, at, self.order) != Some(length) {
                return Err(CaptureError::Framing { offset, length: u64::from(length) });
            }
            body.truncate(at);
            return Ok(Some(Block { place, kind, body }));
        }
    }

    /// Reads a section's byte order, which its length already depends on.
    fn section(&mut self, input: &mut Input, bytes: &mut Vec<u8>, offset: u64) -> Result<(), CaptureError> {
        let mut magic = Vec::new();
        input.bytes(&mut magic, 4)?;
        let bad = CaptureError::Header { offset: offset + 8, expected: "a pcapng byte-order magic" };
        self.order = match magic.as_slice() {
            [0x1A, 0x2B, 0x3C, 0x4D] => ByteOrder::Big,
            [0x4D, 0x3C, 0x2B, 0x1A] => ByteOrder::Little,
            _ if magic.len() < 4 && self.is_begun => self.order,
            _ => return Err(bad),
        };
        self.is_begun = true;
        bytes.append(&mut magic);
        Ok(())
    }

    fn interface(&mut self, body: &[u8], context: &mut Context) -> Result<(), ProblemReason> {
        let code = u16_at(body, 0, self.order).ok_or(ProblemReason::Block)?;
        let snap_bytes = u32_at(body, 4, self.order).ok_or(ProblemReason::Block)?;
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(ProblemReason::Channels);
        }
        let mut name = self.interfaces.len().to_string();
        let mut ticks = Some(1_000_000u128);
        let mut offset_s = 0;
        let mut options = body.get(8..).unwrap_or(&[]);
        while let (Some(kind), Some(length)) =
            (u16_at(options, 0, self.order), u16_at(options, 2, self.order))
        {
            let length = usize::from(length);
            let Some(value) = options.get(4..4 + length) else { break };
            match (kind, value) {
                (0, _) => break,
                (OPTION_NAME, text) => {
                    let text = String::from_utf8_lossy(text);
                    let text = text.trim_end_matches('\0');
                    if !text.is_empty() && text.len() <= 32 {
                        text.clone_into(&mut name);
                    }
                }
                (OPTION_RESOLUTION, &[code]) => {
                    let base: u128 = if code & 0x80 == 0 { 10 } else { 2 };
                    ticks = base.checked_pow(u32::from(code & 0x7F));
                }
                (OPTION_OFFSET, value) => {
                    let raw = value.first_chunk::<8>().copied().unwrap_or_default();
                    offset_s = match self.order {
                        ByteOrder::Big => i64::from_be_bytes(raw),
                        ByteOrder::Little => i64::from_le_bytes(raw),
                    };
                }
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        let link = LinkType::from_code(code);
        let bus = match link {
            LinkType::Lin => context.lin.bus(&name, 0),
            LinkType::FlexRay => context.flexray.bus(&name, 0),
            LinkType::Ethernet | LinkType::LinuxSll | LinkType::SocketCan | LinkType::Unsupported => {
                context.channels.bus(&name, 0)
            }
        };
        self.interfaces.push(Interface { link, bus, snap_bytes, ticks, offset_s });
        Ok(())
    }

    fn enhanced(&mut self, block: &Block) -> Result<Packet, ProblemReason> {
        let index = u32_at(&block.body, 0, self.order).ok_or(ProblemReason::Block)?;
        self.timed(block, index)
    }

    fn obsolete(&mut self, block: &Block) -> Result<Packet, ProblemReason> {
        let index = u16_at(&block.body, 0, self.order).ok_or(ProblemReason::Block)?;
        self.timed(block, u32::from(index))
    }

    /// Reads a packet whose time and length are at the places both timed blocks share.
    fn timed(&mut self, block: &Block, index: u32) -> Result<Packet, ProblemReason> {
        let word = |at| u32_at(&block.body, at, self.order).ok_or(ProblemReason::Block);
        let ticks = u64::from(word(4)?) << 32 | u64::from(word(8)?);
        let length = usize::try_from(word(12)?).map_err(|_| ProblemReason::Block)?;
        word(16)?;
        let bytes = block.body.get(20..).and_then(|rest| rest.get(..length)).ok_or(ProblemReason::Block)?;
        let interface = self.described(index)?;
        let bus = interface.bus?;
        let unix_us = unix_micros(ticks, interface).ok_or(ProblemReason::Time)?;
        let link = interface.link;
        self.last_us = unix_us;
        Ok(Packet { place: block.place, unix_us, link, bus, bytes: bytes.to_vec() })
    }

    fn simple(&self, block: &Block) -> Result<Packet, ProblemReason> {
        let original = u32_at(&block.body, 0, self.order).ok_or(ProblemReason::Block)?;
        let interface = self.described(0)?;
        let snap = if interface.snap_bytes == 0 { u32::MAX } else { interface.snap_bytes };
        let length = usize::try_from(original.min(snap)).map_err(|_| ProblemReason::Block)?;
        let bytes = block.body.get(4..).and_then(|rest| rest.get(..length)).ok_or(ProblemReason::Block)?;
        Ok(Packet {
            place: block.place,
            unix_us: self.last_us,
            link: interface.link,
            bus: interface.bus?,
            bytes: bytes.to_vec(),
        })
    }

    fn described(&self, index: u32) -> Result<&Interface, ProblemReason> {
        let index = usize::try_from(index).map_err(|_| ProblemReason::Interface)?;
        self.interfaces.get(index).ok_or(ProblemReason::Interface)
    }
}

/// Counts a cut last block and ends the packets.
fn cut(context: &mut Context, place: Place) -> Option<Block> {
    context.stats.records += 1;
    context.stats.problem(place, ProblemReason::Truncated);
    None
}

fn unix_micros(ticks: u64, interface: &Interface) -> Option<i64> {
    let micros = u128::from(ticks).checked_mul(1_000_000)? / interface.ticks?;
    let offset_us = interface.offset_s.checked_mul(1_000_000)?;
    i64::try_from(micros).ok()?.checked_add(offset_us)
}
