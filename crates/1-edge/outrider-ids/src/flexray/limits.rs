//! Numbers that turn facts into verdicts. Each says where it comes from; a guess says so.

use crate::evidence::Ladder;

/// Cycles from which a cluster without a model is learned: ten rounds of all 64.
pub(super) const WARM_UP_CYCLES: u32 = 640;
/// Cycles after which a model is given up that half of the frames do not fit: the file is of another cluster.
pub(super) const MATCH_CYCLES: u32 = 128;
/// Part of its cycles in which a frame of the static segment was seen while it was learned, in eighths; the rest is
/// what a capture loses.
pub(super) const STATIC_EIGHTHS: u32 = 7;
/// Window in which occurrences are held together, in microseconds (guess).
pub(super) const WINDOW_US: u64 = 10_000_000;
/// Frames where none belongs: each slot has one owner, so the third is no chance.
pub(super) const SLOT: Ladder = Ladder::AT_ONCE;
/// … in the dynamic segment of a cluster that was learned, a rare frame may come for the first time.
pub(super) const SLOT_DYNAMIC: Ladder = Ladder { low: 3, medium: u32::MAX };
/// Frames of a rare slot after which it belongs to the cluster (guess).
pub(super) const ADOPTED: u32 = 20;
/// Turns that a frame missed: one may be lost by the capture; the second is a fifth of a second of a frame in every cycle
/// (guess).
pub(super) const MISSED: Ladder = Ladder { low: 4, medium: 40 };
/// Cycles without a frame of an owner that count at least, for those who send in every cycle.
pub(super) const MISSED_CYCLES_MIN: u32 = 6;
/// Null frames in a row of a slot that always had data (guess).
pub(super) const NULLS: Ladder = Ladder { low: 16, medium: u32::MAX };
/// Frames of another length, or with flags that the slot does not have.
pub(super) const FRAME: Ladder = Ladder::AT_ONCE;
/// Frames that do not come in the order of slots or cycles.
pub(super) const ORDER: Ladder = Ladder { low: 2, medium: 6 };
/// Damaged frames in a window; a cluster that starts up has some (guess).
pub(super) const ERRORS: Ladder = Ladder { low: 20, medium: 200 };
/// Symbols in a window: a wake-up has two to 63 patterns, and is one symbol in most captures (guess).
pub(super) const SYMBOLS: Ladder = Ladder { low: 40, medium: 200 };
/// Silence after which a cluster starts anew, in microseconds: more than any cycle (at most 16 ms).
pub(super) const STOPPED_US: u64 = 200_000;
/// Time since a cycle began after which the capture lost something, in microseconds: the longest cycle has 16 ms.
pub(super) const LOST_US: u64 = 20_000;
/// Cycles that a capture may lose in one piece; more is taken for a jump of the counter.
pub(super) const CYCLES_LOST_MAX: u8 = 8;
/// Jumps in a row after which the counter is believed.
pub(super) const JUMPS_MAX: u8 = 3;
