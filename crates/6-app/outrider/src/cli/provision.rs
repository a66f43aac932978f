//! `outrider provision`: a vehicle's registration and files, for demo and test.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ed25519_dalek::SigningKey;
use outrider_agent::runtime::VehicleConfig;
use outrider_model::{Connectivity, EcuEntry, VehicleRecord};
use outrider_server::api::dto::BusHealth;
use outrider_server::port::Random as _;
use outrider_server::store::{BatchKey, FleetStore as _, Scope, SqliteStore, VehicleEntry};
use outrider_server::vehicle::{Keys, TlsFiles, VehicleCa};
use outrider_types::{Clock as _, EcuId, TenantId, VehicleId};
use serde_json::json;

use super::{Failure, print, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// Registers a vehicle in an installation and writes the folder that `outrider-agent run` needs. A server that runs
/// takes the registration up at its next start.
///
/// JSON fields: vehicle, folder.
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
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
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
        let ca = VehicleCa::open(&secrets).map_err(Failure::failed)?;
        let keys = Keys::open(&secrets, &mut random_key).map_err(Failure::failed)?;
        let batch = SigningKey::from_bytes(&random_key());
        let record = VehicleRecord {
            vehicle,
            tenant: TenantId(1),
            model_line: self.model_line.clone(),
            platform: String::from("unknown"),
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
            }],
        };
        let made = BatchKey::from(batch.verifying_key().to_bytes());
        let entry = entry(record, self.batch_public_key.map_or(made, BatchKey::EcdsaP256), true);
        runtime()?.block_on(async {
            let store =
                SqliteStore::open(&self.folder.join("cases.sqlite")).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(1), now: SystemClock.now() };
            store.put_vehicles(scope, &[entry]).await.map_err(Failure::failed)?;
            store.close().await;
            Ok(())
        })?;
        let files = ca.issue_vehicle(vehicle).map_err(Failure::failed)?;
        write_vehicle(&self.out, &self.cloud, vehicle, &files, &batch, &keys, self.model.as_deref())?;
        if self.json {
            let object = json!({"vehicle": vehicle.to_string(), "folder": self.out});
            return print(&format!("{object}\n"));
        }
        print(&format!("vehicle {vehicle}: {}\n", self.out.join("vehicle.toml").display()))
    }
}

fn random_key() -> [u8; 32] {
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

fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
