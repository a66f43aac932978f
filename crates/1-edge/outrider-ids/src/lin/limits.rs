//! Numbers that turn facts into verdicts. Each says where it comes from; a guess says so.

use crate::evidence::Ladder;

/// Time of its own traffic from which a bus without a model is learned, in microseconds: twenty rounds of a schedule
/// of a second (guess).
pub(super) const WARM_UP_US: u64 = 20_000_000;
/// Headers it must have had by then.
pub(super) const WARM_UP_HEADERS: u32 = 200;
/// Headers after which a model is given up that half of them do not fit: the file is of another bus.
pub(super) const MATCH_HEADERS: u32 = 128;
/// Window in which occurrences are held together, in microseconds (guess).
pub(super) const WINDOW_US: u64 = 10_000_000;
/// A header is early if more than this part of its slot is missing; ISO 17987-3 allows a master far less jitter.
pub(super) const EARLY_DIVISOR: u32 = 8;
/// … and behind or before a response that is none, whose length nobody knows, this part.
pub(super) const EARLY_DIVISOR_FAULT: u32 = 2;
/// Time of a bit at 19.2 kbit/s, the usual rate, in microseconds; only differences of frames are worked out with it.
pub(super) const BIT_US: u64 = 52;
/// Bits of a header (ISO 17987-3: break 13, delimiter 1, synchronisation and identifier 10 each).
pub(super) const HEADER_BITS: u64 = 34;
/// Silence after which a bus sleeps, in microseconds: at least 4 s (ISO 17987-2, bus sleep).
pub(super) const IDLE_US: u64 = 4_000_000;
/// Headers inside of others' slots: one is an upset master, three are a second one.
pub(super) const INTRUSIONS: Ladder = Ladder { low: 1, medium: 3 };
/// Early headers that nobody else's schedule explains (guess).
pub(super) const EARLY: Ladder = Ladder { low: 3, medium: 12 };
/// Headers in an order that no table has (guess).
pub(super) const ORDER: Ladder = Ladder { low: 2, medium: 6 };
/// Headers of an identifier that no table has, with a model.
pub(super) const UNKNOWN: Ladder = Ladder::AT_ONCE;
/// … without one they may be of a table that came for the first time: said, but no alarm.
pub(super) const UNKNOWN_LEARNED: Ladder = Ladder { low: 3, medium: u32::MAX };
/// After this many headers without anybody's slot broken, an unknown identifier is taken for the master's (guess).
pub(super) const ADOPTED: u32 = 50;
/// Responses of another length or checksum.
pub(super) const PUBLISHER: Ladder = Ladder::AT_ONCE;
/// Damaged responses of one identifier; noise damages one now and then (guess).
pub(super) const DAMAGED: Ladder = Ladder { low: 3, medium: 8 };
/// Two whole responses to one header.
pub(super) const DOUBLE: Ladder = Ladder::AT_ONCE;
/// Headers that cannot be trusted (guess).
pub(super) const HEADERS_BROKEN: Ladder = Ladder { low: 5, medium: 20 };
/// Responses after which an identifier counts as answered.
pub(super) const ANSWERED: u8 = 10;
/// Headers in a row that nobody answered (guess: the second is a second of a fast schedule).
pub(super) const SILENT: Ladder = Ladder { low: 5, medium: 20 };
/// Identifiers silent at once that are a supply switched off rather than one slave silenced (guess: a node has no more
/// unconditional frames).
pub(super) const SILENT_IDS_MAX: u32 = 4;
/// Window of diagnostic requests, in microseconds.
pub(super) const SCAN_US: u64 = 60_000_000;
/// Node addresses asked in it: a cluster has at most 16 nodes (ISO 17987-2).
pub(super) const SCAN_NADS: Ladder = Ladder { low: 9, medium: 17 };
/// Wake-up signals in a window: a node that is not heard sends six a second and then pauses (ISO 17987-2, wake-up).
pub(super) const WAKE_UPS: Ladder = Ladder { low: 25, medium: 60 };
/// Go-to-sleep commands in a window (guess: a bus falls asleep once).
pub(super) const SLEEPS: Ladder = Ladder { low: 3, medium: 6 };
/// Time in which a bus whose master sent it to sleep is silent, in microseconds (guess: the round it was in is over).
pub(super) const SLEEP_GRACE_US: u64 = 500_000;
/// Commands that the master did not mean: it went on.
pub(super) const SLEEPS_IGNORED: Ladder = Ladder { low: 1, medium: 2 };
