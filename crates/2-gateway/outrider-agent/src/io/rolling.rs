//! Rolling capture on disk: the last minutes or hours of every bus, bounded, so that evidence can be cut later.
//!
//! **In:** frames in order of time. **Out:** the frames of a boot between two times. **Never:** more bytes than the
//! bound; an error that stops detection. The newest second may be lost in a crash: evidence is best effort, events
//! are not.
//!
//! A segment is a file of records of one [`Kept`] kind. Of CAN, little endian: `at u64, id u32, bus u8, kind u8, flags u8,
//! dlc u8, len u8, data`; of Ethernet see [`super::packets`].

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use outrider_bus::can::{CanId, Dlc, ErrorClass, FdFlags, Frame, FrameKind, TimedFrame};
use outrider_types::{BootEpoch, BusId, VehicleMicros};

/// Bytes of a full segment.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Bytes before the data of a record.
const RECORD_HEAD_BYTES: usize = 17;

/// What a capture keeps.
pub trait Kept: Sized {
    /// Returns when it was on its bus.
    fn at(&self) -> VehicleMicros;
    /// Appends the record.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads the first record and its length, or `None` at the end or a torn one.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)>;
}

/// One segment on disk.
#[derive(Debug, Clone)]
struct Segment {
    path: PathBuf,
    epoch: BootEpoch,
    first: VehicleMicros,
    last: VehicleMicros,
    bytes: u64,
}

/// Rolling capture of all buses of one kind.
#[derive(Debug)]
pub struct RollingCapture<K = TimedFrame> {
    folder: PathBuf,
    bytes_max: u64,
    epoch: BootEpoch,
    number: u64,
    segments: VecDeque<Segment>,
    open: Option<BufWriter<File>>,
    /// The record at hand.
    record: Vec<u8>,
    kind: PhantomData<fn(K)>,
    /// Frames that could not be written, for example because the disk is full.
    pub frames_lost: u64,
}

impl<K: Kept> RollingCapture<K> {
    /// Opens the capture of a boot; segments of former boots are kept until the bound drives them out.
    ///
    /// # Errors
    /// The folder cannot be created or listed.
    pub fn open(folder: &Path, epoch: BootEpoch, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut capture = Self {
            folder: folder.to_path_buf(),
            bytes_max: bytes_max.max(2 * SEGMENT_BYTES),
            epoch,
            number: 0,
            segments: VecDeque::new(),
            open: None,
            record: Vec::new(),
            kind: PhantomData,
            frames_lost: 0,
        };
        for path in paths {
            let Some((epoch, _)) = segment_name(&path) else { continue };
            let frames = read_segment::<K>(&path)?;
            let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
                fs::remove_file(&path)?;
                continue;
            };
            let bytes = fs::metadata(&path)?.len();
            capture.segments.push_back(Segment { path, epoch, first: first.at(), last: last.at(), bytes });
        }
        capture.trim();
        Ok(capture)
    }

    /// Appends a frame; a failure is counted and starts a new segment.
    pub fn push(&mut self, frame: &K) {
        if self.write(frame).is_err() {
            self.frames_lost = self.frames_lost.saturating_add(1);
            self.open = None;
        }
    }

    /// Hands what is buffered to the operating system; call once a second.
    pub fn flush(&mut self) {
        if let Some(open) = &mut self.open
            && open.flush().is_err()
        {
            self.open = None;
        }
    }

    fn write(&mut self, frame: &K) -> io::Result<()> {
        if self.open.is_none() || self.segments.back().is_some_and(|segment| segment.bytes >= SEGMENT_BYTES) {
            self.flush();
            self.start_segment(frame.at())?;
            self.trim();
        }
        self.record.clear();
        frame.encode(&mut self.record);
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("no segment is open"))?;
        open.write_all(&self.record)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.last = segment.last.max(frame.at());
            segment.bytes += self.record.len() as u64;
        }
        Ok(())
    }

    fn start_segment(&mut self, first: VehicleMicros) -> io::Result<()> {
        self.number += 1;
        let path = self.folder.join(format!("{:016x}-{:08x}.cap", self.epoch.0, self.number));
        self.open = Some(BufWriter::new(File::create(&path)?));
        self.segments.push_back(Segment { path, epoch: self.epoch, first, last: first, bytes: 0 });
        Ok(())
    }

    /// Removes the oldest segments until the bound holds with room for one more.
    fn trim(&mut self) {
        let mut total: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        while total + SEGMENT_BYTES > self.bytes_max && self.segments.len() > 1 {
            let Some(oldest) = self.segments.pop_front() else { return };
            total -= oldest.bytes;
            // A file that cannot be removed is found again at the next start.
            let _ = fs::remove_file(&oldest.path);
        }
    }

    /// Returns the frames of a boot in `from..=to`, at most `frames_max`, in order of time.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn cut(
        &mut self,
        epoch: BootEpoch,
        from: VehicleMicros,
        to: VehicleMicros,
        frames_max: usize,
    ) -> io::Result<Vec<K>> {
        self.flush();
        let mut frames = Vec::new();
        let overlapping = self
            .segments
            .iter()
            .filter(|segment| segment.epoch == epoch && segment.first <= to && segment.last >= from);
        for segment in overlapping {
            let inside = read_segment::<K>(&segment.path)?
                .into_iter()
                .filter(|frame| frame.at() >= from && frame.at() <= to);
            frames.extend(inside.take(frames_max.saturating_sub(frames.len())));
        }
        frames.sort_by_key(K::at);
        Ok(frames)
    }

    /// Returns whether some frame of a boot in `from..=to` may still be there.
    #[must_use]
    pub fn covers(&self, epoch: BootEpoch, from: VehicleMicros, to: VehicleMicros) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.epoch == epoch && segment.first <= to && segment.last >= from)
    }

    /// Returns the bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

