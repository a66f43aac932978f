//! Folding of repeats: the same event again within a window becomes a count on one row.
//!
//! Two events are the same if type, bus, ECU and identity fields agree. A critical event passes at once and only its
//! repeats wait; others wait for the end of the window. A folded row keeps first and last time, the first context and
//! the first event's other fields. Nothing is lost here: received = passed + folded + waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_types::{BusId, EcuId, EventTypeId, FieldKey, Lane, VehicleMicros};
use outrider_wire::catalogue::field;

use crate::sensor::Sensor;
use crate::{FieldValue, SecurityEvent};

/// Fields that say *what* an event is about; the others are measurements.
pub const IDENTITY_FIELDS: [FieldKey; 36] = [
    field::CAN_ID,
    field::LIN_ID,
    field::FLEXRAY_SLOT,
    field::UDS_SERVICE,
    field::UDS_SUBFUNCTION,
    field::UDS_NRC,
    field::SECURITY_LEVEL,
    field::DIAG_SESSION,
    field::DETECTOR,
    field::SECOC_DATA_ID,
    field::SERVICE_ID,
    field::METHOD_ID,
    field::INSTANCE_ID,
    field::CLIENT_ID,
    field::SOURCE_IP,
    field::DESTINATION_IP,
    field::DESTINATION_PORT,
    field::PROTOCOL,
    field::MAC_ADDRESS,
    field::TESTER_ADDRESS,
    field::TARGET_ADDRESS,
    field::DID,
    field::ROUTINE_ID,
    field::FILE_PATH,
    field::PROCESS_NAME,
    field::USER_ID,
    field::MODULE_NAME,
    field::SYSCALL,
    field::REASON,
    field::COMPONENT,
    field::SIGNAL_NAME,
    field::BUS_SEGMENT,
    field::SENDER_ADDRESS,
    field::IDS_EVENT_ID,
    field::IDS_INSTANCE,
    field::IDS_SENSOR,
];

/// Windows and size of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldConfig {
    /// Window of each lane: critical, batched, deferred. 0 passes everything on.
    pub window_us: [u64; 3],
    /// Most different events that wait. When full, the one that waits longest is passed on.
    pub keys_max: usize,
    /// Most different events of one sensor that wait. When full, its own that waits longest is passed on.
    pub sensor_keys_max: usize,
}

impl Default for FoldConfig {
    /// One second, ten seconds, one minute; 1,024 keys (guess: more differ only in a scan, which folds badly anyway), and
    /// an eighth of them for one sensor, so that a scan folds no worse than before and takes nobody's place.
    fn default() -> Self {
        Self { window_us: [1_000_000, 10_000_000, 60_000_000], keys_max: 1024, sensor_keys_max: 128 }
    }
}

/// Balance of the folding, in observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FoldBalance {
    /// Observations received.
    pub received: u64,
    /// Rows passed on.
    pub passed: u64,
    /// Observations folded into a row that was passed on.
    pub folded: u64,
    /// Observations that wait.
    pub waiting: u64,
}

impl FoldBalance {
    /// Returns true if nothing was lost (BAL-1).
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.received == self.passed.saturating_add(self.folded).saturating_add(self.waiting)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    lane: Lane,
    event_type: EventTypeId,
    bus: Option<BusId>,
    ecu: EcuId,
    identity: Vec<u8>,
}

impl Key {
    fn new(event: &SecurityEvent) -> Self {
        let mut identity = Vec::new();
        for (key, value) in event.fields.iter().filter(|(key, _)| IDENTITY_FIELDS.contains(key)) {
            identity.extend(key.0.to_le_bytes());
            put_value(&mut identity, value);
        }
        Self { lane: event.lane, event_type: event.event_type, bus: event.bus, ecu: event.ecu, identity }
    }
}

