//! Reader and mapping of a package, at work.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use outrider_model::EventBatch;

use super::each::Each;
use crate::columns::{Columns, Host};
use crate::doc::{Doc, Item, ReadLimits, Reader};
use crate::lines::{Event, Extension, LineReader, Made};
use crate::map::{EventRef, MapError, Mapping};
use crate::read::{is_blank, json_line, lines};
use crate::record::{Appended, Decoded, FormatDecoder, Output, Refusal};

/// Reader and mapping of a package.
#[derive(Debug)]
pub(super) struct PackageDecoder {
    pub(super) id: String,
    pub(super) reader: Box<dyn Reader>,
    pub(super) each: Option<Each>,
    pub(super) mapping: Box<dyn Mapping>,
    pub(super) limits: ReadLimits,
    /// Most bytes of what is made of one input.
    pub(super) output_bytes_max: usize,
}

/// Where events go.
trait Sink {
    /// Takes an event that no document was made of.
    fn event(
        &mut self,
        document: usize,
        event: &EventRef<'_>,
        extensions: &mut dyn Iterator<Item = Extension<'_>>,
    );

    /// Takes what was made of a document; gives back what is no event.
    fn output(&mut self, document: usize, output: Output) -> Option<Output>;
}

/// Keeps events as records.
#[derive(Default)]
struct Records(Vec<(usize, Output)>);

impl Sink for Records {
    fn event(
        &mut self,
        document: usize,
        event: &EventRef<'_>,
        extensions: &mut dyn Iterator<Item = Extension<'_>>,
    ) {
        let mut record = event.to_record();
        record.extensions.extend(extensions.map(|(_, name, text)| (name.to_owned(), text.into_owned())));
        self.0.push((document, Output::Event(record)));
    }

    fn output(&mut self, document: usize, output: Output) -> Option<Output> {
        self.0.push((document, output));
        None
    }
}

impl Sink for Columns<'_> {
    fn event(
        &mut self,
        document: usize,
        event: &EventRef<'_>,
        extensions: &mut dyn Iterator<Item = Extension<'_>>,
    ) {
        Columns::event(self, document, event, extensions);
    }

    fn output(&mut self, document: usize, output: Output) -> Option<Output> {
        match output {
            Output::Event(record) => {
                self.record(document, &record);
                None
            }
            Output::Payload(_) => Some(output),
        }
    }
}

/// Takes the name of an event's vehicle out of its other fields (PRIV-1).
fn concealed(mut output: Output) -> Output {
    if let Output::Event(record) = &mut output
        && let Some(vehicle) = record.vehicle.clone()
    {
        record.conceal(&vehicle);
    }
    output
}

/// Does some work; `None` if it stopped by a panic. What it worked on is not used after that.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// One input on its way.
struct Run<'d, S> {
    decoder: &'d PackageDecoder,
    sink: S,
    decoded: Decoded,
    /// Number of the next document.
    number: usize,
    /// Bytes copied beside the elements of lists.
    copied: usize,
    /// Bytes of the outputs.
    made: usize,
    /// Lines that no document was made of.
    short: u64,
}

impl<'d, S: Sink> Run<'d, S> {
    fn new(decoder: &'d PackageDecoder, sink: S) -> Self {
        Self { decoder, sink, decoded: Decoded::default(), number: 0, copied: 0, made: 0, short: 0 }
    }

    fn input(&mut self, bytes: &[u8]) {
        let (reader, limits) = (&self.decoder.reader, &self.decoder.limits);
        let table = self.decoder.mapping.table().filter(|_| self.decoder.each.is_none());
        let reading = table.and_then(|table| LineReader::new(table, limits));
        // A bug below must cost an input, not a worker.
        let framed = caught(|| reader.json_lines(bytes, limits)).flatten();
        if let (Some(reading), Some(text)) = (reading, framed) {
            return self.lines(reading, text);
        }
        self.items(caught(|| reader.read(bytes, limits)), bytes);
    }

    /// Decodes lines; one that the short way cannot judge goes the long one.
    fn lines<'a>(&mut self, mut reading: LineReader<'a>, text: &'a [u8])
    where
        'd: 'a,
    {
        let limits = self.decoder.limits;
        let mut documents = 0;
        // A bug in the short way costs the input no more than its speed.
        let mut is_sound = true;
        for (start, line) in lines(text) {
            if is_blank(line) {
                continue;
            }
            if documents == limits.documents_max {
                let place = format!("after document {documents}");
                return self.refuse("read.too_many", place, text.get(start..).unwrap_or_default());
            }
            documents += 1;
            let made = match std::str::from_utf8(line) {
                Ok(line) if is_sound => self.short(&mut reading, line),
                Ok(_) | Err(_) => Some(Made::Unclear),
            };
            is_sound &= made.is_some();
            let made = made.unwrap_or(Made::Unclear);
            if made != Made::Unclear {
                (self.number, self.short) = (self.number + 1, self.short + 1);
            }
            match made {
                Made::Event => {}
                Made::Ignored => self.decoded.ignored += 1,
                Made::Unclear => self.items(caught(|| json_line(line, &limits)), line),
            }
        }
    }

