//! All sensors of a host.

use std::io;
use std::path::Path;
use std::sync::Arc;

use outrider_types::VehicleMicros;

use crate::boot::Boot;
use crate::confine::Capability;
use crate::files::Files;
use crate::logs::LogSource;
use crate::logs::pattern::Patterns;
use crate::memory::Memory;
use crate::modules::Modules;
use crate::outbox::Outbox;
use crate::people::People;
use crate::proc_fs::ProcRoot;
use crate::process::Processes;
use crate::sensor::{Sensor, Turn};
use crate::sockets::Sockets;
use crate::syscalls::Syscalls;
use crate::{HostConfig, HostEvent, SensorState, sys};

/// Time between two clearings of the process table when no sensor follows the processes.
const FORGET_US: u64 = 10_000_000;

/// Why the sensors cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{sensor}: {source}")]
pub struct HostError {
    /// Which sensor.
    pub sensor: &'static str,
    /// Why not.
    pub source: io::Error,
}

/// The configured sensors of a host.
///
/// Open it with all rights, give the rights up ([`crate::confine`]), then call [`Self::wait`] and [`Self::turn`] in
/// turns, and take the events. One thread of its own is best: a turn may take some ten milliseconds.
pub struct Host {
    sensors: Vec<Box<dyn Sensor>>,
    people: People,
    out: Outbox,
    follows_processes: bool,
    forgot: VehicleMicros,
    capabilities: Vec<Capability>,
}

fn named<T>(sensor: &'static str, result: io::Result<T>) -> Result<T, HostError> {
    result.map_err(|source| HostError { sensor, source })
}

impl Host {
    /// Opens what is configured; baselines are in `state`, times in `now` and after it.
    ///
    /// # Errors
    /// [`HostError`], the first sensor that cannot work as configured.
    pub fn open(config: HostConfig, state: &Path, now: VehicleMicros) -> Result<Self, HostError> {
        let learns_until = now.saturating_add(config.learn_seconds.saturating_mul(1_000_000));
        let mut sensors: Vec<Box<dyn Sensor>> = Vec::new();
        let mut capabilities = Vec::new();
        let follows_processes = config.processes.is_some();
        if let Some(processes) = config.processes {
            let opened = Processes::open(processes, &state.join("programs"), learns_until);
            sensors.push(Box::new(named("host.processes", opened)?));
            capabilities.push(Capability::SYS_PTRACE);
        }
        if let Some(files) = config.files {
            let opened = Files::open(files, &state.join("files"), state);
            sensors.push(Box::new(named("host.files", opened)?));
            capabilities.push(Capability::DAC_READ_SEARCH);
        }
        if config.modules.is_some() {
            let opened = Modules::open(&state.join("modules"), learns_until);
            sensors.push(Box::new(named("host.modules", opened)?));
        }
        if let Some(sockets) = config.sockets {
            let opened = Sockets::open(&sockets, &state.join("sockets"), learns_until);
            sensors.push(Box::new(named("host.sockets", opened)?));
            capabilities.extend([Capability::SYS_PTRACE, Capability::DAC_READ_SEARCH]);
        }
        if let Some(memory) = config.memory {
            sensors.push(Box::new(Memory::new(memory)));
            capabilities.push(Capability::SYS_PTRACE);
        }
        if let Some(syscalls) = config.syscalls {
            sensors.push(Box::new(Syscalls::open(syscalls, &state.join("rates"), learns_until)));
            capabilities.push(Capability::SYS_PTRACE);
        }
        if let Some(boot) = config.boot {
            sensors.push(Box::new(named("host.boot", Boot::open(boot, &state.join("boot"), learns_until))?));
        }
        if !config.log.is_empty() {
            let patterns = Arc::new(patterns(config.patterns.as_deref())?);
            for log in config.log {
                if log.path.is_some() {
                    capabilities.push(Capability::DAC_READ_SEARCH);
                }
                sensors.push(Box::new(named("host.log", LogSource::open(log, Arc::clone(&patterns)))?));
            }
        }
        capabilities.sort_unstable();
        capabilities.dedup();
        let people = People::new(ProcRoot::new(Path::new("/proc")));
        Ok(Self { sensors, people, out: Outbox::default(), follows_processes, forgot: now, capabilities })
    }

    /// Returns the rights that the sensors need on after the start.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Waits until a sensor has something to do, at most `timeout_ms`.
    pub fn wait(&self, timeout_ms: i32) {
        let descriptors: Vec<_> = self.sensors.iter().filter_map(|sensor| sensor.descriptor()).collect();
        sys::wait(&descriptors, timeout_ms);
    }

    /// Lets every sensor do its bounded part.
    pub fn turn(&mut self, now: VehicleMicros) {
        if !self.follows_processes && now.micros_since(self.forgot) >= FORGET_US {
            self.forgot = now;
            let running = self.people.root.processes();
            self.people.compare(&running);
        }
        for sensor in &mut self.sensors {
            sensor.turn(&mut Turn { now, people: &mut self.people, out: &mut self.out });
        }
    }

    /// Takes the oldest event.
    pub fn pop(&mut self) -> Option<HostEvent> {
        self.out.pop()
    }

    /// Returns the events that wait.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.out
    }

    /// Returns the state of every sensor.
    #[must_use]
    pub fn state(&self) -> Vec<SensorState> {
        self.sensors.iter().map(|sensor| sensor.state()).collect()
    }
}

/// Reads a vehicle's own patterns and puts the shipped ones behind them.
#[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
fn patterns(path: Option<&Path>) -> Result<Patterns, HostError> {
    use std::io::Read as _;
    let Some(path) = path else { return Ok(Patterns::shipped()) };
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(2 << 20).read_to_string(&mut text));
    named("host.log patterns", read)?;
    let own =
        Patterns::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
    Ok(named("host.log patterns", own)?.and(Patterns::shipped()))
}
