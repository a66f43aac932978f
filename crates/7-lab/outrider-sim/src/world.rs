//! When what is sent: a discrete-event world over real gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use outrider_agent::runtime::CloudLink;
use outrider_gateway::uplink::Link;
use outrider_model::Connectivity;
use outrider_types::{EventId, Seed, UnixMicros, VehicleId, VehicleMicros};

use crate::fleet::{FleetPlan, SimVehicle};
use crate::machine::{CloudKeys, Drive, Machine, MachineError};
use crate::script::{Attack, HOUR_US, MINUTE_US, Script};

/// Size and place in time of a world.
#[derive(Debug, Clone, Copy)]
pub struct WorldConfig {
    /// Decides everything.
    pub seed: Seed,
    /// True time of the beginning.
    pub start: UnixMicros,
    /// Length in hours, at least 24 for the shipped fleet rules.
    pub hours: u32,
    /// Statistical vehicles.
    pub statistical: usize,
    /// Public key of the cloud's acknowledgements.
    pub ack_key: [u8; 32],
    /// Public key of the cloud's commands.
    pub command_key: [u8; 32],
}

/// Ways to the cloud; one vehicle at a time.
pub trait Links {
    /// Returns the link of a vehicle.
    fn link(&mut self, vehicle: &SimVehicle) -> &mut dyn CloudLink;
}

/// What a step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Events that sensors saw.
    pub seen: u64,
    /// Exchanges that were tried.
    pub exchanges: u64,
    /// Exchanges that failed.
    pub failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Exchange { vehicle: usize, link: Link },
    Drive { vehicle: usize },
}

/// A world of vehicles.
pub struct World {
    fleet: FleetPlan,
    script: Script,
    machines: Vec<Machine>,
    drives: BTreeMap<usize, Drive>,
    /// What is to be done, by true time and order of planning.
    acts: BTreeMap<(UnixMicros, u64), Act>,
    scheduled: BTreeSet<usize>,
    planned_next: usize,
    order: u64,
    seed: Seed,
    start: UnixMicros,
}

