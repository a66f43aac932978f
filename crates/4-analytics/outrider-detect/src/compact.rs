//! Rebuilds the dictionary from what the cells still refer to, so that old boots and vehicles do not pile up.

use roaring::RoaringBitmap;

use crate::cell::{Agreed, Body, Cell, Counted, Dense, Extreme};
use crate::intern::Interner;
use crate::names::{EventKey, Names};
use crate::table::Table;

/// Entries of the dictionary below which rebuilding is not worth it.
pub(crate) const WORTH_IT: usize = 65_536;

/// Numbers that are in use.
#[derive(Default)]
struct Live {
    streams: RoaringBitmap,
    values: RoaringBitmap,
    models: RoaringBitmap,
}

impl Live {
    fn mark(&mut self, cell: &Cell, counted: Counted) {
        self.models.extend(cell.model.model());
        match &cell.body {
            Body::Sparse(entries) => {
                self.streams.extend(entries.iter().map(|entry| entry.event.stream));
                if counted == Counted::Values {
                    self.values.extend(entries.iter().map(|entry| entry.value));
                }
            }
            Body::Dense(dense) => {
                self.streams.extend(dense.events.iter().map(|event| event.stream));
                self.values |= &dense.values;
            }
        }
    }
}

/// Old number → new number.
pub(crate) struct Renumbered {
    streams: Vec<u32>,
    vehicles: Vec<u32>,
    values: Vec<u32>,
    models: Vec<u32>,
}

/// Rebuilds the dictionary and renumbers every cell. O(state).
///
/// New numbers ascend with the old ones: order within cells is kept.
pub(crate) fn compact(names: &mut Names, tables: &mut [Table]) {
    let mut live = Live::default();
    for table in &*tables {
        let counted = table.spec.shape.counted;
        table.groups.iter().flat_map(|group| group.panes.values()).for_each(|cell| live.mark(cell, counted));
        let episodes = table.groups.iter().flat_map(|group| &group.episodes);
        live.models.extend(episodes.filter_map(|episode| episode.stated.model.model()));
    }
    let (fresh, renumbered) = rebuild(names, &live);
    tables.iter_mut().for_each(|table| renumbered.table(table));
    *names = fresh;
}

/// Adds a dictionary to another and returns the numbers that its names have there; `None` if there is no room.
pub(crate) fn merge(names: &mut Names, from: &Names) -> Option<Renumbered> {
    let all = |from: &Interner, into: &mut Interner| -> Option<Vec<u32>> {
        from.iter().map(|text| into.intern(text)).collect()
    };
    let vehicles = all(&from.vehicles, &mut names.vehicles)?;
    let values = all(&from.values, &mut names.values)?;
    let models = all(&from.models, &mut names.models)?;
    let mut streams = Vec::with_capacity(from.streams.len());
    for (stream, vehicle) in from.streams.iter().zip(&from.stream_vehicle) {
        let known = names.streams.len();
        streams.push(names.streams.intern(stream)?);
        if names.streams.len() > known {
            names.stream_vehicle.push(vehicles[*vehicle as usize]);
        }
    }
    Some(Renumbered { streams, vehicles, values, models })
}

fn rebuild(names: &Names, live: &Live) -> (Names, Renumbered) {
    let mut fresh = names.emptied();
    let vehicles: RoaringBitmap = live.streams.iter().map(|stream| names.vehicle_of(stream)).collect();
    let mut renumbered = Renumbered {
        streams: vec![0; names.streams.len()],
        vehicles: vec![0; names.vehicles.len()],
        values: vec![0; names.values.len()],
        models: vec![0; names.models.len()],
    };
    let room = "a part of a table fits where the whole did";
    for vehicle in &vehicles {
        renumbered.vehicles[vehicle as usize] =
            fresh.vehicles.intern(names.vehicles.get(vehicle)).expect(room);
    }
    for value in &live.values {
        renumbered.values[value as usize] = fresh.values.intern(names.values.get(value)).expect(room);
    }
    for model in &live.models {
        renumbered.models[model as usize] = fresh.models.intern(names.models.get(model)).expect(room);
    }
    for stream in &live.streams {
        let vehicle = renumbered.vehicles[names.vehicle_of(stream) as usize];
        renumbered.streams[stream as usize] = fresh.streams.intern(names.streams.get(stream)).expect(room);
        fresh.stream_vehicle.push(vehicle);
    }
    (fresh, renumbered)
}

impl Renumbered {
    /// Puts the new numbers in the place of the old ones.
    pub(crate) fn table(&self, table: &mut Table) {
        let counted = table.spec.shape.counted;
        for episode in table.groups.iter_mut().flat_map(|group| &mut group.episodes) {
            episode.stated.model = self.model(episode.stated.model);
        }
        for cell in table.groups.iter_mut().flat_map(|group| group.panes.values_mut()) {
            self.apply(cell, counted);
        }
    }

    fn event(&self, event: EventKey) -> EventKey {
        EventKey { stream: self.streams[event.stream as usize], ..event }
    }

    fn model(&self, agreed: Agreed) -> Agreed {
        agreed.model().map_or(agreed, |model| Agreed::on(self.models[model as usize]))
    }

    fn value(&self, value: u32, counted: Counted) -> u32 {
        match counted {
            Counted::Events | Counted::Steps | Counted::OrderedSteps => value,
            Counted::Vehicles => self.vehicles[value as usize],
            Counted::Values => self.values[value as usize],
        }
    }

    fn apply(&self, cell: &mut Cell, counted: Counted) {
        cell.model = self.model(cell.model);
        match &mut cell.body {
            Body::Sparse(entries) => {
                for entry in &mut *entries {
                    entry.value = self.value(entry.value, counted);
                    entry.event = self.event(entry.event);
                }
                // Numbers of a rebuilt dictionary ascend with the old ones; those of another one do not.
                entries.sort_unstable();
            }
            Body::Dense(dense) => self.apply_dense(dense, counted),
        }
    }

    fn apply_dense(&self, dense: &mut Dense, counted: Counted) {
        dense.events = dense.events.iter().map(|event| self.event(*event)).collect();
        dense.values = dense.values.iter().map(|value| self.value(value, counted)).collect();
        dense.vehicles = dense.vehicles.iter().map(|vehicle| self.vehicles[vehicle as usize]).collect();
        dense.low_events.iter_mut().for_each(|(_, event)| *event = self.event(*event));
        self.extreme(&mut dense.firsts, counted);
        self.extreme(&mut dense.lasts, counted);
    }

    fn extreme(&self, extreme: &mut Extreme, counted: Counted) {
        for (key, _) in &mut extreme.items {
            *key = match counted {
                Counted::Events => self.event(EventKey::from_word(*key)).word(),
                Counted::Vehicles | Counted::Values | Counted::Steps | Counted::OrderedSteps => {
                    let value = u32::try_from(*key).expect("the key is a value's number");
                    u64::from(self.value(value, counted))
                }
            };
        }
        extreme.items.sort_unstable();
    }
}
