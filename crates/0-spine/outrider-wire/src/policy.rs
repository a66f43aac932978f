//! Policy: which lane an event takes, how long repeats wait, what a sensor's share is, what the uplink may cost.
//!
//! The payload of an artifact of kind policy. Fixed, little endian, and canonical: one policy has one encoding, so what
//! was reviewed is what is signed.
//!
//! ```text
//!  0  magic "ORPO"   4  version u16   6  count of rules u16
//!  8  three lanes, critical first, 24 bytes each:
//!       window_ms u32, rows_per_hour u32, burst_rows u32, lane_rows_per_second u32, bytes_per_day u64
//! 80  lanes only on an unmetered link u8, lanes only in the workshop u8, reserved u16
//! 84  minutes of the day from u16, to u16 (0, 1440 is always)
//! 88  rules, 12 bytes each, ascending by type, bus and severity, none twice:
//!       event type u16, bus u16 (65535 any), severity from u8 (255 any), lane u8 (255 leave), window_ms u32 (2^32-1 leave),
//!       flags u8 (1 keep), reserved u8
//! ```
//!
//! There is no way to say that an event is not kept: the language has no word for it.

use outrider_types::{EventTypeId, Lane, Severity};

use crate::catalogue;
use crate::fixed::{Cursor, FrameError};
use crate::pb::{Sink, SliceSink};

/// First bytes of a policy.
pub const POLICY_MAGIC: [u8; 4] = *b"ORPO";
/// Version that this crate writes and reads.
pub const POLICY_VERSION: u16 = 1;
/// Most rules: every type of the catalogue three times.
pub const POLICY_RULES_MAX: usize = 512;
/// Most rules that exempt a type from fair shares: they are for a handful of types, or shares mean nothing (guess).
pub const POLICY_KEEPS_MAX: usize = 32;
/// Bytes of a policy without rules.
pub const POLICY_HEAD_BYTES: usize = 88;
/// Bytes of a rule.
pub const POLICY_RULE_BYTES: usize = 12;
/// Longest policy.
pub const POLICY_BYTES_MAX: usize = POLICY_HEAD_BYTES + POLICY_RULES_MAX * POLICY_RULE_BYTES;
/// Longest windows of folding, by lane: a person waits a minute for the count of what he saw; an hour is a drive.
pub const WINDOW_MS_MAX: [u32; 3] = [60_000, 600_000, 3_600_000];
/// Smallest share of a sensor: a row a minute, of which the first ten may come at once.
pub const ROWS_PER_HOUR_MIN: u32 = 60;
/// Smallest burst.
pub const BURST_ROWS_MIN: u32 = 10;
/// Largest share and burst: more is no limit.
pub const ROWS_MAX: u32 = 10_000_000;
/// Least bytes a day for critical rows: 1,000 of them. A policy may make the vehicle cheap, not silent.
pub const CRITICAL_BYTES_PER_DAY_MIN: u64 = 64 << 10;
/// Value of a budget without a limit.
pub const NO_LIMIT: u64 = u64::MAX;
/// Minutes of a day.
const DAY_MIN: u16 = 1440;

const ANY_BUS: u16 = u16::MAX;
const ANY: u8 = u8::MAX;
const LEAVE_MS: u32 = u32::MAX;
const KEEP: u8 = 1;

/// What a policy says of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePolicy {
    /// Window of folding, in milliseconds.
    pub window_ms: u32,
    /// Share of each sensor, in rows an hour.
    pub rows_per_hour: u32,
    /// Rows that a sensor may report at once.
    pub burst_rows: u32,
    /// Rows a second that the lane takes of all sensors; what waits is taken in turns.
    pub lane_rows_per_second: u32,
    /// Bytes a day that the uplink may send of it; [`NO_LIMIT`] is no limit.
    pub bytes_per_day: u64,
}

