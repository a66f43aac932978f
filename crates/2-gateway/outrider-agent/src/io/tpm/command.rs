//! Commands to a TPM 2.0 as bytes (TPM 2.0 Library, parts 2 and 3): the dozen that anchor and keys need.

use outrider_wire::attest::{COUNTER_ATTRIBUTES, COUNTER_INDEX};

/// `TPM_RH_OWNER`: the hierarchy of whoever owns the vehicle (part 2, 7.4).
const OWNER: u32 = 0x4000_0001;
/// `TPM_RH_NULL`.
const NULL_HIERARCHY: u32 = 0x4000_0007;
/// `TPM_RS_PW`: authorisation by password.
const PASSWORD: u32 = 0x4000_0009;
/// `TPM_ST_NO_SESSIONS` and `TPM_ST_SESSIONS` (part 2, 6.9).
pub(super) const NO_SESSIONS: u16 = 0x8001;
pub(super) const SESSIONS: u16 = 0x8002;
/// `TPMA_NV_WRITTEN`: set by the TPM, not by whoever defines the index.
pub(super) const WRITTEN: u32 = 1 << 29;

/// Algorithms (part 2, 6.3).
mod algorithm {
    pub(super) const HMAC: u16 = 0x0005;
    pub(super) const KEYED_HASH: u16 = 0x0008;
    pub(super) const SHA256: u16 = 0x000B;
    pub(super) const NULL: u16 = 0x0010;
    pub(super) const ECDSA: u16 = 0x0018;
    pub(super) const ECC: u16 = 0x0023;
    /// `TPM_ECC_NIST_P256`.
    pub(super) const P256: u16 = 0x0003;
}

/// Command codes (part 2, 6.5.2).
mod code {
    pub(super) const NV_DEFINE_SPACE: u32 = 0x0000_012A;
    pub(super) const CREATE_PRIMARY: u32 = 0x0000_0131;
    pub(super) const NV_INCREMENT: u32 = 0x0000_0134;
    pub(super) const STARTUP: u32 = 0x0000_0144;
    pub(super) const NV_READ: u32 = 0x0000_014E;
    pub(super) const HMAC: u32 = 0x0000_0155;
    pub(super) const SIGN: u32 = 0x0000_015D;
    pub(super) const FLUSH_CONTEXT: u32 = 0x0000_0165;
    pub(super) const NV_READ_PUBLIC: u32 = 0x0000_0169;
    pub(super) const NV_CERTIFY: u32 = 0x0000_0184;
}

/// What a key of the vehicle may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Signs any hash: TLS and frames.
    Sign,
    /// Signs what the TPM itself states, and nothing else: attestations.
    Attest,
    /// Keyed hash: secrets of the spool.
    Derive,
}

/// A key that the TPM makes again from its owner's seed whenever it is asked, always the same one for a use and name, so
/// that nothing has to be stored (part 1, 26.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template {
    /// What it may do.
    pub usage: Use,
    /// SHA-256 of its name.
    pub unique: [u8; 32],
}

impl Template {
    /// Returns `TPMT_PUBLIC` (part 2, 12.2.4).
    fn public(&self) -> Vec<u8> {
        // fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, sign; for attestation restricted as well.
        let attributes: u32 = match self.usage {
            Use::Sign | Use::Derive => 0x0004_0472,
            Use::Attest => 0x0005_0472,
        };
        let mut out = Out::default();
        match self.usage {
            Use::Sign | Use::Attest => {
                out.u16(algorithm::ECC).u16(algorithm::SHA256).u32(attributes).sized(&[]);
                out.u16(algorithm::NULL).u16(algorithm::ECDSA).u16(algorithm::SHA256);
                out.u16(algorithm::P256).u16(algorithm::NULL);
                out.sized(&self.unique).sized(&[]);
            }
            Use::Derive => {
                out.u16(algorithm::KEYED_HASH).u16(algorithm::SHA256).u32(attributes).sized(&[]);
                out.u16(algorithm::HMAC).u16(algorithm::SHA256).sized(&self.unique);
            }
        }
        out.0
    }
}

/// Bytes being written, big endian.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Writes a length and the bytes: any `TPM2B`. All of ours are shorter than 64 KiB.
    fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Writes a command: handles, one password for each of the first ones, parameters.
