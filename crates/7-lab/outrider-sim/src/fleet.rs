//! Who is there: model lines, releases, regions, connectivity, wrong clocks.

use outrider_model::{Connectivity, EcuEntry, VehicleRecord};
use outrider_types::{EcuId, Seed, TenantId, VehicleId};

/// Tenant of every simulated vehicle.
pub const TENANT: TenantId = TenantId(1);

/// One model line.
#[derive(Debug, Clone, Copy)]
pub struct ModelLine {
    /// Name on screen.
    pub name: &'static str,
    /// Electrical platform.
    pub platform: &'static str,
    /// First model year on the road.
    pub first_year: u16,
    /// Software releases, oldest first.
    pub releases: &'static [&'static str],
    /// Share of the fleet in percent.
    pub share: u64,
}

/// The model lines of the simulated maker; names of trees that no car bears.
pub const MODEL_LINES: [ModelLine; 4] = [
    ModelLine {
        name: "Alder",
        platform: "OX1",
        first_year: 2022,
        releases: &["22.4", "23.2", "24.1"],
        share: 40,
    },
    ModelLine { name: "Birch", platform: "OX1", first_year: 2023, releases: &["23.2", "24.1"], share: 30 },
    ModelLine {
        name: "Cedar",
        platform: "OX2",
        first_year: 2024,
        releases: &["24.1", "24.3", "25.1"],
        share: 20,
    },
    ModelLine { name: "Dogwood", platform: "OX2", first_year: 2025, releases: &["25.1", "25.2"], share: 10 },
];

/// Region with the city around which its vehicles live.
#[derive(Debug, Clone, Copy)]
struct Place {
    region: &'static str,
    latitude: f64,
    longitude: f64,
}

const fn place(region: &'static str, latitude: f64, longitude: f64) -> Place {
    Place { region, latitude, longitude }
}

/// Cities by rounded coordinates.
const PLACES: [Place; 16] = [
    place("DE", 48.1, 11.6),
    place("DE", 52.5, 13.4),
    place("DE", 50.1, 8.7),
    place("FR", 48.9, 2.4),
    place("FR", 45.8, 4.8),
    place("ES", 40.4, -3.7),
    place("IT", 45.5, 9.2),
    place("GB", 51.5, -0.1),
    place("PL", 52.2, 21.0),
    place("SE", 59.3, 18.1),
    place("US", 40.7, -74.0),
    place("US", 34.1, -118.2),
    place("US", 41.9, -87.6),
    place("JP", 35.7, 139.7),
    place("CN", 31.2, 121.5),
    place("BR", -23.6, -46.6),
];

/// ECUs of every simulated vehicle: name and bus.
const ECUS: [(&str, u8); 10] = [
    ("gateway", 0),
    ("powertrain", 0),
    ("brake", 0),
    ("steering", 0),
    ("airbag", 0),
    ("body", 1),
    ("door", 1),
    ("instrument", 1),
    ("telematics", 1),
    ("infotainment", 1),
];

/// What is wrong with a vehicle's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFault {
    /// Nothing: satellite time.
    None,
    /// Off by some seconds: its own real-time clock.
    Drifted {
        /// Wall minus truth, in microseconds.
        offset_us: i64,
    },
    /// Never set: shows 1970.
    Unset,
    /// Years ahead.
    Ahead,
}

/// One simulated vehicle.
#[derive(Debug, Clone)]
pub struct SimVehicle {
    /// What the registry knows.
    pub record: VehicleRecord,
    /// Seed of its Ed25519 batch key; a simulated key, never a real one.
    pub batch_key: [u8; 32],
    /// What is wrong with its clock.
    pub clock: ClockFault,
    /// Whether the whole vehicle program runs, on generated frames.
    pub is_full_stack: bool,
}

/// The fleet of a simulated world.
#[derive(Debug, Clone)]
pub struct FleetPlan {
    /// Vehicles, ascending by identity.
    pub vehicles: Vec<SimVehicle>,
}

impl FleetPlan {
    /// Creates `statistical` and `full_stack` vehicles from a seed.
    #[must_use]
    pub fn new(seed: Seed, statistical: usize, full_stack: usize) -> Self {
        let mut vehicles: Vec<SimVehicle> = (0..statistical + full_stack)
            .map(|index| vehicle(seed.fork(1).fork(index as u64), index >= statistical))
            .collect();
        vehicles.sort_by_key(|vehicle| vehicle.record.vehicle);
        vehicles.dedup_by_key(|vehicle| vehicle.record.vehicle);
        Self { vehicles }
    }

    /// Returns a vehicle.
    #[must_use]
    pub fn find(&self, vehicle: VehicleId) -> Option<&SimVehicle> {
        let index = self.vehicles.binary_search_by_key(&vehicle, |entry| entry.record.vehicle).ok()?;
        self.vehicles.get(index)
    }
}

