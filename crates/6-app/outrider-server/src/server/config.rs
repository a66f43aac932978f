//! Options of an installation.

use std::net::SocketAddr;
use std::path::PathBuf;

use outrider_decode::Package;
use outrider_detect::DetectorConfig;
use outrider_respond::GatePolicy;
use outrider_types::TenantId;

use crate::http::HttpConfig;
use crate::identity::SessionPolicy;
use crate::pipeline::PipelineConfig;
use crate::registry::H3_RESOLUTION_MAX;
use crate::vault::{RevealPolicy, VaultConfig};
use crate::vehicle::ListenerConfig;
use crate::vehicle::admission::VehicleRate;
use crate::vehicle::broker::BrokerConfig;
use crate::vehicle::est::EstConfig;
use crate::vehicle::mqtt::MqttConfig;

/// Text of a rule file with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// Name for messages.
    pub name: String,
    /// The file.
    pub text: String,
}

/// Options of an installation.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Owner of everything in it.
    pub tenant: TenantId,
    /// Folder of database, keys and captures; created if absent.
    pub folder: PathBuf,
    /// Listener for browsers and programs.
    pub http: HttpConfig,
    /// Where a process without API shows its counters; without it nowhere.
    pub monitor: Option<SocketAddr>,
    /// Listener for vehicles that speak HTTPS.
    pub vehicles: ListenerConfig,
    /// Listener for vehicles that speak MQTT.
    pub mqtt: MqttConfig,
    /// Broker from which frames are taken, too.
    pub broker: Option<BrokerConfig>,
    /// What one vehicle may send.
    pub vehicle_rate: VehicleRate,
    /// Further CAs whose vehicle certificates are trusted, PEM: those of an external fleet CA.
    pub fleet_cas: Vec<String>,
    /// Listener for vehicles that enrol; without it nobody can.
    pub enrolment: Option<EstConfig>,
    /// How long sessions last.
    pub sessions: SessionPolicy,
    /// Limits of the safety gate.
    pub gate: GatePolicy,
    /// Limits of detection; the key of its hash tables is drawn at the start.
    pub detector: DetectorConfig,
    /// Pace of the worker.
    pub pipeline: PipelineConfig,
    /// Detection rules.
    pub rules: Vec<RuleText>,
    /// Decoders of foreign formats.
    pub decoders: Vec<Package>,
    /// VIN vault; without one nothing that has to do with VINs is done.
    pub vault: Option<VaultConfig>,
    /// Who may see a VIN.
    pub reveal: RevealPolicy,
    /// Resolution to which places of vehicles are rounded, 0 to [`crate::registry::H3_RESOLUTION_MAX`].
    pub h3_resolution: u8,
}

impl ServerConfig {
    /// Defaults on loopback with free ports and without rules.
    #[must_use]
    pub fn loopback(folder: impl Into<PathBuf>) -> Self {
        Self {
            tenant: TenantId(1),
            folder: folder.into(),
            http: HttpConfig::loopback(),
            monitor: None,
            vehicles: ListenerConfig::loopback(),
            mqtt: MqttConfig::loopback(),
            broker: None,
            vehicle_rate: VehicleRate::default(),
            fleet_cas: Vec::new(),
            enrolment: Some(EstConfig::loopback()),
            sessions: SessionPolicy::default(),
            gate: GatePolicy::default(),
            detector: DetectorConfig::default(),
            pipeline: PipelineConfig::default(),
            rules: Vec::new(),
            decoders: Vec::new(),
            vault: None,
            reveal: RevealPolicy::default(),
            h3_resolution: H3_RESOLUTION_MAX,
        }
    }
}
