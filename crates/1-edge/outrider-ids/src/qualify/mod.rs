//! Qualification of security events: the filter chain of the AUTOSAR IdsM (CP SWS IntrusionDetectionSystemManager).
//!
//! **In:** reports of sensors, time, and [`SevRule`]s that were checked once. **Out:** qualified events. **Never:** a
//! wait, an allocation, an event that is in none of the counts. **Start reading** at [`Chain`].
//!
//! A report is copied into a fixed buffer [SWS_IdsM_00901] and judged at the next main function, in a fixed order
//! [SWS_IdsM_01004]; the first filter that drops it ends its way and leaves the later ones untouched
//! [SWS_IdsM_01005]:
//!
//! 1. reporting mode [01010, 01011]: off, brief (without context), detailed, and both past the filters 2 to 5;
//! 2. block state [01022];
//! 3. forward every n-th [01031 to 01034];
//! 4. aggregation: counts are summed, the first context stays;
//! 5. threshold [01061 to 01065].
//!
//! What is left is qualified. Before the reporter, and only there, stand two limits of the whole instance, rate [01081]
//! and traffic [01091, 01094]: [`Chain::admit`].
//!
//! Time is counted in main functions since the start. All windows run from there without a gap, so the third window
//! of 1 s lies between 2 s and 3 s for every event; the standard's text leaves open whether a window may begin with
//! its first event instead. A window that is no multiple of the period is refused.

mod chain;
mod limit;
mod rules;
#[cfg(test)]
mod tests;

pub use chain::{Body, Chain, Counts, InternalEvent, Refused};
pub use limit::{LimitCounts, Limited};
pub use rules::{
    BlockState, ChainConfig, ConfigError, RateLimit, ReportingMode, SevRule, Threshold, TrafficLimit,
};
