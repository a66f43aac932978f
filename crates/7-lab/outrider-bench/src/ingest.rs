//! NDJSON to matches of rules: decode, normalise, match.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use outrider_decode::{
    Bounds, DecoderTable, EventRef, Files, FormatDecoder, Host, NameRef, Package, Place, TypeRef,
};
use outrider_ingest::{Feed, FeedId, FeedRecord, Feeds, KeyRing, NameKey, Worker};
use outrider_model::{Dictionary, EventBatch, LogOffset, LogRecord, VehicleRecord, catalogue};
use outrider_rules::{Matches, RuleFile, RuleSet, load};
use outrider_types::{
    BootEpoch, EventId, EventTime, EventTypeId, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros,
    VehicleId, VehicleMicros,
};
use outrider_wire::Verifier;

use crate::events::START_S;

/// The fifty rules, in Sigma.
pub const RULES: &str = include_str!("../content/rules.yml");
/// The fifty rules over normalised events as a pipeline of Tenzir; it reads `EVENTS_FILE` and ends in a row of counts.
pub const TENZIR_NORMALISED: &str = include_str!("../content/normalised.tql");
/// The same over the source's own words: nothing is normalised.
pub const TENZIR_RULES_ONLY: &str = include_str!("../content/rules-only.tql");
const MANIFEST: &str = include_str!("../content/decoder/decoder.toml");
const MAPPING: &str = include_str!("../content/decoder/mapping.toml");
const SAMPLE: &str = include_str!("../content/decoder/golden/events.in");
const EXPECTED: &str = include_str!("../content/decoder/golden/events.json");

/// Lines of one request: somewhat less than the mebibyte that a feed may send at once.
const LINES_A_BODY: usize = 2_048;
/// Requests that a worker takes in one step under load.
const BODIES_A_STEP: usize = 8;
/// Longest distance of a source's clock that is assumed where it states none, microseconds.
const ERROR_US: u64 = 60_000_000;
const TENANT: TenantId = TenantId(1);
const FEED: FeedId = FeedId(1);

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
    /// Bytes of the text.
    pub bytes: u64,
    /// Lines that did not.
    pub refused: u64,
    /// Rows that each rule matched, by its name.
    pub matches: BTreeMap<String, u64>,
    /// Processor time from records of the event log to matches, as the program's worker does it: bodies and events that
    /// were taken before, pseudonyms of vehicles, lines, values, columns, rules.
    pub whole: Duration,
    /// Part of it for the rules.
    pub rules: Duration,
    /// Processor time of another run of the decoder alone into columns, its events numbered instead of identified.
    pub decode: Duration,
    /// Processor time of another run of the decoder alone that writes no row: reading lines and mapping values.
    pub read: Duration,
}

/// Feed, decoder and rules, ready to run.
#[derive(Debug)]
pub struct Ingest {
    feeds: Arc<Feeds>,
    decoder: Arc<dyn FormatDecoder>,
    rules: RuleSet,
}

impl Ingest {
    /// Reads decoder and rules.
    ///
    /// # Errors
    /// [`IngestError`]; the built-in content has none.
    pub fn new() -> Result<Self, IngestError> {
        let package = package()?;
        let decoder = package.decoder();
        let feed = Feed {
            id: FEED,
            tenant: TENANT,
            name: "telematics".to_owned(),
            format: package.manifest().format.clone(),
            platform: None,
            release: None,
            clock_error_us: ERROR_US,
            // The fifty rules ask for nothing that a registry knows.
            takes_unregistered: true,
        };
        let decoders = Arc::new(DecoderTable::new(vec![package]));
        let feeds = Arc::new(Feeds::new([feed], decoders, Arc::new(NameKey::new([7; 32]))));
        let loaded = load(&[RuleFile { name: "rules.yml", text: RULES }]);
        if let Some(problem) = loaded.problems.first() {
            return Err(IngestError::Rules(problem.to_string()));
        }
        Ok(Self { feeds, decoder, rules: loaded.rules })
    }

