//! A vehicle changes its batch key.

use ed25519_dalek::VerifyingKey;
use outrider_ingest::KeyRing as _;
use outrider_types::{BootEpoch, VehicleId};
use outrider_wire::{FrameError, SIGNATURE_BYTES, SealedKeyChange, Verifier};

use super::directory::Directory;
use super::exchange::{Refusal, refuse_store};
use crate::store::{Scope, Store, StoreError, StoredBatchKey};

/// The key that a change brings; it need not be any good.
struct NewKey(VerifyingKey);

impl Verifier for NewKey {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        !self.0.is_weak() && self.0.verify_strict(message, &signature).is_ok()
    }
}

/// Checks a change of key against the session and the old key, and registers it durably. The same change again is fine:
/// the answer may have been lost.
///
/// # Errors
/// [`Refusal`]; nothing changed.
pub(super) async fn take(
    store: &dyn Store,
    directory: &Directory,
    scope: Scope,
    session: VehicleId,
    frame: &[u8],
) -> Result<(), Refusal> {
    let bad = |error: FrameError| {
        let is_signature = error == FrameError::Signature;
        let (status, code) = if is_signature { (403, "key.signature") } else { (400, "key.frame") };
        Refusal { status, code, message: error.to_string() }
    };
    let sealed = SealedKeyChange::parse(frame).map_err(bad)?;
    let claimed = *sealed.claimed();
    if claimed.vehicle != session || claimed.tenant != scope.tenant {
        let message = "the key is for another vehicle or owner".to_owned();
        return Err(Refusal { status: 403, code: "key.wrong_vehicle", message });
    }
    let new = VerifyingKey::from_bytes(&claimed.key).map_err(|_| bad(FrameError::Signature))?;
    let new = NewKey(new);
    let change = match newest_key(directory, session) {
        Some(old) => match sealed.open(&new, old.as_ref()) {
            Ok(change) => change,
            // A repeated change finds its own key as the newest one; the store knows whether it is the same.
            Err(_) if is_registered(store, scope, &claimed).await? => return Ok(()),
            Err(error) => return Err(bad(error)),
        },
        // Without any key the session alone says who it is.
        None => sealed.open(&new, &new).map_err(bad)?,
    };
    let registered = store.batch_keys(scope, session).await.map_err(refuse_store)?;
    if registered.iter().max_by_key(|key| key.from).is_some_and(|newest| newest.key == change.key) {
        // Who is enrolled again brings the key that it has.
        return Ok(());
    }
    let stored = StoredBatchKey { vehicle: session, from: change.from, key: change.key };
    match store.put_batch_key(scope, &stored).await {
        Ok(()) => {}
        Err(StoreError::Conflict(reason)) => {
            return Err(Refusal { status: 409, code: "key.state", message: reason });
        }
        Err(error) => return Err(refuse_store(error)),
    }
    // Batches of the next boot may come before the next look at the store.
    directory.refresh(store, scope).await.map_err(refuse_store)?;
    Ok(())
}

/// The key that signs now: of all boots to come the newest alone is left.
fn newest_key(
    directory: &Directory,
    vehicle: VehicleId,
) -> Option<std::sync::Arc<dyn Verifier + Send + Sync>> {
    directory.batch_key_at(vehicle, BootEpoch(u64::MAX)).map(|(_, key)| key)
}

async fn is_registered(
    store: &dyn Store,
    scope: Scope,
    claimed: &outrider_wire::KeyChange,
) -> Result<bool, Refusal> {
    let changes = store.batch_keys(scope, claimed.vehicle).await.map_err(refuse_store)?;
    Ok(changes.iter().any(|stored| stored.from == claimed.from && stored.key == claimed.key))
}
