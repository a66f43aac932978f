//! Programs and who starts them, changes of user, tracing.
//!
//! From the kernel's process connector; without the right to it, by looking at `/proc` once a second (step `polling`),
//! which misses what lives shorter. A program that has ended before it is looked at is counted as `gone`.

pub(crate) mod event;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event as kind, field};

use self::event::{ProcessFact, facts};
use crate::config::ProcessesConfig;
use crate::known::{Known, Verdict};
use crate::people::Person;
use crate::sensor::{Counts, Degradation, FULL, Sensor, SensorState, Turn};
use crate::{HostEvent, Value, sys};

/// Datagrams taken in one turn; the kernel keeps some thousands more.
const DATAGRAMS_PER_TURN: usize = 2048;
/// Time between two looks at `/proc` without the connector.
const POLL_US: u64 = 1_000_000;

/// The sensor.
pub(crate) struct Processes {
    connector: Option<File>,
    known: Known,
    config: ProcessesConfig,
    counts: Counts,
    degradation: Degradation,
    polled: Option<VehicleMicros>,
    needs_scan: bool,
    gone: u64,
}

impl Processes {
    /// Opens the connector, while there are rights, and the baseline.
    ///
    /// # Errors
    /// The baseline cannot be read.
    pub(crate) fn open(
        config: ProcessesConfig,
        baseline: &Path,
        learns_until: VehicleMicros,
    ) -> std::io::Result<Self> {
        Ok(Self {
            connector: sys::netlink::process_connector().ok(),
            known: Known::open(baseline, learns_until)?,
            config,
            counts: Counts::default(),
            degradation: Degradation::new("host.processes"),
            polled: None,
            needs_scan: true,
            gone: 0,
        })
    }

    fn take(&mut self, fact: ProcessFact, turn: &mut Turn<'_>) {
        let reported = match fact {
            ProcessFact::Born { parent, child } => {
                turn.people.born(parent, child);
                false
            }
            ProcessFact::Executed { process } => self.executed(process, turn),
            ProcessFact::User { process, effective } => self.changed_user(process, effective, turn),
            ProcessFact::Traced { process, tracer } => self.traced(process, tracer, turn),
            ProcessFact::Ended { process } => {
                turn.people.ended(process);
                false
            }
        };
        if reported {
            self.counts.reported += 1;
        } else {
            self.counts.quiet += 1;
        }
    }

    /// Judges a program by its path, and by the path of who started it.
    fn executed(&mut self, process: u32, turn: &mut Turn<'_>) -> bool {
        let root = &turn.people.root;
        let (Some(status), Some(program)) = (root.status(process), root.program(process)) else {
            self.gone += 1;
            return false;
        };
        let parent = turn.people.meet(status.parent).cloned().unwrap_or_default();
        let person = Person {
            parent: status.parent,
            name: status.name.into(),
            program: program.clone().into(),
            user: status.user,
        };
        let is_hidden = program.ends_with(" (deleted)") || program.starts_with("/memfd:");
        let known = self.known.judge(&format!("runs {program}"));
        let lineage = self.known.judge(&format!("starts {} > {program}", parent.program));
        let reason = if is_hidden && known != Verdict::Known {
            Some("no file")
        } else if known == Verdict::Unknown {
            Some("program")
        } else if lineage == Verdict::Unknown {
            Some("lineage")
        } else {
            None
        };
        let mut reported = false;
        if let Some(reason) = reason {
            let mut event = about(kind::HOST_PROCESS_UNEXPECTED, &person, &parent, turn.now, reason);
            if is_hidden {
                event.severity = Some(Severity::High);
            }
            turn.out.push(event);
            reported = true;
        }
        let gains = status.user != 0 && status.capabilities != 0 && !self.may_elevate(&program);
        if gains && self.known.judge(&format!("has rights {program}")) == Verdict::Unknown {
            turn.out.push(about(kind::HOST_PRIVILEGE_ESCALATION, &person, &parent, turn.now, "capabilities"));
            // One fact, one report: the second event says more of the same execution.
            reported = true;
        }
        turn.people.insert(process, person);
        reported
    }

