//! Events of feeds: bodies from the log become rows, and what cannot be used is set aside with what a replay needs.
//!
//! An event has no vehicle that numbers it. Its identity is a hash: of the source's own key where it gives one, of the body
//! and the document's number in it otherwise. So the same body, sent again for whatever reason, is the same events.

mod part;
mod replay;
mod row;

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_decode::{Appended, Decoded, FormatDecoder, Output, Payload, Refusal};
use outrider_model::{Balance, EventBatch, LogRecord, SaveError, VehicleRegistry};
use outrider_types::{BootEpoch, IngestTime};

pub use self::part::{EnvelopePart, ForeignPart};
use self::row::{Declined, Numbering, Placer};
use crate::feed::{BodyDigest, FeedId, FeedRecord};
use crate::feeds::{Feed, Feeds, UNAVAILABLE};
use crate::finding::CLOUD_EPOCH;
use crate::seen::Seen;
use crate::worker::Quarantined;

/// Boot under which events of feeds go. No vehicle may use it or one above.
pub const FEED_EPOCH: BootEpoch = BootEpoch(CLOUD_EPOCH.0 - 1);

/// Bodies remembered, in segments: 65,536 (guess: an hour of a large backend's requests).
const BODY_SEGMENTS: usize = 16;
/// Sources' keys remembered, in segments: 262,144 (guess: an hour of 70 events a second).
const KEY_SEGMENTS: usize = 64;
/// Entries of the quarantine that one body may make; further documents go into one entry with the whole body, so that one
/// broken feed cannot push everything else out.
const ENTRIES_MAX: usize = 64;
/// Documents of all payloads of one body (guess: four times what a body itself may hold).
const INNER_DOCUMENTS_MAX: u64 = 65_536;
/// Bytes of all payloads of one body that are decoded (guess: compressed envelopes do not exceed this by far).
const INNER_BYTES_MAX: usize = 16 << 20;

/// What came of a feed since the program began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Requests.
    pub bodies: Balance,
    /// Documents in them, and in their payloads.
    pub documents: Balance,
}

/// The worker's side of the feeds.
#[derive(Debug)]
pub(crate) struct Foreign {
    feeds: Arc<Feeds>,
    bodies: Seen,
    keys: Seen,
    counts: BTreeMap<FeedId, FeedCounts>,
    /// By name and version: as many as packages were ever in use.
    decoders: BTreeMap<String, Balance>,
}

impl Default for Foreign {
    fn default() -> Self {
        Self {
            feeds: Arc::default(),
            bodies: Seen::new(BODY_SEGMENTS),
            keys: Seen::new(KEY_SEGMENTS),
            counts: BTreeMap::new(),
            decoders: BTreeMap::new(),
        }
    }
}

/// Where rows and leftovers of one body go.
struct Sinks<'a> {
    registry: &'a dyn VehicleRegistry,
    batch: &'a mut EventBatch,
    quarantine: &'a mut Vec<Quarantined>,
}

/// One body on its way.
struct Body<'a> {
    feed: &'a Feed,
    feeds: &'a Feeds,
    digest: BodyDigest,
    ingest: IngestTime,
    counts: Balance,
    /// Those of `counts` that a decoder saw, by its name and version.
    decoders: BTreeMap<String, Balance>,
    entries: usize,
    inner: (u64, usize),
}

/// What a decoder made of an input whose events went to the batch.
struct Taken {
    /// Name and version of the decoder.
    decoder: String,
    appended: Appended,
    declined: Declined,
}

/// Bytes to decode: a body, or a payload in it.
struct Input<'a> {
    bytes: &'a [u8],
    format: &'a str,
    envelope: Option<(u32, &'a Payload)>,
}

impl Foreign {
    pub(crate) fn set_feeds(&mut self, feeds: Arc<Feeds>) {
        self.feeds = feeds;
    }

