//! `outrider-agent replay`.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use clap::Args;
use outrider_bus::plca::Reading;
use outrider_ids::model::VehicleModel;
use outrider_ids::{FieldValue, Mode};
use outrider_model::catalogue;
use outrider_types::{BusId, Severity, VehicleMicros};
use serde_json::{Map, Value, json};

use super::captures::read_records;
use super::{Failure, Terminal, chain};
use crate::bench::{Nanos, Stopwatch};
use crate::edge::{Edge, Operation};
use crate::io::capture::Record;
use crate::io::plca;
use crate::net::{NetEdge, split_model};
use crate::replay::{Episodes, Replay as Session, ReplayEvent, ScheduledReplay};
use crate::scheduled::{ScheduledEdge, schedule_sections};

/// Largest model file: all buses and segments of the formats, full.
const MODEL_BYTES_MAX: u64 = 4 * 1024 * 1024;

const HELP: &str = "\
JSON fields of --json (one object, last line of standard output):
  frames       CAN frames replayed
  packets      Ethernet frames replayed
  lin, flexray  frames, faults and signals of LIN and FlexRay replayed; their buses are numbered from 64 and 96, and
               learned on the road where the model does not have them
  xl           CAN XL frames in the captures; they are counted, not judged
  flagged      of those of LIN and FlexRay, the ones that a detector held against the bus
  seconds      time they span, summed over the captures
  events       [{event_type, severity, at_us, severe_at_us, bus, can_id, count, first_us, last_us, fields, capture}]
               one a detected episode, repeats folded into count; times in microseconds since the capture
               began; at_us: when it was first reported, severe_at_us: when it reached its severity;
               can_id: hexadecimal text, 3 digits standard, 8 extended, or null; capture: index into captures
  by_severity  number of events (before --min-severity) by severity: info, low, medium, high, critical
  ns_per_frame_p50, ns_per_frame_p99, ns_per_frame_p999
               time of the detectors for one frame of either kind on this computer, less the time of reading the clock
  captures     [{path, frames, packets, xl, lin, flexray, problems, buses}]; buses: [{bus, mode, modes {mode: seconds},
               gated, habits {known, on_trial, refused, left_out}, detectors {detector: {alarms, withheld, left, over,
               demoted, alarmed_seconds}}}], mode: the last one; habits: identifiers whose payload is judged by the
               model, of which too little came to tell, whose traffic does not fit and is learned on the road, and
               records of the model about nothing here
  foreign_frames    frames on buses that the model does not have; they were not judged
  foreign_packets   the same for Ethernet frames
  dropped      events lost because a table was full
  clock_steps  steps back of a capture's clock that restarted the detectors
  problems     texts, with the place of each

