//! Which sensor an event is of, for fair shares: a fixed number of classes.

use std::fmt;

use outrider_wire::catalogue;

use crate::SecurityEvent;

/// Families of event types by hundreds of their number: CAN, diagnosis, Ethernet, protection, boot, host, connectivity,
/// gateway; further ones share the last.
const FAMILIES: u16 = 16;
/// Buses 0 to 15 stand alone, all others together.
const BUSES: u16 = 17;
/// Classes of ECUs that report over IDS frames.
const ECUS: u16 = 32;
/// Event types without a bus, by their place in the catalogue; the last is for types it does not have.
const TYPES: u16 = 257;

const FIRST_ECU: u16 = FAMILIES * BUSES;
const FIRST_TYPE: u16 = FIRST_ECU + ECUS;

/// Class of sensors that share one share.
///
/// What a bus shows is of the detectors of that bus and family. What another ECU reports is of that ECU, by its number
/// modulo 32. The rest, such as host sensors, is by event type. An attacker moves between these classes only by really
/// being on another bus, or by forging an ECU's number, and the number of classes is fixed: no table grows, and nobody's
/// place is given away because somebody else made noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sensor(u16);

/// Number of classes.
pub const SENSORS: usize = (FIRST_TYPE + TYPES) as usize;

impl Sensor {
    /// Returns the class of an event.
    #[must_use]
    pub fn of(event: &SecurityEvent) -> Self {
        if event.ecu.0 != 0 {
            let class = u64::from(event.ecu.0) % u64::from(ECUS);
            return Self(FIRST_ECU + u16::try_from(class).unwrap_or(0));
        }
        if let Some(bus) = event.bus {
            let family = (event.event_type.0 / 100).min(FAMILIES - 1);
            return Self(family * BUSES + u16::from(bus.0).min(BUSES - 1));
        }
        let place =
            catalogue::DEFAULTS.binary_search_by_key(&event.event_type, |defaults| defaults.event_type);
        let place = place.ok().and_then(|place| u16::try_from(place).ok()).unwrap_or(TYPES - 1);
        Self(FIRST_TYPE + place.min(TYPES - 1))
    }
}

impl fmt::Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= FIRST_TYPE {
            let place = usize::from(self.0 - FIRST_TYPE);
            return match catalogue::DEFAULTS.get(place) {
                Some(defaults) => write!(f, "type {}", defaults.event_type.0),
                None => f.write_str("unknown type"),
            };
        }
        if self.0 >= FIRST_ECU {
            return write!(f, "ecu class {}", self.0 - FIRST_ECU);
        }
        let family = match self.0 / BUSES {
            1 => "can",
            2 => "diagnosis",
            3 => "ethernet",
            4 => "protection",
            5 => "boot",
            6 => "host",
            7 => "connectivity",
            8 => "bus",
            _ => "other",
        };
        write!(f, "{family} of bus {}", self.0 % BUSES)
    }
}

#[cfg(test)]
mod tests {
    use outrider_types::{BusId, EcuId, EventTypeId, VehicleMicros};

    use super::*;

    fn of(event_type: u16, bus: Option<u8>, ecu: u16) -> Sensor {
        let mut event = SecurityEvent::new(EventTypeId(event_type), VehicleMicros(0));
        (event.bus, event.ecu) = (bus.map(BusId), EcuId(ecu));
        Sensor::of(&event)
    }

    #[test]
    fn the_number_of_classes_is_fixed_whatever_comes() {
        assert!(catalogue::DEFAULTS.len() < usize::from(TYPES), "the catalogue fits");
        let mut seen = std::collections::BTreeSet::new();
        for event_type in 0..2000 {
            for bus in (0..=255).map(Some).chain([None]) {
                seen.insert(of(event_type, bus, 0));
            }
        }
        seen.extend((1..=u16::MAX).map(|ecu| of(100, Some(1), ecu)));
        assert!(seen.len() <= SENSORS && seen.iter().all(|sensor| usize::from(sensor.0) < SENSORS));
    }

    #[test]
    fn buses_families_ecus_and_host_types_are_apart() {
        let classes = [of(100, Some(0), 0), of(100, Some(1), 0), of(200, Some(0), 0), of(100, Some(0), 7)];
        let hosts = [of(600, None, 0), of(601, None, 0)];
        let all: std::collections::BTreeSet<_> = classes.iter().chain(&hosts).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(of(100, Some(0), 0), of(103, Some(0), 0), "one bus, one family, one sensor");
        assert_eq!(of(100, Some(1), 0).to_string(), "can of bus 1");
        assert_eq!(of(602, None, 0).to_string(), "type 602");
    }
}
