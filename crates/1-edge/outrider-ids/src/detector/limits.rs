//! Numbers that turn facts into judgements. Each says where it comes from; a guess says so.

/// Frames an identifier must be ahead of its cycle to be injected. The worst of ordinary traffic (a button
/// pressed, with its signal sent at once and again) was 3.3 in the recordings this was chosen on.
pub const AHEAD_FRAMES: u32 = 6;
/// Frames ahead that are enough for an identifier that was never more than one ahead …
pub const AHEAD_STRICT_FRAMES: u32 = 4;
/// … in this many frames.
pub const AHEAD_STRICT_AFTER: u32 = 200;
/// Most frames ahead that learning on the road believes to be habit; above, the identifier has no cycle.
pub const AHEAD_LEARNED_MAX: u32 = 12;
/// Times the cycle of an identifier may turn out to be another before it counts as having none.
pub const CYCLE_CHANGES_MAX: u8 = 3;
/// Gaps of an identifier with a cycle of up to [`SUSPEND_FAST_US`] that show that it does not pause, …
pub const STEADY_GAPS: u32 = 8;
/// … of a slower one (one of 500 ms was seen that came nine times and then not for 4.5 s) …
pub const STEADY_GAPS_SLOW: u32 = 20;
/// … and gaps judged against a cycle that was found before.
pub const STEADY_JUDGED: u32 = 4;
/// One gap in so many may be too long, and one more: a frame lost now and then is no pause.
pub const STEADY_LATE_ONE_IN: u64 = 20;
/// Longest gap of an identifier that does not pause, in cycles: two frames lost in a row.
pub const STEADY_CYCLES_MAX: u64 = 3;
/// Share of the time of its bus that an identifier must have been there for its stop to mean something, in
/// quarters: one that came later may go again …
pub const STEADY_QUARTERS: u64 = 3;
/// … unless it has come for so long, in microseconds.
pub const STEADY_US: u64 = 20_000_000;
/// Gaps after which the timing of an identifier learned on the road is judged.
pub const LEARNED_GAPS: u32 = 6;
/// Time of its own traffic before timing is judged at all, in microseconds: ECUs that start send in bursts (guess).
pub const LEARNED_US: u64 = 1_000_000;
/// Frames ahead that are an injection while fewer than [`AHEAD_YOUNG_GAPS`] gaps are known: room for habits that did
/// not show yet (guess).
pub const AHEAD_YOUNG_FRAMES: u32 = 8;
/// Gaps after which an identifier is no longer young.
pub const AHEAD_YOUNG_GAPS: u32 = 12;
/// Time of its own traffic before a bus without a model is judged at all, in microseconds.
pub const WARM_UP_MIN_US: u64 = 2_000_000;
/// Time after which learning on the road no longer widens the limits of timing, in microseconds.
pub const WARM_UP_US: u64 = 20_000_000;
/// Share of its time that a bus must have brought no new identifier for its list to be complete, as a divisor.
pub const WARM_UP_CALM_DIVISOR: u64 = 4;
/// Most new identifiers of a warm-up beyond [`NOVEL_HZ`]: three times as many as the largest bus seen had.
pub const WARM_UP_IDS: u32 = 700;
/// Frames after which a model that does not fit its bus is given up, at most …
pub const MATCH_FRAMES: u64 = 400;
/// … and at least, if it fits by two to one.
pub const MATCH_FRAMES_MIN: u64 = 64;
/// Strangers that begin together, each often, and are an ECU that woke rather than one that was added.
pub const STRANGER_GROUP: usize = 3;
/// Time within which they begin, in microseconds.
pub const STRANGER_GROUP_US: u64 = 1_500_000;
/// A stranger that stayed rare for this long is learned, in microseconds.
pub const STRANGER_LEARNED_US: u64 = 20_000_000;
/// Room above what training saw, for identifiers that send several extra frames by habit (guess).
pub const AHEAD_MARGIN_FRAMES: u32 = 4;
/// An identifier floods at more than this multiple of its own rate …
pub const FLOOD_FACTOR: u32 = 10;
/// … and more than this many frames a second, about a tenth of what a 500 kbit/s bus carries (guess) …
pub const FLOOD_HZ_MIN: u32 = 400;
/// … by this many frames.
pub const FLOOD_FRAMES: u32 = 60;
/// Rate that is a flood whatever an identifier was learned to do on the road, in Hz: no ECU sends one more often than
/// every millisecond, and a flood that began before the bus was known would else be its habit.
pub const FLOOD_LEARNED_HZ_MAX: u32 = 1200;
/// A bus is flooded above this percentage of the highest rate of training …
pub const BUS_FLOOD_PERCENT: u32 = 125;
/// … by this many frames: what a tenth of a second of a full 500 kbit/s bus carries, halved.
pub const BUS_FLOOD_FRAMES: u32 = 200;
/// Lowest rate of a flooded bus whose usual rate was learned on the road, in Hz: a bus that was half asleep
/// while it was learned may wake (guess).
pub const BUS_FLOOD_HZ_MIN: u32 = 1500;
/// Frame rate that counts as a full bus when the model does not know the bus, in Hz: 500 kbit/s divided by
/// the 111 bits of a classic frame of eight bytes without stuffing, less a tenth.
pub const BUS_RATE_UNKNOWN_HZ: u32 = 4000;
/// An unknown identifier up to this many frames a second is a rare event of an honest ECU …
pub const UNKNOWN_HZ: u32 = 2;
/// … unless it is ahead of that by this many frames; bursts of five were seen in ordinary traffic.
pub const UNKNOWN_FRAMES: u32 = 10;
/// Time an unknown identifier gets to turn out as a flood before it is judged, in microseconds: sixty frames at
/// a rate of a thousand a second (guess).
pub const UNKNOWN_SETTLE_US: u64 = 100_000;
/// New identifiers a second that a user's actions may bring …
pub const NOVEL_HZ: u32 = 4;
/// … and how many more make a scan or a fuzzer.
pub const NOVEL_FRAMES: u32 = 24;
/// A known identifier without a cycle may come at this rate or thrice what training saw, in Hz …
pub const EVENT_HZ: u32 = 50;
/// … and this many frames beyond.
pub const EVENT_FRAMES: u32 = 30;
/// Frames of an identifier of another bus that make it a gap in the gateway rather than one in the training.
pub const SEGMENT_FRAMES: u32 = 3;
/// Wrong lengths of one identifier that make it an attack rather than a variant the model lacks.
pub const DLC_FRAMES: u32 = 3;
/// Identifiers that each have a wrong length within [`DLC_IDS_US`] and are fuzzed: one may have a length that was not
/// learned, four at once do not (guess).
pub const DLC_IDS: usize = 4;
/// Time within which they have it, in microseconds (guess).
pub const DLC_IDS_US: u64 = 2_000_000;
/// Gaps after which the lengths of an identifier learned on the road are known.
pub const LENGTHS_GAPS: u32 = 10;
/// Cycles up to this long are watched closely, in microseconds: ECUs send those without a break.
pub const SUSPEND_FAST_US: u32 = 250_000;
/// Longest cycle that is watched for a stop at all, in microseconds.
pub const SUSPEND_SLOW_US: u32 = 1_100_000;
/// Missed cycles, in quarters, of identifiers whose cycle is at most so long in microseconds. A task that is
/// late costs a fast identifier several cycles and a slow one none, so the product grows with the cycle.
pub const SUSPEND_CYCLES: [(u32, u32); 4] = [(12_000, 40), (30_000, 24), (60_000, 18), (250_000, 14)];
/// Missed cycles of a slower identifier, in quarters; a pause of 4.3 cycles was seen in ordinary traffic.
pub const SUSPEND_SLOW_CYCLES_Q4: u32 = 32;
/// Added to every suspension limit for arbitration behind a burst of others, in microseconds: eighty frames of
/// a 500 kbit/s bus.
pub const SUSPEND_GRACE_US: u32 = 20_000;
/// Time between overdue and said, in which others of the same ECU may follow, in microseconds (guess) …
pub const SUSPEND_CONFIRM_US: u64 = 120_000;
/// … if one has followed; one that is late alone is said sooner (guess).
pub const SUSPEND_ALONE_US: u64 = 60_000;
/// Gaps of all steady identifiers of a bus, of its fast ones or its slow ones, from which its own worst gap is drawn.
pub const POOL_GAPS: u32 = 300;
/// Least silence that is too long once the worst gap of the bus is known, in microseconds: a task that hangs costs a
/// fast identifier many cycles (guess), and [`SUSPEND_GRACE_US`].
pub const POOL_SILENCE_MIN_US: u32 = 120_000;
/// Part of a stall of the whole bus that the frames behind it need to come in, as a divisor, …
pub const BACKLOG_DIVISOR: u64 = 4;
/// … at most this long, in microseconds, …
pub const BACKLOG_US_MAX: u64 = 100_000;
/// … and this much more: a logger hands over what it kept at once, or as fast as its own bus allows (guess).
pub const BACKLOG_GRACE_US: u64 = 10_000;
/// Identifiers stopped at once that are said one by one; more are one ECU or the whole network.
pub const SUSPEND_SINGLE_MAX: u32 = 4;
/// Frames in a row that arm the watchdog of an identifier.
pub const SUSPEND_ARM_FRAMES: u8 = 4;
/// An identifier that never came is missed this long after the first frame of the bus, in microseconds.
pub const ABSENT_US: u64 = 2_000_000;
/// Longest silence of a whole bus after which single identifiers are still missed, in microseconds: longer is
/// sleep, or a gap in a capture.
pub const BUS_SILENCE_US: u64 = 400_000;
/// Shortest one, for a bus that is never silent otherwise, in microseconds: a logger that writes to its disk.
pub const BUS_SILENCE_MIN_US: u64 = 25_000;
/// Multiple of the longest usual silence of a bus that counts as one.
pub const BUS_SILENCE_FACTOR: u64 = 3;
/// Clock steps back of more than this restart the detectors, in microseconds.
pub const CLOCK_STEP_US: u64 = 1_000_000;
/// How long after a flood the timing of others means nothing, in microseconds (guess).
pub const AFTER_FLOOD_US: u64 = 1_500_000;
/// Refused keys that make a brute force …
pub const KEY_FAILURES: u32 = 3;
/// … unless one comes less often than every this many seconds: a locked ECU makes a tester wait 10 s.
pub const KEY_FAILURE_SECONDS: u32 = 20;
/// Keys sent to one ECU, or seeds asked of it, that make a brute force even if its answers are not seen.
pub const KEY_ATTEMPTS: u32 = 6;
/// Seconds in which one attempt is forgotten.
pub const KEY_ATTEMPT_SECONDS: u32 = 10;
/// Refusals of unsupported services that make a scan …
pub const SCAN_REFUSALS: u32 = 15;
/// … beyond this many a second.
pub const SCAN_HZ: u32 = 2;
/// Identifiers in a row, each the neighbour of the one before, that make a scan. Workshop programs read lists, whose
/// runs are shorter (guess).
pub const SCAN_RUN_DIDS: u16 = 16;
/// Services in a row, each the neighbour of the one before, that make a scan: no task needs more than 0x34 to 0x37.
pub const SCAN_RUN_SERVICES: u16 = 5;
/// Services in a row that nobody need refuse, on an identifier that is a tester's by law: as many as identifiers, since
/// not every maker keeps to that law and a payload may count (guess).
pub const SCAN_RUN_UNANSWERED: u16 = SCAN_RUN_DIDS;
/// Speed above which a vehicle drives, in km/h: above walking on a brake tester.
pub const DRIVING_KMH: u16 = 5;
/// Age at which a speed is no longer known, in microseconds.
pub const SPEED_AGE_US: u64 = 2_000_000;
/// Error frames a second that a healthy bus may have …
pub const ERROR_HZ: u32 = 10;
/// … and how many more make a burst.
pub const ERROR_FRAMES: u32 = 30;
/// Time without an error that ends a run of errors, in microseconds: a victim of 1 Hz still fails once in it.
pub const ERROR_RUN_US: u64 = 1_200_000;
/// Time behind an error within which the destroyed frame is sent again, in microseconds: the error flag, the pause of
/// an error passive sender, and four frames that go before it, at 500 kbit/s.
pub const ERROR_BEHIND_US: u64 = 1_200;
/// Errors right before frames of one identifier that point to it …
pub const ERROR_TARGET_HITS: u16 = 8;
/// … if they are this part of the run, in percent (guess).
pub const ERROR_TARGET_PERCENT: u32 = 60;
/// Errors before a silence that make it a bus-off: a quarter of the 32 that it takes, since loggers and controllers do
/// not report every one (guess).
pub const BUS_OFF_ERRORS: u32 = 8;
/// Time behind the last error in which identifiers may turn out to be gone, in microseconds.
pub const BUS_OFF_US: u64 = 4_000_000;
/// Least time behind the last error, in microseconds: what stops with everybody shows by then that it does (guess).
pub const BUS_OFF_SETTLE_US: u64 = 60_000;
/// Cycles without a frame behind errors that make an identifier gone: fewer than without errors, which are evidence
/// enough for half of it.
pub const BUS_OFF_CYCLES: u64 = 2;
/// Identifiers of one ECU that are named one by one; of more only the number is said.
pub const BUS_OFF_NAMED_MAX: u32 = 8;
/// Frames of a window in which pairs of identifiers are counted: a third of a second of a busy bus.
pub const SEQUENCE_FRAMES: u32 = 512;
/// Windows that must be held out before any is judged.
pub const SEQUENCE_WINDOWS: u32 = 4;
/// New pairs are too many above this multiple of the most of a window that was held out …
pub const SEQUENCE_FACTOR: u32 = 3;
/// … and so many more: a thirty-second of a window (guess) …
pub const SEQUENCE_ROOM: u32 = 16;
/// … in so many windows in a row.
pub const SEQUENCE_STREAK: u32 = 2;
/// Time after which the pairs of one more identifier are forgotten, in microseconds: all of them in 40 minutes (guess).
pub const SEQUENCE_FADE_US: u64 = 10_000_000;
/// Other identifiers that must do something new at the same time for it to be the vehicle rather than an attacker …
pub const QUORUM_IDS: usize = 2;
/// … which is within this time, in microseconds: drivers and relays act on several ECUs within a second.
pub const QUORUM_US: u64 = 700_000;
/// Time that a broken counter or checksum waits for others, in microseconds.
pub const WAIT_LAW_US: u64 = 40_000;
/// Time that a jump waits, in microseconds: a cycle of most identifiers.
pub const WAIT_JUMP_US: u64 = 100_000;
/// Longest time that a suspicion waits for the next frame of its identifier, in microseconds: slower ones are said at
/// once.
pub const WAIT_FRAME_US: u64 = 350_000;
/// Time that lost noise waits, in microseconds: a vehicle that comes to a stand takes a while.
pub const WAIT_CALM_US: u64 = 500_000;
/// Eighths of its cycle after which a frame follows the one before: earlier is an extra frame that some event
/// caused, whose counter need not count, later may be one after a loss.
pub const FOLLOWS_EIGHTHS: (u64, u64) = (5, 12);
/// An identifier was away if it paused for so long, in microseconds, …
pub const AWAY_US: u64 = 2_000_000;
/// … and for so many of its cycles.
pub const AWAY_CYCLES: u64 = 8;
