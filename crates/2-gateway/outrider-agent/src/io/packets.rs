//! Rolling capture of Ethernet, bounded in bytes, in bytes a second and in what it keeps of whom.
//!
//! **In:** frames with whether a detector reads their kind. **Out:** the packets of a boot between two times, for a pcapng
//! file. **Never:** more of other traffic than its headers; a vehicle identification number; more than the bound.
//!
//! A record, little endian: `at u64, bus u8, original u32, len u16, data`.

use std::io;
use std::path::Path;

use outrider_types::{BootEpoch, BusId, VehicleMicros};

use super::rolling::{Kept, RollingCapture};

/// Bytes kept of a packet that a detector reads: all of it, unless the interface joined segments.
const WHOLE_BYTES: usize = 2048;
/// Bytes kept of any other: Ethernet, VLAN, IPv6 and TCP headers with options, and nothing that somebody said.
const HEADERS_BYTES: usize = 114;
/// Bytes written a second at most (guess: flash for 64 MiB of this lasts a vehicle's life; evidence needs messages, not
/// bulk).
const BYTES_PER_SECOND: u64 = 512 << 10;
/// Bytes a second that headers of other traffic may take, so that they do not drive out what detectors read.
const HEADERS_PER_SECOND: u64 = BYTES_PER_SECOND / 4;
/// Bytes before the data of a record.
const RECORD_HEAD_BYTES: usize = 15;
/// Letters and digits of a vehicle identification number (ISO 3779).
const VIN_BYTES: usize = 17;

/// One packet as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPacket {
    /// When it was taken.
    pub at: VehicleMicros,
    /// Segment as its source numbers it.
    pub bus: BusId,
    /// Bytes that it had.
    pub original_bytes: u32,
    /// Bytes that are kept, from the destination address on.
    pub bytes: Vec<u8>,
}

impl Kept for KeptPacket {
    fn at(&self) -> VehicleMicros {
        self.at
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.at.0.to_le_bytes());
        out.push(self.bus.0);
        out.extend(self.original_bytes.to_le_bytes());
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        out.extend(length.to_le_bytes());
        out.extend(self.bytes.iter().take(length.into()));
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let at = VehicleMicros(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?));
        let bus = BusId(*bytes.get(8)?);
        let original_bytes = u32::from_le_bytes(bytes.get(9..13)?.try_into().ok()?);
        let length = usize::from(u16::from_le_bytes(bytes.get(13..15)?.try_into().ok()?));
        let data = bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length)?;
        Some((Self { at, bus, original_bytes, bytes: data.to_vec() }, RECORD_HEAD_BYTES + length))
    }
}

/// Counts of a capture: taken = kept + shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketCounts {
    /// Packets written.
    pub kept: u64,
    /// Packets left out because the second was full.
    pub shed: u64,
}

/// Rolling capture of the Ethernet segments of a vehicle.
#[derive(Debug)]
pub struct PacketCapture {
    capture: RollingCapture<KeptPacket>,
    packet: KeptPacket,
    second: u64,
    spent: u64,
    spent_on_headers: u64,
    counts: PacketCounts,
}

impl PacketCapture {
    /// Opens the capture of a boot.
    ///
    /// # Errors
    /// The folder cannot be created or listed.
    pub fn open(folder: &Path, epoch: BootEpoch, bytes_max: u64) -> io::Result<Self> {
        let packet = KeptPacket { at: VehicleMicros(0), bus: BusId(0), original_bytes: 0, bytes: Vec::new() };
        Ok(Self {
            capture: RollingCapture::open(folder, epoch, bytes_max)?,
            packet,
            second: 0,
            spent: 0,
            spent_on_headers: 0,
            counts: PacketCounts::default(),
        })
    }

    /// Keeps a packet, whole if `is_evidence`; allocates nothing once it has had its largest one.
    pub fn push(&mut self, at: VehicleMicros, bus: BusId, bytes: &[u8], is_evidence: bool) {
        let kept = bytes.len().min(if is_evidence { WHOLE_BYTES } else { HEADERS_BYTES });
        let cost = (RECORD_HEAD_BYTES + kept) as u64;
        let second = at.0 / 1_000_000;
        if second != self.second {
            (self.second, self.spent, self.spent_on_headers) = (second, 0, 0);
        }
        let is_full = self.spent + cost > BYTES_PER_SECOND
            || (!is_evidence && self.spent_on_headers + cost > HEADERS_PER_SECOND);
        if is_full {
            self.counts.shed += 1;
            return;
        }
        self.spent += cost;
        if !is_evidence {
            self.spent_on_headers += cost;
        }
        self.counts.kept += 1;
        let packet = &mut self.packet;
        (packet.at, packet.bus) = (at, bus);
        packet.original_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        packet.bytes.clear();
        packet.bytes.extend_from_slice(&bytes[..kept]);
        blind(&mut packet.bytes);
        self.capture.push(packet);
    }

    /// Returns the counts.
    #[must_use]
    pub const fn counts(&self) -> PacketCounts {
        self.counts
    }

    /// Hands what is buffered to the operating system; call once a second.
    pub fn flush(&mut self) {
        self.capture.flush();
    }

