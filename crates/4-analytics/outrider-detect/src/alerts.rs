//! Groups findings into alerts: pure, so that queue, replay and tests agree.
//!
//! All findings of one tenant, rule and group that lie close together in event time are one alert; a campaign
//! with 4,000 vehicles is one line of the queue. A new alert begins only when the group was quiet for longer than
//! [`quiet_us`], or when the former alert was closed.

use outrider_model::{Finding, FindingId, GroupKey, RuleId, Window};
use outrider_rules::RuleSet;
use outrider_types::{Severity, TenantId, UnixMicros, VehicleId};
use sha2::{Digest, Sha256};

use crate::cell::keep_lowest;

/// What all findings of an alert have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertKey {
    /// Owner.
    pub tenant: TenantId,
    /// Rule that stated the findings.
    pub rule: RuleId,
    /// Group that they are about.
    pub group: GroupKey,
}

impl AlertKey {
    /// Returns the key of a finding's alert.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self { tenant: finding.tenant, rule: finding.rule.clone(), group: finding.group.clone() }
    }
}

/// Identity of an alert: a hash of its first finding's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub [u8; 16]);

impl AlertId {
    /// Returns the identity of the alert that a finding opens.
    #[must_use]
    pub fn opened_by(finding: FindingId) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"alert");
        hash.update(finding.0);
        let mut id = [0u8; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }
}

impl std::fmt::Display for AlertId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an alert keeps of one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPart {
    /// The finding.
    pub finding: FindingId,
    /// Its newest revision.
    pub revision: u32,
    /// Its window.
    pub window: Window,
    /// Its severity.
    pub severity: Severity,
    /// Its events.
    pub event_count: u64,
    /// Its vehicles.
    pub vehicle_count: u64,
    /// Its value, if it counts.
    pub value: Option<u64>,
    /// Whether a late event raised or changed it.
    pub late: bool,
    /// Whether it was taken back.
    pub withdrawn: bool,
    /// Its model line, if its evidence agrees on one.
    pub model_line: Option<String>,
    /// Lowest vehicles, ascending, at most [`outrider_model::Evidence::VEHICLES_MAX`].
    pub vehicles: Vec<VehicleId>,
}

impl AlertPart {
    fn of(finding: &Finding) -> Self {
        Self {
            finding: finding.id,
            revision: finding.revision,
            window: finding.window,
            severity: finding.severity,
            event_count: finding.event_count,
            vehicle_count: finding.vehicle_count,
            value: finding.value,
            late: finding.late,
            withdrawn: finding.withdrawn,
            model_line: finding.model_line.clone(),
            vehicles: finding.evidence.vehicles.clone(),
        }
    }
}

/// An alert as its findings make it; what people do to it is the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Identity.
    pub id: AlertId,
    /// What its findings have in common.
    pub key: AlertKey,
    /// When the detector stated the first finding (ingest clock).
    pub detected_at: UnixMicros,
    /// Number of changes, from 1.
    pub revision: u32,
    /// Whether a person closed it.
    pub closed: bool,
    /// Its findings in order of arrival; never empty, at most [`Alert::PARTS_MAX`].
    pub parts: Vec<AlertPart>,
}

impl Alert {
    /// Findings that one alert holds; one more opens a new alert.
    pub const PARTS_MAX: usize = 256;

    fn standing(&self) -> impl Iterator<Item = &AlertPart> {
        let all = self.parts.iter().all(|part| part.withdrawn);
        self.parts.iter().filter(move |part| all || !part.withdrawn)
    }

    /// Returns the event-time window over all findings that stand.
    #[must_use]
    pub fn window(&self) -> Window {
        let from = self.standing().map(|part| part.window.from).min().unwrap_or_default();
        Window { from, to: self.standing().map(|part| part.window.to).max().unwrap_or(from) }
    }

