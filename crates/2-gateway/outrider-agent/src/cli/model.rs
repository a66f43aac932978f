//! `outrider-agent model`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use outrider_ids::ethernet::model::EthernetModel;
use outrider_ids::model::signature::Algorithm;
use outrider_ids::model::{BusModel, ModelHead, Sections, VehicleModel};
use serde_json::{Value, json};

use super::habits::Habits;
use super::{Failure, Terminal, chain, write_file};
use crate::model_file::{
    FILE_BYTES_MAX, KeyPair, ModelFile, ModelTrust, PublicKey, key_id, key_text, open_secret, sign,
};

const SHOW_HELP: &str = "\
JSON fields of --json (one object, last line of standard output):
  model, bytes     path and size of the file
  can, ethernet    {version, platform, release, frames, seconds, ...} or null
    can.buses      [{bus, ids, pairs, captures, rate_hz, sections, habits}]
                   habits: {payloads {ids, counters, checksums, with_numbers, numbers, noise}, compared, lines [{target,
                   source, slope, offset, deviation_max, quality}], calibration [{habit, seconds, seconds_new}]};
                   counters, checksums, with_numbers: identifiers that have them; compared: numbers by identifier, first
                   bit, bits and byte order (1: little endian) as in a DBC file; seconds_new: with something new
    can.sections   sections that belong to no CAN bus, as those of a bus: [{kind, name, bytes}]; name is null for a
                   kind that this program does not know and passes over
    ethernet.segments  [{bus, closed, captures}]
  signatures       [{key, algorithm, bytes}]; key: first bytes of the SHA-256 of the public key. They are shown, not
                   checked: see outrider-agent model verify

Exit codes: see outrider-agent --help.";

/// Arguments of `model`.
#[derive(Debug, Args)]
pub(super) struct Model {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a model file holds and who says to have signed it.
    #[command(after_help = SHOW_HELP)]
    Show {
        /// Model, as `outrider-agent learn` writes it.
        file: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check that a model file is signed by one of these keys; exit code 3 if it is not.
    Verify {
        /// Model.
        file: PathBuf,
        /// Public key: SPKI as PEM or DER, or hexadecimal; may be given several times.
        #[arg(long, required = true, value_name = "PUBLIC")]
        key: Vec<PathBuf>,
    },
    /// Sign a model file that is there already; a signature is added to those it has.
    Sign {
        /// Model.
        file: PathBuf,
        /// Secret Ed25519 key: PKCS#8 as PEM or DER, readable for its owner only.
        #[arg(long, value_name = "SECRET")]
        key: PathBuf,
    },
    /// Make a key pair: the secret key readable for its owner only, the public key beside it with .pub.
    Keygen {
        /// Where to write the secret key; must not be there.
        #[arg(short, long, value_name = "SECRET")]
        output: PathBuf,
    },
}

impl Model {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match &self.command {
            Command::Show { file, json } => show(file, *json, terminal),
            Command::Verify { file, key } => verify(file, key, terminal),
            Command::Sign { file, key } => {
                let mut bytes = read(file)?;
                sign_with(&mut bytes, key, terminal)?;
                write_file(file, |out| out.write_all(&bytes))
            }
            Command::Keygen { output } => keygen(output, terminal),
        }
    }
}

