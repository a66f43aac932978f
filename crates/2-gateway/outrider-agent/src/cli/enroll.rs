//! `outrider-agent enroll` and `wipe`: the vehicle gets its keys, and loses them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use outrider_gateway::Ed25519Signer;
use outrider_gateway::uplink::Transport as _;
use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::{KEY_BYTES, KeyChange};

use super::{Failure, Terminal};
use crate::identity::{IdentityFiles, IdentityKey, read_certificates, request, wipe, write_whole};
use crate::io::est::{EstClient, Show, check};
use crate::io::https::{HttpsLink, LinkFiles};
use crate::keystore::DeviceKey;
use crate::runtime::{Sections, VehicleConfig};

/// Makes the vehicle's keys, gets its first certificate with a one-time token, and registers its batch key.
///
/// `vehicle.toml` and the CA's certificate are there already, as `outrider provision --enroll-token` writes them.
/// Everything may be repeated: a token gives the same key a certificate again.
#[derive(Debug, Args)]
pub(super) struct Enroll {
    /// Provisioning of the vehicle.
    #[arg(long)]
    config: PathBuf,
    /// Address of the listener for enrolment; that of section `[enrolment]` if absent.
    #[arg(long)]
    est: Option<String>,
    /// File that holds the token; `-` reads a line from standard input, so that it is in no list of processes.
    #[arg(long, value_name = "FILE")]
    token: PathBuf,
}

impl Enroll {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let input = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
        let config = VehicleConfig::open(&self.config).map_err(|error| input(&error))?;
        let sections = Sections::open(&self.config).map_err(|error| input(&error))?;
        let hardware = sections.hardware.open(&config.state).map_err(|error| input(&error))?;
        let device = hardware.tls().map_err(|error| input(&error))?;
        let url = self.est.clone().or(sections.enrolment.map(|section| section.url));
        let url = url.ok_or_else(|| Failure::input("--est or a section [enrolment] is needed"))?;
        let token = self.token()?;
        let roots = fs::read(&config.ca)
            .map_err(|error| Failure::input(format!("{}: {error}", config.ca.display())))?;
        let client = EstClient::new(&url, &roots, Show::Token(&token)).map_err(|error| input(&error))?;
        let key = match &device {
            Some(device) => IdentityKey::from(device.clone()),
            None => self.identity_key(&config)?,
        };
        let certificate = client
            .enrol(&request(&config.vehicle, &key).map_err(|error| input(&error))?)
            .map_err(|error| input(&error))?;
        let trusted = read_certificates(&config.ca)?;
        check(&certificate, &config.vehicle, rcgen::PublicKeyData::der_bytes(&key), &trusted)
            .map_err(|error| input(&error))?;
        let files = IdentityFiles::new(&config.state);
        files.keep_identity(&certificate, &key.expose())?;
        let config = VehicleConfig::open(&self.config).map_err(|error| input(&error))?;
        // A batch key in hardware was registered by hand: the frame knows Ed25519 only.
        if hardware.batch().map_err(|error| input(&error))?.is_none() {
            register_batch_key(&config, device)?;
        }
        let _ = fs::remove_file(pending(&config));
        terminal.note(&format!("vehicle {} is enrolled", config.vehicle));
        Ok(())
    }

    fn token(&self) -> Result<String, Failure> {
        let text = if self.token.as_os_str() == "-" {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map_err(|error| Failure::input(error.to_string()))?;
            line
        } else {
            fs::read_to_string(&self.token)
                .map_err(|error| Failure::input(format!("{}: {error}", self.token.display())))?
        };
        let token = text.trim().to_owned();
        if token.is_empty() { Err(Failure::input("the token is empty")) } else { Ok(token) }
    }

    /// Makes the key, or takes the one of an attempt whose answer was lost.
    fn identity_key(&self, config: &VehicleConfig) -> Result<IdentityKey, Failure> {
        let path = pending(config);
        if let Ok(text) = fs::read_to_string(&path) {
            return IdentityKey::from_pem(&text).map_err(|error| Failure::input(error.to_string()));
        }
        let key = IdentityKey::generate().map_err(|error| Failure::input(error.to_string()))?;
        write_whole(&path, &key.expose())?;
        Ok(key)
    }
}

/// Key of an enrolment that is under way.
fn pending(config: &VehicleConfig) -> PathBuf {
    config.state.join("enrolment.key.pem")
}

/// Makes the batch key if there is none, and tells the cloud over a session of the new certificate.
fn register_batch_key(config: &VehicleConfig, device: Option<Arc<dyn DeviceKey>>) -> Result<(), Failure> {
    if !config.batch_key.exists() {
        let mut secret = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut secret)
            .map_err(|_| Failure::input("the system gives no random bytes"))?;
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        write_whole(&config.batch_key, &hex)?;
    }
    let text = fs::read_to_string(&config.batch_key)
        .map_err(|error| Failure::input(format!("{}: {error}", config.batch_key.display())))?;
    let secret = outrider_types::hex_decode::<32>(text.trim());
    let signer = Ed25519Signer::new(&secret.map_err(|error| Failure::input(format!("batch_key: {error}")))?);
    let change = KeyChange {
        tenant: TenantId(config.tenant),
        vehicle: config.vehicle.parse::<VehicleId>().map_err(|error| Failure::input(error.to_string()))?,
        from: BootEpoch(1),
        key: signer.public_key(),
    };
    let mut frame = [0; KEY_BYTES];
    change.emit(&signer, &signer, &mut frame).map_err(|error| Failure::input(format!("{error:?}")))?;
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
    };
    let (ca, certificate, key) = (read(&config.ca)?, read(&config.certificate)?, read(&config.key)?);
    let files = LinkFiles { ca: &ca, certificate: &certificate, key: &key };
    let link = match device {
        Some(device) => HttpsLink::with_device_key(&config.cloud, &files, device),
        None => HttpsLink::new(&config.cloud, &files),
    };
    let mut link = link.map_err(|error| Failure::input(error.to_string()))?;
    let answer = link.exchange(&frame).map_err(|error| Failure::input(format!("batch key: {error}")))?;
    drop(answer);
    Ok(())
}

/// Overwrites and removes the vehicle's keys at the end of its life or before it changes its owner. What is in the spool
/// cannot be read or signed any more: wait until `status` says that it is empty.
#[derive(Debug, Args)]
pub(super) struct Wipe {
    /// Provisioning of the vehicle.
    #[arg(long)]
    config: PathBuf,
    /// Say that this cannot be undone.
    #[arg(long, required = true)]
    yes: bool,
}

impl Wipe {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        debug_assert!(self.yes, "the parser asks for it");
        let config = VehicleConfig::open_provisioned(&self.config)
            .map_err(|error| Failure::input(error.to_string()))?;
        for path in wipe(&config)? {
            terminal.note(&format!("removed {}", path.display()));
        }
        Ok(())
    }
}
