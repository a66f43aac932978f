//! `outrider-agent learn`.

use std::path::{Path, PathBuf};

use clap::Args;
use outrider_ids::model::{CycleClass, ModelHead, Text};
use outrider_types::BusId;
use serde_json::{Value, json};

use super::captures::read;
use super::{Failure, Terminal, chain, write_file};
use crate::io::dbc::DbcModel;
use crate::io::network::{self, Format};
use crate::learn::{BusSummary, Learned, Learner};

const HELP: &str = "\
JSON fields of --json (one object, last line of standard output):
  model        path of the model
  model_bytes  its size
  frames       frames learned from
  seconds      time learned from, summed over the captures
  platform, release  as given
  captures     [{path, frames, packets, problems}]
  buses        [{bus, ids, periodic, mixed, event, listed, steady, pairs, rate_hz, rate_max_hz, speed_signal}]
               periodic, mixed, event: by how they come; listed: known, but too rare to tell
               steady: identifiers whose stop will be noticed; pairs: diagnostic requests with answers
  problems     texts, with the place of each

Use captures of ordinary traffic only: what is in them is normal from then on. Several captures of the same
buses make a better model than one. Exit codes: see outrider-agent --help.";

/// Arguments of `learn`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Learn {
    /// Captures: TRC, candump, ASC, pcap or pcapng, each also gzip-compressed.
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Network description as DBC file; may be given several times, as those below.
    #[arg(long, value_name = "FILE")]
    dbc: Vec<PathBuf>,
    /// Network description as AUTOSAR XML.
    #[arg(long, value_name = "FILE")]
    arxml: Vec<PathBuf>,
    /// Network description as ASAM FIBEX.
    #[arg(long, value_name = "FILE")]
    fibex: Vec<PathBuf>,
    /// Network description as LIN description file.
    #[arg(long, value_name = "FILE")]
    ldf: Vec<PathBuf>,
    /// Where to write the model.
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Number of the first bus in files that do not say.
    #[arg(long, default_value_t = 0, value_name = "BUS")]
    bus: u8,
    /// Vehicle platform, at most 32 bytes.
    #[arg(long, default_value = "", value_parser = text)]
    platform: Text,
    /// Software release, at most 32 bytes.
    #[arg(long, default_value = "", value_parser = text)]
    release: Text,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

fn text(argument: &str) -> Result<Text, String> {
    Text::new(argument).ok_or_else(|| format!("longer than {} bytes, or control characters", Text::BYTES_MAX))
}

impl Learn {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let head = ModelHead { platform: self.platform, release: self.release, ..ModelHead::default() };
        let mut learner = Learner::new(head);
        let mut problems = Vec::new();
        let given = [
            (&self.dbc, Format::Dbc),
            (&self.arxml, Format::Arxml),
            (&self.fibex, Format::Fibex),
            (&self.ldf, Format::Ldf),
        ];
        for (paths, format) in given {
            for path in paths {
                let (can, mut found) = describe_network(path, format, terminal)?;
                problems.append(&mut found);
                learner.add_database(can);
            }
        }
        let mut captures = Vec::new();
        for path in &self.captures {
            let capture = read(path, BusId(self.bus), |frame| learner.add(frame))?;
            learner.end_capture();
            terminal.note(&format!("{}: {} frames", capture.path, capture.frames));
            problems.extend(capture.problems());
            captures.push(capture.json());
        }
        let learned = learner.finish().map_err(|error| Failure::input(chain(&error)))?;
        write_file(&self.output, |file| file.write_all(&learned.model))?;
        problems.iter().for_each(|problem| terminal.note(problem));
        for bus in &learned.buses {
            terminal.note(&describe(bus));
        }
        if self.json {
            let report = self.report(&learned, &captures, &problems);
            writeln!(terminal.out, "{report}")?;
        } else {
            writeln!(terminal.out, "{}", self.output.display())?;
        }
        Ok(())
    }

    fn report(&self, learned: &Learned, captures: &[Value], problems: &[String]) -> Value {
        json!({
            "model": self.output.display().to_string(),
            "model_bytes": learned.model.len(),
            "frames": learned.head.learned_frames,
            "seconds": seconds(learned.head.learned_ms),
            "platform": learned.head.platform.as_str(),
            "release": learned.head.release.as_str(),
            "captures": captures,
            "buses": learned.buses.iter().map(bus_json).collect::<Vec<_>>(),
            "problems": problems,
        })
    }
}

/// Reads a network description; returns its CAN part and what is to be said of it.
fn describe_network(
    path: &Path,
    format: Format,
    terminal: &mut Terminal<'_>,
) -> Result<(DbcModel, Vec<String>), Failure> {
    let name = path.display();
    let description =
        network::open(path).map_err(|error| Failure::input(format!("{name}: {}", chain(&error))))?;
    if description.format != format {
        let (is, said) = (description.format.word(), format.word());
        return Err(Failure::input(format!("{name}: is {is}, was given as {said}")));
    }
    let mut problems: Vec<String> =
        description.problems.iter().map(|problem| format!("{name}: {problem}")).collect();
    let hidden = description.problems_total.saturating_sub(problems.len() as u64);
    if hidden > 0 {
        problems.push(format!("{name}: {hidden} more problems"));
    }
    let passed: u64 = description.not_understood.values().map(|one| one.count).sum();
    let all = description.frames.len();
    let can = description.into_can();
    terminal.note(&format!(
        "{name}: {} CAN messages of {all} frames; {passed} elements not understood (outrider-agent describe)",
        can.messages.len()
    ));
    if can.messages.is_empty() {
        problems.push(format!("{name}: has no CAN frame, so the model takes nothing from it"));
    }
    Ok((can, problems))
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

fn count(bus: &BusSummary, class: CycleClass) -> u32 {
    bus.classes.get(&class).copied().unwrap_or(0)
}

fn bus_json(bus: &BusSummary) -> Value {
    json!({
        "bus": bus.facts.bus.0,
        "ids": bus.classes.values().sum::<u32>(),
        "periodic": count(bus, CycleClass::Periodic),
        "mixed": count(bus, CycleClass::Mixed),
        "event": count(bus, CycleClass::Event),
        "listed": count(bus, CycleClass::Listed),
        "steady": bus.steady,
        "pairs": bus.pairs,
        "rate_hz": bus.facts.rate_hz,
        "rate_max_hz": bus.facts.rate_max_hz,
        "speed_signal": bus.speed_signal,
    })
}

fn describe(bus: &BusSummary) -> String {
    format!(
        "bus {}: {} identifiers ({} periodic, {} mixed, {} event, {} listed), {} watched for a stop, {} frames/s",
        bus.facts.bus.0,
        bus.classes.values().sum::<u32>(),
        count(bus, CycleClass::Periodic),
        count(bus, CycleClass::Mixed),
        count(bus, CycleClass::Event),
        count(bus, CycleClass::Listed),
        bus.steady,
        bus.facts.rate_hz,
    )
}