    /// Returns how many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.rules().len()
    }

    /// Takes a text of lines as a feed's worker does and matches the rules, with a clock of processor time; then decodes it
    /// with less and less beside, for the cost of each stage.
    pub fn run(&self, text: &[u8], cpu: &mut dyn FnMut() -> Duration) -> Figures {
        let mut figures = Figures { bytes: text.len() as u64, ..Figures::default() };
        self.worker(text, cpu, &mut figures);
        let begin = cpu();
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
        figures.decode = decoded.saturating_sub(begin);
        figures.read = cpu().saturating_sub(decoded);
        figures
    }

    /// Runs the worker and the rules.
    fn worker(&self, text: &[u8], cpu: &mut dyn FnMut() -> Duration, figures: &mut Figures) {
        let records: Vec<LogRecord> =
            bodies(text).zip(0..).map(|(body, number)| record(body, number)).collect();
        let registry: BTreeMap<VehicleId, VehicleRecord> = BTreeMap::new();
        let (mut worker, mut quarantine, mut matches) = (Worker::default(), Vec::new(), Matches::new());
        let mut counts = vec![0u64; self.rules.rules().len()];
        let begin = cpu();
        for step in records.chunks(BODIES_A_STEP) {
            worker.set_feeds(Arc::clone(&self.feeds));
            let mut batch = EventBatch::new();
            for record in step {
                worker.receive(record, &NoVehicle, &registry, &mut batch, &mut quarantine);
            }
            batch.seal();
            let decoded = cpu();
            self.rules.evaluate(&batch, &mut matches);
            for (rule, rows) in matches.iter() {
                if let Some(count) = counts.get_mut(rule.0 as usize) {
                    *count += rows.len() as u64;
                }
            }
            figures.rules += cpu().saturating_sub(decoded);
            figures.events += batch.rows() as u64;
        }
        figures.whole = cpu().saturating_sub(begin);
        figures.refused = quarantine.iter().map(|entry| entry.units).sum();
        let names = self.rules.rules().iter().map(|rule| rule.header.name.clone());
        figures.matches = names.map(Option::unwrap_or_default).zip(counts).collect();
    }
}

/// Returns the decoder package of the bench.
///
/// # Errors
/// Why it is none; the built-in one is.
pub fn package() -> Result<Package, outrider_decode::PackageError> {
    let files = [
        ("decoder.toml", MANIFEST),
        ("mapping.toml", MAPPING),
        ("golden/events.in", SAMPLE),
        ("golden/events.json", EXPECTED),
    ];
    Package::from_files(Files::from(files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))))
}

/// Makes a record of the event log of a body, as the feed's listener writes it.
fn record(body: &[u8], number: u64) -> LogRecord {
    // Received an hour after the first event, and each later than its own events by that much at least.
    let received = UnixMicros(i64::try_from((START_S + 3_600) * 1_000_000 + number * 2_000_000).unwrap_or(0));
    let record =
        FeedRecord { tenant: TENANT, feed: FEED, received, content_type: "application/x-ndjson", body };
    LogRecord { offset: LogOffset(number), ingest: IngestTime(received), bytes: record.emit() }
}

/// Cuts a text into bodies of whole lines.
fn bodies(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut ends, mut from) = (memchr::memchr_iter(b'\n', text), 0);
    std::iter::from_fn(move || {
        let end = ends.nth(LINES_A_BODY - 1).map_or(text.len(), |at| at + 1);
        let body = text.get(std::mem::replace(&mut from, end)..end);
        body.filter(|body| !body.is_empty())
    })
}

/// No vehicle speaks to the worker itself.
struct NoVehicle;

impl KeyRing for NoVehicle {
    fn batch_key(&self, _vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        None
    }
}

/// Gives vehicles and events numbers.
#[derive(Debug, Default)]
struct Fleet {
    vehicles: Dictionary,
    events: u64,
}

const BOUNDS: Bounds = Bounds { namespace: "feed", context_bytes_max: 2_048, extension_names_max: 512 };

impl Host for Fleet {
    fn bounds(&self) -> Bounds {
        BOUNDS
    }

