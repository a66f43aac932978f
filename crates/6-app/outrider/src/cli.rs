//! Command line of `outrider`.

mod bench;
mod cluster;
mod crash;
mod decoder;
mod demo;
mod event_log;
mod feed;
mod lake;
mod links;
mod log;
mod progress;
mod provision;
mod quarantine;
mod registry;
mod reveal;
mod rule;
mod serve;
mod sim;
mod sql;
mod update;
mod vault;
mod vehicle;

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::Path;

use clap::{Parser, Subcommand};

use crate::traces::TraceArgs;

/// How a command ends, for `--help`.
const EXIT_CODES: &str = "\
Every command with --json prints one JSON object as the last line of standard output; progress goes to standard error.

Exit codes:
  0  done
  1  failed, or the result is not as it must be (events lost, an attack not detected)
  2  wrong arguments
  3  an input cannot be read";

/// The cloud of Outrider: ingestion, detection, alerts, cases and response.
#[derive(Debug, Parser)]
#[command(name = "outrider", version, about, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// What is logged to standard error: error, warn, info, debug, or a filter such as `outrider_server=debug`.
    #[arg(long, global = true, default_value = "warn,outrider=info")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the cloud: vehicle listener, worker, API and dashboard in one process, or one of its roles.
    Serve(Box<serve::Serve>),
    /// Run the cloud with a simulated fleet under attack.
    Demo(Box<demo::Demo>),
    /// Ask the lake of a running or stopped system with SQL; the table is `events`.
    Sql(sql::Sql),
    /// Compact and verify the table of events.
    Lake(lake::LakeCommand),
    /// Register a vehicle and write what its agent needs.
    Provision(provision::Provision),
    /// Permit a registered vehicle to enrol.
    EnrollToken(vehicle::EnrollToken),
    /// Import, list, show, stage, suspend, resume, revoke, retire and transfer vehicles.
    Vehicle(vehicle::Vehicle),
    /// Keep VINs apart from everything else.
    Vault(vault::VaultCommand),
    /// Show and rotate the vehicle CA, and print its revocation lists.
    Ca(vehicle::Ca),
    /// Keep signed configurations and order them for vehicles.
    Update(update::Update),
    /// Test, compare and sign decoders of foreign formats.
    Decoder(decoder::Decoder),
    /// Test detection rules.
    Rule(rule::Rule),
    /// Register, list and disable feeds of foreign events.
    Feed(feed::Feed),
    /// List what was set aside, and have it taken again.
    Quarantine(quarantine::Quarantine),
    /// Look at the event log.
    Log(Box<log::Log>),
    /// Measure.
    Bench(bench::Bench),
    /// Kill server and agent with `kill -9` in a loop under load and count what is lost or duplicated.
    Crash(crash::Crash),
    /// Run all roles as processes of their own, kill them in a loop under load, and compare them with one process.
    Cluster(Box<cluster::Cluster>),
    /// Run scenarios of faults and attacks between vehicle and cloud, and account for every observation.
    Sim(sim::Sim),
    /// Print the OpenAPI document.
    Openapi,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Failure {
    /// Something went wrong, or the result is not as it must be.
    pub(crate) fn failed(text: impl fmt::Display) -> Self {
        Self { code: 1, text: text.to_string() }
    }

    /// An input cannot be read.
    pub(crate) fn input(text: impl fmt::Display) -> Self {
        Self { code: 3, text: text.to_string() }
    }
}

impl Arguments {
    /// Returns what is logged.
    pub(crate) fn log_filter(&self) -> tracing_subscriber::EnvFilter {
        tracing_subscriber::EnvFilter::new(&self.log)
    }

    /// Returns where traces go.
    pub(crate) fn traces(&self) -> TraceArgs {
        let traces = match &self.command {
            Command::Serve(serve) => Some(serve.traces()),
            Command::Demo(demo) => Some(demo.traces()),
            Command::Sql(_)
            | Command::Lake(_)
            | Command::Provision(_)
            | Command::EnrollToken(_)
            | Command::Vehicle(_)
            | Command::Vault(_)
            | Command::Ca(_)
            | Command::Update(_)
            | Command::Decoder(_)
            | Command::Rule(_)
            | Command::Feed(_)
            | Command::Quarantine(_)
            | Command::Log(_)
            | Command::Bench(_)
            | Command::Crash(_)
            | Command::Cluster(_)
            | Command::Sim(_)
            | Command::Openapi => None,
        };
        traces.cloned().unwrap_or_default()
    }
}

/// Runs a command.
///
/// # Errors
/// [`Failure`] with the exit code.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Sql(sql) => sql.run(),
        Command::Lake(lake) => lake.run(),
        Command::Provision(provision) => provision.run(),
        Command::EnrollToken(token) => token.run(),
        Command::Vehicle(vehicle) => vehicle.run(),
        Command::Vault(vault) => vault.run(),
        Command::Ca(ca) => ca.run(),
        Command::Update(update) => update.run(),
        Command::Decoder(decoder) => decoder.run(),
        Command::Rule(rule) => rule.run(),
        Command::Feed(feed) => feed.run(),
        Command::Quarantine(quarantine) => quarantine.run(),
        Command::Log(log) => log.run(),
        Command::Bench(bench) => bench.run(),
        Command::Cluster(cluster) => cluster.run(),
        Command::Crash(crash) => crash.run(),
        Command::Sim(sim) => sim.run(),
        Command::Openapi => print(&outrider_server::api::openapi_json()),
    }
}

/// Writes to standard output.
///
/// # Errors
/// Nobody reads it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::failed)
}

/// Reads a file of at most so many bytes; a larger one is not read at all, and one that grows meanwhile no further.
///
/// # Errors
/// It cannot be read, or is larger.
pub(crate) fn read_capped(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let fail = |why: &dyn fmt::Display| Failure::input(format!("{}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    let (bound, stated) = (bytes_max as u64, file.metadata().map_err(|error| fail(&error))?.len());
    let mut content = Vec::new();
    if stated <= bound {
        file.take(bound + 1).read_to_end(&mut content).map_err(|error| fail(&error))?;
    }
    if stated > bound || content.len() > bytes_max {
        return Err(fail(&format_args!("longer than {bytes_max} bytes")));
    }
    Ok(content)
}

/// Starts the runtime of a command.
///
/// # Errors
/// The system gives no threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)
}
