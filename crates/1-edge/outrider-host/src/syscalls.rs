//! Rates of system calls, as far as a kernel says them without tracing: reads and writes of each process
//! (`/proc/<pid>/io`: `syscr`, `syscw`), and processes made on the whole host.
//!
//! Other calls are not counted by any kernel interface that needs no BPF or tracing; a storm of those shows in
//! nothing here but a seccomp denial in the audit log. Others' `io` needs `CAP_SYS_PTRACE`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use crate::config::SyscallsConfig;
use crate::known;
use crate::sensor::{Counts, Degradation, FULL, Period, Sensor, SensorState, Turn};
use crate::{HostEvent, Value};

/// Time between two turns that look.
const PERIOD_US: u64 = 100_000;
/// Processes looked at in one of them.
const PROCESSES_PER_LOOK: usize = 16;
/// Rates that were learned, by process name.
const NAMES_MAX: usize = 2048;
/// A rate is unusual above this many times what was learned: the busiest second of another day (guess).
const FACTOR: u64 = 8;
/// Looks in a row that must be unusual.
const STRIKES: u8 = 3;
/// Shortest time over which a rate is taken.
const SPAN_MIN_US: u64 = 200_000;

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: VehicleMicros,
    calls: u64,
    strikes: u8,
}

/// The sensor.
pub(crate) struct Syscalls {
    config: SyscallsConfig,
    path: PathBuf,
    learned: BTreeMap<Box<str>, u64>,
    learns_until: Option<VehicleMicros>,
    round: Vec<u32>,
    seen: BTreeMap<u32, Seen>,
    period: Period,
    forks: Option<(VehicleMicros, u64)>,
    counts: Counts,
    unreadable: u64,
    degradation: Degradation,
}

impl Syscalls {
    /// Opens the baseline; without a file it is learned.
    pub(crate) fn open(config: SyscallsConfig, baseline: &Path, learns_until: VehicleMicros) -> Self {
        let text = std::fs::read(baseline).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let learned = text.iter().flat_map(|text| text.lines().take(NAMES_MAX)).filter_map(|line| {
            let (rate, name) = line.split_once(' ')?;
            Some((Box::from(name), rate.parse().ok()?))
        });
        Self {
            config,
            path: baseline.to_path_buf(),
            learned: learned.collect(),
            learns_until: text.is_none().then_some(learns_until),
            round: Vec::new(),
            seen: BTreeMap::new(),
            period: Period::of_us(PERIOD_US),
            forks: None,
            counts: Counts::default(),
            unreadable: 0,
            degradation: Degradation::new("host.syscalls"),
        }
    }

    fn look(&mut self, process: u32, turn: &mut Turn<'_>) {
        self.counts.received += 1;
        let text = turn.people.root.read(&format!("{process}/io"), 4096);
        let Some(calls) = text.as_deref().and_then(calls) else {
            self.unreadable += 1;
            self.counts.quiet += 1;
            return;
        };
        let before = self.seen.get(&process).copied();
        let Some(before) = before.filter(|before| before.calls <= calls) else {
            self.seen.insert(process, Seen { at: turn.now, calls, strikes: 0 });
            self.counts.quiet += 1;
            return;
        };
        let span = turn.now.micros_since(before.at);
        if span < SPAN_MIN_US {
            self.counts.quiet += 1;
            return;
        }
        let rate = (calls - before.calls).saturating_mul(1_000_000) / span;
        let name = turn.people.name(process);
        let limit = self.limit(&name, rate);
        let strikes = if rate > limit { before.strikes.saturating_add(1) } else { 0 };
        self.seen.insert(process, Seen { at: turn.now, calls, strikes });
        // Said when it has lasted; while it lasts it is not said again.
        if strikes != STRIKES {
            self.counts.quiet += 1;
            return;
        }
        self.counts.reported += 1;
        turn.out.push(unusual(&name, "read+write", rate, limit, turn.now));
    }

    /// Returns the limit of a name; while learning, learns.
    fn limit(&mut self, name: &str, rate: u64) -> u64 {
        let is_learning = self.learns_until.is_some();
        if is_learning && (self.learned.len() < NAMES_MAX || self.learned.contains_key(name)) {
            let most = self.learned.entry(name.into()).or_default();
            *most = rate.max(*most);
        }
        let learned = self.learned.get(name).copied().unwrap_or(0);
        learned.saturating_mul(FACTOR).max(self.config.rate_floor_hz)
    }

