//! `outrider-agent inject`.

use std::path::{Path, PathBuf};

use clap::Args;
use outrider_bus::can::CanId;
use outrider_types::{BusId, UnixMicros, VehicleMicros};
use serde_json::{Value, json};

use super::captures::{read, read_records};
use super::{Failure, Terminal, chain, write_file};
use crate::inject::scheduled::{self, ScheduledAttack, ScheduledPlan};
use crate::inject::{Attack, AttackPlan, InjectError, Injector, Stretch, Truth};
use crate::io::capture::{Record, write_scheduled, write_trc};
use crate::traffic::{FlexRayTraffic, LinTraffic};

/// Most frames of a capture that is attacked; it is held in memory, at 96 bytes a frame.
const FRAMES_MAX: usize = 20_000_000;

/// Static slots of a generated FlexRay cluster: a middle-sized one.
const GENERATED_SLOTS: u16 = 40;

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

On LIN and FlexRay (no recorded attacks are known; these do what their name says):
  lin-unknown, lin-second-master       headers with responses between the master's, of an identifier that no table has or
                                       of a known one
  lin-publisher, lin-collision, lin-silence   a slave's responses have another length, are damaged, or are gone
  lin-scan, lin-sleep, lin-wake-up     requests to all node addresses, commands to sleep, wake-up signals
  flexray-occupy, flexray-cycle        frames in a static slot, or in cycles of a shared one, that belong to nobody
  flexray-silence, flexray-length, flexray-flags   a slot's frames are gone, shorter, or pretend to be sync and startup
  flexray-errors, flexray-repeat       frames are damaged; a slot comes twice in a cycle
  none                                 nothing, to write clean generated traffic

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

Attacks on LIN and FlexRay have attack, seed, bus (as the capture counts it), events, attack_frames and problems, and
are written as pcapng. The same capture, arguments and seed give the same bytes. Exit codes: see outrider-agent --help.";

/// Arguments of `inject`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Inject {
    /// Capture to attack: TRC, candump, ASC, BLF, pcap or pcapng, each also gzip-compressed.
    #[arg(value_name = "CAPTURE", required_unless_present = "generate")]
    capture: Option<PathBuf>,
    /// Attack traffic that is generated, of `lin` or `flexray`, rather than a capture.
    #[arg(long, value_name = "BUS", conflicts_with = "capture", value_parser = ["lin", "flexray"])]
    generate: Option<String>,
    /// Length of the generated traffic in seconds.
    #[arg(long, value_parser = seconds, default_value = "120", value_name = "S")]
    generate_seconds: u64,
    /// Attack, one of the list below.
    #[arg(long, value_parser = attack)]
    attack: Choice,
    /// Where to write the attacked capture, as a TRC file; as pcapng for LIN and FlexRay.
    #[arg(short, long, value_name = "FILE")]
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

/// What may be put in.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// An attack on CAN.
    Can(Attack),
    /// An attack on LIN or FlexRay.
    Scheduled(ScheduledAttack),
    /// Nothing.
    None,
}

