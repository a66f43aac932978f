//! The gateway as a whole: lanes, folding, fair shares, spool and uplink behind `receive`, `tick` and `exchange`.

use outrider_types::{BusId, ClockFix, Lane, Seq, VehicleMicros};

use crate::fair::FairShare;
use crate::fold::{FoldBalance, FoldConfig, Folder};
use crate::spool::{AppendError, Spool};
use crate::storage::{Storage, StorageError};
use crate::uplink::{ExchangeReport, Keys, Link, Transport, Uplink, UplinkCounters};
use crate::{LanePolicies, SecurityEvent};

/// Longest time that a row which is not critical waits for the medium: what a power cut may cost.
pub const GROUP_COMMIT_US: u64 = 1_000_000;

/// Time after which the spool seals what is there, however little: what a thief of the current keys can rewrite, at most.
/// Ten minutes cost 100 kB and 150 flushes a day.
pub const HEARTBEAT_US: u64 = 600 * 1_000_000;

/// Folding, spool and uplink of one vehicle.
#[derive(Debug)]
pub struct Gateway<S> {
    policies: LanePolicies,
    folder: Folder,
    fair: FairShare,
    spool: Spool<S>,
    uplink: Uplink,
    passed: Vec<SecurityEvent>,
    /// Latest time that anybody told.
    at: VehicleMicros,
    synced_at: VehicleMicros,
    beat_at: VehicleMicros,
}

/// A row that got its number: where it stands, and when it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// Lane.
    pub lane: Lane,
    /// Number in lane and boot.
    pub seq: Seq,
    /// Bus that it is about.
    pub bus: Option<BusId>,
    /// When it was first seen.
    pub first: VehicleMicros,
    /// When it was last seen.
    pub last: VehicleMicros,
}

/// What taking events or time led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows that got a number, in order.
    pub rows: Vec<Numbered>,
    /// Events that were lost, with the reason; they are counted in the lane heads.
    pub lost: Vec<AppendError>,
    /// A group commit that failed.
    pub sync_error: Option<StorageError>,
}

impl<S: Storage> Gateway<S> {
    /// Puts the parts together.
    #[must_use]
    pub fn new(fold: FoldConfig, spool: Spool<S>, uplink: Uplink) -> Self {
        Self {
            policies: LanePolicies::with_windows(&fold),
            fair: FairShare::default(),
            folder: Folder::new(fold),
            spool,
            uplink,
            passed: Vec::new(),
            at: VehicleMicros(0),
            synced_at: VehicleMicros(0),
            beat_at: VehicleMicros(0),
        }
    }

    /// Takes a qualified event.
    pub fn receive(&mut self, mut event: SecurityEvent, now: VehicleMicros) -> Outcome {
        self.at = self.at.max(now);
        let handling = self.policies.handling(&event);
        event.lane = handling.lane;
        let mut folded = Vec::new();
        self.folder.receive_for(event, handling.window_us, now, &mut folded);
        self.share(folded, now);
        self.append_passed()
    }

    /// Puts a policy to use from the next event on. What waits keeps the lane and window that it was given.
    pub fn set_policies(&mut self, policies: LanePolicies) {
        self.policies = policies;
    }

    /// Returns the policy in use.
    #[must_use]
    pub const fn policies(&self) -> &LanePolicies {
        &self.policies
    }

    /// Returns the shares of the sensors.
    #[must_use]
    pub const fn fair(&self) -> &FairShare {
        &self.fair
    }

    fn share(&mut self, rows: Vec<SecurityEvent>, now: VehicleMicros) {
        for row in rows {
            self.fair.receive(row, &self.policies, now, &mut self.passed);
        }
    }

    /// Lets time pass: ends folding windows, commits to the medium.
    pub fn tick(&mut self, now: VehicleMicros) -> Outcome {
        self.at = self.at.max(now);
        let mut folded = Vec::new();
        self.folder.tick(now, &mut folded);
        self.share(folded, now);
        self.fair.tick(&self.policies, now, &mut self.passed);
        let mut outcome = self.append_passed();
        // What went wrong is kept in the spool's status; with a later segment it is tried again.
        let _ = self.spool.poll_anchor();
        if now.micros_since(self.synced_at) >= GROUP_COMMIT_US {
            self.synced_at = now;
            outcome.sync_error = if now.micros_since(self.beat_at) >= HEARTBEAT_US {
                self.beat_at = now;
                self.spool.heartbeat(now).err()
            } else {
                self.spool.sync().err()
            };
        }
        outcome
    }

    /// Passes on all that waits and makes it durable, before a shutdown.
    pub fn shut_down(&mut self) -> Outcome {
        let now = self.at;
        let mut folded = Vec::new();
        self.folder.flush(&mut folded);
        self.share(folded, now);
        self.fair.flush(now, &mut self.passed);
        let mut outcome = self.append_passed();
        outcome.sync_error = self.spool.sync().err();
        outcome
    }

    fn append_passed(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        for event in self.passed.drain(..) {
            match self.spool.append(&event) {
                Ok(appended) => outcome.rows.push(Numbered {
                    lane: event.lane,
                    seq: appended.seq,
                    bus: event.bus,
                    first: event.first,
                    last: event.last,
                }),
                Err(error) => outcome.lost.push(error),
            }
        }
        outcome
    }

    /// Records a reading of both clocks.
    ///
    /// # Errors
    /// [`StorageError`]; the reading is used all the same until the next boot.
    pub fn add_fix(&mut self, fix: ClockFix) -> Result<(), StorageError> {
        self.spool.add_fix(fix)
    }

    /// Tells what the link costs now.
    pub const fn set_link(&mut self, link: Link) {
        self.uplink.set_link(link);
    }

    /// Sends what is due, at most `frames_max` frames.
    pub fn exchange(
        &mut self,
        transport: &mut dyn Transport,
        keys: Keys<'_>,
        now: VehicleMicros,
        frames_max: u32,
    ) -> ExchangeReport {
        self.uplink.exchange(&mut self.spool, transport, keys, now, frames_max)
    }

    /// Returns the balance of the folding.
    #[must_use]
    pub const fn fold_balance(&self) -> FoldBalance {
        self.folder.balance()
    }

    /// Returns the counters of the uplink.
    #[must_use]
    pub const fn uplink_counters(&self) -> UplinkCounters {
        self.uplink.counters()
    }

    /// Returns the spool.
    #[must_use]
    pub const fn spool(&self) -> &Spool<S> {
        &self.spool
    }

    /// Returns the uplink.
    #[must_use]
    pub const fn uplink(&self) -> &Uplink {
        &self.uplink
    }

    /// Returns the spool and the uplink, for a caller that drives them itself.
    pub const fn parts_mut(&mut self) -> (&mut Spool<S>, &mut Uplink) {
        (&mut self.spool, &mut self.uplink)
    }
}
