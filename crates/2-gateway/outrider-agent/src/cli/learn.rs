//! `outrider-agent learn`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use outrider_bus::ether::IpAddress;
use outrider_ids::ethernet::model::{Service, TesterFact};
use outrider_ids::model::protection::ProtectedFrame;
use outrider_ids::model::{CycleClass, ModelHead, Text};
use outrider_types::BusId;
use serde_json::{Value, json};

use super::captures::read_records;
use super::model::sign_with;
use super::{Failure, Terminal, chain, write_file};
use crate::io::capture::Record;
use crate::io::dbc::DbcModel;
use crate::io::network::{self, Format};
use crate::learn::ethernet::{EthernetLearner, LearnedEthernet, SegmentSummary};
use crate::learn::scheduled::{ScheduleLearner, ScheduledSummary};
use crate::learn::{BusSummary, Learned, Learner};

const HELP: &str = "\
JSON fields of --json (one object, last line of standard output):
  model        path of the model
  model_bytes  its size
  frames       CAN frames learned from
  packets      Ethernet frames learned from
  seconds      time learned from, summed over the captures
  platform, release  as given
  signed       whether it was signed
  captures     [{path, frames, packets, problems}]
  buses        [{bus, ids, periodic, mixed, event, listed, steady, pairs, protected, payloads, compared, lines,
               rate_hz, rate_max_hz, speed_signal}]
               periodic, mixed, event: by how they come; listed: known, but too rare to tell
               steady: identifiers whose stop will be noticed; pairs: diagnostic requests with answers
               protected: frames whose E2E or SecOC protection, as a description states it, is checked
               payloads: identifiers whose payload is taken apart; compared: numbers in them that are compared with
               each other; lines: how often one follows from another
  segments     [{bus, closed, hosts, ethertypes, vlans, bindings, services, subscriptions, methods, testers, flows}]
               Ethernet segments, numbered from 128: how many of each the model lists; closed: the same stations
               in every capture, so that a new one is an event
  scheduled    [{bus, name, medium, frames, tables, static_slots}]: LIN buses, numbered from 64, and FlexRay clusters,
               from 96, in the order of the descriptions; frames: LIN frames or FlexRay slots
  heard        frames of LIN and FlexRay in the captures; the vehicle learns these buses on the road where no
               description has them
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
    /// Diagnostic tester that is welcome on the first Ethernet segment, seen or not: its logical address in hexadecimal
    /// and its IP address, as in 0E80@10.0.0.3; may be given several times.
    #[arg(long, value_name = "ADDRESS@IP", value_parser = tester)]
    tester: Vec<TesterFact>,
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
    /// Sign the model with this secret Ed25519 key: PKCS#8 as PEM or DER, readable for its owner only.
    #[arg(long, value_name = "SECRET")]
    sign_key: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

fn text(argument: &str) -> Result<Text, String> {
    Text::new(argument).ok_or_else(|| format!("longer than {} bytes, or control characters", Text::BYTES_MAX))
}

fn tester(argument: &str) -> Result<TesterFact, String> {
    let (address, ip) = argument.split_once('@').ok_or("expected ADDRESS@IP")?;
    let address = u16::from_str_radix(address.trim_start_matches("0x"), 16)
        .map_err(|_| "expected up to four hexadecimal digits in front of @")?;
    let ip = match ip.parse().map_err(|_| "expected an IP address behind @")? {
        IpAddr::V4(ip) => IpAddress::V4(ip.octets()),
        IpAddr::V6(ip) => IpAddress::V6(ip.octets()),
    };
    Ok(TesterFact { address, ip })
}