    fn changed_user(&mut self, process: u32, effective: u32, turn: &mut Turn<'_>) -> bool {
        let _ = turn.people.meet(process);
        let before = turn.people.change_user(process, effective);
        if effective != 0 || before.is_none_or(|before| before == 0) {
            return false;
        }
        let Some(mut person) = turn.people.find(process).cloned() else { return false };
        // In an execution of a set-user-id program the user changes before the program is reported.
        if let Some(program) = turn.people.root.program(process) {
            person.program = program.into();
        }
        if self.may_elevate(&person.program)
            || self.known.judge(&format!("elevates {}", person.program)) != Verdict::Unknown
        {
            return false;
        }
        let parent = turn.people.meet(person.parent).cloned().unwrap_or_default();
        turn.out.push(about(kind::HOST_PRIVILEGE_ESCALATION, &person, &parent, turn.now, "user"));
        true
    }

    fn traced(&mut self, process: u32, tracer: u32, turn: &mut Turn<'_>) -> bool {
        if tracer == 0 || tracer == process {
            return false;
        }
        let by = turn.people.meet(tracer).cloned().unwrap_or_default();
        let is_allowed = self.config.may_trace.iter().any(|program| **program == *by.program);
        if is_allowed || self.known.judge(&format!("traces {}", by.program)) != Verdict::Unknown {
            return false;
        }
        let parent = turn.people.name(by.parent);
        let event = HostEvent::new(kind::HOST_PROCESS_TRACED, turn.now)
            .text(field::PROCESS_NAME, &by.name)
            .text(field::PARENT_PROCESS, &parent)
            .with(field::USER_ID, Value::Int(by.user.into()))
            .text(field::OBSERVED, &turn.people.name(process));
        turn.out.push(event);
        true
    }

    fn may_elevate(&self, program: &str) -> bool {
        self.config.may_elevate.iter().any(|allowed| allowed == program)
    }

    /// Compares with what runs now: at the start, after a gap, and without the connector.
    fn scan(&mut self, turn: &mut Turn<'_>) {
        let running = turn.people.root.processes();
        for process in turn.people.compare(&running) {
            if turn.people.root.program(process).is_none() {
                // A kernel thread, or gone.
                continue;
            }
            self.counts.received += 1;
            self.take(ProcessFact::Executed { process }, turn);
        }
    }

    fn listen(&mut self, turn: &mut Turn<'_>) {
        let mut buffer = [0u8; 4096];
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(connector) = &mut self.connector else { return };
            match connector.read(&mut buffer) {
                Ok(length) => {
                    let mut found = Vec::new();
                    let (quiet, rejected) = facts(&buffer[..length], |fact| found.push(fact));
                    self.counts.received += found.len() as u64 + quiet + rejected;
                    self.counts.quiet += quiet;
                    self.counts.rejected += rejected;
                    found.into_iter().for_each(|fact| self.take(fact, turn));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.degradation.set(FULL, turn.now, turn.out);
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    // The kernel does not say how many it dropped; what runs is looked at anew.
                    self.counts.lost += 1;
                    self.degradation.drop(1);
                    self.degradation.set("gap", turn.now, turn.out);
                    self.needs_scan = true;
                }
                Err(_) => self.connector = None,
            }
        }
    }
}

impl Sensor for Processes {
    fn name(&self) -> &'static str {
        "host.processes"
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connector.as_ref().map(AsFd::as_fd)
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        if self.connector.is_some() {
            self.listen(turn);
        } else {
            self.degradation.set("polling", turn.now, turn.out);
            let is_due = self.polled.is_none_or(|polled| turn.now.micros_since(polled) >= POLL_US);
            self.needs_scan |= is_due;
        }
        if std::mem::take(&mut self.needs_scan) {
            self.polled = Some(turn.now);
            self.scan(turn);
        }
        self.known.keep(turn, &mut self.degradation);
    }

    fn state(&self) -> SensorState {
        SensorState::new(self.name(), self.degradation.step(), self.counts)
            .with_known(&self.known)
            .with("left_out", self.known.left_out)
            .with("gone", self.gone)
            .with("degradations", self.degradation.changes)
    }
}

fn about(
    event_type: outrider_types::EventTypeId,
    person: &Person,
    parent: &Person,
    now: VehicleMicros,
    reason: &str,
) -> HostEvent {
    HostEvent::new(event_type, now)
        .text(field::PROCESS_NAME, &person.name)
        .text(field::PARENT_PROCESS, &parent.name)
        .path(field::FILE_PATH, &person.program)
        .with(field::USER_ID, Value::Int(person.user.into()))
        .with(field::PRIVILEGED, Value::Flag(person.user == 0))
        .text(field::REASON, reason)
}
