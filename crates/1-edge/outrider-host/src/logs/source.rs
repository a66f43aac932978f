//! Where logs come from: a file that grows, a pipe, the kernel's ring, a DLT daemon.
//!
//! Steps of degradation: `absent` (cannot be opened, or no connection), `skipped` (a file grew faster than it is read
//! for so long that a part was passed over).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use super::pattern::Patterns;
use super::{Decoder, LogKind};
use crate::HostEvent;
use crate::config::LogConfig;
use crate::sensor::{Counts, Degradation, FULL, Sensor, SensorState, Turn};

/// Bytes read in one turn.
const BYTES_PER_TURN: usize = 256 << 10;
/// Bytes of one read; a record of the kernel's ring must fit.
const READ_BYTES: usize = 16 << 10;
/// Bytes that a file may be ahead before a part of it is passed over.
const BEHIND_BYTES_MAX: u64 = 16 << 20;
/// Time between two looks at a file that has nothing new, and between two attempts to open.
const LOOK_US: u64 = 250_000;
const RETRY_US: u64 = 2_000_000;
/// Longest wait for a connection; the daemon runs on this host or beside it.
const CONNECT: Duration = Duration::from_millis(200);

enum Stream {
    /// A regular file and how far it was read.
    Growing {
        file: File,
        at: u64,
    },
    /// A pipe or the kernel's ring.
    Live(File),
    Network(TcpStream),
}

/// One log.
pub(crate) struct LogSource {
    config: LogConfig,
    place: String,
    decoder: Decoder,
    patterns: Arc<Patterns>,
    stream: Option<Stream>,
    counts: Counts,
    degradation: Degradation,
    looked: Option<VehicleMicros>,
    has_been_open: bool,
    skipped_bytes: u64,
}

impl LogSource {
    /// Opens a log, if it is there; otherwise it is tried again.
    ///
    /// # Errors
    /// The configuration names neither a file nor an address, or both.
    pub(crate) fn open(config: LogConfig, patterns: Arc<Patterns>) -> std::io::Result<Self> {
        let place = match (&config.path, config.address) {
            (Some(path), None) => path.display().to_string(),
            (None, Some(address)) if config.kind == LogKind::Dlt => address.to_string(),
            _ => {
                let text = "a log has a path, or a DLT log an address";
                return Err(std::io::Error::new(ErrorKind::InvalidInput, text));
            }
        };
        let mut source = Self {
            place,
            decoder: Decoder::new(config.kind),
            patterns,
            stream: None,
            counts: Counts::default(),
            degradation: Degradation::new("host.log"),
            looked: None,
            has_been_open: false,
            skipped_bytes: 0,
            config,
        };
        if source.config.address.is_none() {
            source.connect();
        }
        Ok(source)
    }

    fn connect(&mut self) {
        let opened = match (&self.config.path, self.config.address) {
            (Some(path), _) => open_path(path, self.config.from_start || self.has_been_open),
            (None, Some(address)) => TcpStream::connect_timeout(&address, CONNECT).and_then(|stream| {
                stream.set_nonblocking(true)?;
                Ok(Stream::Network(stream))
            }),
            (None, None) => return,
        };
        self.stream = opened.ok();
        self.has_been_open |= self.stream.is_some();
    }

    /// Reads what there is, within the bound; returns whether the stream goes on.
    fn read(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..BYTES_PER_TURN / READ_BYTES {
            let outcome = match &mut self.stream {
                Some(Stream::Growing { file, at }) => {
                    file.read(&mut buffer).inspect(|length| *at += *length as u64)
                }
                Some(Stream::Live(file)) => file.read(&mut buffer),
                Some(Stream::Network(stream)) => stream.read(&mut buffer),
                None => return false,
            };
            match outcome {
                Ok(0) => return matches!(self.stream, Some(Stream::Growing { .. } | Stream::Live(_))),
                Ok(length) => self.take(&buffer[..length], turn),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The kernel's ring went round; the next read goes on behind the gap.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => self.counts.lost += 1,
                Err(_) => return false,
            }
        }
        true
    }

