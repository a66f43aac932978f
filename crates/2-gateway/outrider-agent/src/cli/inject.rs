//! `outrider-agent inject`.

use std::path::PathBuf;

use clap::Args;
use outrider_bus::can::CanId;
use outrider_types::{BusId, UnixMicros};
use serde_json::{Value, json};

use super::captures::read;
use super::{Failure, Terminal, chain, write_file};
use crate::inject::{Attack, AttackPlan, InjectError, Injector, Stretch, Truth};
use crate::io::capture::write_trc;

/// Most frames of a capture that is attacked; it is held in memory, at 96 bytes a frame.
const FRAMES_MAX: usize = 20_000_000;

const HELP: &str = "\
Attacks:
  fabricate       extra frames of an identifier, at 3 to 10 times its rate, with 1 to 3 bytes changed
  suspend         no frame of a periodic identifier any more
  replay          a stretch recorded before, of one, a few or all identifiers, sent again beside the live traffic
  fuzz            random identifiers, lengths and payloads; or random payloads on the identifiers that are there
  flood           identifier 000 at nearly the capacity of the bus; others wait, and some are lost
  masquerade-constant, -random, -offset, -ramp, -drift, -plateau, -playback
                  an identifier's own frames at their own times, one signal replaced: by one value, by random
                  ones, by the own value and a fixed or a growing amount, by a line to the end of the range,
                  by the value at the beginning, by what it said earlier; checksums that are understood stay valid
  modify          a field of an identifier's own frames changed, checksums left as they were
  bus-off         32 error frames on one ECU's transmissions, then its identifiers are gone
  uds-bruteforce  a tester opens a session, asks for seeds and sends wrong keys; refusals, lockouts and resets
  uds-scan        a tester tries services or data identifiers one after the other

JSON fields of --labels (a file) and --json (one object, last line of standard output):
  attack, seed, bus
  ids          hexadecimal identifiers attacked or used
  start_us     first moment of the attack, in microseconds since the capture began
  end_us       last moment of the attack
  first_us     when the first frame was added, changed or taken away
  injected     frames added
  altered      frames whose payload was changed
  removed      frames taken away, those that a full bus never let through among them
  rate_hz      frames (uds-bruteforce: keys) a second that were added
  events       [{class, start_us, end_us, ids}]: the attack as eval --labels reads it
  attack_frames  [[first, count]]: which frames of the output, counted from 0, are the attacker's
  answer_frames  [[first, count]]: which are answers of honest ECUs to the attacker, and errors
  capture, output   paths
  frames       frames written
  problems     texts, with the place of each

The same capture, arguments and seed give the same bytes. Exit codes: see outrider-agent --help.";

/// Arguments of `inject`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Inject {
    /// Capture to attack: TRC, candump, ASC, pcap or pcapng, each also gzip-compressed.
    #[arg(value_name = "CAPTURE")]
    capture: PathBuf,
    /// Attack, one of the list below.
    #[arg(long, value_parser = attack)]
    attack: Attack,
    /// Where to write the attacked capture, as a TRC file.
    #[arg(short, long, value_name = "TRC")]
    output: PathBuf,
    /// Number that all random choices follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds from the first frame to the attack [default: two fifths of the capture].
    #[arg(long, value_parser = seconds, value_name = "S")]
    start: Option<u64>,
    /// Length of the attack in seconds [default: 5, or to the end of the capture].
    #[arg(long, value_parser = seconds, value_name = "S")]
    seconds: Option<u64>,
    /// Identifier to attack, hexadecimal [default: one that suits the attack].
    #[arg(long, value_parser = id, value_name = "HEX")]
    id: Option<CanId>,
    /// Frames (uds-bruteforce: keys) a second to add.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "HZ")]
    rate: Option<u32>,
    /// Leave checksums of a masquerade as they were.
    #[arg(long)]
    break_checks: bool,
    /// Where to write what was done, as JSON.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Number of the first bus in files that do not say.
    #[arg(long, default_value_t = 0, value_name = "BUS")]
    bus: u8,
    /// Print what was done as one JSON object.
    #[arg(long)]
    json: bool,
}

