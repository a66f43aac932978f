//! `bench uplink`, of this program and of the cloud's.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};

use crate::bench::instructions::{InstructionsError, instructions_each};
use crate::bench::uplink::{CriticalBytes, UplinkBench, uplink, uplink_untimed};

/// What `--help` says of the result.
const FIELDS: &str = "\
Fields of --json:
  bytes_per_event_critical         mean of whole MQTT 5 PUBLISH packets with one critical event, before TLS; the budget is 60
  bytes_per_event_critical_p50     median of them; also _p99 and _max
  bytes_per_event_critical_signed  the same in signed batches, where no session has a key
  bytes_per_event_critical_all     all that the vehicle sent, by critical event: reports and proofs with it
  bytes_per_event_critical_down    what came down, by critical event: PUBACK and signed reply
  critical_events, critical_short  events sent, and how many in short frames
  bytes_per_event_batched          packets of 500 rows, by event; the budget is 16
  bytes_per_event_batched_20       packets of 20 rows, by event
  ns_per_event                     processor time of an event in the gateway: the sum of the next two
  ns_per_event_append              folding and spool, in memory
  ns_per_event_build               batch, compression and signature, 500 rows at once
  ns_per_short_frame               building a short frame, spool and dictionary with it
  instructions_per_event           processor instructions of an event in the gateway; null without --instructions
  instructions_missing             why they were not counted, if --instructions was given and they were not
  resident_bytes_max               most resident memory of the program, with the bench's own";

/// The way from an event to the MQTT packets that leave, over synthetic events that no dictionary was trained on.
#[derive(Debug, Args)]
#[command(after_help = FIELDS)]
pub struct UplinkArguments {
    /// Critical events; five times as many batched ones.
    #[arg(long, default_value_t = 4000)]
    events: u64,
    /// Count instructions too: runs itself twice under valgrind, where that is installed.
    #[arg(long, conflicts_with = "untimed")]
    instructions: bool,
    /// Only do the work, without figures, for a tool that counts for itself.
    #[arg(long)]
    untimed: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl UplinkArguments {
    /// Whether only the work is to be done.
    #[must_use]
    pub const fn is_untimed(&self) -> bool {
        self.untimed
    }

    /// Measures and returns the result as JSON; the fields are those that `--help` names.
    #[must_use]
    pub fn measure(&self) -> Value {
        if self.untimed {
            return json!({ "events": uplink_untimed(self.events) });
        }
        let bench = uplink(self.events);
        let counted = self.instructions.then(|| self.count());
        object(&bench, counted.as_ref())
    }

    /// Measures and writes the result.
    ///
    /// # Errors
    /// The result cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> io::Result<()> {
        self.say(&self.measure(), out)
    }

    /// Writes a result, to which others may have added, as asked for.
    ///
    /// # Errors
    /// The result cannot be written.
    pub fn say(&self, value: &Value, out: &mut dyn Write) -> io::Result<()> {
        if self.json || self.untimed { writeln!(out, "{value}") } else { say(value, out) }
    }

    fn count(&self) -> Result<u64, InstructionsError> {
        let program = std::env::current_exe().map_err(InstructionsError::Start)?;
        let (few, many) = (self.events / 4, self.events);
        let arguments = |events: u64| {
            vec![
                "bench".to_owned(),
                "uplink".to_owned(),
                "--untimed".to_owned(),
                "--json".to_owned(),
                "--events".to_owned(),
                events.to_string(),
            ]
        };
        instructions_each(&program, &arguments(few), &arguments(many), many.saturating_sub(few))
    }
}

fn object(bench: &UplinkBench, counted: Option<&Result<u64, InstructionsError>>) -> Value {
    let UplinkBench {
        critical, critical_signed, batched: [large, small], ns_per_event: [append, build], ..
    } = bench;
    let CriticalBytes { events, short, mean, p50, p99, max, with_reports, down } = critical;
    let round = |value: f64| (value * 100.0).round() / 100.0;
    let mut object = json!({
        "bytes_per_event_critical": round(*mean),
        "bytes_per_event_critical_p50": p50,
        "bytes_per_event_critical_p99": p99,
        "bytes_per_event_critical_max": max,
        "bytes_per_event_critical_signed": round(critical_signed.mean),
        "bytes_per_event_critical_all": round(*with_reports),
        "bytes_per_event_critical_down": round(*down),
        "critical_events": events,
        "critical_short": short,
        "bytes_per_event_batched": round(*large),
        "bytes_per_event_batched_20": round(*small),
        "ns_per_event": append + build,
        "ns_per_event_append": append,
        "ns_per_event_build": build,
        "ns_per_short_frame": bench.ns_per_short_frame,
        "instructions_per_event": counted.and_then(|result| result.as_ref().ok()),
        "resident_bytes_max": bench.resident_bytes_max,
    });
    if let Some(Err(error)) = counted
        && let Some(object) = object.as_object_mut()
    {
        object.insert("instructions_missing".to_owned(), error.to_string().into());
    }
    object
}

fn say(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in value.as_object().into_iter().flatten() {
        writeln!(out, "{name:32} {value}")?;
    }
    Ok(())
}
