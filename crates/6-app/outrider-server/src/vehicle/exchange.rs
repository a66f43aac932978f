//! One exchange with a vehicle: a frame in, a reply out. Knows nothing of TLS, HTTP and MQTT.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outrider_ingest::{
    Acceptor, IngestError, KeyRing, LaneWatermark, Note, NoteRecord, Received, lane_watermarks,
};
use outrider_model::{AppendError, Balance, EventLog, Partition};
use outrider_types::{Clock, IngestTime, TenantId, UnixMicros, VehicleId};
use outrider_wire::limits::{REPLY_BYTES_MAX, REPLY_COMMANDS_MAX};
use outrider_wire::{Ack, Outcome, Reply, SealedReceipt, UplinkFrame, Watermark};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::directory::{Denied, Directory};
use super::evidence::{EvidenceError, EvidenceVault};
use super::key_change;
use super::keys::Keys;
use super::link::Links;
use crate::api::dto::EvidenceState;
use crate::notices::Notices;
use crate::pipeline::Doorbell;
use crate::store::{EvidenceChange, Scope, Store, StoreError};

/// Locks over vehicles: enough that two vehicles rarely meet, few enough to be free.
const STRIPES: usize = 64;

/// Captures that come in at the same time; each is held in memory, up to 32 MiB.
const UPLOADS_MAX: usize = 8;

/// Why a vehicle gets no reply; nothing else is stopped by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable code, also the reason in the counters.
    pub code: &'static str,
    /// What is wrong, for the vehicle's engineer.
    pub message: String,
}

impl Refusal {
    /// Refusal of somebody who is not let in.
    #[must_use]
    pub fn denied(denied: Denied) -> Self {
        Self { status: 403, code: denied.code(), message: denied.to_string() }
    }
}

/// What an exchange needs.
pub struct ExchangeParts {
    /// Where batches go.
    pub log: Arc<dyn EventLog>,
    /// Where commands and receipts are.
    pub store: Arc<dyn Store>,
    /// Who is registered.
    pub directory: Arc<Directory>,
    /// Signing keys.
    pub keys: Arc<Keys>,
    /// Captures.
    pub vault: EvidenceVault,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Live stream.
    pub notices: Arc<dyn Notices>,
    /// Wakes the worker.
    pub doorbell: Arc<Doorbell>,
    /// Owner of this installation's vehicles.
    pub tenant: TenantId,
}

#[derive(Default)]
pub(super) struct Stripe {
    pub(super) acceptor: Acceptor,
    pub(super) received: BTreeMap<VehicleId, Received>,
}

/// Takes frames from vehicles.
pub struct Exchange {
    pub(super) parts: ExchangeParts,
    pub(super) stripes: Vec<Mutex<Stripe>>,
    frames: Mutex<Balance>,
    uploads: Mutex<Balance>,
    places: Semaphore,
    links: Arc<Links>,
}

