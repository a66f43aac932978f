//! `[uplink]`: the kind of session, what the link is, and what it may cost; and the account that survives a restart.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use outrider_gateway::uplink::{Hours, LanePolicy, Link, Uplink, UplinkPolicy};
use outrider_gateway::{FieldValue, SecurityEvent, Storage};
use outrider_types::{Lane, VehicleMicros};
use outrider_wire::Reply;
use outrider_wire::catalogue::{event, field};
use serde::{Deserialize, Serialize};

use super::Vehicle;
use super::parts::CloudLink;

/// Seconds of silence after which the vehicle pings: below the time after which mobile networks forget an idle
/// connection (commonly 30 min), and rare enough to cost 0.3 MB a month.
const KEEP_ALIVE_S: u16 = 900;
/// Time after which bytes spent are written down: what a crash makes free.
const SPENT_EVERY_US: u64 = 60 * 1_000_000;
/// Time after which the hours of the day are written down although nothing was sent.
const TIME_EVERY_US: u64 = 600 * 1_000_000;
/// Longest file of the account.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Longest word in the file that names the link.
const LINK_BYTES_MAX: u64 = 64;

/// `[uplink]` of `vehicle.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UplinkSection {
    /// What the link is: `metered` (the default), `wifi` or `workshop`.
    #[serde(default)]
    pub link: Option<String>,
    /// File that holds that word, read every second; one that cannot be read means `metered`.
    #[serde(default)]
    pub link_file: Option<PathBuf>,
    /// Version of MQTT: `5` (the default) or `3.1.1`.
    #[serde(default)]
    pub mqtt: Option<String>,
    /// Whether the address is a broker's instead of the cloud's edge.
    #[serde(default)]
    pub broker: bool,
    /// Seconds of silence after which the vehicle pings.
    #[serde(default)]
    pub keep_alive_s: Option<u16>,
    /// Bytes a day over a metered link.
    #[serde(default)]
    pub bytes_a_day: Option<u64>,
    /// Part of them that only the critical lane may use.
    #[serde(default)]
    pub critical_bytes_a_day: u64,
    /// When the batched lane may be sent.
    #[serde(default)]
    pub batched: Option<LaneSection>,
    /// When the deferred lane may be sent.
    #[serde(default)]
    pub deferred: Option<LaneSection>,
}

/// `[uplink.batched]` and `[uplink.deferred]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneSection {
    /// Bytes a day over a metered link.
    #[serde(default)]
    pub bytes_a_day: Option<u64>,
    /// The least link: `metered`, `wifi` or `workshop`.
    #[serde(default)]
    pub link: Option<String>,
    /// Hours of the day in UTC over a metered link, such as `22-6`.
    #[serde(default)]
    pub hours: Option<String>,
}

fn link_of(word: &str) -> Result<Link, String> {
    Link::from_word(word).ok_or_else(|| format!("{word:?} is not metered, wifi or workshop"))
}

impl LaneSection {
    fn policy(&self, usual: LanePolicy) -> Result<LanePolicy, String> {
        let link = self.link.as_deref().map(link_of).transpose()?.unwrap_or(usual.link);
        let hours = self.hours.as_deref().map(|text| {
            let (from, to) = text.split_once('-').ok_or_else(|| format!("{text:?} is not like 22-6"))?;
            let hour = |text: &str| text.trim().parse().map_err(|error| format!("{text:?}: {error}"));
            Ok::<_, String>(Hours { from: hour(from)?, to: hour(to)? })
        });
        Ok(LanePolicy { bytes_a_day: self.bytes_a_day, link, hours: hours.transpose()?, minutes: None })
    }
}

impl UplinkSection {
    /// Returns what may be sent when.
    ///
    /// # Errors
    /// What cannot be kept, in words.
    pub fn policy(&self) -> Result<UplinkPolicy, String> {
        let usual = UplinkPolicy::default();
        let lane = |section: &Option<LaneSection>, usual| {
            section.as_ref().map_or(Ok(usual), |section| section.policy(usual))
        };
        let policy = UplinkPolicy {
            bytes_a_day: self.bytes_a_day,
            critical_bytes_a_day: self.critical_bytes_a_day,
            critical_bytes_a_day_max: None,
            batched: lane(&self.batched, usual.batched)?,
            deferred: lane(&self.deferred, usual.deferred)?,
        };
        policy.check().map_err(|error| error.to_string())?;
        self.link.as_deref().map(link_of).transpose()?;
        self.is_mqtt_5()?;
        Ok(policy)
    }

    /// Returns what the link is now.
    #[must_use]
    pub fn link(&self) -> Link {
        match &self.link_file {
            None => self.link.as_deref().and_then(Link::from_word).unwrap_or_default(),
            Some(path) => word(path).ok().and_then(|word| Link::from_word(word.trim())).unwrap_or_default(),
        }
    }

    /// Returns true for MQTT 5, false for 3.1.1.
    ///
    /// # Errors
    /// Any other version.
    pub fn is_mqtt_5(&self) -> Result<bool, String> {
        match self.mqtt.as_deref() {
            None | Some("5") => Ok(true),
            Some("3.1.1") => Ok(false),
            Some(other) => Err(format!("mqtt: {other:?} is neither 5 nor 3.1.1")),
        }
    }