    /// Reads a line the short way; `None` if it stopped on it.
    fn short<'a>(&mut self, reading: &mut LineReader<'a>, line: &'a str) -> Option<Made> {
        let (sink, number, made) = (&mut self.sink, self.number, &mut self.made);
        let bytes_max = self.decoder.output_bytes_max;
        let mut is_taken = false;
        let mut take = |event: &Event<'_>| {
            let weight = made.saturating_add(event.weight());
            if weight > bytes_max {
                return false;
            }
            (*made, is_taken) = (weight, true);
            sink.event(number, &event.event, &mut event.extensions());
            true
        };
        match catch_unwind(AssertUnwindSafe(|| reading.read(line, &mut take))) {
            Ok(made) => Some(made),
            // Not the input's fault, and the row may be half there.
            Err(panic) if is_taken => resume_unwind(panic),
            Err(_) => None,
        }
    }

    /// Maps what a reader made of some bytes; `None` if it stopped on them.
    fn items(&mut self, items: Option<Vec<Item<'_>>>, bytes: &[u8]) {
        let Some(items) = items else {
            return self.refuse("read.panic", "the reader stopped on it".to_owned(), bytes);
        };
        for item in items {
            match (item.doc, &self.decoder.each) {
                (Err(error), _) if item.raw.is_empty() && !bytes.is_empty() => {
                    *self.decoded.notes.entry(error.reason).or_default() += 1;
                }
                (Err(error), _) => self.refuse(error.reason, error.place, item.raw),
                (Ok(doc), None) => self.documents(std::iter::once(doc), item.raw),
                (Ok(doc), Some(each)) => match caught(|| each.expand(doc, &mut self.copied)) {
                    Some(Ok(docs)) => self.documents(docs, item.raw),
                    Some(Err(error)) => self.refuse(error.reason, error.place, item.raw),
                    None => self.refuse("map.panic", "taking it apart stopped".to_owned(), item.raw),
                },
            }
        }
    }

    /// Refuses a document of the reader as a whole.
    fn refuse(&mut self, reason: &'static str, place: String, raw: &[u8]) {
        let (number, of) = (self.number, self.number..self.number + 1);
        self.decoded.refusals.push(Refusal { reason, place, number, of, raw: raw.to_vec() });
        self.number += 1;
    }

    /// Maps the documents that were made of one document of the reader; none at all is one that is ignored.
    fn documents(&mut self, docs: impl ExactSizeIterator<Item = Doc>, raw: &[u8]) {
        let of = self.number..self.number + docs.len().max(1);
        if docs.len() == 0 {
            self.decoded.ignored += 1;
        }
        // The bytes stand for all of them, and are kept once.
        let mut raw = Some(raw);
        for (number, doc) in of.clone().zip(docs) {
            let mapped = caught(|| self.decoder.mapping.map(doc));
            let mapped =
                mapped.unwrap_or_else(|| Err(MapError::new("map.panic", "the mapping stopped on it")));
            let mapped = mapped.and_then(|output| self.weigh(output));
            match mapped {
                Ok(Some(output)) => {
                    let left = self.sink.output(number, concealed(output));
                    self.decoded.outputs.extend(left.map(|output| (number, output)));
                }
                Ok(None) => self.decoded.ignored += 1,
                Err(MapError { reason, place }) => {
                    let raw = raw.take().map(<[u8]>::to_vec).unwrap_or_default();
                    self.decoded.refusals.push(Refusal { reason, place, number, of: of.clone(), raw });
                }
            }
        }
        self.number = of.end;
    }

    /// Refuses what would make the results of one input too large: a mapping may add to each document what it likes.
    fn weigh(&mut self, output: Option<Output>) -> Result<Option<Output>, MapError> {
        let made = self.made.saturating_add(output.as_ref().map_or(0, Output::weight));
        if made > self.decoder.output_bytes_max {
            return Err(MapError::new("map.output", "the results of the input are too large together"));
        }
        self.made = made;
        Ok(output)
    }
}

impl FormatDecoder for PackageDecoder {
    fn id(&self) -> &str {
        &self.id
    }

    fn decode(&self, bytes: &[u8]) -> Decoded {
        let mut run = Run::new(self, Records::default());
        run.input(bytes);
        Decoded { outputs: run.sink.0, ..run.decoded }
    }

    fn decode_batch(&self, bytes: &[u8], host: &mut dyn Host, batch: &mut EventBatch) -> Appended {
        let mut run = Run::new(self, Columns::new(batch, host));
        run.input(bytes);
        let (rows, declined) = run.sink.finish();
        Appended { rows, declined, others: run.decoded }
    }
}

#[cfg(test)]
mod tests;
