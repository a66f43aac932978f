//! The registry in memory, small enough for a whole fleet: 24 bytes a vehicle beside what many vehicles share.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_model::{Connectivity, EcuEntry, MonitoringStage, Registration, VehicleRecord};
use outrider_types::{TenantId, VehicleId};

/// Buckets by the first twelve bits of the pseudonym, which is a hash: all are about as long, and a new vehicle moves a
/// few hundred neighbours in a fleet of a million.
const BUCKETS: usize = 4096;
/// Place of a vehicle whose place is not known.
const NOWHERE: u32 = u32::MAX;

/// What vehicles of one build share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Profile {
    tenant: TenantId,
    model_line: String,
    platform: String,
    model_year: u16,
    hardware: String,
    release: String,
    region: String,
    connectivity: Connectivity,
    registration: Registration,
    stage: MonitoringStage,
    features: Vec<String>,
    ecus: Arc<[EcuEntry]>,
    capabilities: Vec<String>,
}

/// One vehicle.
#[derive(Debug, Clone, Copy)]
struct Slot {
    id: VehicleId,
    profile: u32,
    place: u32,
}

/// Values that vehicles share, numbered; a number is free again when nobody uses it.
#[derive(Debug)]
struct Shared<T> {
    numbers: BTreeMap<T, u32>,
    values: Vec<Option<(T, u32)>>,
    free: Vec<u32>,
}

impl<T: Ord + Clone> Shared<T> {
    const fn new() -> Self {
        Self { numbers: BTreeMap::new(), values: Vec::new(), free: Vec::new() }
    }

    /// Takes a value into use once more.
    fn take(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            if let Some(Some((_, users))) = self.values.get_mut(*number as usize) {
                *users += 1;
            }
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            u32::try_from(self.values.len() - 1).expect("there are fewer values than vehicles")
        });
        if let Some(slot) = self.values.get_mut(number as usize) {
            *slot = Some((value.clone(), 1));
        }
        self.numbers.insert(value.clone(), number);
        number
    }

    /// Gives a value back.
    fn release(&mut self, number: u32) {
        let Some(slot) = self.values.get_mut(number as usize) else { return };
        let Some((value, users)) = slot else { return };
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(value);
            *slot = None;
            self.free.push(number);
        }
    }

    fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)?.as_ref().map(|(value, _)| value)
    }

    /// Numbers of the values that fulfil a condition.
    fn filter(&self, is_wanted: impl Fn(&T) -> bool) -> std::collections::BTreeSet<u32> {
        let wanted = self.numbers.iter().filter(|(value, _)| is_wanted(value));
        wanted.map(|(_, number)| *number).collect()
    }
}

/// Registered vehicles, by pseudonym.
#[derive(Debug)]
pub(super) struct Snapshot {
    buckets: Vec<Vec<Slot>>,
    profiles: Shared<Arc<Profile>>,
    places: Shared<u64>,
    count: usize,
}

impl Default for Snapshot {
    fn default() -> Self {
        let (profiles, places) = (Shared::new(), Shared::new());
        Self { buckets: vec![Vec::new(); BUCKETS], profiles, places, count: 0 }
    }
}

fn bucket_of(id: VehicleId) -> usize {
    usize::from(u16::from_be_bytes([id.0[0], id.0[1]]) >> 4)
}

impl Snapshot {
    /// Adds a vehicle or replaces what is known of it.
    pub(super) fn put(&mut self, record: VehicleRecord, mut capabilities: Vec<String>) {
        capabilities.sort();
        let (id, h3) = (record.vehicle, record.h3);
        let profile = self.profiles.take(&Arc::new(Profile {
            tenant: record.tenant,
            model_line: record.model_line,
            platform: record.platform,
            model_year: record.model_year,
            hardware: record.hardware,
            release: record.release,
            region: record.region,
            connectivity: record.connectivity,
            registration: record.registration,
            stage: record.stage,
            features: record.features,
            ecus: record.ecus.into(),
            capabilities,
        }));
        let place = h3.map_or(NOWHERE, |cell| self.places.take(&cell));
        let bucket = &mut self.buckets[bucket_of(id)];
        match bucket.binary_search_by_key(&id, |slot| slot.id) {
            Ok(at) => {
                let before = std::mem::replace(&mut bucket[at], Slot { id, profile, place });
                self.profiles.release(before.profile);
                self.places.release(before.place);
            }
            Err(at) => {
                if bucket.len() == bucket.capacity() {
                    // An eighth at a time instead of twice: the room that is left over stays small.
                    bucket.reserve_exact(bucket.len() / 8 + 4);
                }
                bucket.insert(at, Slot { id, profile, place });
                self.count += 1;
            }
        }
    }