Each capture is replayed for itself, as after a start of the vehicle. Exit codes: see outrider-agent --help.";

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Replay {
    /// Captures: TRC, candump, ASC, pcap or pcapng, each also gzip-compressed.
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Vehicle model, as `learn` writes it.
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// Number of the first bus in files that do not say.
    #[arg(long, default_value_t = 0, value_name = "BUS")]
    bus: u8,
    /// Leave out events below: info, low, medium, high or critical.
    #[arg(long, default_value = "info", value_parser = severity, value_name = "SEVERITY")]
    min_severity: Severity,
    /// End with code 4 if there is an event of at least this severity.
    #[arg(long, value_parser = severity, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// The vehicle is in a workshop: what diagnosis may change there is no event.
    #[arg(long)]
    workshop: bool,
    /// Readings of the 10BASE-T1S PHY of segment 128, one a line: seconds, node, nodes, 1 if synchronised else 0,
    /// unexpected beacons, early beacons, frames in one's own turn, collisions, symbol errors.
    #[arg(long, value_name = "FILE")]
    plca: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

fn severity(argument: &str) -> Result<Severity, String> {
    Severity::from_word(argument).ok_or_else(|| "expected info, low, medium, high or critical".to_owned())
}

/// What all captures came to.
#[derive(Debug, Default)]
struct Outcome {
    frames: u64,
    span_us: u64,
    events: Vec<(usize, ReplayEvent)>,
    captures: Vec<Value>,
    foreign: BTreeMap<BusId, u64>,
    packets: u64,
    xl: u64,
    lin: u64,
    flexray: u64,
    flagged: u64,
    foreign_packets: u64,
    dropped: u64,
    clock_steps: u64,
    problems: Vec<String>,
}

impl Replay {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let model = read_model(&self.model)?;
        let mut stopwatch = Stopwatch::new();
        let mut outcome = Outcome::default();
        for (index, path) in self.captures.iter().enumerate() {
            self.capture(index, path, &model, &mut stopwatch, &mut outcome)?;
        }
        let foreign: u64 = outcome.foreign.values().sum();
        let scheduled = outcome.lin + outcome.flexray;
        if foreign == outcome.frames && outcome.foreign_packets == outcome.packets && scheduled == 0 {
            let buses: Vec<String> = outcome.foreign.keys().map(|bus| bus.0.to_string()).collect();
            let packets = outcome.packets;
            let text = format!(
                "model has no bus of the captures (they have {}; {packets} Ethernet frames)",
                buses.join(", ")
            );
            return Err(Failure::input(text));
        }
        for (bus, frames) in &outcome.foreign {
            outcome.problems.push(format!("bus {}: not in the model, {frames} frames not judged", bus.0));
        }
        outcome.problems.iter().for_each(|problem| terminal.note(problem));
        let shown: Vec<&(usize, ReplayEvent)> =
            outcome.events.iter().filter(|(_, event)| event.severity >= self.min_severity).collect();
        for (_, event) in &shown {
            let line = describe(event);
            if self.json {
                terminal.note(&line);
            } else {
                writeln!(terminal.out, "{line}")?;
            }
        }
        let nanos = stopwatch.finish();
        terminal.note(&format!(
            "{} frames, {:.1} s, {} events, {} ns a frame (median)",
            outcome.frames + outcome.packets + scheduled,
            micros(outcome.span_us),
            outcome.events.len(),
            nanos.p50
        ));
        if self.json {
            writeln!(terminal.out, "{}", report(&outcome, &shown, &nanos))?;
        }
        let worst = outcome.events.iter().map(|(_, event)| event.severity).max();
        match (self.fail_on, worst) {
            (Some(limit), Some(worst)) if worst >= limit => {
                Err(Failure { code: 4, text: format!("found an event of severity {worst}") })
            }
            _ => Ok(()),
        }
    }

    fn readings(&self, outcome: &mut Outcome) -> Result<Vec<(VehicleMicros, Reading)>, Failure> {
        let Some(path) = &self.plca else { return Ok(Vec::new()) };
        let name = path.display();
        let read = std::fs::File::open(path).and_then(|file| plca::read(std::io::BufReader::new(file)));
        let read = read.map_err(|error| Failure::input(format!("{name}: {error}")))?;
        let first = read.refused.iter().take(10).map(|line| format!("{name}: line {line}: no reading"));
        outcome.problems.extend(first);
        Ok(read.readings)
    }

    fn capture(
        &self,
        index: usize,
        path: &Path,
        model: &[u8],
        stopwatch: &mut Stopwatch,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let (can, ethernet) = split_model(model);
        let refused =
            |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", self.model.display()));
        let mut session = match can {
            [] => None,
            can => {
                let mut edge = Edge::new(can).map_err(|error| refused(&error))?;
                edge.set_workshop(self.workshop);
                Some(Session::new(edge))
            }
        };
        let mut net = match ethernet {
            [] => None,
            ethernet => {
                let mut edge = NetEdge::new(ethernet).map_err(|error| refused(&error))?;
                edge.set_workshop(self.workshop);
                Some(NetSession { edge, episodes: Episodes::new(), readings: self.readings(outcome)?.into() })
            }
        };
        let mut scheduled = ScheduledReplay::new(ScheduledEdge::new(schedule_sections(can)));
        scheduled.edge.set_workshop(self.workshop);
        let known: Vec<BusId> =
            session.iter().flat_map(|session| session.edge().buses().collect::<Vec<_>>()).collect();
        let mut span = Span::default();
        let capture = read_records(path, BusId(self.bus), |record| {
            span.add(record.at());
            match record {
                Record::Can(frame) => {
                    outcome.frames += 1;
                    if !known.contains(&frame.bus) {
                        *outcome.foreign.entry(frame.bus).or_default() += 1;
                    }
                    if let Some(session) = &mut session {
                        session.pass_time(frame.at);
                        stopwatch.time(|| session.receive(frame));
                        if let (Some(net), Some(reading)) = (&mut net, session.edge().speed()) {
                            net.edge.observe_speed(reading);
                        }
                    }
                }
                Record::Ethernet { at, bus, bytes } => {
                    outcome.packets += 1;
                    match &mut net {
                        Some(net) => stopwatch.time(|| net.receive(*at, *bus, bytes)),
                        None => outcome.foreign_packets += 1,
                    }
                }
                Record::Lin(heard) => {
                    outcome.lin += 1;
                    let verdict = scheduled.tick(heard.at, |edge| stopwatch.time(|| edge.lin(heard)));
                    outcome.flagged += u64::from(verdict.is_flagged());
                }
                Record::FlexRay(heard) => {
                    outcome.flexray += 1;
                    let verdict = scheduled.tick(heard.at, |edge| stopwatch.time(|| edge.flexray(heard)));
                    outcome.flagged += u64::from(verdict.is_flagged());
                }
                Record::CanXl(_) => outcome.xl += 1,
            }
        })?;
        outcome.span_us += span.us();
        let mut buses = Vec::new();
        if let Some(session) = session {
            let (events, edge) = session.finish();
            buses.extend(edge.operations().map(|operation| operation_json(&operation)));
            for stats in edge.stats().values() {
                outcome.dropped += stats.dropped;
                outcome.clock_steps += stats.clock_steps;
            }
            outcome.events.extend(events.into_iter().map(|event| (index, event)));
        }
        if let Some(net) = net {
            let (events, edge) = net.finish();
            for stats in edge.stats().values() {
                outcome.dropped += stats.dropped;
                outcome.clock_steps += stats.clock_steps;
            }
            outcome.foreign_packets += edge.foreign();
            outcome.events.extend(events.into_iter().map(|event| (index, event)));
        }
        let (events, edge) = scheduled.finish();
        outcome.dropped += edge.states().map(|state| state.counts()[3]).sum::<u64>();
        outcome.events.extend(events.into_iter().map(|event| (index, event)));
        outcome.problems.extend(capture.problems());
        let mut json = capture.json();
        if let Some(object) = json.as_object_mut() {
            object.insert("buses".to_owned(), buses.into());
        }
        outcome.captures.push(json);
        Ok(())
    }
}

