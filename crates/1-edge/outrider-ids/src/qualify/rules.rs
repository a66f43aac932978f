//! What a chain is told: rules of events and limits of the instance, checked before anything runs.

use core::fmt;
use core::num::NonZeroU32;

use outrider_types::EventTypeId;

/// How an event is reported [SWS_IdsM_01010, 01011].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ReportingMode {
    /// Not at all.
    Off,
    /// Without its context.
    Brief,
    /// With its context.
    #[default]
    Detailed,
    /// Without its context, past the filters of the event.
    BriefBypassingFilters,
    /// With its context, past the filters of the event.
    DetailedBypassingFilters,
}

impl ReportingMode {
    /// Returns whether the context is taken away.
    #[must_use]
    pub const fn is_brief(self) -> bool {
        match self {
            Self::Brief | Self::BriefBypassingFilters => true,
            Self::Off | Self::Detailed | Self::DetailedBypassingFilters => false,
        }
    }

    /// Returns whether the filters of the event are passed by.
    #[must_use]
    pub const fn is_bypassing(self) -> bool {
        match self {
            Self::BriefBypassingFilters | Self::DetailedBypassingFilters => true,
            Self::Off | Self::Brief | Self::Detailed => false,
        }
    }
}

/// A state of the vehicle in which events may be blocked, 0 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockState(u8);

impl BlockState {
    /// Creates a state, or returns `None` above 31.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 32 { Some(Self(number)) } else { None }
    }

    /// Returns the state as a bit of [`SevRule::blocked_in`].
    #[must_use]
    pub const fn bit(self) -> u32 {
        1u32.wrapping_shl(self.0 as u32)
    }
}

/// Threshold of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Occurrences in a window from which on events pass.
    pub count: NonZeroU32,
    /// Length of the window, in microseconds.
    pub window_us: u64,
}

/// What happens to one type of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SevRule {
    /// The type.
    pub event_type: EventTypeId,
    /// How it is reported.
    pub mode: ReportingMode,
    /// Bits of the [`BlockState`]s in which it is dropped; 0 blocks never.
    pub blocked_in: u32,
    /// Only the first, the n+1st, … occurrence passes; 1 passes all.
    pub every_nth: NonZeroU32,
    /// Length of the window of aggregation, in microseconds.
    pub aggregation_us: Option<u64>,
    /// Threshold.
    pub threshold: Option<Threshold>,
}

impl SevRule {
    /// Creates a rule that passes everything.
    #[must_use]
    pub const fn pass(event_type: EventTypeId) -> Self {
        Self {
            event_type,
            mode: ReportingMode::Detailed,
            blocked_in: 0,
            every_nth: NonZeroU32::MIN,
            aggregation_us: None,
            threshold: None,
        }
    }
}

/// Most events a window before the reporter [SWS_IdsM_01081].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Events.
    pub events: NonZeroU32,
    /// Length of the window, in microseconds.
    pub window_us: u64,
}

/// Most serialised bytes a window before the reporter [SWS_IdsM_01091].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficLimit {
    /// Bytes.
    pub bytes: NonZeroU32,
    /// Length of the window, in microseconds.
    pub window_us: u64,
}

/// What holds for a whole chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainConfig {
    /// Time between two main functions, in microseconds.
    pub period_us: u64,
    /// Most contexts that are kept at the same time; further events are kept without theirs.
    pub contexts_max: usize,
    /// Limit of events before the reporter.
    pub rate: Option<RateLimit>,
    /// Limit of bytes before the reporter.
    pub traffic: Option<TrafficLimit>,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigError {
    /// The period is zero.
    Period,
    /// A window is zero or no multiple of the period.
    Window {
        /// Event it belongs to, or `None` for a limit of the instance.
        event_type: Option<EventTypeId>,
        /// The window.
        window_us: u64,
        /// The period.
        period_us: u64,
    },
    /// Two rules are about one type of event.
    Duplicate(EventTypeId),
    /// There are more rules than the table has places.
    TooMany {
        /// Rules given.
        got: usize,
        /// Places.
        max: usize,
    },
}

impl ConfigError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Period => "qualify.period",
            Self::Window { .. } => "qualify.window",
            Self::Duplicate(_) => "qualify.duplicate",
            Self::TooMany { .. } => "qualify.too_many",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Period => f.write_str("period of the main function is zero"),
            Self::Window { event_type, window_us, period_us } => {
                match event_type {
                    Some(event_type) => write!(f, "event type {}: ", event_type.0)?,
                    None => f.write_str("limit: ")?,
                }
                write!(f, "window of {window_us} us is no multiple of the period of {period_us} us")
            }
            Self::Duplicate(event_type) => write!(f, "event type {} has two rules", event_type.0),
            Self::TooMany { got, max } => write!(f, "{got} rules, the table has {max} places"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Turns a window into main functions.
pub(super) fn ticks(
    window_us: u64,
    period_us: u64,
    event_type: Option<EventTypeId>,
) -> Result<u64, ConfigError> {
    match window_us.checked_div(period_us) {
        None => Err(ConfigError::Period),
        Some(ticks) if ticks > 0 && window_us.is_multiple_of(period_us) => Ok(ticks),
        Some(_) => Err(ConfigError::Window { event_type, window_us, period_us }),
    }
}

/// Returns whether a window of so many main functions ended between two counts of them.
pub(super) fn ended(before: u64, now: u64, window: u64) -> bool {
    before.checked_div(window) != now.checked_div(window)
}
