//! Short frames at the exchange: one critical row over an open session (ADR 0013).

use std::sync::{Arc, PoisonError};

use outrider_ingest::{KeyRing as _, ShortRow, ShortSession, lane_watermarks};
use outrider_model::Partition;
use outrider_types::IngestTime;

use super::exchange::{Exchange, Refusal, refuse_ingest, refuse_log};
use super::stripe::stripe_of;

/// Name of the CONNACK's user property by which the edge says that it takes short frames.
pub const SHORT_PROPERTY: &str = "outrider-short";
/// Its value, for the only version of short frames.
pub const SHORT_VERSION: &str = "1";

/// Returns whether session and vehicle may count differently after a refusal, so that the connection has to be closed.
#[must_use]
pub fn ends_session(refusal: &Refusal) -> bool {
    matches!(refusal.code, "batch.signature" | "batch.frame" | "frame.rate")
}

impl Exchange {
    /// Takes one short frame of an open session and returns the reply. `session` belongs to the connection and is given
    /// to it when the connection is made, with the key of the TLS exporter.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was stored. If [`ends_session`] says so, the connection has to be closed.
    pub async fn take_short(
        self: &Arc<Self>,
        session: &mut ShortSession,
        frame: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let result = match session.open(frame) {
            Ok(row) => {
                let vehicle = row.vehicle;
                let this = Arc::clone(self);
                // Appending waits for the disk.
                let taken = tokio::task::spawn_blocking(move || this.short_row(&row)).await;
                let taken = taken.unwrap_or_else(|error| {
                    Err(Refusal { status: 500, code: "internal", message: error.to_string() })
                });
                taken.map(|ack| (vehicle, ack))
            }
            Err(error) => Err(refuse_ingest(&error)),
        };
        self.count(&result.as_ref().map(|_| Vec::new()).map_err(Clone::clone));
        let (vehicle, ack) = result?;
        self.reply(vehicle, &ack).await
    }

    /// Stores a row durably, as a record that the edge signs, and returns the signed acknowledgement.
    fn short_row(&self, row: &ShortRow) -> Result<Vec<u8>, Refusal> {
        let (parts, vehicle) = (&self.parts, row.vehicle);
        let Some((tenant, _)) = parts.directory.batch_key(vehicle) else {
            return Err(refuse_ingest(&outrider_ingest::IngestError::UnknownVehicle { vehicle }));
        };
        let key = [b"received/".as_slice(), &vehicle.0].concat();
        let mut stripe = self.stripes[stripe_of(vehicle)].lock().unwrap_or_else(PoisonError::into_inner);
        let (known, stamp) = stripe.known(parts.log.as_ref(), vehicle, &key)?;
        let accepted = stripe.acceptor.accept_short(row, parts.directory.as_ref(), known);
        let accepted = accepted.map_err(|error| refuse_ingest(&error))?;
        if accepted.has_news {
            let record = row.record(tenant, &parts.keys.ack).map_err(|error| Refusal {
                status: 500,
                code: "internal",
                message: error.to_string(),
            })?;
            let mut state = Vec::new();
            accepted.received.save(&mut state);
            let ingest = IngestTime(parts.clock.now());
            // LOG-2: record and intervals become durable together, and only then is anything acknowledged.
            let partition = Partition::of(vehicle, parts.log.partitions());
            parts
                .log
                .append(partition, ingest, &[&record], &[(&key, &state)])
                .map_err(|error| refuse_log(&error))?;
            parts.doorbell.ring();
        }
        let marks = lane_watermarks(&accepted);
        stripe.received.insert(vehicle, (accepted.received, stamp));
        drop(stripe);
        self.acknowledge(vehicle, row.digest, &marks)
    }
}
