//! `outrider-agent workshop`: tickets that open a vehicle for a workshop.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use outrider_gateway::Ed25519Signer;
use outrider_types::{UnixMicros, VehicleId, hex_decode};

use super::{Failure, Terminal, write_file};
use crate::runtime::VehicleConfig;
use crate::runtime::workshop::{TICKET_BYTES, TICKET_FILE, Ticket, lay_ticket};

const HOUR_US: i64 = 3_600_000_000;

/// Makes, lays down and takes back a workshop's ticket.
///
/// The vehicle obeys a ticket only if `[workshop]` of its provisioning names the key that signed it, if it is for this
/// vehicle, and in its window of trusted time. It ends by itself.
#[derive(Debug, Args)]
pub(super) struct Workshop {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Signs a ticket, at the place of who may open vehicles; prints the public key.
    Sign {
        /// File with the 32 bytes of the signing key in hexadecimal.
        #[arg(long)]
        key: PathBuf,
        /// Pseudonym of the vehicle, 32 hexadecimal digits.
        #[arg(long)]
        vehicle: VehicleId,
        /// Number of the ticket in the series of who signs.
        #[arg(long)]
        number: u64,
        /// Hours from now on.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=240))]
        hours: u8,
        /// Where to write the ticket.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Lays a ticket down for the running vehicle program, which judges it within a second.
    Open {
        /// Provisioning of the vehicle.
        #[arg(long)]
        config: PathBuf,
        /// The ticket.
        ticket: PathBuf,
    },
    /// Takes the ticket back, which ends the work.
    Close {
        /// Provisioning of the vehicle.
        #[arg(long)]
        config: PathBuf,
    },
}

impl Workshop {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let config = |path| VehicleConfig::open(path).map_err(|error| Failure::input(error.to_string()));
        let failed = |path: &std::path::Path| {
            let name = path.display().to_string();
            move |error: std::io::Error| Failure::input(format!("{name}: {error}"))
        };
        match &self.act {
            Act::Sign { key, vehicle, number, hours, output } => {
                let secret = std::fs::read_to_string(key).map_err(failed(key))?;
                let secret = hex_decode::<32>(secret.trim())
                    .map_err(|error| Failure::input(format!("{}: {error}", key.display())))?;
                let signer = Ed25519Signer::new(&secret);
                let not_before = wall();
                let expires = not_before.saturating_add(i64::from(*hours) * HOUR_US);
                let ticket = Ticket { vehicle: *vehicle, number: *number, not_before, expires };
                let bytes = ticket.emit(&signer).map_err(|error| Failure::output(format!("{error:?}")))?;
                write_file(output, |file| file.write_all(&bytes))?;
                let key = signer
                    .public_key()
                    .iter()
                    .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
                writeln!(terminal.out, "public_key = \"{key}\"")?;
            }
            Act::Open { config: path, ticket } => {
                let bytes = std::fs::read(ticket).map_err(failed(ticket))?;
                if bytes.len() != TICKET_BYTES {
                    return Err(Failure::input(format!("{}: no ticket", ticket.display())));
                }
                let state = config(path)?.state;
                lay_ticket(&state, &bytes).map_err(failed(&state))?;
            }
            Act::Close { config: path } => {
                let ticket = config(path)?.state.join(TICKET_FILE);
                std::fs::remove_file(&ticket).map_err(failed(&ticket))?;
            }
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a ticket is for a time, and this is where it is made")]
fn wall() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