fn segment_name(path: &Path) -> Option<(BootEpoch, u64)> {
    let (epoch, number) = path.file_name()?.to_str()?.strip_suffix(".cap")?.split_once('-')?;
    Some((BootEpoch(u64::from_str_radix(epoch, 16).ok()?), u64::from_str_radix(number, 16).ok()?))
}

impl Kept for TimedFrame {
    fn at(&self) -> VehicleMicros {
        self.at
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let frame = &self.frame;
        let kind = match frame.kind() {
            FrameKind::Classic => 0,
            FrameKind::Fd => 1,
            FrameKind::Remote => 2,
            FrameKind::Error => 3,
        };
        let id =
            frame.id().map(CanId::word).or_else(|| frame.error_class().map(ErrorClass::bits)).unwrap_or(0);
        let data = frame.data();
        let flags = u8::from(frame.flags().brs) | (u8::from(frame.flags().esi) << 1);
        let length = u8::try_from(data.len()).unwrap_or(64);
        out.extend(self.at.0.to_le_bytes());
        out.extend(id.to_le_bytes());
        out.extend([self.bus.0, kind, flags, frame.dlc().code(), length]);
        out.extend(data);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.get(..RECORD_HEAD_BYTES)?;
        let at = VehicleMicros(u64::from_le_bytes(head[..8].try_into().ok()?));
        let id = u32::from_le_bytes(head[8..12].try_into().ok()?);
        let [bus, kind, flags, dlc, length] = head[12..17].try_into().ok()?;
        let length = usize::from(length);
        let data = bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length)?;
        let frame = match kind {
            0 => Frame::classic_with_dlc(CanId::from_word(id)?, Dlc::new(dlc)?, data).ok()?,
            1 => {
                let flags = FdFlags { brs: flags & 1 != 0, esi: flags & 2 != 0 };
                Frame::fd(CanId::from_word(id)?, flags, data).ok()?
            }
            2 => Frame::remote(CanId::from_word(id)?, Dlc::new(dlc)?),
            3 => Frame::error(ErrorClass::new(id)?, data).ok()?,
            _ => return None,
        };
        Some((Self { at, bus: BusId(bus), frame }, RECORD_HEAD_BYTES + length))
    }
}