fn command(code: u32, handles: &[u32], passwords: &[&[u8]], parameters: &[u8]) -> Vec<u8> {
    let mut body = Out::default();
    for handle in handles {
        body.u32(*handle);
    }
    if !passwords.is_empty() {
        let mut sessions = Out::default();
        for password in passwords {
            // No nonce; the session goes on, which a password has to say.
            sessions.u32(PASSWORD).sized(&[]).0.push(1);
            sessions.sized(password);
        }
        body.u32(u32::try_from(sessions.0.len()).unwrap_or(u32::MAX));
        body.0.extend(sessions.0);
    }
    body.0.extend_from_slice(parameters);
    let tag = if passwords.is_empty() { NO_SESSIONS } else { SESSIONS };
    let mut out = Out::default();
    out.u16(tag).u32(u32::try_from(body.0.len() + 10).unwrap_or(u32::MAX)).u32(code);
    out.0.extend(body.0);
    out.0
}

/// `TPM2_Startup(CLEAR)`, which a machine's firmware has done and a fresh emulator wants.
pub(super) fn startup() -> Vec<u8> {
    command(code::STARTUP, &[], &[], &[0, 0])
}

/// `TPM2_CreatePrimary` under the owner.
pub(super) fn create_primary(template: &Template, owner: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    // Neither password nor data of ours in the key; no outside information, no PCRs.
    out.sized(&[0, 0, 0, 0]).sized(&template.public()).sized(&[]).u32(0);
    command(code::CREATE_PRIMARY, &[OWNER], &[owner], &out.0)
}

/// `TPM2_FlushContext`.
pub(super) fn flush(handle: u32) -> Vec<u8> {
    command(code::FLUSH_CONTEXT, &[], &[], &handle.to_be_bytes())
}

/// `TPM2_Sign` of a SHA-256 digest, with the key's own scheme.
pub(super) fn sign(key: u32, digest: &[u8; 32]) -> Vec<u8> {
    let mut out = Out::default();
    // An empty hash-check ticket (TPM_ST_HASHCHECK): the key may sign any digest.
    out.sized(digest).u16(algorithm::NULL).u16(0x8024).u32(NULL_HIERARCHY).sized(&[]);
    command(code::SIGN, &[key], &[&[]], &out.0)
}

/// `TPM2_HMAC` with the key's own scheme.
pub(super) fn hmac(key: u32, text: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    out.sized(text).u16(algorithm::NULL);
    command(code::HMAC, &[key], &[&[]], &out.0)
}

/// `TPM2_NV_DefineSpace` of the counter.
pub(super) fn define_counter(owner: &[u8]) -> Vec<u8> {
    let mut public = Out::default();
    public.u32(COUNTER_INDEX).u16(algorithm::SHA256).u32(COUNTER_ATTRIBUTES & !WRITTEN).sized(&[]).u16(8);
    let mut out = Out::default();
    out.sized(&[]).sized(&public.0);
    command(code::NV_DEFINE_SPACE, &[OWNER], &[owner], &out.0)
}

/// `TPM2_NV_ReadPublic` of the counter.
pub(super) fn read_public() -> Vec<u8> {
    command(code::NV_READ_PUBLIC, &[COUNTER_INDEX], &[], &[])
}

/// `TPM2_NV_Increment` of the counter.
pub(super) fn increment() -> Vec<u8> {
    command(code::NV_INCREMENT, &[COUNTER_INDEX, COUNTER_INDEX], &[&[]], &[])
}

/// `TPM2_NV_Read` of the counter.
pub(super) fn read() -> Vec<u8> {
    command(code::NV_READ, &[COUNTER_INDEX, COUNTER_INDEX], &[&[]], &[0, 8, 0, 0])
}

/// `TPM2_NV_Certify` of the counter, with the hash of the spool's end as qualifying data.
pub(super) fn certify(key: u32, head: &[u8; 32]) -> Vec<u8> {
    let mut out = Out::default();
    out.sized(head).u16(algorithm::NULL).u16(8).u16(0);
    command(code::NV_CERTIFY, &[key, COUNTER_INDEX, COUNTER_INDEX], &[&[], &[]], &out.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_states_its_length_and_one_password_a_session() {
        assert_eq!(startup(), [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0]);
        let bytes = increment();
        assert_eq!(bytes.len(), 31);
        assert_eq!(bytes[..10], [0x80, 2, 0, 0, 0, 31, 0, 0, 1, 0x34]);
        assert_eq!(bytes[18..], [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn the_counter_is_one_and_its_use_restricts_a_key() {
        let bytes = define_counter(b"owner");
        let public = [0x01, 0x80, 0x4F, 0x52, 0, 0x0B, 0x02, 0x06, 0x00, 0x14, 0, 0, 0, 8];
        assert_eq!(bytes[bytes.len() - 14..], public);
        assert!(bytes.windows(7).any(|part| part == b"\x00\x05owner"));
        let of = |usage| Template { usage, unique: [7; 32] }.public();
        assert_eq!(of(Use::Sign)[5] ^ of(Use::Attest)[5], 1, "restricted");
        assert_ne!(of(Use::Derive)[..2], of(Use::Sign)[..2]);
    }
}
