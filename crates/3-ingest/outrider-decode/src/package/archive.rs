//! A package as one signed file.
//!
//! Little endian: magic `ORDP`, version u16, public key of 32 bytes, signature of 64 bytes; then the number of files u16
//! and for each, in ascending order of names, length of the name u16, name, length of the content u32, content. The
//! signature (Ed25519) is over a fixed line, the version and everything behind the signature.

use std::collections::BTreeMap;

use outrider_wire::{Signer, Verifier};

/// First bytes of a packed package.
pub(super) const MAGIC: [u8; 4] = *b"ORDP";
const VERSION: u16 = 1;
/// What is signed begins with this line, so that the signature is good for nothing else.
const DOMAIN: &[u8] = b"outrider decoder package\n";
const HEADER_BYTES: usize = 4 + 2 + 32 + 64;

/// Largest package, bytes: descriptor sets of whole vehicle platforms have one or two MiB (guess: twice that).
pub const PACKAGE_BYTES_MAX: usize = 4 << 20;
/// Most files of a package.
pub const FILES_MAX: usize = 512;

/// Why bytes are no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The file is larger than a package may be.
    #[error("package of {0} bytes exceeds the limit of {PACKAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// The file is no package, or damaged.
    #[error("no decoder package: {reason} at byte {at}")]
    Damaged {
        /// Where reading stopped.
        at: usize,
        /// Why, in words.
        reason: &'static str,
    },
    /// Another version of the file format.
    #[error("package format {0} is not read by this program, which reads {VERSION}")]
    Version(u16),
    /// The key that signed it is not trusted here.
    #[error("signed by a key that is not registered")]
    Signer,
    /// The signature is not that of the content.
    #[error("signature does not fit the content")]
    Signature,
    /// A name is no file of a package.
    #[error("`{0}` is no name of a file in a package")]
    Name(String),
    /// More files than a package may have.
    #[error("more than {FILES_MAX} files")]
    Files,
    /// The key store refused.
    #[error("signing failed")]
    Sign,
}

/// The files of a package, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Returns whether a name may stand in a package: parts of letters, digits, `-`, `_` and `.`, separated by `/`, none of
/// them beginning with a dot.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    name.len() <= 200 && name.split('/').all(is_part)
}

/// Checks names, number and size of files.
pub(super) fn check(files: &Files) -> Result<(), ArchiveError> {
    if files.len() > FILES_MAX {
        return Err(ArchiveError::Files);
    }
    if let Some(name) = files.keys().find(|name| !is_name(name)) {
        return Err(ArchiveError::Name(name.clone()));
    }
    let bytes = files.iter().map(|(name, content)| name.len() + content.len() + 6).sum::<usize>();
    if bytes + HEADER_BYTES + 2 > PACKAGE_BYTES_MAX {
        return Err(ArchiveError::TooLarge(bytes + HEADER_BYTES + 2));
    }
    Ok(())
}

/// Packs and signs files; `key` is the public half of the signer.
pub(super) fn pack(files: &Files, key: [u8; 32], signer: &dyn Signer) -> Result<Vec<u8>, ArchiveError> {
    check(files)?;
    let mut body = Vec::new();
    body.extend(u16::try_from(files.len()).map_err(|_| ArchiveError::Files)?.to_le_bytes());
    for (name, content) in files {
        body.extend(u16::try_from(name.len()).map_err(|_| ArchiveError::Name(name.clone()))?.to_le_bytes());
        body.extend(name.as_bytes());
        body.extend(
            u32::try_from(content.len()).map_err(|_| ArchiveError::TooLarge(content.len()))?.to_le_bytes(),
        );
        body.extend(content);
    }
    let signature = signer.sign(&signed(&body)).map_err(|_| ArchiveError::Sign)?;
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(key);
    out.extend(signature);
    out.extend(body);
    Ok(out)
}

fn signed(body: &[u8]) -> Vec<u8> {
    [DOMAIN, VERSION.to_le_bytes().as_slice(), body].concat()
}

/// Gives the verifier of a key that is registered.
pub type Trusted<'a> = dyn Fn(&[u8; 32]) -> Option<Box<dyn Verifier>> + 'a;

/// Opens a packed package.
pub(super) fn open(bytes: &[u8], trusted: &Trusted<'_>) -> Result<(Files, [u8; 32]), ArchiveError> {
    if bytes.len() > PACKAGE_BYTES_MAX {
        return Err(ArchiveError::TooLarge(bytes.len()));
    }
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(4)? != MAGIC {
        return Err(cursor.damaged("another magic"));
    }
    let version = cursor.u16()?;
    if version != VERSION {
        return Err(ArchiveError::Version(version));
    }
    let key: [u8; 32] = cursor.array()?;
    let signature: [u8; 64] = cursor.array()?;
    // Nothing of the content is looked at before the signature holds.
    let verifier = trusted(&key).ok_or(ArchiveError::Signer)?;
    if !verifier.verify(&signed(bytes.get(HEADER_BYTES..).unwrap_or_default()), &signature) {
        return Err(ArchiveError::Signature);
    }
    let mut files = Files::new();
    for _ in 0..cursor.u16()? {
        let length = usize::from(cursor.u16()?);
        let name =
            std::str::from_utf8(cursor.take(length)?).map_err(|_| cursor.damaged("a name"))?.to_owned();
        if files.keys().next_back().is_some_and(|before| *before >= name) {
            return Err(cursor.damaged("names are not in order"));
        }
        let length = usize::try_from(cursor.u32()?).map_err(|_| cursor.damaged("a length"))?;
        let content = cursor.take(length)?.to_vec();
        files.insert(name, content);
    }
    if cursor.at != bytes.len() {
        return Err(cursor.damaged("bytes behind the last file"));
    }
    check(&files)?;
    Ok((files, key))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    const fn damaged(&self, reason: &'static str) -> ArchiveError {
        ArchiveError::Damaged { at: self.at, reason }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ArchiveError> {
        let end = self.at.checked_add(count);
        let part =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or(self.damaged("it ends too early"))?;
        self.at += count;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let damaged = self.damaged("it ends too early");
        self.take(N)?.try_into().map_err(|_| damaged)
    }

    fn u16(&mut self) -> Result<u16, ArchiveError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ArchiveError> {
        self.array().map(u32::from_le_bytes)
    }
}
