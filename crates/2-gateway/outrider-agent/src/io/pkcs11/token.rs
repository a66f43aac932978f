//! One token: a session that is opened when it is needed, and again when the token was away.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::RawAuthPin;
use outrider_wire::SIGNATURE_BYTES;
use outrider_wire::low_s;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// `prime256v1` as DER, the curve of all keys.
const P256: [u8; 10] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

/// Why a token did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The library or the token is not there, or does not answer.
    #[error("token is away: {0}")]
    Away(String),
    /// The PIN is wrong or locked. It is not tried again, for wrong PINs lock tokens.
    #[error("token refused the PIN: {0}")]
    Pin(String),
    /// The token said no, or has something that makes no sense.
    #[error("token: {0}")]
    Refused(String),
}

/// A token, shared by anchor and keys.
#[derive(Clone)]
pub struct Token(Arc<Mutex<Inner>>);

struct Inner {
    module: PathBuf,
    label: String,
    pin: Zeroizing<Vec<u8>>,
    library: Option<Pkcs11>,
    session: Option<Session>,
    refused: Option<TokenError>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        // The name of a code says enough; the library's explanations are paragraphs.
        if let Error::LibraryLoading(error) = &error {
            return Self::Away(error.to_string());
        }
        let Error::Pkcs11(code, function) = error else { return Self::Refused(error.to_string()) };
        if is_pin(code) {
            Self::Pin(format!("{code:?}"))
        } else if is_gone(code) {
            Self::Away(format!("{code:?}"))
        } else {
            Self::Refused(format!("{function:?}: {code:?}"))
        }
    }
}

const fn is_pin(code: RvError) -> bool {
    matches!(code, RvError::PinIncorrect | RvError::PinLocked | RvError::PinExpired | RvError::PinLenRange)
}

const fn is_gone(code: RvError) -> bool {
    matches!(
        code,
        RvError::TokenNotPresent
            | RvError::DeviceRemoved
            | RvError::DeviceError
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::UserNotLoggedIn
            | RvError::TokenNotRecognized
    )
}

