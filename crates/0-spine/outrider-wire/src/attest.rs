//! Proofs of anchors: what a TPM 2.0 or a PKCS#11 token signs over a counter and the hash of the spool's end.
//!
//! Reads only, and trusts nothing: a proof comes from a medium or a vehicle that an attacker may own. The numbers of a TPM
//! are big endian (TPM 2.0 Library, part 1, 5.4), those of a token's proof are ours and little endian.

use core::fmt;

use crate::fixed::{Verifier, widen};
use crate::{AnchorStatement, SIGNATURE_BYTES, Suite, low_s};

/// Longest proof read: more than a TPM's names and numbers need (about 190 bytes measured on swtpm).
pub const ATTEST_BYTES_MAX: usize = 512;
/// Bytes of a TPM's name: algorithm and SHA-256 (part 1, 16).
pub const NAME_BYTES: usize = 34;
/// NV index of the anchor's counter, in the range that the TCG's registry leaves to owners; the last digits are "OR".
pub const COUNTER_INDEX: u32 = 0x0180_4F52;
/// Attributes of that index once written: a counter, read and raised with an empty password, read by the owner, no lockout
/// (TPMA_NV, part 2, 13.4). Not orderly: each increment is durable before it is answered.
pub const COUNTER_ATTRIBUTES: u32 = 0x2206_0014;
/// First bytes of a token's proof.
pub const TOKEN_MAGIC: [u8; 4] = *b"ORTK";
/// What a token signs begins with this, so that no other signature of the key passes.
pub const TOKEN_SIGNED: [u8; 24] = *b"outrider token anchor 1\0";
/// Bytes of a token's proof: magic, kind, three zeros, counter, head, signature.
pub const TOKEN_PROOF_BYTES: usize = 16 + 32 + SIGNATURE_BYTES;

/// `TPM_GENERATED_VALUE`: no restricted key signs foreign bytes that begin so (part 2, 6.2).
const GENERATED: u32 = 0xFF54_4347;
/// `TPM_ST_ATTEST_NV` (part 2, 6.9).
const ATTEST_NV: u16 = 0x8014;
/// `TPM_ALG_ECDSA` and `TPM_ALG_SHA256` (part 2, 6.3).
const ECDSA: u16 = 0x0018;
const SHA256: u16 = 0x000B;

/// Fault in a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofError {
    /// It ends before a field.
    Truncated {
        /// Where the field starts.
        offset: usize,
    },
    /// It is longer than the cap, or something stands behind it.
    Length {
        /// Bytes there are.
        got: usize,
    },
    /// A field is not what a proof of this kind has there.
    Value {
        /// Where it stands.
        offset: usize,
        /// Value found.
        got: u64,
    },
    /// It attests another hash than that of the spool's end.
    Head,
    /// The signature does not belong to the proof and the key.
    Signature,
}

impl ProofError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "proof.truncated",
            Self::Length { .. } => "proof.length",
            Self::Value { .. } => "proof.value",
            Self::Head => "proof.head",
            Self::Signature => "proof.signature",
        }
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { offset } => write!(f, "proof ends before the field at offset {offset}"),
            Self::Length { got } => write!(f, "proof of {got} bytes is too long"),
            Self::Value { offset, got } => write!(f, "value {got} at offset {offset} is not that of a proof"),
            Self::Head => f.write_str("proof is over another end of the spool"),
            Self::Signature => f.write_str("signature does not belong to the proof and the key"),
        }
    }
}

impl core::error::Error for ProofError {}

/// What a TPM certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TpmProof {
    /// Value of the NV counter.
    pub counter: u64,
    /// Name of the index: says which one it was, and that it is a counter. Compare it with [`COUNTER_NAME`].
    pub name: [u8; NAME_BYTES],
    /// Milliseconds that the TPM was powered, ever.
    pub clock_ms: u64,
    /// Starts of the TPM since its owner was cleared.
    pub resets: u32,
    /// Resumes since the last start.
    pub restarts: u32,
}

/// What a token signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenProof {
    /// Value of the counter.
    pub counter: u64,
    /// Whether the token itself keeps it from going back. False: who has the PIN could set it back.
    pub is_hardware: bool,
}

