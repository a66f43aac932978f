//! Sightings: what one part of the fleet saw, for a correlator in another process.

mod record;
mod wire;

use core::num::NonZeroU32;
use std::collections::BTreeMap;

use outrider_model::Matched;
use outrider_types::{EventId, EventTime, IngestTime};

use crate::facts::{Facts, Match};
use crate::intern::Interner;
use crate::plan::RuleVersion;
use crate::route::Route;

pub use record::SightingsRecord;
pub use wire::SightingsError;

/// Matches that count, of one batch of one part of the fleet.
///
/// Self-contained: rules are named by identity and version, everything else by value. Inserting them is idempotent
/// and in any order, so they may be sent again, cut otherwise and come from any process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sightings {
    rules: Vec<RuleVersion>,
    texts: Texts,
    events: Vec<Event>,
    explanations: Vec<Vec<[u32; 4]>>,
    list: Vec<Sighting>,
}

/// One event, once for all its matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    id: EventId,
    time: EventTime,
    ingest: IngestTime,
    /// Text.
    model: u32,
}

/// One match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sighting {
    rule: u32,
    event: u32,
    /// Text.
    key: u32,
    /// Text.
    value: Option<u32>,
    explanation: Option<u32>,
}

/// Byte strings by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    /// Returns a string; empty for an unknown number.
    fn get(&self, text: u32) -> &[u8] {
        let index = text as usize;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or(&[])
    }

    /// Returns a string that is text; empty if it is not.
    fn text(&self, text: u32) -> &str {
        core::str::from_utf8(self.get(text)).unwrap_or_default()
    }
}

/// One sighting as the correlator reads it.
pub(crate) struct Read<'a> {
    pub(crate) rule: u32,
    pub(crate) event: usize,
    pub(crate) facts: Facts<'a>,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    explanation: Option<&'a [[u32; 4]]>,
    texts: &'a Texts,
}

impl Read<'_> {
    /// Returns the conditions that the event met, if they were sent.
    pub(crate) fn explained(&self) -> Option<Vec<Matched>> {
        let text = |text: u32| self.texts.text(text).to_owned();
        let matched = |it: &[u32; 4]| Matched {
            field: text(it[0]),
            operator: text(it[1]),
            expected: text(it[2]),
            observed: text(it[3]),
        };
        self.explanation.map(|list| list.iter().map(matched).collect())
    }
}

impl Sightings {
    /// Longest group, counted value or model line. Twice the longest text of a record.
    pub const TEXT_BYTES_MAX: usize = 64 * 1024;
    /// Sightings of one part at most.
    pub const COUNT_MAX: usize = 65_536;
    /// Longest encoding: one record of a Kafka topic with its usual limit.
    pub const BYTES_MAX: usize = 1024 * 1024;

    /// Returns the number of sightings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the number of events that they are about.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Returns the place of each sighting's rule, tenant and group, in order.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.list.iter().map(|it| self.route(it))
    }

    /// Parts the sightings by correlator: each part of the ring that gets some, ascending.
    #[must_use]
    pub fn split(&self, parts: NonZeroU32) -> Vec<(u32, Self)> {
        let mut by_part: BTreeMap<u32, Vec<Sighting>> = BTreeMap::new();
        for it in &self.list {
            by_part.entry(self.route(it).part(parts)).or_default().push(*it);
        }
        by_part.into_iter().map(|(part, list)| (part, self.only(list))).collect()
    }

    pub(crate) fn rules(&self) -> &[RuleVersion] {
        &self.rules
    }

    pub(crate) fn read(&self) -> impl Iterator<Item = Read<'_>> {
        self.list.iter().map(|it| {
            let event = &self.events[it.event as usize];
            let model = self.texts.text(event.model);
            Read {
                rule: it.rule,
                event: it.event as usize,
                facts: Facts { id: event.id, time: event.time, ingest: event.ingest, model },
                key: self.texts.get(it.key),
                value: it.value.map(|value| self.texts.get(value)),
                explanation: it.explanation.map(|list| &*self.explanations[list as usize]),
                texts: &self.texts,
            }
        })
    }

    fn route(&self, it: &Sighting) -> Route {
        Route::of(&self.rules[it.rule as usize].rule.0, self.texts.get(it.key))
    }

    /// Returns some of the sightings with what they refer to.
    fn only(&self, mut list: Vec<Sighting>) -> Self {
        let mut part = Self::default();
        let mut texts = vec![None; self.texts.ends.len()];
        let mut events = vec![None; self.events.len()];
        let mut rules = vec![None; self.rules.len()];
        let number = |count: usize| u32::try_from(count).expect("a part of a list fits where the whole did");
        let mut text = |text: u32, into: &mut Texts| {
            *texts[text as usize].get_or_insert_with(|| {
                into.push(self.texts.get(text));
                number(into.ends.len() - 1)
            })
        };
        for it in &mut list {
            it.rule = *rules[it.rule as usize].get_or_insert_with(|| {
                part.rules.push(self.rules[it.rule as usize].clone());
                number(part.rules.len() - 1)
            });
            it.event = *events[it.event as usize].get_or_insert_with(|| {
                let event = self.events[it.event as usize];
                part.events.push(Event { model: text(event.model, &mut part.texts), ..event });
                number(part.events.len() - 1)
            });
            it.key = text(it.key, &mut part.texts);
            it.value = it.value.map(|value| text(value, &mut part.texts));
            it.explanation = it.explanation.map(|explanation| {
                let lines = &self.explanations[explanation as usize];
                part.explanations
                    .push(lines.iter().map(|line| line.map(|it| text(it, &mut part.texts))).collect());
                number(part.explanations.len() - 1)
            });
        }
        part.list = list;
        part
    }
}

