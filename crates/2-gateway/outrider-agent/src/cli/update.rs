//! `outrider-agent update`: configurations, signed where the key is, and looked at.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use outrider_types::{TenantId, UnixMicros, VehicleId};
use outrider_wire::{ArtifactKind, SealedArtifact};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Failure, Terminal, write_file};
use crate::model_file::open_secret;
use crate::remote::Draft;

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = (8 << 20) + 4096;

/// Signs a policy, a rule pack or a vehicle model for vehicles, or says what an artifact holds.
///
/// A vehicle takes an artifact only if `[updates]` of its provisioning names the key that signed it, and its version is
/// above every one of its kind that the vehicle ever tried.
#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Checks a configuration as a vehicle would, and signs it.
    Sign {
        /// What it is: policy (TOML), rules (TOML) or model (a model file).
        #[arg(long, value_parser = kind)]
        kind: ArtifactKind,
        /// Version, from 1.
        #[arg(long)]
        version: u64,
        /// Owner of the vehicles.
        #[arg(long, default_value_t = 1)]
        tenant: u32,
        /// Platform that it is for; any without it.
        #[arg(long)]
        platform: Option<String>,
        /// The one vehicle that it is for, 32 hexadecimal digits; any without it.
        #[arg(long)]
        vehicle: Option<VehicleId>,
        /// Secret Ed25519 key, PKCS#8, that nobody else may read.
        #[arg(long)]
        key: PathBuf,
        /// What to sign.
        content: PathBuf,
        /// Where to write the artifact.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Says what an artifact claims to be; the signature is not checked.
    Show {
        /// The artifact.
        artifact: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn kind(word: &str) -> Result<ArtifactKind, String> {
    ArtifactKind::from_word(word).ok_or_else(|| "none of policy, rules, model".to_owned())
}

impl Update {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match &self.act {
            Act::Sign { kind, version, tenant, platform, vehicle, key, content, output } => {
                let signer = open_secret(key).map_err(|error| Failure::input(error.to_string()))?;
                let draft = Draft {
                    kind: *kind,
                    version: *version,
                    tenant: TenantId(*tenant),
                    platform: platform.as_deref(),
                    vehicle: *vehicle,
                    made_at: wall(),
                };
                let signed = draft.sign(&read(content)?, &signer);
                let artifact = signed.map_err(|error| Failure::input(error.to_string()))?;
                write_file(output, |file| file.write_all(&artifact))?;
                writeln!(terminal.out, "{}", hex(&Sha256::digest(&artifact)))?;
            }
            Act::Show { artifact, json } => {
                let bytes = read(artifact)?;
                let sealed =
                    SealedArtifact::parse(&bytes).map_err(|error| Failure::input(error.to_string()))?;
                let head = sealed.claimed();
                let platform = head
                    .platform
                    .map(|text| String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned());
                let value = json!({
                    "kind": head.kind.word(), "version": head.version, "tenant": head.tenant.0,
                    "platform": platform, "vehicle": head.vehicle.map(|vehicle| vehicle.to_string()),
                    "made_at_us": head.made_at.0, "key": hex(&head.key), "bytes": bytes.len(),
                    "sha256": hex(&Sha256::digest(&bytes)),
                });
                if *json {
                    writeln!(terminal.out, "{value}")?;
                } else {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        writeln!(terminal.out, "{name:<10} {value}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "an artifact says when it was signed, and this is where it is")]
fn wall() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
