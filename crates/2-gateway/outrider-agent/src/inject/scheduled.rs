//! Attacks on LIN buses and FlexRay clusters, put into what was heard there.
//!
//! No recording of such attacks is known, so each does to the bus what its name says and what the rules of the bus
//! leave no other choice about: whoever sends, sends beside those who go on, or in place of one who is silenced.

use std::collections::{BTreeMap, BTreeSet};

use outrider_bus::flexray::{self, Channel, Header, RecordErrors, TimedFlexRay};
use outrider_bus::lin::{self, ChecksumKind, Fault, Pid, TimedLin};
use outrider_types::{BusId, Seed, VehicleMicros};

use super::{InjectError, LENGTH_US, START_PERCENT, pick};
use crate::io::capture::Record;

/// Time between two headers of a second master, in microseconds: as fast as a quick table.
const SECOND_MASTER_US: u64 = 70_000;
/// Time between two diagnostic requests of a scan, in microseconds.
const SCAN_US: u64 = 40_000;
/// Time between two wake-up signals, and two false commands to sleep, in microseconds.
const WAKE_US: u64 = 60_000;
const SLEEP_US: u64 = 1_000_000;
/// Frames with such an attack an attacker answers or damages: half of a slave's.
const HALF: u64 = 2;

macro_rules! attacks {
    ($($(#[$doc:meta])* $variant:ident => $word:literal;)*) => {
        /// An attack on a bus on which time is scheduled.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ScheduledAttack {
            $($(#[$doc])* $variant,)*
        }

        impl ScheduledAttack {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns its word, which is its class too.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

attacks! {
    /// Headers of an identifier that no table has, with responses, between the master's.
    LinUnknown => "lin-unknown";
    /// Headers of known identifiers between the master's.
    LinSecondMaster => "lin-second-master";
    /// Responses of another length in a slave's place.
    LinPublisher => "lin-publisher";
    /// Responses against those of a slave, which damages both.
    LinCollision => "lin-collision";
    /// A slave is silenced.
    LinSilence => "lin-silence";
    /// Diagnostic requests to one node address after the other.
    LinScan => "lin-scan";
    /// Commands to sleep that the master does not mean.
    LinSleep => "lin-sleep";
    /// Wake-up signals all the time.
    LinWakeUp => "lin-wake-up";
    /// Frames in a static slot of nobody.
    FlexRayOccupy => "flexray-occupy";
    /// Frames in cycles of a slot that belong to nobody.
    FlexRayCycle => "flexray-cycle";
    /// A node is silenced.
    FlexRaySilence => "flexray-silence";
    /// A slot's frames have another length.
    FlexRayLength => "flexray-length";
    /// A slot's frames say that they are sync and startup frames.
    FlexRayFlags => "flexray-flags";
    /// Frames are damaged.
    FlexRayErrors => "flexray-errors";
    /// A second frame in a slot, behind later ones.
    FlexRayRepeat => "flexray-repeat";
}

impl ScheduledAttack {
    /// Returns the attack of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|attack| attack.word() == word)
    }

    /// Returns whether it is on LIN, else it is on FlexRay.
    #[must_use]
    pub fn is_lin(self) -> bool {
        self.word().starts_with("lin")
    }
}

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct ScheduledPlan {
    /// Kind of attack.
    pub attack: ScheduledAttack,
    /// Source of every choice that is left open.
    pub seed: u64,
    /// Time from the first record to the attack; by default two fifths of the capture.
    pub start_us: Option<u64>,
    /// Length of the attack; by default to the end, at most five seconds.
    pub length_us: Option<u64>,
}

/// A capture with an attack in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// What a listener hears now.
    pub records: Vec<Record>,
    /// Whether each is the attacker's.
    pub truth: Vec<bool>,
    /// The bus, as its source numbers it.
    pub bus: BusId,
    /// First and last moment at which anything was done.
    pub start: VehicleMicros,
    /// Last one.
    pub end: VehicleMicros,
    /// Records added, changed and taken away.
    pub counts: [u64; 3],
}

/// Puts an attack into what was heard.
///
/// # Errors
/// [`InjectError`]: nothing of the kind was heard, or a plan that does not fit the capture.
pub fn attack(records: &[Record], plan: &ScheduledPlan) -> Result<Attacked, InjectError> {
    let is_lin = plan.attack.is_lin();
    let is_of = |record: &&Record| match record {
        Record::Lin(_) => is_lin,
        Record::FlexRay(_) => !is_lin,
        Record::Can(_) | Record::CanXl(_) | Record::Ethernet { .. } => false,
    };
    let mut of = records.iter().filter(is_of);
    let (Some(first), Some(last)) = (of.next(), of.next_back()) else { return Err(InjectError::NoFrames) };
    let span = last.at().micros_since(first.at());
    let start_us = plan.start_us.unwrap_or(span * START_PERCENT / 100);
    if start_us >= span {
        return Err(InjectError::Start { start_us, capture_us: span });
    }
    let start = first.at().saturating_add(start_us);
    let length_us = plan.length_us.unwrap_or(LENGTH_US).min(last.at().micros_since(start));
    if length_us == 0 {
        return Err(InjectError::Length);
    }
    let window = Window { start: start.0, end: start.0 + length_us };
    let mut draft = Draft::new(records, Seed::new(plan.seed), window);
    if is_lin {
        draft.lin(plan.attack);
    } else {
        draft.flexray(plan.attack);
    }
    draft.finish()
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: u64,
    end: u64,
}

impl Window {
    fn has(self, at: VehicleMicros) -> bool {
        (self.start..=self.end).contains(&at.0)
    }
}

struct Draft<'a> {
    records: &'a [Record],
    seed: Seed,
    window: Window,
    added: Vec<Record>,
    /// What becomes of records by their place; `None` for those that are taken away.
    changed: BTreeMap<usize, Option<Record>>,
    bus: BusId,
}

impl<'a> Draft<'a> {
    const fn new(records: &'a [Record], seed: Seed, window: Window) -> Self {
        Self { records, seed, window, added: Vec::new(), changed: BTreeMap::new(), bus: BusId(0) }
    }

    fn within(&self) -> impl Iterator<Item = (usize, &'a Record)> + use<'a> {
        let window = self.window;
        self.records.iter().enumerate().filter(move |(_, record)| window.has(record.at()))
    }

    fn lin_frames(&self) -> Vec<(usize, TimedLin, lin::Frame)> {
        let frame = |(index, record): (usize, &Record)| match record {
            Record::Lin(heard) => match heard.heard {
                lin::Heard::Frame { frame, .. } => Some((index, *heard, frame)),
                lin::Heard::Fault { .. } | lin::Heard::Header | lin::Heard::WakeUp | lin::Heard::Asleep => {
                    None
                }
            },
            Record::Can(_) | Record::CanXl(_) | Record::Ethernet { .. } | Record::FlexRay(_) => None,
        };
        self.within().filter_map(frame).collect()
    }

    fn lin(&mut self, attack: ScheduledAttack) {
        let frames = self.lin_frames();
        let used: BTreeSet<u8> = frames.iter().map(|(_, _, frame)| frame.pid().id()).collect();
        // Slaves that always answer: not diagnosis, and not the rarest, which may be sporadic.
        let mut count: BTreeMap<u8, u32> = BTreeMap::new();
        frames.iter().for_each(|(_, _, frame)| *count.entry(frame.pid().id()).or_default() += 1);
        let most = count.values().max().copied().unwrap_or(0);
        let slaves: Vec<u8> =
            count.iter().filter(|(id, count)| **id < 0x3C && **count * 2 > most).map(|(id, _)| *id).collect();
        self.bus = frames.first().map_or(BusId(0), |(_, timed, _)| timed.bus);
        let Some(victim) = pick(&slaves, &mut self.seed) else { return };
        let of_victim: Vec<_> = frames.iter().filter(|(_, _, frame)| frame.pid().id() == victim).collect();
        match attack {
            ScheduledAttack::LinUnknown => {
                let free: Vec<u8> = (0..0x3C).filter(|id| !used.contains(id)).collect();
                let Some(id) = pick(&free, &mut self.seed) else { return };
                self.lin_headers(&frames, SECOND_MASTER_US, |_| (id, vec![0xA5; 4]));
            }
            ScheduledAttack::LinSecondMaster => {
                let Some((_, _, like)) = of_victim.first() else { return };
                let data = like.data().to_vec();
                self.lin_headers(&frames, SECOND_MASTER_US, |_| (victim, data.clone()));
            }
            ScheduledAttack::LinScan => {
                self.lin_headers(&frames, SCAN_US, |number| {
                    let nad = u8::try_from(number % 0x7D).unwrap_or(0) + 1;
                    (0x3C, vec![nad, 0x06, 0xB2, 0x00, 0xFF, 0x7F, 0xFF, 0xFF])
                });
            }
            ScheduledAttack::LinSleep => {
                self.lin_headers(&frames, SLEEP_US, |_| {
                    (0x3C, vec![0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
                });
            }
            ScheduledAttack::LinWakeUp => {
                let mut at = self.window.start;
                while at < self.window.end {
                    self.add_lin(at, lin::Heard::WakeUp);
                    at += WAKE_US;
                }
            }
            ScheduledAttack::LinPublisher => {
                for (index, timed, frame) in of_victim {
                    let longer = if frame.data().len() >= 8 { 4 } else { 8 };
                    let other = lin::Frame::new(frame.pid(), frame.kind(), &[0x5A; 8][..longer]);
                    let heard = other.map(|frame| lin::Heard::Frame { frame, has_checksum: true });
                    self.change_lin(*index, timed, heard.ok());
                }
            }
            ScheduledAttack::LinCollision => {
                for (number, (index, timed, frame)) in (0u64..).zip(of_victim) {
                    if number % HALF == 0 {
                        let heard = lin::Heard::Fault { pid: frame.pid(), fault: Fault::Checksum };
                        self.change_lin(*index, timed, Some(heard));
                    }
                }
            }
            ScheduledAttack::LinSilence => {
                for (index, timed, frame) in of_victim {
                    let heard = lin::Heard::Fault { pid: frame.pid(), fault: Fault::Silence };
                    self.change_lin(*index, timed, Some(heard));
                }
            }
            ScheduledAttack::FlexRayOccupy
            | ScheduledAttack::FlexRayCycle
            | ScheduledAttack::FlexRaySilence
            | ScheduledAttack::FlexRayLength
            | ScheduledAttack::FlexRayFlags
            | ScheduledAttack::FlexRayErrors
            | ScheduledAttack::FlexRayRepeat => {}
        }
    }

    fn add_lin(&mut self, at: u64, heard: lin::Heard) {
        self.added.push(Record::Lin(TimedLin { at: VehicleMicros(at), bus: self.bus, heard }));
    }

    fn change_lin(&mut self, index: usize, timed: &TimedLin, heard: Option<lin::Heard>) {
        self.changed.insert(index, heard.map(|heard| Record::Lin(TimedLin { heard, ..*timed })));
    }

    /// Sends headers with responses in the middle of the longest pauses that the master leaves.
    fn lin_headers(
        &mut self,
        frames: &[(usize, TimedLin, lin::Frame)],
        every_us: u64,
        mut what: impl FnMut(u64) -> (u8, Vec<u8>),
    ) {
        let (mut next, mut number) = (self.window.start, 0u64);
        for pair in frames.windows(2) {
            let (Some((_, before, _)), Some((_, after, _))) = (pair.first(), pair.last()) else { continue };
            let pause = after.at.micros_since(before.at);
            if before.at.0 < next || !(6_000..=100_000).contains(&pause) {
                continue;
            }
            let (id, data) = what(number);
            number += 1;
            next = before.at.0 + every_us;
            let frame = Pid::new(id).and_then(|pid| lin::Frame::new(pid, ChecksumKind::Enhanced, &data).ok());
            if let Some(frame) = frame {
                self.add_lin(before.at.0 + pause / 2, lin::Heard::Frame { frame, has_checksum: true });
            }
        }
    }

    fn flexray_frames(&self) -> Vec<(usize, VehicleMicros, BusId, flexray::Frame)> {
        let frame = |(index, record): (usize, &Record)| match record {
            Record::FlexRay(timed) => match timed.heard {
                flexray::Heard::Frame(frame) => Some((index, timed.at, timed.bus, frame)),
                flexray::Heard::Broken { .. } | flexray::Heard::Symbol { .. } => None,
            },
            Record::Can(_) | Record::CanXl(_) | Record::Ethernet { .. } | Record::Lin(_) => None,
        };
        self.within().filter_map(frame).collect()
    }

    fn flexray(&mut self, attack: ScheduledAttack) {
        let frames = self.flexray_frames();
        let Some((_, _, bus, _)) = frames.first() else { return };
        self.bus = *bus;
        // Owners of the static segment: those with the length of the first slot, who miss none of their cycles.
        let mut cycles: BTreeMap<u16, BTreeSet<u8>> = BTreeMap::new();
        let words = frames.iter().min_by_key(|one| one.3.header().slot).map_or(0, |one| one.3.header().words);
        for (_, _, _, frame) in frames.iter().filter(|one| one.3.header().words == words) {
            cycles.entry(frame.header().slot).or_default().insert(frame.header().cycle);
        }
        let rounds = self.window.end.saturating_sub(self.window.start) / 320_000;
        let mut seen: BTreeMap<u16, u64> = BTreeMap::new();
        frames.iter().for_each(|one| *seen.entry(one.3.header().slot).or_default() += 1);
        let owners: Vec<u16> = cycles
            .iter()
            .filter(|(slot, cycles)| {
                seen.get(slot).is_some_and(|seen| *seen + 64 >= cycles.len() as u64 * rounds)
            })
            .map(|(slot, _)| *slot)
            .collect();
        let leads = |slot: u16| frames.iter().any(|one| one.3.header().slot == slot && one.3.header().sync);
        let victims: Vec<u16> = owners.iter().copied().filter(|slot| !leads(*slot)).collect();
        let Some(victim) = pick(&victims, &mut self.seed) else { return };
        let of_victim: Vec<_> = frames.iter().filter(|one| one.3.header().slot == victim).collect();
        let last = owners.last().copied().unwrap_or(0);
        match attack {
            ScheduledAttack::FlexRayOccupy => {
                let free = (1..last).find(|slot| !seen.contains_key(slot));
                if let Some(slot) = free {
                    self.flexray_cycles(&frames, |header| Some(Header { slot, words, ..header }));
                }
            }
            ScheduledAttack::FlexRayCycle => {
                let shared = owners.iter().find(|slot| cycles.get(slot).is_some_and(|own| own.len() <= 32));
                if let Some(&slot) = shared {
                    let own = cycles.get(&slot).cloned().unwrap_or_default();
                    self.flexray_cycles(&frames, |header| {
                        (!own.contains(&header.cycle)).then_some(Header { slot, words, ..header })
                    });
                }
            }
            ScheduledAttack::FlexRaySilence => {
                of_victim.iter().for_each(|one| drop(self.changed.insert(one.0, None)));
            }
            ScheduledAttack::FlexRayLength => {
                for one in of_victim {
                    let header = *one.3.header();
                    self.change_flexray(one, Header { words: header.words.saturating_sub(1), ..header });
                }
            }
            ScheduledAttack::FlexRayFlags => {
                for one in of_victim {
                    self.change_flexray(one, Header { sync: true, startup: true, ..*one.3.header() });
                }
            }
            ScheduledAttack::FlexRayErrors => {
                for (_, one) in (0u64..).zip(&frames).filter(|(number, _)| number % 4 == 0) {
                    let heard = flexray::Heard::Broken {
                        channel: one.3.channel(),
                        errors: RecordErrors::CODING,
                        slot: Some(one.3.header().slot),
                    };
                    let record = TimedFlexRay { at: one.1, bus: one.2, heard };
                    self.changed.insert(one.0, Some(Record::FlexRay(Box::new(record))));
                }
            }
            ScheduledAttack::FlexRayRepeat => {
                for one in of_victim {
                    let at = one.1.0 + 2_500;
                    self.add_flexray(at, *one.3.header());
                }
            }
            ScheduledAttack::LinUnknown
            | ScheduledAttack::LinSecondMaster
            | ScheduledAttack::LinPublisher
            | ScheduledAttack::LinCollision
            | ScheduledAttack::LinSilence
            | ScheduledAttack::LinScan
            | ScheduledAttack::LinSleep
            | ScheduledAttack::LinWakeUp => {}
        }
    }

    fn add_flexray(&mut self, at: u64, header: Header) {
        if let Ok(frame) =
            flexray::Frame::new(Channel::A, header, &[0xA5; 254][..header.payload_bytes().min(254)])
        {
            let heard = flexray::Heard::Frame(frame);
            self.added.push(Record::FlexRay(Box::new(TimedFlexRay {
                at: VehicleMicros(at),
                bus: self.bus,
                heard,
            })));
        }
    }

    fn change_flexray(&mut self, one: &(usize, VehicleMicros, BusId, flexray::Frame), header: Header) {
        if let Ok(frame) = flexray::Frame::new(one.3.channel(), header, one.3.payload()) {
            let record = TimedFlexRay { at: one.1, bus: one.2, heard: flexray::Heard::Frame(frame) };
            self.changed.insert(one.0, Some(Record::FlexRay(Box::new(record))));
        }
    }

    /// Adds a frame to each cycle, behind the frame on channel A that its slot follows.
    fn flexray_cycles(
        &mut self,
        frames: &[(usize, VehicleMicros, BusId, flexray::Frame)],
        mut what: impl FnMut(Header) -> Option<Header>,
    ) {
        let mut before: Option<(u8, u64)> = None;
        for (_, at, _, frame) in frames.iter().filter(|one| one.3.channel() == Channel::A) {
            let header = Header { sync: false, startup: false, is_data: true, ..*frame.header() };
            let begin = at.0.saturating_sub(u64::from(header.slot) * 50);
            if before.is_some_and(|(cycle, since)| cycle == header.cycle && at.0 < since + 4_000) {
                continue;
            }
            before = Some((header.cycle, begin));
            if let Some(added) = what(header) {
                self.add_flexray(begin + u64::from(added.slot) * 50, added);
            }
        }
    }

    fn finish(self) -> Result<Attacked, InjectError> {
        let removed = self.changed.values().filter(|record| record.is_none()).count() as u64;
        let altered = self.changed.len() as u64 - removed;
        let moments = self.changed.keys().filter_map(|index| self.records.get(*index)).chain(&self.added);
        let mut moments: Vec<VehicleMicros> = moments.map(Record::at).collect();
        moments.sort_unstable();
        let (Some(&start), Some(&end)) = (moments.first(), moments.last()) else {
            return Err(InjectError::NoTarget);
        };
        let counts = [self.added.len() as u64, altered, removed];
        let mut told: Vec<(Record, bool)> = self.added.into_iter().map(|record| (record, true)).collect();
        for (index, record) in self.records.iter().enumerate() {
            match self.changed.get(&index) {
                None => told.push((record.clone(), false)),
                Some(Some(changed)) => told.push((changed.clone(), true)),
                Some(None) => {}
            }
        }
        told.sort_by_key(|(record, _)| record.at());
        let (records, truth) = told.into_iter().unzip();
        Ok(Attacked { records, truth, bus: self.bus, start, end, counts })
    }
}
