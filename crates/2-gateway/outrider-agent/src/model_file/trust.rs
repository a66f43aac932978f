//! What a vehicle insists on before it believes a model.

use outrider_ids::model::signature::KeyId;
use outrider_ids::model::{ModelError, Text};
use serde::Deserialize;

use super::{ModelFile, PublicKey, SignatureState, key_text};

/// Most keys that are trusted: two parties, each with the key that follows.
const KEYS_MAX: usize = 8;

/// `[model_trust]` of `vehicle.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// Public keys in hexadecimal; with one, a model must be signed.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Platform that a model must be for; any without it.
    pub platform: Option<String>,
    /// Software release that a model must be for; any without it.
    pub release: Option<String>,
}

/// What a vehicle insists on. The default believes every whole model.
#[derive(Debug, Clone, Default)]
pub struct ModelTrust {
    keys: Vec<PublicKey>,
    platform: Option<Text>,
    release: Option<Text>,
}

/// A model that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trusted {
    /// Platform it is for.
    pub platform: Text,
    /// Release it is for.
    pub release: Text,
    /// Trusted key that signed it; none if no key is asked for.
    pub key: Option<KeyId>,
}

/// Why a model is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none to be read.
    #[error("vehicle model cannot be read: {0}")]
    Unreadable(String),
    /// It is damaged, or no model.
    #[error("vehicle model is damaged: {0}")]
    Damaged(#[from] ModelError),
    /// Nobody signed it.
    #[error("vehicle model is not signed")]
    Unsigned,
    /// No signature is by a trusted key; the key named is that of the first.
    #[error("vehicle model is signed by key {}, which is not trusted", key_text(*.key))]
    UnknownKey {
        /// Who signed it.
        key: KeyId,
    },
    /// No signature is of an algorithm that is known.
    #[error("vehicle model is signed with algorithm {algorithm}, which is not known")]
    Algorithm {
        /// Number of the first one.
        algorithm: u16,
    },
    /// The signature of a trusted key is wrong.
    #[error("signature of vehicle model by key {} is wrong", key_text(*.key))]
    Signature {
        /// Whose it says it is.
        key: KeyId,
    },
    /// It is for another platform.
    #[error("vehicle model is for platform {:?}, this vehicle is {:?}", .got, .expected)]
    Platform {
        /// Platform of the vehicle.
        expected: Text,
        /// Platform of the model.
        got: Text,
    },
    /// It is for another release.
    #[error("vehicle model is for release {:?}, this vehicle has {:?}", .got, .expected)]
    Release {
        /// Release of the vehicle.
        expected: Text,
        /// Release of the model.
        got: Text,
    },
}

impl Refusal {
    /// Returns the reason as a word of a closed list, for events.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Damaged(_) => "damaged",
            Self::Unsigned => "unsigned",
            Self::UnknownKey { .. } => "unknown_key",
            Self::Algorithm { .. } => "unknown_algorithm",
            Self::Signature { .. } => "wrong_signature",
            Self::Platform { .. } => "other_platform",
            Self::Release { .. } => "other_release",
        }
    }

    /// Returns the key that signed, where that is what is wrong.
    #[must_use]
    pub const fn key(&self) -> Option<KeyId> {
        match self {
            Self::UnknownKey { key } | Self::Signature { key } => Some(*key),
            Self::Unreadable(_)
            | Self::Damaged(_)
            | Self::Unsigned
            | Self::Algorithm { .. }
            | Self::Platform { .. }
            | Self::Release { .. } => None,
        }
    }
}

impl ModelTrust {
    /// Checks the settings.
    ///
    /// # Errors
    /// Name of the setting and what is wrong with it.
    pub fn new(config: &TrustConfig) -> Result<Self, String> {
        if config.keys.len() > KEYS_MAX {
            return Err(format!("keys: {} keys, at most {KEYS_MAX}", config.keys.len()));
        }
        let keys = config.keys.iter().enumerate().map(|(index, text)| {
            PublicKey::from_hex(text)
                .ok_or_else(|| format!("keys[{index}]: no public Ed25519 key of 64 hexadecimal digits"))
        });
        let text = |name: &str, value: &Option<String>| match value {
            None => Ok(None),
            Some(value) => Text::new(value).map(Some).ok_or_else(|| {
                format!("{name}: longer than {} bytes, or control characters", Text::BYTES_MAX)
            }),
        };
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            platform: text("platform", &config.platform)?,
            release: text("release", &config.release)?,
        })
    }

    /// Trusts these keys, whatever the platform and release.
    #[must_use]
    pub const fn of_keys(keys: Vec<PublicKey>) -> Self {
        Self { keys, platform: None, release: None }
    }

    /// Returns whether anything is insisted on.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        !self.keys.is_empty() || self.platform.is_some() || self.release.is_some()
    }

    /// Judges the bytes of a file, O(bytes · signatures). No clock has a say: keys and signatures do not expire.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge(&self, bytes: &[u8]) -> Result<Trusted, Refusal> {
        let file = ModelFile::parse(bytes)?;
        let key = if self.keys.is_empty() { None } else { Some(self.signed_by(&file)?) };
        let mut last = Trusted { platform: Text::default(), release: Text::default(), key };
        for head in file.heads() {
            if let Some(expected) = self.platform.filter(|wanted| *wanted != head.platform) {
                return Err(Refusal::Platform { expected, got: head.platform });
            }
            if let Some(expected) = self.release.filter(|wanted| *wanted != head.release) {
                return Err(Refusal::Release { expected, got: head.release });
            }
            last = Trusted { platform: head.platform, release: head.release, key };
        }
        Ok(last)
    }

    /// Returns the first trusted key whose signature is right.
    fn signed_by(&self, file: &ModelFile<'_>) -> Result<KeyId, Refusal> {
        let mut refusal = Refusal::Unsigned;
        for signature in file.signatures {
            let seen = self.keys.iter().map(|key| (key.id, file.judge(&signature, key.id, &key.verifier)));
            let mut worse = Refusal::UnknownKey { key: signature.key };
            for (key, state) in seen {
                match state {
                    SignatureState::Right => return Ok(key),
                    SignatureState::Wrong => worse = Refusal::Signature { key },
                    SignatureState::Algorithm => {
                        worse = Refusal::Algorithm { algorithm: signature.algorithm.0 };
                    }
                    SignatureState::OtherKey => {}
                }
            }
            // A wrong signature by a trusted key says more than one by a stranger.
            if refusal == Refusal::Unsigned || matches!(worse, Refusal::Signature { .. }) {
                refusal = worse;
            }
        }
        Err(refusal)
    }
}
