//! NDJSON to matches of rules: decode, normalise, match.

use std::collections::BTreeMap;
use std::time::Duration;

use outrider_decode::{EventRef, Files, FormatDecoder, Host, NameRef, Package, Place, TypeRef};
use outrider_model::{Dictionary, EventBatch, catalogue};
use outrider_rules::{Matches, RuleFile, RuleSet, load};
use outrider_types::{
    BootEpoch, EventId, EventTime, EventTypeId, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros,
    VehicleId, VehicleMicros,
};
use std::sync::Arc;

/// The fifty rules, in Sigma.
pub const RULES: &str = include_str!("../content/rules.yml");
const MANIFEST: &str = include_str!("../content/decoder/decoder.toml");
const MAPPING: &str = include_str!("../content/decoder/mapping.toml");
const SAMPLE: &str = include_str!("../content/decoder/golden/events.in");
const EXPECTED: &str = include_str!("../content/decoder/golden/events.json");

/// Lines of one input: what a feed's request holds under load.
const LINES_A_BODY: usize = 2_048;
/// Longest distance of a source's clock that is assumed where it states none, microseconds.
const ERROR_US: u64 = 60_000_000;

/// Returns the package's table.
#[must_use]
pub const fn mapping() -> &'static str {
    MAPPING
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The decoder package is wrong.
    #[error(transparent)]
    Package(#[from] outrider_decode::PackageError),
    /// A rule is wrong.
    #[error("rules: {0}")]
    Rules(String),
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Lines that became rows.
    pub events: u64,
    /// Lines that did not.
    pub refused: u64,
    /// Rows that each rule matched, by its name.
    pub matches: BTreeMap<String, u64>,
    /// Processor time of the whole.
    pub whole: Duration,
    /// Processor time of another run without rules: reading lines, mapping values, writing columns.
    pub decode: Duration,
    /// Processor time of another run that writes no row.
    pub read: Duration,
}

/// Decoder and rules, ready to run.
#[derive(Debug)]
pub struct Ingest {
    decoder: Arc<dyn FormatDecoder>,
    rules: RuleSet,
}

impl Ingest {
    /// Reads decoder and rules.
    ///
    /// # Errors
    /// [`IngestError`]; the built-in content has none.
    pub fn new() -> Result<Self, IngestError> {
        let files = [
            ("decoder.toml", MANIFEST),
            ("mapping.toml", MAPPING),
            ("golden/events.in", SAMPLE),
            ("golden/events.json", EXPECTED),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let decoder = Package::from_files(Files::from(files))?.decoder();
        let loaded = load(&[RuleFile { name: "rules.yml", text: RULES }]);
        if let Some(problem) = loaded.problems.first() {
            return Err(IngestError::Rules(problem.to_string()));
        }
        Ok(Self { decoder, rules: loaded.rules })
    }

    /// Returns how many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.rules().len()
    }

    /// Decodes a text of lines and matches the rules, with a clock of processor time; then the same with less and less of
    /// it, for the cost of each stage.
    pub fn run(&self, text: &[u8], cpu: &mut dyn FnMut() -> Duration) -> Figures {
        let mut figures = Figures::default();
        let mut host = Fleet::default();
        let mut matches = Matches::new();
        let mut counts = vec![0u64; self.rules.rules().len()];
        let begin = cpu();
        for body in bodies(text) {
            let mut batch = EventBatch::new();
            let appended = self.decoder.decode_batch(body, &mut host, &mut batch);
            batch.seal();
            figures.events += appended.rows;
            figures.refused += appended.others.refusals.len() as u64 + appended.declined;
            self.rules.evaluate(&batch, &mut matches);
            for (rule, rows) in matches.iter() {
                if let Some(count) = counts.get_mut(rule.0 as usize) {
                    *count += rows.len() as u64;
                }
            }
        }
        let whole = cpu();
        let mut host = Fleet::default();
        for body in bodies(text) {
            let mut batch = EventBatch::new();
            self.decoder.decode_batch(body, &mut host, &mut batch);
            batch.seal();
        }
        let decoded = cpu();
        for body in bodies(text) {
            self.decoder.decode_batch(body, &mut Decliner, &mut EventBatch::new());
        }
        let read = cpu();
        figures.whole = whole.saturating_sub(begin);
        figures.decode = decoded.saturating_sub(whole);
        figures.read = read.saturating_sub(decoded);
        let names = self.rules.rules().iter().map(|rule| rule.header.name.clone());
        figures.matches = names.map(Option::unwrap_or_default).zip(counts).collect();
        figures
    }
}

