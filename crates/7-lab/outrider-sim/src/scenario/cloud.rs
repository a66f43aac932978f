//! The cloud: the real acceptor and worker over a log that can crash between any two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outrider_gateway::{Ed25519Signer, Ed25519Verifier};
use outrider_ingest::{
    Acceptor, KeyRing, Opener, Quarantined, Received, Worker, frame_digest, lane_watermarks,
};
use outrider_model::{Balance, EventBatch, LogOffset, LogRecord};
use outrider_types::{
    BootEpoch, EventId, EventTime, EventTypeId, IngestTime, Lane, Seed, Seq, TenantId, UnixMicros, VehicleId,
};
use outrider_wire::{
    Ack, Batch, BootCounts, BootRun, DropReason, FrameDigest, LostBootsView, Reply, SIGN_LOST_BOOTS,
    Verifier, Watermark,
};

use super::plan::CloudPlan;
use crate::fleet::TENANT;

/// Verifiers of all vehicles.
#[derive(Default)]
pub(super) struct Ring(BTreeMap<VehicleId, Arc<dyn Verifier + Send + Sync>>);

impl Ring {
    pub(super) fn add(&mut self, vehicle: VehicleId, verifier: Ed25519Verifier) {
        self.0.insert(vehicle, Arc::new(verifier));
    }
}

impl KeyRing for Ring {
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        self.0.get(&vehicle).map(|verifier| (TENANT, Arc::clone(verifier)))
    }
}

/// The event log: records and vehicle states, atomic a call. What stands here survived every crash.
#[derive(Default)]
struct Log {
    records: Vec<(IngestTime, Vec<u8>)>,
    states: BTreeMap<VehicleId, Vec<u8>>,
}

/// One row of the lake.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) event_type: EventTypeId,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    pub(super) context: Vec<u8>,
    pub(super) time: EventTime,
}

/// What a vehicle said of a lane last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) last_seq: u64,
    pub(super) received: u64,
    pub(super) folded: u64,
    /// Losses of observations that never got a number.
    pub(super) unnumbered: u64,
}

/// The lake and the worker's checkpoint, written together.
#[derive(Default)]
pub(super) struct Lake {
    pub(super) rows: BTreeMap<EventId, Stored>,
    pub(super) duplicated: Vec<EventId>,
    next: usize,
    checkpoint: BTreeMap<VehicleId, Vec<u8>>,
}

/// Sums of some boots: which, how many of these, what became of their rows.
pub(super) type Summed = (Vec<BootRun>, u64, BootCounts);

/// Counters of the cloud.
#[derive(Debug, Clone, Default)]
pub(super) struct CloudCounts {
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
    pub(super) appended: u64,
    pub(super) without_news: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) crashes: u64,
    pub(super) crashes_before_reply: u64,
}

/// Why the cloud gives no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoReply {
    /// It crashed; nobody knows whether the frame is durable.
    Crashed,
    /// It refused the frame.
    Refused { status: u16, code: &'static str },
}

/// The cloud of a scenario.
pub(super) struct Cloud {
    pub(super) ring: Ring,
    signer: Ed25519Signer,
    plan: CloudPlan,
    random: Seed,
    acceptor: Acceptor,
    received: BTreeMap<VehicleId, Received>,
    log: Log,
    worker: Worker,
    batch: EventBatch,
    worked: usize,
    pub(super) lake: Lake,
    pub(super) quarantine: Vec<Quarantined>,
    pub(super) told: BTreeMap<(VehicleId, BootEpoch, Lane), Told>,
    /// Boots and lanes of which a signed statement says what became of them, one by one.
    pub(super) closed: BTreeMap<(VehicleId, BootEpoch, Lane), BootCounts>,
    /// Signed statements that have only the sums of some boots, by vehicle and lane.
    pub(super) summed: BTreeMap<(VehicleId, Lane), Vec<Summed>>,
    /// Highest contiguous number that was ever signed.
    pub(super) signed: BTreeMap<(VehicleId, BootEpoch, Lane), u64>,
    pub(super) counts: CloudCounts,
    /// Rows seen by all workers that ever lived, for BAL-1.
    pub(super) balances: Vec<(Balance, Balance)>,
}

/// Records that the worker takes between two commits to the lake.
const COMMIT_EVERY: usize = 16;

impl Cloud {
    pub(super) fn new(plan: CloudPlan, seed: Seed) -> Self {
        let mut random = seed;
        let mut secret = [0; 32];
        for chunk in secret.chunks_exact_mut(8) {
            chunk.copy_from_slice(&random.next_u64().to_le_bytes());
        }
        Self {
            ring: Ring::default(),
            signer: Ed25519Signer::new(&secret),
            plan,
            random,
            acceptor: Acceptor::default(),
            received: BTreeMap::new(),
            log: Log::default(),
            worker: Worker::default(),
            batch: EventBatch::new(),
            worked: 0,
            lake: Lake::default(),
            quarantine: Vec::new(),
            told: BTreeMap::new(),
            closed: BTreeMap::new(),
            summed: BTreeMap::new(),
            signed: BTreeMap::new(),
            counts: CloudCounts::default(),
            balances: Vec::new(),
        }
    }

