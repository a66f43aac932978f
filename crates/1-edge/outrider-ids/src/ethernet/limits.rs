//! Numbers that turn facts into judgements. Each says where it comes from; a guess says so.

/// Time in which an address that moves between stations is a conflict, in microseconds: an ARP cache keeps an entry
/// about a minute, and a lease is not given to somebody else within one.
pub const CLAIM_US: u64 = 60_000_000;
/// Time in which one link-local address that two stations send from is a relay or a spoofer, in microseconds (guess: a
/// relay answers at once, and nobody changes an adapter so quickly).
pub const TWO_STATIONS_US: u64 = 5_000_000;
/// A flow may carry this multiple of the most that training saw in a second …
pub const VOLUME_FACTOR: u32 = 4;
/// … and this many bytes more: one large transfer (guess).
pub const VOLUME_BYTES: u32 = 131_072;
/// … or this many packets more (guess).
pub const VOLUME_PACKETS: u32 = 200;
/// Connections to the diagnostic port from one address in ten seconds: a tester needs one or two.
pub const DOIP_CONNECTIONS: u32 = 8;
/// Identification requests from one address in ten seconds; a tester sends three (ISO 13400-2, A_DoIP_Announce_Num).
pub const DOIP_IDENTIFICATIONS: u32 = 20;
/// Refused targets of one tester in ten seconds that make a scan.
pub const DOIP_REFUSED_TARGETS: u32 = 8;
/// Seconds of the three limits above.
pub const DOIP_WINDOW_S: u32 = 10;
/// Time in which a tester's address belongs to the IP address that used it last, in microseconds: the inactivity time
/// of a DoIP connection (ISO 13400-2, T_TCP_General_Inactivity).
pub const TESTER_HOLD_US: u64 = 300_000_000;
/// An event whose size varies may be this multiple of the longest seen …
pub const LENGTH_FACTOR: u32 = 2;
/// … and this many bytes longer (guess).
pub const LENGTH_BYTES: u32 = 64;
/// Answers with an error from one service in ten seconds that make a search for methods.
pub const METHOD_ERRORS: u32 = 10;
/// Longest time an offer holds that says it holds for ever, in microseconds.
pub const OFFER_MAX_US: u64 = 3_600_000_000;
/// Time in which the answers to one discovery of a charging station belong together, in microseconds (a car repeats
/// its request every 250 ms, ISO 15118-2 table 17).
pub const SDP_US: u64 = 2_000_000;
/// Longest precharge, in microseconds: 7 s (ISO 15118-2 table 109, DIN 70121 table 75).
pub const PRECHARGE_US: u64 = 7_000_000;
/// Longest cable check, in microseconds: 40 s (the same tables).
pub const CABLE_CHECK_US: u64 = 40_000_000;
/// Silence of car and station after which the vehicle no longer charges, in microseconds: the longest pause between two
/// requests of a session (sequence timeout of the station, ISO 15118-2 table 109).
pub const CHARGING_US: u64 = 60_000_000;
/// Sessions known by their number for this long, in microseconds (guess: longer than any pause).
pub const SESSION_US: u64 = 600_000_000;
/// What a station reports may pass what the car asked by this, in mA: IEC 61851-23 allows 2.5 A below 50 A; twice that,
/// for a station whose report is late …
pub const CURRENT_EXCESS_MA: i64 = 5_000;
/// … or by this share of it, in thousandths: twice the 5 % of IEC 61851-23 above 50 A …
pub const CURRENT_EXCESS_PERMILLE: i64 = 100;
/// … for this long, in microseconds: a station follows a request within one second (IEC 61851-23), and a report later.
pub const CURRENT_EXCESS_US: u64 = 2_000_000;
/// A voltage may pass a stated limit by this share, in thousandths: errors of two meters (guess).
pub const VOLTAGE_EXCESS_PERMILLE: i64 = 20;
/// Voltage that no charging system has, in mV: the megawatt system ends at 1,250 V.
pub const VOLTAGE_MAX_MV: i64 = 1_500_000;
/// Current that no charging system has, in mA: the megawatt system ends at 3,000 A.
pub const CURRENT_MAX_MA: i64 = 3_300_000;
/// A station that precharges begins below this, in mV: the voltage that may be touched (IEC 61851-23, 60 V), and as much
/// for what a long cable keeps.
pub const PRECHARGE_START_MV: i64 = 120_000;
/// A report that stays the same for this long, in microseconds (guess: a meter's last digit never rests) …
pub const FROZEN_US: u64 = 20_000_000;
/// … while the request moved by this, in mA, is not measured.
pub const FROZEN_ASKED_MA: i64 = 5_000;