    fn take(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        let (taken, rejected) = (self.decoder.taken, self.decoder.rejected);
        let (patterns, mut events) = (Arc::clone(&self.patterns), 0);
        self.decoder.feed(bytes, &mut |record| {
            if let Some(event) = patterns.judge(&record, turn.now) {
                events += 1;
                turn.out.push(event);
            }
        });
        let (taken, rejected) = (self.decoder.taken - taken, self.decoder.rejected - rejected);
        self.counts.received += taken + rejected;
        self.counts.rejected += rejected;
        self.counts.reported += events;
        self.counts.quiet += taken - events;
    }

    /// Looks whether a file was truncated, replaced or removed.
    fn look(&mut self, turn: &mut Turn<'_>) {
        let Some(Stream::Growing { file, at }) = &mut self.stream else { return };
        let Some(path) = self.config.path.clone() else { return };
        let Ok(facts) = file.metadata() else { return };
        if facts.len() < *at {
            *at = 0;
            let _ = file.seek(SeekFrom::Start(0));
            self.decoder.reset();
            if !self.config.truncates {
                self.counts.received += 1;
                self.counts.reported += 1;
                turn.out.push(cleared(&path, "truncated", turn.now));
            }
            return;
        }
        if facts.len() - *at > BEHIND_BYTES_MAX {
            self.skipped_bytes += facts.len() - *at;
            *at = facts.len();
            let _ = file.seek(SeekFrom::End(0));
            self.decoder.reset();
            self.degradation.drop(1);
            self.degradation.set("skipped", turn.now, turn.out);
            return;
        }
        let is_read = facts.len() == *at;
        match std::fs::symlink_metadata(&path) {
            // Rotated: the old file is read to its end first.
            Ok(now) if now.ino() != facts.ino() || now.dev() != facts.dev() => {
                if is_read {
                    self.decoder.reset();
                    self.stream = None;
                    self.connect();
                }
            }
            Ok(_) => {}
            Err(_) if facts.nlink() == 0 => {
                self.counts.received += 1;
                self.counts.reported += 1;
                turn.out.push(cleared(&path, "deleted", turn.now));
                self.stream = None;
            }
            // Renamed, and the new one is not there yet.
            Err(_) => {}
        }
    }
}

fn cleared(path: &Path, reason: &str, now: VehicleMicros) -> HostEvent {
    HostEvent::new(event::HOST_LOG_CLEARED, now)
        .path(field::FILE_PATH, &path.display().to_string())
        .text(field::REASON, reason)
}

/// Opens a file at its end, or at its beginning.
fn open_path(path: &PathBuf, from_start: bool) -> std::io::Result<Stream> {
    let facts = std::fs::metadata(path)?;
    let kind = facts.file_type();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    if kind.is_fifo() {
        // A writer of our own keeps the pipe from ending when the others close it.
        return Ok(Stream::Live(options.write(true).open(path)?));
    }
    let mut file = options.open(path)?;
    if kind.is_char_device() {
        if !from_start {
            file.seek(SeekFrom::End(0))?;
        }
        return Ok(Stream::Live(file));
    }
    let at = if from_start { 0 } else { file.seek(SeekFrom::End(0))? };
    Ok(Stream::Growing { file, at })
}

impl Sensor for LogSource {
    fn name(&self) -> &'static str {
        "host.log"
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self.stream.as_ref()? {
            // A regular file is always readable.
            Stream::Growing { .. } => None,
            Stream::Live(file) => Some(file.as_fd()),
            Stream::Network(stream) => Some(stream.as_fd()),
        }
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        let since = self.looked.map_or(u64::MAX, |looked| turn.now.micros_since(looked));
        if self.stream.is_none() {
            if since < RETRY_US {
                return;
            }
            self.looked = Some(turn.now);
            self.connect();
            if self.stream.is_none() {
                self.degradation.set("absent", turn.now, turn.out);
                return;
            }
        }
        if matches!(self.stream, Some(Stream::Growing { .. })) && since < LOOK_US {
            return;
        }
        self.looked = Some(turn.now);
        self.degradation.set(FULL, turn.now, turn.out);
        if self.read(turn) {
            self.look(turn);
        } else {
            self.decoder.reset();
            self.stream = None;
        }
    }

    fn state(&self) -> SensorState {
        let mut state = SensorState::new(self.name(), self.degradation.step(), self.counts)
            .with("patterns", self.patterns.len() as u64)
            .with("skipped_bytes", self.skipped_bytes)
            .with("degradations", self.degradation.changes);
        state.name = format!("{} {}", self.name(), self.place);
        state
    }
}
