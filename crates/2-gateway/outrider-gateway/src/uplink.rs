//! The uplink state machine: decides what is sent when, and believes only signed answers.
//!
//! One frame is under way at a time. Rows are sent again if they are wanted, or if a whole
//! [`UplinkConfig::resend_after_us`] passes without progress; identities make that harmless. Nothing here frees a row:
//! [`Spool::apply_watermark`] does, for a verified acknowledgement.

mod account;
mod budget;
mod frame;
mod policy;
mod short;
mod statements;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use outrider_types::{BootEpoch, ClockFix, Lane, Seed, Seq, VehicleId, VehicleMicros};
use outrider_wire::{Ack, FrameDigest, Reply, SealedAck, ShortProof, Signer, Verifier};

use sha2::{Digest as _, Sha256};

pub use self::budget::{Budget, BudgetSpent};
pub use self::policy::{Hours, LanePolicy, Minutes, PolicyError, UplinkPolicy};
pub use self::short::ShortSession;
use self::statements::Told;
pub use self::types::{
    Answer, BuildError, ExchangeError, ExchangeReport, Frame, Link, ReplyError, Transport, TransportError,
    UplinkConfig, UplinkCounters,
};
use crate::backoff::Backoff;
use crate::codec::Encoder;
use crate::short::ShortCodec;
use crate::spool::{LostBoots, Spool};
use crate::storage::Storage;

type LaneKey = (BootEpoch, Lane);

/// Bounds of [`UplinkConfig::batch_bytes_max`]: the longest row and all state must fit, and the frame be legal.
const BATCH_BYTES: (usize, usize) = (32 << 10, 512 << 10);

/// Most rows that wait to be sent again because they are wanted; more are asked for by the next acknowledgement.
const WANTED_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    /// Highest number sent.
    sent: u64,
    /// When a row was last sent or freed.
    progress: VehicleMicros,
}

#[derive(Debug, Default)]
struct InFlight {
    epoch: BootEpoch,
    sent: BTreeMap<Lane, u64>,
    again: BTreeSet<(BootEpoch, Lane, Seq)>,
    rows: u32,
    with_heads: bool,
    fix: Option<ClockFix>,
    told: Told,
    /// Rows by lane, for the account.
    by_lane: [u64; 3],
    proved: Vec<ShortProof>,
    short: Option<self::short::ShortRow>,
    /// What its answer names.
    digest: FrameDigest,
    /// Accounts of lost boots in it, as they were told.
    lost: Vec<LostBoots>,
}

impl InFlight {
    fn count(&mut self, lane: Lane) {
        if let Some(rows) = self.by_lane.get_mut(usize::from(lane.code())) {
            *rows += 1;
        }
    }
}

/// Decides what is sent when. Time comes as an argument; sending is the caller's, or [`Uplink::exchange`]'s.
#[derive(Debug)]
pub struct Uplink {
    config: UplinkConfig,
    encoder: Encoder,
    backoff: Backoff,
    link: Link,
    batch_number: u64,
    rows_max: u32,
    cursors: BTreeMap<LaneKey, Cursor>,
    window_ends: Option<VehicleMicros>,
    reported_at: VehicleMicros,
    wanted: BTreeSet<(BootEpoch, Lane, Seq)>,
    fixes_sent: BTreeMap<BootEpoch, ClockFix>,
    told: Told,
    in_flight: Option<InFlight>,
    counters: UplinkCounters,
    policy: UplinkPolicy,
    budget: Budget,
    /// Whether critical rows may go now: always, but for one frame in a report window once the day's bytes are spent.
    critical_goes: bool,
    /// When critical rows last went although the day's bytes were spent.
    beyond_at: Option<VehicleMicros>,
    codec: ShortCodec,
    session: Option<self::short::OpenSession>,
    proofs: self::short::Proofs,
}

impl Uplink {
    /// Creates an uplink that has sent nothing yet; `seed` is for jitter only.
    ///
    /// # Errors
    /// What zstd says when it loads the dictionary.
    pub fn new(mut config: UplinkConfig, seed: Seed) -> io::Result<Self> {
        let (base, max) = config.backoff_us;
        config.batch_bytes_max = config.batch_bytes_max.clamp(BATCH_BYTES.0, BATCH_BYTES.1);
        Ok(Self {
            config,
            encoder: Encoder::new()?,
            backoff: Backoff::new(base, max, seed),
            link: Link::default(),
            batch_number: 0,
            rows_max: config.batch_rows_max.max(1),
            cursors: BTreeMap::new(),
            window_ends: None,
            reported_at: VehicleMicros(0),
            wanted: BTreeSet::new(),
            fixes_sent: BTreeMap::new(),
            told: Told::default(),
            in_flight: None,
            counters: UplinkCounters::default(),
            policy: UplinkPolicy::default(),
            budget: Budget::default(),
            critical_goes: true,
            beyond_at: None,
            codec: ShortCodec::new()?,
            session: None,
            proofs: self::short::Proofs::default(),
        })
    }