impl Token {
    /// Uses the token of this label; the library is loaded with the first use.
    #[must_use]
    pub fn new(module: &Path, label: &str, pin: Zeroizing<Vec<u8>>) -> Self {
        let inner = Inner {
            module: module.to_owned(),
            label: label.to_owned(),
            pin,
            library: None,
            session: None,
            refused: None,
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Does something in a session with the PIN given; once more in a new session if the token was away.
    pub(super) fn with<T>(
        &self,
        mut act: impl FnMut(&Session) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let had_session = inner.session.is_some();
        match act(inner.session()?) {
            Err(TokenError::Away(_)) if had_session => {
                inner.session = None;
                act(inner.session()?)
            }
            Err(TokenError::Away(reason)) => {
                inner.session = None;
                Err(TokenError::Away(reason))
            }
            done => done,
        }
    }

    /// Makes a key pair whose private half never leaves the token.
    pub(super) fn generate(&self, label: &str) -> Result<[u8; 65], TokenError> {
        let label = label.as_bytes().to_vec();
        self.with(|session| {
            let public = [
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Verify(true),
                Attribute::EcParams(P256.to_vec()),
                Attribute::Label(label.clone()),
                Attribute::Id(label.clone()),
            ];
            let private = [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                Attribute::Label(label.clone()),
                Attribute::Id(label.clone()),
            ];
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
            Ok(())
        })?;
        self.public_point(std::str::from_utf8(&label).unwrap_or_default())?
            .ok_or_else(|| TokenError::Refused("the key is not there".to_owned()))
    }

    /// Returns the public half of a key pair, `None` if there is none. One that could leave the token is refused.
    pub(super) fn public_point(&self, label: &str) -> Result<Option<[u8; 65]>, TokenError> {
        self.with(|session| {
            let Some(private) = private(session, label)? else { return Ok(None) };
            let facts =
                session.get_attributes(private, &[AttributeType::Extractable, AttributeType::Sensitive])?;
            let is_kept =
                facts.contains(&Attribute::Extractable(false)) && facts.contains(&Attribute::Sensitive(true));
            if !is_kept {
                return Err(TokenError::Refused(format!("key {label} could leave the token")));
            }
            let public = one(
                session,
                &[
                    Attribute::Class(ObjectClass::PUBLIC_KEY),
                    Attribute::KeyType(KeyType::EC),
                    Attribute::Label(label.as_bytes().to_vec()),
                ],
            )?;
            let no_key = || TokenError::Refused(format!("key {label} has no point of P-256"));
            let facts = session.get_attributes(
                public.ok_or_else(no_key)?,
                &[AttributeType::EcPoint, AttributeType::EcParams],
            )?;
            if !facts.contains(&Attribute::EcParams(P256.to_vec())) {
                return Err(no_key());
            }
            let point = facts.iter().find_map(|fact| {
                let Attribute::EcPoint(bytes) = fact else { return None };
                point(bytes)
            });
            point.map(Some).ok_or_else(no_key)
        })
    }

    /// Signs SHA-256 of `message`; s is in the lower half.
    pub(super) fn sign(&self, label: &str, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], TokenError> {
        let digest = Sha256::digest(message);
        self.with(|session| {
            let key = private(session, label)?
                .ok_or_else(|| TokenError::Refused(format!("key {label} is gone")))?;
            let signature = session.sign(&Mechanism::Ecdsa, key, &digest)?;
            let length = signature.len();
            <[u8; SIGNATURE_BYTES]>::try_from(signature)
                .map(low_s)
                .map_err(|_| TokenError::Refused(format!("signature of {length} bytes")))
        })
    }

    /// Removes a key pair.
    pub(super) fn remove(&self, label: &str) -> Result<(), TokenError> {
        self.with(|session| {
            for object in session.find_objects(&[Attribute::Label(label.as_bytes().to_vec())])? {
                session.destroy_object(object)?;
            }
            Ok(())
        })
    }

    /// Returns the keyed hash of `text` under a secret that the token makes with the first call and keeps.
    pub(super) fn derive(&self, label: &str, text: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        self.with(|session| {
            let template =
                [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(label.as_bytes().to_vec())];
            let key = match one(session, &template)? {
                Some(key) => key,
                None => session.generate_key(
                    &Mechanism::GenericSecretKeyGen,
                    &[
                        Attribute::Class(ObjectClass::SECRET_KEY),
                        Attribute::KeyType(KeyType::GENERIC_SECRET),
                        Attribute::ValueLen(32.into()),
                        Attribute::Token(true),
                        Attribute::Private(true),
                        Attribute::Sensitive(true),
                        Attribute::Extractable(false),
                        Attribute::Sign(true),
                        Attribute::Label(label.as_bytes().to_vec()),
                    ],
                )?,
            };
            let hash = Zeroizing::new(session.sign(&Mechanism::Sha256Hmac, key, text)?);
            hash.as_slice()
                .try_into()
                .map(Zeroizing::new)
                .map_err(|_| TokenError::Refused(format!("hash of {} bytes", hash.len())))
        })
    }
}

impl Inner {
    fn session(&mut self) -> Result<&Session, TokenError> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if self.session.is_none() {
            self.session = Some(self.open()?);
        }
        self.session.as_ref().ok_or_else(|| TokenError::Away("no session".to_owned()))
    }

    fn open(&mut self) -> Result<Session, TokenError> {
        let library = match &self.library {
            Some(library) => library,
            None => {
                let library = Pkcs11::new(&self.module)?;
                match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                    Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
                    Err(error) => return Err(error.into()),
                }
                self.library.insert(library)
            }
        };
        let mut found = None;
        for slot in library.get_slots_with_token()? {
            // Some libraries pad labels with zeros.
            let info = library.get_token_info(slot)?;
            if info.label().trim_end_matches(['\0', ' ']) == self.label && found.replace(slot).is_some() {
                return Err(TokenError::Refused(format!("two tokens are labelled {}", self.label)));
            }
        }
        let slot = found.ok_or_else(|| TokenError::Away(format!("no token is labelled {}", self.label)))?;
        let session = library.open_rw_session(slot)?;
        let pin = RawAuthPin::new(Box::new(self.pin.to_vec()));
        match session.login_with_raw(UserType::User, &pin).map_err(TokenError::from) {
            Ok(()) => Ok(session),
            Err(TokenError::Refused(reason)) if reason.contains("UserAlreadyLoggedIn") => Ok(session),
            Err(error) => {
                if matches!(error, TokenError::Pin(_)) {
                    self.refused = Some(error.clone());
                }
                Err(error)
            }
        }
    }
}

/// Finds the only object of a template; several are refused, since nobody could say which one is meant.
pub(super) fn one(session: &Session, template: &[Attribute]) -> Result<Option<ObjectHandle>, TokenError> {
    match session.find_objects(template)?.as_slice() {
        [] => Ok(None),
        [object] => Ok(Some(*object)),
        several => Err(TokenError::Refused(format!("{} objects of one label", several.len()))),
    }
}

fn private(session: &Session, label: &str) -> Result<Option<ObjectHandle>, TokenError> {
    let label = Attribute::Label(label.as_bytes().to_vec());
    one(session, &[Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::EC), label])
}

/// Reads `CKA_EC_POINT`: a DER octet string, or the bare point, as older tokens give it.
fn point(bytes: &[u8]) -> Option<[u8; 65]> {
    let bare = bytes.strip_prefix(&[0x04, 0x41]).filter(|rest| rest.len() == 65).unwrap_or(bytes);
    <[u8; 65]>::try_from(bare).ok().filter(|point| point.first() == Some(&4))
}
