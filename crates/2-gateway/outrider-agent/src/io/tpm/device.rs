//! One TPM: connects when it is needed, tries again what may be tried again, and keeps the keys that it made loaded.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outrider_wire::SIGNATURE_BYTES;
use outrider_wire::attest::{counter_public, tpm_signature};
use outrider_wire::low_s;
use zeroize::Zeroizing;

use super::channel::{Channel, TpmPlace};
use super::command::{self, Template, Use, WRITTEN};
use super::response::{Refusal, Response, ResponseError, accepted, point};

/// Tries of a command that a busy TPM put off, and the wait before the second, which doubles: 0.6 s in all.
const TRIES: u32 = 7;
const WAIT: Duration = Duration::from_millis(10);

/// Keys kept loaded: what a TPM has room for without a resource manager (three slots is the least, part 1, 36.4).
const LOADED_MAX: usize = 3;
/// First handle of a loaded key (part 2, 7.2).
const TRANSIENT: u32 = 0x8000_0000;

/// Why a TPM did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TpmError {
    /// It does not answer.
    #[error("TPM does not answer: {0}")]
    Away(String),
    /// It refused.
    #[error("TPM refused: {0:?}")]
    Refused(Refusal),
    /// Its answer makes no sense.
    #[error("answer of the TPM makes no sense")]
    Answer,
    /// The index of the anchor holds something else than the anchor's counter.
    #[error("NV index of the anchor is another one")]
    Index,
}

impl From<ResponseError> for TpmError {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Refused(refusal) => Self::Refused(refusal),
            ResponseError::Shape => Self::Answer,
        }
    }
}

/// A TPM, shared by anchor and keys.
#[derive(Debug, Clone)]
pub struct Tpm(Arc<Mutex<Inner>>);

struct Loaded {
    template: Template,
    handle: u32,
    point: Option<[u8; 65]>,
}

struct Inner {
    place: TpmPlace,
    owner: Zeroizing<Vec<u8>>,
    channel: Option<Channel>,
    /// The latest used last.
    loaded: Vec<Loaded>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tpm").field("place", &self.place).finish_non_exhaustive()
    }
}

fn away(error: &io::Error) -> TpmError {
    TpmError::Away(error.to_string())
}

impl Tpm {
    /// Uses the TPM at `place`; connects with the first command. `owner` is the password of its owner, mostly empty.
    #[must_use]
    pub fn new(place: TpmPlace, owner: Zeroizing<Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(Inner { place, owner, channel: None, loaded: Vec::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves nothing half done here: each command is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the TPM make a key anew and returns its public half: so that another TPM is noticed.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn public_point(&self, template: &Template) -> Result<[u8; 65], TpmError> {
        let mut inner = self.lock();
        if let Some(at) = inner.loaded.iter().position(|loaded| loaded.template == *template) {
            let known = inner.loaded.remove(at);
            // A key that cannot be taken out is gone already.
            let _ = inner.call(&command::flush(known.handle));
        }
        inner.with_key(template, |_, _, point| point.ok_or(TpmError::Answer))
    }

    /// Returns the public half of a key as it was when it was loaded.
    pub(super) fn loaded_point(&self, template: &Template) -> Result<[u8; 65], TpmError> {
        let mut inner = self.lock();
        inner.with_key(template, |_, _, point| point.ok_or(TpmError::Answer))
    }

    /// Signs a digest; s is in the lower half.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn sign(&self, template: &Template, digest: &[u8; 32]) -> Result<[u8; SIGNATURE_BYTES], TpmError> {
        let mut inner = self.lock();
        inner.with_key(template, |inner, key, _| {
            let answer = inner.call(&command::sign(key, digest))?;
            let response = Response::parse(&answer, false)?;
            tpm_signature(response.parameters.0).map(low_s).map_err(|_| TpmError::Answer)
        })
    }

    /// Returns the keyed hash of `text`.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn derive(&self, template: &Template, text: &[u8]) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        let mut inner = self.lock();
        inner.with_key(template, |inner, key, _| {
            let answer = Zeroizing::new(inner.call(&command::hmac(key, text))?);
            let mut parameters = Response::parse(&answer, false)?.parameters;
            Ok(Zeroizing::new(parameters.sized_array()?))
        })
    }

    /// Returns whether the anchor's counter is there, and was raised once.
    ///
    /// # Errors
    /// [`TpmError`], such as [`TpmError::Index`].
    pub(super) fn counter_is_written(&self) -> Result<Option<bool>, TpmError> {
        let answer = match self.lock().call(&command::read_public()) {
            Err(TpmError::Refused(Refusal::Gone)) => return Ok(None),
            answer => answer?,
        };
        let mut parameters = Response::parse(&answer, false)?.parameters;
        let public: [u8; 14] = parameters.sized_array().map_err(|_| TpmError::Index)?;
        let expected = counter_public();
        let [.., a0, _, _, _, _, _, _, _] = public;
        let written = WRITTEN.to_be_bytes()[0];
        let mut defined = public;
        if let Some(byte) = defined.get_mut(6) {
            *byte |= written;
        }
        if defined != expected {
            return Err(TpmError::Index);
        }
        Ok(Some(a0 & written != 0))
    }

    /// Defines the anchor's counter.
    ///
    /// # Errors
    /// [`TpmError`].
    pub(super) fn define_counter(&self) -> Result<(), TpmError> {
        let mut inner = self.lock();
        let bytes = Zeroizing::new(command::define_counter(&inner.owner));
        inner.call(&bytes).map(|_| ())
    }

    /// Reads the counter.
    ///
    /// # Errors
    /// [`TpmError`].
    pub(super) fn read_counter(&self) -> Result<u64, TpmError> {
        let answer = self.lock().call(&command::read())?;
        let mut parameters = Response::parse(&answer, false)?.parameters;
        Ok(u64::from_be_bytes(parameters.sized_array()?))
    }

    /// Adds one to the counter. Whether it grew is not known if the connection broke.
    ///
    /// # Errors
    /// [`TpmError`].
    pub(super) fn increment_counter(&self) -> Result<(), TpmError> {
        self.lock().call(&command::increment()).map(|_| ())
    }

    /// Certifies the counter over `head`; returns certificate and signature as the TPM gave them.
    ///
    /// # Errors
    /// [`TpmError`].
    pub(super) fn certify(&self, template: &Template, head: &[u8; 32]) -> Result<Vec<u8>, TpmError> {
        let mut inner = self.lock();
        inner.with_key(template, |inner, key, _| {
            let answer = inner.call(&command::certify(key, head))?;
            Ok(Response::parse(&answer, false)?.parameters.0.to_vec())
        })
    }
}

impl Inner {
    /// Sends a command whose answer is no refusal; a busy TPM is asked again, one that was not started is started.
    fn call(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TpmError> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.once(bytes) {
                Err(TpmError::Refused(Refusal::Busy)) => {
                    pause(wait);
                    wait *= 2;
                }
                Err(TpmError::Refused(Refusal::NotStarted)) => {
                    self.loaded.clear();
                    self.once(&command::startup())?;
                }
                answer => return answer,
            }
        }
        self.once(bytes)
    }