    /// Takes one record of a feed.
    pub(crate) fn receive(
        &mut self,
        record: &LogRecord,
        registry: &dyn VehicleRegistry,
        batch: &mut EventBatch,
        quarantine: &mut Vec<Quarantined>,
    ) {
        let Some(parsed) = FeedRecord::parse(&record.bytes) else {
            let counts = &mut self.counts.entry(FeedId(0)).or_default().bodies;
            counts.receive(1);
            counts.quarantine_for("feed.record", 1);
            let place = "of a later version, or damaged".to_owned();
            quarantine.push(crate::worker::set_aside(record, None, "feed.record", place, 1));
            return;
        };
        let counts = &mut self.counts.entry(parsed.feed).or_default().bodies;
        counts.receive(1);
        let feeds = Arc::clone(&self.feeds);
        let Some(feed) = feeds.feed(parsed.feed).filter(|feed| feed.tenant == parsed.tenant) else {
            counts.quarantine_for("feed.unknown", 1);
            let place = format!("feed {}", parsed.feed);
            quarantine.push(crate::worker::set_aside(record, None, "feed.unknown", place, 1));
            return;
        };
        let digest = parsed.digest();
        if !self.bodies.insert(u64::from_le_bytes(first_eight(digest))) {
            counts.drop_for("duplicate", 1);
            return;
        }
        counts.pass(1);
        feeds.begin_body();
        let mut body = Body::new(feed, &feeds, digest, record.ingest);
        let input = Input { bytes: parsed.body, format: &feed.format, envelope: None };
        let mut sinks = Sinks { registry, batch, quarantine };
        body.decode(&input, &mut self.keys, &mut sinks);
        let (counts, decoders) = (body.counts, body.decoders);
        self.add(parsed.feed, &counts, decoders);
    }

    /// Adds what became of the documents of a body.
    fn add(&mut self, feed: FeedId, counts: &Balance, decoders: BTreeMap<String, Balance>) {
        self.counts.entry(feed).or_default().documents.merge(counts);
        for (decoder, counts) in decoders {
            self.decoders.entry(decoder).or_default().merge(&counts);
        }
    }

    pub(crate) const fn decoder_counts(&self) -> &BTreeMap<String, Balance> {
        &self.decoders
    }

    pub(crate) const fn counts(&self) -> &BTreeMap<FeedId, FeedCounts> {
        &self.counts
    }

    /// Takes what changed of the memories, by name.
    pub(crate) fn save_changed(&mut self) -> Vec<(String, Vec<u8>)> {
        let bodies =
            self.bodies.save_changed().into_iter().map(|(number, it)| (format!("bodies.{number:04}"), it));
        let keys = self.keys.save_changed().into_iter().map(|(number, it)| (format!("keys.{number:04}"), it));
        bodies.chain(keys).collect()
    }

    /// Restores a part by its name; parts come in the order of their names.
    pub(crate) fn load_part(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        let damaged = SaveError::Damaged { offset: 0 };
        let (kind, number) = name.split_once('.').ok_or(SaveError::Damaged { offset: 0 })?;
        let number = number.parse().map_err(|_| SaveError::Damaged { offset: 0 })?;
        match kind {
            "bodies" => self.bodies.load_segment(number, bytes),
            "keys" => self.keys.load_segment(number, bytes),
            _ => Err(damaged),
        }
    }
}

fn first_eight(digest: BodyDigest) -> [u8; 8] {
    digest.0.first_chunk().copied().unwrap_or_default()
}

impl<'a> Body<'a> {
    fn new(feed: &'a Feed, feeds: &'a Feeds, digest: BodyDigest, ingest: IngestTime) -> Self {
        let (counts, decoders) = (Balance::default(), BTreeMap::new());
        Self { feed, feeds, digest, ingest, counts, decoders, entries: 0, inner: (0, 0) }
    }

    /// Counts for a decoder what was counted since `before` was taken out of the counts, and for the body both.
    fn attribute(&mut self, decoder: &str, before: Balance) {
        let own = std::mem::replace(&mut self.counts, before);
        self.counts.merge(&own);
        self.decoders.entry(decoder.to_owned()).or_default().merge(&own);
    }

    /// Decodes the body, and the payloads in it once.
    fn decode(&mut self, input: &Input<'_>, keys: &mut Seen, sinks: &mut Sinks<'_>) {
        match self.append(input, keys, sinks) {
            Ok(taken) => {
                let payloads = self.take(input, taken, sinks);
                self.decode_payloads(payloads, keys, sinks);
            }
            Err((reason, place)) => self.set_aside_whole(input, reason, place, sinks),
        }
    }