/// Reads a segment up to its end or the first torn record.
fn read_segment<K: Kept>(path: &Path) -> io::Result<Vec<K>> {
    // Our own segments end soon after SEGMENT_BYTES; a larger file is not one of ours.
    if fs::metadata(path)?.len() > 2 * SEGMENT_BYTES {
        return Ok(Vec::new());
    }
    let bytes = fs::read(path)?;
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((frame, length)) = K::decode(rest) {
        frames.push(frame);
        rest = &rest[length..];
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(at: u64) -> TimedFrame {
        let id = CanId::standard(0x123).expect("it is an 11-bit identifier");
        let frame = Frame::classic(id, &at.to_le_bytes()).expect("eight bytes fit");
        TimedFrame { at: VehicleMicros(at), bus: BusId(1), frame }
    }

    #[test]
    fn a_cut_returns_the_frames_of_its_boot_and_window_also_after_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut capture =
            RollingCapture::<TimedFrame>::open(folder.path(), BootEpoch(1), 1 << 22).expect("it opens");
        (0..1000).for_each(|at| capture.push(&frame(at)));
        let times = |frames: Vec<TimedFrame>| frames.iter().map(|frame| frame.at.0).collect::<Vec<_>>();
        let cut = capture.cut(BootEpoch(1), VehicleMicros(10), VehicleMicros(12), 100).expect("it reads");
        assert_eq!(times(cut), [10, 11, 12]);
        assert!(capture.covers(BootEpoch(1), VehicleMicros(999), VehicleMicros(2000)));
        assert!(!capture.covers(BootEpoch(1), VehicleMicros(1000), VehicleMicros(2000)));
        assert!(!capture.covers(BootEpoch(2), VehicleMicros(0), VehicleMicros(2000)));
        capture.flush();
        drop(capture);
        let mut again =
            RollingCapture::<TimedFrame>::open(folder.path(), BootEpoch(2), 1 << 22).expect("it opens");
        again.push(&frame(11));
        let cut = again.cut(BootEpoch(1), VehicleMicros(998), VehicleMicros(2000), 100).expect("it reads");
        assert_eq!(times(cut), [998, 999]);
        let cut = again.cut(BootEpoch(2), VehicleMicros(0), VehicleMicros(2000), 100).expect("it reads");
        assert_eq!(times(cut), [11]);
    }

    #[test]
    fn the_bound_drives_out_the_oldest_and_a_torn_tail_is_left_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut capture =
            RollingCapture::<TimedFrame>::open(folder.path(), BootEpoch(1), 0).expect("it opens");
        (0..200_000).for_each(|at| capture.push(&frame(at)));
        assert!(capture.bytes() <= 2 * SEGMENT_BYTES + 100, "{}", capture.bytes());
        assert!(
            capture.cut(BootEpoch(1), VehicleMicros(0), VehicleMicros(10), 10).expect("it reads").is_empty()
        );
        capture.flush();
        let newest = capture.segments.back().expect("there is one").path.clone();
        let bytes = fs::read(&newest).expect("it reads");
        fs::write(&newest, &bytes[..bytes.len() - 3]).expect("it writes");
        let mut again = RollingCapture::<TimedFrame>::open(folder.path(), BootEpoch(2), 0).expect("it opens");
        let cut =
            again.cut(BootEpoch(1), VehicleMicros(199_990), VehicleMicros(300_000), 100).expect("it reads");
        assert_eq!(cut.len(), 9, "the torn frame is gone, the nine before it are there");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while let Some((_, length)) = TimedFrame::decode(rest) {
                rest = &rest[length..];
            }
        }
    }
}