    fn once(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TpmError> {
        let channel = match &mut self.channel {
            Some(channel) => channel,
            empty => {
                // Another connection: the resource manager has dropped our keys, and an emulator may be a new one.
                self.loaded.clear();
                let mut channel = Channel::open(&self.place).map_err(|error| away(&error))?;
                // Without a resource manager a program that was killed leaves its keys loaded, until no slot is left. With
                // one these handles are nobody's, and the refusal is as good.
                for handle in (0..).take(LOADED_MAX).map(|slot| TRANSIENT + slot) {
                    channel.exchange(&command::flush(handle)).map_err(|error| away(&error))?;
                }
                empty.insert(channel)
            }
        };
        match channel.exchange(bytes) {
            Ok(answer) => {
                // What is in it is read by the caller.
                accepted(&answer)?;
                Ok(answer)
            }
            Err(error) => {
                self.channel = None;
                Err(away(&error))
            }
        }
    }

    /// Does something with a key, made first if it is not loaded; once more if the TPM was restarted meanwhile.
    fn with_key<T>(
        &mut self,
        template: &Template,
        mut act: impl FnMut(&mut Self, u32, Option<[u8; 65]>) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let (key, point) = match self.load(template) {
            // A connection that was idle may be dead.
            Err(TpmError::Away(_)) => self.load(template)?,
            loaded => loaded?,
        };
        match act(self, key, point) {
            Err(TpmError::Refused(Refusal::Gone | Refusal::NotStarted) | TpmError::Away(_)) => {
                self.loaded.clear();
                let (key, point) = self.load(template)?;
                act(self, key, point)
            }
            done => done,
        }
    }

    fn load(&mut self, template: &Template) -> Result<(u32, Option<[u8; 65]>), TpmError> {
        if let Some(at) = self.loaded.iter().position(|loaded| loaded.template == *template) {
            let loaded = self.loaded.remove(at);
            let found = (loaded.handle, loaded.point);
            self.loaded.push(loaded);
            return Ok(found);
        }
        if self.loaded.len() >= LOADED_MAX {
            self.unload();
        }
        let bytes = Zeroizing::new(command::create_primary(template, &self.owner));
        let answer = match self.call(&bytes) {
            Err(TpmError::Refused(Refusal::Memory)) => {
                self.unload();
                self.call(&bytes)?
            }
            answer => answer?,
        };
        let response = Response::parse(&answer, true)?;
        let mut parameters = response.parameters;
        let point = match template.usage {
            Use::Sign | Use::Attest => Some(point(&mut parameters)?),
            Use::Derive => None,
        };
        self.loaded.push(Loaded { template: template.clone(), handle: response.handle, point });
        Ok((response.handle, point))
    }

    /// Takes the key out that was not used for longest.
    fn unload(&mut self) {
        if !self.loaded.is_empty() {
            let oldest = self.loaded.remove(0);
            // A key that cannot be taken out is gone already.
            let _ = self.call(&command::flush(oldest.handle));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a busy TPM asks to be left alone for a while; the agent is a root"
)]
fn pause(wait: Duration) {
    std::thread::sleep(wait);
}
