//! Measures the way from an event to the packets that leave: bytes, processor time, memory.
//!
//! Everything is the vehicle's own: folding, spool in memory, uplink, MQTT client. Only the other end is made of bytes; it
//! opens what comes, so that nobody measures frames that no cloud could read, and signs what it acknowledges.

mod edge;
mod events;

use std::time::Duration;

use outrider_gateway::spool::{Boot, Spool, SpoolConfig};
use outrider_gateway::uplink::{Keys, Uplink, UplinkConfig};
use outrider_gateway::{Ed25519Signer, Ed25519Verifier, Gateway, MemoryStorage, fold};
use outrider_host::Usage;
use outrider_types::{BootEpoch, Lane, Seed, TenantId, VehicleId, VehicleMicros};

use self::edge::{BenchDial, Seen};
use self::events::Events;
use super::{nanos_since, now};
use crate::io::mqtt::MqttLink;
use crate::io::mqtt::Version;
use crate::io::mqtt::client::Identity;

pub(super) const VEHICLE: VehicleId = VehicleId([0xB5; 16]);
const SECOND: u64 = 1_000_000;
/// Time between two critical events: so far apart that each goes alone, as critical ones do.
const CRITICAL_EVERY_US: u64 = 90 * SECOND;

/// What single critical events cost, in bytes of MQTT packets before TLS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CriticalBytes {
    /// Events sent and acknowledged.
    pub events: u64,
    /// Of those, in short frames.
    pub short: u64,
    /// Mean of the PUBLISH packets with one critical event.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Longest.
    pub max: u64,
    /// All that the vehicle sent, reports and proofs with it, by event.
    pub with_reports: f64,
    /// What came down, by event: acknowledgements and replies.
    pub down: f64,
}

/// What the bench found.
#[derive(Debug, Clone, PartialEq)]
pub struct UplinkBench {
    /// Single critical events, over a session that takes short frames.
    pub critical: CriticalBytes,
    /// The same where no session has a key, such as through a broker.
    pub critical_signed: CriticalBytes,
    /// Mean bytes of an event in batches of 500, and in batches of 20.
    pub batched: [f64; 2],
    /// Nanoseconds of an event: folding and spool, then batch, compression and signature in batches of 500.
    pub ns_per_event: [u64; 2],
    /// Nanoseconds of building a short frame.
    pub ns_per_short_frame: u64,
    /// Most resident memory of the whole program.
    pub resident_bytes_max: u64,
}

fn gateway(rows: u32, seed: u64) -> Gateway<MemoryStorage> {
    let boot = Boot::in_memory(BootEpoch(3), 7, &[3; 32]);
    let (spool, _) =
        Spool::open(MemoryStorage::new(), SpoolConfig::default(), boot).expect("a medium in memory");
    let config = UplinkConfig { batch_rows_max: rows, ..UplinkConfig::new(TenantId(1), VEHICLE, 1) };
    let uplink = Uplink::new(config, Seed::new(seed)).expect("memory for a dictionary");
    // Nothing folds: every event becomes a row.
    Gateway::new(fold::FoldConfig { window_us: [0; 3], ..fold::FoldConfig::default() }, spool, uplink)
}

fn link(seen: &Seen, takes_short: bool) -> MqttLink<BenchDial> {
    let identity = Identity {
        version: Version::V5,
        client_id: VEHICLE.to_string(),
        up: "v1/up".to_owned(),
        down: "v1/down".to_owned(),
        keep_alive_s: 900,
    };
    MqttLink::new(BenchDial::new(seen, takes_short), identity, !takes_short, Seed::new(4))
}

struct Ends {
    batch: Ed25519Signer,
    ack: Ed25519Verifier,
}

impl Ends {
    fn new() -> Self {
        let ack = Ed25519Verifier::new(&edge::ack_key().public_key()).expect("a real key");
        Self { batch: edge::batch_key(), ack }
    }

    fn keys(&self) -> Keys<'_> {
        Keys { batch: &self.batch, ack: &self.ack }
    }
}

/// Sends single critical events and weighs the packets.
fn critical(count: u64, takes_short: bool) -> CriticalBytes {
    let (seen, ends) = (Seen::default(), Ends::new());
    let (mut gateway, mut link) = (gateway(500, 1), link(&seen, takes_short));
    let mut events = Events::new(Seed::new(0xBE7C_0001));
    for number in 1..=count {
        let at = VehicleMicros(number * CRITICAL_EVERY_US);
        seen.pass(Duration::from_micros(CRITICAL_EVERY_US));
        gateway.receive(events.single(Lane::Critical, at), at);
        gateway.exchange(&mut link, ends.keys(), at, 8);
    }
    let packets = seen.packets();
    // A packet with exactly one row and nothing else: reports are weighed apart.
    let mut single: Vec<u64> =
        packets.iter().filter(|packet| packet.is_single).map(|packet| packet.bytes).collect();
    single.sort_unstable();
    let at =
        |permille: usize| single.get((single.len() * permille / 1000).min(single.len().saturating_sub(1)));
    let all: u64 = packets.iter().map(|packet| packet.bytes).sum();
    let rows: u64 = packets.iter().map(|packet| packet.rows).sum();
    CriticalBytes {
        events: rows,
        short: packets.iter().filter(|packet| packet.is_short).count() as u64,
        mean: single.iter().sum::<u64>() as f64 / (single.len() as f64).max(1.0),
        p50: at(500).copied().unwrap_or(0),
        p99: at(990).copied().unwrap_or(0),
        max: single.last().copied().unwrap_or(0),
        with_reports: all as f64 / (rows as f64).max(1.0),
        down: seen.down_bytes() as f64 / (rows as f64).max(1.0),
    }
}

