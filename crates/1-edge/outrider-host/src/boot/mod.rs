//! What the boot measured: the firmware's event log against a baseline, and the kernel's measurement list.
//!
//! The firmware's log is replayed: a register's value follows from it, and registers 0 to 7 that differ from the
//! baseline are reported. A log proves what was measured only together with a quote of the TPM, which is the cloud's to
//! ask for; without one it finds changes, not a firmware that lies.

pub(crate) mod event_log;
pub(crate) mod measurements;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::config::BootConfig;
use crate::files::fold::hex;
use crate::known::{Known, Verdict};
use crate::sensor::{Counts, Degradation, FULL, Period, Sensor, SensorState, Turn};
use crate::{HostEvent, Value};

/// Bytes of a firmware log that are read; real ones have 30 to 200 KiB.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// Bytes of the measurement list read in one turn.
const LIST_BYTES_PER_TURN: u64 = 256 << 10;
/// Time between two looks at the measurement list.
const PERIOD_US: u64 = 5_000_000;
/// Registers of firmware and boot loader (TCG PC Client Platform Firmware Profile, table 1).
const FIRMWARE_REGISTERS: u32 = 8;

/// The sensor.
pub(crate) struct Boot {
    config: BootConfig,
    known: Known,
    has_read_log: bool,
    list: Option<File>,
    partial: Vec<u8>,
    period: Period,
    counts: Counts,
    degradation: Degradation,
}

impl Boot {
    /// # Errors
    /// The baseline cannot be read.
    pub(crate) fn open(
        config: BootConfig,
        baseline: &Path,
        learns_until: VehicleMicros,
    ) -> std::io::Result<Self> {
        Ok(Self {
            // Opened while there are rights; they are root's alone.
            list: config.measurements.as_ref().and_then(|path| File::open(path).ok()),
            known: Known::open(baseline, learns_until)?,
            has_read_log: false,
            partial: Vec::new(),
            period: Period::of_us(PERIOD_US),
            counts: Counts::default(),
            degradation: Degradation::new("host.boot"),
            config,
        })
    }

    #[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
    fn read_log(&mut self, turn: &mut Turn<'_>) {
        let Some(path) = &self.config.event_log else { return };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LOG_BYTES_MAX).read_to_end(&mut bytes));
        self.counts.received += 1;
        let log = match read.map(|_| event_log::parse(&bytes)) {
            Ok(Ok(log)) => log,
            Ok(Err(_)) => {
                self.counts.rejected += 1;
                self.degradation.set("log damaged", turn.now, turn.out);
                return;
            }
            Err(_) => {
                self.counts.quiet += 1;
                self.degradation.set("log absent", turn.now, turn.out);
                return;
            }
        };
        let before = self.counts.reported;
        for (register, value) in log.registers.iter().filter(|(register, _)| **register < FIRMWARE_REGISTERS)
        {
            let name = format!("register {register} {}", hex(value));
            if self.known.judge(&name) == Verdict::Unknown {
                turn.out.push(
                    HostEvent::new(event::BOOT_MEASUREMENT_CHANGED, turn.now)
                        .text(field::COMPONENT, "firmware")
                        .with(field::PCR_INDEX, Value::Int((*register).into()))
                        .text(field::SHA256_OBSERVED, &hex(value))
                        .text(field::REASON, "not in the baseline"),
                );
                self.counts.reported = before + 1;
            }
        }
        if log.secure_boot == Some(false) && self.known.judge("secure boot off") == Verdict::Unknown {
            let mut found = HostEvent::new(event::BOOT_INTEGRITY_FAILURE, turn.now)
                .text(field::COMPONENT, "firmware")
                .with(field::PCR_INDEX, Value::Int(7))
                .text(field::REASON, "secure boot disabled");
            found.severity = Some(Severity::High);
            turn.out.push(found);
            self.counts.reported = before + 1;
        }
        if self.counts.reported == before {
            self.counts.quiet += 1;
        }
    }

    /// Reads what is new in the measurement list.
    #[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
    fn read_list(&mut self, turn: &mut Turn<'_>) {
        let Some(list) = &mut self.list else { return };
        let mut bytes = std::mem::take(&mut self.partial);
        let _ = list.take(LIST_BYTES_PER_TURN).read_to_end(&mut bytes);
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in bytes[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.counts.received += 1;
            let Some(measured) = measurements::parse(&String::from_utf8_lossy(line)) else {
                self.counts.rejected += 1;
                continue;
            };
            let name = format!("measured {} {}", measured.digest, measured.path);
            if self.known.judge(&name) != Verdict::Unknown {
                self.counts.quiet += 1;
                continue;
            }
            self.counts.reported += 1;
            turn.out.push(
                HostEvent::new(event::BOOT_MEASUREMENT_CHANGED, turn.now)
                    .path(field::COMPONENT, &measured.path)
                    .with(field::PCR_INDEX, Value::Int(measured.register.into()))
                    .text(field::SHA256_OBSERVED, &measured.digest)
                    .text(
                        field::REASON,
                        if measured.is_violation { "violation" } else { "not in the baseline" },
                    ),
            );
        }
        // A line without end that is longer than any path is none.
        self.partial = bytes.get(end..).filter(|rest| rest.len() < 16 << 10).unwrap_or(&[]).to_vec();
    }
}

impl Sensor for Boot {
    fn name(&self) -> &'static str {
        "host.boot"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        if !self.has_read_log {
            self.has_read_log = true;
            self.read_log(turn);
        }
        if self.period.is_due(turn.now) {
            self.read_list(turn);
        }
        self.known.keep(turn, &mut self.degradation);
    }

    fn state(&self) -> SensorState {
        let step = self.degradation.step();
        let is_blind = self.config.measurements.is_some() && self.list.is_none();
        SensorState::new(
            self.name(),
            if is_blind && step == FULL { "list absent" } else { step },
            self.counts,
        )
        .with_known(&self.known)
    }
}
