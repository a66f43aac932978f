//! Command line of `outrider-agent`.
//!
//! **In:** arguments and files. **Out:** on standard output, what was asked for, with `--json` one object in the
//! last line; on standard error, progress and complaints. **Start reading** at [`run`].

mod bench;
mod captures;
mod describe;
mod enroll;
mod eval;
mod habits;
mod inject;
mod keys;
mod learn;
mod link;
mod machine;
mod model;
mod replay;
mod run;
mod status;
#[cfg(test)]
mod tests;
mod update;
mod watch;
mod workshop;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use bench::{EdgeArguments, UplinkArguments};

/// How a command ends, for `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the result could not be written
  2  wrong arguments
  3  an input file is missing, empty, damaged or of an unknown format, or offers nothing to work on
  4  replay only: an event of at least the severity of --fail-on was found
  5  status only: the vehicle program does not run";

/// The vehicle program of Outrider: learns what is normal on a vehicle's buses and detects intrusions.
#[derive(Debug, Parser)]
#[command(name = "outrider-agent", version, about, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Learn a vehicle model from captures of ordinary traffic.
    Learn(learn::Learn),
    /// Show, sign and verify vehicle models, and make keys for that.
    Model(model::Model),
    /// Say what a network description was understood to mean, and what was not understood.
    Describe(describe::Describe),
    /// Run captures through the detectors and print what they find.
    Replay(replay::Replay),
    /// Put an attack into a capture, with labels.
    Inject(inject::Inject),
    /// Judge the detectors on captures with injected attacks.
    Eval(eval::Eval),
    /// Run the vehicle program: detectors, gateway, uplink, commands.
    Run(run::Run),
    /// Watch Ethernet interfaces and print what the detectors find.
    Watch(watch::Watch),
    /// Make the vehicle's keys and get its first certificate.
    Enroll(enroll::Enroll),
    /// Remove the vehicle's keys at the end of its life or before it changes its owner.
    Wipe(enroll::Wipe),
    /// Show what a running vehicle program says of itself.
    Status(status::Status),
    /// Show, make or measure the keys and the anchor of this vehicle's hardware.
    Keys(keys::Keys),
    /// Open a vehicle for a workshop, with a signed ticket.
    Workshop(workshop::Workshop),
    /// Sign a configuration for vehicles, or look at one.
    Update(update::Update),
    /// Measure the agent's parts on this machine.
    Bench(bench::Bench),
}

/// Why a command ended early.
#[derive(Debug)]
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// An input that cannot be used.
    fn input(text: impl Into<String>) -> Self {
        Self { code: 3, text: text.into() }
    }

    /// A result that cannot be written.
    fn output(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::output(format!("result cannot be written: {error}"))
    }
}

/// Where a command speaks.
struct Terminal<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl Terminal<'_> {
    /// Says something to the person in front of the terminal. A closed standard error is not worth failing for.
    fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }
}

/// Runs a command and returns the program's exit code.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let mut terminal = Terminal { out, err };
    let outcome = match &arguments.command {
        Command::Learn(command) => command.run(&mut terminal),
        Command::Model(command) => command.run(&mut terminal),
        Command::Describe(command) => command.run(&mut terminal),
        Command::Replay(command) => command.run(&mut terminal),
        Command::Inject(command) => command.run(&mut terminal),
        Command::Eval(command) => command.run(&mut terminal),
        Command::Run(command) => command.run(&mut terminal),
        Command::Watch(command) => command.run(&mut terminal),
        Command::Enroll(command) => command.run(&mut terminal),
        Command::Wipe(command) => command.run(&mut terminal),
        Command::Status(command) => command.run(&mut terminal),
        Command::Keys(command) => command.run(&mut terminal),
        Command::Workshop(command) => command.run(&mut terminal),
        Command::Update(command) => command.run(&mut terminal),
        Command::Bench(command) => command.run(&mut terminal),
    };
    let outcome = outcome.and_then(|()| terminal.out.flush().map_err(Failure::from));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.note(&format!("outrider-agent: {}", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

/// Text of an error with everything behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Writes a file whole or not at all: beside its place first, then renamed.
fn write_file(
    path: &std::path::Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::output(format!("{}: {error}", path.display()));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let file = std::fs::File::create(&part).map_err(failed)?;
    let mut file = std::io::BufWriter::new(file);
    let written = write(&mut file).and_then(|()| file.flush()).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written.map_err(failed)
}
