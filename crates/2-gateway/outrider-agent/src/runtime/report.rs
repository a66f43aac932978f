//! What the running program says of itself: a file that `outrider-agent status` reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A report older than this is of a program that does not run, or hangs. It is written every second, but an exchange
/// with a cloud that does not answer holds the loop for a minute.
pub const STALE_S: u64 = 90;
/// Bytes of a report at most.
const BYTES_MAX: u64 = 1 << 20;
/// Name of the file in the vehicle's state folder.
const NAME: &str = "status.json";
/// Budget of resident memory (architecture, budgets).
pub const RESIDENT_BYTES_BUDGET: u64 = 32 << 20;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The program has never run with this state folder.
    #[error("no report in {0}: the vehicle program has not run there")]
    Absent(String),
    /// The file cannot be read.
    #[error("report: {0}")]
    Io(#[from] io::Error),
    /// The file is no report of this version.
    #[error("report: {0}")]
    Shape(String),
}

/// State of a running vehicle program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the program.
    pub version: String,
    /// Pseudonym of the vehicle.
    pub vehicle: String,
    /// Boot epoch.
    pub boot: u64,
    /// Number of the process.
    pub process: u32,
    /// When it was written, in microseconds since 1970.
    pub written_us: i64,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Use of memory and processor.
    pub budget: Budget,
    /// What the program thinks of its vehicle model.
    #[serde(default)]
    pub model: Model,
    /// What the cloud configured.
    #[serde(default)]
    pub config: Config,
    /// Sensors that were over their share.
    #[serde(default)]
    pub throttled: Vec<Throttled>,
    /// Detectors of each bus.
    pub buses: Vec<Bus>,
    /// Frames of buses that the model does not have.
    pub foreign_frames: u64,
    /// Live sources of frames.
    pub sources: Vec<Source>,
    /// Host sensors.
    pub host: Vec<Sensor>,
    /// Occurrences that the host sensors' queue received, handed out, folded when full, and lost.
    pub host_outbox: [u64; 4],
    /// Events on their way.
    pub events: Events,
    /// Lanes of the spool.
    pub spool: Vec<Lane>,
    /// What the spool wrote.
    #[serde(default)]
    pub spool_wear: Wear,
    /// What went to the cloud.
    pub uplink: Uplink,
    /// What the program gave up, or why not.
    pub sandbox: Sandbox,
    /// Where keys and counter live.
    #[serde(default)]
    pub hardware: Hardware,
}

/// Use of memory and processor against what is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Resident memory now.
    pub resident_bytes: u64,
    /// Most resident memory so far.
    pub resident_bytes_max: u64,
    /// What it may be.
    pub resident_bytes_budget: u64,
    /// Processor time so far, in microseconds.
    pub processor_us: u64,
    /// Share of one core in the last second, in thousandths.
    pub processor_permille: u64,
    /// Frames in the last second.
    pub frames_per_second: u64,
    /// Frames so far.
    pub frames: u64,
    /// Threads.
    pub threads: u64,
}

/// What the cloud configured; version 0 is what the vehicle was provisioned with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Slot in use.
    pub slot: String,
    /// Version of the policy.
    pub policy: u64,
    /// Version of the rule pack.
    pub rules: u64,
    /// Version of the vehicle model.
    pub model: u64,
    /// What is on trial; none if all is good.
    pub trial: Option<String>,
    /// What was taken back last, and why.
    pub last_return: Option<String>,
}

/// A sensor that is over its share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// Sensor.
    pub sensor: String,
    /// Lane.
    pub lane: String,
    /// Rows within its share so far.
    pub passed: u64,
    /// Observations above it that wait to be summed up.
    pub waiting: u64,
}

/// What the program thinks of its vehicle model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// `none`; `believed`, if no signature is asked for; `signed` by a trusted key; or `refused`.
    pub state: String,
    /// Platform that it says it is for.
    pub platform: String,
    /// Release that it says it is for.
    pub release: String,
    /// Key of its signature, if one is asked for.
    pub key: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
}

impl Default for Model {
    fn default() -> Self {
        let (platform, release) = (String::new(), String::new());
        Self { state: "none".to_owned(), platform, release, key: None, reason: None }
    }
}

/// Detectors of one bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bus {
    /// Number of the bus.
    pub bus: u8,
    /// Frames taken.
    pub frames: u64,
    /// With an identifier that the model has.
    pub known: u64,
    /// With one that it does not have.
    pub unknown: u64,
    /// Error frames.
    pub errors: u64,
    /// Observations lost.
    pub dropped: u64,
    /// Operating mode; empty for LIN and FlexRay, whose detectors know none.
    pub mode: String,
    /// Seconds for which it has lasted.
    pub mode_s: u64,
    /// What the operating mode lowered or left out.
    pub gated: u64,
    /// What became of the habits of the model.
    #[serde(default)]
    pub habits: Habits,
    /// Accounts of the detectors that have a budget.
    pub accounts: Vec<Account>,
}

