//! A counter kept in a PKCS#11 token.
//!
//! The standard has a hardware counter (`CKH_MONOTONIC_COUNTER`), which no token at hand has and the binding cannot ask for.
//! So the counter is a private data object: the next value is written as a new object, and then the old one is removed. The
//! highest counts, so a power cut between the two never takes a value back. Who has the PIN can: the proof says so.

use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use outrider_gateway::spool::{Anchor, AnchorError, AnchorKind, Attestation};
use outrider_wire::attest::{token_proof, token_signed};

use super::token::{Token, TokenError};

const LABEL: &str = "outrider anchor";
const KEY: &str = "outrider-anchor";
/// First bytes of the object's value.
const MAGIC: [u8; 4] = *b"ORTC";

/// The counter, and the key that signs it.
#[derive(Debug)]
pub struct TokenAnchor {
    token: Token,
    is_new: AtomicBool,
    is_ready: AtomicBool,
}

impl From<TokenError> for AnchorError {
    fn from(error: TokenError) -> Self {
        let reason = match error {
            TokenError::Away(_) => "away",
            TokenError::Pin(_) => "locked",
            TokenError::Refused(_) => "refused",
        };
        Self { reason, detail: error.to_string() }
    }
}

/// Returns the objects that hold a value, the highest value last.
fn values(session: &Session) -> Result<Vec<(u64, ObjectHandle)>, TokenError> {
    let template = [Attribute::Class(ObjectClass::DATA), Attribute::Label(LABEL.as_bytes().to_vec())];
    let mut values = Vec::new();
    for object in session.find_objects(&template)? {
        let facts = session.get_attributes(object, &[AttributeType::Value])?;
        let value = facts.iter().find_map(|fact| {
            let Attribute::Value(bytes) = fact else { return None };
            bytes.strip_prefix(&MAGIC)?.try_into().ok().map(u64::from_le_bytes)
        });
        let value = value.ok_or_else(|| TokenError::Refused("the counter's object is damaged".to_owned()))?;
        values.push((value, object));
    }
    values.sort_unstable_by_key(|(value, _)| *value);
    Ok(values)
}

fn store(session: &Session, value: u64) -> Result<(), TokenError> {
    let template = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Modifiable(false),
        Attribute::Application(b"outrider".to_vec()),
        Attribute::Label(LABEL.as_bytes().to_vec()),
        Attribute::Value([&MAGIC[..], &value.to_le_bytes()].concat()),
    ];
    session.create_object(&template)?;
    Ok(())
}

impl TokenAnchor {
    /// Uses the counter of a token; the first reading makes it if it is not there.
    #[must_use]
    pub const fn new(token: Token) -> Self {
        Self { token, is_new: AtomicBool::new(false), is_ready: AtomicBool::new(false) }
    }

    /// Returns the public key that signs the counter, for whoever verifies.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn public_point(&self) -> Result<[u8; 65], TokenError> {
        self.prepare()?;
        let point = self.token.public_point(KEY)?;
        point.ok_or_else(|| TokenError::Refused("the anchor's key was never made".to_owned()))
    }

    /// Makes counter and key if they are not there; a token that is away now is asked again with the next reading.
    fn prepare(&self) -> Result<(), TokenError> {
        if self.is_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.token.public_point(KEY)?.is_none() {
            self.token.generate(KEY)?;
        }
        if self.token.with(values)?.is_empty() {
            self.token.with(|session| store(session, 1))?;
            self.is_new.store(true, Ordering::Relaxed);
        }
        self.is_ready.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Anchor for TokenAnchor {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Pkcs11
    }

    fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }

    fn read(&self) -> Result<u64, AnchorError> {
        self.prepare()?;
        let values = self.token.with(values)?;
        let gone = || TokenError::Refused("the counter is gone".to_owned());
        Ok(values.last().map(|(value, _)| *value).ok_or_else(gone)?)
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        self.prepare()?;
        let next = self.token.with(|session| {
            let old = values(session)?;
            let Some((value, _)) = old.last() else {
                return Err(TokenError::Refused("the counter is gone".to_owned()));
            };
            let next = value.saturating_add(1);
            store(session, next)?;
            for (_, object) in old {
                session.destroy_object(object)?;
            }
            Ok(next)
        })?;
        Ok(next)
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        let counter = self.read()?;
        let signature = self.token.sign(KEY, &token_signed(counter, false, head))?;
        let proof = token_proof(counter, false, head, &signature).to_vec();
        Ok(Attestation { kind: AnchorKind::Pkcs11, counter, head: *head, proof })
    }
}
