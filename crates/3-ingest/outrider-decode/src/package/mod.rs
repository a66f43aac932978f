//! What an engineer uploads: a decoder of one format as data, with the samples that prove it.

mod archive;
mod decoder;
mod each;
mod manifest;
mod sample;

use std::sync::Arc;

pub use archive::{ArchiveError, FILES_MAX, Files, PACKAGE_BYTES_MAX, Trusted};
pub use manifest::{Manifest, ManifestError, Release, ReleaseRange, Version};
pub use sample::{SampleOutcome, SampleReport};

use outrider_wire::Signer;

use crate::doc::ReadLimits;
use crate::map::{FieldMap, FieldMapError, Mapping};
use crate::record::FormatDecoder;
use crate::vrl::{VrlError, VrlMap};
use decoder::PackageDecoder;

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
        let decoder = PackageDecoder {
            id,
            reader,
            each,
            mapping,
            limits: ReadLimits::default(),
            output_bytes_max: OUTPUT_BYTES_MAX,
        };
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

    /// Returns how many samples it has.
    #[must_use]
    pub fn samples(&self) -> usize {
        sample::names(&self.files).count()
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

#[cfg(test)]
mod tests;
