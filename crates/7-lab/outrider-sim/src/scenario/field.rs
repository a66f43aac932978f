//! The discrete-event world of a scenario: vehicles drive, park, lose power and call; the cloud restarts.

use std::collections::{BTreeMap, BTreeSet};

use outrider_gateway::uplink::Link;
use outrider_types::{Lane, Seed, UnixMicros};

use super::clock;
use super::cloud::Cloud;
use super::path::{Network, Path};
use super::plan::{LinkWord, Plan, Profile, Range};
use super::red;
use super::trace::Trace;
use super::unit::Unit;

/// When every scenario begins: 2026-01-05T00:00:00Z, a Monday.
pub(super) const START: UnixMicros = UnixMicros(1_767_571_200_000_000);
const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const HOUR_US: u64 = 60 * MINUTE_US;
/// Contacts tried in one drive while there is something to send.
const TRIES_MAX: u32 = 24;
/// Times that a vehicle calls at the end before what it still holds counts as stuck. With the longest backoff of ten
/// minutes and calls every sixteen, this is more than two days.
const DRAIN_ROUNDS: u32 = 200;
/// Keys of ordinary sights.
const KEYS: u64 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Start,
    Sight { lane: Lane, key: u32 },
    Tick,
    Fix,
    Contact { tries: u32 },
    Refuse(bool),
    Stop { cut: bool },
    Restart,
    Red { attack: usize },
}

/// What the engine remembers of a vehicle.
#[derive(Debug, Clone, Default)]
struct Life {
    /// Counts starts: acts of an earlier one are void.
    number: u64,
    next_contact: UnixMicros,
    ticks: BTreeSet<UnixMicros>,
    noise: u32,
}

/// The world of one run.
pub(super) struct Field<'a> {
    plan: &'a Plan,
    pub(super) units: Vec<Unit>,
    lives: Vec<Life>,
    pub(super) cloud: Cloud,
    pub(super) network: Network,
    pub(super) trace: Trace,
    pub(super) red: red::Team,
    queue: BTreeMap<(UnixMicros, u64), (usize, u64, Act)>,
    order: u64,
    random: Seed,
    pub(super) now: UnixMicros,
    end: UnixMicros,
    pub(super) stuck: Vec<usize>,
    pub(super) refusals: u64,
    pub(super) restarts: u64,
    pub(super) drain_rounds: u64,
    /// Wrong readings of clocks, by kind.
    pub(super) clocks: BTreeMap<&'static str, u64>,
}

fn draw(random: &mut Seed, [low, high]: Range) -> u64 {
    low + random.below(high.saturating_sub(low) + 1)
}

fn after(at: UnixMicros, micros: u64) -> UnixMicros {
    UnixMicros(at.0.saturating_add_unsigned(micros))
}

const fn link_of(word: LinkWord) -> Link {
    match word {
        LinkWord::Cellular => Link::Metered,
        LinkWord::Wifi | LinkWord::Workshop => Link::Unmetered,
    }
}

impl<'a> Field<'a> {
    pub(super) fn new(plan: &'a Plan, seed: Seed, scale_percent: u64) -> Self {
        let mut random = seed.fork(1);
        let mut cloud = Cloud::new(plan.cloud, seed.fork(2));
        let network = Network::new(plan.network, plan.attack.clone(), seed.fork(3));
        let count = usize::try_from(plan.vehicles_at(scale_percent)).unwrap_or(usize::MAX);
        let ack = cloud.ack_key();
        let mut units = Vec::with_capacity(count);
        for index in 0..count {
            let profile = profile_of(plan, index, count);
            let flash = plan.profile[profile].flash;
            let mut unit = Unit::new(seed.fork(4).fork(index as u64), profile, flash, &ack);
            unit.drift_ppm = clock::drift_ppm(plan.profile[profile].clock, &mut random);
            unit.critical_kept = plan.profile[profile].critical_kept;
            cloud.ring.add(unit.vehicle, unit.verifier());
            units.push(unit);
        }
        let mut field = Self {
            plan,
            lives: vec![Life::default(); units.len()],
            units,
            cloud,
            network,
            trace: Trace::default(),
            red: red::Team::new(&plan.attack, count, seed.fork(5)),
            queue: BTreeMap::new(),
            order: 0,
            random,
            now: START,
            end: after(START, plan.hours * HOUR_US),
            stuck: Vec::new(),
            refusals: 0,
            restarts: 0,
            drain_rounds: 0,
            clocks: BTreeMap::new(),
        };
        field.begin();
        field
    }