fn bytes<const N: usize>(seed: &mut Seed) -> [u8; N] {
    let mut out = [0; N];
    for chunk in out.chunks_mut(8) {
        let word = seed.next_u64().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    out
}

fn pick<'a, T>(seed: &mut Seed, items: &'a [T]) -> &'a T {
    let index = usize::try_from(seed.below(items.len() as u64)).expect("an index below a length fits");
    &items[index]
}

fn vehicle(mut seed: Seed, is_full_stack: bool) -> SimVehicle {
    let mut share = seed.below(100);
    let line = MODEL_LINES
        .iter()
        .find(|line| {
            let here = share < line.share;
            share = share.saturating_sub(line.share);
            here
        })
        .unwrap_or(&MODEL_LINES[0]);
    let place = pick(&mut seed, &PLACES);
    let release = *pick(&mut seed, line.releases);
    let years = seed.below(3);
    let connectivity = match seed.below(100) {
        _ if is_full_stack => Connectivity::Cellular,
        0..70 => Connectivity::Cellular,
        70..92 => Connectivity::Occasional,
        _ => Connectivity::Workshop,
    };
    let clock = match seed.below(100) {
        _ if is_full_stack => ClockFault::None,
        0..80 => ClockFault::None,
        80..94 => {
            let offset = i64::try_from(seed.below(40_000_000)).expect("40 seconds fit");
            ClockFault::Drifted { offset_us: offset - 20_000_000 }
        }
        94..98 => ClockFault::Unset,
        _ => ClockFault::Ahead,
    };
    let record = VehicleRecord {
        vehicle: VehicleId(bytes(&mut seed)),
        tenant: TENANT,
        model_line: line.name.to_owned(),
        platform: line.platform.to_owned(),
        model_year: line.first_year + u16::try_from(years).expect("a few years fit"),
        release: release.to_owned(),
        region: place.region.to_owned(),
        h3: cell(&mut seed, place),
        connectivity,
        ecus: ecus(release),
        ..VehicleRecord::default()
    };
    SimVehicle { record, batch_key: bytes(&mut seed), clock, is_full_stack }
}

/// Returns an H3 cell of resolution 5 (about 250 km²) within some 60 km of a place.
fn cell(seed: &mut Seed, place: &Place) -> Option<u64> {
    let jitter = |seed: &mut Seed| {
        let steps = i32::try_from(seed.below(101)).expect("below 101");
        f64::from(steps - 50) / 100.0
    };
    let (latitude, longitude) = (place.latitude + jitter(seed), place.longitude + jitter(seed));
    let point = h3o::LatLng::new(latitude, longitude).ok()?;
    Some(u64::from(point.to_cell(h3o::Resolution::Five)))
}

fn ecus(release: &str) -> Vec<EcuEntry> {
    ECUS.iter()
        .zip(1u16..)
        .map(|((name, bus), number)| EcuEntry {
            ecu: EcuId(number),
            name: (*name).to_owned(),
            bus: *bus,
            software: format!("{release}.{number}"),
            ..EcuEntry::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn same_seed_same_fleet_and_another_seed_another() {
        let one = FleetPlan::new(Seed::new(7), 50, 2);
        let two = FleetPlan::new(Seed::new(7), 50, 2);
        let ids = |plan: &FleetPlan| plan.vehicles.iter().map(|v| v.record.vehicle).collect::<Vec<_>>();
        assert_eq!(ids(&one), ids(&two));
        assert_ne!(ids(&one), ids(&FleetPlan::new(Seed::new(8), 50, 2)));
        assert_eq!(one.vehicles.iter().filter(|vehicle| vehicle.is_full_stack).count(), 2);
        assert!(one.vehicles.iter().all(|v| one.find(v.record.vehicle).is_some()));
    }

    #[test]
    fn a_large_fleet_has_every_kind_of_vehicle() {
        let plan = FleetPlan::new(Seed::new(1), 600, 0);
        let lines: BTreeSet<_> = plan.vehicles.iter().map(|v| v.record.model_line.as_str()).collect();
        assert_eq!(lines.len(), MODEL_LINES.len());
        let kinds: BTreeSet<_> = plan.vehicles.iter().map(|v| v.record.connectivity).collect();
        assert_eq!(kinds.len(), 3);
        assert!(plan.vehicles.iter().any(|vehicle| vehicle.clock == ClockFault::Unset));
        assert!(plan.vehicles.iter().any(|vehicle| vehicle.clock == ClockFault::Ahead));
        assert!(plan.vehicles.iter().all(|vehicle| vehicle.record.h3.is_some()));
    }
}