    /// Returns the seconds of silence after which the vehicle pings.
    #[must_use]
    pub fn keep_alive_s(&self) -> u16 {
        self.keep_alive_s.unwrap_or(KEEP_ALIVE_S)
    }
}

#[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
fn word(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LINK_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The file with the day's account and what is still to be proved.
#[derive(Debug)]
pub(super) struct UplinkFile {
    path: PathBuf,
    unproved: u64,
    spent: u64,
    at: VehicleMicros,
}

impl UplinkFile {
    /// Reads the file into the uplink. One that is missing or damaged is an empty account: bytes spent are forgotten, and
    /// rows that wait for their proof stay without it, which the cloud names.
    #[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
    pub(super) fn open(path: PathBuf, uplink: &mut Uplink, now: VehicleMicros) -> Self {
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        if read.is_ok() {
            uplink.restore(&bytes, now);
        }
        Self { path, unproved: uplink.unproved_rows(), spent: spent(uplink), at: now }
    }

    /// Writes the file if it is due; what cannot be written is tried again.
    pub(super) fn keep(&mut self, uplink: &Uplink, now: VehicleMicros) {
        let (unproved, spent) = (uplink.unproved_rows(), spent(uplink));
        let age = now.micros_since(self.at);
        let is_due = unproved != self.unproved
            || (spent != self.spent && age >= SPENT_EVERY_US)
            || age >= TIME_EVERY_US;
        if is_due && self.write(&uplink.save()).is_ok() {
            (self.unproved, self.spent, self.at) = (unproved, spent, now);
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.path)
    }
}

fn spent(uplink: &Uplink) -> u64 {
    Lane::ALL.into_iter().map(|lane| uplink.budget().spent(lane)).fold(0, u64::saturating_add)
}

impl<S: Storage> Vehicle<S> {
    /// Sets what may be sent when, as the vehicle was provisioned; a policy from the cloud tightens it.
    ///
    /// # Errors
    /// What cannot be kept, in words; the policy before stays.
    pub fn set_uplink(&mut self, policy: UplinkPolicy) -> Result<(), String> {
        policy.check().map_err(|error| error.to_string())?;
        self.uplink_policy = policy;
        self.budget_lanes();
        Ok(())
    }

    /// Has the uplink keep what was provisioned and the budgets of the policy in use. Call it when either changes.
    pub(super) fn budget_lanes(&mut self) {
        let policy = self.uplink_policy.within(self.gateway.policies().head());
        // It only became tighter, and the whole with the critical part of it is as checked.
        let _ = self.gateway.parts_mut().1.set_policy(policy);
    }

    /// Lets the account's time pass, and takes the commands that the cloud sent unasked.
    pub(super) fn before_exchange(&mut self, link: &mut dyn CloudLink, now: VehicleMicros) -> Vec<Vec<u8>> {
        let wall = self.trusted_now(now);
        self.gateway.parts_mut().1.turn(now, wall);
        let mut commands = Vec::new();
        for frame in link.unasked() {
            if let Ok(reply) = Reply::parse(&frame) {
                commands.extend(reply.commands().map(<[u8]>::to_vec));
            }
        }
        commands
    }

    /// Tells which lanes wait now because their bytes are used up, and writes the account down.
    pub(super) fn after_exchange(&mut self, now: VehicleMicros) {
        for spent in self.gateway.parts_mut().1.take_spent() {
            let told = SecurityEvent::new(event::UPLINK_BUDGET_SPENT, now)
                .with(field::UPLINK_LANE, FieldValue::Text(spent.lane.word().to_owned()))
                .with(field::UPLINK_BYTES, FieldValue::Uint(spent.spent))
                .with(field::UPLINK_BYTES_BOUND, FieldValue::Uint(spent.bound));
            self.store(told, now);
        }
        let (_, uplink) = self.gateway.parts_mut();
        self.uplink_file.keep(uplink, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<UplinkSection, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
    }

    #[test]
    fn a_section_becomes_a_policy_and_what_cannot_be_kept_is_refused() {
        let text = "link = 'wifi'\nbytes_a_day = 100\ncritical_bytes_a_day = 40\n[batched]\nhours = '22-6'\nbytes_a_day = 50\n[deferred]\nlink = 'workshop'";
        let section = section(text).expect("it is right");
        let policy = section.policy().expect("it can be kept");
        assert_eq!(policy.batched.hours, Some(Hours { from: 22, to: 6 }));
        assert_eq!((policy.deferred.link, section.link()), (Link::Workshop, Link::Unmetered));
        for bad in [
            "link = 'cable'",
            "mqtt = '4'",
            "bytes_a_day = 5",
            "[batched]\nhours = '22'",
            "[batched]\nhours = '22-24'",
            "[deferred]\nlink = ''",
        ] {
            assert!(self::section(bad).expect("its shape is right").policy().is_err(), "{bad}");
        }
        assert!(self::section("bytes_per_day = 5").is_err(), "a misspelt setting");
    }

    #[test]
    fn the_link_is_read_from_its_file_and_is_metered_in_doubt() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("link");
        let section = UplinkSection { link_file: Some(path.clone()), ..UplinkSection::default() };
        assert_eq!(section.link(), Link::Metered);
        for (word, link) in [("workshop\n", Link::Workshop), ("wifi", Link::Unmetered), ("?", Link::Metered)]
        {
            fs::write(&path, word).expect("it writes");
            assert_eq!(section.link(), link);
        }
    }
}
