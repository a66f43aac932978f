//! An artifact on its way: piece by piece into a file, so that a lost link costs one piece.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use outrider_gateway::uplink::TransportError;
use outrider_wire::{RefuseReason, UpdateOrder};
use sha2::{Digest, Sha256};

use crate::runtime::CloudLink;

/// Bytes asked for at once: half a second at 1 Mbit/s.
pub const PIECE_BYTES: usize = 64 << 10;
/// Pieces in one exchange, so that events are not kept waiting for an artifact.
const PIECES: usize = 8;

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More is to come, or the link is away; it goes on with the next exchange.
    Later,
    /// All of it is here, and its hash is right.
    Whole(Vec<u8>),
    /// It will never be.
    Refused(RefuseReason),
}

/// A download that runs.
pub struct Download {
    path: PathBuf,
    order: UpdateOrder,
    hash: Sha256,
    held: u64,
    /// Whether part of it is of an earlier start, which a power cut may have torn.
    is_resumed: bool,
}

impl Download {
    /// Begins, or goes on where an earlier start ended.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, order: UpdateOrder) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.part", hex(&order.sha256)));
        // One at a time: what another order left behind is of no use.
        for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path() != path) {
            fs::remove_file(entry.path())?;
        }
        let mut download = Self { path, order, hash: Sha256::new(), held: 0, is_resumed: false };
        download.resume()?;
        Ok(download)
    }

    fn resume(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            self.hash.update(&piece[..count]);
            self.held += count as u64;
            self.is_resumed = true;
            if self.held > u64::from(self.order.bytes) {
                return self.begin_anew();
            }
        }
        Ok(())
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        (self.hash, self.held, self.is_resumed) = (Sha256::new(), 0, false);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns the order that it is for.
    #[must_use]
    pub const fn order(&self) -> &UpdateOrder {
        &self.order
    }

    /// Fetches a few pieces.
    pub fn step(&mut self, link: &mut dyn CloudLink) -> Progress {
        let name = hex(&self.order.sha256);
        for _ in 0..PIECES {
            let left = u64::from(self.order.bytes).saturating_sub(self.held);
            if left == 0 {
                return self.finish();
            }
            let wanted = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
            match link.fetch(&name, self.held, wanted) {
                Ok(piece) if piece.is_empty() || piece.len() > wanted => {
                    return Progress::Refused(RefuseReason::Artifact);
                }
                Ok(piece) => {
                    if self.keep(&piece).is_err() {
                        return Progress::Later;
                    }
                }
                Err(TransportError::Refused { status: 400 | 403 | 404 | 410 | 416 }) => {
                    return Progress::Refused(RefuseReason::NotAvailable);
                }
                Err(
                    TransportError::Refused { .. }
                    | TransportError::Unreachable(_)
                    | TransportError::TimedOut,
                ) => return Progress::Later,
            }
        }
        if self.held == u64::from(self.order.bytes) { self.finish() } else { Progress::Later }
    }

    fn keep(&mut self, piece: &[u8]) -> io::Result<()> {
        let written = OpenOptions::new().create(true).append(true).open(&self.path);
        let written = written.and_then(|mut file| file.write_all(piece));
        if written.is_err() {
            // What stands in the file now is not known.
            self.begin_anew()?;
            return written;
        }
        self.hash.update(piece);
        self.held += piece.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Progress {
        let digest: [u8; 32] = self.hash.clone().finalize().into();
        if digest != self.order.sha256 {
            let was_resumed = self.is_resumed;
            if self.begin_anew().is_ok() && was_resumed {
                return Progress::Later;
            }
            return Progress::Refused(RefuseReason::Artifact);
        }
        match fs::read(&self.path) {
            Ok(bytes) if <[u8; 32]>::from(Sha256::digest(&bytes)) == self.order.sha256 => {
                Progress::Whole(bytes)
            }
            Ok(_) | Err(_) => {
                let _ = self.begin_anew();
                Progress::Later
            }
        }
    }

    /// Removes the file.
    pub fn discard(mut self) {
        // A file that stays is removed by the next order.
        let _ = self.begin_anew();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
