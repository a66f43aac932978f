//! Why a match does not count: names of counters.

/// The event was counted before.
pub const DUPLICATE: &str = "duplicate";
/// Its event time is further back than the horizon.
pub const BEYOND_HORIZON: &str = "beyond_horizon";
/// The registry says that the vehicle is not monitored.
pub const OUT_OF_SCOPE: &str = "out_of_scope";
/// Its event time lies further after its ingest time than a wrong clock explains.
pub const FUTURE: &str = "future";
/// The interval of its event time is wider than the rule's window.
pub const TIME_UNCERTAIN: &str = "time_uncertain";
/// It has no value for a field that the correlation groups by or counts.
pub const NO_VALUE: &str = "no_value";
/// Its group, its counted value or its model line has more than
/// [`Sightings::TEXT_BYTES_MAX`](crate::Sightings::TEXT_BYTES_MAX) bytes.
pub const TOO_LONG: &str = "too_long";
/// The rule holds as many groups as it may.
pub const GROUPS_FULL: &str = "groups_full";
/// The rule holds as many events as it may.
pub const ENTRIES_FULL: &str = "entries_full";
/// The pane holds as many events as it may.
pub const PANE_FULL: &str = "pane_full";
/// The dictionary of vehicles or values is full.
pub const NAMES_FULL: &str = "names_full";

/// The correlator does not evaluate a rule of this identity.
pub const UNKNOWN_RULE: &str = "unknown_rule";
/// The correlator evaluates another version of the rule.
pub const OTHER_VERSION: &str = "other_version";
/// Group or value do not have the shape that the rule asks for.
pub const BAD_SHAPE: &str = "bad_shape";

/// Reasons that mean that findings may be missing because a limit was hit.
pub const DEGRADED: [&str; 4] = [GROUPS_FULL, ENTRIES_FULL, PANE_FULL, NAMES_FULL];

/// Reasons that mean that two processes have different rules, or that bytes were made up.
pub const STRANGE: [&str; 3] = [UNKNOWN_RULE, OTHER_VERSION, BAD_SHAPE];