/// Appends a value so that different values give different bytes.
fn put_value(out: &mut Vec<u8>, value: &FieldValue) {
    let (kind, bytes): (u8, &[u8]) = match value {
        FieldValue::Uint(value) => (0, &value.to_le_bytes()),
        FieldValue::Sint(value) => (1, &value.to_le_bytes()),
        FieldValue::Text(text) => (2, text.as_bytes()),
        FieldValue::Bytes(bytes) => (3, bytes),
        FieldValue::Double(value) => (4, &value.to_bits().to_le_bytes()),
        FieldValue::Flag(flag) => (5, &[u8::from(*flag)]),
    };
    out.push(kind);
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

#[derive(Debug)]
struct Open {
    /// What waits; `None` after a critical event passed and before its first repeat.
    event: Option<SecurityEvent>,
    sensor: Sensor,
    ends: VehicleMicros,
    /// Tells windows of one sensor apart that end at the same time.
    number: u64,
}

/// Table of events that may be repeated.
#[derive(Debug)]
pub struct Folder {
    config: FoldConfig,
    open: BTreeMap<Arc<Key>, Open>,
    /// The same by sensor and end.
    by_end: BTreeMap<(Sensor, VehicleMicros, u64), Arc<Key>>,
    /// How many each sensor has open.
    held: BTreeMap<Sensor, usize>,
    next_number: u64,
    balance: FoldBalance,
}

impl Folder {
    /// Creates an empty table.
    #[must_use]
    pub const fn new(config: FoldConfig) -> Self {
        Self {
            config,
            open: BTreeMap::new(),
            by_end: BTreeMap::new(),
            held: BTreeMap::new(),
            next_number: 0,
            balance: FoldBalance { received: 0, passed: 0, folded: 0, waiting: 0 },
        }
    }

    /// Returns the balance.
    #[must_use]
    pub const fn balance(&self) -> FoldBalance {
        self.balance
    }

    /// Takes an event with the window of its lane; appends what is to be passed on to `out`. O(log keys), but O(sensors)
    /// when the table is full.
    pub fn receive(&mut self, event: SecurityEvent, now: VehicleMicros, out: &mut Vec<SecurityEvent>) {
        let [critical, batched, deferred] = self.config.window_us;
        let window_us = match event.lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        };
        self.receive_for(event, window_us, now, out);
    }

    /// As [`Self::receive`], with a window of the event's own; 0 passes it on.
    pub fn receive_for(
        &mut self,
        event: SecurityEvent,
        window_us: u64,
        now: VehicleMicros,
        out: &mut Vec<SecurityEvent>,
    ) {
        self.balance.received = self.balance.received.saturating_add(event.count);
        self.balance.waiting = self.balance.waiting.saturating_add(event.count);
        if window_us == 0 || self.config.keys_max == 0 {
            self.pass(event, out);
            return;
        }
        let key = Arc::new(Key::new(&event));
        if self.open.get(&key).is_some_and(|open| open.ends <= now) {
            self.close(&key, out);
        }
        if let Some(open) = self.open.get_mut(&key) {
            match &mut open.event {
                Some(waiting) => {
                    waiting.first = waiting.first.min(event.first);
                    waiting.last = waiting.last.max(event.last);
                    waiting.count = waiting.count.saturating_add(event.count);
                    waiting.severity = waiting.severity.max(event.severity);
                }
                None => open.event = Some(event),
            }
            return;
        }
        let sensor = Sensor::of(&event);
        self.make_room(sensor, out);
        let ends = now.saturating_add(window_us);
        let waits = if event.lane == Lane::Critical {
            self.pass(event, out);
            None
        } else {
            Some(event)
        };
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.by_end.insert((sensor, ends, number), Arc::clone(&key));
        *self.held.entry(sensor).or_default() += 1;
        self.open.insert(key, Open { event: waits, sensor, ends, number });
    }

    /// Passes on what waits longest: of the sensor itself if it has its part of the table, else of the one that has most.
    fn make_room(&mut self, sensor: Sensor, out: &mut Vec<SecurityEvent>) {
        let own = self.held.get(&sensor).copied().unwrap_or(0);
        let victim = if own >= self.config.sensor_keys_max.max(1) {
            Some(sensor)
        } else if self.open.len() >= self.config.keys_max {
            self.held.iter().max_by_key(|(_, held)| **held).map(|(sensor, _)| *sensor)
        } else {
            None
        };
        let first = victim.and_then(|victim| {
            let from = (victim, VehicleMicros(0), 0);
            self.by_end.range(from..=(victim, VehicleMicros(u64::MAX), u64::MAX)).next()
        });
        if let Some(key) = first.map(|(_, key)| Arc::clone(key)) {
            self.close(&key, out);
        }
    }

    /// Passes on every event whose window has ended.
    pub fn tick(&mut self, now: VehicleMicros, out: &mut Vec<SecurityEvent>) {
        let ended: Vec<Arc<Key>> =
            self.open.iter().filter(|(_, open)| open.ends <= now).map(|(key, _)| Arc::clone(key)).collect();
        for key in ended {
            self.close(&key, out);
        }
    }

    /// Passes on everything, before a shutdown.
    pub fn flush(&mut self, out: &mut Vec<SecurityEvent>) {
        self.tick(VehicleMicros(u64::MAX), out);
    }

    fn close(&mut self, key: &Key, out: &mut Vec<SecurityEvent>) {
        let Some(open) = self.open.remove(key) else { return };
        self.by_end.remove(&(open.sensor, open.ends, open.number));
        if let Some(held) = self.held.get_mut(&open.sensor) {
            *held = held.saturating_sub(1);
        }
        if let Some(event) = open.event {
            self.pass(event, out);
        }
    }

    fn pass(&mut self, event: SecurityEvent, out: &mut Vec<SecurityEvent>) {
        self.balance.waiting = self.balance.waiting.saturating_sub(event.count);
        self.balance.passed = self.balance.passed.saturating_add(1);
        self.balance.folded = self.balance.folded.saturating_add(event.count.saturating_sub(1));
        out.push(event);
    }
}

