//! The way to the cloud that the configuration names.

use std::path::PathBuf;
use std::sync::Arc;

use outrider_gateway::uplink::Link;
use outrider_types::Seed;

use super::Failure;
use super::run::MachineClock;
use crate::identity::{Renewal, read_certificates};
use crate::io::est::{RenewalPlan, Renewer};
use crate::io::https::{HttpsLink, LinkError, LinkFiles};
use crate::io::mqtt::client::Identity;
use crate::io::mqtt::{MqttLink, TlsDial, Version};
use crate::io::tls::validity;
use crate::runtime::hardware::Hardware;
use crate::runtime::{CloudLink, Sections, UplinkSection, VehicleConfig};

/// Opens MQTT for `mqtts://` and HTTPS for any other address; connects when it is used. `word` is what `--link` says.
pub(super) fn open(
    config: &VehicleConfig,
    word: Option<&str>,
    salt: u64,
    hardware: &Hardware,
) -> Result<Box<dyn CloudLink>, Failure> {
    if let Some(word) = word.filter(|word| Link::from_word(word).is_none()) {
        return Err(Failure::input(format!("--link: {word:?} is not metered, wifi or workshop")));
    }
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
    };
    let device = hardware.tls().map_err(|error| Failure::input(error.to_string()))?;
    let key = if device.is_some() { Vec::new() } else { read(&config.key)? };
    let (ca, certificate) = (read(&config.ca)?, read(&config.certificate)?);
    let files = LinkFiles { ca: &ca, certificate: &certificate, key: &key };
    let input = |error: LinkError| Failure::input(error.to_string());
    let https = |address: &str| match &device {
        Some(key) => HttpsLink::with_device_key(address, &files, Arc::clone(key)),
        None => HttpsLink::new(address, &files),
    };
    if !config.cloud.starts_with("mqtts://") {
        return Ok(Box::new(https(&config.cloud).map_err(input)?));
    }
    let section = config.uplink.clone().unwrap_or_default();
    let evidence = config.evidence.as_deref().map(https).transpose().map_err(input)?;
    let dial = match &device {
        Some(key) => TlsDial::with_device_key(&config.cloud, &files, Arc::clone(key)),
        None => TlsDial::new(&config.cloud, &files),
    };
    let identity = identity(config, &section)?;
    let link = MqttLink::new(dial.map_err(input)?, identity, section.broker, Seed::new(salt).fork(3));
    Ok(Box::new(link.with_evidence(evidence)))
}

fn identity(config: &VehicleConfig, section: &UplinkSection) -> Result<Identity, Failure> {
    let is_5 = section.is_mqtt_5().map_err(|error| Failure::input(format!("uplink: {error}")))?;
    // The edge knows the vehicle by its certificate; a broker tells its clients apart by their topics.
    let place = if section.broker { format!("{}/", config.vehicle) } else { String::new() };
    Ok(Identity {
        version: if is_5 { Version::V5 } else { Version::V3 },
        client_id: config.vehicle.clone(),
        up: format!("v1/{place}up"),
        down: format!("v1/{place}down"),
        keep_alive_s: section.keep_alive_s(),
    })
}

/// Returns what the link is now: `--link`, then the configuration; without either it costs nothing.
pub(super) fn kind(config: &VehicleConfig, word: Option<&str>) -> Link {
    let configured = || config.uplink.as_ref().map_or(Link::Unmetered, UplinkSection::link);
    word.and_then(Link::from_word).unwrap_or_else(configured)
}

/// Starts what renews the certificate, where the vehicle is told of a CA.
pub(super) fn renewer(
    config: &VehicleConfig,
    sections: &Sections,
    hardware: &Hardware,
    clock: &MachineClock,
) -> Result<Option<Renewer>, Failure> {
    let Some(section) = &sections.enrolment else { return Ok(None) };
    let own = read_certificates(&config.certificate)
        .map_err(|error| Failure::input(format!("{}: {error}", config.certificate.display())))?;
    let own = own.first().and_then(|own| validity(own));
    let own =
        own.ok_or_else(|| Failure::input(format!("{}: no certificate", config.certificate.display())))?;
    let (mono, wall) = clock.read();
    let seed = Seed::new(wall.0.unsigned_abs() ^ u64::from(std::process::id())).fork(5);
    let plan = RenewalPlan {
        url: section.url.clone(),
        vehicle: config.vehicle.clone(),
        roots: config.ca.clone(),
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        state: config.state.clone(),
        device: hardware.tls().map_err(|error| Failure::input(error.to_string()))?,
    };
    Ok(Some(Renewer::start(plan, own, Renewal::new(own, seed, mono))))
}