fn attack(argument: &str) -> Result<Attack, String> {
    let words: Vec<&str> = Attack::ALL.into_iter().map(Attack::word).collect();
    Attack::from_word(argument).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

fn id(argument: &str) -> Result<CanId, String> {
    let digits = argument.strip_prefix("0x").unwrap_or(argument);
    digits.parse().map_err(|error: outrider_bus::can::ParseCanIdError| error.to_string())
}

/// Reads decimal seconds as microseconds.
pub(super) fn seconds(argument: &str) -> Result<u64, String> {
    let value: f64 = argument.parse().map_err(|_| "expected seconds".to_owned())?;
    let duration = std::time::Duration::try_from_secs_f64(value).map_err(|error| error.to_string())?;
    u64::try_from(duration.as_micros()).map_err(|_| "too long".to_owned())
}

impl Inject {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let mut frames = Vec::new();
        let mut total = 0usize;
        let capture = read(&self.capture, BusId(self.bus), |frame| {
            total += 1;
            if total <= FRAMES_MAX {
                frames.push(*frame);
            }
        })?;
        if total > FRAMES_MAX {
            return Err(Failure::input(format!("{}: more than {FRAMES_MAX} frames", capture.path)));
        }
        let plan = AttackPlan {
            attack: self.attack,
            seed: self.seed,
            start_us: self.start,
            length_us: self.seconds,
            id: self.id,
            rate_hz: self.rate,
            breaks_checks: self.break_checks,
        };
        let stretch = Injector::new(&frames)
            .ok_or(InjectError::NoFrames)
            .and_then(|injector| injector.attack(&plan))
            .map_err(|error| Failure::input(format!("{}: {}", capture.path, chain(&error))))?;
        let (attacked, labels) = (stretch.applied(&frames), &stretch.labels);
        let start = capture.start.unwrap_or(UnixMicros(0));
        write_file(&self.output, |file| write_trc(file, start, &attacked))?;
        let problems = capture.problems();
        problems.iter().for_each(|problem| terminal.note(problem));
        let report = self.report(&stretch, attacked.len(), &problems);
        if let Some(path) = &self.labels {
            write_file(path, |file| writeln!(file, "{report:#}"))?;
        }
        let ids: Vec<String> = labels.ids.iter().map(ToString::to_string).collect();
        terminal.note(&format!(
            "{}: {} on {} from {} to {} µs, {} frames added, {} changed, {} taken away",
            self.output.display(),
            labels.attack.word(),
            ids.join(" and "),
            labels.start.0,
            labels.end.0,
            labels.injected,
            labels.altered,
            labels.removed
        ));
        if self.json {
            writeln!(terminal.out, "{report}")?;
        } else {
            writeln!(terminal.out, "{}", self.output.display())?;
        }
        Ok(())
    }

    fn report(&self, stretch: &Stretch, frames: usize, problems: &[String]) -> Value {
        let labels = &stretch.labels;
        let ids: Vec<String> = labels.ids.iter().map(ToString::to_string).collect();
        json!({
            "attack": labels.attack.word(),
            "seed": labels.seed,
            "bus": labels.bus.0,
            "ids": ids,
            "start_us": labels.start.0,
            "end_us": labels.end.0,
            "first_us": labels.first.0,
            "injected": labels.injected,
            "altered": labels.altered,
            "removed": labels.removed,
            "rate_hz": labels.rate_hz,
            "events": [{
                "class": labels.attack.class(),
                "start_us": labels.first.0,
                "end_us": labels.end.0,
                "ids": ids,
            }],
            "attack_frames": ranges(stretch, Truth::is_attack),
            "answer_frames": ranges(stretch, |truth| truth == Truth::Answer),
            "capture": self.capture.display().to_string(),
            "output": self.output.display().to_string(),
            "frames": frames,
            "problems": problems,
        })
    }
}

/// Runs of frames of one truth, as first index in the output and count.
fn ranges(stretch: &Stretch, is: impl Fn(Truth) -> bool) -> Vec<[usize; 2]> {
    let mut ranges: Vec<[usize; 2]> = Vec::new();
    for (index, _) in stretch.truth.iter().enumerate().filter(|(_, truth)| is(**truth)) {
        let index = stretch.from + index;
        match ranges.last_mut() {
            Some([first, count]) if *first + *count == index => *count += 1,
            _ => ranges.push([index, 1]),
        }
    }
    ranges
}
