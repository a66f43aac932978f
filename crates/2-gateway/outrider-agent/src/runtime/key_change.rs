//! Changes the batch key over an open link, one step a call.
//!
//! The order holds whatever is cut off in between: the next key is durable before it is offered, the boot it is offered for
//! as well, and it is used only after the cloud has signed an answer to a frame under it. A broker that acknowledges what
//! it loses therefore changes nothing.

use std::path::Path;

use outrider_gateway::uplink::TransportError;
use outrider_gateway::{Ed25519Signer, Storage};
use outrider_types::{BootEpoch, VehicleMicros};
use outrider_wire::{KEY_BYTES, KeyChange};
use zeroize::Zeroizing;

use super::config::BatchKey;
use super::listening::{Listening, poll};
use super::parts::CloudLink;
use super::vehicle::Vehicle;
use crate::identity::{BatchKeyFiles, BatchSigner, NextKey};

/// Pause between two looks for a key that waits, and between two tries without an answer.
const PAUSE_US: u64 = 60_000_000;
/// Pause after the cloud said not now: it takes one key an hour.
const REFUSED_PAUSE_US: u64 = 3_600_000_000;

/// Keeper of the batch key's changes.
pub struct KeyChanges {
    files: BatchKeyFiles,
    signer: BatchSigner,
    spool: Zeroizing<[u8; 32]>,
    next_at: VehicleMicros,
}

impl KeyChanges {
    /// Takes over the changes of a key; `None` for a key in hardware, which stays where it is.
    #[must_use]
    pub fn new(state: &Path, batch: &BatchKey) -> Option<Self> {
        let BatchKey::Software { signer, secret, .. } = batch else { return None };
        let files = BatchKeyFiles::new(state);
        Some(Self { files, signer: signer.clone(), spool: secret.clone(), next_at: VehicleMicros(0) })
    }
}

/// What became of an offer.
enum Offered {
    Taken,
    Refused,
    NotNow,
    NoAnswer,
}

impl<S: Storage> Vehicle<S> {
    /// Lets the batch key be changed.
    pub fn set_key_changes(&mut self, changes: Option<KeyChanges>) {
        self.key_changes = changes;
    }

    /// Offers the key that waits, if there is one; returns commands that came with the cloud's answer.
    pub(super) fn change_key(&mut self, link: &mut dyn CloudLink, now: VehicleMicros) -> Vec<Vec<u8>> {
        let Some(mut changes) = self.key_changes.take() else { return Vec::new() };
        let mut commands = Vec::new();
        if now >= changes.next_at {
            // What cannot be read or written is tried again; the old key goes on.
            let pause = self.next_key(&changes, (link, now), &mut commands).unwrap_or(PAUSE_US);
            changes.next_at = now.saturating_add(pause);
        }
        self.key_changes = Some(changes);
        commands
    }

    fn next_key(
        &self,
        changes: &KeyChanges,
        (link, now): (&mut dyn CloudLink, VehicleMicros),
        commands: &mut Vec<Vec<u8>>,
    ) -> std::io::Result<u64> {
        let Some(mut next) = changes.files.waiting()? else { return Ok(PAUSE_US) };
        // The answer to an earlier offer may have been lost.
        let was_offered = next.from.is_some();
        if was_offered && self.is_known(&next, (&mut *link, now), commands) {
            return Self::take_into_use(changes, &next);
        }
        if !was_offered {
            changes.files.offer(&mut next, BootEpoch(self.epoch().0.saturating_add(1)))?;
        }
        match self.offer(changes, &next, link) {
            Offered::Taken if self.is_known(&next, (&mut *link, now), commands) => {
                Self::take_into_use(changes, &next)
            }
            Offered::Taken | Offered::NoAnswer => Ok(PAUSE_US),
            Offered::NotNow => Ok(REFUSED_PAUSE_US),
            Offered::Refused => changes.files.give_up().map(|()| REFUSED_PAUSE_US),
        }
    }

    fn take_into_use(changes: &KeyChanges, next: &NextKey) -> std::io::Result<u64> {
        changes.files.keep(next, &changes.spool)?;
        changes.signer.change(next.secret());
        Ok(PAUSE_US)
    }

    fn offer(&self, changes: &KeyChanges, next: &NextKey, link: &mut dyn CloudLink) -> Offered {
        let new = Ed25519Signer::new(next.secret());
        let from = next.from.unwrap_or(BootEpoch(1));
        let change = KeyChange { tenant: self.tenant, vehicle: self.vehicle, from, key: new.public_key() };
        let mut frame = [0; KEY_BYTES];
        if change.emit(&new, &changes.signer, &mut frame).is_err() {
            return Offered::NoAnswer;
        }
        match link.exchange(&frame) {
            Ok(_) => Offered::Taken,
            Err(TransportError::Refused { status: 400 | 403 | 422 }) => Offered::Refused,
            Err(TransportError::Refused { status: 409 }) => Offered::NotNow,
            Err(_) => Offered::NoAnswer,
        }
    }

    /// Whether the cloud signs an answer to a frame under the new key. Without rows, such a frame changes nothing there.
    fn is_known(
        &self,
        next: &NextKey,
        (link, now): (&mut dyn CloudLink, VehicleMicros),
        commands: &mut Vec<Vec<u8>>,
    ) -> bool {
        let head = poll(self.tenant, self.vehicle, self.epoch(), now);
        let mut listening = Listening { link, ack: &self.ack, vehicle: self.vehicle, issued: None };
        commands.extend(listening.ask(&head, &Ed25519Signer::new(next.secret())));
        listening.issued.is_some()
    }
}
