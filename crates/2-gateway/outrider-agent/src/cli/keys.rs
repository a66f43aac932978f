//! `outrider-agent keys`: the keys and the counter of this vehicle's hardware.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use outrider_gateway::spool::Anchor;
use serde_json::{Value, json};

use super::{Failure, Terminal};
use crate::identity::BatchKeyFiles;
use crate::keystore::{DeviceKey, KeyKind};
use crate::runtime::hardware::Hardware;
use crate::runtime::{Sections, VehicleConfig};

/// Most repetitions of a measurement: a counter of hardware wears out.
const MEASURE_MAX: u32 = 100;

/// Shows, makes and measures the keys and the anchor that `[keys]` and `[anchor]` name.
///
/// The public keys are what the cloud registers: the batch key as an uncompressed point, the anchor's as well.
#[derive(Debug, Args)]
pub(super) struct Keys {
    /// Provisioning of the vehicle, as `outrider provision` writes it.
    #[arg(long)]
    config: PathBuf,
    /// Make the keys that are not there yet.
    #[arg(long)]
    make: bool,
    /// Make the next batch key. The running program, or the next one, registers it with the cloud and then uses it; until
    /// then the old one goes on. Only for keys in files: a key in hardware is registered by hand.
    #[arg(long, conflicts_with = "make")]
    rotate: bool,
    /// Measure signatures, and raise and attest the counter, this many times (at most 100). The spool takes a counter that
    /// was raised behind its back for a rollback: only on a vehicle that is not in use.
    #[arg(long, value_name = "TIMES")]
    measure: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a measurement of wall time, which decides nothing")]
fn millis(times: u32, mut act: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    for _ in 0..times {
        act()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0 / f64::from(times.max(1)))
}

impl Keys {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
        let config = VehicleConfig::open(&self.config).map_err(|error| failed(&error))?;
        let sections = Sections::open(&self.config).map_err(|error| failed(&error))?;
        let hardware = sections.hardware.open(&config.state).map_err(|error| failed(&error))?;
        if self.rotate {
            if hardware.key_kind() != KeyKind::File {
                return Err(Failure::input("the batch key is in hardware; make another one and register it"));
            }
            let files = BatchKeyFiles::new(&config.state);
            files.make_next().map_err(|error| failed(&error))?;
            terminal.note("the next batch key waits until the cloud knows it");
        }
        let keys =
            if self.make { hardware.make() } else { hardware.made() }.map_err(|error| failed(&error))?;
        let mut anchored = hardware.anchor().map_err(|error| failed(&error))?;
        let counter = anchored.anchor.read();
        let listed: Vec<Value> = keys
            .iter()
            .map(|(name, key)| {
                json!({"name": name.as_str(), "kind": key.kind().word(), "public_point": hex(&key.public_point()),
                    "public_key": hex(&key.public_key())})
            })
            .collect();
        let mut report = json!({
            "keys": {"kind": hardware.key_kind().word(), "made": listed},
            "anchor": {
                "kind": anchored.anchor.kind().word(),
                "counter": counter.as_ref().ok(),
                "failed": counter.as_ref().err().map(ToString::to_string),
                "public_point": anchored.point.as_ref().map(|point| hex(point)),
            },
        });
        if let Some(times) = self.measure {
            let measured = measure(
                times.clamp(1, MEASURE_MAX),
                &hardware,
                keys.first().map(|(_, key)| &**key),
                &mut *anchored.anchor,
            )?;
            if let Some(object) = report.as_object_mut() {
                object.insert("measured".to_owned(), measured);
            }
        }
        if self.json {
            writeln!(terminal.out, "{report}")?;
            return Ok(());
        }
        writeln!(terminal.out, "keys    {}", hardware.key_kind().word())?;
        for (name, key) in &keys {
            writeln!(terminal.out, "key     {name}: {}", hex(&key.public_point()))?;
        }
        match &counter {
            Ok(counter) => writeln!(terminal.out, "anchor  {} at {counter}", anchored.anchor.kind().word())?,
            Err(error) => writeln!(terminal.out, "anchor  {}: {error}", anchored.anchor.kind().word())?,
        }
        if let Some(point) = &anchored.point {
            writeln!(terminal.out, "anchor  its key: {}", hex(point))?;
        }
        if let Some(measured) = report.get("measured") {
            writeln!(terminal.out, "took    {measured}")?;
        }
        Ok(())
    }
}

/// Measures in milliseconds each.
fn measure(
    times: u32,
    hardware: &Hardware,
    key: Option<&dyn DeviceKey>,
    anchor: &mut dyn Anchor,
) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
    let increment = millis(times, || anchor.increment().map(|_| ()).map_err(|error| failed(&error)))?;
    let attest = millis(times, || anchor.attest(&[7; 32]).map(|_| ()).map_err(|error| failed(&error)))?;
    let read = millis(times, || anchor.read().map(|_| ()).map_err(|error| failed(&error)))?;
    let store = hardware.store().map_err(|error| failed(&error))?;
    let derive = millis(times, || store.derive("measure").map(|_| ()).map_err(|error| failed(&error)))?;
    let sign = key
        .map(|key| millis(times, || key.sign_fixed(b"measure").map(|_| ()).map_err(|error| failed(&error))))
        .transpose()?;
    Ok(
        json!({"times": times, "increment_ms": increment, "attest_ms": attest, "read_ms": read, "derive_ms": derive,
        "sign_ms": sign}),
    )
}
