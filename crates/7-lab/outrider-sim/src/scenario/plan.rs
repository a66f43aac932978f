//! A scenario file: what kind of fleet lives how long through which faults and attacks.

use outrider_gateway::spool::SpoolConfig;
use serde::Deserialize;

/// Why a scenario file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is not TOML, or has a key or value that there is not.
    #[error("{0}")]
    Toml(String),
    /// A value makes no sense.
    #[error("{field}: {reason}")]
    Value {
        /// Key in the file.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Smallest and largest value; both inclusive.
pub type Range = [u64; 2];

/// One scenario file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name in results, the same as the file's.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Simulated time in which the fleet lives, in hours; nothing for a storm.
    #[serde(default)]
    pub hours: u64,
    /// Vehicles at scale 1.
    #[serde(default)]
    pub vehicles: u64,
    /// Fewest vehicles at any scale, so that every profile is there.
    #[serde(default = "one")]
    pub vehicles_min: u64,
    /// How vehicles live; each has a share of the fleet.
    #[serde(default)]
    pub profile: Vec<Profile>,
    /// What lies between vehicles and cloud.
    #[serde(default)]
    pub network: NetworkPlan,
    /// Faults of the cloud.
    #[serde(default)]
    pub cloud: CloudPlan,
    /// What an attacker does.
    #[serde(default)]
    pub attack: AttackPlan,
    /// A reconnect storm, instead of a fleet.
    pub storm: Option<StormPlan>,
    /// Faults that must have happened, by their name in `faults_fired`; otherwise the scenario fails.
    #[serde(default)]
    pub require: Vec<String>,
}

/// How a vehicle reaches the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkWord {
    /// Metered: the deferred lane waits.
    Cellular,
    /// Unmetered.
    Wifi,
    /// Unmetered, and rare.
    Workshop,
}

/// How one share of the fleet lives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name in this file.
    pub name: String,
    /// Weight among the profiles.
    pub share: u64,
    /// Link of its contacts.
    pub link: LinkWord,
    /// Hours between two contacts.
    pub contact_hours: Range,
    /// Hours before the first contact.
    #[serde(default)]
    pub away_hours: Range,
    /// Minutes parked between two drives.
    pub parked_minutes: Range,
    /// Length of a drive in minutes.
    pub drive_minutes: Range,
    /// Sights in a drive, without those of the noisy sensor.
    pub sights: Range,
    /// Share of sights that repeat the one before, in percent.
    #[serde(default)]
    pub repeats_percent: u64,
    /// Weights of the lanes critical, batched and deferred.
    #[serde(default = "lanes")]
    pub lanes: [u64; 3],
    /// Sights a drive of one sensor gone mad, each different, in the batched lane; 0 for none.
    #[serde(default)]
    pub noise: u64,
    /// Drives of a thousand that end with a power cut.
    #[serde(default)]
    pub cut_per_mille: u64,
    /// Bytes after which power goes in the middle of a write, in drives that end with a power cut.
    #[serde(default = "fuse")]
    pub cut_bytes: Range,
    /// Drives of a thousand in which the device refuses to write for a while.
    #[serde(default)]
    pub refuse_per_mille: u64,
    /// No critical row may be given up: what comes in that lane fits its quota, whatever the lower ones do.
    #[serde(default)]
    pub critical_kept: bool,
    /// The flash device.
    #[serde(default)]
    pub flash: FlashPlan,
    /// The clock.
    #[serde(default)]
    pub clock: ClockWord,
}

/// Sizes of a spool; see `outrider_gateway::spool::SpoolConfig`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashPlan {
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes reserved for the lanes critical, batched and deferred.
    pub quota_bytes: [u64; 3],
    /// Bytes of the journal.
    pub journal_bytes: u64,
}

impl Default for FlashPlan {
    /// What the vehicle program ships with.
    fn default() -> Self {
        let SpoolConfig { quota_bytes, segment_bytes, journal_bytes } = SpoolConfig::default();
        Self { segment_bytes, quota_bytes, journal_bytes }
    }
}

/// What is wrong with a vehicle's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockWord {
    /// Nothing: satellite time at each boot.
    #[default]
    Good,
    /// No reading at all.
    None,
    /// Shows 1970.
    Unset,
    /// Shows 2099.
    Ahead,
    /// A real-time clock that is some seconds off and says so.
    Drifting,
    /// A real-time clock that jumps by an hour within a boot, as daylight saving does.
    Daylight,
    /// A real-time clock that jumps by days, back and forth.
    Jumping,
    /// No reading at boot; a satellite fix late in the drive.
    Late,
}