/// How a bus was operated, and what its detectors used of their budgets.
fn operation_json(operation: &Operation) -> Value {
    let modes = Mode::ALL.into_iter().zip(operation.time_us).filter(|(_, us)| *us > 0);
    let modes: Map<String, Value> =
        modes.map(|(mode, us)| (mode.word().to_owned(), micros(us).into())).collect();
    let detectors: Map<String, Value> = operation
        .used
        .iter()
        .map(|(kind, used)| {
            let account = json!({
                "alarms": used.alarms,
                "withheld": used.withheld,
                "left": used.left,
                "over": used.is_over,
                "demoted": used.is_demoted,
                "alarmed_seconds": micros(used.alarmed_us),
            });
            (kind.word().to_owned(), account)
        })
        .collect();
    json!({
        "bus": operation.bus.0,
        "mode": operation.mode.word(),
        "modes": modes,
        "gated": operation.gated,
        "habits": {
            "known": operation.habits.known,
            "on_trial": operation.habits.on_trial,
            "refused": operation.habits.refused,
            "left_out": operation.habits.left_out,
        },
        "detectors": detectors,
    })
}

/// First and latest time of a capture.
#[derive(Debug, Default)]
struct Span(Option<(VehicleMicros, VehicleMicros)>);

impl Span {
    fn add(&mut self, at: VehicleMicros) {
        let (first, last) = self.0.get_or_insert((at, at));
        *first = (*first).min(at);
        *last = (*last).max(at);
    }

    fn us(&self) -> u64 {
        self.0.map_or(0, |(first, last)| last.micros_since(first))
    }
}

/// Detectors of Ethernet segments over one capture.
struct NetSession {
    edge: NetEdge,
    episodes: Episodes,
    /// Readings of the PHY that are still to come.
    readings: VecDeque<(VehicleMicros, Reading)>,
}

impl NetSession {
    fn receive(&mut self, at: VehicleMicros, bus: BusId, bytes: &[u8]) {
        self.pass_time(at);
        self.edge.receive(at, bus, bytes);
        while let Some(observation) = self.edge.pop() {
            self.episodes.add(&observation);
        }
    }

