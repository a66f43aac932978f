//! Section `[qualify]` of the provisioning.

use std::num::NonZeroU32;

use outrider_ids::qualify::{
    BlockState, ChainConfig, RateLimit, ReportingMode, SevRule, Threshold, TrafficLimit,
};
use outrider_model::catalogue::{self, EVENT_TYPES};
use outrider_types::{EventTypeId, VehicleMicros};
use serde::{Deserialize, Serialize};

use super::{BUFFERS, STATES, SevChain};

/// How an event is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Not at all.
    Off,
    /// Without fields and context.
    Brief,
    /// Whole.
    #[default]
    Detailed,
    /// Without fields and context, past the filters.
    BriefBypassingFilters,
    /// Whole, past the filters.
    DetailedBypassingFilters,
}

/// A number in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowedCount {
    /// Occurrences, events or bytes.
    pub count: NonZeroU32,
    /// Length of the window in milliseconds, a multiple of the period.
    pub window_ms: u64,
}

/// Filters of one type of event, or of all others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSection {
    /// Name in the catalogue; empty in `[qualify.default]`.
    #[serde(default)]
    pub name: String,
    /// How it is reported.
    #[serde(default)]
    pub mode: Mode,
    /// States in which it is dropped: `unknown`, `standing`, `driving`.
    #[serde(default)]
    pub blocked_in: Vec<String>,
    /// Only every n-th occurrence passes.
    #[serde(default)]
    pub every_nth: Option<NonZeroU32>,
    /// Window in which occurrences are summed.
    #[serde(default)]
    pub aggregation_ms: Option<u64>,
    /// Occurrences in a window from which on it passes.
    #[serde(default)]
    pub threshold: Option<WindowedCount>,
}

/// `[qualify]`: without filters everything passes at the next main function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualifySection {
    /// Time between two main functions.
    #[serde(default = "period")]
    pub period_ms: u64,
    /// Events that wait with their details at the same time.
    #[serde(default = "contexts")]
    pub contexts_max: usize,
    /// Filters of all types that have none of their own.
    #[serde(default)]
    pub default: EventSection,
    /// Filters by type.
    #[serde(default)]
    pub event: Vec<EventSection>,
    /// Most events a window to another reporter.
    #[serde(default)]
    pub rate: Option<WindowedCount>,
    /// Most bytes a window to another reporter.
    #[serde(default)]
    pub traffic: Option<WindowedCount>,
}

/// 100 ms: a person waits for nothing, and a burst still comes together.
const fn period() -> u64 {
    100
}

const fn contexts() -> usize {
    BUFFERS
}

const fn micros(ms: u64) -> u64 {
    ms.saturating_mul(1000)
}

impl EventSection {
    fn rule(&self, event_type: EventTypeId) -> Result<SevRule, String> {
        let mut blocked_in = 0;
        for name in &self.blocked_in {
            let number = STATES.iter().position(|state| state == name);
            let state = number.and_then(|number| BlockState::new(u8::try_from(number).ok()?));
            let state = state.ok_or_else(|| format!("state {name:?} is none of {}", STATES.join(", ")))?;
            blocked_in |= state.bit();
        }
        Ok(SevRule {
            event_type,
            mode: match self.mode {
                Mode::Off => ReportingMode::Off,
                Mode::Brief => ReportingMode::Brief,
                Mode::Detailed => ReportingMode::Detailed,
                Mode::BriefBypassingFilters => ReportingMode::BriefBypassingFilters,
                Mode::DetailedBypassingFilters => ReportingMode::DetailedBypassingFilters,
            },
            blocked_in,
            every_nth: self.every_nth.unwrap_or(NonZeroU32::MIN),
            aggregation_us: self.aggregation_ms.map(micros),
            threshold: self
                .threshold
                .map(|one| Threshold { count: one.count, window_us: micros(one.window_ms) }),
        })
    }
}

impl QualifySection {
    /// Builds the chain: a rule for every event type of the catalogue.
    ///
    /// # Errors
    /// A text: an event or state that does not exist, or a window that is no multiple of the period.
    pub fn chain(&self, start: VehicleMicros) -> Result<Box<SevChain>, String> {
        if !self.default.name.is_empty() {
            return Err("[qualify.default] has no name".to_owned());
        }
        let mut own = std::collections::BTreeMap::new();
        for section in &self.event {
            let known = catalogue::event_type_by_name(&section.name)
                .ok_or_else(|| format!("event {:?} is not in the catalogue", section.name))?;
            if own.insert(known.id, section).is_some() {
                return Err(format!("event {:?} stands twice", section.name));
            }
        }
        let mut rules = Vec::new();
        for event_type in &EVENT_TYPES {
            let section = own.get(&event_type.id).copied().unwrap_or(&self.default);
            rules.push(section.rule(event_type.id).map_err(|text| format!("{}: {text}", event_type.name))?);
        }
        let config = ChainConfig {
            period_us: micros(self.period_ms),
            contexts_max: self.contexts_max,
            rate: self.rate.map(|one| RateLimit { events: one.count, window_us: micros(one.window_ms) }),
            traffic: self
                .traffic
                .map(|one| TrafficLimit { bytes: one.count, window_us: micros(one.window_ms) }),
        };
        SevChain::new(&config, &rules, start).map(Box::new).map_err(|error| error.to_string())
    }
}