/// Cuts a text into inputs of whole lines.
fn bodies(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut ends, mut from) = (memchr::memchr_iter(b'\n', text), 0);
    std::iter::from_fn(move || {
        let end = ends.nth(LINES_A_BODY - 1).map_or(text.len(), |at| at + 1);
        let body = text.get(std::mem::replace(&mut from, end)..end);
        body.filter(|body| !body.is_empty())
    })
}

/// Gives vehicles pseudonyms and events numbers, as a feed does.
#[derive(Debug, Default)]
struct Fleet {
    vehicles: Dictionary,
    events: u64,
}

impl Host for Fleet {
    fn place<'a>(&'a mut self, _document: usize, event: &'a EventRef<'_>) -> Option<Place<'a>> {
        self.events += 1;
        let name = match &event.vehicle {
            Some(NameRef::Vin(name) | NameRef::Foreign(name)) => name.as_ref(),
            Some(NameRef::Id(_)) | None => return None,
        };
        let vehicle = VehicleId(u128::from(self.vehicles.intern(name)).to_be_bytes());
        let (event_type, extension) = match &event.event_type {
            TypeRef::Known(id) => (*id, None),
            TypeRef::Unknown(word) => (EventTypeId(0), Some(("tele.type", word.as_ref()))),
        };
        let known = catalogue::event_type(event_type);
        Some(Place {
            tenant: TenantId(1),
            id: EventId {
                vehicle,
                epoch: BootEpoch(1),
                lane: known.map_or(Lane::Batched, |known| known.lane),
                seq: Seq(self.events),
            },
            event_type,
            severity: event.severity.or(known.map(|known| known.severity)).unwrap_or(Severity::Info),
            time: EventTime { best: event.time?, error_us: event.time_error_us.unwrap_or(ERROR_US) },
            ingest: IngestTime(UnixMicros(0)),
            mono: VehicleMicros(0),
            vehicle: None,
            extension,
        })
    }
}

/// Takes no row.
struct Decliner;

impl Host for Decliner {
    fn place<'a>(&'a mut self, _document: usize, _event: &'a EventRef<'_>) -> Option<Place<'a>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Events;

    #[test]
    fn every_line_becomes_a_row_and_every_rule_matches_some_but_few() {
        let ingest = Ingest::new().expect("content");
        assert_eq!(ingest.rules(), 50);
        let mut events = Events::new(7, 500);
        let mut text = String::new();
        (0..20_000).for_each(|_| events.write(&mut text));
        let mut tick = 0;
        let mut clock = || {
            tick += 1;
            Duration::from_secs(tick)
        };
        let figures = ingest.run(text.as_bytes(), &mut clock);
        assert_eq!((figures.events, figures.refused), (20_000, 0));
        let never: Vec<_> = figures.matches.iter().filter(|(_, count)| **count == 0).collect();
        assert_eq!((figures.matches.len(), never.len()), (50, 0), "{never:?}");
        assert!(figures.matches.values().all(|count| *count < 2_000), "{:?}", figures.matches);
        assert_eq!([figures.whole, figures.decode, figures.read], [Duration::from_secs(1); 3]);
    }

    #[test]
    fn inputs_are_whole_lines_and_together_the_text() {
        let text: String = (0..LINES_A_BODY * 2 + 3).map(|line| format!("{line}\n")).collect();
        let parts: Vec<&[u8]> = bodies(text.as_bytes()).collect();
        assert_eq!((parts.len(), parts.concat()), (3, text.into_bytes()));
        assert_eq!(bodies(b"").count(), 0);
    }
}