fn attack(argument: &str) -> Result<Choice, String> {
    if argument == "none" {
        return Ok(Choice::None);
    }
    if let Some(attack) = ScheduledAttack::from_word(argument) {
        return Ok(Choice::Scheduled(attack));
    }
    let scheduled = ScheduledAttack::ALL.iter().map(|attack| attack.word());
    let words: Vec<&str> =
        Attack::ALL.into_iter().map(Attack::word).chain(scheduled).chain(["none"]).collect();
    let found = Attack::from_word(argument).map(Choice::Can);
    found.ok_or_else(|| format!("expected one of {}", words.join(", ")))
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
        match self.attack {
            Choice::Can(attack) => self.can(attack, terminal),
            Choice::Scheduled(attack) => self.scheduled(Some(attack), terminal),
            Choice::None => self.scheduled(None, terminal),
        }
    }

    /// Reads or generates what is heard on LIN and FlexRay; returns where from, and problems.
    fn heard(&self) -> Result<(Vec<Record>, UnixMicros, Vec<String>), Failure> {
        let bus = BusId(self.bus);
        let within = |at: VehicleMicros| at.0 < self.generate_seconds;
        let generated: Vec<Record> = match (&self.capture, self.generate.as_deref()) {
            (None, Some("flexray")) => {
                let traffic = FlexRayTraffic::drawn(self.seed, bus, GENERATED_SLOTS);
                traffic.take_while(|one| within(one.at)).map(|one| Record::FlexRay(Box::new(one))).collect()
            }
            (None, _) => {
                let traffic = LinTraffic::drawn(self.seed, bus);
                traffic.take_while(|one| within(one.at)).map(Record::Lin).collect()
            }
            (Some(path), _) => {
                let mut records = Vec::new();
                let capture = read_records(path, bus, |record| {
                    if matches!(record, Record::Lin(_) | Record::FlexRay(_)) && records.len() < FRAMES_MAX {
                        records.push(record.clone());
                    }
                })?;
                return Ok((records, capture.start.unwrap_or(UnixMicros(0)), capture.problems()));
            }
        };
        Ok((generated, UnixMicros(0), Vec::new()))
    }

    fn scheduled(&self, attack: Option<ScheduledAttack>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let (records, start, problems) = self.heard()?;
        let refused = |error: InjectError| Failure::input(format!("no attack: {}", chain(&error)));
        let attacked = match attack {
            Some(attack) => {
                let plan =
                    ScheduledPlan { attack, seed: self.seed, start_us: self.start, length_us: self.seconds };
                Some(scheduled::attack(&records, &plan).map_err(refused)?)
            }
            None => None,
        };
        let written = attacked.as_ref().map_or(records.as_slice(), |attacked| attacked.records.as_slice());
        if written.is_empty() {
            return Err(refused(InjectError::NoFrames));
        }
        write_file(&self.output, |file| write_scheduled(file, start, written))?;
        problems.iter().for_each(|problem| terminal.note(problem));
        // Times of a pcapng file are counted from its first record.
        let base = written.first().map_or(0, |record| record.at().0);
        let since = |at: VehicleMicros| at.0.saturating_sub(base);
        let events: Vec<Value> = attack
            .zip(attacked.as_ref())
            .map(|(attack, done)| {
                json!({
                    "class": attack.word(),
                    "start_us": since(done.start),
                    "end_us": since(done.end),
                    "ids": [],
                })
            })
            .into_iter()
            .collect();
        let [injected, altered, removed] = attacked.as_ref().map_or([0; 3], |done| done.counts);
        let truth = attacked.as_ref().map_or(&[][..], |done| done.truth.as_slice());
        let report = json!({
            "attack": attack.map_or("none", ScheduledAttack::word),
            "seed": self.seed,
            "bus": attacked.as_ref().map_or(self.bus, |done| done.bus.0),
            "injected": injected,
            "altered": altered,
            "removed": removed,
            "events": events,
            "attack_frames": runs(truth.iter().enumerate().filter(|(_, is)| **is).map(|(index, _)| index)),
            "output": self.output.display().to_string(),
            "frames": written.len(),
            "problems": problems,
        });
        if let Some(path) = &self.labels {
            write_file(path, |file| writeln!(file, "{report:#}"))?;
        }
        let shown = if self.json { report.to_string() } else { self.output.display().to_string() };
        writeln!(terminal.out, "{shown}")?;
        Ok(())
    }

    fn can(&self, attack: Attack, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let Some(path) = &self.capture else {
            return Err(Failure::input("generated traffic is of LIN or FlexRay; CAN needs a capture"));
        };
        let mut frames = Vec::new();
        let mut total = 0usize;
        let capture = read(path, BusId(self.bus), |frame| {
            total += 1;
            if total <= FRAMES_MAX {
                frames.push(*frame);
            }
        })?;
        if total > FRAMES_MAX {
            return Err(Failure::input(format!("{}: more than {FRAMES_MAX} frames", capture.path)));
        }
        let plan = AttackPlan {
            attack,
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
        let report = self.report(path, &stretch, attacked.len(), &problems);
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

    fn report(&self, path: &Path, stretch: &Stretch, frames: usize, problems: &[String]) -> Value {
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
            "capture": path.display().to_string(),
            "output": self.output.display().to_string(),
            "frames": frames,
            "problems": problems,
        })
    }
}

/// Runs of frames of one truth, as first index in the output and count.
fn ranges(stretch: &Stretch, is: impl Fn(Truth) -> bool) -> Vec<[usize; 2]> {
    let of = stretch.truth.iter().enumerate().filter(|(_, truth)| is(**truth));
    runs(of.map(|(index, _)| stretch.from + index))
}

/// Runs of ascending numbers, as first and count.
fn runs(indices: impl Iterator<Item = usize>) -> Vec<[usize; 2]> {
    let mut ranges: Vec<[usize; 2]> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some([first, count]) if *first + *count == index => *count += 1,
            _ => ranges.push([index, 1]),
        }
    }
    ranges
}
