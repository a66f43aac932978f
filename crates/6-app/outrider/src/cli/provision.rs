//! `outrider provision`: a vehicle's registration and files, for demo and test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ed25519_dalek::SigningKey;
use outrider_agent::runtime::VehicleConfig;
use outrider_model::{Connectivity, EcuEntry, VehicleRecord};
use outrider_server::api::dto::BusHealth;
use outrider_server::port::Random as _;
use outrider_server::store::{
    BatchKey, EnrolmentPermit, EnrolmentStore as _, FleetStore as _, IdentityNote, PermitKind, Scope,
    SqlStore, StoreResult, UpdateStore as _, VehicleEntry,
};
use outrider_server::vehicle::est::token_hash;
use outrider_server::vehicle::{Keys, TlsFiles, VehicleCa};
use outrider_types::{Clock as _, EcuId, TenantId, VehicleId};
use serde_json::json;

use super::{Failure, print, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// Registers a vehicle in an installation and writes the folder that `outrider-agent run` needs. A server that runs
/// takes the registration up at its next start.
///
/// JSON fields: vehicle, folder; with --enroll-token also token.
#[derive(Debug, Args)]
pub(crate) struct Provision {
    /// Folder of the installation.
    #[arg(long, default_value = "outrider-data")]
    folder: PathBuf,
    /// Folder to write: certificate, keys, vehicle.toml.
    #[arg(long)]
    out: PathBuf,
    /// Address of the vehicle listener.
    #[arg(long, default_value = "https://127.0.0.1:8441")]
    cloud: String,
    /// Pseudonym, 32 hexadecimal digits; drawn if absent.
    #[arg(long)]
    vehicle: Option<VehicleId>,
    /// Model line.
    #[arg(long, default_value = "Prototype")]
    model_line: String,
    /// Software release.
    #[arg(long, default_value = "0.1")]
    release: String,
    /// Region, ISO 3166-1 alpha-2.
    #[arg(long, default_value = "DE")]
    region: String,
    /// Vehicle model that `outrider-agent learn` wrote; copied into the folder.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Public batch key of a TPM or token, as `outrider-agent keys` prints it (130 hexadecimal digits); without it a key is
    /// made and written as a file.
    #[arg(long, value_name = "POINT", value_parser = point)]
    batch_public_key: Option<[u8; 65]>,
    /// Public key of the anchor, a TPM's or a token's, as `outrider-agent keys` prints it (130 hexadecimal digits): the cloud
    /// then believes no counter of this vehicle without its proof.
    #[arg(long, value_name = "POINT", value_parser = point)]
    anchor_public_key: Option<[u8; 65]>,
    /// Write no keys and no certificate, but permit the vehicle to enrol once: the token is printed, and good for this
    /// many hours.
    #[arg(long, value_name = "HOURS", num_args = 0..=1, default_missing_value = "72")]
    enroll_token: Option<u32>,
    /// Address of the listener for enrolment, written into vehicle.toml; the certificate is then renewed there.
    #[arg(long)]
    est: Option<String>,
    /// Public Ed25519 key (64 hexadecimal digits) of a person whose configurations the vehicle takes; registered with the
    /// installation, too. May be given several times.
    #[arg(long, value_name = "KEY", value_parser = artifact_key)]
    artifact_key: Vec<[u8; 32]>,
    /// Platform.
    #[arg(long, default_value = "unknown")]
    platform: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn artifact_key(text: &str) -> Result<[u8; 32], String> {
    outrider_types::hex_decode::<32>(text).map_err(|error| error.to_string())
}

fn point(text: &str) -> Result<[u8; 65], String> {
    let point = outrider_types::hex_decode::<65>(text).map_err(|error| error.to_string())?;
    if point.first() == Some(&4) { Ok(point) } else { Err("no uncompressed point of P-256".to_owned()) }
}

impl Provision {
    pub(super) fn run(self) -> Result<(), Failure> {
        let vehicle = self.vehicle.unwrap_or_else(|| {
            let mut id = [0; 16];
            SystemRandom.fill(&mut id);
            VehicleId(id)
        });
        let secrets = self.folder.join("secrets");
        let ca = open_ca(&secrets)?;
        let keys = Keys::open(&secrets, &mut random_key).map_err(Failure::failed)?;
        let batch = SigningKey::from_bytes(&random_key());
        let record = VehicleRecord {
            vehicle,
            tenant: TenantId(1),
            model_line: self.model_line.clone(),
            platform: self.platform.clone(),
            model_year: 2026,
            release: self.release.clone(),
            region: self.region.clone(),
            h3: None,
            connectivity: Connectivity::Cellular,
            ecus: vec![EcuEntry {
                ecu: EcuId(1),
                name: String::from("gateway"),
                bus: 0,
                software: self.release.clone(),
                ..EcuEntry::default()
            }],
            ..VehicleRecord::default()
        };
        let made = BatchKey::from(batch.verifying_key().to_bytes());
        let mut entry = entry(record, self.batch_public_key.map_or(made, BatchKey::EcdsaP256), true);
        entry.anchor_key = self.anchor_public_key;
        if !self.artifact_key.is_empty() {
            entry.capabilities.push("configure".to_owned());
        }
        if self.enroll_token.is_some() && self.batch_public_key.is_none() {
            // It makes its own.
            entry.batch_key = None;
        }
        let (files, issued) = ca.make_vehicle(vehicle).map_err(Failure::failed)?;
        let token = self.enroll_token.map(|_| new_token());
        runtime()?.block_on(async {
            let store = SqlStore::of_folder(&self.folder).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(1), now: SystemClock.now() };
            store.put_vehicles(scope, &[entry]).await.map_err(Failure::failed)?;
            for key in &self.artifact_key {
                store.add_artifact_key(scope, key, "provisioned", "cli").await.map_err(Failure::failed)?;
            }
            let stored = match (&token, self.enroll_token) {
                (Some(token), Some(hours)) => permit(&store, scope, vehicle, token, hours).await,
                (None, _) | (_, None) => {
                    let note = IdentityNote {
                        vehicle: Some(vehicle),
                        actor: "cli".to_owned(),
                        action: "provision",
                        outcome: "done".to_owned(),
                        detail: format!("{} {}", issued.serial.text(), issued.suite.word()),
                    };
                    store.record_certificate(scope, &issued, None, &note).await
                }
            };
            stored.map_err(Failure::failed)?;
            store.close().await;
            Ok(())
        })?;
        write_vehicle(&self.out, &self.cloud, vehicle, &files, &batch, &keys, self.model.as_deref())?;
        if token.is_some() {
            for name in ["certificate.pem", "key.pem", "batch.key"] {
                fs::remove_file(self.out.join(name)).map_err(Failure::failed)?;
            }
        }
        if let Some(est) = &self.est {
            let url = toml::Value::String(est.clone());
            append(&self.out, &format!("\n[enrolment]\nurl = {url}\n"))?;
        }
        if !self.artifact_key.is_empty() {
            let hex = |key: &[u8; 32]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let keys: toml::Value = self.artifact_key.iter().map(hex).collect::<Vec<_>>().into();
            let platform = toml::Value::String(self.platform.clone());
            append(&self.out, &format!("\n[updates]\nkeys = {keys}\nplatform = {platform}\n"))?;
        }
        if self.json {
            let object = json!({"vehicle": vehicle.to_string(), "folder": self.out, "token": token});
            return print(&format!("{object}\n"));
        }
        let token = token.map(|token| format!("token {token}  (shown once)\n")).unwrap_or_default();
        print(&format!("vehicle {vehicle}: {}\n{token}", self.out.join("vehicle.toml").display()))
    }
}

/// Opens the installation's CA.
pub(super) fn open_ca(secrets: &Path) -> Result<VehicleCa, Failure> {
    VehicleCa::open(secrets, Arc::new(SystemClock), Arc::new(SystemRandom)).map_err(Failure::failed)
}

/// Draws a token of 128 bits.
pub(super) fn new_token() -> String {
    let mut token = [0; 16];
    SystemRandom.fill(&mut token);
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Permits a vehicle to enrol with a token for some hours.
///
/// # Errors
/// As of the store.
pub(super) async fn permit(
    store: &SqlStore,
    scope: Scope,
    vehicle: VehicleId,
    token: &str,
    hours: u32,
) -> StoreResult<()> {
    let expires = scope.now.saturating_add(i64::from(hours) * 3_600_000_000);
    let secret = token_hash(token);
    let permit = EnrolmentPermit { secret, kind: PermitKind::Token, vehicle, expires, used_for: None };
    store.permit_enrolment(scope, &permit, "cli").await
}

/// Draws a secret.
pub(super) fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    SystemRandom.fill(&mut key);
    key
}

/// Returns the registration of a vehicle with two CAN buses.
pub(super) fn entry(
    record: VehicleRecord,
    batch_key: impl Into<BatchKey>,
    gives_evidence: bool,
) -> VehicleEntry {
    let bus = |number: u32, name: &str| BusHealth {
        bus_id: number,
        name: name.to_owned(),
        kind: "can".to_owned(),
        bitrate_kbit: Some(500),
        events_24h: 0,
        worst_severity: None,
    };
    VehicleEntry {
        record,
        buses: vec![bus(0, "chassis"), bus(1, "body")],
        capabilities: if gives_evidence { vec!["request_evidence".to_owned()] } else { Vec::new() },
        batch_key: Some(batch_key.into()),
        anchor_key: None,
    }
}

/// Writes the folder of a vehicle.
///
/// # Errors
/// A file cannot be written.
pub(super) fn write_vehicle(
    out: &Path,
    cloud: &str,
    vehicle: VehicleId,
    files: &TlsFiles,
    batch: &SigningKey,
    keys: &Keys,
    model: Option<&Path>,
) -> Result<(), Failure> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let config = VehicleConfig {
        tenant: 1,
        vehicle: vehicle.to_string(),
        cloud: cloud.to_owned(),
        evidence: None,
        ca: "ca.pem".into(),
        certificate: "certificate.pem".into(),
        key: "key.pem".into(),
        batch_key: "batch.key".into(),
        ack_public_key: hex(&keys.ack.public()),
        command_public_key: hex(&keys.command.public()),
        model: model.map(|_| "model.bin".into()),
        state: "state".into(),
        capture_bytes_max: 64 << 20,
        qualify: None,
        idsr: None,
        idsm: None,
        workshop: None,
        updates: None,
        uplink: None,
    };
    fs::create_dir_all(out).map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    if let Some(model) = model {
        fs::copy(model, out.join("model.bin"))
            .map_err(|error| Failure::input(format!("{}: {error}", model.display())))?;
    }
    // What the vehicle fetched by itself goes before what is written here, and was for another key.
    for fetched in ["state/identity.pem", "state/roots.pem"] {
        match fs::remove_file(out.join(fetched)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let text = toml::to_string(&config).map_err(Failure::failed)?;
    for (name, content) in [
        ("ca.pem", files.ca.clone()),
        ("certificate.pem", files.certificate.clone()),
        ("key.pem", files.key.clone()),
        ("batch.key", hex(&batch.to_bytes())),
        ("vehicle.toml", text),
    ] {
        write_private(&out.join(name), content.as_bytes())?;
    }
    Ok(())
}

/// Appends a section to the vehicle's configuration.
fn append(out: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let path = out.join("vehicle.toml");
    let file = fs::OpenOptions::new().append(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
