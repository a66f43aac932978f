//! `outrider-agent eval`.

use std::path::{Path, PathBuf};

use clap::Args;
use outrider_bus::can::TimedFrame;
use outrider_types::{BusId, Seed, UnixMicros};

use super::captures::read_all;
use super::{Failure, Terminal, chain, write_file};
use crate::eval::labels::{LABEL_BYTES_MAX, LabelFile, Truths};
use crate::eval::{Bench, Settings, Simulated, html, report, simulate, stand_ins};
use crate::io::capture::Record;
use crate::scheduled::{ScheduleSections, ScheduledEdge};
use crate::traffic::{Platform, drive};

/// Most frames of one capture; it is held in memory, at 96 bytes a frame.
const FRAMES_MAX: usize = 20_000_000;

/// Branch of the seed for generated drives.
const DRIVES: u64 = 0x4472_6976;
/// Branch of a drive's seed for the life that its platform is learned from.
const LEARNED: u64 = 0x4C65_6172;
/// Longest simulation: a year, in microseconds.
const HOURS_US_MAX: u64 = 366 * 24 * 3600 * 1_000_000;

const HELP: &str = "\
JSON fields of --json (one object, last line of standard output):
  classes      [{name, events, detected, recall, recall_at_fa_per_hour {1, 5, 10}, delay_ms_p50, delay_ms_p95,
               located, frames {precision, recall, f1, fpr}}]: one a class of attack
  masquerade   the same over all masquerades together
  known_vehicle, unknown_vehicle  {captures, coarse, masquerade, all}: the same by whether training had the
               vehicle; coarse: fabrication, suspension, flood and fuzzing
  delay_ms_p50, delay_ms_p95   over all events found
  frame_precision, frame_recall, frame_f1, frame_fpr
               frame by frame, over all attacks that add or change frames, and the clean traffic
  clean_hours, false_alarms, false_alarms_per_hour  at the alarm threshold (severity medium)
  recorded, simulated  the clean traffic by its origin, with the upper limit at 95 % confidence and the share of
               time during which an alarm was open
               modes {mode: {clean_hours, false_alarms}}: recorded as the detectors told them (sleep, start-up, awake,
               standing, driving, charging, workshop, flashing), simulated as they were, with told_hours {mode: hours}
               budget {detectors {detector: {alarms, withheld, alarmed_seconds}}, gated}
               simulated also: frames, platforms, first_false_alarms (at most 100)
  confidence   texts: what the length of the clean traffic can support
  thresholds   the threshold for each rate: the lowest at which no origin has more false alarms
  curve        [{score, false_alarms_per_hour, recall, recall_masquerade}] over all scores
  captures     [{capture, frames, seconds, vehicle, id_share, warm_up_seconds, warm_up_alarms, clean_seconds,
               alarm_duty_cycle, false_alarms [{at_us, event_type, can_id, mode, score}], skipped, labelled_events}]
  problems     texts, with the place of each