impl World {
    /// Creates a world. `drives` become full-stack vehicles, one each, that drive their frames in the last quarter of
    /// an hour.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn new(config: WorldConfig, drives: Vec<Drive>, state: &Path) -> Result<Self, MachineError> {
        let fleet = FleetPlan::new(config.seed, config.statistical, drives.len());
        let script = Script::new(config.seed, &fleet, config.start, config.hours);
        let cloud = CloudKeys { ack: config.ack_key, command: config.command_key };
        let full = (0..fleet.vehicles.len()).filter(|index| fleet.vehicles[*index].is_full_stack);
        let drives: BTreeMap<usize, Drive> = full.zip(drives).collect();
        let mut machines = Vec::with_capacity(fleet.vehicles.len());
        for (index, vehicle) in fleet.vehicles.iter().enumerate() {
            let folder = state.join(vehicle.record.vehicle.to_string());
            let seed = config.seed.fork(20).fork(index as u64);
            let model = drives.get(&index).map_or(&[][..], |drive| &drive.model);
            machines.push(Machine::boot(vehicle, cloud, &folder, model, seed, config.start)?);
        }
        let mut world = Self {
            fleet,
            script,
            machines,
            drives,
            acts: BTreeMap::new(),
            scheduled: BTreeSet::new(),
            planned_next: 0,
            order: 0,
            seed: config.seed.fork(30),
            start: config.start,
        };
        world.plan_windows();
        Ok(world)
    }

    /// Plans the windows in which vehicles reach the cloud without a special reason, and the drives.
    fn plan_windows(&mut self) {
        let (start, end) = (self.script.start, self.script.end);
        for vehicle in 0..self.fleet.vehicles.len() {
            let mut seed = self.seed.fork(vehicle as u64);
            let random = |seed: &mut Seed, bound: i64| {
                i64::try_from(seed.below(u64::try_from(bound).unwrap_or(0))).unwrap_or(0)
            };
            match self.fleet.vehicles[vehicle].record.connectivity {
                Connectivity::Cellular => {
                    let first = start.saturating_add(random(&mut seed, 2 * HOUR_US));
                    self.plan(first, Act::Exchange { vehicle, link: Link::Metered });
                    let mut at = first;
                    loop {
                        at = at.saturating_add(10 * HOUR_US + random(&mut seed, 8 * HOUR_US));
                        if at >= end {
                            break;
                        }
                        self.plan(at, Act::Exchange { vehicle, link: Link::Unmetered });
                    }
                }
                Connectivity::Occasional => {
                    let mut at = start;
                    loop {
                        at = at.saturating_add(4 * HOUR_US + random(&mut seed, 16 * HOUR_US));
                        if at >= end {
                            break;
                        }
                        self.plan(at, Act::Exchange { vehicle, link: Link::Unmetered });
                    }
                }
                // Seen again when everybody comes back at the end.
                Connectivity::Workshop => {}
            }
        }
        let drivers: Vec<usize> = self.drives.keys().copied().collect();
        for (place, vehicle) in drivers.into_iter().enumerate() {
            let minutes = i64::try_from(place % 10).unwrap_or(0);
            self.plan(end.saturating_add((minutes - 15) * MINUTE_US), Act::Drive { vehicle });
        }
    }

    fn plan(&mut self, at: UnixMicros, act: Act) {
        self.order += 1;
        self.acts.insert((at, self.order), act);
    }

    /// Returns the vehicles.
    #[must_use]
    pub const fn fleet(&self) -> &FleetPlan {
        &self.fleet
    }

    /// Returns the truth about scripted attacks.
    #[must_use]
    pub fn attacks(&self) -> &[Attack] {
        &self.script.attacks
    }

    /// Adds the truth about an attack that happens inside a drive.
    pub fn add_attack(&mut self, attack: Attack) {
        self.script.attacks.push(attack);
    }

    /// Returns the vehicles that drive, with the true time at which each begins.
    #[must_use]
    pub fn drivers(&self) -> Vec<(VehicleId, UnixMicros)> {
        self.acts
            .iter()
            .filter_map(|((at, _), act)| match act {
                Act::Drive { vehicle } => Some((self.fleet.vehicles[*vehicle].record.vehicle, *at)),
                Act::Exchange { .. } => None,
            })
            .collect()
    }

    /// Returns the true time of the next step, or `None` at the end of the script.
    #[must_use]
    pub fn next_at(&self) -> Option<UnixMicros> {
        let act = self.acts.keys().next().map(|(at, _)| *at);
        let planned = self.script.planned.get(self.planned_next).map(|planned| planned.at);
        match (act, planned) {
            (Some(act), Some(planned)) => Some(act.min(planned)),
            (act, planned) => act.or(planned),
        }
    }

    /// Does what is due next: one sight, one drive or one exchange.
    pub fn step(&mut self, links: &mut dyn Links) -> StepReport {
        let mut report = StepReport::default();
        let Some(at) = self.next_at() else { return report };
        let now = self.mono(at);
        if let Some(planned) = self.script.planned.get(self.planned_next).filter(|planned| planned.at == at) {
            let (vehicle, event) = (planned.vehicle, planned.event.clone());
            self.planned_next += 1;
            self.machines[vehicle].event(event, now);
            report.seen = 1;
            self.plan_soon(vehicle, at);
            return report;
        }
        let Some((_, act)) = self.acts.pop_first() else { return report };
        match act {
            Act::Exchange { vehicle, link } => {
                self.scheduled.remove(&vehicle);
                report.exchanges = 1;
                let ok =
                    self.machines[vehicle].exchange(links.link(&self.fleet.vehicles[vehicle]), link, now);
                report.failed = u64::from(!ok);
            }
            Act::Drive { vehicle } => {
                if let Some(drive) = self.drives.get(&vehicle) {
                    self.machines[vehicle].drive(drive, now);
                    let length = drive.frames.last().map_or(0, |frame| frame.at.0);
                    report.seen = drive.frames.len() as u64;
                    let after = at.saturating_add(i64::try_from(length).unwrap_or(0) + 2 * MINUTE_US);
                    self.plan(after, Act::Exchange { vehicle, link: Link::Metered });
                }
            }
        }
        report
    }

    /// Lets a vehicle with a mobile connection call some seconds after a sight.
    fn plan_soon(&mut self, vehicle: usize, at: UnixMicros) {
        let is_cellular = self.fleet.vehicles[vehicle].record.connectivity == Connectivity::Cellular;
        if is_cellular && self.scheduled.insert(vehicle) {
            let wait = 20_000_000 + i64::try_from(self.seed.below(60_000_000)).unwrap_or(0);
            self.plan(at.saturating_add(wait), Act::Exchange { vehicle, link: Link::Metered });
        }
    }

    /// Lets every vehicle come back and deliver everything; returns those that still hold rows after `rounds`.
    ///
    /// `clock` is told the true time of each round.
    pub fn drain(
        &mut self,
        links: &mut dyn Links,
        rounds: u32,
        mut clock: impl FnMut(UnixMicros),
    ) -> Vec<VehicleId> {
        let mut at = self.script.end.saturating_add(10 * MINUTE_US);
        clock(at);
        let now = self.mono(at);
        self.machines.iter_mut().for_each(|machine| machine.settle(now));
        for _ in 0..rounds {
            let waiting: Vec<usize> =
                (0..self.machines.len()).filter(|index| self.machines[*index].holds_rows()).collect();
            if waiting.is_empty() {
                break;
            }
            for vehicle in waiting {
                let now = self.mono(at);
                self.machines[vehicle].exchange(
                    links.link(&self.fleet.vehicles[vehicle]),
                    Link::Unmetered,
                    now,
                );
            }
            at = at.saturating_add(20 * MINUTE_US);
            clock(at);
        }
        (0..self.machines.len())
            .filter(|index| self.machines[*index].holds_rows())
            .map(|index| self.fleet.vehicles[index].record.vehicle)
            .collect()
    }

    /// Lets one vehicle see something harmless now and tell it, so that a live screen moves.
    pub fn live(&mut self, links: &mut dyn Links, at: UnixMicros) {
        let now = self.mono(at);
        let cellular: Vec<usize> = (0..self.machines.len())
            .filter(|index| {
                let vehicle = &self.fleet.vehicles[*index];
                vehicle.record.connectivity == Connectivity::Cellular && !vehicle.is_full_stack
            })
            .collect();
        let place = usize::try_from(self.seed.below(cellular.len() as u64)).unwrap_or(0);
        if let Some(vehicle) = cellular.get(place) {
            let event = crate::script::harmless(&mut self.seed);
            self.machines[*vehicle].event(event, now);
            self.machines[*vehicle].settle(now);
            self.machines[*vehicle].exchange(
                links.link(&self.fleet.vehicles[*vehicle]),
                Link::Unmetered,
                now,
            );
        }
    }

    /// Lets the full-stack vehicles call, as they do every few seconds while somebody waits for evidence.
    pub fn call(&mut self, links: &mut dyn Links, at: UnixMicros) {
        let now = self.mono(at);
        let drivers: Vec<usize> = self.drives.keys().copied().collect();
        for vehicle in drivers {
            self.machines[vehicle].exchange(links.link(&self.fleet.vehicles[vehicle]), Link::Unmetered, now);
        }
    }

    /// Returns every event that got a number and was not declared lost, ascending.
    #[must_use]
    pub fn sent(&self) -> BTreeSet<EventId> {
        let mut sent = Vec::new();
        for (machine, vehicle) in self.machines.iter().zip(&self.fleet.vehicles) {
            machine.sent(vehicle.record.vehicle, &mut sent);
        }
        sent.into_iter().collect()
    }

    /// Returns how many captures the full-stack vehicles have uploaded.
    #[must_use]
    pub fn evidence_sent(&self) -> u64 {
        self.machines.iter().map(Machine::evidence_sent).sum()
    }

    /// Returns the monotonic time of every vehicle at a true time: all booted at the start.
    fn mono(&self, at: UnixMicros) -> VehicleMicros {
        VehicleMicros(u64::try_from(at.micros_since(self.start)).unwrap_or(0))
    }
}
