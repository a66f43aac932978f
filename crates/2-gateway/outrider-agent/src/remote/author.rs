//! Makes artifacts: for the person who signs a configuration, never in a vehicle.

use outrider_gateway::Ed25519Signer;
use outrider_model::catalogue;
use outrider_types::{Lane, Severity, TenantId, UnixMicros, VehicleId};
use outrider_wire::limits::ARTIFACT_BYTES_MAX;
use outrider_wire::policy::{NO_LIMIT, POLICY_BYTES_MAX, Policy, PolicyHead, PolicyRule};
use outrider_wire::{Artifact, ArtifactHead, ArtifactKind};
use serde::Deserialize;

use super::rules::RulePack;
use super::trust::platform_bytes;
use crate::model_file::{ModelFile, key_id};

/// Why an artifact cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// What was written down is not what a vehicle would take.
    #[error("{kind}: {reason}")]
    Content {
        /// Kind of artifact.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A setting of the artifact is wrong.
    #[error("{0}")]
    Setting(String),
    /// The frame could not be written or signed.
    #[error("artifact: {0}")]
    Frame(outrider_wire::FrameError),
}

/// What is to be signed.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// What it configures.
    pub kind: ArtifactKind,
    /// Version, above that of every artifact of this kind that the vehicles ever tried.
    pub version: u64,
    /// Owner of the vehicles.
    pub tenant: TenantId,
    /// Platform that it is for; any without it.
    pub platform: Option<&'a str>,
    /// The one vehicle that it is for; any without it.
    pub vehicle: Option<VehicleId>,
    /// When.
    pub made_at: UnixMicros,
}

impl Draft<'_> {
    /// Checks the content as a vehicle would, and signs it. A policy is given as TOML, see [`policy_of_toml`]; a rule
    /// pack and a model as they are.
    ///
    /// # Errors
    /// [`AuthorError`].
    pub fn sign(&self, content: &[u8], signer: &Ed25519Signer) -> Result<Vec<u8>, AuthorError> {
        let wrong = |reason: String| AuthorError::Content { kind: self.kind.word(), reason };
        let payload = match self.kind {
            ArtifactKind::Policy => {
                let text = std::str::from_utf8(content).map_err(|error| wrong(error.to_string()))?;
                policy_of_toml(text).map_err(wrong)?
            }
            ArtifactKind::Rules => {
                RulePack::parse(content).map_err(wrong)?;
                content.to_vec()
            }
            ArtifactKind::Model => {
                ModelFile::parse(content).map_err(|error| wrong(error.to_string()))?;
                content.to_vec()
            }
        };
        if self.version == 0 {
            return Err(AuthorError::Setting("version: counts from 1".to_owned()));
        }
        // The cap of a command counts the whole file.
        let length = Artifact::frame_bytes(payload.len());
        if length > ARTIFACT_BYTES_MAX {
            return Err(AuthorError::Setting(format!("{length} bytes, at most {ARTIFACT_BYTES_MAX}")));
        }
        let platform = match self.platform {
            None => None,
            Some(name) => Some(platform_bytes(name).ok_or_else(|| {
                AuthorError::Setting("platform: empty, or longer than 32 bytes".to_owned())
            })?),
        };
        let head = ArtifactHead {
            kind: self.kind,
            tenant: self.tenant,
            version: self.version,
            made_at: self.made_at,
            platform,
            vehicle: self.vehicle,
            key: key_id(&signer.public_key()).0,
        };
        let mut out = vec![0; length];
        let written = Artifact::emit(&head, &payload, signer, &mut out).map_err(AuthorError::Frame)?;
        out.truncate(written);
        Ok(out)
    }
}

/// `[critical]`, `[batched]`, `[deferred]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaneText {
    window_ms: Option<u32>,
    rows_per_hour: Option<u32>,
    burst_rows: Option<u32>,
    lane_rows_per_second: Option<u32>,
    bytes_per_day: Option<u64>,
}

/// `[uplink]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UplinkText {
    #[serde(default)]
    unmetered_only: Vec<String>,
    #[serde(default)]
    workshop_only: Vec<String>,
    from_min: Option<u16>,
    to_min: Option<u16>,
}

/// `[[rule]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    event: String,
    bus: Option<u8>,
    severity: Option<String>,
    lane: Option<String>,
    window_ms: Option<u32>,
    #[serde(default)]
    keep: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    #[serde(default)]
    critical: LaneText,
    #[serde(default)]
    batched: LaneText,
    #[serde(default)]
    deferred: LaneText,
    #[serde(default)]
    uplink: UplinkText,
    #[serde(default)]
    rule: Vec<RuleText>,
}

