//! Masquerade and modification: an identifier's own frames, at their own times, with signals replaced.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, Frame, FrameKind, TimedFrame};
use outrider_types::{BusId, Seed};

use super::attack::Masquerade;
use super::checks::Check;
use super::fields::{Field, FieldKind, split};
use super::{Context, InjectError, Stretch, Truth};

/// Slowest identifier whose signals are replaced, in microseconds.
const CYCLE_US_MAX: u64 = 250_000;
/// Fewest frames of an identifier in the window.
const FRAMES_MIN: usize = 8;
/// Narrowest field that is replaced, in bits.
const BITS_MIN: usize = 4;
/// A replaced signal must on average be off by this part of what it spans: less does nothing to a vehicle.
const EFFECT_PART: u64 = 20;
/// Earlier stretches that a playback tries.
const PLAYBACKS: u64 = 16;

/// What the payloads of one identifier are made of.
#[derive(Debug, Default)]
pub(super) struct Anatomy {
    fields: Vec<Field>,
    check: Option<Check>,
    bytes: usize,
}

/// Takes the payloads of every identifier of a bus apart; those of changing length are left out.
pub(super) fn anatomies(frames: &[TimedFrame], bus: BusId) -> BTreeMap<CanId, Anatomy> {
    let mut payloads: BTreeMap<CanId, Vec<&[u8]>> = BTreeMap::new();
    for timed in frames.iter().filter(|timed| timed.bus == bus && is_payload(&timed.frame)) {
        if let Some(id) = timed.frame.id() {
            payloads.entry(id).or_default().push(timed.frame.data());
        }
    }
    payloads.retain(|_, payloads| {
        let length = payloads.first().map(|payload| payload.len());
        payloads.iter().all(|payload| Some(payload.len()) == length)
    });
    let apart = |payloads: Vec<&[u8]>| Anatomy {
        fields: split(&payloads),
        check: Check::find(&payloads),
        bytes: payloads.first().map_or(0, |payload| payload.len()),
    };
    payloads.into_iter().map(|(id, payloads)| (id, apart(payloads))).collect()
}

/// One identifier with a field to replace.
struct Target {
    id: CanId,
    field: Field,
    check: Option<Check>,
}

impl Context<'_> {
    /// Replaces one signal of one identifier.
    pub(super) fn masquerade(&self, how: Masquerade) -> Result<Stretch, InjectError> {
        let seed = self.seed.fork(10);
        let targets = self.targets(&|field| field.kind == FieldKind::Signal);
        self.replace(targets, seed, !self.plan.breaks_checks, how)
    }

    /// Changes one field of one identifier, whatever it is, and leaves its checks wrong.
    pub(super) fn modify(&self) -> Result<Stretch, InjectError> {
        let mut seed = self.seed.fork(11);
        let ways = [Masquerade::Constant, Masquerade::Random, Masquerade::Offset, Masquerade::Ramp];
        let how = super::pick(&ways, &mut seed).unwrap_or(Masquerade::Constant);
        let targets = self.targets(&|field| field.kind != FieldKind::Counter);
        self.replace(targets, seed, false, how)
    }

    /// Takes targets in the order of the seed until one lets the replacement have an effect.
    fn replace(
        &self,
        mut targets: Vec<Target>,
        mut seed: Seed,
        keeps_checks: bool,
        how: Masquerade,
    ) -> Result<Stretch, InjectError> {
        // Targets whose checksum nobody understands come last: the attacker would not have got them past it.
        while !targets.is_empty() {
            let index = usize::try_from(seed.below(targets.len() as u64)).unwrap_or(0);
            let target = targets.swap_remove(index);
            let said = |frames: &[TimedFrame]| -> Vec<u64> {
                let own =
                    frames.iter().filter(|timed| self.is_of(timed, target.id) && is_payload(&timed.frame));
                own.map(|timed| target.field.value(timed.frame.data())).collect()
            };
            let (earlier, honest) = (said(self.frames.get(..self.from).unwrap_or(&[])), said(self.within));
            if honest.len() < FRAMES_MIN {
                continue;
            }
            let Some(values) = target.values(how, &earlier, &honest, &mut seed) else { continue };
            let mut values = values.into_iter();
            let told = self.within.iter().map(|timed| {
                let frame = if self.is_of(timed, target.id) && is_payload(&timed.frame) {
                    values.next().and_then(|value| target.rewritten(&timed.frame, value, keeps_checks))
                } else {
                    None
                };
                match frame.filter(|frame| *frame != timed.frame) {
                    Some(frame) => (TimedFrame { frame, ..*timed }, Truth::Altered),
                    None => (*timed, Truth::Clean),
                }
            });
            return self.stretch(told.collect(), vec![target.id], &[], 0);
        }
        Err(self.plan.id.map_or(InjectError::NoTarget, |id| InjectError::Id { id }))
    }

    /// All fields that suit, of identifiers that come often enough in the window, ascending.
    fn targets(&self, suits: &dyn Fn(&Field) -> bool) -> Vec<Target> {
        let mut targets = Vec::new();
        for (&id, anatomy) in self.anatomy {
            if self.plan.id.is_some_and(|wanted| wanted != id)
                || self.survey.id(id).is_none_or(|survey| survey.cycle_us > CYCLE_US_MAX)
            {
                continue;
            }
            let covered = |field: &Field| {
                let mut bits = field.places(anatomy.bytes);
                bits.any(|bit| anatomy.check.is_some_and(|check| check.covers(bit)))
            };
            let suitable = anatomy.fields.iter().filter(|field| field.bits >= BITS_MIN && !covered(field));
            for field in suitable.filter(|field| suits(field)) {
                targets.push(Target { id, field: *field, check: anatomy.check });
            }
        }
        targets
    }
}

