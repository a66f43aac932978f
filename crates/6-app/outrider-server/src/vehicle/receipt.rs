//! Receipts of commands: to the request for evidence or the update order that the command belongs to.

use outrider_ingest::KeyRing as _;
use outrider_types::VehicleId;
use outrider_wire::{Outcome, Receipt, SealedReceipt};

use super::exchange::{Exchange, Refusal, refuse_store};
use crate::api::dto::{EvidenceRequest, UpdateOrder};
use crate::store::{EvidenceChange, OrderChange, StoreError};

fn bad(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { status: 400, code, message: message.into() }
}

impl Exchange {
    /// Checks a receipt and moves on what its command belongs to. A receipt that says nothing new is fine: it may come
    /// twice, and it may come after the end.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed.
    pub(super) async fn receipt(&self, session: VehicleId, bytes: &[u8]) -> Result<(), Refusal> {
        let sealed = SealedReceipt::parse(bytes).map_err(|error| bad("receipt.frame", error.to_string()))?;
        let Some((_, verifier)) = self.parts.directory.batch_key(session) else {
            return Err(bad("receipt.unknown_vehicle", "no key is registered"));
        };
        let receipt =
            sealed.open(verifier.as_ref()).map_err(|error| bad("receipt.signature", error.to_string()))?;
        if receipt.vehicle != session {
            return Err(bad("receipt.wrong_vehicle", "the receipt is of another vehicle"));
        }
        let (scope, command) = (self.scope(), crate::hex(&receipt.command.0));
        let mine = |vehicle: &str| {
            if vehicle == session.to_string() {
                return Ok(());
            }
            Err(bad("receipt.wrong_vehicle", "the command was for another vehicle"))
        };
        match self.parts.store.evidence_of_command(scope, &command).await {
            Ok(request) => {
                mine(&request.vehicle_id)?;
                return self.evidence_receipt(&request, &receipt).await;
            }
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(refuse_store(error)),
        }
        let order = self.parts.store.order_of_command(scope, &command).await.map_err(refuse_store)?;
        mine(&order.vehicle_id)?;
        self.order_receipt(&order, &receipt).await
    }

    async fn evidence_receipt(&self, request: &EvidenceRequest, receipt: &Receipt) -> Result<(), Refusal> {
        let change = match receipt.outcome {
            Outcome::Accepted => EvidenceChange::Accepted,
            Outcome::Refused(_) | Outcome::Failed => {
                EvidenceChange::RefusedByVehicle(word(&receipt.outcome).to_owned())
            }
            // The capture itself says so, and its hash is checked when it arrives.
            Outcome::Done { .. } => return Ok(()),
        };
        match self.parts.store.change_evidence(self.scope(), &request.id, &change).await {
            Ok(request) => {
                self.parts.notices.evidence(&request);
                Ok(())
            }
            Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(refuse_store(error)),
        }
    }

    async fn order_receipt(&self, order: &UpdateOrder, receipt: &Receipt) -> Result<(), Refusal> {
        let change = match &receipt.outcome {
            Outcome::Accepted => OrderChange::Accepted,
            Outcome::Refused(_) | Outcome::Failed => {
                OrderChange::RefusedByVehicle(word(&receipt.outcome).to_owned())
            }
            Outcome::Done { evidence, .. } if crate::hex(&evidence.0) == order.sha256 => OrderChange::Done,
            Outcome::Done { .. } => {
                return Err(bad("receipt.artifact", "the order was for another artifact"));
            }
        };
        match self.parts.store.change_order(self.scope(), &order.id, &change).await {
            Ok(order) => {
                self.parts.notices.update(&order);
                Ok(())
            }
            Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(refuse_store(error)),
        }
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Refused(Some(reason)) => reason.word(),
        Outcome::Failed => "failed",
        Outcome::Refused(None) | Outcome::Accepted | Outcome::Done { .. } => "unknown",
    }
}