#[cfg(test)]
mod tests {
    use outrider_wire::catalogue::event;

    use super::*;

    fn seen(lane: Lane, can_id: u64, at: u64) -> SecurityEvent {
        let mut event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(at));
        event.lane = lane;
        event.context = at.to_le_bytes().to_vec();
        event.with(field::CAN_ID, FieldValue::Uint(can_id)).with(field::FRAMES, FieldValue::Uint(at))
    }

    fn run(folder: &mut Folder, events: &[(Lane, u64, u64)]) -> Vec<SecurityEvent> {
        let mut out = Vec::new();
        for (lane, can_id, at) in events {
            folder.tick(VehicleMicros(*at), &mut out);
            folder.receive(seen(*lane, *can_id, *at), VehicleMicros(*at), &mut out);
            assert!(folder.balance().holds(), "{:?}", folder.balance());
        }
        out
    }

    #[test]
    fn repeats_become_a_count_with_first_and_last_time_and_the_first_context() {
        let mut folder = Folder::new(FoldConfig::default());
        let mut out =
            run(&mut folder, &[(Lane::Batched, 7, 10), (Lane::Batched, 7, 20), (Lane::Batched, 7, 35)]);
        assert_eq!(out, [], "nothing passes before the window ends");
        folder.tick(VehicleMicros(10_000_010), &mut out);
        let [row] = out.as_slice() else { panic!("one row, not {out:?}") };
        assert_eq!((row.first, row.last, row.count), (VehicleMicros(10), VehicleMicros(35), 3));
        assert_eq!(row.context, 10u64.to_le_bytes());
        assert_eq!(folder.balance(), FoldBalance { received: 3, passed: 1, folded: 2, waiting: 0 });
    }

    #[test]
    fn a_critical_event_passes_at_once_and_its_repeats_wait() {
        let mut folder = Folder::new(FoldConfig::default());
        let mut out =
            run(&mut folder, &[(Lane::Critical, 7, 10), (Lane::Critical, 7, 20), (Lane::Critical, 7, 30)]);
        assert_eq!(out.iter().map(|row| row.count).collect::<Vec<_>>(), [1]);
        folder.flush(&mut out);
        assert_eq!(out.iter().map(|row| row.count).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(folder.balance(), FoldBalance { received: 3, passed: 2, folded: 1, waiting: 0 });
    }

    #[test]
    fn another_identity_field_is_another_event_and_a_measurement_is_not() {
        let mut folder = Folder::new(FoldConfig::default());
        let mut out =
            run(&mut folder, &[(Lane::Batched, 7, 10), (Lane::Batched, 8, 11), (Lane::Batched, 7, 12)]);
        folder.flush(&mut out);
        assert_eq!(out.iter().map(|row| row.count).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn an_event_at_the_very_end_of_the_window_begins_a_new_one() {
        let mut folder = Folder::new(FoldConfig::default());
        let out = run(
            &mut folder,
            &[(Lane::Batched, 7, 0), (Lane::Batched, 7, 9_999_999), (Lane::Batched, 7, 10_000_000)],
        );
        assert_eq!(out.iter().map(|row| row.count).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_full_table_passes_on_what_waits_longest() {
        let mut folder = Folder::new(FoldConfig { keys_max: 2, ..FoldConfig::default() });
        let out = run(&mut folder, &[(Lane::Batched, 1, 1), (Lane::Batched, 2, 2), (Lane::Batched, 3, 3)]);
        assert_eq!(out.iter().map(|row| row.first.0).collect::<Vec<_>>(), [1]);
        assert_eq!(folder.balance(), FoldBalance { received: 3, passed: 1, folded: 0, waiting: 2 });
    }

    #[test]
    fn a_sensor_with_many_different_events_takes_no_place_of_another() {
        let config = FoldConfig { keys_max: 8, sensor_keys_max: 4, ..FoldConfig::default() };
        let mut folder = Folder::new(config);
        let mut out = Vec::new();
        let mut of = |bus: u8, id: u64, at: u64| {
            let mut event = seen(Lane::Batched, id, at);
            event.bus = Some(BusId(bus));
            folder.receive(event, VehicleMicros(at), &mut out);
        };
        of(1, 1, 1);
        (0..100).for_each(|id| of(0, id, 2 + id));
        of(1, 1, 200);
        assert_eq!((out.len(), folder.balance().waiting), (96, 6), "only its own are passed on early");
        folder.flush(&mut out);
        let quiet = out.iter().find(|row| row.bus == Some(BusId(1))).map(|row| row.count);
        assert_eq!(quiet, Some(2), "the other's repeat was folded");
    }
}