/// Whether the frame carries a payload that can be replaced.
fn is_payload(frame: &Frame) -> bool {
    matches!(frame.kind(), FrameKind::Classic | FrameKind::Fd)
}

impl Target {
    /// What the field says in each frame of the window; `None` if that would have no effect.
    fn values(&self, how: Masquerade, earlier: &[u64], honest: &[u64], seed: &mut Seed) -> Option<Vec<u64>> {
        let begin = *honest.first()?;
        let field = &self.field;
        let (span, last) = (field.span(), (honest.len() as u64).saturating_sub(1).max(1));
        // Away from where there is more room.
        let up = field.max() - begin.min(field.max()) >= begin;
        let shifted = |value: u64, by: u64| {
            if up { value.saturating_add(by).min(field.max()) } else { value.saturating_sub(by) }
        };
        let amount = (span / 5 + seed.below(span.div_ceil(3) + 1)).max(1);
        let steps = honest.iter().zip(0u64..);
        let values: Vec<u64> = match how {
            Masquerade::Constant => {
                let value = match seed.below(3) {
                    0 => field.low,
                    1 => field.high,
                    _ => seed.below(field.max().saturating_add(1)),
                };
                vec![value; honest.len()]
            }
            Masquerade::Random => {
                let (low, width) = if seed.chance(1, 2) { (field.low, span) } else { (0, field.max()) };
                honest.iter().map(|_| low + seed.below(width + 1)).collect()
            }
            Masquerade::Offset => honest.iter().map(|value| shifted(*value, amount)).collect(),
            Masquerade::Ramp => {
                let far =
                    if up { field.max().min(begin.saturating_add(span)) } else { begin.saturating_sub(span) };
                let line = |step: u64| {
                    if up { begin + (far - begin) * step / last } else { begin - (begin - far) * step / last }
                };
                steps.map(|(_, step)| line(step)).collect()
            }
            Masquerade::Drift => {
                steps.map(|(value, step)| shifted(*value, amount * 2 * step / last)).collect()
            }
            Masquerade::Plateau => vec![begin; honest.len()],
            Masquerade::Playback => playback(earlier, honest, seed)?,
        };
        let off: u64 = values.iter().zip(honest).map(|(new, old)| new.abs_diff(*old)).sum();
        let changed = values.iter().zip(honest).filter(|(new, old)| new != old).count();
        let enough = off.saturating_mul(EFFECT_PART) >= span.saturating_mul(honest.len() as u64);
        (enough && changed * 2 >= honest.len()).then_some(values)
    }

    fn rewritten(&self, frame: &Frame, value: u64, keeps_checks: bool) -> Option<Frame> {
        let mut data = frame.data().to_vec();
        self.field.put(&mut data, value);
        if let Some(check) = self.check.filter(|_| keeps_checks) {
            check.apply(&mut data);
        }
        frame.with_data(&data)
    }
}

/// The earlier stretch, of a few drawn ones, that differs most from what is said now.
fn playback(earlier: &[u64], honest: &[u64], seed: &mut Seed) -> Option<Vec<u64>> {
    if earlier.len() < FRAMES_MIN {
        return None;
    }
    // A recording that is shorter than the attack is played again and again.
    let length = honest.len().min(earlier.len());
    let room = earlier.len() - length + 1;
    let drawn = (0..PLAYBACKS).filter_map(|_| {
        let start = usize::try_from(seed.below(room as u64)).ok()?;
        let piece = earlier.get(start..start + length)?;
        Some(piece.iter().copied().cycle().take(honest.len()).collect::<Vec<u64>>())
    });
    let difference =
        |values: &Vec<u64>| -> u64 { values.iter().zip(honest).map(|(new, old)| new.abs_diff(*old)).sum() };
    drawn.max_by_key(difference)
}
