//! Where keys and counter live: `[keys]`, `[anchor]`, `[tpm]` and `[token]` of `vehicle.toml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_gateway::spool::{Anchor, SoftwareAnchor};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::config::BatchKey;
use crate::io::anchor_thread::{AnchorThread, Background};
use crate::io::pkcs11::{PinSource, read_pin};
#[cfg(not(target_env = "musl"))]
use crate::io::pkcs11::{Token, TokenAnchor, TokenStore};
use crate::io::tpm::{Tpm, TpmAnchor, TpmStore};
use crate::keystore::{DeviceKey, FileStore, KeyError, KeyKind, KeyName, KeyStore, WireSigner};

/// Label that the spool's secret is derived with, and the one of K0.
const SECRET: &str = "outrider spool secret 1";
const ROOT: &str = "outrider spool root 1";

/// What holds something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Files.
    #[default]
    #[serde(alias = "software")]
    File,
    /// The TPM of `[tpm]`.
    Tpm,
    /// The token of `[token]`.
    Pkcs11,
}

/// `[keys]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Where the keys are. `file`: those that `key` and `batch_key` name.
    #[serde(default)]
    pub kind: Place,
    /// Name of the batch key in the TPM or token; `batch-1` without it.
    pub batch: Option<String>,
    /// Name of the client certificate's key in the TPM or token; without it that key is the file that `key` names.
    pub tls: Option<String>,
}

/// `[anchor]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    /// What counts.
    #[serde(default)]
    pub kind: Place,
}

/// `[tpm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmConfig {
    /// `/dev/tpmrm0`, `unix:PATH` or `tcp:127.0.0.1:PORT`.
    pub place: String,
    /// File with the password of the TPM's owner, which its owner alone may read; without it there is none.
    pub owner_password_file: Option<PathBuf>,
}

/// `[token]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Library of the token's maker.
    pub module: PathBuf,
    /// Label of the token.
    pub label: String,
    /// File with the PIN, which its owner alone may read.
    pub pin_file: Option<PathBuf>,
    /// Open file descriptor to read the PIN from instead.
    pub pin_descriptor: Option<u32>,
    /// Folders that the library has to write to, such as a software token's; the sandbox leaves them open.
    #[serde(default)]
    pub writable: Vec<PathBuf>,
}

/// The four sections.
#[derive(Debug, Default, Deserialize)]
pub struct HardwareConfig {
    /// `[keys]`.
    #[serde(default)]
    pub keys: KeysConfig,
    /// `[anchor]`.
    #[serde(default)]
    pub anchor: AnchorConfig,
    /// `[tpm]`.
    pub tpm: Option<TpmConfig>,
    /// `[token]`.
    pub token: Option<TokenConfig>,
}