/// Signs the bytes of a model with the key of a file and says whose it is.
pub(super) fn sign_with(bytes: &mut Vec<u8>, key: &Path, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let signer = open_secret(key).map_err(|error| Failure::input(error.to_string()))?;
    let id = sign(bytes, &signer).map_err(|error| Failure::input(chain(&error)))?;
    terminal.note(&format!("signed by key {}", key_text(id)));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(failed(&format!("{bytes} bytes, at most {FILE_BYTES_MAX}")));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

fn keygen(output: &Path, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let mut secret = [0; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut secret)
        .map_err(|_| Failure::output("the system gives no random numbers"))?;
    let pair = KeyPair::new(secret);
    let public = pair.write(output).map_err(|error| Failure::output(error.to_string()))?;
    let hex: String = pair.public.iter().map(|byte| format!("{byte:02x}")).collect();
    terminal.note(&format!("secret key: {}", output.display()));
    terminal.note(&format!("public key: {}, id {}", public.display(), key_text(key_id(&pair.public))));
    writeln!(terminal.out, "{hex}")?;
    Ok(())
}

fn verify(path: &Path, keys: &[PathBuf], terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let keys: Result<Vec<_>, _> = keys.iter().map(|key| PublicKey::open(key)).collect();
    let trust = ModelTrust::of_keys(keys.map_err(|error| Failure::input(error.to_string()))?);
    let trusted = trust
        .judge(&read(path)?)
        .map_err(|refusal| Failure::input(format!("{}: {refusal}", path.display())))?;
    let key = trusted.key.map_or_else(String::new, key_text);
    let (platform, release) = (trusted.platform.as_str(), trusted.release.as_str());
    writeln!(terminal.out, "signed by key {key}, for platform {platform:?}, release {release:?}")?;
    Ok(())
}

fn show(path: &Path, is_json: bool, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let bytes = read(path)?;
    let file = ModelFile::parse(&bytes)
        .map_err(|error| Failure::input(format!("{}: {}", path.display(), chain(&error))))?;
    if is_json {
        let signatures: Vec<Value> = file
            .signatures
            .map(|one| {
                json!({
                    "key": key_text(one.key), "algorithm": algorithm(one.algorithm), "bytes": one.bytes.len(),
                })
            })
            .collect();
        let report = json!({
            "model": path.display().to_string(),
            "bytes": bytes.len(),
            "can": file.can.as_ref().map(can_json),
            "ethernet": file.ethernet.as_ref().map(ethernet_json),
            "signatures": signatures,
        });
        writeln!(terminal.out, "{report}")?;
        return Ok(());
    }
    if let Some(can) = &file.can {
        writeln!(terminal.out, "CAN model, layout {}: {}", can.version(), head_text(can.head()))?;
        for bus in can.buses() {
            let (facts, ids) = (bus.facts(), bus.id_count());
            let pairs = bus.pairs().count();
            writeln!(
                terminal.out,
                "  bus {}: {ids} identifiers, {pairs} diagnostic pairs, {} captures, {} frames/s{}",
                facts.bus.0,
                facts.captures,
                facts.rate_hz,
                sections_text(bus.sections())
            )?;
            for line in Habits::of(&bus).text() {
                writeln!(terminal.out, "    {line}")?;
            }
        }
        let own = sections_text(can.sections());
        if !own.is_empty() {
            writeln!(terminal.out, "  whole model{own}")?;
        }
    }
    if let Some(ethernet) = &file.ethernet {
        let head = head_text(ethernet.head());
        writeln!(terminal.out, "Ethernet model, layout {}: {head}", ethernet.version())?;
        for segment in ethernet.segments() {
            let facts = segment.facts();
            let kind = if facts.is_closed { "closed" } else { "open" };
            writeln!(terminal.out, "  segment {}: {kind}, {} captures", facts.bus.0, facts.captures)?;
        }
    }
    if file.signatures.is_empty() {
        writeln!(terminal.out, "not signed")?;
    }
    for signature in file.signatures {
        let (key, how) = (key_text(signature.key), algorithm(signature.algorithm));
        writeln!(terminal.out, "signature, not checked: {how} by key {key}")?;
    }
    Ok(())
}

fn algorithm(algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::ED25519 => "ed25519".to_owned(),
        Algorithm(other) => format!("unknown algorithm {other}"),
    }
}

fn seconds(head: &ModelHead) -> f64 {
    std::time::Duration::from_millis(head.learned_ms).as_secs_f64()
}

fn head_text(head: &ModelHead) -> String {
    format!(
        "platform {:?}, release {:?}, learned from {} frames in {} s",
        head.platform,
        head.release,
        head.learned_frames,
        seconds(head)
    )
}

fn sections_text(sections: Sections<'_>) -> String {
    let one = sections.map(|(kind, bytes)| {
        let unknown = || format!("section {}, passed over", kind.0);
        format!("; {} ({} bytes)", kind.name().map_or_else(unknown, str::to_owned), bytes.len())
    });
    one.collect()
}

fn sections_json(sections: Sections<'_>) -> Vec<Value> {
    sections
        .map(|(kind, bytes)| json!({ "kind": kind.0, "name": kind.name(), "bytes": bytes.len() }))
        .collect()
}

fn head_json(version: u16, head: &ModelHead) -> Value {
    json!({
        "version": version,
        "platform": head.platform.as_str(),
        "release": head.release.as_str(),
        "frames": head.learned_frames,
        "seconds": seconds(head),
    })
}

fn can_json(can: &VehicleModel<'_>) -> Value {
    let bus = |bus: BusModel<'_>| {
        let facts = bus.facts();
        json!({
            "bus": facts.bus.0,
            "ids": bus.id_count(),
            "pairs": bus.pairs().count(),
            "captures": facts.captures,
            "rate_hz": facts.rate_hz,
            "sections": sections_json(bus.sections()),
            "habits": Habits::of(&bus).json(),
        })
    };
    let mut value = head_json(can.version(), can.head());
    value["buses"] = can.buses().map(bus).collect();
    value["sections"] = sections_json(can.sections()).into();
    value
}

fn ethernet_json(ethernet: &EthernetModel<'_>) -> Value {
    let mut value = head_json(ethernet.version(), ethernet.head());
    let segments = ethernet.segments().map(|segment| {
        let facts = segment.facts();
        json!({ "bus": facts.bus.0, "closed": facts.is_closed, "captures": facts.captures })
    });
    value["segments"] = segments.collect();
    value
}