impl Exchange {
    /// Creates an exchange over its parts.
    #[must_use]
    pub fn new(parts: ExchangeParts) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::new(Stripe::default())).collect();
        Self {
            parts,
            stripes,
            frames: Mutex::new(Balance::default()),
            uploads: Mutex::new(Balance::default()),
            places: Semaphore::new(UPLOADS_MAX),
            links: Arc::new(Links::default()),
        }
    }

    /// Uses another registry of connections, which others may share.
    #[must_use]
    pub fn with_links(mut self, links: Arc<Links>) -> Self {
        self.links = links;
        self
    }

    /// Returns the connections of the vehicles, with their counters and findings.
    #[must_use]
    pub fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Returns whether a vehicle may open a session: it is registered, with a key.
    #[must_use]
    pub fn may_connect(&self, vehicle: VehicleId) -> bool {
        self.parts.directory.batch_key(vehicle).is_some()
    }

    /// Lets a frame in as far as its vehicle's rate goes; a refusal is counted.
    ///
    /// # Errors
    /// [`Refusal`] with status 429 and the seconds to wait.
    pub fn admit(&self, session: VehicleId, frame_bytes: usize) -> Result<(), Refusal> {
        self.links.admit(session, frame_bytes).map_err(|wait| {
            let message = format!("retry after {} s", wait.as_secs() + 1);
            let refusal = Refusal { status: 429, code: "frame.rate", message };
            self.refuse(&refusal);
            refusal
        })
    }

    /// Returns a reply without acknowledgement if commands wait for the vehicle.
    ///
    /// # Errors
    /// [`Refusal`] if the store fails.
    pub async fn waiting(&self, vehicle: VehicleId) -> Result<Option<Vec<u8>>, Refusal> {
        let waiting =
            self.parts.store.pending_commands(self.scope(), vehicle, 1).await.map_err(refuse_store)?;
        if waiting.is_empty() { Ok(None) } else { self.reply(vehicle, &[]).await.map(Some) }
    }

    /// Returns the counters of frames: received = passed + dropped by reason.
    #[must_use]
    pub fn frames(&self) -> Balance {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the counters of captures: received = passed + dropped by reason.
    #[must_use]
    pub fn uploads(&self) -> Balance {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until another capture may come in.
    pub(super) async fn upload_place(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("the semaphore is never closed")
    }

    /// Counts a capture that was kept or refused.
    pub fn count_upload(&self, result: &Result<(), Refusal>) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.receive(1);
        match result {
            Ok(()) => uploads.pass(1),
            Err(refusal) => {
                uploads.drop_for(refusal.code, 1);
                tracing::warn!(error.code = refusal.code, "capture refused");
            }
        }
    }

    /// Counts a frame that was refused before it was whole.
    pub fn refuse(&self, refusal: &Refusal) {
        self.count(&Err(refusal.clone()));
    }

    /// Takes one frame of the session's vehicle and returns the reply.
    ///
    /// # Errors
    /// [`Refusal`]; the frame changed nothing.
    pub async fn take(self: &Arc<Self>, session: VehicleId, frame: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let result = match self.parts.directory.is_in(session) {
            Err(denied) => Err(Refusal::denied(denied)),
            Ok(()) => self.take_admitted(session, frame).await,
        };
        self.count(&result);
        let ack = result?;
        self.reply(session, &ack).await
    }

    async fn take_admitted(self: &Arc<Self>, session: VehicleId, frame: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        match UplinkFrame::kind(&frame) {
            Some(UplinkFrame::Batch) => {
                let this = Arc::clone(self);
                // Appending waits for the disk.
                tokio::task::spawn_blocking(move || this.batch(session, &frame)).await.unwrap_or_else(
                    |error| Err(Refusal { status: 500, code: "internal", message: error.to_string() }),
                )
            }
            Some(UplinkFrame::Receipt) => self.receipt(session, &frame).await.map(|()| Vec::new()),
            Some(UplinkFrame::KeyChange) => {
                let parts = &self.parts;
                key_change::take(parts.store.as_ref(), &parts.directory, self.scope(), session, &frame)
                    .await?;
                Ok(Vec::new())
            }
            None => Err(Refusal {
                status: 400,
                code: "frame.unknown",
                message: "neither a batch, a receipt nor a change of key".to_owned(),
            }),
        }
    }

    /// Writes into the event log what the edge saw of a vehicle's session; the worker makes a row of it.
    ///
    /// # Errors
    /// [`Refusal`] if the log fails; nothing was written.
    pub fn note(&self, vehicle: VehicleId, note: Note) -> Result<(), Refusal> {
        let record = NoteRecord { tenant: self.parts.tenant, vehicle, note }.emit();
        let ingest = IngestTime(self.parts.clock.now());
        self.parts.log.append(Partition(0), ingest, &[&record], &[]).map_err(|error| refuse_log(&error))?;
        self.parts.doorbell.ring();
        Ok(())
    }

    /// Stores a capture that a command asked for.
    ///
    /// # Errors
    /// [`Refusal`]: unknown command, another vehicle's command, wrong hash, too large, storage.
    pub async fn evidence(
        &self,
        session: VehicleId,
        command_id: &str,
        sha256: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<(), Refusal> {
        self.parts.directory.is_in(session).map_err(Refusal::denied)?;
        let request =
            self.parts.store.evidence_of_command(self.scope(), command_id).await.map_err(refuse_store)?;
        if request.vehicle_id != session.to_string() {
            let message = "the command was for another vehicle".to_owned();
            return Err(Refusal { status: 403, code: "evidence.wrong_vehicle", message });
        }
        // Nothing is kept that the request cannot take: otherwise a vehicle could fill the vault.
        let is_repeated = request.state == EvidenceState::Received
            && request.sha256.as_deref() == Some(&sha256.to_lowercase());
        let is_open = matches!(
            request.state,
            EvidenceState::Permitted | EvidenceState::Sent | EvidenceState::Accepted | EvidenceState::Expired
        );
        if !is_open && !is_repeated {
            let message = "the request has ended".to_owned();
            return Err(Refusal { status: 409, code: "command.state", message });
        }
        let bytes = content.len() as u64;
        let (vault, announced) = (self.parts.vault.clone(), sha256.to_owned());
        let stored = tokio::task::spawn_blocking(move || vault.put(&announced, &content)).await;
        match stored {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(refuse_evidence(&error)),
            Err(error) => return Err(Refusal { status: 500, code: "internal", message: error.to_string() }),
        }
        // A vehicle whose answer was lost sends the same capture again.
        if is_repeated {
            return Ok(());
        }
        let change = EvidenceChange::Received {
            sha256: sha256.to_lowercase(),
            bytes,
            media_type: media_type.to_owned(),
        };
        let request = self
            .parts
            .store
            .change_evidence(self.scope(), &request.id, &change)
            .await
            .map_err(refuse_store)?;
        self.parts.notices.evidence(&request);
        Ok(())
    }

    /// Returns who is let in.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.parts.directory
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> UnixMicros {
        self.parts.clock.now()
    }

    fn scope(&self) -> Scope {
        Scope { tenant: self.parts.tenant, now: self.parts.clock.now() }
    }

    pub(super) fn count(&self, result: &Result<Vec<u8>, Refusal>) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.receive(1);
        match result {
            Ok(_) => frames.pass(1),
            Err(refusal) => {
                frames.drop_for(refusal.code, 1);
                tracing::warn!(error.code = refusal.code, "frame refused");
            }
        }
    }

    /// Accepts a batch durably and returns the signed acknowledgement.
    fn batch(&self, session: VehicleId, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let parts = &self.parts;
        let key = [b"received/".as_slice(), &session.0].concat();
        let mut stripe = self.stripes[stripe_of(session)].lock().unwrap_or_else(PoisonError::into_inner);
        let known = match stripe.received.get(&session) {
            Some(known) => known.clone(),
            None => load(parts.log.as_ref(), &key)?,
        };
        let accepted = stripe
            .acceptor
            .accept(bytes, session, parts.directory.as_ref(), known)
            .map_err(|e| refuse_ingest(&e))?;
        if accepted.has_news {
            let mut state = Vec::new();
            accepted.received.save(&mut state);
            let ingest = IngestTime(parts.clock.now());
            // LOG-2: bytes and intervals become durable together, and only then is anything acknowledged.
            parts
                .log
                .append(Partition(0), ingest, &[bytes], &[(&key, &state)])
                .map_err(|error| refuse_log(&error))?;
            parts.doorbell.ring();
        }
        let marks = lane_watermarks(&accepted);
        stripe.received.insert(session, accepted.received);
        drop(stripe);
        self.acknowledge(session, &marks)
    }

    pub(super) fn acknowledge(
        &self,
        vehicle: VehicleId,
        marks: &[LaneWatermark],
    ) -> Result<Vec<u8>, Refusal> {
        let marks: Vec<Watermark<'_>> = marks
            .iter()
            .map(|mark| Watermark {
                epoch: mark.epoch,
                lane: mark.lane,
                contiguous: mark.contiguous,
                holes: &mark.holes,
            })
            .collect();
        let mut out = vec![0; Ack::frame_bytes(&marks)];
        let length = Ack::emit(vehicle, self.parts.clock.now(), &marks, &self.parts.keys.ack, &mut out)
            .map_err(|error| Refusal { status: 500, code: "internal", message: error.to_string() })?;
        out.truncate(length);
        Ok(out)
    }

    /// Checks a receipt and moves its request on. A receipt that says nothing new is fine: it may come twice.
    async fn receipt(&self, session: VehicleId, bytes: &[u8]) -> Result<(), Refusal> {
        let bad = |code, message: String| Refusal { status: 400, code, message };
        let sealed = SealedReceipt::parse(bytes).map_err(|error| bad("receipt.frame", error.to_string()))?;
        let Some((_, verifier)) = self.parts.directory.batch_key(session) else {
            return Err(bad("receipt.unknown_vehicle", "no key is registered".to_owned()));
        };
        let receipt =
            sealed.open(verifier.as_ref()).map_err(|error| bad("receipt.signature", error.to_string()))?;
        if receipt.vehicle != session {
            return Err(bad("receipt.wrong_vehicle", "the receipt is of another vehicle".to_owned()));
        }
        let command_id = crate::hex(&receipt.command.0);
        let store = &self.parts.store;
        let request = store.evidence_of_command(self.scope(), &command_id).await.map_err(refuse_store)?;
        if request.vehicle_id != session.to_string() {
            return Err(bad("receipt.wrong_vehicle", "the command was for another vehicle".to_owned()));
        }
        let change = match receipt.outcome {
            Outcome::Accepted => EvidenceChange::Accepted,
            Outcome::Refused(reason) => {
                EvidenceChange::RefusedByVehicle(reason.map_or("unknown", |reason| reason.word()).to_owned())
            }
            Outcome::Failed => EvidenceChange::RefusedByVehicle("failed".to_owned()),
            // The capture itself says so, and its hash is checked when it arrives.
            Outcome::Done { .. } => return Ok(()),
        };
        match store.change_evidence(self.scope(), &request.id, &change).await {
            Ok(request) => {
                self.parts.notices.evidence(&request);
                Ok(())
            }
            Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(refuse_store(error)),
        }
    }

    /// Adds the commands that wait for the vehicle.
    pub(super) async fn reply(&self, vehicle: VehicleId, ack: &[u8]) -> Result<Vec<u8>, Refusal> {
        let limit = u32::try_from(REPLY_COMMANDS_MAX).unwrap_or(1);
        let waiting =
            self.parts.store.pending_commands(self.scope(), vehicle, limit).await.map_err(refuse_store)?;
        let commands: Vec<&[u8]> = waiting.iter().map(|command| command.frame.as_slice()).collect();
        let mut out = vec![0; Reply::frame_bytes(ack, &commands).min(REPLY_BYTES_MAX)];
        let length = Reply::emit(ack, &commands, &mut out).map_err(|error| Refusal {
            status: 500,
            code: "internal",
            message: error.to_string(),
        })?;
        out.truncate(length);
        for command in &waiting {
            match self
                .parts
                .store
                .change_evidence(self.scope(), &command.request_id, &EvidenceChange::Sent)
                .await
            {
                Ok(request) => self.parts.notices.evidence(&request),
                // Sent before, or answered in the meantime.
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(refuse_store(error)),
            }
        }
        Ok(out)
    }
}

