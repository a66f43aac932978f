//! Documents of the quarantine once more: those that were refused, under the numbers that they had.

use std::collections::BTreeSet;
use std::sync::Arc;

use outrider_decode::{Output, Payload};
use outrider_model::{EventBatch, VehicleRegistry};
use outrider_types::IngestTime;

use super::row::{Declined, Numbering, Placer};
use super::{Body, Foreign, ForeignPart, Input, Sinks};
use crate::seen::Seen;
use crate::worker::Quarantined;

impl Foreign {
    /// Remembers that an entry of the quarantine is taken again; false if it was before.
    pub(crate) fn begin_replay(&mut self, entry: u64) -> bool {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        hash.update(b"replay\n");
        hash.update(entry.to_le_bytes());
        self.keys.insert(crate::content::first_word(hash))
    }

    /// Takes documents of a feed again. What is refused again is set aside again, as far as it was not taken before.
    pub(crate) fn replay(
        &mut self,
        (part, bytes): (&ForeignPart, &[u8]),
        ingest: IngestTime,
        registry: &dyn VehicleRegistry,
        batch: &mut EventBatch,
        quarantine: &mut Vec<Quarantined>,
    ) {
        let feeds = Arc::clone(&self.feeds);
        let Some(feed) = feeds.feed(part.feed) else {
            let counts = &mut self.counts.entry(part.feed).or_default().documents;
            counts.receive(1);
            counts.quarantine_for("feed.unknown", 1);
            quarantine.push(Quarantined {
                ingest,
                vehicle: None,
                reason: "feed.unknown",
                place: format!("feed {}", part.feed),
                units: 1,
                bytes: bytes.to_vec(),
                foreign: Some(part.clone()),
            });
            return;
        };
        let envelope = part.envelope.as_ref().map(|envelope| {
            let payload = Payload {
                vehicle: envelope.vehicle.clone(),
                format: part.format.clone(),
                time: envelope.time,
                key: envelope.key.clone(),
                bytes: Vec::new(),
            };
            (envelope.number, payload)
        });
        let input = Input {
            bytes,
            format: &part.format,
            envelope: envelope.as_ref().map(|(number, payload)| (*number, payload)),
        };
        feeds.begin_body();
        let mut body = Body::new(feed, &feeds, part.body, ingest);
        let mut sinks = Sinks { registry, batch, quarantine };
        if part.documents == 0 {
            body.decode(&input, &mut self.keys, &mut sinks);
        } else {
            body.replay(part, &input, &mut self.keys, &mut sinks);
        }
        let (counts, decoders) = (body.counts, body.decoders);
        self.add(part.feed, &counts, decoders);
    }
}

impl Body<'_> {
    fn replay(&mut self, part: &ForeignPart, input: &Input<'_>, keys: &mut Seen, sinks: &mut Sinks<'_>) {
        let (decoder, decoded) = match self.decode_one(input, sinks.registry) {
            Ok(decoded) => decoded,
            Err((reason, place)) => return self.refuse_again((part, input.bytes), (reason, place), sinks),
        };
        // One document of the reader may have become several; of several, each must be where it was.
        let is_one = part.documents == 1;
        if !is_one && decoded.documents() != u64::from(part.documents) {
            let place = format!("{} documents were {}", decoded.documents(), part.documents);
            return self.refuse_again((part, input.bytes), ("replay.numbers", place), sinks);
        }
        let open: Option<BTreeSet<u32>> =
            part.refused.as_ref().map(|refused| refused.iter().copied().collect());
        let is_open = |number: u32| open.as_ref().is_none_or(|open| open.contains(&number));
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let counted = std::mem::take(&mut self.counts);
        self.counts.receive(decoded.documents());
        self.counts.drop_for("ignored", decoded.ignored);
        let (open, before): (Vec<_>, Vec<_>) =
            decoded.outputs.into_iter().partition(|(number, _)| is_open(small(*number)));
        self.counts.drop_for("taken_before", before.len() as u64);
        let numbering = if is_one { Numbering::Within(part.first) } else { Numbering::From(part.first) };
        let mut placer = Placer::new((self, &decoder, numbering), input, keys, sinks.registry);
        let (rows, _, others) = placer.append(open, sinks.batch);
        let Declined { duplicates, refused: declined } = placer.declined;
        self.counts.pass(rows);
        self.counts.drop_for("duplicate", duplicates);
        let (mut refused, mut payloads) = (Vec::new(), Vec::new());
        for (reason, numbers) in declined {
            refused.extend(numbers.into_iter().map(|number| (number, reason, format!("document {number}"))));
        }
        for (number, output) in others {
            let number = small(number);
            match (output, numbering.of(number)) {
                (Output::Payload(payload), (first, 0)) if input.envelope.is_none() => {
                    self.counts.drop_for("envelope", 1);
                    payloads.push((first, payload));
                }
                (Output::Payload(_) | Output::Event(_), _) => {
                    refused.push((number, "feed.nested", "a payload".to_owned()));
                }
            }
        }
        for refusal in decoded.refusals {
            let number = small(refusal.number);
            if is_open(number) {
                refused.push((number, refusal.reason, refusal.place));
            } else {
                self.counts.drop_for("taken_before", 1);
            }
        }
        for (_, reason, _) in &refused {
            self.counts.quarantine_for(reason, 1);
        }
        self.attribute(&decoder, counted);
        self.decode_payloads(payloads, keys, sinks);
        refused.sort_by_key(|(number, ..)| *number);
        if let Some((_, reason, place)) = refused.first().cloned() {
            let numbers: Vec<u32> = refused.iter().map(|(number, ..)| *number).collect();
            let units = numbers.len() as u64;
            let again = ForeignPart { decoder, refused: Some(numbers), ..part.clone() };
            self.set_aside(reason, place, units, (again, input.bytes), sinks);
        }
    }

    /// Sets all that was still open aside again.
    fn refuse_again(
        &mut self,
        (part, bytes): (&ForeignPart, &[u8]),
        (reason, place): (&'static str, String),
        sinks: &mut Sinks<'_>,
    ) {
        let units = part.refused.as_ref().map_or(1, |refused| refused.len() as u64);
        self.counts.receive(units);
        self.counts.quarantine_for(reason, units);
        self.set_aside(reason, place, units, (part.clone(), bytes), sinks);
    }
}