    /// Returns the counters.
    #[must_use]
    pub const fn counters(&self) -> UplinkCounters {
        self.counters
    }

    /// Tells what the link costs now.
    pub const fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Builds the next frame that is due, or `None` if nothing is or a failed exchange is too recent.
    ///
    /// Asking again without an answer builds the same rows again, under a new batch number.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn next_frame<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        signer: &dyn Signer,
        now: VehicleMicros,
    ) -> Result<Option<Frame>, BuildError> {
        self.in_flight = None;
        if !self.backoff.is_open(now) {
            return Ok(None);
        }
        self.restart_stalled(spool, now);
        self.admit_critical(now);
        let Some((epoch, lanes)) = self.due(spool, now) else { return Ok(None) };
        // What the cloud has, the medium has: otherwise a power cut could make the counters run backwards. A medium that
        // fails is no reason to be silent.
        let _ = spool.sync();
        let built = match self.build_short(spool, epoch, lanes) {
            Ok(None) => self.build(spool, epoch, lanes, signer).map(Some),
            short => short,
        };
        if let (Ok(Some(frame)), Some(flight)) = (&built, &mut self.in_flight) {
            flight.digest = frame_digest(&frame.bytes);
        }
        if let Err(BuildError::Storage(_)) = &built {
            self.fail(now);
        }
        built
    }

    /// Rewinds lanes whose sent rows are still held after a long time without progress.
    fn restart_stalled<S: Storage>(&mut self, spool: &Spool<S>, now: VehicleMicros) {
        let resend_after_us = self.config.resend_after_us;
        for ((epoch, lane), cursor) in &mut self.cursors {
            let stalled = now.micros_since(cursor.progress) >= resend_after_us;
            if stalled && spool.next_held(*epoch, *lane, 0).is_some_and(|seq| seq.0 <= cursor.sent) {
                *cursor = Cursor { sent: 0, progress: now };
            }
        }
    }

    fn sent(&self, epoch: BootEpoch, lane: Lane) -> u64 {
        self.cursors.get(&(epoch, lane)).map_or(0, |cursor| cursor.sent)
    }

    /// Chooses a boot and the lanes to send of it; critical rows of any boot come first.
    fn due<S: Storage>(&mut self, spool: &Spool<S>, now: VehicleMicros) -> Option<(BootEpoch, Lanes)> {
        let epochs = spool.epochs();
        let critical = epochs.iter().find(|epoch| {
            self.critical_goes
                && spool.next_held(**epoch, Lane::Critical, self.sent(**epoch, Lane::Critical)).is_some()
        });
        let window_ended = self.may_go(Lane::Batched) && self.window_ended(spool, &epochs, now);
        let deferred_goes = self.may_go(Lane::Deferred);
        let report_due = now.micros_since(self.reported_at) >= self.config.report_window_us;
        let rest = |epoch: BootEpoch| {
            let held = |lane| spool.next_held(epoch, lane, self.sent(epoch, lane)).is_some();
            let past = epoch != spool.epoch();
            let has_lost = !past && spool.lost_boots().next().is_some();
            Lanes {
                batched: window_ended && held(Lane::Batched),
                deferred: deferred_goes && held(Lane::Deferred),
                report: has_lost
                    || (spool.is_unreported(epoch) || self.proofs.of(epoch).next().is_some())
                        && (past || report_due),
            }
        };
        if let Some(epoch) = critical {
            return Some((*epoch, rest(*epoch)));
        }
        if let Some((epoch, _, _)) = self.wanted.iter().find(|(_, lane, _)| self.may_go(*lane)) {
            return Some((*epoch, rest(*epoch)));
        }
        // A boot of which nothing is held any more may still have something to prove.
        let unproved = self.proofs.first_epoch().filter(|epoch| !epochs.contains(epoch));
        // So may this boot of earlier ones.
        let own = Some(spool.epoch()).filter(|epoch| !epochs.contains(epoch) && Some(*epoch) != unproved);
        epochs
            .into_iter()
            .chain(unproved)
            .chain(own)
            .map(|epoch| (epoch, rest(epoch)))
            .find(|(_, lanes)| lanes.any())
    }

    /// Returns true if batched rows have waited long enough, or are many enough.
    fn window_ended<S: Storage>(
        &mut self,
        spool: &Spool<S>,
        epochs: &[BootEpoch],
        now: VehicleMicros,
    ) -> bool {
        let mut waiting = 0u64;
        for epoch in epochs {
            let (rows, bytes) = spool.held_after(*epoch, Lane::Batched, self.sent(*epoch, Lane::Batched));
            if rows > 0 && *epoch != spool.epoch() {
                return true;
            }
            waiting = waiting.saturating_add(bytes);
        }
        if waiting == 0 {
            self.window_ends = None;
            return false;
        }
        let ends = self.window_ends.get_or_insert(now.saturating_add(self.config.batched_window_us));
        if waiting >= self.config.batched_bytes {
            // Once begun, all that waits is sent.
            *ends = now.min(*ends);
        }
        *ends <= now
    }

    /// Takes the reply to the last frame: checks it, frees what it covers, notes what is wanted.
    ///
    /// # Errors
    /// [`ReplyError`]; nothing is freed then, and the exchange counts as failed.
    pub fn on_reply<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        reply: &[u8],
        verifier: &dyn Verifier,
        now: VehicleMicros,
    ) -> Result<Answer, ReplyError> {
        let opened = open(reply, self.config.vehicle, verifier);
        // What a frame stated beside rows is forgotten once it is answered, so an answer to another frame is none.
        let awaited = self.in_flight.as_ref().map(|flight| flight.digest);
        let opened = opened.and_then(|(ack, reply)| {
            if ack.answers == awaited { Ok((ack, reply)) } else { Err(ReplyError::OtherFrame) }
        });
        let (ack, reply) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.counters.bad_replies += 1;
                self.fail(now);
                return Err(error);
            }
        };
        self.backoff.succeed();
        self.rows_max = self.rows_max.saturating_mul(2).min(self.config.batch_rows_max.max(1));
        let freed = spool.apply_watermark(&ack);
        self.counters.freed += freed;
        self.settle(spool, now);
        self.note_wanted(spool, &ack);
        if freed > 0 {
            for mark in ack.watermarks() {
                if let Some(cursor) = self.cursors.get_mut(&(mark.epoch, mark.lane)) {
                    cursor.progress = now;
                }
            }
        }
        Ok(Answer {
            freed,
            wanted: self.wanted.len(),
            commands: reply.commands().map(<[u8]>::to_vec).collect(),
        })
    }

    /// Moves on past the rows of the frame that was answered.
    fn settle<S: Storage>(&mut self, spool: &mut Spool<S>, now: VehicleMicros) {
        let Some(flight) = self.in_flight.take() else { return };
        for (lane, seq) in flight.sent {
            let cursor = self.cursors.entry((flight.epoch, lane)).or_default();
            *cursor = Cursor { sent: cursor.sent.max(seq), progress: now };
        }
        self.wanted.retain(|row| !flight.again.contains(row));
        self.proofs.settle(flight.epoch, &flight.proved);
        if let Some(row) = flight.short {
            self.proofs.add(flight.epoch, row);
        }
        if flight.with_heads {
            spool.mark_reported(flight.epoch);
            if flight.epoch == spool.epoch() {
                self.reported_at = now;
            }
        }
        for lost in &flight.lost {
            spool.mark_lost_told(lost);
        }
        if let Some(fix) = flight.fix {
            self.fixes_sent.insert(flight.epoch, fix);
        }
        self.told.settle(flight.told);
        let epochs: BTreeSet<BootEpoch> = spool.epochs().into_iter().collect();
        self.told.retain(&epochs);
        self.cursors.retain(|(epoch, _), _| epochs.contains(epoch));
        self.fixes_sent.retain(|epoch, _| epochs.contains(epoch));
        self.wanted.retain(|(epoch, _, _)| epochs.contains(epoch));
    }

    fn note_wanted<S: Storage>(&mut self, spool: &Spool<S>, ack: &Ack<'_>) {
        for mark in ack.watermarks() {
            let sent = self.sent(mark.epoch, mark.lane);
            for hole in mark.holes() {
                let mut after = hole.first().0.saturating_sub(1);
                // Numbers not sent yet come by themselves.
                while let Some(seq) = spool.next_held(mark.epoch, mark.lane, after)
                    && hole.contains(seq)
                    && seq.0 <= sent
                    && self.wanted.len() < WANTED_MAX
                {
                    self.wanted.insert((mark.epoch, mark.lane, seq));
                    after = seq.0;
                }
            }
        }
    }

    /// Records that the last frame was not answered.
    pub fn on_failure(&mut self, error: &TransportError, now: VehicleMicros) {
        if self.in_flight.as_ref().is_some_and(|flight| flight.short.is_some()) {
            self.spoil_session();
        } else if error.blames_frame()
            && let Some(flight) = self.in_flight.take()
        {
            if flight.rows > 1 {
                // Halve the batch until the row that the cloud cannot take stands alone.
                self.rows_max = (flight.rows / 2).max(1);
            } else {
                self.counters.set_aside += u64::from(flight.rows);
                for (lane, seq) in &flight.sent {
                    let cursor = self.cursors.entry((flight.epoch, *lane)).or_default();
                    *cursor = Cursor { sent: cursor.sent.max(*seq), progress: now };
                }
                self.wanted.retain(|row| !flight.again.contains(row));
            }
        }
        self.fail(now);
    }

    fn fail(&mut self, now: VehicleMicros) {
        self.in_flight = None;
        self.counters.failures += 1;
        self.backoff.fail(now);
    }

    /// Sends what is due, at most `frames_max` frames, until nothing is due or something fails.
    pub fn exchange<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        transport: &mut dyn Transport,
        keys: Keys<'_>,
        now: VehicleMicros,
        frames_max: u32,
    ) -> ExchangeReport {
        let mut report = ExchangeReport::default();
        while report.answered < frames_max {
            match self.exchange_one(spool, transport, keys, now) {
                Ok(None) => break,
                Ok(Some(answer)) => {
                    report.answered += 1;
                    report.freed += answer.freed;
                    report.commands.extend(answer.commands);
                }
                Err(error) => {
                    report.error = Some(error);
                    break;
                }
            }
        }
        report
    }

    fn exchange_one<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        transport: &mut dyn Transport,
        keys: Keys<'_>,
        now: VehicleMicros,
    ) -> Result<Option<Answer>, ExchangeError> {
        self.set_session(transport.session());
        let Some(frame) = self.next_frame(spool, keys.batch, now)? else { return Ok(None) };
        let sent = budget::EXCHANGE_BYTES.saturating_add(frame.bytes.len() as u64);
        match transport.exchange(&frame.bytes) {
            Ok(reply) => {
                self.charge(sent.saturating_add(reply.len() as u64), now);
                Ok(Some(self.on_reply(spool, &reply, keys.ack, now)?))
            }
            Err(error) => {
                self.charge(sent, now);
                self.on_failure(&error, now);
                Err(error.into())
            }
        }
    }
}