Labels come with the capture (a CSV column or the last word of a line) or from --labels, JSON or CSV:
  intervals    JSON objects with start and end, perhaps class, ids and capture (or below the capture's name):
               {\"events\": [{\"class\": \"replay\", \"start_us\": 4000000, \"end_us\": 9000000, \"ids\": [\"1A0\"]}]}
               or lines start,end[,class] with or without a header naming start, end, class, ids, capture.
               Times: _s, _ms, _us or _ns in the name; otherwise the unit is the one that fits the capture, since
               it began or since 1970. Identifiers: hexadecimal text, or JSON numbers
  frames       one label a frame in order: a JSON list, or a line each, perhaps below a header. Ordinary: 0, R,
               normal, benign, none, false; attack: 1, T, attack, true, or the name of its class
  inject       what inject --labels writes

Protocol: captures of --train are learned from. A capture of --clean that shares most identifiers with one of them
is of a known vehicle; any other vehicle is unknown and learned from the beginning of its own capture alone (the
warm-up), which is not judged. Behind it, attacks of every class are put into copies of the capture, each judged
for itself; the capture as it is gives the false alarms. An event is found if an alarm opens from its start to a
second after its end that the clean capture does not raise too. What a capture has of LIN and FlexRay is a row of its
own: learned from its own beginning, judged by its labels, no attacks put in (inject writes captures with labels).
Exit codes: see outrider-agent --help.";

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Eval {
    /// Captures of ordinary traffic to learn from; may be of several vehicles.
    #[arg(long, num_args = 1.., value_name = "CAPTURE")]
    train: Vec<PathBuf>,
    /// Captures of ordinary traffic to judge on, of known or unknown vehicles.
    #[arg(long, num_args = 1.., required_unless_present_any = ["labelled", "simulate_hours", "generated_drives"], value_name = "CAPTURE")]
    clean: Vec<PathBuf>,
    /// Captures that carry attacks, with labels in them or in --labels.
    #[arg(long, num_args = 1.., value_name = "CAPTURE")]
    labelled: Vec<PathBuf>,
    /// Labels of captures; a file may be about several.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    labels: Vec<PathBuf>,
    /// Number that all attacks follow from.
    #[arg(long, default_value_t = 1, value_name = "N")]
    attack_seed: u64,
    /// Attacks of each class in each clean capture.
    #[arg(long, default_value_t = 4, value_name = "N")]
    events: u32,
    /// Seconds from which an unknown vehicle is learned [default: a third of the capture, at most 60].
    #[arg(long, value_parser = super::inject::seconds, value_name = "S")]
    warm_up: Option<u64>,
    /// Hours of generated traffic to judge on too, through all operating modes of several drawn platforms.
    #[arg(long, value_parser = hours, value_name = "H")]
    simulate_hours: Option<u64>,
    /// Platforms that these hours are spread over.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64), value_name = "N")]
    platforms: u32,
    /// Generated drives to judge on like captures of --clean, each of another drawn platform.
    #[arg(long, default_value_t = 0, value_name = "N")]
    generated_drives: u32,
    /// Length of each of them in seconds.
    #[arg(long, value_parser = super::inject::seconds, default_value = "75", value_name = "S")]
    drive_seconds: u64,
    /// Hours of life of each of their platforms to learn from, in another seed; without it they are unknown vehicles.
    #[arg(long, value_parser = hours, requires = "generated_drives", value_name = "H")]
    learned_hours: Option<u64>,
    /// Learn models without habits of payloads, to see what these are worth.
    #[arg(long)]
    without_habits: bool,
    /// Number of the first bus in files that do not say.
    #[arg(long, default_value_t = 0, value_name = "BUS")]
    bus: u8,
    /// Where to write the result as a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads decimal hours as microseconds.
fn hours(argument: &str) -> Result<u64, String> {
    let hours: f64 = argument.parse().map_err(|_| "expected hours".to_owned())?;
    let duration =
        std::time::Duration::try_from_secs_f64(hours * 3600.0).map_err(|error| error.to_string())?;
    let us = u64::try_from(duration.as_micros()).ok().filter(|us| *us <= HOURS_US_MAX);
    us.ok_or_else(|| "more than a year".to_owned())
}

/// A capture in memory.
struct Loaded {
    name: String,
    frames: Vec<TimedFrame>,
    start: Option<UnixMicros>,
    /// What the capture says of each of its frames; empty if it says nothing of any.
    labels: Vec<Option<String>>,
    /// What was heard on LIN and FlexRay.
    scheduled: Vec<Record>,
}

impl Loaded {
    fn is_attacked(&self) -> bool {
        self.labels.iter().any(Option::is_some)
    }

    fn truths(&self) -> Truths {
        Truths::of_frames(&self.frames, self.labels.iter().map(|label| Some(label.as_deref())))
    }
}

impl Eval {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let mut problems = Vec::new();
        let settings = Settings {
            seed: self.attack_seed,
            events_per_class: self.events,
            warm_up_us: self.warm_up,
            habits: !self.without_habits,
        };
        let labels = self.labels.iter().map(|path| label_file(path)).collect::<Result<Vec<_>, _>>()?;
        let mut bench = Bench::new(settings);
        for path in &self.train {
            let mut capture = self.load(path, &mut problems)?;
            if capture.is_attacked() {
                problems.push(format!("{}: attacked frames left out of training", capture.name));
                let mut labels = capture.labels.iter();
                capture.frames.retain(|_| labels.next().is_none_or(Option::is_none));
            }
            terminal.note(&format!("{}: {} frames to learn from", capture.name, capture.frames.len()));
            bench.train(&capture.frames);
        }
        for (number, seed) in self.drawn() {
            let Some(length_us) = self.learned_hours else { break };
            terminal.note(&format!("generated drive {number}: its platform is learned"));
            bench.train_life(&Platform::drawn(seed), Seed::new(seed).fork(LEARNED).next_u64(), length_us);
        }
        bench.close_training().map_err(|error| Failure::input(chain(&error)))?;
        for path in self.clean.iter().chain(&self.labelled) {
            let capture = self.load(path, &mut problems)?;
            let (frames, heard) = (capture.frames.len(), capture.scheduled.len());
            terminal.note(&format!("{}: {} frames to judge on", capture.name, frames + heard));
            let is_labelled = self.labelled.contains(path) || capture.is_attacked();
            self.scheduled(&capture, is_labelled, &labels, &mut bench)?;
            if !capture.frames.is_empty() || capture.scheduled.is_empty() {
                self.judge(&capture, is_labelled, &labels, &mut bench, &mut problems)?;
            }
        }
        self.drives(&mut bench, &mut problems, terminal);
        problems.iter().for_each(|problem| terminal.note(problem));
        let outcome = bench.finish();
        if outcome.captures.is_empty() && self.simulate_hours.is_none() {
            return Err(Failure::input("none of the captures can be judged"));
        }
        let simulated = self.simulated(terminal)?;
        let mut object = report::report(&outcome, simulated.as_ref());
        object.insert("problems".into(), problems.into());
        report::lines(&object).iter().for_each(|line| terminal.note(line));
        if let Some(path) = &self.html {
            let page = html::page(&outcome, &object);
            write_file(path, |file| file.write_all(page.as_bytes()))?;
        }
        if self.json {
            writeln!(terminal.out, "{}", serde_json::Value::from(object))?;
        }
        Ok(())
    }

    /// Numbers and seeds of the generated drives asked for.
    fn drawn(&self) -> impl Iterator<Item = (u32, u64)> + use<> {
        let seed = Seed::new(self.attack_seed).fork(DRIVES);
        (1..=self.generated_drives).map(move |number| (number, seed.fork(number.into()).next_u64()))
    }

    /// Judges the generated drives asked for.
    fn drives(&self, bench: &mut Bench, problems: &mut Vec<String>, terminal: &mut Terminal<'_>) {
        for (number, seed) in self.drawn() {
            let frames = drive(&Platform::drawn(seed), seed, self.drive_seconds);
            let name = format!("generated drive {number}");
            terminal.note(&format!("{name}: {} frames to judge on", frames.len()));
            let judged = bench.clean(&name, &frames);
            problems.extend(judged.err().map(|error| format!("{name}: not judged: {}", chain(&error))));
        }
    }

    /// Lives through the hours asked for.
    fn simulated(&self, terminal: &mut Terminal<'_>) -> Result<Option<Simulated>, Failure> {
        let Some(length_us) = self.simulate_hours else { return Ok(None) };
        let mut told = 0;
        let mut progress = |done_us: u64| {
            // One line for every tenth.
            let tenth = done_us.saturating_mul(10) / length_us.max(1);
            if tenth > told {
                told = tenth;
                terminal.note(&format!(
                    "simulated {} of {} minutes",
                    done_us / 60_000_000,
                    length_us / 60_000_000
                ));
            }
        };
        let simulated =
            simulate(self.attack_seed, length_us, self.platforms, !self.without_habits, &mut progress);
        simulated.map(Some).map_err(|error| Failure::input(format!("simulated traffic: {}", chain(&error))))
    }

    /// Judges what a capture has of LIN and FlexRay: by the labels that are about it, or as clean traffic.
    fn scheduled(
        &self,
        capture: &Loaded,
        is_labelled: bool,
        labels: &[(String, LabelFile)],
        bench: &mut Bench,
    ) -> Result<(), Failure> {
        if capture.scheduled.is_empty() {
            return Ok(());
        }
        let name = &capture.name;
        let may_be = is_labelled || self.labelled.is_empty() && self.clean.len() == 1;
        let about = |file: &LabelFile| file.names(name) || may_be && file.is_about(name);
        let truths = match labels.iter().find(|(_, file)| about(file)) {
            Some((path, file)) => file
                .resolve(name, &stand_ins(&capture.scheduled), capture.start)
                .map_err(|error| Failure::input(format!("{path}: {name}: {}", chain(&error))))?,
            None if is_labelled && capture.frames.is_empty() => {
                return Err(Failure::input(format!("{name}: none of --labels is about it")));
            }
            None => Truths::default(),
        };
        let edge = ScheduledEdge::new(ScheduleSections::default());
        bench.scheduled(name, &capture.scheduled, edge, &truths);
        Ok(())
    }

    /// Judges one capture: by its labels if it has any, else with attacks put in.
    fn judge(
        &self,
        capture: &Loaded,
        is_labelled: bool,
        labels: &[(String, LabelFile)],
        bench: &mut Bench,
        problems: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let name = &capture.name;
        // One capture that offers nothing does not cost the others; it is named among the problems.
        let not_judged = |error: &dyn std::error::Error| format!("{name}: not judged: {}", chain(error));
        // A file that names no capture is about those of --labelled, or the only one there is.
        let may_be = is_labelled || self.labelled.is_empty() && self.clean.len() == 1;
        let about = |file: &LabelFile| file.names(name) || may_be && file.is_about(name);
        if let Some((path, file)) = labels.iter().find(|(_, file)| about(file)) {
            let truths = file
                .resolve(name, &capture.frames, capture.start)
                .map_err(|error| Failure::input(format!("{path}: {name}: {}", chain(&error))))?;
            let judged = bench.labelled(name, &capture.frames, &truths);
            problems.extend(judged.err().map(|error| not_judged(&error)));
            return Ok(());
        }
        if capture.is_attacked() || is_labelled && !capture.labels.is_empty() {
            if self.clean.iter().any(|path| path.display().to_string() == *name) {
                problems.push(format!("{name}: carries labelled attacks, judged by them"));
            }
            let judged = bench.labelled(name, &capture.frames, &capture.truths());
            problems.extend(judged.err().map(|error| not_judged(&error)));
            return Ok(());
        }
        if is_labelled {
            return Err(Failure::input(format!("{name}: no labels in it, and none of --labels is about it")));
        }
        problems.extend(bench.clean(name, &capture.frames).err().map(|error| not_judged(&error)));
        Ok(())
    }

    fn load(&self, path: &Path, problems: &mut Vec<String>) -> Result<Loaded, Failure> {
        let (mut frames, mut labels, mut scheduled) = (Vec::new(), Vec::new(), Vec::new());
        let mut total = 0usize;
        let capture = read_all(path, BusId(self.bus), |record, label| {
            let frame = match record {
                Record::Can(frame) => frame,
                Record::Lin(_) | Record::FlexRay(_) => {
                    total += 1;
                    if total <= FRAMES_MAX {
                        scheduled.push(record.clone());
                    }
                    return;
                }
                Record::CanXl(_) | Record::Ethernet { .. } => return,
            };
            total += 1;
            if total <= FRAMES_MAX {
                frames.push(*frame);
                if label.is_some() {
                    labels.resize(frames.len() - 1, None);
                    labels.push(label.flatten().map(str::to_owned));
                }
            }
        })?;
        if total > FRAMES_MAX {
            return Err(Failure::input(format!("{}: more than {FRAMES_MAX} frames", capture.path)));
        }
        if total == 0 {
            return Err(Failure::input(format!(
                "{}: capture contains no frames of CAN, LIN or FlexRay",
                capture.path
            )));
        }
        if !labels.is_empty() {
            labels.resize(frames.len(), None);
        }
        problems.extend(capture.problems());
        Ok(Loaded { start: capture.start, name: capture.path, frames, labels, scheduled })
    }
}

/// Reads one file of labels.
fn label_file(path: &Path) -> Result<(String, LabelFile), Failure> {
    let name = path.display().to_string();
    let failed = |text: String| Failure::input(format!("{name}: {text}"));
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > LABEL_BYTES_MAX {
        return Err(failed(format!("{size} bytes are too many for labels")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let file = LabelFile::parse(&bytes).map_err(|error| failed(chain(&error)))?;
    Ok((name, file))
}
