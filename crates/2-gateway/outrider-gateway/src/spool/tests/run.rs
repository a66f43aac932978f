//! A run over two boots that wraps the ring, with what was promised after each write; and the images that a power cut
//! can leave of it.

use std::collections::BTreeSet;

use outrider_types::{ClockSource, Seed};
use outrider_wire::DropReason;

use super::*;
use crate::Write;

/// What must hold after the first `writes` acts.
#[derive(Debug, Clone, Default)]
pub(super) struct Promise {
    writes: usize,
    counter: u64,
    durable: BTreeSet<Id>,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) config: SpoolConfig,
    pub(super) appended: BTreeMap<Id, u64>,
    pub(super) freed: BTreeSet<Id>,
    counter: Counter,
    now: Promise,
    promises: Vec<Promise>,
    pub(super) writes: Vec<Write>,
}

impl Run {
    fn empty(config: SpoolConfig) -> Self {
        Self {
            config,
            appended: BTreeMap::new(),
            freed: BTreeSet::new(),
            counter: Counter::default(),
            now: Promise::default(),
            promises: vec![Promise::default()],
            writes: Vec::new(),
        }
    }

    fn note(&mut self, spool: &Spool<MemoryStorage>) {
        self.now.writes = spool.storage().writes().len();
        self.now.counter = self.counter.value();
        self.promises.push(self.now.clone());
    }

    fn append(&mut self, spool: &mut Spool<MemoryStorage>, lane: Lane, mark: u64) {
        let appended = spool.append(&event(lane, mark, 1 + mark % 3)).expect("room");
        let id = (spool.epoch(), lane, appended.seq.0);
        self.appended.insert(id, mark);
        assert_eq!(appended.durable, lane == Lane::Critical);
        if appended.durable {
            // A flush is for all lanes.
            self.now.durable = self.appended.keys().copied().collect();
        }
        self.note(spool);
    }

    fn boot(&mut self, spool: &mut Spool<MemoryStorage>, rows: u64) {
        self.note(spool);
        let fix =
            ClockFix { mono: VehicleMicros(5), wall: UnixMicros(77), error_us: 1, source: ClockSource::Gnss };
        spool.add_fix(fix).expect("room");
        for mark in 0..rows {
            self.append(spool, Lane::ALL[(mark % 3) as usize], 1000 + mark);
            if mark % 5 == 4 {
                spool.sync().expect("healthy medium");
                self.now.durable = self.appended.keys().copied().collect();
                self.note(spool);
            }
            if mark % 16 == 15 {
                spool.heartbeat(VehicleMicros(mark)).expect("healthy medium");
                self.now.durable = self.appended.keys().copied().collect();
                self.note(spool);
            }
            if mark % 9 == 8 {
                let lane = Lane::ALL[(mark / 9 % 3) as usize];
                for epoch in spool.epochs() {
                    let freed = self.appended.keys().filter(|(of, each, _)| *of == epoch && *each == lane);
                    self.freed.extend(freed.filter(|(_, _, seq)| *seq <= mark / 6));
                    acknowledge(spool, epoch, lane, mark / 6);
                }
                self.note(spool);
            }
        }
    }

    /// Many short boots, each of which finds what the one before left.
    pub(super) fn boot_loop(config: SpoolConfig, boots: u64) -> Self {
        let mut run = Self::empty(config);
        let mut storage = MemoryStorage::recording();
        for boot in 0..boots {
            let (mut spool, recovery) = open_at(storage, config, &run.counter);
            assert_eq!(recovery.damage(), None, "{recovery:?}");
            run.note(&spool);
            for row in 0..3 {
                run.append(&mut spool, Lane::ALL[row], 1000 + boot);
            }
            spool.sync().expect("healthy medium");
            run.now.durable = run.appended.keys().copied().collect();
            run.note(&spool);
            storage = spool.into_storage();
        }
        run.writes = storage.writes().to_vec();
        run
    }

    /// Two boots; the second finds what the first left, flushed or not.
    pub(super) fn two_boots(config: SpoolConfig, rows: [u64; 2]) -> Self {
        let mut run = Self::empty(config);
        let (mut spool, _) = open_at(MemoryStorage::recording(), config, &run.counter);
        run.boot(&mut spool, rows[0]);
        let (mut spool, recovery) = open_at(spool.into_storage(), config, &run.counter);
        assert_eq!(recovery.damage(), None, "{recovery:?}");
        run.boot(&mut spool, rows[1]);
        assert_eq!(audit(spool.storage(), config, Some(run.counter.value())).findings, []);
        run.writes = spool.storage().writes().to_vec();
        run
    }

    /// Loads an image and returns how many promised rows are neither held, acknowledged nor in a tombstone, and how
    /// many rows were never appended.
    pub(super) fn judge(&self, image: &MemoryStorage, count: usize, read_rows: bool) -> (usize, usize) {
        let promise = self.promises.iter().rev().find(|promise| promise.writes <= count).expect("the first");
        let counter = Counter::at(promise.counter);
        let loaded = Spool::load(image.clone(), self.config, boot(&counter));
        let (mut spool, recovery) = loaded.expect("damage never stops a start");
        assert_eq!((recovery.behind_anchor, recovery.truncated.len()), (0, 0), "false alarm at {count}");
        assert!(!recovery.keys_lost, "keys lost at {count}");
        assert_balance(&spool);
        let mut lost = 0;
        for id @ (epoch, lane, seq) in &promise.durable {
            let state = spool.lanes.get(&(*epoch, *lane));
            let told = state.is_some_and(|state| {
                let evicted = |gap: &outrider_wire::Gap| {
                    gap.reason == Some(DropReason::Evicted) && gap.range.contains(Seq(*seq))
                };
                state.rows.contains_key(seq) || state.gaps.iter().any(evicted)
            }) || spool.lost.values().any(|lost| {
                let is_summed = lost.each.is_empty() && (lost.first..=lost.last).contains(epoch);
                lost.lane == *lane && (lost.lists(*epoch) || is_summed)
            });
            lost += usize::from(!told && !self.freed.contains(id));
        }
        let phantom = if read_rows {
            let rows = held(&mut spool);
            rows.iter().filter(|(id, mark)| self.appended.get(id) != Some(mark)).count()
        } else {
            let rows = spool
                .lanes
                .iter()
                .flat_map(|((epoch, lane), state)| state.rows.keys().map(|seq| (*epoch, *lane, *seq)));
            rows.filter(|id| !self.appended.contains_key(id)).count()
        };
        (lost, phantom)
    }
}

/// What stands where a torn write should have ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    Stale,
    Zeros,
    Ones,
    Noise,
}

impl Fill {
    pub(super) const ALL: [Self; 4] = [Self::Stale, Self::Zeros, Self::Ones, Self::Noise];
}

/// Applies a write whose bytes from `cut` on became `fill`.
pub(super) fn tear(image: &mut MemoryStorage, write: &Write, cut: usize, fill: Fill, random: &mut Seed) {
    let Write::At(offset, bytes) = write else { return };
    let mut torn = bytes.clone();
    for (at, byte) in torn.iter_mut().enumerate().skip(cut) {
        *byte = match fill {
            Fill::Stale => image.byte(offset + at as u64),
            Fill::Zeros => 0,
            Fill::Ones => 0xFF,
            Fill::Noise => random.next_u64().to_le_bytes()[0],
        };
    }
    image.put(*offset, &torn);
}

/// Applies a write whole.
pub(super) fn apply(image: &mut MemoryStorage, write: &Write) {
    if let Write::At(offset, bytes) = write {
        image.put(*offset, bytes);
    }
}