impl Learn {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let head = ModelHead { platform: self.platform, release: self.release, ..ModelHead::default() };
        let mut learner = Learner::new(head);
        let mut ethernet = EthernetLearner::new(head);
        let mut problems = Vec::new();
        let mut schedules = ScheduleLearner::default();
        let mut offers = 0;
        let given = [
            (&self.dbc, Format::Dbc),
            (&self.arxml, Format::Arxml),
            (&self.fibex, Format::Fibex),
            (&self.ldf, Format::Ldf),
        ];
        for (paths, format) in given {
            for path in paths {
                let mut described = describe_network(path, format, &mut schedules, terminal)?;
                problems.append(&mut described.problems);
                learner.add_protections(&described.protected);
                learner.add_database(described.can);
                offers += described.offers.len();
                described.offers.into_iter().for_each(|offer| ethernet.allow_service(BusId(0), offer));
            }
        }
        problems.extend(schedules.problems().iter().cloned());
        learner.add_schedules(&schedules);
        let mut heard = 0u64;
        for tester in &self.tester {
            ethernet.allow_tester(BusId(0), *tester);
        }
        let mut captures = Vec::new();
        for path in &self.captures {
            let capture = read_records(path, BusId(self.bus), |record| match record {
                Record::Can(frame) => learner.add(frame),
                Record::Ethernet { at, bus, bytes } => ethernet.add(*at, *bus, bytes),
                Record::Lin(_) | Record::FlexRay(_) => heard += 1,
                // Nothing about CAN XL is learned yet.
                Record::CanXl(_) => {}
            })?;
            learner.end_capture();
            ethernet.end_capture();
            let (frames, packets) = (capture.frames, capture.packets);
            terminal.note(&format!("{}: {frames} CAN frames, {packets} Ethernet frames", capture.path));
            problems.extend(capture.problems());
            captures.push(capture.json());
        }
        if offers > 0 && ethernet.frames() == 0 {
            problems
                .push(format!("{offers} service offers are left out: the captures have no Ethernet frame"));
        }
        let result = Outcome::new(learner, ethernet, &schedules)?;
        for bus in result.buses() {
            problems.extend(bus.problems.iter().map(|problem| format!("bus {}: {problem}", bus.facts.bus.0)));
        }
        for segment in result.segments() {
            let bus = segment.facts.bus.0;
            problems.extend(segment.problems.iter().map(|problem| format!("segment {bus}: {problem}")));
        }
        let mut bytes = result.parts().collect::<Vec<_>>().concat();
        if let Some(key) = &self.sign_key {
            sign_with(&mut bytes, key, terminal)?;
        }
        write_file(&self.output, |file| file.write_all(&bytes))?;
        problems.iter().for_each(|problem| terminal.note(problem));
        result.buses().iter().for_each(|bus| terminal.note(&describe(bus)));
        result.segments().iter().for_each(|segment| terminal.note(&describe_segment(segment)));
        let scheduled = schedules.summaries();
        scheduled.iter().for_each(|bus| terminal.note(&describe_scheduled(bus)));
        if self.json {
            let mut report = self.report(&result, bytes.len(), &captures, &problems);
            report["scheduled"] = scheduled.iter().map(scheduled_json).collect();
            report["heard"] = heard.into();
            writeln!(terminal.out, "{report}")?;
        } else {
            writeln!(terminal.out, "{}", self.output.display())?;
        }
        Ok(())
    }

    fn report(&self, result: &Outcome, model_bytes: usize, captures: &[Value], problems: &[String]) -> Value {
        let heads = [result.can.as_ref().map(|can| can.head), result.ethernet.as_ref().map(|part| part.head)];
        let sum = |of: fn(&ModelHead) -> u64| heads.iter().flatten().map(of).sum::<u64>();
        json!({
            "model": self.output.display().to_string(),
            "model_bytes": model_bytes,
            "frames": heads[0].map_or(0, |head| head.learned_frames),
            "packets": heads[1].map_or(0, |head| head.learned_frames),
            "seconds": seconds(sum(|head| head.learned_ms)),
            "platform": self.platform.as_str(),
            "release": self.release.as_str(),
            "signed": self.sign_key.is_some(),
            "captures": captures,
            "buses": result.buses().iter().map(bus_json).collect::<Vec<_>>(),
            "segments": result.segments().iter().map(segment_json).collect::<Vec<_>>(),
            "problems": problems,
        })
    }
}

/// What a model takes of a network description.
struct Described {
    can: DbcModel,
    protected: Vec<ProtectedFrame>,
    offers: Vec<Service>,
    /// What is to be said of it.
    problems: Vec<String>,
}

