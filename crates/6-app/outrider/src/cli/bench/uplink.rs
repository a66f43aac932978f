//! `outrider bench uplink`: the vehicle's side, measured by the agent, and the edge's.

use clap::Args;
use outrider_agent::cli::UplinkArguments;

use super::super::Failure;

/// The way from an event to the packets that leave the vehicle.
#[derive(Debug, Args)]
pub(super) struct Uplink {
    #[command(flatten)]
    vehicle: UplinkArguments,
}

impl Uplink {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.vehicle.run(&mut std::io::stdout().lock()).map_err(Failure::failed)
    }
}