/// Cursor over a TPM's structures.
struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProofError> {
        let (head, rest) =
            self.rest.split_at_checked(length).ok_or(ProofError::Truncated { offset: self.at })?;
        self.rest = rest;
        self.at = self.at.saturating_add(length);
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProofError> {
        let offset = self.at;
        self.take(N)?.try_into().map_err(|_| ProofError::Truncated { offset })
    }

    fn u16(&mut self) -> Result<u16, ProofError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, ProofError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, ProofError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a length and that many bytes: any `TPM2B`.
    fn sized(&mut self) -> Result<&'a [u8], ProofError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// Reads a `TPM2B` that must have this length.
    fn sized_array<const N: usize>(&mut self) -> Result<[u8; N], ProofError> {
        let offset = self.at;
        let bytes = self.sized()?;
        bytes.try_into().map_err(|_| ProofError::Value { offset, got: widen(bytes.len()) })
    }

    fn expect(&mut self, expected: u16) -> Result<(), ProofError> {
        let offset = self.at;
        let got = self.u16()?;
        if got == expected { Ok(()) } else { Err(ProofError::Value { offset, got: u64::from(got) }) }
    }

    const fn end(&self) -> Result<(), ProofError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ProofError::Length { got: self.rest.len() }) }
    }
}

const fn cap(proof: &[u8]) -> Result<(), ProofError> {
    if proof.len() > ATTEST_BYTES_MAX { Err(ProofError::Length { got: proof.len() }) } else { Ok(()) }
}

/// Reads an integer of at most 32 bytes of a `TPMS_SIGNATURE_ECC` into its fixed length.
fn integer(reader: &mut Reader<'_>, out: &mut [u8]) -> Result<(), ProofError> {
    let offset = reader.at;
    let bytes = reader.sized()?;
    let start = out.len().checked_sub(bytes.len());
    let slot = start.and_then(|start| out.get_mut(start..));
    let slot = slot.ok_or(ProofError::Value { offset, got: widen(bytes.len()) })?;
    for (to, from) in slot.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(())
}

/// Reads a `TPMT_SIGNATURE` of ECDSA with SHA-256 as r and s, 32 bytes each; s is as the TPM made it.
///
/// # Errors
/// [`ProofError`]: another algorithm, or something behind it.
pub fn tpm_signature(bytes: &[u8]) -> Result<[u8; SIGNATURE_BYTES], ProofError> {
    cap(bytes)?;
    let mut reader = Reader::new(bytes);
    let signature = signature(&mut reader)?;
    reader.end()?;
    Ok(signature)
}

fn signature(reader: &mut Reader<'_>) -> Result<[u8; SIGNATURE_BYTES], ProofError> {
    reader.expect(ECDSA)?;
    reader.expect(SHA256)?;
    let mut signature = [0; SIGNATURE_BYTES];
    let (r, s) = signature.split_at_mut(SIGNATURE_BYTES / 2);
    integer(reader, r)?;
    integer(reader, s)?;
    Ok(signature)
}

/// Returns the public area of the anchor's counter (`TPMS_NV_PUBLIC`, part 2, 13.5) once it was written: index, SHA-256,
/// attributes, no policy, eight bytes. Its name is algorithm 0x000B and SHA-256 over these bytes.
#[must_use]
pub const fn counter_public() -> [u8; 14] {
    let [i0, i1, i2, i3] = COUNTER_INDEX.to_be_bytes();
    let [a0, a1, a2, a3] = COUNTER_ATTRIBUTES.to_be_bytes();
    let [h0, h1] = SHA256.to_be_bytes();
    [i0, i1, i2, i3, h0, h1, a0, a1, a2, a3, 0, 0, 0, 8]
}

/// Name of the anchor's counter: `TPM_ALG_SHA256`, then SHA-256 over [`counter_public`].
pub const COUNTER_NAME: [u8; NAME_BYTES] = [
    0x00, 0x0B, 0x5D, 0x22, 0xA1, 0x08, 0x72, 0xEA, 0xE3, 0x21, 0xE2, 0xC8, 0x8A, 0x0B, 0xC7, 0xE2, 0x74,
    0x3F, 0x98, 0x0A, 0x89, 0xF3, 0xFC, 0x3D, 0x93, 0x29, 0x71, 0x1B, 0x6D, 0xBD, 0x08, 0x71, 0xB5, 0x38,
];

