//! The cloud's signing keys: one for acknowledgements, one for commands, never the same.

use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use outrider_ingest::NameKey;
use outrider_respond::{Action, Command, ConfigKind};
use outrider_wire::{
    ArtifactKind, COMMAND_BYTES_MAX, CommandHead, CommandId, EvidenceWindow, FrameError, IntentHash,
    Parameters, PermitId, SIGNATURE_BYTES, Signer, SignerError, UpdateOrder,
};

use super::ca::{CaError, write_secret};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] CaError),
    /// The file holds no key of 32 bytes.
    #[error("{0} holds no key of 32 bytes")]
    Damaged(std::path::PathBuf),
}

/// Signs acknowledgements.
pub struct AckKey(SigningKey);

/// Signs commands; the only way to its signature is [`CommandKey::issue`], which wants a [`Command`], and a command
/// wants a permit (RSP-1).
///
/// ```compile_fail,E0277
/// use outrider_server::vehicle::CommandKey;
///
/// fn forge(key: &CommandKey) -> &dyn outrider_wire::Signer {
///     key
/// }
/// ```
pub struct CommandKey(SigningKey);

/// Both keys of an installation.
#[derive(Debug)]
pub struct Keys {
    /// For acknowledgements.
    pub ack: AckKey,
    /// For commands.
    pub command: CommandKey,
}

impl std::fmt::Debug for AckKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AckKey(..)")
    }
}

impl std::fmt::Debug for CommandKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CommandKey(..)")
    }
}

impl Keys {
    /// Opens the keys of a folder, creating those that are missing from `random`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(folder: &Path, random: &mut dyn FnMut() -> [u8; 32]) -> Result<Self, KeyError> {
        Ok(Self {
            ack: AckKey(open_key(&folder.join("ack.key"), random)?),
            command: CommandKey(open_key(&folder.join("command.key"), random)?),
        })
    }
}

fn open_key(path: &Path, random: &mut dyn FnMut() -> [u8; 32]) -> Result<SigningKey, KeyError> {
    open_secret(path, random).map(|secret| SigningKey::from_bytes(&secret))
}

/// Reads a secret of 32 bytes, or makes it where it is missing.
fn open_secret(path: &Path, random: &mut dyn FnMut() -> [u8; 32]) -> Result<[u8; 32], KeyError> {
    match std::fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| KeyError::Damaged(path.to_path_buf())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = random();
            write_secret(path, &secret)?;
            Ok(secret)
        }
        Err(source) => Err(KeyError::File(CaError::File { path: path.to_path_buf(), source })),
    }
}

/// Opens the key of pseudonyms in the folder of secrets, creating it from `random` where it is missing. Without it no name
/// of a feed leads to the vehicle that it led to before.
///
/// # Errors
/// [`KeyError`].
pub fn open_name_key(folder: &Path, random: &mut dyn FnMut() -> [u8; 32]) -> Result<NameKey, KeyError> {
    open_secret(&folder.join("names.key"), random).map(NameKey::new)
}

impl AckKey {
    /// Returns the public key, to be provisioned in vehicles.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

impl Signer for AckKey {
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

/// The command key as a signer, visible in this module only.
struct Inner<'a>(&'a SigningKey);

impl Signer for Inner<'_> {
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

impl CommandKey {
    /// Returns the public key, to be provisioned in vehicles.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Turns a command into the signed frame for its vehicle.
    ///
    /// # Errors
    /// [`FrameError`] if a cap of the frame is exceeded.
    pub fn issue(&self, command: &Command) -> Result<Vec<u8>, FrameError> {
        let head = CommandHead {
            id: CommandId(command.id()),
            tenant: command.tenant(),
            vehicle: command.vehicle(),
            sequence: command.sequence().0,
            not_before: command.not_before(),
            expires: command.expires(),
            permit: PermitId(command.permit().0),
            intent: IntentHash(command.intent().0),
        };
        let parameters = match command.action() {
            Action::RequestEvidence(window) => Parameters::RequestEvidence(EvidenceWindow {
                epoch: window.event.epoch,
                lane: window.event.lane,
                seq: window.event.seq,
                before_s: window.before_s,
                after_s: window.after_s,
            }),
            Action::Configure(configuration) => Parameters::Update(UpdateOrder {
                kind: match configuration.kind {
                    ConfigKind::Policy => ArtifactKind::Policy,
                    ConfigKind::Rules => ArtifactKind::Rules,
                    ConfigKind::Model => ArtifactKind::Model,
                },
                version: configuration.version,
                sha256: configuration.sha256,
                bytes: configuration.bytes,
            }),
        };
        let mut out = vec![0; COMMAND_BYTES_MAX];
        let length = outrider_wire::Command::emit(&head, &parameters, &Inner(&self.0), &mut out)?;
        out.truncate(length);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_differ() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut count = 0u8;
        let mut random = || {
            count += 1;
            [count; 32]
        };
        let first = Keys::open(folder.path(), &mut random).expect("they are created");
        let second = Keys::open(folder.path(), &mut random).expect("they are read back");
        assert_eq!(first.ack.public(), second.ack.public());
        assert_ne!(first.ack.public(), first.command.public());
        std::fs::write(folder.path().join("ack.key"), b"short").expect("it writes");
        assert!(matches!(Keys::open(folder.path(), &mut random), Err(KeyError::Damaged(_))));
    }
}