    fn profile(&self, vehicle: usize) -> &'a Profile {
        &self.plan.profile[self.units[vehicle].profile]
    }

    fn begin(&mut self) {
        for vehicle in 0..self.units.len() {
            let profile = self.profile(vehicle);
            let away = draw(&mut self.random, profile.away_hours) * HOUR_US;
            self.lives[vehicle].next_contact = after(START, away);
            let wait = self.random.below(profile.parked_minutes[1].max(1) * MINUTE_US);
            self.plan_act(after(START, wait), vehicle, Act::Start);
        }
        if self.plan.cloud.restart_hours > 0 {
            self.plan_act(after(START, self.plan.cloud.restart_hours * HOUR_US), 0, Act::Restart);
        }
        let span = self.end.micros_since(START).unsigned_abs();
        for (attack, at) in self.red.schedule(span) {
            self.plan_act(after(START, at), self.red.victim(attack), Act::Red { attack });
        }
    }

    fn plan_act(&mut self, at: UnixMicros, vehicle: usize, act: Act) {
        self.order += 1;
        let life = self.lives.get(vehicle).map_or(0, |life| life.number);
        self.queue.insert((at, self.order), (vehicle, life, act));
    }

    /// Lets the fleet live, come back, and deliver.
    pub(super) fn run(&mut self) {
        while let Some(((at, _), (vehicle, life, act))) = self.queue.pop_first() {
            if at >= self.end {
                break;
            }
            self.now = at;
            let is_void = life != self.lives[vehicle].number;
            match act {
                Act::Restart => self.restart(),
                Act::Red { attack } => self.attack(attack),
                Act::Start if !is_void => self.start(vehicle),
                Act::Start
                | Act::Sight { .. }
                | Act::Tick
                | Act::Fix
                | Act::Contact { .. }
                | Act::Refuse(_)
                | Act::Stop { .. } => {
                    if !is_void && self.units[vehicle].is_on() {
                        self.live(vehicle, act);
                    }
                }
            }
        }
        self.queue.clear();
        self.drain();
        self.cloud.work();
        self.red.conclude(&self.units, &self.cloud);
    }

    fn restart(&mut self) {
        self.restarts += 1;
        self.cloud.crash();
        self.trace.note("restart", &[self.now.0.cast_unsigned()], &[]);
        self.plan_act(after(self.now, self.plan.cloud.restart_hours * HOUR_US), 0, Act::Restart);
    }

    fn start(&mut self, vehicle: usize) {
        let profile = self.profile(vehicle);
        let now = self.now;
        let length = draw(&mut self.random, profile.drive_minutes) * MINUTE_US;
        let cut = self.random.chance(profile.cut_per_mille, 1000);
        let fuse = cut.then(|| draw(&mut self.random, profile.cut_bytes));
        self.lives[vehicle].number += 1;
        self.lives[vehicle].ticks.clear();
        let runs = self.units[vehicle].boot(now, fuse);
        self.trace.note("start", &[now.0.cast_unsigned(), vehicle as u64, u64::from(runs)], &[]);
        if !runs {
            let wait = SECOND_US + self.random.below(20 * SECOND_US);
            self.plan_act(after(now, wait), vehicle, Act::Start);
            return;
        }
        self.plan_act(after(now, SECOND_US), vehicle, Act::Fix);
        // What the gateway says of its own boot waits in the longest folding window.
        self.plan_tick(vehicle, 60 * SECOND_US + 50_000);
        self.plan_sights(vehicle, profile, length);
        if !cut && self.random.chance(profile.refuse_per_mille, 1000) {
            let from = self.random.below(length);
            self.plan_act(after(now, from), vehicle, Act::Refuse(true));
            let until = from + self.random.below((length - from).max(1));
            self.plan_act(after(now, until), vehicle, Act::Refuse(false));
        }
        if now >= self.lives[vehicle].next_contact {
            let wait = 10 * SECOND_US + self.random.below(90 * SECOND_US);
            self.plan_act(after(now, wait), vehicle, Act::Contact { tries: 0 });
        }
        self.plan_act(after(now, length), vehicle, Act::Stop { cut });
    }

    fn plan_sights(&mut self, vehicle: usize, profile: &Profile, length: u64) {
        let now = self.now;
        let sum: u64 = profile.lanes.iter().sum();
        let mut before = (Lane::Batched, 0);
        let mut at = self.random.below(length);
        for _ in 0..draw(&mut self.random, profile.sights) {
            if self.random.chance(profile.repeats_percent, 100) {
                // Soon after the one before, so that most are folded.
                at = (at + self.random.below(12 * SECOND_US)).min(length - 1);
            } else {
                at = self.random.below(length);
                let mut place = self.random.below(sum);
                let mut lane = Lane::Deferred;
                for (each, weight) in Lane::ALL.into_iter().zip(profile.lanes) {
                    if place < weight {
                        lane = each;
                        break;
                    }
                    place -= weight;
                }
                before = (lane, u32::try_from(self.random.below(KEYS)).unwrap_or(0));
            }
            let (lane, key) = before;
            self.plan_act(after(now, at), vehicle, Act::Sight { lane, key });
        }
        for _ in 0..profile.noise {
            let at = self.random.below(length);
            let life = &mut self.lives[vehicle];
            life.noise = life.noise.wrapping_add(1) % 0x00FF_FFFF;
            let key = 0x0100_0000 + life.noise;
            self.plan_act(after(now, at), vehicle, Act::Sight { lane: Lane::Batched, key });
        }
    }

    fn live(&mut self, vehicle: usize, act: Act) {
        let now = self.now;
        match act {
            Act::Sight { lane, key } => {
                self.units[vehicle].sight(lane, key, now);
                let window = match lane {
                    Lane::Critical => 1,
                    Lane::Batched => 10,
                    Lane::Deferred => 60,
                };
                self.plan_tick(vehicle, window * SECOND_US + 50_000);
            }
            Act::Tick => {
                self.lives[vehicle].ticks.remove(&now);
                self.units[vehicle].tick(now);
            }
            Act::Fix => {
                let word = self.profile(vehicle).clock;
                let (fix, next) = clock::fix(word, now, &mut self.random);
                if let Some(kind) = clock::fault(word) {
                    *self.clocks.entry(kind).or_default() += 1;
                }
                if let Some(fix) = fix {
                    self.units[vehicle].add_fix(fix, now);
                }
                if let Some(wait) = next {
                    self.plan_act(after(now, wait), vehicle, Act::Fix);
                }
            }
            Act::Contact { tries } => self.contact(vehicle, tries),
            Act::Refuse(refuses) => {
                self.refusals += u64::from(refuses);
                self.units[vehicle].set_refuses(refuses);
            }
            Act::Stop { cut } => {
                self.units[vehicle].set_refuses(false);
                if cut {
                    self.units[vehicle].cut(now);
                } else {
                    self.units[vehicle].shut_down(now);
                }
                self.trace.note("stop", &[now.0.cast_unsigned(), vehicle as u64, u64::from(cut)], &[]);
                self.park(vehicle);
                return;
            }
            Act::Start | Act::Restart | Act::Red { .. } => {}
        }
        if self.units[vehicle].is_on() {
            if !self.units[vehicle].is_clean() {
                self.plan_tick(vehicle, SECOND_US + 50_000);
            }
        } else {
            // The fuse blew. Power comes back soon: a bad contact, a crank, a reset.
            self.trace.note("power", &[now.0.cast_unsigned(), vehicle as u64], &[]);
            let wait = SECOND_US + self.random.below(60 * SECOND_US);
            self.lives[vehicle].number += 1;
            self.plan_act(after(now, wait), vehicle, Act::Start);
        }
    }

    /// Plans a tick unless one comes within the second after.
    fn plan_tick(&mut self, vehicle: usize, wait: u64) {
        let at = after(self.now, wait);
        let ticks = &mut self.lives[vehicle].ticks;
        if ticks.range(at..=after(at, SECOND_US)).next().is_none() {
            ticks.insert(at);
            self.plan_act(at, vehicle, Act::Tick);
        }
    }

    fn park(&mut self, vehicle: usize) {
        let minutes = self.profile(vehicle).parked_minutes;
        let wait = draw(&mut self.random, minutes) * MINUTE_US;
        self.plan_act(after(self.now, wait), vehicle, Act::Start);
    }

    fn contact(&mut self, vehicle: usize, tries: u32) {
        let profile = self.profile(vehicle);
        let link = link_of(profile.link);
        self.deliver_late();
        self.call(vehicle, link);
        if !self.units[vehicle].is_on() {
            return;
        }
        if self.units[vehicle].has_more(link) && tries < TRIES_MAX {
            let wait = 20 * SECOND_US + self.random.below(40 * SECOND_US);
            self.plan_act(after(self.now, wait), vehicle, Act::Contact { tries: tries + 1 });
        } else {
            let wait = draw(&mut self.random, profile.contact_hours) * HOUR_US;
            self.lives[vehicle].next_contact = after(self.now, wait);
        }
    }

    /// Lets a vehicle call the cloud once.
    fn call(&mut self, vehicle: usize, link: Link) {
        let unit = &mut self.units[vehicle];
        let mut path = Path {
            network: &mut self.network,
            cloud: &mut self.cloud,
            trace: &mut self.trace,
            hardware: unit.hardware.clone(),
            vehicle: unit.vehicle,
            now: self.now,
        };
        let contact = unit.contact(&mut path, link, self.now);
        self.network.refused_replies(contact.bad_replies);
        let numbers =
            [self.now.0.cast_unsigned(), vehicle as u64, u64::from(contact.answered), contact.freed];
        self.trace.note("call", &numbers, &[u8::from(contact.failed)]);
    }

    /// Delivers the frames that wandered about until now.
    fn deliver_late(&mut self) {
        for late in self.network.arrived(self.now) {
            let result = self.cloud.take(late.vehicle, &late.frame, self.now);
            self.trace.note("late", &[self.now.0.cast_unsigned(), u64::from(result.is_ok())], &late.frame);
        }
    }

    fn attack(&mut self, attack: usize) {
        let victim = self.red.victim(attack);
        let was_on = self.units[victim].is_on();
        if was_on {
            self.units[victim].shut_down(self.now);
            self.lives[victim].number += 1;
        }
        let at = self.now;
        self.red.strike(attack, at, &mut self.units[victim]);
        if let Some(mut twin) = self.red.twin(attack, &self.units[victim]) {
            twin.boot(at, None);
            for key in 0..4 {
                twin.sight(Lane::Critical, key, after(at, u64::from(key) * SECOND_US));
            }
            // Until it has delivered something: whoever clones a vehicle has time.
            for minute in 1..=20 {
                let now = after(at, minute * MINUTE_US);
                let (network, cloud, trace) = (&mut self.network, &mut self.cloud, &mut self.trace);
                let (hardware, vehicle) = (twin.hardware.clone(), twin.vehicle);
                let mut path = Path { network, cloud, trace, hardware, vehicle, now };
                if twin.contact(&mut path, Link::Unmetered, now).answered > 0 {
                    break;
                }
            }
        }
        self.trace.note("attack", &[at.0.cast_unsigned(), attack as u64], &[]);
        if was_on {
            self.plan_act(after(at, MINUTE_US), victim, Act::Start);
        }
        if let Some(wait) = self.red.again(attack) {
            self.plan_act(after(at, wait), victim, Act::Red { attack });
        }
    }

    /// Everybody comes back, over Wi-Fi, until all is told. The network's faults go on.
    fn drain(&mut self) {
        self.now = self.end;
        for vehicle in 0..self.units.len() {
            self.units[vehicle].set_refuses(false);
            self.units[vehicle].shut_down(self.now);
        }
        self.red.inspect_all(self.end, &mut self.units);
        let mut waiting: Vec<usize> = (0..self.units.len()).collect();
        for round in 0..DRAIN_ROUNDS {
            self.now = after(self.now, 16 * MINUTE_US);
            self.network.calm = round >= DRAIN_ROUNDS / 2;
            self.deliver_late();
            for vehicle in std::mem::take(&mut waiting) {
                if !self.units[vehicle].is_on() {
                    self.units[vehicle].boot(self.now, None);
                }
                self.call(vehicle, Link::Unmetered);
                if !self.units[vehicle].is_told() || self.units[vehicle].waits_in_folding() {
                    waiting.push(vehicle);
                }
            }
            self.drain_rounds = u64::from(round) + 1;
            if waiting.is_empty() && self.network.wandering.is_empty() {
                break;
            }
        }
        self.stuck = waiting;
        for vehicle in 0..self.units.len() {
            // What is still in a folding window is not told yet, and nobody waits for it.
            self.units[vehicle].shut_down(after(self.now, 16 * MINUTE_US));
        }
    }
}

/// Returns the profile of a vehicle: shares in order, each at least once if there are vehicles enough.
fn profile_of(plan: &Plan, index: usize, count: usize) -> usize {
    if let Some(first) = (index < plan.profile.len()).then_some(index) {
        return first;
    }
    let sum: u64 = plan.profile.iter().map(|profile| profile.share).sum();
    let (index, count) = (index as u64, count.max(1) as u64);
    let mut place = index.wrapping_mul(0x9E37_79B9) % count * sum / count;
    for (number, profile) in plan.profile.iter().enumerate() {
        if place < profile.share {
            return number;
        }
        place -= profile.share;
    }
    0
}
