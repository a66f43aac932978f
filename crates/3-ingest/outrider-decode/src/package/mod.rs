//! What an engineer uploads: a decoder of one format as data, with the samples that prove it.

mod archive;
mod each;
mod manifest;
mod sample;

use std::sync::Arc;

pub use archive::{ArchiveError, FILES_MAX, Files, PACKAGE_BYTES_MAX, Trusted};
pub use manifest::{Manifest, ManifestError, Release, ReleaseRange, Version};
pub use sample::{SampleOutcome, SampleReport};

use outrider_wire::Signer;

use crate::doc::{Doc, ReadLimits, Reader};
use crate::map::{FieldMap, FieldMapError, MapError, Mapping};
use crate::record::{Decoded, FormatDecoder, Output, Refusal};
use crate::vrl::{VrlError, VrlMap};
use each::Each;

/// Most bytes of what is made of one input: a batch of the largest wire frame holds a sixteenth of it.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// A package whose parts are read and checked.
#[derive(Debug, Clone)]
pub struct Package {
    manifest: Arc<Manifest>,
    files: Arc<Files>,
    decoder: Arc<PackageDecoder>,
}

/// Why a package cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The file cannot be opened.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file that the manifest names is not there, or no text.
    #[error("file `{name}`: {reason}")]
    File {
        /// Name in the package.
        name: String,
        /// Why, in words.
        reason: &'static str,
    },
    /// The reader's options are wrong.
    #[error("reader: {0}")]
    Reader(String),
    /// The table is wrong.
    #[error(transparent)]
    FieldMap(#[from] FieldMapError),
    /// The program is wrong.
    #[error(transparent)]
    Vrl(#[from] VrlError),
    /// There is no sample.
    #[error("no sample: golden/NAME.in with golden/NAME.json")]
    NoSample,
    /// A sample has no expected result, or the other way round.
    #[error("sample `{0}` is not a pair of .in and .json")]
    Sample(String),
}

impl Package {
    /// Reads a package from its files, as they stand in an engineer's folder.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn from_files(files: Files) -> Result<Self, PackageError> {
        archive::check(&files)?;
        let manifest = Manifest::parse(text(&files, "decoder.toml")?)?;
        let content = |name: &str| files.get(name).cloned();
        let reader =
            manifest.reader.build(&content).map_err(|error| PackageError::Reader(error.to_string()))?;
        let source = text(&files, &manifest.mapping)?;
        let mapping: Box<dyn Mapping> = if manifest.mapping.ends_with(".vrl") {
            Box::new(VrlMap::compile(source, &manifest.namespace)?)
        } else {
            Box::new(FieldMap::parse(source)?)
        };
        sample::check(&files)?;
        let id = format!("{}@{}", manifest.name, manifest.version);
        let each = manifest.each.clone();
        let decoder = PackageDecoder { id, reader, each, mapping, limits: ReadLimits::default() };
        Ok(Self { manifest: Arc::new(manifest), files: Arc::new(files), decoder: Arc::new(decoder) })
    }

    /// Opens a packed package and returns the key that signed it.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn open(bytes: &[u8], trusted: &Trusted<'_>) -> Result<(Self, [u8; 32]), PackageError> {
        let (files, key) = archive::open(bytes, trusted)?;
        Ok((Self::from_files(files)?, key))
    }

    /// Packs and signs it; `key` is the public half of the signer.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn pack(&self, key: [u8; 32], signer: &dyn Signer) -> Result<Vec<u8>, ArchiveError> {
        archive::pack(&self.files, key, signer)
    }

    /// Returns what the package says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Returns the decoder.
    #[must_use]
    pub fn decoder(&self) -> Arc<dyn FormatDecoder> {
        Arc::clone(&self.decoder) as Arc<dyn FormatDecoder>
    }

    /// Decodes every sample and compares the results.
    #[must_use]
    pub fn test(&self) -> SampleReport {
        sample::run(&self.files, self.decoder.as_ref())
    }
}

fn text<'a>(files: &'a Files, name: &str) -> Result<&'a str, PackageError> {
    let fail = |reason| PackageError::File { name: name.to_owned(), reason };
    let bytes = files.get(name).ok_or_else(|| fail("not in the package"))?;
    std::str::from_utf8(bytes).map_err(|_| fail("not UTF-8"))
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

/// Reader and mapping of a package.
#[derive(Debug)]
struct PackageDecoder {
    id: String,
    reader: Box<dyn Reader>,
    each: Option<Each>,
    mapping: Box<dyn Mapping>,
    limits: ReadLimits,
}

impl FormatDecoder for PackageDecoder {
    fn id(&self) -> &str {
        &self.id
    }

    fn decode(&self, bytes: &[u8]) -> Decoded {
        let mut decoded = Decoded::default();
        // A bug below must cost an input, not a worker.
        let items =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.reader.read(bytes, &self.limits)));
        let Ok(items) = items else {
            let place = "the reader stopped on it".to_owned();
            let raw = bytes.to_vec();
            decoded.refusals.push(Refusal { reason: "read.panic", place, number: 0, of: 0..1, raw });
            return decoded;
        };
        let mut run = Run { decoded, number: 0, copied: 0, made: 0 };
        for item in items {
            match (item.doc, &self.each) {
                (Err(error), _) if item.raw.is_empty() && !bytes.is_empty() => {
                    *run.decoded.notes.entry(error.reason).or_default() += 1;
                }
                (Err(error), _) => run.refuse(error.reason, error.place, item.raw),
                (Ok(doc), None) => run.take(self.mapping.as_ref(), std::iter::once(doc), item.raw),
                (Ok(doc), Some(each)) => match each.expand(doc, &mut run.copied) {
                    Ok(docs) => run.take(self.mapping.as_ref(), docs, item.raw),
                    Err(error) => run.refuse(error.reason, error.place, item.raw),
                },
            }
        }
        run.decoded
    }
}

/// One input on its way.
struct Run {
    decoded: Decoded,
    /// Number of the next document.
    number: usize,
    /// Bytes copied beside the elements of lists.
    copied: usize,
    /// Bytes of the outputs.
    made: usize,
}

impl Run {
    /// Refuses a document of the reader as a whole.
    fn refuse(&mut self, reason: &'static str, place: String, raw: &[u8]) {
        let (number, of) = (self.number, self.number..self.number + 1);
        self.decoded.refusals.push(Refusal { reason, place, number, of, raw: raw.to_vec() });
        self.number += 1;
    }

    /// Maps the documents that were made of one document of the reader; none at all is one that is ignored.
    fn take(&mut self, mapping: &dyn Mapping, docs: impl ExactSizeIterator<Item = Doc>, raw: &[u8]) {
        let of = self.number..self.number + docs.len().max(1);
        if docs.len() == 0 {
            self.decoded.ignored += 1;
        }
        // The bytes stand for all of them, and are kept once.
        let mut raw = Some(raw);
        for (number, doc) in of.clone().zip(docs) {
            let mapped = mapping.map(doc).and_then(|output| self.weigh(output));
            match mapped {
                Ok(Some(output)) => self.decoded.outputs.push((number, concealed(output))),
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
        if made > OUTPUT_BYTES_MAX {
            return Err(MapError::new("map.output", "the results of the input are too large together"));
        }
        self.made = made;
        Ok(output)
    }
}

#[cfg(test)]
mod tests;
