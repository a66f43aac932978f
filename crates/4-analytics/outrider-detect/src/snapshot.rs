//! The whole state as bytes: version, body, checksum.
//!
//! A table is found again by its rule and by everything that gives its numbers their meaning; the state of a rule
//! that is gone or asks for something else is left out. Derived values are not stored, so they cannot disagree.

use std::collections::{BTreeMap, BTreeSet};

use outrider_model::{Evidence, Matched, SaveError};
use outrider_types::EventId;
use roaring::RoaringBitmap;

use crate::cell::{Agreed, Body, Cell, CellShape, Counted, Dense, Entry, Extreme, keep_lowest};
use crate::codec::{Reader, Writer};
use crate::intern::Interner;
use crate::names::{EventKey, Names, STREAM_BYTES, VEHICLE_BYTES};
use crate::spec::{Spec, Windows};
use crate::sweep::Span;
use crate::table::{Episode, Explained, Group, Stated, Table};

/// Version of the format.
const VERSION: u32 = 1;

/// Bytes of the checksum at the end.
const CHECK_BYTES: usize = 4;

/// Writes the state.
pub(crate) fn save(names: &Names, tables: &[Table], out: &mut Vec<u8>) {
    let start = out.len();
    let mut writer = Writer(out);
    writer.number(u64::from(VERSION));
    save_names(names, &mut writer);
    writer.number(tables.len() as u64);
    for table in tables {
        writer.bytes(&meaning(&table.spec));
        let mut body = Vec::new();
        save_table(table, &mut Writer(&mut body));
        writer.bytes(&body);
    }
    let check = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&check.to_le_bytes());
}

/// Reads the state into the empty tables of the rules.
pub(crate) fn load(bytes: &[u8], mut tables: Vec<Table>, key: u64) -> Result<(Names, Vec<Table>), SaveError> {
    let mut reader = Reader::new(bytes);
    let got = reader.word()?;
    if got != VERSION {
        return Err(SaveError::Version { expected: VERSION, got });
    }
    let end = bytes.len().checked_sub(CHECK_BYTES).ok_or(SaveError::Damaged { offset: bytes.len() })?;
    let (body, check) = bytes.split_at(end);
    if check != crc32c::crc32c(body).to_le_bytes() {
        return Err(SaveError::Damaged { offset: end });
    }
    let mut reader = Reader::new(body);
    reader.word()?;
    let names = load_names(&mut reader, key)?;
    for _ in 0..reader.count()? {
        let meaning_then = reader.bytes()?;
        let state = reader.bytes()?;
        if let Some(table) = tables.iter_mut().find(|table| meaning(&table.spec) == meaning_then) {
            // A second state for one rule would add to the first.
            reader.require(table.groups.is_empty())?;
            let mut inner = Reader::new(state);
            load_table(&mut inner, table, &names).and_then(|()| inner.end()).map_err(|_| reader.damaged())?;
        }
    }
    reader.end()?;
    Ok((names, tables))
}

/// Returns what must be equal for stored numbers to mean the same.
fn meaning(spec: &Spec) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer(&mut bytes);
    writer.bytes(spec.rule.0.as_bytes());
    writer.number(match (&spec.windows, spec.shape.counted) {
        (Windows::Fixed, _) => 0,
        (Windows::Sliding, Counted::Events) => 1,
        (Windows::Sliding, Counted::Vehicles) => 2,
        (Windows::Sliding, Counted::Values) => 3,
        (Windows::Sliding, Counted::Steps) => 4,
        (Windows::Sliding, Counted::OrderedSteps) => 5,
    });
    writer.signed(spec.length_us);
    writer.signed(spec.pane_us);
    writer.number(spec.need);
    writer.bytes(spec.counted_name.as_bytes());
    for field in &spec.group_by {
        writer.bytes(field.name.as_bytes());
    }
    // The numbers of rules are positions, so the rules and their order belong to the meaning.
    for rule in &spec.fed_by {
        writer.bytes(rule.0.as_bytes());
    }
    bytes
}

fn save_strings(table: &Interner, out: &mut Writer<'_>) {
    out.number(table.len() as u64);
    table.iter().for_each(|bytes| out.bytes(bytes));
}

/// Reads strings into an empty table; `width` is their length, or 0 if it differs.
fn load_strings(reader: &mut Reader<'_>, key: u64, width: usize) -> Result<Interner, SaveError> {
    let mut table = Interner::of_width(width, key);
    for index in 0..reader.count()? {
        let bytes = reader.bytes()?;
        reader.require(width == 0 || bytes.len() == width)?;
        let id = table.intern(bytes);
        reader.require(id.is_some_and(|id| id as usize == index))?;
    }
    Ok(table)
}

fn save_names(names: &Names, out: &mut Writer<'_>) {
    save_strings(&names.vehicles, out);
    save_strings(&names.models, out);
    save_strings(&names.streams, out);
    save_strings(&names.values, out);
}

