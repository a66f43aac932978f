//! Events in the catalogue's shapes, none of which a dictionary was trained on: other texts, other numbers.

use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_model::catalogue::{EVENT_TYPES, EventType, FieldKind, field};
use outrider_types::{BusId, EcuId, FieldKey, Lane, Seed, VehicleMicros};

/// Texts as detectors and host sensors say them. The training of the dictionaries knows none of them.
const TEXTS: [&str; 36] = [
    "hood_lock",
    "brake_pedal_2",
    "adas",
    "gw-east",
    "rear_light_left",
    "steering",
    "bms.cell_17",
    "window_fr",
    "unsigned",
    "timeout",
    "replay",
    "counter_jump",
    "not_in_matrix",
    "0x27",
    "wrong_key",
    "tls1.1",
    "eth0.21",
    "cam_front",
    "lidar",
    "seat_heater",
    "/usr/bin/nc",
    "/opt/oem/updater",
    "sh",
    "busybox",
    "root",
    "ota_client",
    "camera.service",
    "expired",
    "rollback",
    "10.7.0.33",
    "fd53:7cb8:383:3::117",
    "SomeIp",
    "2025.44-rc1",
    "TCU",
    "IVI",
    "vgw",
];

/// Makes the events of one vehicle.
#[derive(Debug)]
pub(super) struct Events {
    seed: Seed,
    run: Option<(SecurityEvent, u64)>,
}

impl Events {
    pub(super) const fn new(seed: Seed) -> Self {
        Self { seed, run: None }
    }

    /// Returns an event of a type that travels in the lane by itself, unlike the one before it.
    pub(super) fn single(&mut self, lane: Lane, at: VehicleMicros) -> SecurityEvent {
        let kinds: Vec<&'static EventType> = EVENT_TYPES.iter().filter(|kind| kind.lane == lane).collect();
        let kind = usize::try_from(self.seed.below(kinds.len() as u64)).unwrap_or(0);
        let kind = kinds.get(kind).expect("every lane has event types");
        let mut event = SecurityEvent::new(kind.id, at);
        event.lane = lane;
        let is_bus = kind.name.starts_with("can.") || kind.name.starts_with("secoc.");
        event.bus = is_bus.then(|| BusId(u8::try_from(self.seed.below(8)).unwrap_or(0)));
        event.ecu = EcuId(u16::try_from(self.seed.below(100)).unwrap_or(0));
        event.fields = kind.fields.iter().take(6).map(|key| (*key, self.value(*key))).collect();
        if is_bus && self.seed.chance(1, 2) {
            event.context = (0..11).map(|_| u8::try_from(self.seed.below(256)).unwrap_or(0)).collect();
        }
        event
    }

    /// Returns the next event of a drive: runs of one kind, from one ECU, in which measurements move.
    pub(super) fn next(&mut self, lane: Lane, at: VehicleMicros) -> SecurityEvent {
        let (mut event, left) = match self.run.take() {
            Some((event, left)) if left > 0 => (event, left),
            Some(_) | None => (self.single(lane, at), 1 + self.seed.below(10)),
        };
        (event.first, event.last) = (at, at);
        for (index, (_, value)) in event.fields.iter_mut().enumerate() {
            // The first field tells the event apart; it stays. So the rows do not fold.
            if let FieldValue::Uint(number) = value
                && index > 0
            {
                *number = number.saturating_add(self.seed.below(9));
            }
        }
        if let Some(last) = event.context.last_mut() {
            *last = u8::try_from(self.seed.below(256)).unwrap_or(0);
        }
        self.run = Some((event.clone(), left - 1));
        event
    }

    fn value(&mut self, key: FieldKey) -> FieldValue {
        let seed = &mut self.seed;
        match field(key).map(|field| field.kind) {
            Some(FieldKind::Text) => {
                let index = usize::try_from(seed.below(TEXTS.len() as u64)).unwrap_or(0);
                FieldValue::Text(TEXTS.get(index).copied().unwrap_or_default().to_owned())
            }
            Some(FieldKind::Bool) => FieldValue::Flag(seed.chance(1, 2)),
            Some(FieldKind::Float) => {
                FieldValue::Double(f64::from(u32::try_from(seed.below(1 << 20)).unwrap_or(0)) / 16.0)
            }
            Some(FieldKind::Int) | None => {
                let bits = 1 + seed.below(24);
                FieldValue::Uint(seed.below(1 << bits))
            }
        }
    }
}