/// Returns the lock over a vehicle.
pub(super) fn stripe_of(vehicle: VehicleId) -> usize {
    usize::from(vehicle.0[0]) % STRIPES
}

pub(super) fn load(log: &dyn EventLog, key: &[u8]) -> Result<Received, Refusal> {
    match log.get(key).map_err(|error| refuse_log(&error))? {
        None => Ok(Received::default()),
        Some(bytes) => Received::load(&bytes).map_err(|error| Refusal {
            status: 500,
            code: "internal",
            message: error.to_string(),
        }),
    }
}

pub(super) fn refuse_ingest(error: &IngestError) -> Refusal {
    let status = match error {
        IngestError::WrongVehicle { .. }
        | IngestError::UnknownVehicle { .. }
        | IngestError::WrongTenant { .. } => 403,
        IngestError::Frame(outrider_wire::FrameError::Signature) => 403,
        IngestError::Frame(_)
        | IngestError::ReservedEpoch(_)
        | IngestError::UnknownDictionary(_)
        | IngestError::Decompress { .. }
        | IngestError::Scattered { .. }
        | IngestError::Rows(_) => 400,
    };
    Refusal { status, code: error.code(), message: error.to_string() }
}

pub(super) fn refuse_log(error: &AppendError) -> Refusal {
    match error {
        AppendError::TooLarge { .. } => {
            Refusal { status: 413, code: "log.too_large", message: error.to_string() }
        }
        // What the disk said is for our own log, not for the vehicle.
        AppendError::Storage(reason) => {
            tracing::error!(reason, "event log failed");
            Refusal { status: 503, code: "log.storage", message: "storage is not available".to_owned() }
        }
    }
}

pub(super) fn refuse_store(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound { .. } => {
            Refusal { status: 404, code: "command.unknown", message: error.to_string() }
        }
        StoreError::Conflict(_) => Refusal { status: 409, code: "command.state", message: error.to_string() },
        StoreError::Invalid(_) => Refusal { status: 400, code: "invalid", message: error.to_string() },
        StoreError::Database(_) | StoreError::Damaged { .. } => {
            tracing::error!(%error, "case database failed");
            Refusal { status: 503, code: "store", message: "storage is not available".to_owned() }
        }
    }
}

fn refuse_evidence(error: &EvidenceError) -> Refusal {
    let status = match error {
        EvidenceError::Hash { .. } | EvidenceError::NoHash(_) => 400,
        EvidenceError::TooLarge { .. } => 413,
        EvidenceError::Storage(_) => 503,
    };
    Refusal { status, code: error.code(), message: error.to_string() }
}