    /// Decodes payloads of envelopes, as many as a body may have; payloads in them are refused.
    fn decode_payloads(&mut self, payloads: Vec<(u32, Payload)>, keys: &mut Seen, sinks: &mut Sinks<'_>) {
        for (number, payload) in payloads {
            let inner =
                Input { bytes: &payload.bytes, format: &payload.format, envelope: Some((number, &payload)) };
            self.inner.1 = self.inner.1.saturating_add(payload.bytes.len());
            if self.inner.0 > INNER_DOCUMENTS_MAX || self.inner.1 > INNER_BYTES_MAX {
                let place = "more payloads than a body may have".to_owned();
                self.set_aside_whole(&inner, "feed.too_many", place, sinks);
                continue;
            }
            match self.append(&inner, keys, sinks) {
                Ok(taken) => {
                    self.inner.0 = self.inner.0.saturating_add(taken.appended.documents());
                    self.take(&inner, taken, sinks);
                }
                Err((reason, place)) => self.set_aside_whole(&inner, reason, place, sinks),
            }
        }
    }

    /// Chooses a decoder.
    fn decoder(
        &self,
        input: &Input<'_>,
        registry: &dyn VehicleRegistry,
    ) -> Result<Arc<dyn FormatDecoder>, (&'static str, String)> {
        let around = input.envelope.map(|(_, payload)| self.feeds.pseudonym(self.feed, &payload.vehicle));
        if around == Some(Err(UNAVAILABLE)) {
            return Err((UNAVAILABLE, "of an envelope".to_owned()));
        }
        let known = around.and_then(Result::ok).and_then(|vehicle| registry.vehicle(vehicle));
        let platform = known.as_ref().map(|it| it.platform.as_str()).or(self.feed.platform.as_deref());
        let release = known.as_ref().map(|it| it.release.as_str()).or(self.feed.release.as_deref());
        let package = self.feeds.decoders().select(input.format, platform, release);
        package.map(|package| package.decoder()).ok_or_else(|| {
            // The name of a payload's format comes from the input.
            let place = if input.envelope.is_none() { input.format } else { "of a payload" };
            ("feed.no_decoder", format!("format {place}"))
        })
    }