    /// Returns the packets of a boot in `from..=to`, at most `packets_max`, in order of time.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn cut(
        &mut self,
        epoch: BootEpoch,
        from: VehicleMicros,
        to: VehicleMicros,
        packets_max: usize,
    ) -> io::Result<Vec<KeptPacket>> {
        self.capture.cut(epoch, from, to, packets_max)
    }

    /// Returns whether some packet of a boot in `from..=to` may still be there.
    #[must_use]
    pub fn covers(&self, epoch: BootEpoch, from: VehicleMicros, to: VehicleMicros) -> bool {
        self.capture.covers(epoch, from, to)
    }
}

/// Writes over everything that has the form of a vehicle identification number, before it is stored (PRIV-1). Lengths
/// stay, checksums do not.
fn blind(bytes: &mut [u8]) {
    let mut begin = 0;
    while begin < bytes.len() {
        let run = bytes[begin..].iter().take_while(|byte| is_of_vin(**byte)).count();
        let word = &mut bytes[begin..begin + run];
        let has = |kind: fn(&u8) -> bool| word.iter().any(kind);
        // A longer run may begin or end with a neighbour that looks like part of it.
        if run >= VIN_BYTES && has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) {
            word.fill(b'*');
        }
        begin += run + 1;
    }
}

/// Capital letters but I, O and Q, and digits.
const fn is_of_vin(byte: u8) -> bool {
    byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !matches!(byte, b'I' | b'O' | b'Q'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open(folder: &Path, epoch: u64) -> PacketCapture {
        PacketCapture::open(folder, BootEpoch(epoch), 1 << 22).expect("it opens")
    }

    fn all(capture: &mut PacketCapture, epoch: u64) -> Vec<KeptPacket> {
        capture.cut(BootEpoch(epoch), VehicleMicros(0), VehicleMicros(u64::MAX), 1000).expect("it reads")
    }

    #[test]
    fn packets_are_kept_whole_or_as_headers_and_survive_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut capture = open(folder.path(), 1);
        capture.push(VehicleMicros(1), BusId(0), &[7; 500], true);
        capture.push(VehicleMicros(2), BusId(1), &[8; 500], false);
        capture.flush();
        drop(capture);
        let mut again = open(folder.path(), 2);
        let kept = all(&mut again, 1);
        let sizes: Vec<_> = kept.iter().map(|one| (one.bus.0, one.bytes.len(), one.original_bytes)).collect();
        assert_eq!(sizes, [(0, 500, 500), (1, HEADERS_BYTES, 500)]);
        assert_eq!(all(&mut again, 2), []);
    }

    #[test]
    fn a_second_has_a_bound_and_other_traffic_leaves_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut capture = open(folder.path(), 1);
        (0..10_000).for_each(|at| capture.push(VehicleMicros(at), BusId(0), &[0; 1500], false));
        let headers = capture.counts();
        assert_eq!(headers.kept, HEADERS_PER_SECOND / (RECORD_HEAD_BYTES + HEADERS_BYTES) as u64);
        assert_eq!(headers.kept + headers.shed, 10_000);
        capture.push(VehicleMicros(20_000), BusId(0), &[0; 1500], true);
        assert_eq!(capture.counts().kept, headers.kept + 1, "what detectors read still has room");
        (0..1000).for_each(|at| capture.push(VehicleMicros(30_000 + at), BusId(0), &[0; 1500], true));
        assert!(capture.counts().kept < headers.kept + 400);
        let full = capture.counts().kept;
        capture.push(VehicleMicros(1_000_000), BusId(0), &[0; 1500], true);
        assert_eq!(capture.counts().kept, full + 1, "the next second");
    }

    #[test]
    fn an_identification_number_is_never_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut capture = open(folder.path(), 1);
        let vin = b"WVWZZZ1JZXW000001";
        let packet = [&[2, 0xFD, 0, 4], vin.as_slice(), &[0, 1]].concat();
        capture.push(VehicleMicros(1), BusId(0), &packet, true);
        let letters = [&[9], b"ABCDEFGHJKLMNPRSTUVWX".as_slice(), &[9]].concat();
        capture.push(VehicleMicros(2), BusId(0), &letters, true);
        capture.push(VehicleMicros(3), BusId(0), &[&[1], &vin[..16], &[1]].concat(), true);
        let kept = all(&mut capture, 1);
        assert_eq!(kept[0].bytes, [&[2, 0xFD, 0, 4], [b'*'; 17].as_slice(), &[0, 1]].concat());
        assert_eq!(kept[1].bytes, letters, "letters alone are none");
        assert_eq!(&kept[2].bytes[1..17], &vin[..16], "sixteen are none");
        for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
            let bytes = std::fs::read(entry.path()).expect("it reads");
            assert!(!bytes.windows(17).any(|window| window == vin));
        }
    }

    #[test]
    fn the_corpus_is_read() {
        let mut packets = 0;
        let files = crate::io::corpus("packet_capture", |bytes| {
            let mut rest = bytes;
            while let Some((_, length)) = KeptPacket::decode(rest) {
                packets += 1;
                rest = &rest[length..];
            }
        });
        assert!(files >= 2 && packets >= 3, "{files} {packets}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut rest = bytes.as_slice();
            while let Some((packet, length)) = KeptPacket::decode(rest) {
                let mut again = Vec::new();
                packet.encode(&mut again);
                prop_assert_eq!(&again, &rest[..length]);
                rest = &rest[length..];
            }
        }
    }
}
