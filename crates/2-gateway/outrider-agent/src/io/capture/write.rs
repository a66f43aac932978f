//! Writers of captures, for injected and simulated traffic.

use std::collections::BTreeSet;
use std::io::{Result, Write};

use outrider_bus::can::{FrameKind, TimedFrame};
use outrider_bus::lin::{ChecksumKind, Fault, Heard};
use outrider_types::{BusId, UnixMicros};

use super::Record;
use crate::io::packets::KeptPacket;

/// Days from the epoch of OLE dates, 1899-12-30, to 1970-01-01.
const OLE_EPOCH_DAYS: i64 = 25_569;
const DAY_US: i64 = 86_400_000_000;

/// Writes frames as a PCAN trace: version 2.0, or 2.1 if they are of several buses or have a data length code
/// above 8 in a classic frame, which only that version can say.
///
/// Frames keep their order. An error frame's class becomes "other error"; its detail is kept.
///
/// # Errors
/// What `out` returns.
pub fn write_trc(out: &mut dyn Write, start: UnixMicros, frames: &[TimedFrame]) -> Result<()> {
    let first = frames.first().map(|frame| frame.bus);
    let is_odd =
        |frame: &TimedFrame| frame.frame.kind() == FrameKind::Classic && frame.frame.dlc().code() > 8;
    let with_bus = frames.iter().any(|frame| Some(frame.bus) != first || is_odd(frame));
    let (version, columns) = if with_bus { ("2.1", "N,O,T,B,I,d,R,L,D") } else { ("2.0", "N,O,T,I,d,l,D") };
    let day = start.0.div_euclid(DAY_US).saturating_add(OLE_EPOCH_DAYS);
    let trillionths = i128::from(start.0.rem_euclid(DAY_US)) * 10_000 / 864;
    writeln!(out, ";$FILEVERSION={version}")?;
    writeln!(out, ";$STARTTIME={day}.{trillionths:012}")?;
    writeln!(out, ";$COLUMNS={columns}")?;
    writeln!(out, ";")?;
    for (index, timed) in frames.iter().enumerate() {
        let frame = &timed.frame;
        let kind = match (frame.kind(), frame.flags().brs, frame.flags().esi) {
            (FrameKind::Classic, ..) => "DT",
            (FrameKind::Remote, ..) => "RR",
            (FrameKind::Error, ..) => "ER",
            (FrameKind::Fd, false, false) => "FD",
            (FrameKind::Fd, true, false) => "FB",
            (FrameKind::Fd, false, true) => "FE",
            (FrameKind::Fd, true, true) => "BI",
        };
        let id = match frame.id() {
            Some(id) if id.is_extended() => format!("{:08X}", id.value()),
            Some(id) => format!("{:04X}", id.value()),
            None => "0008".to_owned(),
        };
        let (ms, us) = (timed.at.0 / 1000, timed.at.0 % 1000);
        write!(out, "{:7} {ms:9}.{us:03} {kind}", index + 1)?;
        if with_bus {
            write!(out, " {:2} {id:>8} Rx - {:2} ", u16::from(timed.bus.0) + 1, frame.dlc().code())?;
        } else {
            let length = match frame.kind() {
                FrameKind::Remote => usize::from(frame.dlc().code()),
                FrameKind::Classic | FrameKind::Fd | FrameKind::Error => frame.data().len(),
            };
            write!(out, " {id:>8} Rx {length:2} ")?;
        }
        frame.data().iter().try_for_each(|byte| write!(out, " {byte:02X}"))?;
        writeln!(out)?;
    }
    Ok(())
}