/// Sends events in batches of so many rows; returns bytes and nanoseconds of an event.
fn batched(count: u64, rows: u32) -> f64 {
    let (seen, ends) = (Seen::default(), Ends::new());
    let (mut gateway, mut link) = (gateway(rows, 2), link(&seen, true));
    let mut events = Events::new(Seed::new(0xBE7C_0002));
    let mut at = VehicleMicros(40 * SECOND);
    for _ in 0..count.div_ceil(u64::from(rows)) {
        for number in 0..rows {
            at = at.saturating_add(1 + u64::from(number * 7919 % 400_000));
            gateway.receive(events.next(Lane::Batched, at), at);
        }
        // The window ends: begun at the first exchange, over at the second.
        gateway.exchange(&mut link, ends.keys(), at, 0);
        gateway.exchange(&mut link, ends.keys(), at, 8);
        at = at.saturating_add(31 * SECOND);
        seen.pass(Duration::from_secs(31));
        gateway.exchange(&mut link, ends.keys(), at, 8);
    }
    let packets = seen.packets();
    let batches = packets.iter().filter(|packet| packet.rows >= u64::from(rows));
    let (bytes, rows) =
        batches.fold((0, 0), |(bytes, rows), packet| (bytes + packet.bytes, rows + packet.rows));
    bytes as f64 / f64::from(u32::try_from(rows).unwrap_or(u32::MAX)).max(1.0)
}

/// Takes events through folding and spool, and builds frames of them; returns nanoseconds of an event for each half.
fn work(count: u64) -> [u64; 2] {
    let ends = Ends::new();
    let mut gateway = gateway(500, 3);
    let mut events = Events::new(Seed::new(0xBE7C_0003));
    let (mut append, mut build, mut rows) = (0, 0, 0);
    let mut at = VehicleMicros(40 * SECOND);
    while rows < count {
        let batch: Vec<_> = (0..500)
            .map(|number| {
                at = at.saturating_add(1 + number * 7919 % 400_000);
                events.next(Lane::Batched, at)
            })
            .collect();
        let begin = now();
        for event in batch {
            let at = event.first;
            gateway.receive(event, at);
        }
        gateway.tick(at);
        append += nanos_since(begin);
        rows += 500;
        let (spool, uplink) = gateway.parts_mut();
        let begin = now();
        let _ = uplink.next_frame(spool, &ends.batch, at);
        let frame = uplink.next_frame(spool, &ends.batch, at.saturating_add(31 * SECOND));
        build += nanos_since(begin);
        let reply = match frame {
            Ok(Some(frame)) => edge::answer(&frame.bytes),
            Ok(None) | Err(_) => continue,
        };
        let _ = uplink.on_reply(spool, &reply, &ends.ack, at);
    }
    [append / rows.max(1), build / rows.max(1)]
}

/// Builds short frames; returns nanoseconds of one.
fn short_work(count: u64) -> u64 {
    let ends = Ends::new();
    let mut gateway = gateway(500, 5);
    let mut events = Events::new(Seed::new(0xBE7C_0004));
    let (mut total, mut built) = (0, 0);
    let mut edge = edge::ShortEdge::new();
    for number in 1..=count {
        let at = VehicleMicros(number * 1000);
        gateway.receive(events.single(Lane::Critical, at), at);
        let (spool, uplink) = gateway.parts_mut();
        uplink.set_session(Some(edge::ShortEdge::session()));
        let begin = now();
        let frame = uplink.next_frame(spool, &ends.batch, at);
        total += nanos_since(begin);
        let Ok(Some(frame)) = frame else { continue };
        built += 1;
        let _ = uplink.on_reply(spool, &edge.answer(&frame.bytes), &ends.ack, at);
    }
    total / built.max(1)
}

/// Measures the uplink with so many events of each kind. Times are processor times of one thread that nothing makes wait;
/// run it in a release build on a computer that has nothing else to do.
#[must_use]
pub fn uplink(count: u64) -> UplinkBench {
    UplinkBench {
        critical: critical(count, true),
        critical_signed: critical(count / 4, false),
        batched: [batched(count * 5, 500), batched(count, 20)],
        ns_per_event: work(count * 5),
        ns_per_short_frame: short_work(count),
        resident_bytes_max: Usage::now().resident_bytes_max,
    }
}

/// Does the gateway's work on so many events and measures nothing, for a tool that counts instructions; returns the
/// events taken.
#[must_use]
pub fn uplink_untimed(count: u64) -> u64 {
    let rows = count.div_ceil(500) * 500;
    std::hint::black_box(work(count));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critical_event_and_a_batched_one_stay_within_their_bytes() {
        let critical = critical(400, true);
        assert_eq!(critical.events, 400, "each is sent once and acknowledged");
        assert!(critical.short > 300, "{critical:?}");
        assert!(critical.mean <= 60.0, "{critical:?}");
        assert!(critical.with_reports > critical.mean, "{critical:?}");
        let signed = self::critical(100, false);
        assert_eq!((signed.events, signed.short), (100, 0));
        assert!(signed.mean > 120.0, "{signed:?}");
        let (large, small) = (batched(2000, 500), batched(400, 20));
        assert!((5.0..=16.0).contains(&large), "{large}");
        assert!(small > large, "{small}");
    }

    #[test]
    fn the_work_is_done_on_every_event() {
        assert_eq!(uplink_untimed(600), 1000);
        assert!(short_work(20) > 0);
    }
}