    /// Returns the number of vehicles.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    fn slot(&self, id: VehicleId) -> Option<&Slot> {
        let bucket = self.buckets.get(bucket_of(id))?;
        bucket.binary_search_by_key(&id, |slot| slot.id).ok().and_then(|at| bucket.get(at))
    }

    fn profile(&self, id: VehicleId) -> Option<&Profile> {
        self.profiles.get(self.slot(id)?.profile).map(Arc::as_ref)
    }

    /// Returns whether a vehicle is registered.
    pub(super) fn contains(&self, id: VehicleId) -> bool {
        self.slot(id).is_some()
    }

    /// Returns a vehicle's owner.
    pub(super) fn tenant(&self, id: VehicleId) -> Option<TenantId> {
        self.profile(id).map(|profile| profile.tenant)
    }

    /// Returns whether a vehicle states that it can do something.
    pub(super) fn is_capable(&self, id: VehicleId, capability: &str) -> bool {
        let profile = self.profile(id);
        profile.is_some_and(|profile| profile.capabilities.iter().any(|word| word == capability))
    }

    /// Returns the vehicles of a platform that state that they can do something, in order.
    pub(super) fn of_platform(&self, platform: &str, capability: &str) -> impl Iterator<Item = VehicleId> {
        let wanted = self.profiles.filter(|profile| {
            profile.platform == platform && profile.capabilities.iter().any(|word| word == capability)
        });
        let slots = self.buckets.iter().flatten();
        slots.filter(move |slot| wanted.contains(&slot.profile)).map(|slot| slot.id)
    }

    /// Returns what is known of a vehicle.
    pub(super) fn record(&self, id: VehicleId) -> Option<VehicleRecord> {
        let slot = self.slot(id)?;
        let profile = self.profiles.get(slot.profile)?;
        Some(VehicleRecord {
            vehicle: id,
            tenant: profile.tenant,
            model_line: profile.model_line.clone(),
            platform: profile.platform.clone(),
            model_year: profile.model_year,
            hardware: profile.hardware.clone(),
            release: profile.release.clone(),
            region: profile.region.clone(),
            h3: self.places.get(slot.place).copied(),
            connectivity: profile.connectivity,
            registration: profile.registration,
            stage: profile.stage,
            features: profile.features.clone(),
            ecus: profile.ecus.to_vec(),
        })
    }

    /// Returns the bytes that the vehicles themselves take, and how many profiles and places they share.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        let slots: usize = self.buckets.iter().map(Vec::capacity).sum();
        let headers = self.buckets.capacity() * size_of::<Vec<Slot>>();
        (slots * size_of::<Slot>() + headers, self.profiles.numbers.len(), self.places.numbers.len())
    }
}

#[cfg(test)]
mod tests {
    use outrider_types::{EcuId, Seed};

    use super::*;

    fn id(seed: &mut Seed) -> VehicleId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&seed.next_u64().to_be_bytes());
        id[8..].copy_from_slice(&seed.next_u64().to_be_bytes());
        VehicleId(id)
    }

    fn record(vehicle: VehicleId, number: u64) -> VehicleRecord {
        VehicleRecord {
            vehicle,
            tenant: TenantId(1),
            model_line: format!("line {}", number % 5),
            platform: format!("P{}", number % 3),
            release: format!("{}", number % 7),
            model_year: 2026,
            h3: (!number.is_multiple_of(11)).then_some(number % 50),
            ecus: vec![EcuEntry { ecu: EcuId(1), name: "gateway".to_owned(), ..EcuEntry::default() }],
            ..VehicleRecord::default()
        }
    }

    #[test]
    fn a_snapshot_gives_back_what_a_map_would() {
        let mut seed = Seed::new(5);
        let (mut snapshot, mut map) = (Snapshot::default(), BTreeMap::new());
        let mut ids: Vec<VehicleId> = (0..3000).map(|_| id(&mut seed)).collect();
        ids.extend([VehicleId([0; 16]), VehicleId([255; 16])]);
        for round in 0..3 {
            for (number, id) in ids.iter().enumerate().filter(|(number, _)| number % (round + 1) == 0) {
                let record = record(*id, seed.below(1000) + number as u64);
                let capable = vec!["configure".to_owned(); usize::from(number.is_multiple_of(2))];
                map.insert(*id, (record.clone(), capable.clone()));
                snapshot.put(record, capable);
            }
        }
        assert_eq!(snapshot.len(), map.len());
        for (id, (record, capable)) in &map {
            assert_eq!(snapshot.record(*id).as_ref(), Some(record));
            assert_eq!(snapshot.is_capable(*id, "configure"), !capable.is_empty());
        }
        assert_eq!(snapshot.record(VehicleId([7; 16])), None);
        let of_it =
            map.iter().filter(|(_, (record, capable))| record.platform == "P1" && !capable.is_empty());
        let expected: Vec<VehicleId> = of_it.map(|(id, _)| *id).collect();
        assert!(!expected.is_empty());
        assert_eq!(snapshot.of_platform("P1", "configure").collect::<Vec<_>>(), expected);
    }

    #[test]
    fn profiles_and_places_that_nobody_uses_are_given_back() {
        let mut snapshot = Snapshot::default();
        let vehicle = VehicleId([3; 16]);
        for number in 0..1000 {
            snapshot.put(
                VehicleRecord { release: number.to_string(), h3: Some(number), ..record(vehicle, 1) },
                Vec::new(),
            );
        }
        let (_, profiles, places) = snapshot.size();
        assert_eq!((snapshot.len(), profiles, places), (1, 1, 1));
        assert_eq!(
            (snapshot.profiles.values.len(), snapshot.places.values.len()),
            (2, 2),
            "slots are used again"
        );
    }

    #[test]
    fn a_vehicle_takes_little_more_than_its_24_bytes() {
        assert_eq!(size_of::<Slot>(), 24);
        let mut seed = Seed::new(9);
        let mut snapshot = Snapshot::default();
        let count = 200_000;
        for number in 0..count {
            snapshot.put(record(id(&mut seed), number), Vec::new());
        }
        let (bytes, profiles, places) = snapshot.size();
        let each = (bytes - BUCKETS * size_of::<Vec<Slot>>()) as u64 / count;
        assert!((24..=28).contains(&each), "{each} bytes a vehicle");
        assert!(profiles <= 5 * 3 * 7 && places <= 50);
    }
}
