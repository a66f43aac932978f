//! `outrider-agent eval`.

use std::path::PathBuf;

use clap::Args;
use outrider_bus::can::TimedFrame;
use outrider_types::BusId;

use super::captures::read;
use super::{Failure, Terminal, chain};
use crate::eval::{Bench, Settings, report};

/// Most frames of one capture; it is held in memory, at 96 bytes a frame.
const FRAMES_MAX: usize = 20_000_000;

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
  confidence   texts: what the length of the clean traffic can support
  thresholds   the threshold for each rate: the lowest at which no origin has more false alarms
  curve        [{score, false_alarms_per_hour, recall, recall_masquerade}] over all scores
  captures     [{capture, frames, seconds, vehicle, id_share, warm_up_seconds, warm_up_alarms, clean_seconds,
               alarm_duty_cycle, false_alarms [{at_us, event_type, can_id, score}], skipped}]
  problems     texts, with the place of each

Protocol: captures of --train are learned from. A capture of --clean that shares most identifiers with one of them
is of a known vehicle; any other vehicle is unknown and learned from the beginning of its own capture alone (the
warm-up), which is not judged. Behind it, attacks of every class are put into copies of the capture, each judged
for itself; the capture as it is gives the false alarms. An event is found if an alarm opens from its start to a
second after its end that the clean capture does not raise too. Exit codes: see outrider-agent --help.";

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Eval {
    /// Captures of ordinary traffic to learn from; may be of several vehicles.
    #[arg(long, num_args = 1.., value_name = "CAPTURE")]
    train: Vec<PathBuf>,
    /// Captures of ordinary traffic to judge on, of known or unknown vehicles.
    #[arg(long, num_args = 1.., required = true, value_name = "CAPTURE")]
    clean: Vec<PathBuf>,
    /// Number that all attacks follow from.
    #[arg(long, default_value_t = 1, value_name = "N")]
    attack_seed: u64,
    /// Attacks of each class in each clean capture.
    #[arg(long, default_value_t = 4, value_name = "N")]
    events: u32,
    /// Seconds from which an unknown vehicle is learned [default: a third of the capture, at most 60].
    #[arg(long, value_parser = super::inject::seconds, value_name = "S")]
    warm_up: Option<u64>,
    /// Number of the first bus in files that do not say.
    #[arg(long, default_value_t = 0, value_name = "BUS")]
    bus: u8,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let mut problems = Vec::new();
        let settings =
            Settings { seed: self.attack_seed, events_per_class: self.events, warm_up_us: self.warm_up };
        let mut bench = Bench::new(settings);
        for path in &self.train {
            let (name, frames) = self.frames(path, &mut problems)?;
            terminal.note(&format!("{name}: {} frames to learn from", frames.len()));
            bench.train(&frames);
        }
        bench.close_training().map_err(|error| Failure::input(chain(&error)))?;
        for path in &self.clean {
            let (name, frames) = self.frames(path, &mut problems)?;
            terminal.note(&format!("{name}: {} frames to judge on", frames.len()));
            bench
                .clean(&name, &frames)
                .map_err(|error| Failure::input(format!("{name}: {}", chain(&error))))?;
        }
        problems.iter().for_each(|problem| terminal.note(problem));
        let outcome = bench.finish();
        let mut object = report::report(&outcome, None);
        object.insert("problems".into(), problems.into());
        report::lines(&object).iter().for_each(|line| terminal.note(line));
        if self.json {
            writeln!(terminal.out, "{}", serde_json::Value::from(object))?;
        }
        Ok(())
    }

    fn frames(
        &self,
        path: &std::path::Path,
        problems: &mut Vec<String>,
    ) -> Result<(String, Vec<TimedFrame>), Failure> {
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
        problems.extend(capture.problems());
        Ok((capture.path, frames))
    }
}