/// When and over what the uplink may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkHours {
    /// Lanes that wait for an unmetered link: critical, batched, deferred.
    pub unmetered_only: [bool; 3],
    /// Lanes that wait for the workshop.
    pub workshop_only: [bool; 3],
    /// First minute of the day (UTC) at which lanes below critical are sent.
    pub from_min: u16,
    /// Minute at which that ends; below `from_min` it ends the next day.
    pub to_min: u16,
}

/// One exception of a type of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyRule {
    /// Type.
    pub event_type: EventTypeId,
    /// Bus; `None` is any, and events without one.
    pub bus: Option<u8>,
    /// Severity from which on it holds; `None` is any.
    pub severity: Option<Severity>,
    /// Lane; `None` leaves it.
    pub lane: Option<Lane>,
    /// Window of folding in milliseconds; `None` leaves it.
    pub window_ms: Option<u32>,
    /// Whether its rows pass whatever its sensor's share.
    pub keep: bool,
}

impl PolicyRule {
    fn order(&self) -> (u16, u16, u8) {
        (self.event_type.0, self.bus.map_or(ANY_BUS, u16::from), self.severity.map_or(ANY, Severity::code))
    }
}

/// A policy without its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyHead {
    /// Lanes: critical, batched, deferred.
    pub lanes: [LanePolicy; 3],
    /// When the uplink may send.
    pub hours: UplinkHours,
}

impl Default for PolicyHead {
    /// What a vehicle does without a policy.
    ///
    /// Windows of 1, 10 and 60 s. Shares (guesses): a sensor's ordinary hour has a dozen rows; 360, 720 and 360 rows an
    /// hour let a long attack be followed row by row, and 24 h of ten flooding sensors still fit the lanes' quotas.
    fn default() -> Self {
        let lane = |window_ms, rows_per_hour, burst_rows, lane_rows_per_second| LanePolicy {
            window_ms,
            rows_per_hour,
            burst_rows,
            lane_rows_per_second,
            bytes_per_day: NO_LIMIT,
        };
        Self {
            lanes: [lane(1000, 360, 256, 100), lane(10_000, 720, 512, 100), lane(60_000, 360, 256, 50)],
            hours: UplinkHours {
                unmetered_only: [false; 3],
                workshop_only: [false; 3],
                from_min: 0,
                to_min: DAY_MIN,
            },
        }
    }
}

/// A policy that was read; every rule is legal.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// What holds for lanes and uplink.
    pub head: PolicyHead,
    rules: &'a [u8],
}

