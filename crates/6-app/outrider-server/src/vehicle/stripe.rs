//! Locks over vehicles, and what each vehicle has delivered.

use std::collections::BTreeMap;

use outrider_ingest::{Acceptor, Received};
use outrider_model::EventLog;
use outrider_types::VehicleId;

use super::exchange::{Refusal, refuse_log};

/// Locks over vehicles: enough that two vehicles rarely meet, few enough to be free.
pub(super) const STRIPES: usize = 64;

/// Returns the lock over a vehicle.
pub(super) fn stripe_of(vehicle: VehicleId) -> usize {
    usize::from(vehicle.0[0]) % STRIPES
}

/// Vehicles behind one lock.
#[derive(Default)]
pub(super) struct Stripe {
    pub(super) acceptor: Acceptor,
    /// What each vehicle has delivered, and the log's stamp of it.
    pub(super) received: BTreeMap<VehicleId, (Received, u64)>,
}

impl Stripe {
    /// Returns what a vehicle has delivered, here and at other listeners, and the stamp that says how long it is good.
    ///
    /// # Errors
    /// [`Refusal`] if the log fails or holds what this program does not read.
    pub(super) fn known(
        &self,
        log: &dyn EventLog,
        vehicle: VehicleId,
        key: &[u8],
    ) -> Result<(Received, u64), Refusal> {
        // Before the values: what is put meanwhile is seen the next time.
        let stamp = log.stamp(key);
        let mut known = match self.received.get(&vehicle) {
            Some((known, seen)) if *seen == stamp => return Ok((known.clone(), stamp)),
            Some((known, _)) => known.clone(),
            None => Received::default(),
        };
        for value in log.get(key).map_err(|error| refuse_log(&error))? {
            let value = Received::load(&value).map_err(|error| Refusal {
                status: 500,
                code: "internal",
                message: error.to_string(),
            })?;
            known.join(&value);
        }
        Ok((known, stamp))
    }
}
