//! One exchange with a vehicle: a frame in, a reply out. Knows nothing of TLS, HTTP and MQTT.

use std::sync::{Arc, Mutex, PoisonError};

use outrider_ingest::{IngestError, KeyRing, LaneWatermark, Note, NoteRecord, frame_digest, lane_watermarks};
use outrider_model::{AppendError, Balance, EventLog, Partition};
use outrider_types::{Clock, IngestTime, TenantId, UnixMicros, VehicleId};
use outrider_wire::limits::{REPLY_BYTES_MAX, REPLY_COMMANDS_MAX};
use outrider_wire::{Ack, FrameDigest, Reply, UplinkFrame, Watermark};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::artifact::ArtifactVault;
use super::directory::{Denied, Directory};
use super::evidence::{EvidenceError, EvidenceVault};
use super::key_change;
use super::keys::Keys;
use super::link::Links;
use super::stripe::{STRIPES, Stripe, stripe_of};
use crate::api::dto::EvidenceState;
use crate::notices::Notices;
use crate::pipeline::Doorbell;
use crate::store::{EvidenceChange, Scope, Store, StoreError};

/// Captures that come in at the same time; each is held in memory, up to 32 MiB.
const UPLOADS_MAX: usize = 8;

/// Pieces of artifacts that are read at the same time: 16 MiB of memory at most.
const PIECES_MAX: usize = 64;

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
    /// Artifacts.
    pub artifacts: ArtifactVault,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Live stream.
    pub notices: Arc<dyn Notices>,
    /// Wakes the worker.
    pub doorbell: Arc<Doorbell>,
    /// Owner of this installation's vehicles.
    pub tenant: TenantId,
}

/// Takes frames from vehicles.
pub struct Exchange {
    pub(super) parts: ExchangeParts,
    pub(super) stripes: Vec<Mutex<Stripe>>,
    frames: Mutex<Balance>,
    uploads: Mutex<Balance>,
    downloads: Mutex<Balance>,
    places: Semaphore,
    pieces: Semaphore,
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
            downloads: Mutex::new(Balance::default()),
            places: Semaphore::new(UPLOADS_MAX),
            pieces: Semaphore::new(PIECES_MAX),
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
        let is_waiting = self.parts.store.has_commands(self.scope(), vehicle).await.map_err(refuse_store)?;
        if is_waiting { self.reply(vehicle, &[]).await.map(Some) } else { Ok(None) }
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

    /// Returns the counters of pieces of artifacts: received = passed + dropped by reason.
    #[must_use]
    pub fn downloads(&self) -> Balance {
        self.downloads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until another piece may be read.
    pub(super) async fn download_place(&self) -> SemaphorePermit<'_> {
        self.pieces.acquire().await.expect("the semaphore is never closed")
    }

    /// Counts a piece that was given or refused.
    pub(super) fn count_download(&self, result: Result<(), &Refusal>) {
        let mut downloads = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        downloads.receive(1);
        match result {
            Ok(()) => downloads.pass(1),
            Err(refusal) => {
                downloads.drop_for(refusal.code, 1);
                tracing::warn!(error.code = refusal.code, "piece of an artifact refused");
            }
        }
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
        let partition = Partition::of(vehicle, self.parts.log.partitions());
        self.parts.log.append(partition, ingest, &[&record], &[]).map_err(|error| refuse_log(&error))?;
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

    pub(super) fn scope(&self) -> Scope {
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
        let (known, stamp) = stripe.known(parts.log.as_ref(), session, &key)?;
        let accepted = stripe
            .acceptor
            .accept(bytes, session, parts.directory.as_ref(), known)
            .map_err(|e| refuse_ingest(&e))?;
        if accepted.has_news {
            let mut state = Vec::new();
            accepted.received.save(&mut state);
            let ingest = IngestTime(parts.clock.now());
            // LOG-2: bytes and intervals become durable together, and only then is anything acknowledged.
            let partition = Partition::of(session, parts.log.partitions());
            parts
                .log
                .append(partition, ingest, &[bytes], &[(&key, &state)])
                .map_err(|error| refuse_log(&error))?;
            parts.doorbell.ring();
        }
        let marks = lane_watermarks(&accepted);
        stripe.received.insert(session, (accepted.received, stamp));
        drop(stripe);
        self.acknowledge(session, frame_digest(bytes), &marks)
    }

    /// Signs what is durable, as the answer to this frame.
    pub(super) fn acknowledge(
        &self,
        vehicle: VehicleId,
        answers: FrameDigest,
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
        let head = (vehicle, self.parts.clock.now(), answers);
        let length = Ack::emit_answer(head, &marks, &self.parts.keys.ack, &mut out)
            .map_err(|error| Refusal { status: 500, code: "internal", message: error.to_string() })?;
        out.truncate(length);
        Ok(out)
    }

    /// Adds the commands that wait for the vehicle.
    pub(super) async fn reply(&self, vehicle: VehicleId, ack: &[u8]) -> Result<Vec<u8>, Refusal> {
        let commands = self.leaving(vehicle).await?;
        let commands: Vec<&[u8]> = commands.iter().map(Vec::as_slice).collect();
        let mut out = vec![0; Reply::frame_bytes(ack, &commands).min(REPLY_BYTES_MAX)];
        let length = Reply::emit(ack, &commands, &mut out).map_err(|error| Refusal {
            status: 500,
            code: "internal",
            message: error.to_string(),
        })?;
        out.truncate(length);
        Ok(out)
    }

    /// Takes the commands that wait for the vehicle. What waits is looked for without a writer first: mostly nothing.
    async fn leaving(&self, vehicle: VehicleId) -> Result<Vec<Vec<u8>>, Refusal> {
        let (store, scope) = (&self.parts.store, self.scope());
        if !store.has_commands(scope, vehicle).await.map_err(refuse_store)? {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(REPLY_COMMANDS_MAX).unwrap_or(1);
        let leaving = store.take_commands(scope, vehicle, limit).await.map_err(refuse_store)?;
        leaving.evidence.iter().for_each(|request| self.parts.notices.evidence(request));
        leaving.orders.iter().for_each(|order| self.parts.notices.update(order));
        Ok(leaving.frames)
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
        AppendError::Busy(reason) => {
            tracing::warn!(reason, "event log is busy");
            Refusal { status: 503, code: "log.busy", message: "storage is busy; try again".to_owned() }
        }
        // What the disk said is for our own log, not for the vehicle.
        AppendError::Storage(_) | AppendError::Beyond { .. } => {
            tracing::error!(%error, "event log failed");
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
        StoreError::Database(_) | StoreError::Damaged { .. } | StoreError::Fenced { .. } => {
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