/// Reads a network description.
fn describe_network(
    path: &Path,
    format: Format,
    schedules: &mut ScheduleLearner,
    terminal: &mut Terminal<'_>,
) -> Result<Described, Failure> {
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
    let (protections, offered) = (description.protected(), description.offered());
    let left_out = protections.left_out.iter().chain(&offered.left_out);
    problems.extend(left_out.map(|one| format!("{name}: left out: {one}")));
    let passed: u64 = description.not_understood.values().map(|one| one.count).sum();
    let all = description.frames.len();
    let before = schedules.summaries().len();
    schedules.add(&description);
    let is_scheduled = schedules.summaries().len() > before;
    let can = description.into_can();
    terminal.note(&format!(
        "{name}: {} CAN messages of {all} frames, {} protected, {} service offers; {passed} elements not understood \
         (outrider-agent describe)",
        can.messages.len(),
        protections.frames.len(),
        offered.offers.len(),
    ));
    if can.messages.is_empty() && offered.offers.is_empty() && !is_scheduled {
        problems.push(format!(
            "{name}: has no CAN frame, LIN bus, FlexRay cluster or service offer, so the model takes nothing from it"
        ));
    }
    Ok(Described { can, protected: protections.frames, offers: offered.offers, problems })
}

/// What was learned: a model of CAN buses, one of Ethernet segments, or both, one behind the other in the file.
struct Outcome {
    can: Option<Learned>,
    ethernet: Option<LearnedEthernet>,
}

impl Outcome {
    fn new(
        learner: Learner,
        ethernet: EthernetLearner,
        schedules: &ScheduleLearner,
    ) -> Result<Self, Failure> {
        let ethernet = if ethernet.frames() > 0 {
            Some(ethernet.finish().map_err(|error| Failure::input(chain(&error)))?)
        } else {
            None
        };
        let can = if learner.frames() > 0 || !schedules.is_empty() || ethernet.is_none() {
            Some(learner.finish().map_err(|error| Failure::input(chain(&error)))?)
        } else {
            None
        };
        Ok(Self { can, ethernet })
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let can = self.can.iter().map(|can| can.model.as_slice());
        can.chain(self.ethernet.iter().map(|ethernet| ethernet.model.as_slice()))
    }

    fn buses(&self) -> &[BusSummary] {
        self.can.as_ref().map_or(&[], |can| &can.buses)
    }

    fn segments(&self) -> &[SegmentSummary] {
        self.ethernet.as_ref().map_or(&[], |ethernet| &ethernet.segments)
    }
}

fn segment_json(segment: &SegmentSummary) -> Value {
    let mut value = json!({ "bus": segment.facts.bus.0, "closed": segment.facts.is_closed });
    for (list, count) in &segment.records {
        value[format!("{list:?}").to_lowercase()] = (*count).into();
    }
    value
}

fn describe_segment(segment: &SegmentSummary) -> String {
    let kind = if segment.facts.is_closed { "closed" } else { "open" };
    let counts: Vec<String> = segment
        .records
        .iter()
        .map(|(list, count)| format!("{count} {}", format!("{list:?}").to_lowercase()))
        .collect();
    format!("segment {}: {kind}, {}", segment.facts.bus.0, counts.join(", "))
}

fn scheduled_json(bus: &ScheduledSummary) -> Value {
    json!({
        "bus": bus.bus.0,
        "name": bus.name,
        "medium": bus.medium,
        "frames": bus.frames,
        "tables": bus.tables,
        "static_slots": bus.static_slots,
    })
}

fn describe_scheduled(bus: &ScheduledSummary) -> String {
    let (number, name) = (bus.bus.0, &bus.name);
    match bus.medium {
        "lin" => format!("bus {number}: LIN {name}, {} frames, {} schedule tables", bus.frames, bus.tables),
        _ => format!(
            "bus {number}: FlexRay {name}, {} slots, {} of them possible in the static segment",
            bus.frames, bus.static_slots
        ),
    }
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
        "protected": bus.protected,
        "payloads": bus.habits.0,
        "compared": bus.habits.1,
        "lines": bus.habits.2,
        "rate_hz": bus.facts.rate_hz,
        "rate_max_hz": bus.facts.rate_max_hz,
        "speed_signal": bus.speed_signal,
    })
}

fn describe(bus: &BusSummary) -> String {
    format!(
        "bus {}: {} identifiers ({} periodic, {} mixed, {} event, {} listed), {} watched for a stop, {} protected, {} \
         payloads taken apart, {} lines between {} numbers, {} frames/s",
        bus.facts.bus.0,
        bus.classes.values().sum::<u32>(),
        count(bus, CycleClass::Periodic),
        count(bus, CycleClass::Mixed),
        count(bus, CycleClass::Event),
        count(bus, CycleClass::Listed),
        bus.steady,
        bus.protected,
        bus.habits.0,
        bus.habits.2,
        bus.habits.1,
        bus.facts.rate_hz,
    )
}