/// Writes packets as a pcapng file, with segment n as interface `eth<n>` and times in microseconds.
///
/// # Errors
/// What `out` returns.
pub fn write_pcapng(out: &mut dyn Write, start: UnixMicros, packets: &[KeptPacket]) -> Result<()> {
    /// Link type of Ethernet.
    const ETHERNET: u16 = 1;
    let section = [0x1A2B_3C4Du32.to_le_bytes(), [1, 0, 0, 0], [0xFF; 4], [0xFF; 4]].concat();
    block(out, 0x0A0D_0D0A, &section)?;
    let buses: BTreeSet<BusId> = packets.iter().map(|packet| packet.bus).collect();
    for bus in &buses {
        let name = format!("eth{bus}");
        let mut body = ETHERNET.to_le_bytes().to_vec();
        body.extend([0; 6]);
        // Option 2 is the name, option 0 the end.
        body.extend(2u16.to_le_bytes());
        body.extend(u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
        body.extend(name.as_bytes());
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([0; 4]);
        block(out, 1, &body)?;
    }
    for packet in packets {
        let interface = buses.range(..packet.bus).count();
        let at = u64::try_from(i128::from(start.0) + i128::from(packet.at.0)).unwrap_or(0);
        let mut body = u32::try_from(interface).unwrap_or(0).to_le_bytes().to_vec();
        body.extend(&(at >> 32).to_le_bytes()[..4]);
        body.extend(&at.to_le_bytes()[..4]);
        body.extend(u32::try_from(packet.bytes.len()).unwrap_or(0).to_le_bytes());
        body.extend(packet.original_bytes.to_le_bytes());
        body.extend(&packet.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        block(out, 6, &body)?;
    }
    Ok(())
}

/// Writes frames as a candump log, with bus n as interface `can<n>`.
///
/// # Errors
/// What `out` returns.
pub fn write_candump(out: &mut dyn Write, start: UnixMicros, frames: &[TimedFrame]) -> Result<()> {
    for timed in frames {
        let frame = &timed.frame;
        let at = i128::from(start.0) + i128::from(timed.at.0);
        let at = u64::try_from(at).unwrap_or(0);
        write!(out, "({:010}.{:06}) can{} ", at / 1_000_000, at % 1_000_000, timed.bus)?;
        match (frame.id(), frame.error_class()) {
            (Some(id), _) => write!(out, "{id}#")?,
            (None, class) => write!(out, "{:08X}#", 0x2000_0000 | class.unwrap_or_default().bits())?,
        }
        match frame.kind() {
            FrameKind::Remote => write!(out, "R{:X}", frame.dlc().code())?,
            FrameKind::Fd => {
                let flags = 4 | u8::from(frame.flags().brs) | u8::from(frame.flags().esi) << 1;
                write!(out, "#{flags:X}")?;
            }
            FrameKind::Classic | FrameKind::Error => {}
        }
        frame.data().iter().try_for_each(|byte| write!(out, "{byte:02X}"))?;
        if frame.kind() == FrameKind::Classic && frame.dlc().code() > 8 {
            write!(out, "_{:X}", frame.dlc().code())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Link type of a record in pcapng, and the name of its interface without its number.
const fn link_of(record: &Record) -> (u16, &'static str) {
    match record {
        Record::Can(_) | Record::CanXl(_) => (227, "can"),
        Record::Ethernet { .. } => (1, "eth"),
        Record::Lin(_) => (212, "lin"),
        Record::FlexRay(_) => (210, "flexray"),
    }
}

/// Writes records of LIN and FlexRay as pcapng, one interface a bus; others are left out, because they have formats that
/// keep more of them.
///
/// # Errors
/// What `out` returns.
pub fn write_scheduled(out: &mut dyn Write, start: UnixMicros, records: &[Record]) -> Result<()> {
    let mut section = vec![];
    section.extend(0x1A2B_3C4Du32.to_le_bytes());
    section.extend([1, 0, 0, 0]);
    section.extend(u64::MAX.to_le_bytes());
    block(out, 0x0A0D_0D0A, &section)?;
    let mut interfaces: Vec<(u16, BusId)> = Vec::new();
    for record in records {
        let (bus, bytes) = match record {
            Record::Lin(heard) => (heard.bus, lin_bytes(&heard.heard)),
            Record::FlexRay(heard) => {
                let mut bytes = [0; 272];
                let length = heard.heard.emit(&mut bytes).unwrap_or(0);
                (heard.bus, bytes.get(..length).unwrap_or(&[]).to_vec())
            }
            Record::Can(_) | Record::CanXl(_) | Record::Ethernet { .. } => continue,
        };
        let (link, name) = link_of(record);
        let index = match interfaces.iter().position(|known| *known == (link, bus)) {
            Some(index) => index,
            None => {
                let mut body = vec![];
                body.extend(link.to_le_bytes());
                body.extend([0; 6]);
                option(&mut body, 2, format!("{name}{}", bus.0).as_bytes());
                option(&mut body, 0, &[]);
                block(out, 1, &body)?;
                interfaces.push((link, bus));
                interfaces.len() - 1
            }
        };
        let at = i128::from(start.0) + i128::from(record.at().0);
        let at = u64::try_from(at).unwrap_or(0);
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        let mut body = vec![];
        body.extend(u32::try_from(index).unwrap_or(0).to_le_bytes());
        body.extend(u32::try_from(at >> 32).unwrap_or(0).to_le_bytes());
        body.extend(u32::try_from(at & 0xFFFF_FFFF).unwrap_or(0).to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(&bytes);
        block(out, 6, &body)?;
    }
    Ok(())
}

/// Writes an option of a block, padded to four bytes.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Writes a block of pcapng, padded to four bytes.
fn block(out: &mut dyn Write, kind: u32, body: &[u8]) -> Result<()> {
    let padded = body.len().next_multiple_of(4);
    let length = u32::try_from(padded + 12).unwrap_or(u32::MAX).to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length)?;
    out.write_all(body)?;
    out.write_all(&[0; 3][..padded - body.len()])?;
    out.write_all(&length)
}

/// Bytes of a record of pcap link type 212.
fn lin_bytes(heard: &Heard) -> Vec<u8> {
    match heard {
        Heard::Frame { frame, .. } => {
            let kind = match frame.kind() {
                ChecksumKind::Classic => 1,
                ChecksumKind::Enhanced => 2,
            };
            let length = u8::try_from(frame.data().len()).unwrap_or(0);
            let mut bytes = vec![1, 0, 0, 0, length << 4 | kind, frame.pid().byte(), frame.checksum(), 0];
            bytes.extend(frame.data());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }
        Heard::Fault { pid, fault } => {
            let errors = match fault {
                Fault::Silence => 0x01,
                Fault::Framing => 0x02,
                Fault::Checksum => 0x08,
            };
            vec![1, 0, 0, 0, 0, pid.byte(), 0, errors]
        }
        Heard::Header => vec![1, 0, 0, 0, 0, 0x80, 0, 0x04],
        Heard::WakeUp => vec![1, 0, 0, 0, 0x4C, 0, 0, 0, 0xB0, 0xB0, 0, 4],
        Heard::Asleep => vec![1, 0, 0, 0, 0x4C, 0, 0, 0, 0xB0, 0xB0, 0, 1],
    }
}
