//! NDJSON of a telematics backend: made of a seed, the same on every machine.

use std::fmt::Write as _;

use outrider_types::Seed;

/// First second of the events: 2026-01-05 00:00:00 UTC.
pub(crate) const START_S: u64 = 1_767_571_200;
/// Events of a second: as a fleet of one million sends.
const EVENTS_A_SECOND: u64 = 1_200;
/// Letters of a VIN.
const VIN_LETTERS: &[u8; 33] = b"ABCDEFGHJKLMNPRSTUVWXYZ0123456789";

/// Words of the source for its kinds of events, with their share in percent.
const KINDS: [(&str, u64); 11] = [
    ("FW_BLOCK", 25),
    ("CAN_UNKNOWN_ID", 12),
    ("CAN_CYCLE", 12),
    ("PROC_EXEC", 12),
    ("FILE_MOD", 9),
    ("UDS_DENIED", 8),
    ("LOGIN_FAIL", 7),
    ("CAN_FLOOD", 5),
    ("OTA_FAIL", 4),
    ("UDS_SCAN", 3),
    ("HEARTBEAT_LOST", 3),
];

/// Makes events one line each.
#[derive(Debug)]
pub struct Events {
    seed: Seed,
    vehicles: u64,
    number: u64,
}

impl Events {
    /// Creates the sequence of a seed for a fleet of so many vehicles, at least one.
    #[must_use]
    pub fn new(seed: u64, vehicles: u64) -> Self {
        Self { seed: Seed::new(seed), vehicles: vehicles.max(1), number: 0 }
    }

    /// Appends the next event and a line end.
    pub fn write(&mut self, out: &mut String) {
        let vehicle = self.seed.below(self.vehicles);
        let (number, seed) = (self.number, &mut self.seed);
        self.number += 1;
        let micros = number * 1_000_000 / EVENTS_A_SECOND;
        let kind = kind(seed);
        out.push_str("{\"ts\":\"");
        time(out, START_S + micros / 1_000_000, micros % 1_000_000);
        out.push_str("\",\"vin\":\"");
        vin(out, vehicle);
        let severity = ["info", "low", "medium", "high"][index(seed.below(4), 4)];
        let ecu = ["gateway", "tcu", "ivi", "adas", "bcm", "pcm"][index(seed.below(6), 6)];
        let put = write!(
            out,
            "\",\"device\":\"tcu-{vehicle:06}\",\"seq\":{number},\"event\":\"{kind}\",\"sev\":\"{severity}\",\
             \"ecu\":\"{ecu}\",\"bus\":{},\"sw\":\"24.{}.{}\",\"model\":\"{}\",\"region\":\"{}\",\"ign\":{},\
             \"net\":\"{}\",\"rssi\":-{},\"up\":{},\"fw\":\"tcu 7.{}.1\",\
             \"speed\":{},\"odo\":{},\"lat\":{}.{:05},\"lon\":{}.{:05},\"data\":{{",
            seed.below(3),
            1 + vehicle % 4,
            vehicle % 7,
            ["aster", "borealis", "corvus"][index(vehicle % 3, 3)],
            ["DE", "FR", "US", "JP", "CN"][index(vehicle % 5, 5)],
            seed.chance(9, 10),
            ["lte", "nr", "wifi"][index(seed.below(3), 3)],
            60 + seed.below(50),
            seed.below(500_000),
            vehicle % 4,
            seed.below(160),
            10_000 + vehicle % 90_000,
            40 + seed.below(15),
            seed.below(100_000),
            1 + seed.below(20),
            seed.below(100_000),
        );
        put.expect("a string takes all");
        data(out, kind, seed);
        out.push_str("}}\n");
    }
}

/// Returns a number below `bound` as an index.
fn index(number: u64, bound: usize) -> usize {
    usize::try_from(number).unwrap_or(0).min(bound.saturating_sub(1))
}

fn kind(seed: &mut Seed) -> &'static str {
    let mut place = seed.below(100);
    for (kind, share) in KINDS {
        if place < share {
            return kind;
        }
        place -= share;
    }
    KINDS[0].0
}