    /// Takes the readings up to a time.
    fn pass_time(&mut self, to: VehicleMicros) {
        while let Some((at, reading)) = self.readings.pop_front_if(|(at, _)| *at <= to) {
            self.edge.line(at, BusId(0), reading);
        }
    }

    fn finish(mut self) -> (Vec<ReplayEvent>, NetEdge) {
        self.pass_time(VehicleMicros(u64::MAX));
        self.edge.finish();
        while let Some(observation) = self.edge.pop() {
            self.episodes.add(&observation);
        }
        (self.episodes.finish(), self.edge)
    }
}

pub(super) fn read_model(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let size = std::fs::metadata(path).map_err(|error| Failure::input(format!("{name}: {error}")))?.len();
    if size > MODEL_BYTES_MAX {
        return Err(Failure::input(format!("{name}: {size} bytes are no vehicle model")));
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    let (can, ethernet) = split_model(&bytes);
    if ethernet.is_empty() || !can.is_empty() {
        VehicleModel::parse(can).map_err(|error| Failure::input(format!("{name}: {}", chain(&error))))?;
    }
    Ok(bytes)
}

fn micros(us: u64) -> f64 {
    std::time::Duration::from_micros(us).as_secs_f64()
}

fn report(outcome: &Outcome, shown: &[&(usize, ReplayEvent)], nanos: &Nanos) -> Value {
    let mut by_severity: Map<String, Value> = Map::new();
    for severity in Severity::ALL {
        let count = outcome.events.iter().filter(|(_, event)| event.severity == severity).count();
        by_severity.insert(severity.word().to_owned(), count.into());
    }
    json!({
        "frames": outcome.frames,
        "packets": outcome.packets,
        "xl": outcome.xl,
        "lin": outcome.lin,
        "flexray": outcome.flexray,
        "flagged": outcome.flagged,
        "seconds": micros(outcome.span_us),
        "events": shown.iter().map(|(index, event)| event_json(*index, event)).collect::<Vec<_>>(),
        "by_severity": by_severity,
        "ns_per_frame_p50": nanos.p50,
        "ns_per_frame_p99": nanos.p99,
        "ns_per_frame_p999": nanos.p999,
        "captures": outcome.captures,
        "foreign_frames": outcome.foreign.values().sum::<u64>(),
        "foreign_packets": outcome.foreign_packets,
        "dropped": outcome.dropped,
        "clock_steps": outcome.clock_steps,
        "problems": outcome.problems,
    })
}

fn event_name(event: &ReplayEvent) -> String {
    let known = catalogue::event_type(event.event_type);
    known.map_or_else(|| event.event_type.0.to_string(), |known| known.name.to_owned())
}

fn fields_json(event: &ReplayEvent) -> Map<String, Value> {
    let fields = event.fields.iter().map(|(key, value)| {
        let name = catalogue::field(key).map_or_else(|| key.0.to_string(), |field| field.name.to_owned());
        let value = match value {
            FieldValue::Int(value) => Value::from(value),
            FieldValue::Bool(value) => Value::from(value),
            FieldValue::Text(value) => Value::from(value),
            FieldValue::Ip(address) => Value::from(address.to_string()),
            FieldValue::Mac(address) => Value::from(address.to_string()),
        };
        (name, value)
    });
    fields.collect()
}

pub(super) fn event_json(capture: usize, event: &ReplayEvent) -> Value {
    json!({
        "event_type": event_name(event),
        "severity": event.severity.word(),
        "at_us": event.at.0,
        "severe_at_us": event.severe_at.0,
        "bus": event.bus.0,
        "can_id": event.can_id.map(|id| id.to_string()),
        "count": event.count,
        "first_us": event.first.0,
        "last_us": event.last.0,
        "fields": fields_json(event),
        "capture": capture,
    })
}

fn describe(event: &ReplayEvent) -> String {
    let id = event.can_id.map(|id| format!(" id {id}")).unwrap_or_default();
    let fields = Value::from(fields_json(event));
    format!(
        "{:>12.6} s  {:8} {:32} bus {}{id}  x{} until {:.6} s  {fields}",
        micros(event.at.0),
        event.severity.word(),
        event_name(event),
        event.bus.0,
        event.count,
        micros(event.last.0)
    )
}