fn load_names(reader: &mut Reader<'_>, key: u64) -> Result<Names, SaveError> {
    let mut names = Names::new(key);
    names.vehicles = load_strings(reader, key, VEHICLE_BYTES)?;
    names.models = load_strings(reader, key, 0)?;
    names.streams = load_strings(reader, key, STREAM_BYTES)?;
    names.values = load_strings(reader, key, 0)?;
    for name in names.streams.iter() {
        let vehicle = name.get(..VEHICLE_BYTES).and_then(|id| names.vehicles.find(id));
        names.stream_vehicle.push(vehicle.ok_or_else(|| reader.damaged())?);
    }
    Ok(names)
}

fn save_table(table: &Table, out: &mut Writer<'_>) {
    out.signed(table.floor);
    save_strings(&table.keys, out);
    for group in &table.groups {
        out.number(group.panes.len() as u64);
        for (pane, cell) in &group.panes {
            out.signed(*pane);
            save_cell(cell, out);
        }
        out.number(group.episodes.len() as u64);
        for episode in &group.episodes {
            out.signed(episode.span.from);
            out.signed(episode.span.to);
            out.number(u64::from(episode.revision));
            out.number(u64::from(episode.late));
            out.number(episode.stated.events);
            out.number(u64::from(episode.stated.model.0));
            out.number(u64::from(episode.stated.uncertain));
        }
        out.number(group.explained.len() as u64);
        for (pane, explained) in &group.explained {
            out.signed(*pane);
            out.bytes(explained.event.to_string().as_bytes());
            out.number(explained.matched.len() as u64);
            for it in &explained.matched {
                [&it.field, &it.operator, &it.expected, &it.observed]
                    .into_iter()
                    .for_each(|text| out.bytes(text.as_bytes()));
            }
        }
    }
}

fn load_table(reader: &mut Reader<'_>, table: &mut Table, names: &Names) -> Result<(), SaveError> {
    table.floor = reader.signed()?;
    table.keys = load_strings(reader, table.keys.key(), 0)?;
    for _ in 0..table.keys.len() {
        let mut group = Group::default();
        for _ in 0..reader.count()? {
            let pane = reader.signed()?;
            reader.require(
                fits(pane, table.spec.pane_us) && group.panes.keys().last().is_none_or(|it| *it < pane),
            )?;
            let cell = load_cell(reader, &table.spec, names)?;
            group.distinct_sum += u64::from(cell.distinct);
            table.entries += cell.events() as u64;
            group.panes.insert(pane, cell);
        }
        load_episodes(reader, &mut group, names)?;
        group.explained = load_explained(reader)?;
        table.groups.push(group);
    }
    Ok(())
}

/// Returns whether times in and around a pane can be computed without overflow.
pub(crate) fn fits(pane: i64, pane_us: i64) -> bool {
    let margin = i64::MAX / 4;
    pane.checked_mul(pane_us).is_some_and(|start| (-margin..=margin).contains(&start))
}

fn load_agreed(reader: &mut Reader<'_>, names: &Names) -> Result<Agreed, SaveError> {
    let model = Agreed(reader.word()?);
    reader.require(model == Agreed::MIXED || (1..=names.models.len()).contains(&(model.0 as usize)))?;
    Ok(model)
}

fn load_episodes(reader: &mut Reader<'_>, group: &mut Group, names: &Names) -> Result<(), SaveError> {
    for _ in 0..reader.count()? {
        let span = Span { from: reader.signed()?, to: reader.signed()? };
        let after = group.episodes.last().is_none_or(|it| it.span.to < span.from);
        reader.require(span.from <= span.to && after && fits(span.from, 1) && fits(span.to, 1))?;
        let revision = reader.word()?;
        let late = reader.flag()?;
        let stated = Stated {
            events: reader.number()?,
            model: load_agreed(reader, names)?,
            uncertain: reader.flag()?,
        };
        group.episodes.push(Episode { span, revision, late, stated });
    }
    Ok(())
}

fn load_explained(reader: &mut Reader<'_>) -> Result<BTreeMap<i64, Explained>, SaveError> {
    let mut all = BTreeMap::new();
    for _ in 0..reader.count()? {
        let pane = reader.signed()?;
        let event: EventId = reader.text()?.parse().map_err(|_| reader.damaged())?;
        let mut matched = Vec::new();
        for _ in 0..reader.count()? {
            matched.push(Matched {
                field: reader.text()?,
                operator: reader.text()?,
                expected: reader.text()?,
                observed: reader.text()?,
            });
        }
        reader.require(all.insert(pane, Explained { event, matched }).is_none())?;
    }
    Ok(all)
}