/// Collects sightings.
pub(crate) struct Builder {
    part: Sightings,
    texts: Interner,
    rules: BTreeMap<usize, u32>,
    rows: BTreeMap<usize, u32>,
    explained: Vec<Option<Vec<Matched>>>,
    /// Upper bound of the encoding's length.
    bytes: usize,
}

/// Bound from which on nothing more is added: what one more sighting takes fits above it.
const BYTES_FULL: usize = Sightings::BYTES_MAX / 2;

/// More than the numbers of an event and a sighting take in the encoding.
const NUMBERS_BYTES: usize = 128;

impl Builder {
    pub(crate) fn new(hash_key: u64) -> Self {
        Self {
            part: Sightings::default(),
            texts: Interner::new(hash_key),
            rules: BTreeMap::new(),
            rows: BTreeMap::new(),
            explained: Vec::new(),
            bytes: NUMBERS_BYTES,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.part.list.len() >= Sightings::COUNT_MAX || self.bytes >= BYTES_FULL
    }

    /// Adds a match; returns its place and the number of its key.
    pub(crate) fn push(&mut self, version: &RuleVersion, it: &Match<'_>) -> (usize, u32) {
        let number = |count: usize| u32::try_from(count).expect("a part is bounded");
        let rule = match self.rules.get(&it.plan) {
            Some(rule) => *rule,
            None => {
                self.part.rules.push(version.clone());
                self.bytes += version.rule.0.len() + NUMBERS_BYTES;
                let rule = number(self.part.rules.len() - 1);
                self.rules.insert(it.plan, rule);
                rule
            }
        };
        let event = match self.rows.get(&it.row) {
            Some(event) => *event,
            None => {
                let Facts { id, time, ingest, model } = it.facts;
                let model = self.text(model.as_bytes());
                self.part.events.push(Event { id, time, ingest, model });
                let event = number(self.part.events.len() - 1);
                self.rows.insert(it.row, event);
                event
            }
        };
        let key = self.text(it.key);
        let value = it.value.map(|value| self.text(value));
        self.part.list.push(Sighting { rule, event, key, value, explanation: None });
        self.explained.push(None);
        self.bytes += NUMBERS_BYTES;
        (self.part.list.len() - 1, key)
    }

    /// Returns the event of a sighting.
    pub(crate) fn event(&self, place: usize) -> EventId {
        self.part.events[self.part.list[place].event as usize].id
    }

    /// Sets or removes the explanation of a sighting.
    pub(crate) fn explain(&mut self, place: usize, matched: Option<Vec<Matched>>) {
        let texts = |it: &Matched| {
            it.field.len() + it.operator.len() + it.expected.len() + it.observed.len() + NUMBERS_BYTES
        };
        let bytes = |list: &Option<Vec<Matched>>| list.iter().flatten().map(texts).sum::<usize>();
        self.bytes += bytes(&matched);
        self.bytes -= bytes(&self.explained[place]);
        self.explained[place] = matched;
    }

    /// Returns what was collected, and begins anew.
    pub(crate) fn finish(&mut self) -> Sightings {
        for (place, matched) in std::mem::take(&mut self.explained).into_iter().enumerate() {
            let Some(matched) = matched else { continue };
            let lines = matched.iter().map(|it| {
                [&it.field, &it.operator, &it.expected, &it.observed].map(|text| self.text(text.as_bytes()))
            });
            let lines = lines.collect();
            self.part.explanations.push(lines);
            let count = u32::try_from(self.part.explanations.len()).expect("a part is bounded");
            self.part.list[place].explanation = Some(count - 1);
        }
        self.texts.iter().for_each(|text| self.part.texts.push(text));
        let part = std::mem::take(&mut self.part);
        *self = Self::new(self.texts.key());
        part
    }

    fn text(&mut self, bytes: &[u8]) -> u32 {
        let known = self.texts.len();
        let text = self.texts.intern(bytes).expect("a part is far below 4 GiB");
        if self.texts.len() > known {
            self.bytes += bytes.len() + 4;
        }
        text
    }
}