/// Faults of the network, of a thousand frames each.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkPlan {
    /// Frames that never arrive.
    pub lose_frame: u64,
    /// Replies that never arrive.
    pub lose_reply: u64,
    /// Frames that arrive twice.
    pub duplicate: u64,
    /// Frames that arrive minutes to hours later, behind newer ones.
    pub delay: u64,
    /// Old frames that come once more.
    pub replay: u64,
    /// Frames of which only the beginning arrives.
    pub truncate: u64,
    /// Frames that a broker acknowledges and loses.
    pub broker_loses: u64,
    /// Replies in whose place an older one of the same vehicle comes.
    pub stale_reply: u64,
}

/// Faults of the cloud.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudPlan {
    /// Frames of a thousand at which the listener dies between log and reply.
    pub crash_per_mille: u32,
    /// Commits of a thousand before which the worker dies.
    pub worker_crash_per_mille: u32,
    /// Hours between two planned restarts; none if 0.
    pub restart_hours: u64,
}

/// Attacks: of the broker of a thousand frames each, of the red team in numbers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackPlan {
    /// Replies that the broker signs itself: "all is delivered".
    pub forge_reply: u64,
    /// Replies meant for another vehicle.
    pub foreign_reply: u64,
    /// Frames of another vehicle in this one's session.
    pub swap_frame: u64,
    /// Frames with one bit changed.
    pub tamper_frame: u64,
    /// Frames that the broker signs itself.
    pub forge_frame: u64,
    /// Attacks on gateways: each is done to this many vehicles.
    pub gateway_each: u64,
    /// Kinds of attacks on gateways; see `red`.
    pub gateway: Vec<String>,
}

/// Everybody comes back at once.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StormPlan {
    /// Vehicles at scale 1.
    pub vehicles: u64,
    /// Seconds in which they all try for the first time.
    pub arrive_s: u64,
    /// Handshakes a second that the edge finishes, at scale 1.
    pub handshakes_per_s: u64,
    /// Handshakes that may wait, at scale 1; others are turned away at once.
    pub waiting_max: u64,
    /// Milliseconds after which a vehicle gives a handshake up.
    pub patience_ms: u64,
    /// First and longest wait after a failure, in milliseconds.
    pub backoff_ms: Range,
    /// Seconds in which every vehicle must have been served.
    pub served_within_s: u64,
    /// Largest allowed ratio of a second's tries to the mean of the eleven seconds around it, in percent, once the
    /// first wave is over. Tries in step would reach 1100.
    pub wave_percent_max: u64,
}

const fn one() -> u64 {
    1
}

const fn lanes() -> [u64; 3] {
    [1, 6, 3]
}

const fn fuse() -> Range {
    [200, 20_000]
}

impl Plan {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text).map_err(|error| PlanError::Toml(error.to_string()))?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), PlanError> {
        let wrong = |field, reason: &str| Err(PlanError::Value { field, reason: reason.to_owned() });
        if self.storm.is_some() {
            return Ok(());
        }
        if self.hours == 0 || self.hours > 24 * 366 {
            return wrong("hours", "between 1 and 8784");
        }
        if self.vehicles == 0 || self.vehicles > 100_000 {
            return wrong("vehicles", "between 1 and 100000");
        }
        if self.profile.iter().map(|profile| profile.share).sum::<u64>() == 0 {
            return wrong("profile", "at least one with a share");
        }
        if let Some(word) =
            self.attack.gateway.iter().find(|word| super::red::Kind::from_word(word).is_none())
        {
            return wrong("attack.gateway", &format!("there is no {word}"));
        }
        for profile in &self.profile {
            let ranges = [
                profile.contact_hours,
                profile.away_hours,
                profile.parked_minutes,
                profile.drive_minutes,
                profile.sights,
                profile.cut_bytes,
            ];
            if ranges.iter().any(|[low, high]| low > high) {
                return wrong("profile", "a range begins with its smaller end");
            }
            if profile.drive_minutes[0] == 0 || profile.lanes.iter().sum::<u64>() == 0 {
                return wrong("profile", "drives and lanes are not nothing");
            }
        }
        Ok(())
    }

    /// Returns the number of vehicles at a scale in percent.
    #[must_use]
    pub fn vehicles_at(&self, scale_percent: u64) -> u64 {
        (self.vehicles.saturating_mul(scale_percent) / 100).max(self.vehicles_min).max(1)
    }
}