impl<'a> Policy<'a> {
    /// Reads a policy, O(n); all of it is checked here.
    ///
    /// # Errors
    /// [`FrameError`]: structure, a cap, a rule that lowers what the catalogue does not let it lower (`Value` at the
    /// rule's lane), rules out of order.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(bytes);
        cursor.magic(POLICY_MAGIC, POLICY_VERSION)?;
        let count = cursor.capped_u16(POLICY_RULES_MAX)?;
        let lanes = [
            lane(&mut cursor, Lane::Critical)?,
            lane(&mut cursor, Lane::Batched)?,
            lane(&mut cursor, Lane::Deferred)?,
        ];
        let hours = hours(&mut cursor)?;
        let offset = cursor.at;
        let expected = count.saturating_mul(POLICY_RULE_BYTES);
        if expected != cursor.remaining() {
            return Err(FrameError::Length { offset: 6, expected: cursor.remaining(), got: expected });
        }
        let rules = cursor.take(expected)?;
        let mut before = None;
        let mut keeps = 0usize;
        let mut at = offset;
        for bytes in rules.chunks_exact(POLICY_RULE_BYTES) {
            let rule = rule(bytes, at)?;
            if before.is_some_and(|before| before >= rule.order()) {
                return Err(FrameError::Value { offset: at, got: u64::from(rule.event_type.0) });
            }
            keeps = keeps.saturating_add(usize::from(rule.keep));
            if keeps > POLICY_KEEPS_MAX {
                let max = crate::fixed::widen(POLICY_KEEPS_MAX);
                return Err(FrameError::Cap { offset: at, max, got: max.saturating_add(1) });
            }
            before = Some(rule.order());
            at = at.saturating_add(POLICY_RULE_BYTES);
        }
        Ok(Self { head: PolicyHead { lanes, hours }, rules })
    }

    /// Returns the rules, ascending.
    pub fn rules(&self) -> impl Iterator<Item = PolicyRule> + '_ {
        self.rules.chunks_exact(POLICY_RULE_BYTES).filter_map(|bytes| rule(bytes, 0).ok())
    }

    /// Writes a policy into `out`; returns its length. What is written is read again before it is handed out.
    ///
    /// # Errors
    /// [`FrameError`] as [`Policy::parse`], or if `out` is too small.
    pub fn emit(head: &PolicyHead, rules: &[PolicyRule], out: &mut [u8]) -> Result<usize, FrameError> {
        let count = u16::try_from(rules.len()).unwrap_or(u16::MAX);
        let mut sink = SliceSink::new(out);
        sink.put(&POLICY_MAGIC)?;
        sink.put(&POLICY_VERSION.to_le_bytes())?;
        sink.put(&count.to_le_bytes())?;
        for lane in &head.lanes {
            sink.put(&lane.window_ms.to_le_bytes())?;
            sink.put(&lane.rows_per_hour.to_le_bytes())?;
            sink.put(&lane.burst_rows.to_le_bytes())?;
            sink.put(&lane.lane_rows_per_second.to_le_bytes())?;
            sink.put(&lane.bytes_per_day.to_le_bytes())?;
        }
        sink.put(&[bits(head.hours.unmetered_only), bits(head.hours.workshop_only), 0, 0])?;
        sink.put(&head.hours.from_min.to_le_bytes())?;
        sink.put(&head.hours.to_min.to_le_bytes())?;
        for rule in rules {
            sink.put(&rule.event_type.0.to_le_bytes())?;
            sink.put(&rule.bus.map_or(ANY_BUS, u16::from).to_le_bytes())?;
            sink.put(&[rule.severity.map_or(ANY, Severity::code), rule.lane.map_or(ANY, Lane::code)])?;
            sink.put(&rule.window_ms.unwrap_or(LEAVE_MS).to_le_bytes())?;
            sink.put(&[u8::from(rule.keep), 0])?;
        }
        Policy::parse(sink.written())?;
        Ok(sink.used())
    }
}

/// Returns the place of a lane in a policy: 0 is the highest.
#[must_use]
pub const fn lane_rank(lane: Lane) -> usize {
    match lane {
        Lane::Critical => 0,
        Lane::Batched => 1,
        Lane::Deferred => 2,
    }
}

/// Returns whether a policy may give a type this lane: always at or above the catalogue's, below it only if the
/// catalogue says so. What the catalogue does not have is not lowered.
#[must_use]
pub fn may_take(event_type: EventTypeId, lane: Lane) -> bool {
    match catalogue::defaults(event_type) {
        Some(defaults) => defaults.lowerable || lane_rank(lane) <= lane_rank(defaults.lane),
        None => lane_rank(lane) <= lane_rank(Lane::Batched),
    }
}

fn capped(cursor: &mut Cursor<'_>, min: u32, max: u32) -> Result<u32, FrameError> {
    let offset = cursor.at;
    let got = cursor.u32()?;
    if got < min {
        return Err(FrameError::Value { offset, got: u64::from(got) });
    }
    if got > max {
        return Err(FrameError::Cap { offset, max: u64::from(max), got: u64::from(got) });
    }
    Ok(got)
}