    /// Looks at how many processes were made in the last second.
    fn count_forks(&mut self, turn: &mut Turn<'_>) {
        let (now, forks) = (turn.now, turn.people.forks);
        let Some((at, before)) = self.forks else {
            self.forks = Some((now, forks));
            return;
        };
        let span = now.micros_since(at);
        if span < 1_000_000 {
            return;
        }
        self.forks = Some((now, forks));
        self.counts.received += 1;
        let rate = forks.saturating_sub(before).saturating_mul(1_000_000) / span;
        if rate <= self.config.fork_limit_hz {
            self.counts.quiet += 1;
            return;
        }
        self.counts.reported += 1;
        turn.out.push(unusual("", "fork", rate, self.config.fork_limit_hz, now));
    }
}

fn unusual(name: &str, call: &str, rate: u64, limit: u64, now: VehicleMicros) -> HostEvent {
    HostEvent::new(event::HOST_SYSCALL_RATE, now)
        .text(field::PROCESS_NAME, name)
        .text(field::SYSCALL, call)
        .with(field::RATE_HZ, Value::count(rate))
        .with(field::RATE_LIMIT_HZ, Value::count(limit))
}

/// Adds up the reads and writes of an `io` file; `None` if it has neither.
fn calls(text: &str) -> Option<u64> {
    let number = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
    Some(number("syscr:")?.saturating_add(number("syscw:")?))
}

impl Sensor for Syscalls {
    fn name(&self) -> &'static str {
        "host.syscalls"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        if !self.period.is_due(turn.now) {
            return;
        }
        self.count_forks(turn);
        if self.round.is_empty() {
            self.round = turn.people.root.processes();
            self.round.reverse();
            self.seen.retain(|process, _| self.round.contains(process));
        }
        for _ in 0..PROCESSES_PER_LOOK {
            let Some(process) = self.round.pop() else { break };
            self.look(process, turn);
        }
        if self.learns_until.is_some_and(|until| turn.now >= until) {
            self.learns_until = None;
            let lines: Vec<String> =
                self.learned.iter().map(|(name, rate)| format!("{rate} {name}")).collect();
            let kept = known::write(&self.path, lines.iter().map(String::as_str));
            self.degradation.set(if kept.is_ok() { FULL } else { "baseline not kept" }, turn.now, turn.out);
        }
    }

    fn state(&self) -> SensorState {
        SensorState::new(self.name(), self.degradation.step(), self.counts)
            .with("known", self.learned.len() as u64)
            .with("learning", u64::from(self.learns_until.is_some()))
            .with("unreadable", self.unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;
    use crate::people::People;
    use crate::proc_fs::ProcRoot;

    /// Plays calls a second and returns what was said.
    fn play(rates: &[u64], forks: u64) -> Vec<HostEvent> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().join("7");
        std::fs::create_dir_all(&place).expect("a folder");
        std::fs::write(place.join("status"), "Name:\tradio\n").expect("it writes");
        let config = SyscallsConfig { rate_floor_hz: 1000, fork_limit_hz: 100 };
        let mut sensor = Syscalls::open(config, &folder.path().join("known"), VehicleMicros(2_000_000));
        let (mut people, mut out) = (People::new(ProcRoot::new(folder.path())), Outbox::default());
        let mut total = 0;
        for (second, rate) in rates.iter().enumerate() {
            total += rate;
            std::fs::write(place.join("io"), format!("rchar: 1\nsyscr: {total}\nsyscw: 0\n"))
                .expect("it writes");
            people.forks += forks;
            let now = VehicleMicros(second as u64 * 1_000_000);
            sensor.turn(&mut Turn { now, people: &mut people, out: &mut out });
        }
        assert!(sensor.state().counts.is_balanced());
        std::iter::from_fn(|| out.pop()).collect()
    }

    #[test]
    fn a_rate_far_above_the_learned_one_is_said_once_it_lasts() {
        let found = play(&[500, 500, 500, 500, 9000, 9000, 9000, 9000], 0);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].value(field::RATE_HZ), Some(&Value::Int(9000)));
        assert_eq!(found[0].value(field::RATE_LIMIT_HZ), Some(&Value::Int(4000)));
    }

    #[test]
    fn a_short_burst_and_a_rate_below_the_floor_are_quiet() {
        assert_eq!(play(&[500, 500, 500, 500, 9000, 9000, 500, 9000], 0), []);
        assert_eq!(play(&[1, 1, 1, 900, 900, 900, 900], 0), []);
    }

    #[test]
    fn a_storm_of_forks_is_said() {
        assert!(play(&[1, 1, 1], 100).is_empty());
        assert_eq!(play(&[1, 1, 1], 101).len(), 2);
    }
}