fn save_cell(cell: &Cell, out: &mut Writer<'_>) {
    out.number(u64::from(cell.uncertain));
    out.number(u64::from(cell.model.0));
    match &cell.body {
        Body::Sparse(entries) => {
            out.number(0);
            out.number(entries.len() as u64);
            let mut value = 0;
            for entry in entries {
                out.number(u64::from(entry.value - value));
                value = entry.value;
                out.number(u64::from(entry.time));
                save_event(entry.event, out);
            }
        }
        Body::Dense(dense) => {
            out.number(1);
            for set in [&dense.values, &dense.vehicles] {
                let mut bytes = Vec::with_capacity(set.serialized_size());
                set.serialize_into(&mut bytes).expect("writing to memory does not fail");
                out.bytes(&bytes);
            }
            out.number(dense.events.len() as u64);
            dense.events.iter().for_each(|event| save_event(*event, out));
            for extreme in [&dense.firsts, &dense.lasts] {
                out.number(extreme.items.len() as u64);
                for (key, time) in &extreme.items {
                    out.number(*key);
                    out.number(u64::from(*time));
                }
            }
        }
    }
}

fn save_event(event: EventKey, out: &mut Writer<'_>) {
    out.number(u64::from(event.stream));
    out.number(u64::from(event.seq));
}

fn load_event(reader: &mut Reader<'_>, names: &Names) -> Result<EventKey, SaveError> {
    let event = EventKey { stream: reader.word()?, seq: reader.word()? };
    reader.require((event.stream as usize) < names.streams.len())?;
    Ok(event)
}

fn load_cell(reader: &mut Reader<'_>, spec: &Spec, names: &Names) -> Result<Cell, SaveError> {
    let uncertain = reader.flag()?;
    let model = load_agreed(reader, names)?;
    let shape = &spec.shape;
    let (distinct, body) = if reader.flag()? {
        let dense = load_dense(reader, spec, names)?;
        (dense.distinct(shape.counted), Body::Dense(Box::new(dense)))
    } else {
        let entries = load_entries(reader, spec, names)?;
        let values = entries.chunk_by(|left, right| left.value == right.value).count();
        let distinct = if shape.counted == Counted::Events { entries.len() } else { values };
        (u32::try_from(distinct).map_err(|_| reader.damaged())?, Body::Sparse(entries))
    };
    reader.require(distinct > 0)?;
    Ok(Cell { distinct, uncertain, model, body })
}

fn load_entries(reader: &mut Reader<'_>, spec: &Spec, names: &Names) -> Result<Vec<Entry>, SaveError> {
    let count = reader.count()?;
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let mut value = 0u32;
    for _ in 0..count {
        let step = reader.word()?;
        value = value.checked_add(step).ok_or_else(|| reader.damaged())?;
        let time = reader.word()?;
        let event = load_event(reader, names)?;
        let entry = Entry { value, time, event };
        let known = match spec.shape.counted {
            Counted::Events => value == 0,
            Counted::Vehicles => value == names.vehicle_of(event.stream),
            Counted::Values => (value as usize) < names.values.len(),
            Counted::Steps | Counted::OrderedSteps => (value as usize) < spec.fed_by.len(),
        };
        reader.require(known && i64::from(time) < spec.pane_us)?;
        reader.require(entries.last().is_none_or(|last| *last < entry))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn load_dense(reader: &mut Reader<'_>, spec: &Spec, names: &Names) -> Result<Dense, SaveError> {
    let shape: &CellShape = &spec.shape;
    let mut dense = Dense::new(shape);
    dense.values = load_bitmap(reader, names.values.len())?;
    dense.vehicles = load_bitmap(reader, names.vehicles.len())?;
    let mut events = BTreeSet::new();
    for _ in 0..reader.count()? {
        let event = load_event(reader, names)?;
        reader.require(events.insert(event))?;
        let id = names.event_id(event);
        keep_lowest(&mut dense.low_events, (id, event), Evidence::EVENTS_MAX);
        keep_lowest(&mut dense.low_vehicles, id.vehicle, Evidence::VEHICLES_MAX);
        reader.require(dense.vehicles.contains(names.vehicle_of(event.stream)))?;
    }
    dense.events = events;
    for extreme in [&mut dense.firsts, &mut dense.lasts] {
        load_extreme(reader, extreme, spec.pane_us)?;
    }
    Ok(dense)
}

fn load_bitmap(reader: &mut Reader<'_>, below: usize) -> Result<RoaringBitmap, SaveError> {
    let bytes = reader.bytes()?;
    let set = RoaringBitmap::deserialize_from(bytes).map_err(|_| reader.damaged())?;
    reader.require(
        set.serialized_size() == bytes.len() && set.max().is_none_or(|max| (max as usize) < below),
    )?;
    Ok(set)
}

fn load_extreme(reader: &mut Reader<'_>, extreme: &mut Extreme, pane_us: i64) -> Result<(), SaveError> {
    let count = reader.count()?;
    reader.require(count > 0)?;
    // Written with another limit; more times than needed do no harm.
    extreme.cap = extreme.cap.max(count);
    for _ in 0..count {
        let (key, time) = (reader.number()?, reader.word()?);
        let after = extreme.items.last().is_none_or(|last| last.0 < key);
        reader.require(after && i64::from(time) < pane_us)?;
        extreme.items.push((key, time));
    }
    extreme.find_worst();
    Ok(())
}
