//! `outrider-agent describe`.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Terminal, chain};
use crate::io::network;

const HELP: &str = "\
The content decides what the file is read as: ARXML, FIBEX, LDF or DBC.

JSON fields of --json (one object, last line of standard output):
  format, nodes   what it is, ECUs
  clusters        [{name, medium, bit_rate, static_slots, static_words}]: the last two of FlexRay
  frames          [{name, cluster, medium, key, bytes, cycle_us, senders, line, signals}]
                  key: {can_id, extended, fd}, {lin_id} or {slot, base_cycle, repetition}
  schedules       [{name, cluster, entries: [{frame, delay_us}]}]
  shared_slots    [{name, lin_id, frames}]: sporadic (lin_id null) and event-triggered frames of LIN
  enhanced_checksums  whether LIN checksums are over the identifier too, or null
  services        [{name, service_id, provided, required, methods, events, event_groups, offers}]
  e2e             [{name, profile, pdu, data_ids, offset_bit, data_bits, counter_bit, crc_bit, max_delta, header_bit,
                  data_id_mode}]
  secured_pdus    [{name, payload, data_id, bytes, freshness_bits, freshness_tx_bits, auth_tx_bits}]
  model           {can_frames, protected: [{can_id, extended, guard, start, bytes, step_max}], offers, left_out}
                  what outrider-agent learn takes of it, and what not, with the reason; guard: e2e 1, 2, 4, 5 or secoc
  security_events [{name, id, symbol, contexts}]
  not_understood  [{element, count, line, column, reason}]: kinds of elements that were passed over
  problems_total, problems  [{element, line, column, reason, detail}]: what was refused or is incomplete

Exit codes: see outrider-agent --help.";

/// Arguments of `describe`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Describe {
    /// Network description: ARXML, FIBEX, LDF or DBC.
    file: PathBuf,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Describe {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let name = self.file.display();
        let description = network::open(&self.file)
            .map_err(|error| Failure::input(format!("{name}: {}", chain(&error))))?;
        if self.json {
            writeln!(terminal.out, "{}", network::json(&description))?;
        } else {
            write!(terminal.out, "{}", network::text(&description))?;
        }
        Ok(())
    }
}