    /// Returns the public key of acknowledgements.
    pub(super) fn ack_key(&self) -> [u8; 32] {
        self.signer.public_key()
    }

    /// Takes one frame in the session of a vehicle and returns the reply, as the server's exchange does.
    pub(super) fn take(
        &mut self,
        session: VehicleId,
        frame: &[u8],
        now: UnixMicros,
    ) -> Result<Vec<u8>, NoReply> {
        self.counts.frames += 1;
        self.counts.frame_bytes += frame.len() as u64;
        let known = self.known(session);
        let accepted = match self.acceptor.accept(frame, session, &self.ring, known) {
            Ok(accepted) => accepted,
            Err(error) => {
                let code = error.code();
                *self.counts.refused.entry(code).or_default() += 1;
                // What the server answers; see its `refuse_ingest`.
                let status = match code {
                    "batch.unknown_vehicle" | "batch.wrong_vehicle" | "batch.wrong_tenant" => 403,
                    _ => 400,
                };
                return Err(NoReply::Refused { status, code });
            }
        };
        if accepted.has_news {
            let crash = self.random.chance(u64::from(self.plan.crash_per_mille), 1000);
            // A crash in the middle of an append leaves all of it or nothing: that is the port's promise.
            let survives = !crash || self.random.chance(1, 2);
            if survives {
                let mut state = Vec::new();
                accepted.received.save(&mut state);
                self.log.records.push((IngestTime(now), frame.to_vec()));
                self.log.states.insert(session, state);
                self.counts.appended += 1;
            }
            if crash {
                self.counts.crashes_before_reply += 1;
                self.crash();
                return Err(NoReply::Crashed);
            }
        } else {
            self.counts.without_news += 1;
        }
        let marks = lane_watermarks(&accepted);
        self.received.insert(session, accepted.received);
        for mark in &marks {
            let signed = self.signed.entry((session, mark.epoch, mark.lane)).or_default();
            *signed = (*signed).max(mark.contiguous);
        }
        let marks: Vec<Watermark<'_>> = marks
            .iter()
            .map(|mark| Watermark {
                epoch: mark.epoch,
                lane: mark.lane,
                contiguous: mark.contiguous,
                holes: &mark.holes,
            })
            .collect();
        let reply = reply((session, now, frame_digest(frame)), &marks, &self.signer);
        if self.log.records.len() >= self.worked + COMMIT_EVERY {
            self.work();
        }
        Ok(reply)
    }

    fn known(&self, vehicle: VehicleId) -> Received {
        if let Some(known) = self.received.get(&vehicle) {
            return known.clone();
        }
        let saved = self.log.states.get(&vehicle);
        saved.map(|bytes| Received::load(bytes).expect("the log keeps what was saved")).unwrap_or_default()
    }

    /// Works off the log; now and then the program dies before what it did is in the lake.
    pub(super) fn work(&mut self) {
        while self.worked < self.log.records.len() {
            let (ingest, bytes) = &self.log.records[self.worked];
            let offset = LogOffset(self.worked as u64);
            let record = LogRecord { offset, ingest: *ingest, bytes: bytes.clone() };
            let registry = BTreeMap::new();
            self.worker.receive(&record, &self.ring, &registry, &mut self.batch, &mut self.quarantine);
            self.worked += 1;
            if self.worked.is_multiple_of(COMMIT_EVERY) {
                if self.random.chance(u64::from(self.plan.worker_crash_per_mille), 1000) {
                    self.crash();
                } else {
                    self.commit();
                }
            }
        }
        self.commit();
    }

    fn commit(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.seal();
        for row in 0..batch.rows() {
            let Some(lane) = Lane::from_code(batch.lane[row]) else { continue };
            let (epoch, seq) = (BootEpoch(batch.epoch[row]), Seq(batch.seq[row]));
            let id = EventId { vehicle: batch.vehicle[row], epoch, lane, seq };
            let stored = Stored {
                event_type: EventTypeId(batch.event_type[row]),
                first: batch.first_us[row],
                last: batch.last_us[row],
                count: u64::from(batch.count[row]),
                context: batch.context(row).to_vec(),
                time: EventTime {
                    best: UnixMicros(batch.event_time[row]),
                    error_us: batch.event_time_error_us[row],
                },
            };
            if self.lake.rows.insert(id, stored).is_some() {
                self.lake.duplicated.push(id);
            }
        }
        for record in self.lake.next..self.worked {
            self.read_heads(record);
        }
        self.lake.next = self.worked;
        for (vehicle, state) in self.worker.save_changed() {
            self.lake.checkpoint.insert(vehicle, state);
        }
    }