    /// Returns the highest severity of its findings.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.standing().map(|part| part.severity).max().unwrap_or(Severity::Info)
    }

    /// Returns the events of all findings that stand; these do not share events.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        self.standing().map(|part| part.event_count).sum()
    }

    /// Returns the number of vehicles: exact where one finding or the listed vehicles show all, otherwise the
    /// largest number that any finding states.
    #[must_use]
    pub fn vehicle_count(&self) -> u64 {
        let largest = self.standing().map(|part| part.vehicle_count).max().unwrap_or(0);
        largest.max(self.vehicles().len() as u64)
    }

    /// Returns the lowest vehicles over all findings, ascending.
    #[must_use]
    pub fn vehicles(&self) -> Vec<VehicleId> {
        let mut low = Vec::new();
        for vehicle in self.standing().flat_map(|part| &part.vehicles) {
            keep_lowest(&mut low, *vehicle, outrider_model::Evidence::VEHICLES_MAX);
        }
        low
    }

    /// Returns the model line, if all findings agree on one.
    #[must_use]
    pub fn model_line(&self) -> Option<&str> {
        let mut lines = self.standing().map(|part| part.model_line.as_deref());
        let first = lines.next()??;
        lines.all(|line| line == Some(first)).then_some(first)
    }

    /// Returns whether every finding that stands is late: such an alert starts no response by itself.
    #[must_use]
    pub fn late(&self) -> bool {
        self.standing().all(|part| part.late)
    }

    /// Returns whether every finding was taken back.
    #[must_use]
    pub fn withdrawn(&self) -> bool {
        self.parts.iter().all(|part| part.withdrawn)
    }

    /// Returns the time between this alert's window and another; 0 if they overlap.
    fn gap_us(&self, window: Window) -> i64 {
        let own = self.window();
        window.from.0.saturating_sub(own.to.0).max(own.from.0.saturating_sub(window.to.0)).max(0)
    }
}

/// Alerts of one [`AlertKey`], oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertState {
    /// The alerts; older closed ones may be left out if none of their findings can change any more.
    pub alerts: Vec<Alert>,
}

/// What a finding did to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertChange {
    /// It opened an alert.
    New(AlertId),
    /// It changed an alert.
    Revised(AlertId),
    /// It changed nothing: an old revision, or a withdrawal of something unknown.
    Unchanged,
}

/// Applies a finding to the alerts of its key. Idempotent: a revision that was seen changes nothing.
///
/// # Panics
/// If an alert of the state belongs to another key than the finding.
pub fn apply(state: &mut AlertState, finding: &Finding, quiet_us: i64) -> AlertChange {
    let key = AlertKey::of(finding);
    assert!(state.alerts.iter().all(|alert| alert.key == key), "a state holds the alerts of one key");
    let owner = state.alerts.iter_mut().find(|alert| alert.parts.iter().any(|it| it.finding == finding.id));
    if let Some(alert) = owner {
        return revise(alert, finding);
    }
    if finding.withdrawn {
        return AlertChange::Unchanged;
    }
    let near = state.alerts.iter_mut().rev().find(|alert| {
        !alert.closed && alert.parts.len() < Alert::PARTS_MAX && alert.gap_us(finding.window) <= quiet_us
    });
    if let Some(alert) = near {
        alert.parts.push(AlertPart::of(finding));
        alert.revision = alert.revision.saturating_add(1);
        return AlertChange::Revised(alert.id);
    }
    let id = AlertId::opened_by(finding.id);
    state.alerts.push(Alert {
        id,
        key,
        detected_at: finding.detected_at,
        revision: 1,
        closed: false,
        parts: vec![AlertPart::of(finding)],
    });
    AlertChange::New(id)
}

/// Takes a newer revision of a finding that the alert has, closed or not: a closed alert keeps true numbers.
fn revise(alert: &mut Alert, finding: &Finding) -> AlertChange {
    let part = alert.parts.iter_mut().find(|part| part.finding == finding.id);
    let Some(part) = part.filter(|part| part.revision < finding.revision) else {
        return AlertChange::Unchanged;
    };
    *part = if finding.withdrawn {
        AlertPart { revision: finding.revision, withdrawn: true, ..part.clone() }
    } else {
        AlertPart::of(finding)
    };
    alert.revision = alert.revision.saturating_add(1);
    AlertChange::Revised(alert.id)
}

/// Returns how long a rule's group must be quiet before its next finding is a new alert.
///
/// A correlation's timespan; for a plain rule one day (guess), so that a fault on each day's drive is one alert.
#[must_use]
pub fn quiet_us(rules: &RuleSet, rule: &RuleId) -> i64 {
    const DAY_US: i64 = 86_400_000_000;
    let correlation = rules.correlations().iter().find(|correlation| correlation.header.id == *rule);
    correlation.map_or(DAY_US, |it| i64::try_from(it.timespan_us).unwrap_or(i64::MAX))
}

