//! Commands that were accepted and are not done: they survive a restart.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_types::{EventTypeId, VehicleMicros};
use outrider_wire::catalogue::field;
use outrider_wire::{CommandHead, Parameters, SealedCommand, Verifier};

/// Commands waiting at the same time; the cloud has one in flight a vehicle.
const JOBS_MAX: usize = 8;

/// One accepted command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Everything but the parameters.
    pub head: CommandHead,
    /// What to do.
    pub parameters: Parameters,
    /// Whether the cloud has been told that it was accepted.
    pub is_announced: bool,
}

/// Accepted commands by number, each as the signed frame in a file of its own.
#[derive(Debug)]
pub struct Jobs {
    folder: PathBuf,
    jobs: Vec<Job>,
}

impl Jobs {
    /// Opens the folder. A file that is not a command under the cloud's key is removed: nothing else may be obeyed.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(folder: &Path, verifier: &dyn Verifier) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut jobs = Vec::new();
        for path in paths {
            match read(&path, verifier) {
                Some(job) if jobs.len() < JOBS_MAX => jobs.push(job),
                Some(_) | None => fs::remove_file(&path)?,
            }
        }
        Ok(Self { folder: folder.to_path_buf(), jobs })
    }

    /// Returns whether there is no room for another command.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.jobs.len() >= JOBS_MAX
    }

    /// Makes an accepted command durable.
    ///
    /// # Errors
    /// The file cannot be written; the command must not be obeyed.
    pub fn add(&mut self, head: &CommandHead, parameters: &Parameters, frame: &[u8]) -> io::Result<()> {
        let path = self.path(head.sequence);
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(frame)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(&self.folder)?.sync_all()?;
        self.jobs.push(Job { head: *head, parameters: *parameters, is_announced: false });
        Ok(())
    }

    /// Returns the waiting commands, oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<Job> {
        self.jobs.clone()
    }

    /// Notes that the cloud knows of the acceptance.
    pub fn announced(&mut self, sequence: u64) {
        self.jobs
            .iter_mut()
            .filter(|job| job.head.sequence == sequence)
            .for_each(|job| job.is_announced = true);
    }

    /// Forgets a command that is done or void.
    pub fn remove(&mut self, sequence: u64) {
        self.jobs.retain(|job| job.head.sequence != sequence);
        // A file that stays is found at the next start, and doing it again is harmless.
        let _ = fs::remove_file(self.path(sequence));
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:020}.cmd"))
    }
}

fn read(path: &Path, verifier: &dyn Verifier) -> Option<Job> {
    if path.extension().is_none_or(|end| end != "cmd") {
        return None;
    }
    let frame = fs::read(path).ok()?;
    let command = SealedCommand::parse(&frame).ok()?.open(verifier).ok()?;
    let parameters = command.parameters().ok()?;
    Some(Job { head: command.head, parameters, is_announced: false })
}

/// Creates an event about a command.
pub(super) fn described(event_type: EventTypeId, head: &CommandHead, now: VehicleMicros) -> SecurityEvent {
    SecurityEvent::new(event_type, now)
        .with(field::COMMAND_ID, FieldValue::Text(hex(&head.id.0)))
        .with(field::COMMAND_SEQUENCE, FieldValue::Uint(head.sequence))
}

/// Writes bytes as lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
