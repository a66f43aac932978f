//! Attacks that add frames beside the honest ones, or take frames away.

use outrider_bus::can::{CanId, Frame, FrameKind, TimedFrame};
use outrider_types::{Seed, VehicleMicros};

use super::{Context, InjectError, Stretch, Truth, pick};

/// Slowest and fastest fuzzer, in frames a second (guess: a script, and half of what a 500 kbit/s bus carries).
const FUZZ_HZ: (u64, u64) = (50, 2000);
/// Most identifiers of a replay that does not take all.
const REPLAY_IDS_MAX: u64 = 8;

impl Context<'_> {
    /// Adds frames of the target between its own, the payload changed in one to three bytes.
    pub(super) fn fabricate(&self) -> Result<Stretch, InjectError> {
        let target = self.target(200_000)?;
        let mut seed = self.seed.fork(2);
        // Published fabrication attacks send three to ten times as often as the victim.
        let times = 3 + seed.below(8);
        let own_hz = 1_000_000 / target.cycle_us.max(1);
        let by_default = u32::try_from(own_hz.saturating_mul(times)).unwrap_or(u32::MAX).clamp(1, 1000);
        let rate_hz = self.plan.rate_hz.unwrap_or(by_default).max(1);
        self.check_count(rate_hz)?;
        let period = 1_000_000 / u64::from(rate_hz);
        let mut out = Vec::with_capacity(self.within.len());
        let mut next = self.window.start;
        let earlier = self.frames.get(..self.from).unwrap_or(&[]);
        let own = |timed: &&TimedFrame| self.is_of(timed, target.id);
        let mut latest = earlier.iter().rev().chain(self.within).find(own).map(|timed| timed.frame);
        let mask = forgery(&mut seed);
        for timed in self.within {
            while next <= timed.at.0 && next <= self.window.end {
                let Some(frame) = latest.and_then(|frame| forged(&frame, mask)) else { break };
                out.push((TimedFrame { at: VehicleMicros(next), bus: self.survey.bus, frame }, Truth::Added));
                // Ten per cent of jitter, as a program that sleeps has.
                let jitter = seed.below(period / 5 + 1);
                next = next.saturating_add((period - period / 10 + jitter).max(1));
            }
            if self.is_of(timed, target.id) {
                latest = Some(timed.frame);
            }
            out.push((*timed, Truth::Clean));
        }
        self.stretch(out, vec![target.id], &[], rate_hz)
    }

    /// Takes every frame of the target away.
    pub(super) fn suspend(&self) -> Result<Stretch, InjectError> {
        let target = self.target(100_000)?;
        let (gone, kept): (Vec<TimedFrame>, Vec<TimedFrame>) =
            self.within.iter().partition(|timed| self.is_of(timed, target.id));
        if gone.is_empty() {
            return Err(InjectError::Id { id: target.id });
        }
        let told = kept.into_iter().map(|timed| (timed, Truth::Clean)).collect();
        self.stretch(told, vec![target.id], &gone, 0)
    }

    /// Sends again what was recorded before the attack: one identifier, a few, or all, at the old distances.
    pub(super) fn replay(&self) -> Result<Stretch, InjectError> {
        let mut seed = self.seed.fork(7);
        let length = self.window.end - self.window.start;
        let earlier = self.frames.get(..self.from).unwrap_or(&[]);
        let oldest = self.survey.first;
        let room = self.window.start.saturating_sub(oldest).saturating_sub(length);
        let begin = oldest.saturating_add(seed.below(room + 1));
        let mut ids: Vec<CanId> = match self.plan.id {
            Some(id) => vec![self.survey.id(id).ok_or(InjectError::Id { id })?.id],
            None => self.survey.periodic(200_000).map(|survey| survey.id).collect(),
        };
        let count = match seed.below(3) {
            0 => 1,
            1 => 2 + seed.below(REPLAY_IDS_MAX - 1),
            _ => ids.len() as u64,
        };
        while ids.len() as u64 > count {
            let index = usize::try_from(seed.below(ids.len() as u64)).unwrap_or(0);
            ids.swap_remove(index);
        }
        ids.sort_unstable();
        let recorded = earlier.iter().filter(|timed| {
            timed.bus == self.survey.bus
                && timed.at.0 >= begin
                && timed.at.0 <= begin.saturating_add(length)
                && timed.frame.id().is_some_and(|id| ids.binary_search(&id).is_ok())
        });
        let shift = self.window.start.saturating_sub(begin);
        let again = recorded.map(|timed| {
            (TimedFrame { at: VehicleMicros(timed.at.0.saturating_add(shift)), ..*timed }, Truth::Added)
        });
        let mut told = self.clean();
        told.extend(again);
        let added = (told.len() - self.within.len()) as u64;
        let rate_hz = u32::try_from(added.saturating_mul(1_000_000) / length.max(1)).unwrap_or(u32::MAX);
        self.stretch(told, ids, &[], rate_hz)
    }

    /// Sends random frames: of any identifier, or with random payloads on the identifiers that are there.
    pub(super) fn fuzz(&self) -> Result<Stretch, InjectError> {
        let mut seed = self.seed.fork(8);
        let known: Vec<CanId> = self.survey.ids.keys().copied().collect();
        let extended = known.iter().filter(|id| id.is_extended()).count() * 2 > known.len();
        let on_known = self.plan.id.is_none() && seed.chance(1, 3);
        let by_default = u32::try_from(FUZZ_HZ.0 + seed.below(FUZZ_HZ.1 - FUZZ_HZ.0)).unwrap_or(1);
        let rate_hz = self.plan.rate_hz.unwrap_or(by_default).max(1);
        self.check_count(rate_hz)?;
        let period = (1_000_000 / u64::from(rate_hz)).max(1);
        let mut told = self.clean();
        let mut at = self.window.start;
        while at <= self.window.end {
            let random = u32::try_from(seed.next_u64() >> 32).unwrap_or(0);
            let id = match self.plan.id {
                Some(id) => Some(id),
                None if on_known => pick(&known, &mut seed),
                None if extended => CanId::extended(random & 0x1FFF_FFFF),
                None => CanId::standard(random & 0x7FF),
            };
            let bytes = seed.next_u64().to_be_bytes();
            let length = if seed.chance(3, 4) { 8 } else { usize::try_from(seed.below(9)).unwrap_or(8) };
            let payload = bytes.get(..length).unwrap_or(&bytes);
            if let Some(frame) = id.and_then(|id| Frame::classic(id, payload).ok()) {
                let timed = TimedFrame { at: VehicleMicros(at), bus: self.survey.bus, frame };
                told.push((timed, Truth::Added));
            }
            at = at.saturating_add((period / 2 + seed.below(period)).max(1));
        }
        self.stretch(told, self.plan.id.into_iter().collect(), &[], rate_hz)
    }
}

/// What to change: up to three (byte, exclusive-or) pairs.
type Forgery = [(u64, u8); 3];

fn forgery(seed: &mut Seed) -> Forgery {
    let count = 1 + seed.below(3);
    let mut mask = [(0, 0); 3];
    for (index, slot) in mask.iter_mut().enumerate() {
        let byte = u8::try_from(1 + seed.below(255)).unwrap_or(1);
        *slot = (seed.next_u64(), if index as u64 >= count { 0 } else { byte });
    }
    mask
}

fn forged(frame: &Frame, mask: Forgery) -> Option<Frame> {
    let mut data = frame.data().to_vec();
    let len = u64::try_from(data.len()).unwrap_or(0);
    for (position, change) in mask {
        let index = position.checked_rem(len).and_then(|index| usize::try_from(index).ok());
        if let Some(byte) = index.and_then(|index| data.get_mut(index)) {
            *byte ^= change;
        }
    }
    match frame.kind() {
        FrameKind::Classic | FrameKind::Fd => frame.with_data(&data),
        FrameKind::Remote => Some(*frame),
        FrameKind::Error => None,
    }
}