/// Why keys or counter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    /// A section or setting is missing or wrong.
    #[error("{section}: {reason}")]
    Config {
        /// Which.
        section: &'static str,
        /// Why.
        reason: String,
    },
    /// A key cannot be used.
    #[error("key: {0}")]
    Key(#[from] KeyError),
    /// The software counter cannot be read.
    #[error("{0}")]
    Anchor(#[from] outrider_gateway::spool::AnchorError),
    /// The key was never made.
    #[error("key {0} was never made; `outrider-agent keys --make` makes it")]
    Missing(KeyName),
}

/// A key and its name.
pub type Named = (KeyName, Arc<dyn DeviceKey>);

/// The hardware of one vehicle, connected once for anchor and keys.
#[derive(Default)]
pub struct Hardware {
    tpm: Option<Tpm>,
    #[cfg(not(target_env = "musl"))]
    token: Option<Token>,
    kind: Place,
    anchor: Place,
    batch: Option<KeyName>,
    tls: Option<KeyName>,
    state: PathBuf,
}

/// An anchor, and what starts its thread if it is slow.
pub struct Anchored {
    /// The anchor.
    pub anchor: Box<dyn Anchor + Send + Sync>,
    /// To be started when the program is in its sandbox.
    pub thread: Option<AnchorThread>,
    /// Public key that its proofs are checked with; `None` for software, and for hardware that does not answer.
    pub point: Option<[u8; 65]>,
}

fn wrong(section: &'static str) -> impl Fn(String) -> HardwareError {
    move |reason| HardwareError::Config { section, reason }
}

fn missing(section: &'static str) -> HardwareError {
    HardwareError::Config { section, reason: "the section is missing".to_owned() }
}

impl HardwareConfig {
    /// Makes relative paths those below `folder`.
    pub(super) fn beside(&mut self, folder: &Path) {
        let password = self.tpm.iter_mut().filter_map(|tpm| tpm.owner_password_file.as_mut());
        let pin = self.token.iter_mut().filter_map(|token| token.pin_file.as_mut());
        password.chain(pin).for_each(|path| *path = folder.join(&*path));
    }

    /// Returns the folders that the sandbox has to leave open.
    #[must_use]
    pub fn writable(&self) -> Vec<PathBuf> {
        self.token.iter().flat_map(|token| token.writable.iter().cloned()).collect()
    }

    /// Reads PIN and passwords. Nothing is connected before it is used.
    ///
    /// # Errors
    /// [`HardwareError::Config`].
    pub fn open(&self, state: &Path) -> Result<Hardware, HardwareError> {
        let is_used = |place| self.keys.kind == place || self.anchor.kind == place;
        let name = |section, name: &str| {
            KeyName::new(name).map_err(|error| HardwareError::Config { section, reason: error.to_string() })
        };
        let (batch, tls) = match self.keys.kind {
            Place::File => (None, None),
            Place::Tpm | Place::Pkcs11 => {
                let batch = name("keys.batch", self.keys.batch.as_deref().unwrap_or("batch-1"))?;
                let tls = self.keys.tls.as_deref().map(|tls| name("keys.tls", tls)).transpose()?;
                (Some(batch), tls)
            }
        };
        Ok(Hardware {
            tpm: is_used(Place::Tpm).then(|| self.open_tpm()).transpose()?,
            #[cfg(not(target_env = "musl"))]
            token: is_used(Place::Pkcs11).then(|| self.open_token()).transpose()?,
            kind: self.keys.kind,
            anchor: self.anchor.kind,
            batch,
            tls,
            state: state.to_owned(),
        })
    }

    fn open_tpm(&self) -> Result<Tpm, HardwareError> {
        let tpm = self.tpm.as_ref().ok_or(missing("tpm"))?;
        let place = tpm.place.parse().map_err(wrong("tpm.place"))?;
        let owner = match &tpm.owner_password_file {
            None => Zeroizing::new(Vec::new()),
            Some(path) => read_pin(&PinSource::File(path.clone()))
                .map_err(|error| wrong("tpm.owner_password_file")(error.to_string()))?,
        };
        Ok(Tpm::new(place, owner))
    }

    #[cfg(not(target_env = "musl"))]
    fn open_token(&self) -> Result<Token, HardwareError> {
        let token = self.token.as_ref().ok_or(missing("token"))?;
        let source = match (&token.pin_file, token.pin_descriptor) {
            (Some(path), None) => PinSource::File(path.clone()),
            (None, Some(number)) => PinSource::Descriptor(number),
            (Some(_), Some(_)) | (None, None) => {
                return Err(wrong("token")("one of pin_file and pin_descriptor is needed".to_owned()));
            }
        };
        let pin = read_pin(&source).map_err(|error| wrong("token.pin")(error.to_string()))?;
        Ok(Token::new(&token.module, &token.label, pin))
    }
}

impl Hardware {
    /// Returns what holds the keys.
    #[must_use]
    pub const fn key_kind(&self) -> KeyKind {
        match self.kind {
            Place::File => KeyKind::File,
            Place::Tpm => KeyKind::Tpm,
            Place::Pkcs11 => KeyKind::Pkcs11,
        }
    }

    /// Returns the store of the vehicle's keys.
    ///
    /// # Errors
    /// [`HardwareError::Config`].
    pub fn store(&self) -> Result<Box<dyn KeyStore>, HardwareError> {
        let folder = self.state.join("keys");
        match self.kind {
            Place::File => Ok(Box::new(FileStore::new(&folder))),
            Place::Tpm => {
                let tpm = self.tpm.clone().ok_or(missing("tpm"))?;
                Ok(Box::new(TpmStore::new(tpm, &folder)))
            }
            #[cfg(not(target_env = "musl"))]
            Place::Pkcs11 => Ok(Box::new(TokenStore::new(self.token.clone().ok_or(missing("token"))?))),
            #[cfg(target_env = "musl")]
            Place::Pkcs11 => Err(no_tokens()),
        }
    }

    fn named(&self, name: &KeyName) -> Result<Arc<dyn DeviceKey>, HardwareError> {
        self.store()?.open(name)?.ok_or_else(|| HardwareError::Missing(name.clone()))
    }

    /// Returns the batch key and the spool's secrets; `None` if they are files.
    ///
    /// # Errors
    /// [`HardwareError`].
    pub fn batch(&self) -> Result<Option<BatchKey>, HardwareError> {
        let Some(name) = &self.batch else { return Ok(None) };
        let signer = Arc::new(WireSigner(self.named(name)?));
        let store = self.store()?;
        Ok(Some(BatchKey::Device { signer, secret: store.derive(SECRET)?, root: store.derive(ROOT)? }))
    }

    /// Returns the key of the client certificate; `None` if it is a file.
    ///
    /// # Errors
    /// [`HardwareError`].
    pub fn tls(&self) -> Result<Option<Arc<dyn DeviceKey>>, HardwareError> {
        self.tls.as_ref().map(|name| self.named(name)).transpose()
    }

    /// Makes the keys that are not there yet; returns all of them.
    ///
    /// # Errors
    /// [`HardwareError`].
    pub fn make(&self) -> Result<Vec<Named>, HardwareError> {
        let store = self.store()?;
        let names = self.batch.iter().chain(&self.tls);
        names.map(|name| Ok((name.clone(), store.open_or_generate(name)?))).collect()
    }

    /// Returns the keys that are there.
    ///
    /// # Errors
    /// [`HardwareError`].
    pub fn made(&self) -> Result<Vec<Named>, HardwareError> {
        let names = self.batch.iter().chain(&self.tls);
        names.map(|name| Ok((name.clone(), self.named(name)?))).collect()
    }

    /// Opens the anchor. Hardware that does not answer is no error: the spool goes on without, and says so.
    ///
    /// # Errors
    /// [`HardwareError`].
    pub fn anchor(&self) -> Result<Anchored, HardwareError> {
        let slow = |anchor: Box<dyn Anchor + Send + Sync>, point| {
            let (anchor, thread) = Background::new(anchor);
            Anchored { anchor: Box::new(anchor), thread: Some(thread), point }
        };
        match self.anchor {
            Place::File => {
                let anchor = Box::new(SoftwareAnchor::open(&self.state.join("spool-counter"))?);
                Ok(Anchored { anchor, thread: None, point: None })
            }
            Place::Tpm => {
                let anchor = TpmAnchor::new(self.tpm.clone().ok_or(missing("tpm"))?);
                let point = anchor.public_point().ok();
                Ok(slow(Box::new(anchor), point))
            }
            #[cfg(not(target_env = "musl"))]
            Place::Pkcs11 => {
                let anchor = TokenAnchor::new(self.token.clone().ok_or(missing("token"))?);
                let point = anchor.public_point().ok();
                Ok(slow(Box::new(anchor), point))
            }
            #[cfg(target_env = "musl")]
            Place::Pkcs11 => Err(no_tokens()),
        }
    }
}

#[cfg(target_env = "musl")]
fn no_tokens() -> HardwareError {
    wrong("token")("a static program cannot load the token's library".to_owned())
}