fn lane(cursor: &mut Cursor<'_>, lane: Lane) -> Result<LanePolicy, FrameError> {
    let window_max = WINDOW_MS_MAX.get(lane_rank(lane)).copied().unwrap_or(0);
    let window_ms = capped(cursor, 0, window_max)?;
    let rows_per_hour = capped(cursor, ROWS_PER_HOUR_MIN, ROWS_MAX)?;
    let burst_rows = capped(cursor, BURST_ROWS_MIN, ROWS_MAX)?;
    let lane_rows_per_second = capped(cursor, 1, ROWS_MAX)?;
    let offset = cursor.at;
    let bytes_per_day = cursor.u64()?;
    if lane == Lane::Critical && bytes_per_day < CRITICAL_BYTES_PER_DAY_MIN {
        return Err(FrameError::Value { offset, got: bytes_per_day });
    }
    Ok(LanePolicy { window_ms, rows_per_hour, burst_rows, lane_rows_per_second, bytes_per_day })
}

fn hours(cursor: &mut Cursor<'_>) -> Result<UplinkHours, FrameError> {
    let mut lanes = [[false; 3]; 2];
    for lanes in &mut lanes {
        let offset = cursor.at;
        let got = cursor.u8()?;
        // Critical rows wait for no link and no workshop.
        if got & 1 != 0 || got > 7 {
            return Err(FrameError::Value { offset, got: u64::from(got) });
        }
        *lanes = [false, got & 2 != 0, got & 4 != 0];
    }
    let offset = cursor.at;
    let reserved = cursor.u16()?;
    if reserved != 0 {
        return Err(FrameError::Value { offset, got: u64::from(reserved) });
    }
    let offset = cursor.at;
    let (from_min, to_min) = (cursor.u16()?, cursor.u16()?);
    if from_min >= DAY_MIN || to_min > DAY_MIN || from_min == to_min {
        return Err(FrameError::Value { offset, got: u64::from(from_min) });
    }
    let [unmetered_only, workshop_only] = lanes;
    Ok(UplinkHours { unmetered_only, workshop_only, from_min, to_min })
}

fn bits([critical, batched, deferred]: [bool; 3]) -> u8 {
    u8::from(critical) | u8::from(batched) << 1 | u8::from(deferred) << 2
}

fn rule(bytes: &[u8], base: usize) -> Result<PolicyRule, FrameError> {
    let mut cursor = Cursor::new(bytes);
    let value = |at: usize, got: u64| FrameError::Value { offset: base.saturating_add(at), got };
    let event_type = EventTypeId(cursor.u16()?);
    if event_type.0 == 0 {
        return Err(value(0, 0));
    }
    let number = cursor.u16()?;
    let bus = match u8::try_from(number) {
        Ok(bus) => Some(bus),
        Err(_) if number == ANY_BUS => None,
        Err(_) => return Err(value(2, u64::from(number))),
    };
    let number = cursor.u8()?;
    let severity = match number {
        ANY => None,
        code => Some(Severity::from_code(code).ok_or(value(4, u64::from(code)))?),
    };
    let number = cursor.u8()?;
    let lane = match number {
        ANY => None,
        code => Some(
            Lane::from_code(code)
                .filter(|lane| may_take(event_type, *lane))
                .ok_or(value(5, u64::from(code)))?,
        ),
    };
    let number = cursor.u32()?;
    let window_ms = Some(number).filter(|window| *window != LEAVE_MS);
    // The lane that it ends in is not known here, so the shortest of those that it could be is not asked for.
    let longest = lane.map_or(WINDOW_MS_MAX.get(2), |lane| WINDOW_MS_MAX.get(lane_rank(lane)));
    if let (Some(window), Some(longest)) = (window_ms, longest)
        && window > *longest
    {
        let (max, got) = (u64::from(*longest), u64::from(window));
        return Err(FrameError::Cap { offset: base.saturating_add(6), max, got });
    }
    let flags = cursor.u8()?;
    if flags & !KEEP != 0 {
        return Err(value(10, u64::from(flags)));
    }
    let reserved = cursor.u8()?;
    if reserved != 0 {
        return Err(value(11, u64::from(reserved)));
    }
    Ok(PolicyRule { event_type, bus, severity, lane, window_ms, keep: flags & KEEP != 0 })
}