/// Writes a time of January 2026.
fn time(out: &mut String, second: u64, micros: u64) {
    let (day, rest) = ((second - START_S) / 86_400, (second - START_S) % 86_400);
    let put = write!(
        out,
        "2026-01-{:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        5 + day % 26,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    );
    put.expect("a string takes all");
}

fn vin(out: &mut String, vehicle: u64) {
    out.push_str("WVWZZZ1J");
    let mut rest = Seed::new(vehicle).next_u64();
    for _ in 0..9 {
        out.push(char::from(VIN_LETTERS[index(rest % 33, 33)]));
        rest /= 33;
    }
}

/// Writes the members that an event of a kind has.
fn data(out: &mut String, kind: &str, seed: &mut Seed) {
    let words = |seed: &mut Seed, of: &[&'static str]| of[index(seed.below(of.len() as u64), of.len())];
    let put = match kind {
        "CAN_UNKNOWN_ID" => write!(
            out,
            "\"can_id\":{},\"dlc\":{},\"frames\":{},\"detector\":\"{}\"",
            seed.below(2_048),
            seed.below(9),
            1 + seed.below(50),
            words(seed, &["spec", "timing", "novelty", "range"])
        ),
        "CAN_CYCLE" => write!(
            out,
            "\"can_id\":{},\"gap_ms\":{}.{},\"expected_ms\":{},\"frames\":{}",
            seed.below(2_048),
            seed.below(200),
            seed.below(10),
            words(seed, &["10", "20", "50", "100"]),
            1 + seed.below(50)
        ),
        "CAN_FLOOD" => write!(
            out,
            "\"can_id\":{},\"rate_hz\":{},\"limit_hz\":2000,\"load_pct\":{},\"detector\":\"rate\"",
            seed.below(2_048),
            2_000 + seed.below(4_000),
            20 + seed.below(80)
        ),
        "PROC_EXEC" => write!(
            out,
            "\"process\":\"{}\",\"parent\":\"{}\",\"path\":\"{}/{}{}\",\"uid\":{},\"root\":{},\"reason\":\"{}\"",
            words(
                seed,
                &["sh", "busybox", "nc", "curl", "python3", "dbus-daemon", "update_agent", "tool7", "tool42"]
            ),
            words(seed, &["init", "sshd", "update_agent", "ivi_shell", "crond"]),
            words(seed, &["/usr/bin", "/opt/oem", "/tmp/.x", "/data/app", "/var/lib/upd", "/mnt/usb0"]),
            words(seed, &["nc", "a.out", "sh", "helper", "agent", "lib.so.1"]),
            seed.below(40),
            words(seed, &["0", "33", "1000", "1001", "2000"]),
            seed.chance(1, 4),
            words(seed, &["not in allow list", "unsigned binary", "parent not expected"])
        ),
        "FILE_MOD" => write!(
            out,
            "\"path\":\"{}/{}.{}\",\"process\":\"{}\",\"uid\":{},\"reason\":\"{}\"",
            words(
                seed,
                &["/etc/ssh", "/etc/systemd/system", "/opt/oem/etc", "/boot", "/data/keys", "/usr/lib"]
            ),
            words(seed, &["sshd_config", "can0", "firewall", "vmlinuz", "vehicle", "libcrypto"]),
            words(seed, &["conf", "service", "key", "img", "so", "pem"]),
            words(seed, &["vi", "update_agent", "cp", "tar", "sed"]),
            words(seed, &["0", "33", "1000", "1001"]),
            words(seed, &["hash differs", "size differs", "permission changed"])
        ),
        "LOGIN_FAIL" => write!(
            out,
            "\"process\":\"{}\",\"uid\":{},\"src\":\"192.168.{}.{}\",\"reason\":\"{}\",\"attempts\":{}",
            words(seed, &["sshd", "doipd", "adbd", "login"]),
            words(seed, &["0", "33", "1000"]),
            seed.below(4),
            seed.below(256),
            words(seed, &["bad password", "unknown key", "account locked"]),
            1 + seed.below(30)
        ),
        "UDS_DENIED" | "UDS_SCAN" => write!(
            out,
            "\"nrc\":{},\"service\":{},\"level\":{},\"target\":{},\"tester\":{},\"attempts\":{}",
            words(seed, &["51", "53", "54", "55"]),
            words(seed, &["16", "34", "39", "46", "49", "52"]),
            1 + 2 * seed.below(4),
            256 + seed.below(32),
            words(seed, &["3712", "3713", "241", "3840"]),
            1 + seed.below(20)
        ),
        "OTA_FAIL" => write!(
            out,
            "\"campaign\":\"camp-{:03}\",\"package\":\"fw-{}-{}\",\"component\":\"{}\",\"reason\":\"{}\"",
            seed.below(200),
            words(seed, &["gateway", "ivi", "adas"]),
            seed.below(20),
            words(seed, &["gateway", "ivi", "adas", "bcm"]),
            words(
                seed,
                &["signature invalid", "signature missing", "hash mismatch", "disk full", "battery low"]
            )
        ),
        "HEARTBEAT_LOST" => write!(
            out,
            "\"component\":\"{}\",\"dropped\":{}",
            words(seed, &["ids", "log", "fw"]),
            seed.below(90)
        ),
        _ => write!(
            out,
            "\"rule\":{},\"src\":\"203.0.113.{}\",\"dst\":\"10.{}.0.{}\",\"sport\":{},\"dport\":{},\"proto\":\"{}\"",
            words(seed, &["11", "12", "21", "22"]),
            seed.below(256),
            seed.below(4),
            seed.below(16),
            1_024 + seed.below(60_000),
            words(seed, &["22", "23", "80", "443", "5555", "8080", "13400", "30490"]),
            words(seed, &["tcp", "udp"])
        ),
    };
    put.expect("a string takes all");
}