    fn place<'a>(&'a mut self, _document: usize, event: &'a EventRef<'_>) -> Option<Place<'a>> {
        self.events += 1;
        let name = match &event.vehicle {
            Some(NameRef::Vin(name) | NameRef::Foreign(name)) => name.as_ref(),
            Some(NameRef::Id(_)) | None => return None,
        };
        let vehicle = VehicleId(u128::from(self.vehicles.intern(name)).to_be_bytes());
        let event_type = match &event.event_type {
            TypeRef::Known(id) => *id,
            TypeRef::Unknown(_) => EventTypeId(0),
        };
        let known = catalogue::event_type(event_type);
        Some(Place {
            tenant: TENANT,
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
            fields: [None; 3],
        })
    }
}

/// Takes no row.
struct Decliner;

impl Host for Decliner {
    fn bounds(&self) -> Bounds {
        BOUNDS
    }

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
        (0..60_000).for_each(|_| events.write(&mut text));
        let mut tick = 0;
        let mut clock = || {
            tick += 1;
            Duration::from_secs(tick)
        };
        let figures = ingest.run(text.as_bytes(), &mut clock);
        assert_eq!((figures.events, figures.refused), (60_000, 0));
        let never: Vec<_> = figures.matches.iter().filter(|(_, count)| **count == 0).collect();
        assert_eq!((figures.matches.len(), never.len()), (50, 0), "{never:?}");
        assert!(figures.matches.values().all(|count| *count < 6_000), "{:?}", figures.matches);
        // Thirty bodies are four steps, each of which asks the clock twice.
        let seconds = [figures.whole, figures.rules, figures.decode, figures.read].map(|time| time.as_secs());
        assert_eq!(seconds, [9, 4, 1, 1]);
        // All of it again is nothing new.
        let doubled = [text.as_bytes(), text.as_bytes()].concat();
        assert_eq!(ingest.run(&doubled, &mut || Duration::ZERO).events, 60_000);
    }

    /// Writes an event of each kind and two lines that are none; `UPDATE_EXPECT=1` writes the sample anew.
    fn write_sample() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/content/decoder/golden");
        let (mut events, mut kinds, mut sample) = (Events::new(3, 20), BTreeMap::new(), String::new());
        while kinds.len() < 11 {
            let mut line = String::new();
            events.write(&mut line);
            let kind = line.split("\"event\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let kind = kind.expect("every line has a kind").to_owned();
            kinds.entry(kind).or_insert(line);
        }
        kinds.values().for_each(|line| sample.push_str(line));
        sample.push_str("{\"ts\":\"no time\",\"event\":\"FW_BLOCK\"}\n{\"ts\":\n");
        std::fs::write(format!("{folder}/events.in"), &sample).expect("the sample can be written");
        let files = [("decoder.toml", MANIFEST), ("mapping.toml", MAPPING), ("golden/events.in", &sample)];
        let mut files: Files =
            files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect();
        files.insert("golden/events.json".to_owned(), b"{}".to_vec());
        let report = Package::from_files(files).expect("the package is right").test();
        let observed = &report.outcomes.first().expect("there is one sample").observed;
        std::fs::write(format!("{folder}/events.json"), format!("{observed:#}\n"))
            .expect("it can be written");
    }

    #[test]
    fn the_package_passes_its_sample() {
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            return write_sample();
        }
        let kinds = SAMPLE.lines().count();
        assert_eq!(kinds, 13, "eleven kinds, and two lines that are no event");
        let report = package().expect("content").test();
        assert!(report.is_passed(), "{report:?}");
    }

    #[test]
    fn bodies_are_whole_lines_and_together_the_text() {
        let text: String = (0..LINES_A_BODY * 2 + 3).map(|line| format!("{line}\n")).collect();
        let parts: Vec<&[u8]> = bodies(text.as_bytes()).collect();
        assert_eq!((parts.len(), parts.concat()), (3, text.into_bytes()));
        assert_eq!(bodies(b"").count(), 0);
    }
}
