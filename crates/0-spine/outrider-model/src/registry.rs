//! What the cloud knows of a vehicle before it speaks.

use std::collections::BTreeMap;

use outrider_types::{EcuId, TenantId, VehicleId};

/// How a vehicle usually reaches the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Connectivity {
    /// Mobile network, most of the time.
    Cellular,
    /// Wi-Fi now and then; days offline are normal.
    Occasional,
    /// In the workshop only; weeks offline are normal.
    Workshop,
}

impl Connectivity {
    /// Returns the word used in API and registry files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cellular => "cellular",
            Self::Occasional => "occasional",
            Self::Workshop => "workshop",
        }
    }

    /// Returns the connectivity of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Cellular, Self::Occasional, Self::Workshop].into_iter().find(|entry| entry.word() == word)
    }
}

/// One ECU of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcuEntry {
    /// Number in the vehicle.
    pub ecu: EcuId,
    /// Name on screen and in rules.
    pub name: String,
    /// Bus it sits on, as the vehicle model names it.
    pub bus: u8,
    /// Software version.
    pub software: String,
}

/// One vehicle of the registry; the VIN is not here (PRIV-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VehicleRecord {
    /// Pseudonym.
    pub vehicle: VehicleId,
    /// Owner.
    pub tenant: TenantId,
    /// Model line.
    pub model_line: String,
    /// Electrical platform.
    pub platform: String,
    /// Model year.
    pub model_year: u16,
    /// Software release.
    pub release: String,
    /// Region, ISO 3166-1 alpha-2.
    pub region: String,
    /// H3 cell of the usual place, privacy-rounded to resolution 5 or coarser.
    pub h3: Option<u64>,
    /// How it reaches the cloud.
    pub connectivity: Connectivity,
    /// ECUs, ordered by number.
    pub ecus: Vec<EcuEntry>,
}

impl VehicleRecord {
    /// Returns the name of an ECU number.
    #[must_use]
    pub fn ecu_name(&self, ecu: EcuId) -> Option<&str> {
        self.ecus.iter().find(|entry| entry.ecu == ecu).map(|entry| entry.name.as_str())
    }
}

/// Look-up of vehicles during enrichment.
pub trait VehicleRegistry: Send + Sync {
    /// Returns what is known of a vehicle.
    fn vehicle(&self, vehicle: VehicleId) -> Option<VehicleRecord>;
}

impl VehicleRegistry for BTreeMap<VehicleId, VehicleRecord> {
    fn vehicle(&self, vehicle: VehicleId) -> Option<VehicleRecord> {
        self.get(&vehicle).cloned()
    }
}