/// What became of the habits that the model has of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Habits {
    /// Identifiers whose payload is judged by the model.
    pub known: u32,
    /// Identifiers of which too few frames came to tell whether the model fits.
    pub on_trial: u32,
    /// Identifiers whose traffic does not fit; they are learned on the road.
    pub refused: u32,
    /// Records of the model about what the detectors do not have.
    pub left_out: u32,
}

/// What a detector has used of its alarm budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Detector.
    pub detector: String,
    /// Alarms said.
    pub alarms: u64,
    /// Alarms withheld: said as low.
    pub withheld: u64,
    /// Repeated alarms that it may still raise at once.
    pub left: u64,
    /// `in budget`, `over budget` or `demoted`.
    pub state: String,
    /// Seconds with an open alarm.
    pub alarmed_s: u64,
}

/// A live source of frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Place, as configured.
    pub name: String,
    /// `running` or `ended`.
    pub state: String,
    /// Frames received.
    pub received: u64,
    /// Frames dropped because the queue was full.
    pub dropped: u64,
    /// Pieces that were no frames.
    pub rejected: u64,
    /// Lost before they came here, where the source can tell.
    pub lost: u64,
}

/// A host sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Name, and for a log its place.
    pub name: String,
    /// Step of its degradation; `full` leaves nothing out.
    pub step: String,
    /// Occurrences received.
    pub received: u64,
    /// Of those, reported.
    pub reported: u64,
    /// Of those, normal.
    pub quiet: u64,
    /// Of those, malformed.
    pub rejected: u64,
    /// Of those, waiting.
    pub waiting: u64,
    /// Overflows of the source.
    pub lost: u64,
    /// Whether received is the sum of what became of it.
    pub balanced: bool,
    /// Further numbers.
    pub details: BTreeMap<String, u64>,
}

/// Events on their way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// Observations of detectors that became events.
    pub observations: u64,
    /// Events that came to the folding.
    pub received: u64,
    /// Folded into others.
    pub folded: u64,
    /// Waiting for the end of their window.
    pub waiting: u64,
    /// Rows that got a number.
    pub rows: u64,
    /// Lost.
    pub lost: u64,
}

/// A lane of the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Name.
    pub lane: String,
    /// Bytes in use.
    pub bytes: u64,
    /// Bytes that it may use.
    pub quota_bytes: u64,
    /// Last number given in this boot.
    pub last_seq: u64,
    /// Dropped in this boot, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// What the spool wrote in this boot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Wear {
    /// Rows written.
    pub rows: u64,
    /// Bytes written, of rows and of everything else.
    pub bytes: u64,
    /// Bytes written per row; 0 before the first.
    pub bytes_per_row: u64,
    /// Flushes of the medium.
    pub flushes: u64,
    /// Segment heads and tombstones that the key store refused to sign.
    pub unsigned: u64,
}

/// What went to the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uplink {
    /// Frames built.
    pub frames: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Exchanges that failed.
    pub failures: u64,
    /// Rows freed by an acknowledgement.
    pub freed: u64,
    /// Short frames among the frames.
    #[serde(default)]
    pub short_frames: u64,
    /// Rows that went in short frames and are in no signed batch yet.
    #[serde(default)]
    pub unproved_rows: u64,
    /// What the link is: `metered`, `wifi` or `workshop`.
    #[serde(default)]
    pub link: String,
    /// Whether an exchange is tried only later, because the last one failed.
    #[serde(default)]
    pub is_waiting: bool,
    /// Bytes of the day over a metered link, by lane.
    #[serde(default)]
    pub costs: Vec<Cost>,
    /// The session, if the link has sessions.
    #[serde(default)]
    pub session: Option<Session>,
}

/// Bytes of the day over a metered link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Lane.
    pub lane: String,
    /// Bytes used.
    pub spent: u64,
    /// Bytes that may be used; none is no bound.
    pub bound: Option<u64>,
}

/// A session with the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Whether it is open.
    pub open: bool,
    /// Whether it takes short frames.
    pub takes_short: bool,
    /// Sessions tried so far.
    pub sessions: u64,
    /// Attempts that failed, and sessions that broke.
    pub failures: u64,
    /// Reason code of the last refusal; 0 if there was none.
    pub refusal: u8,
}

/// Where keys and counter live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// `file`, `tpm` or `pkcs11`.
    pub keys: String,
    /// `software`, `tpm` or `pkcs11`.
    pub anchor: String,
    /// Value of the counter when it was last raised or read.
    pub counter: Option<u64>,
    /// Times it was raised in this boot.
    pub raised: u64,
    /// Times it could not be.
    pub failures: u64,
    /// Why not, the last time; `None` if that went well.
    pub failed: Option<String>,
    /// Public key that its proofs are checked with, an uncompressed point in hexadecimal.
    pub key: Option<String>,
}