/// Turns a policy that a person wrote as TOML into what vehicles read. What is left out is as without a policy.
///
/// # Errors
/// What is wrong: a name that does not exist, or what no vehicle would take.
pub fn policy_of_toml(text: &str) -> Result<Vec<u8>, String> {
    let text: PolicyText = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut head = PolicyHead::default();
    let lanes = [&text.critical, &text.batched, &text.deferred];
    for (lane, text) in head.lanes.iter_mut().zip(lanes) {
        lane.window_ms = text.window_ms.unwrap_or(lane.window_ms);
        lane.rows_per_hour = text.rows_per_hour.unwrap_or(lane.rows_per_hour);
        lane.burst_rows = text.burst_rows.unwrap_or(lane.burst_rows);
        lane.lane_rows_per_second = text.lane_rows_per_second.unwrap_or(lane.lane_rows_per_second);
        lane.bytes_per_day = text.bytes_per_day.unwrap_or(NO_LIMIT);
    }
    let named = |names: &[String]| -> Result<[bool; 3], String> {
        let mut lanes = [false; 3];
        for name in names {
            let lane = Lane::from_word(name).ok_or_else(|| format!("uplink: {name:?} is no lane"))?;
            lanes[usize::from(lane.code())] = true;
        }
        Ok(lanes)
    };
    head.hours.unmetered_only = named(&text.uplink.unmetered_only)?;
    head.hours.workshop_only = named(&text.uplink.workshop_only)?;
    head.hours.from_min = text.uplink.from_min.unwrap_or(head.hours.from_min);
    head.hours.to_min = text.uplink.to_min.unwrap_or(head.hours.to_min);
    let mut rules = Vec::new();
    for rule in &text.rule {
        let name = &rule.event;
        let known = catalogue::event_type_by_name(name)
            .ok_or_else(|| format!("event {name:?} is not in the catalogue"))?;
        let lane = rule.lane.as_ref().map(|lane| Lane::from_word(lane).ok_or(lane)).transpose();
        let lane = lane.map_err(|lane| format!("{name}: {lane:?} is no lane"))?;
        if lane.is_some_and(|lane| !outrider_wire::policy::may_take(known.id, lane)) {
            return Err(format!("{name}: the catalogue lets no policy lower it"));
        }
        let severity = rule.severity.as_ref();
        let severity = severity.map(|word| Severity::from_word(word).ok_or(word)).transpose();
        rules.push(PolicyRule {
            event_type: known.id,
            bus: rule.bus,
            severity: severity.map_err(|word| format!("{name}: {word:?} is no severity"))?,
            lane,
            window_ms: rule.window_ms,
            keep: rule.keep,
        });
    }
    rules.sort_by_key(|rule| {
        (rule.event_type, rule.bus.map_or(u16::MAX, u16::from), rule.severity.map_or(255, Severity::code))
    });
    let mut out = vec![0; POLICY_BYTES_MAX];
    let length = Policy::emit(&head, &rules, &mut out).map_err(|error| error.to_string())?;
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use outrider_gateway::LanePolicies;

    use super::*;

    #[test]
    fn a_written_policy_is_what_a_vehicle_reads() {
        let text = "[critical]\nbytes_per_day = 1000000\n[uplink]\nunmetered_only = ['deferred']\n\
            [[rule]]\nevent = 'can.unknown_id'\nbus = 1\nseverity = 'high'\nlane = 'critical'\n\
            [[rule]]\nevent = 'can.flood'\nwindow_ms = 5000\nkeep = true\n";
        let policies = LanePolicies::parse(&policy_of_toml(text).expect("right")).expect("what was written");
        assert_eq!(policies.lane(Lane::Critical).bytes_per_day, 1_000_000);
        assert_eq!(policies.head().hours.unmetered_only, [false, false, true]);
        let whole = LanePolicies::parse(&policy_of_toml("").expect("nothing is a policy")).expect("too");
        assert_eq!(whole, LanePolicies::default());
        for wrong in [
            "[[rule]]\nevent = 'boot.integrity_failure'\nlane = 'deferred'",
            "[[rule]]\nevent = 'no.such'",
            "[[rule]]\nevent = 'can.flood'\nlane = 'none'",
            "[critical]\nbytes_per_day = 0",
            "[uplink]\nworkshop_only = ['critical']",
            "drop = true",
        ] {
            assert!(policy_of_toml(wrong).is_err(), "{wrong}");
        }
    }
}