/// What two alerts have in common, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// A vehicle appears in the evidence of both.
    Vehicle,
    /// One rule stated both.
    Rule,
    /// Both are about one model line.
    ModelLine,
}

/// Returns the other alerts of the tenant that resemble one, most in common first, then newest, at most `limit`.
#[must_use]
pub fn similar<'a>(
    alert: &Alert,
    others: impl IntoIterator<Item = &'a Alert>,
    limit: usize,
) -> Vec<(&'a Alert, Vec<Likeness>)> {
    let vehicles = alert.vehicles();
    let mut found: Vec<(&Alert, Vec<Likeness>)> = others
        .into_iter()
        .filter(|other| other.id != alert.id && other.key.tenant == alert.key.tenant)
        .map(|other| (other, likeness(alert, &vehicles, other)))
        .filter(|(_, likeness)| !likeness.is_empty())
        .collect();
    found.sort_by_key(|(other, likeness)| {
        (std::cmp::Reverse((likeness.len(), other.window().to)), likeness.first().copied(), other.id)
    });
    found.truncate(limit);
    found
}

fn likeness(alert: &Alert, vehicles: &[VehicleId], other: &Alert) -> Vec<Likeness> {
    let mut found = Vec::new();
    if other.vehicles().iter().any(|vehicle| vehicles.binary_search(vehicle).is_ok()) {
        found.push(Likeness::Vehicle);
    }
    if other.key.rule == alert.key.rule {
        found.push(Likeness::Rule);
    }
    if alert.model_line().is_some() && alert.model_line() == other.model_line() {
        found.push(Likeness::ModelLine);
    }
    found
}

/// How analysts judged an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// An attack, or a test of one.
    TruePositive,
    /// The rule is right and the cause is allowed, such as a workshop.
    BenignTruePositive,
    /// The rule is wrong.
    FalsePositive,
    /// Broken hardware.
    HardwareFault,
    /// Another alert tells it already.
    Duplicate,
    /// Nobody can tell.
    Indeterminate,
}

impl Judgement {
    /// All judgements.
    pub const ALL: [Self; 6] = [
        Self::TruePositive,
        Self::BenignTruePositive,
        Self::FalsePositive,
        Self::HardwareFault,
        Self::Duplicate,
        Self::Indeterminate,
    ];

    /// Returns the word used in API and database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::BenignTruePositive => "benign_true_positive",
            Self::FalsePositive => "false_positive",
            Self::HardwareFault => "hardware_fault",
            Self::Duplicate => "duplicate",
            Self::Indeterminate => "indeterminate",
        }
    }

    /// Returns the judgement of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|judgement| judgement.word() == word)
    }
}

/// How often a rule was right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleStatistics {
    counts: [u64; 6],
    open: u64,
}

impl RuleStatistics {
    /// Counts the alerts of one rule; `None` is an alert that nobody judged yet.
    #[must_use]
    pub fn of(judgements: impl IntoIterator<Item = Option<Judgement>>) -> Self {
        let mut statistics = Self::default();
        for judgement in judgements {
            match judgement {
                Some(judgement) => statistics.counts[judgement as usize] += 1,
                None => statistics.open += 1,
            }
        }
        statistics
    }

    /// Returns the alerts with a judgement.
    #[must_use]
    pub const fn count(&self, judgement: Judgement) -> u64 {
        self.counts[judgement as usize]
    }

    /// Returns the alerts without a judgement.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.open
    }

    /// Returns the share of alerts that were worth an analyst's time, in per cent, rounded down; `None` before
    /// the first verdict. Duplicates and undecided ones do not count; a hardware fault is a miss of the rule.
    #[must_use]
    pub const fn precision_percent(&self) -> Option<u64> {
        let good = self.count(Judgement::TruePositive) + self.count(Judgement::BenignTruePositive);
        let all = good + self.count(Judgement::FalsePositive) + self.count(Judgement::HardwareFault);
        (good * 100).checked_div(all)
    }
}

#[cfg(test)]
mod tests;
