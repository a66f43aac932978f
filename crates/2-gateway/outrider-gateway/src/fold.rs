//! Folding of repeats: the same event again within a window becomes a count on one row.
//!
//! Two events are the same if type, bus, ECU and identity fields agree. A critical event passes at once and only its
//! repeats wait; others wait for the end of the window. A folded row keeps first and last time, the first context and
//! the first event's other fields. Nothing is lost here: received = passed + folded + waiting.

use std::collections::BTreeMap;

use outrider_types::{BusId, EcuId, EventTypeId, FieldKey, Lane, VehicleMicros};
use outrider_wire::catalogue::field;

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
}

impl Default for FoldConfig {
    /// One second, ten seconds, one minute; 1,024 keys (guess: more differ only in a scan, which folds badly anyway).
    fn default() -> Self {
        Self { window_us: [1_000_000, 10_000_000, 60_000_000], keys_max: 1024 }
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
    ends: VehicleMicros,
}

/// Table of events that may be repeated.
#[derive(Debug)]
pub struct Folder {
    config: FoldConfig,
    open: BTreeMap<Key, Open>,
    balance: FoldBalance,
}

impl Folder {
    /// Creates an empty table.
    #[must_use]
    pub const fn new(config: FoldConfig) -> Self {
        Self {
            config,
            open: BTreeMap::new(),
            balance: FoldBalance { received: 0, passed: 0, folded: 0, waiting: 0 },
        }
    }

    /// Returns the balance.
    #[must_use]
    pub const fn balance(&self) -> FoldBalance {
        self.balance
    }

    /// Takes an event; appends what is to be passed on to `out`. O(log keys), but O(keys) when the table is full.
    pub fn receive(&mut self, event: SecurityEvent, now: VehicleMicros, out: &mut Vec<SecurityEvent>) {
        self.balance.received = self.balance.received.saturating_add(event.count);
        self.balance.waiting = self.balance.waiting.saturating_add(event.count);
        let [critical, batched, deferred] = self.config.window_us;
        let window = match event.lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        };
        if window == 0 || self.config.keys_max == 0 {
            self.pass(event, out);
            return;
        }
        let key = Key::new(&event);
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
        if self.open.len() >= self.config.keys_max {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.ends).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.close(&oldest, out);
            }
        }
        let ends = now.saturating_add(window);
        let waits = if event.lane == Lane::Critical {
            self.pass(event, out);
            None
        } else {
            Some(event)
        };
        self.open.insert(key, Open { event: waits, ends });
    }

    /// Passes on every event whose window has ended.
    pub fn tick(&mut self, now: VehicleMicros, out: &mut Vec<SecurityEvent>) {
        let ended: Vec<Key> =
            self.open.iter().filter(|(_, open)| open.ends <= now).map(|(key, _)| key.clone()).collect();
        for key in ended {
            self.close(&key, out);
        }
    }

    /// Passes on everything, before a shutdown.
    pub fn flush(&mut self, out: &mut Vec<SecurityEvent>) {
        self.tick(VehicleMicros(u64::MAX), out);
    }

    fn close(&mut self, key: &Key, out: &mut Vec<SecurityEvent>) {
        if let Some(event) = self.open.remove(key).and_then(|open| open.event) {
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
}