    /// Notes what the vehicles say of their lanes, from the bytes in the log.
    fn read_heads(&mut self, record: usize) {
        let Some((_, bytes)) = self.log.records.get(record) else { return };
        let Ok(opened) = Opener::default().open(bytes, None, &self.ring) else { return };
        let Ok(batch) = Batch::parse(&opened.rows) else { return };
        let vehicle = opened.header.vehicle;
        let key = self.ring.batch_key(vehicle).map(|(_, key)| key);
        let is_signed = |lost: &LostBootsView<'_>| {
            let text = [SIGN_LOST_BOOTS, lost.text].concat();
            key.as_ref().is_some_and(|key| key.verify(&text, &lost.signature))
        };
        for lost in batch.lost_boots().flatten().filter(is_signed) {
            for one in lost.each() {
                self.closed.insert((vehicle, one.epoch, lost.lane), one.counts);
            }
            let sum = (lost.runs().collect(), lost.boots, lost.sum);
            let sums = self.summed.entry((vehicle, lost.lane)).or_default();
            if !lost.is_listed() && !sums.contains(&sum) {
                sums.push(sum);
            }
        }
        for head in batch.heads().flatten() {
            let numbered = |reason| matches!(reason, Some(DropReason::Evicted | DropReason::Corrupt));
            let drops = head.drops();
            let unnumbered = drops.filter(|drop| !numbered(drop.reason)).map(|drop| drop.count).sum();
            let told = Told {
                last_seq: head.head.last_seq,
                received: head.head.received,
                folded: head.head.folded,
                unnumbered,
            };
            let key = (opened.header.vehicle, opened.header.epoch, head.head.lane);
            let known = self.told.entry(key).or_insert(told);
            // Frames come in any order; a lane's counters only grow.
            if (told.received, told.last_seq) >= (known.received, known.last_seq) {
                *known = told;
            }
        }
    }

    /// Loses everything that is not on disk.
    pub(super) fn crash(&mut self) {
        self.counts.crashes += 1;
        self.balances.push((self.worker.batches().clone(), self.worker.rows().clone()));
        self.received.clear();
        self.acceptor = Acceptor::default();
        self.worker = Worker::default();
        self.batch = EventBatch::new();
        for (vehicle, state) in &self.lake.checkpoint {
            self.worker.load_vehicle(*vehicle, state).expect("the lake keeps what was saved");
        }
        self.worked = self.lake.next;
        // What the worker set aside after the last commit is set aside again.
        self.quarantine.clear();
    }

    /// Returns what the worker knows of a vehicle's deliveries.
    pub(super) fn received(&self, vehicle: VehicleId) -> Option<&Received> {
        self.worker.received(vehicle)
    }

    /// Returns the balances of all workers that ever lived.
    pub(super) fn all_balances(&self) -> Vec<(Balance, Balance)> {
        let mut all = self.balances.clone();
        all.push((self.worker.batches().clone(), self.worker.rows().clone()));
        all
    }

    /// Reads the whole durable log again with a fresh worker: what a new lake would hold.
    pub(super) fn replay(&self) -> BTreeSet<EventId> {
        let (mut worker, mut batch, mut quarantine) = (Worker::default(), EventBatch::new(), Vec::new());
        let mut ids = BTreeSet::new();
        for (offset, (ingest, bytes)) in self.log.records.iter().enumerate() {
            let record =
                LogRecord { offset: LogOffset(offset as u64), ingest: *ingest, bytes: bytes.clone() };
            worker.receive(&record, &self.ring, &BTreeMap::new(), &mut batch, &mut quarantine);
            if batch.rows() > 4096 {
                ids.extend(identities(&batch));
                batch = EventBatch::new();
            }
        }
        ids.extend(identities(&batch));
        ids
    }
}

fn identities(batch: &EventBatch) -> Vec<EventId> {
    let id = |row: usize| {
        let lane = Lane::from_code(batch.lane[row])?;
        let (epoch, seq) = (BootEpoch(batch.epoch[row]), Seq(batch.seq[row]));
        Some(EventId { vehicle: batch.vehicle[row], epoch, lane, seq })
    };
    (0..batch.rows()).filter_map(id).collect()
}

/// Writes a reply with one acknowledgement.
pub(super) fn reply(
    head: (VehicleId, UnixMicros, FrameDigest),
    marks: &[Watermark<'_>],
    signer: &dyn outrider_wire::Signer,
) -> Vec<u8> {
    let mut ack = vec![0; Ack::frame_bytes(marks)];
    let length = Ack::emit_answer(head, marks, signer, &mut ack).expect("watermarks are within their caps");
    ack.truncate(length);
    let mut out = vec![0; Reply::frame_bytes(&ack, &[])];
    let length = Reply::emit(&ack, &[], &mut out).expect("one acknowledgement fits");
    out.truncate(length);
    out
}