/// Keys of an exchange.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// Signs the vehicle's batches.
    pub batch: &'a dyn Signer,
    /// Verifies the cloud's acknowledgements.
    pub ack: &'a dyn Verifier,
}

/// Lanes beside the critical one that go into a frame, and whether the lane heads do.
#[derive(Debug, Clone, Copy)]
struct Lanes {
    batched: bool,
    deferred: bool,
    report: bool,
}

impl Lanes {
    const fn any(self) -> bool {
        self.batched || self.deferred || self.report
    }
}

/// Returns what the cloud's acknowledgement says of the frame that it answers.
#[must_use]
pub fn frame_digest(frame: &[u8]) -> FrameDigest {
    let hash: [u8; 32] = Sha256::digest(frame).into();
    hash.first_chunk().copied().unwrap_or_default()
}

fn open<'a>(
    reply: &'a [u8],
    vehicle: VehicleId,
    verifier: &dyn Verifier,
) -> Result<(Ack<'a>, Reply<'a>), ReplyError> {
    let reply = Reply::parse(reply).map_err(ReplyError::Frame)?;
    let ack =
        SealedAck::parse(reply.ack).and_then(|sealed| sealed.open(verifier)).map_err(ReplyError::Frame)?;
    if ack.vehicle == vehicle { Ok((ack, reply)) } else { Err(ReplyError::WrongVehicle(ack.vehicle)) }
}