/// Returns whether the anchor's key made the proof of a statement, over its counter and its head. Software, and a kind of a
/// later version, prove nothing.
#[must_use]
pub fn is_proven(said: &AnchorStatement<'_>, key: &dyn Verifier) -> bool {
    let counter = match said.kind {
        2 => check_tpm(said.proof, &said.head, key)
            .ok()
            .filter(|proof| proof.name == COUNTER_NAME)
            .map(|proof| proof.counter),
        3 => check_token(said.proof, &said.head, key).ok().map(|proof| proof.counter),
        _ => None,
    };
    counter == Some(said.counter)
}

/// Checks a TPM's proof: the parameters that `TPM2_NV_Certify` answers with, `TPM2B_ATTEST` and `TPMT_SIGNATURE` (part 3,
/// 31.16). A TPM does not bring s into the lower half of the group, on which verifiers insist; that is done here. The
/// caller compares [`TpmProof::name`].
///
/// # Errors
/// [`ProofError`].
pub fn check_tpm(proof: &[u8], head: &[u8; 32], key: &dyn Verifier) -> Result<TpmProof, ProofError> {
    cap(proof)?;
    let mut outer = Reader::new(proof);
    let attested = outer.sized()?;
    let signature = signature(&mut outer)?;
    outer.end()?;
    let mut reader = Reader::new(attested);
    let magic = reader.u32()?;
    if magic != GENERATED {
        return Err(ProofError::Value { offset: 0, got: u64::from(magic) });
    }
    reader.expect(ATTEST_NV)?;
    reader.sized()?;
    let extra = reader.sized()?;
    let clock_ms = reader.u64()?;
    let (resets, restarts) = (reader.u32()?, reader.u32()?);
    reader.take(1)?;
    reader.u64()?;
    let name = reader.sized_array()?;
    reader.expect(0)?;
    let counter = u64::from_be_bytes(reader.sized_array()?);
    reader.end()?;
    if extra != head {
        return Err(ProofError::Head);
    }
    if key.suite() != Suite::EcdsaP256 || !key.verify(attested, &low_s(signature)) {
        return Err(ProofError::Signature);
    }
    Ok(TpmProof { counter, name, clock_ms, resets, restarts })
}

/// Returns what a token signs for a proof.
#[must_use]
pub fn token_signed(counter: u64, is_hardware: bool, head: &[u8; 32]) -> [u8; 72] {
    let mut out = [0; 72];
    let parts = TOKEN_SIGNED
        .into_iter()
        .chain([u8::from(is_hardware), 0, 0, 0, 0, 0, 0, 0])
        .chain(counter.to_le_bytes())
        .chain(*head);
    for (slot, byte) in out.iter_mut().zip(parts) {
        *slot = byte;
    }
    out
}

/// Writes a token's proof around its signature.
#[must_use]
pub fn token_proof(
    counter: u64,
    is_hardware: bool,
    head: &[u8; 32],
    signature: &[u8; SIGNATURE_BYTES],
) -> [u8; TOKEN_PROOF_BYTES] {
    let mut out = [0; TOKEN_PROOF_BYTES];
    let parts = TOKEN_MAGIC
        .into_iter()
        .chain([u8::from(is_hardware), 0, 0, 0])
        .chain(counter.to_le_bytes())
        .chain(*head)
        .chain(*signature);
    for (slot, byte) in out.iter_mut().zip(parts) {
        *slot = byte;
    }
    out
}

/// Checks a token's proof.
///
/// # Errors
/// [`ProofError`].
pub fn check_token(proof: &[u8], head: &[u8; 32], key: &dyn Verifier) -> Result<TokenProof, ProofError> {
    cap(proof)?;
    let mut reader = Reader::new(proof);
    let magic = u32::from_le_bytes(reader.array()?);
    if magic != u32::from_le_bytes(TOKEN_MAGIC) {
        return Err(ProofError::Value { offset: 0, got: u64::from(magic) });
    }
    let kind = reader.array::<4>()?;
    let is_hardware = match kind {
        [0, 0, 0, 0] => false,
        [1, 0, 0, 0] => true,
        _ => return Err(ProofError::Value { offset: 4, got: u64::from(u32::from_le_bytes(kind)) }),
    };
    let counter = u64::from_le_bytes(reader.array()?);
    let attested: [u8; 32] = reader.array()?;
    let signature = reader.array()?;
    reader.end()?;
    if attested != *head {
        return Err(ProofError::Head);
    }
    let signed = token_signed(counter, is_hardware, head);
    if key.suite() != Suite::EcdsaP256 || !key.verify(&signed, &signature) {
        return Err(ProofError::Signature);
    }
    Ok(TokenProof { counter, is_hardware })
}
