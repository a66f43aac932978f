//! Memory that is writable and executable, a few processes in each turn.
//!
//! A just-in-time compiler makes such memory on purpose; name it in the configuration. Another's maps need the right
//! `CAP_SYS_PTRACE`; what may not be read is counted.

use std::collections::BTreeMap;

use outrider_wire::catalogue::{event, field};

use crate::config::MemoryConfig;
use crate::proc_fs::mapping;
use crate::sensor::{Counts, FULL, Period, Sensor, SensorState, Turn};
use crate::{HostEvent, Value};

/// Time between two turns that look.
const PERIOD_US: u64 = 100_000;
/// Processes looked at in one of them: 300 processes are seen every four seconds.
const PROCESSES_PER_LOOK: usize = 8;
/// Bytes of one process's maps that are read.
const MAPS_BYTES_MAX: u64 = 1 << 20;
/// Findings remembered so that each is said once.
const REPORTED_MAX: usize = 4096;

/// The sensor.
pub(crate) struct Memory {
    config: MemoryConfig,
    /// Processes of the round that is under way, last first.
    round: Vec<u32>,
    /// Bytes that were reported of a process.
    reported: BTreeMap<u32, u64>,
    period: Period,
    counts: Counts,
    unreadable: u64,
    rounds: u64,
}

impl Memory {
    pub(crate) fn new(config: MemoryConfig) -> Self {
        Self {
            config,
            round: Vec::new(),
            reported: BTreeMap::new(),
            period: Period::of_us(PERIOD_US),
            counts: Counts::default(),
            unreadable: 0,
            rounds: 0,
        }
    }

    fn look(&mut self, process: u32, turn: &mut Turn<'_>) {
        self.counts.received += 1;
        let Some(text) = turn.people.root.read(&format!("{process}/maps"), MAPS_BYTES_MAX) else {
            self.unreadable += 1;
            self.counts.quiet += 1;
            return;
        };
        let mut found: Option<(u64, String)> = None;
        for one in text.lines().filter_map(mapping).filter(|one| one.is_writable_and_executable) {
            let (bytes, _) = found.get_or_insert_with(|| (0, one.path.clone()));
            *bytes = bytes.saturating_add(one.bytes);
        }
        let Some((bytes, path)) = found else {
            self.reported.remove(&process);
            self.counts.quiet += 1;
            return;
        };
        let person = turn.people.meet(process).cloned().unwrap_or_default();
        let is_allowed = self.config.may_compile.iter().any(|name| **name == *person.name);
        let is_more = self.reported.get(&process).is_none_or(|reported| bytes > *reported);
        if is_allowed || !is_more {
            self.counts.quiet += 1;
            return;
        }
        self.reported.insert(process, bytes);
        while self.reported.len() > REPORTED_MAX {
            self.reported.pop_first();
        }
        self.counts.reported += 1;
        turn.out.push(
            HostEvent::new(event::HOST_MEMORY_ANOMALY, turn.now)
                .text(field::PROCESS_NAME, &person.name)
                .path(field::FILE_PATH, if path.is_empty() { &person.program } else { &path })
                .with(field::SIZE_BYTES, Value::count(bytes))
                .with(field::USER_ID, Value::Int(person.user.into())),
        );
    }
}

impl Sensor for Memory {
    fn name(&self) -> &'static str {
        "host.memory"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        if !self.period.is_due(turn.now) {
            return;
        }
        if self.round.is_empty() {
            self.round = turn.people.root.processes();
            self.round.reverse();
            self.rounds += 1;
            self.reported.retain(|process, _| self.round.contains(process));
        }
        for _ in 0..PROCESSES_PER_LOOK {
            let Some(process) = self.round.pop() else { break };
            self.look(process, turn);
        }
    }

    fn state(&self) -> SensorState {
        SensorState::new(self.name(), FULL, self.counts)
            .with("unreadable", self.unreadable)
            .with("rounds", self.rounds)
    }
}

#[cfg(test)]
mod tests {
    use outrider_types::VehicleMicros;

    use super::*;
    use crate::outbox::Outbox;
    use crate::people::People;
    use crate::proc_fs::ProcRoot;

    #[test]
    fn writable_and_executable_memory_is_said_once_until_it_grows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |process: u32, name: &str, maps: &str| {
            let place = folder.path().join(process.to_string());
            std::fs::create_dir_all(&place).expect("a folder");
            std::fs::write(place.join("maps"), maps).expect("it writes");
            std::fs::write(place.join("status"), format!("Name:\t{name}\nUid:\t5\t5\t5\t5\n"))
                .expect("it writes");
        };
        write(7, "radio", "1000-2000 rwxp 0 00:00 0\n3000-4000 rw-p 0 00:00 0\n");
        write(8, "node", "1000-2000 rwxp 0 00:00 0\n");
        write(9, "good", "1000-2000 r-xp 0 00:00 0 /bin/good\n");
        let mut sensor = Memory::new(MemoryConfig { may_compile: vec!["node".to_owned()] });
        let (mut people, mut out) = (People::new(ProcRoot::new(folder.path())), Outbox::default());
        for step in 0..4u64 {
            let now = VehicleMicros(step * PERIOD_US);
            sensor.turn(&mut Turn { now, people: &mut people, out: &mut out });
            if step == 1 {
                write(7, "radio", "1000-3000 rwxp 0 00:00 0\n");
            }
        }
        let sizes: Vec<_> = std::iter::from_fn(|| out.pop())
            .map(|event| {
                (
                    event.text_of(field::PROCESS_NAME).map(str::to_owned),
                    event.value(field::SIZE_BYTES).cloned(),
                )
            })
            .collect();
        let radio = Some("radio".to_owned());
        let expected = [(radio.clone(), Some(Value::Int(0x1000))), (radio, Some(Value::Int(0x2000)))];
        assert_eq!(sizes, expected);
        assert!(sensor.state().counts.is_balanced());
    }
}
