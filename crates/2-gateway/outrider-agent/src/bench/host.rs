//! Measures the file sensor under a storm of deletes: through its thread and the gateway's folding, as in `run`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use outrider_gateway::fold::{FoldConfig, Folder};
use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_host::config::{FilesConfig, HostConfig};
use outrider_host::{Host, HostError, Usage};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::field;

use crate::io::host::HostThread;

/// Longest wait for the baseline, and for the last report.
const WAIT: Duration = Duration::from_secs(120);

/// What the storm cost.
#[derive(Debug, Clone)]
pub struct HostBench {
    /// Files deleted.
    pub deleted: u64,
    /// Deletes reported, folded ones included.
    pub reported: u64,
    /// Rows that say so.
    pub rows: u64,
    /// Time of the deletes.
    pub delete_ms: u64,
    /// Time from the first delete to the last report.
    pub reported_ms: u64,
    /// Use of memory and processor of the whole program, the deleting included.
    pub usage: Usage,
    /// Overflows of the sensor.
    pub overflows: u64,
    /// Step of the sensor at the end.
    pub step: &'static str,
    /// Whether the sensor's counts balance.
    pub is_balanced: bool,
}

/// Why it cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum HostBenchError {
    /// The files cannot be made or deleted.
    #[error("files: {0}")]
    Files(#[from] std::io::Error),
    /// The sensor cannot be opened.
    #[error(transparent)]
    Sensor(#[from] HostError),
    /// The sensor took longer than any sensor should.
    #[error("the sensor was not ready in time")]
    Late,
}

#[expect(clippy::disallowed_methods, reason = "a bench is about real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a bench waits for what it measures")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Makes `files` files in a folder below `place`, lets the sensor learn them, deletes them in a loop and counts what is
/// reported. The folder is removed in any case.
///
/// # Errors
/// [`HostBenchError`].
pub fn host(files: u64, place: &Path) -> Result<HostBench, HostBenchError> {
    let folder = place.join(format!("outrider-bench-{}", std::process::id()));
    fs::create_dir_all(folder.join("watched"))?;
    let outcome = storm(files, &folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn storm(files: u64, folder: &Path) -> Result<HostBench, HostBenchError> {
    let watched = folder.join("watched");
    for number in 0..files {
        fs::write(watched.join(format!("file-{number:06}")), [])?;
    }
    let sensors = FilesConfig {
        paths: vec![watched.clone()],
        exclude: Vec::new(),
        files_max: usize::try_from(files).unwrap_or(usize::MAX).saturating_add(1),
        hash_bytes_max: 1 << 20,
    };
    let config = HostConfig { files: Some(sensors), ..HostConfig::default() };
    let opened = Host::open(config, &folder.join("state"), VehicleMicros(0))?;
    let began = now();
    let clock = move || VehicleMicros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    let thread = HostThread::start(opened, clock);
    let is_learned = |thread: &HostThread| {
        thread.state().sensors.first().is_some_and(|sensor| sensor.details.get("scanning") == Some(&0))
    };
    while !is_learned(&thread) {
        if began.elapsed() > WAIT {
            return Err(HostBenchError::Late);
        }
        pause();
    }
    let deleting = now();
    for number in 0..files {
        fs::remove_file(watched.join(format!("file-{number:06}")))?;
    }
    let delete_ms = millis(deleting);
    let mut folder_of_events = Folder::new(FoldConfig::default());
    let (mut passed, mut reported_ms) = (Vec::new(), 0);
    let sum =
        |passed: &[SecurityEvent], waiting: u64| passed.iter().map(|row| row.count).sum::<u64>() + waiting;
    while sum(&passed, folder_of_events.balance().waiting) < files && deleting.elapsed() < WAIT {
        while let Some(event) = thread.next().filter(is_delete) {
            folder_of_events.receive(event, clock(), &mut passed);
            reported_ms = millis(deleting);
        }
        pause();
    }
    folder_of_events.flush(&mut passed);
    let state = thread.state().sensors.into_iter().next().ok_or(HostBenchError::Late)?;
    Ok(HostBench {
        deleted: files,
        reported: sum(&passed, 0),
        rows: passed.len() as u64,
        delete_ms,
        reported_ms,
        usage: Usage::now(),
        overflows: state.counts.lost,
        step: state.step,
        is_balanced: state.counts.is_balanced() && folder_of_events.balance().holds(),
    })
}

fn is_delete(event: &SecurityEvent) -> bool {
    event.fields.contains(&(field::REASON, FieldValue::Text("deleted".to_owned())))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