/// What the program gave up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Whether there is one.
    pub enabled: bool,
    /// Effective user.
    pub user: u32,
    /// Capabilities kept, by number.
    pub capabilities: Vec<u8>,
    /// No execution gives more rights.
    pub no_new_privileges: bool,
    /// System calls allowed; 0 is all of them.
    pub system_calls: usize,
    /// What holds the file system read only: `landlock` and its version, `read-only mounts`, or `open`.
    pub file_system: String,
}

impl Report {
    /// Writes the report into a state folder, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        let fresh = state.join("status.new");
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(fresh, state.join(NAME))
    }

    /// Reads the report of a state folder.
    ///
    /// # Errors
    /// [`ReportError`].
    #[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
    pub fn read(state: &Path) -> Result<Self, ReportError> {
        let path = state.join(NAME);
        let file = File::open(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                ReportError::Absent(state.display().to_string())
            } else {
                ReportError::Io(error)
            }
        })?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(|error| ReportError::Shape(error.to_string()))
    }

    /// Returns the seconds since it was written; 0 for a clock that was set back.
    #[must_use]
    pub fn age_s(&self, now_us: i64) -> u64 {
        u64::try_from(now_us.saturating_sub(self.written_us)).unwrap_or(0) / 1_000_000
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with something in every part.
    pub(crate) fn sample(written_us: i64) -> Report {
        Report {
            version: "0.1.0".to_owned(),
            vehicle: "05".repeat(16),
            boot: 3,
            process: 7,
            written_us,
            uptime_s: 12,
            budget: Budget {
                resident_bytes: 1 << 20,
                resident_bytes_max: 2 << 20,
                resident_bytes_budget: RESIDENT_BYTES_BUDGET,
                processor_us: 5,
                processor_permille: 12,
                frames_per_second: 100,
                frames: 1000,
                threads: 2,
            },
            model: Model { state: "signed".to_owned(), key: Some("00".repeat(8)), ..Model::default() },
            config: Config {
                slot: "b".to_owned(),
                policy: 3,
                last_return: Some("model 7: event_rate".to_owned()),
                ..Config::default()
            },
            throttled: vec![Throttled {
                sensor: "can of bus 1".to_owned(),
                lane: "batched".to_owned(),
                passed: 512,
                waiting: 99,
            }],
            buses: vec![Bus {
                bus: 1,
                frames: 9,
                known: 8,
                unknown: 1,
                errors: 0,
                dropped: 0,
                mode: "driving".to_owned(),
                mode_s: 5,
                gated: 2,
                habits: Habits { known: 7, on_trial: 0, refused: 1, left_out: 0 },
                accounts: vec![Account {
                    detector: "payload".to_owned(),
                    alarms: 3,
                    withheld: 4,
                    left: 0,
                    state: "over budget".to_owned(),
                    alarmed_s: 6,
                }],
            }],
            foreign_frames: 0,
            sources: Vec::new(),
            host: vec![Sensor {
                name: "host.files".to_owned(),
                step: "full".to_owned(),
                received: 5,
                reported: 2,
                quiet: 3,
                rejected: 0,
                waiting: 0,
                lost: 0,
                balanced: true,
                details: BTreeMap::from([("folders".to_owned(), 4)]),
            }],
            host_outbox: [2, 2, 0, 0],
            events: Events { observations: 0, received: 2, folded: 0, waiting: 0, rows: 2, lost: 0 },
            spool: vec![Lane {
                lane: "critical".to_owned(),
                bytes: 10,
                quota_bytes: 4 << 20,
                last_seq: 2,
                dropped: BTreeMap::new(),
            }],
            spool_wear: Wear { rows: 2, bytes: 900, bytes_per_row: 450, flushes: 6, unsigned: 0 },
            uplink: Uplink {
                frames: 1,
                rows: 2,
                bytes: 300,
                failures: 0,
                freed: 2,
                short_frames: 1,
                unproved_rows: 1,
                link: "metered".to_owned(),
                is_waiting: false,
                costs: vec![Cost { lane: "critical".to_owned(), spent: 500, bound: Some(1000) }],
                session: Some(Session {
                    open: true,
                    takes_short: true,
                    sessions: 1,
                    failures: 0,
                    refusal: 0,
                }),
            },
            sandbox: Sandbox {
                enabled: true,
                user: 999,
                capabilities: vec![2],
                no_new_privileges: true,
                system_calls: 114,
                file_system: "landlock 7".to_owned(),
            },
            hardware: Hardware::default(),
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_grows_old() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Report::read(folder.path()), Err(ReportError::Absent(_))));
        let report = sample(5_000_000);
        report.write(folder.path()).expect("it writes");
        assert_eq!(Report::read(folder.path()).expect("it reads"), report);
        assert_eq!((report.age_s(12_000_000), report.age_s(1)), (7, 0));
        fs::write(folder.path().join(NAME), "{}").expect("it writes");
        assert!(matches!(Report::read(folder.path()), Err(ReportError::Shape(_))));
    }
}