    /// Chooses a decoder and runs it.
    fn decode_one(
        &self,
        input: &Input<'_>,
        registry: &dyn VehicleRegistry,
    ) -> Result<(String, Decoded), (&'static str, String)> {
        let decoder = self.decoder(input, registry)?;
        // Decoders are total; a bug in one must cost a body, never the worker.
        let decoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| decoder.decode(input.bytes)));
        match decoded {
            Ok(decoded) => Ok((decoder.id().to_owned(), decoded)),
            Err(_) => Err(("feed.panic", "the decoder stopped on it".to_owned())),
        }
    }

    /// Chooses a decoder, runs it, and appends the events that may become rows.
    fn append(
        &self,
        input: &Input<'_>,
        keys: &mut Seen,
        sinks: &mut Sinks<'_>,
    ) -> Result<Taken, (&'static str, String)> {
        let numbering = Numbering::From(0);
        if input.envelope.is_some() {
            // The envelope's vehicle is not known to the decoder, which leaves its name where it stands.
            let (decoder, mut decoded) = self.decode_one(input, sinks.registry)?;
            let mut placer = Placer::new((self, &decoder, numbering), input, keys, sinks.registry);
            let outputs = std::mem::take(&mut decoded.outputs);
            let (rows, declined, others) = placer.append(outputs, sinks.batch);
            decoded.outputs = others;
            let appended = Appended { rows, declined, others: decoded };
            return Ok(Taken { declined: placer.declined, decoder, appended });
        }
        let decoder = self.decoder(input, sinks.registry)?;
        // A bug in reader or mapping costs a document there, and no row is half appended.
        let mut placer = Placer::new((self, decoder.id(), numbering), input, keys, sinks.registry);
        let appended = decoder.decode_batch(input.bytes, &mut placer, sinks.batch);
        Ok(Taken { declined: placer.declined, decoder: decoder.id().to_owned(), appended })
    }

    /// Counts everything that a decoder made, sets refused documents aside; returns the payloads.
    fn take(&mut self, input: &Input<'_>, taken: Taken, sinks: &mut Sinks<'_>) -> Vec<(u32, Payload)> {
        let Taken { decoder, appended, declined: Declined { duplicates, mut refused } } = taken;
        let documents = appended.documents();
        let Appended { rows, others: decoded, .. } = appended;
        let before = std::mem::take(&mut self.counts);
        self.counts.receive(documents);
        self.counts.drop_for("ignored", decoded.ignored);
        self.counts.pass(rows);
        self.counts.drop_for("duplicate", duplicates);
        let mut payloads = Vec::new();
        for (number, output) in decoded.outputs {
            let place = u32::try_from(number).unwrap_or(u32::MAX);
            match output {
                Output::Payload(payload) if input.envelope.is_none() => {
                    self.counts.drop_for("envelope", 1);
                    payloads.push((place, payload));
                }
                // Events are rows, or declined.
                Output::Payload(_) | Output::Event(_) => {
                    refused.entry("feed.nested").or_default().push(place);
                }
            }
        }
        let documents = u32::try_from(documents).unwrap_or(u32::MAX);
        for (reason, numbers) in refused {
            let units = numbers.len() as u64;
            self.counts.quarantine_for(reason, units);
            let part = self.part(input, &decoder, (0, documents), Some(numbers));
            let place = format!("{units} of {documents} documents");
            self.set_aside(reason, place, units, (part, input.bytes), sinks);
        }
        self.set_refusals_aside(input, &decoder, documents, decoded.refusals, sinks);
        self.attribute(&decoder, before);
        payloads
    }

    /// Sets refused documents aside, each with its bytes, up to a bound; what is beyond goes into one entry with all bytes.
    fn set_refusals_aside(
        &mut self,
        input: &Input<'_>,
        decoder: &str,
        documents: u32,
        refusals: Vec<Refusal>,
        sinks: &mut Sinks<'_>,
    ) {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut rest: Option<(&'static str, String, Vec<u32>)> = None;
        let mut refusals = refusals.into_iter().peekable();
        while let Some(refusal) = refusals.next() {
            self.counts.quarantine_for(refusal.reason, 1);
            let mut numbers = vec![refusal.number];
            // One entry for all that was made of the same bytes.
            while let Some(next) = refusals.next_if(|next| next.of == refusal.of) {
                self.counts.quarantine_for(next.reason, 1);
                numbers.push(next.number);
            }
            let Refusal { reason, place, of, raw, .. } = refusal;
            if self.entries >= ENTRIES_MAX {
                let rest = rest.get_or_insert_with(|| (reason, place, Vec::new()));
                rest.2.extend(numbers.into_iter().map(number));
                continue;
            }
            let units = numbers.len() as u64;
            let within = numbers.into_iter().map(|it| number(it - of.start)).collect();
            let span = (number(of.start), number(of.len()));
            let part = self.part(input, decoder, span, (of.len() > 1).then_some(within));
            self.set_aside(reason, place, units, (part, &raw), sinks);
        }
        if let Some((reason, place, numbers)) = rest {
            let units = numbers.len() as u64;
            let part = self.part(input, decoder, (0, documents), Some(numbers));
            self.set_aside(reason, format!("{place}; and further ones"), units, (part, input.bytes), sinks);
        }
    }

    /// Sets bytes aside of which no document is known.
    fn set_aside_whole(
        &mut self,
        input: &Input<'_>,
        reason: &'static str,
        place: String,
        sinks: &mut Sinks<'_>,
    ) {
        self.counts.receive(1);
        self.counts.quarantine_for(reason, 1);
        let part = self.part(input, "", (0, 0), None);
        self.set_aside(reason, place, 1, (part, input.bytes), sinks);
    }

    fn part(
        &self,
        input: &Input<'_>,
        decoder: &str,
        (first, documents): (u32, u32),
        refused: Option<Vec<u32>>,
    ) -> ForeignPart {
        ForeignPart {
            feed: self.feed.id,
            feed_name: self.feed.name.clone(),
            body: self.digest,
            format: input.format.to_owned(),
            decoder: decoder.to_owned(),
            envelope: input.envelope.map(|(number, payload)| EnvelopePart {
                number,
                vehicle: payload.vehicle.clone(),
                time: payload.time,
                key: payload.key.clone(),
            }),
            first,
            documents,
            refused,
        }
    }

    fn set_aside(
        &mut self,
        reason: &'static str,
        place: String,
        units: u64,
        (part, bytes): (ForeignPart, &[u8]),
        sinks: &mut Sinks<'_>,
    ) {
        self.entries += 1;
        sinks.quarantine.push(Quarantined {
            ingest: self.ingest,
            vehicle: None,
            reason,
            place,
            units,
            bytes: bytes.to_vec(),
            foreign: Some(part),
        });
    }
}

#[cfg(test)]
mod tests;
