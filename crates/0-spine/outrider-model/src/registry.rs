//! What the cloud knows of a vehicle before it speaks.

use std::collections::BTreeMap;

use outrider_types::{EcuId, TenantId, VehicleId};

/// How a vehicle usually reaches the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Connectivity {
    /// Mobile network, most of the time.
    #[default]
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

/// Where a vehicle stands in its life, as the maker or the authority states it.
///
/// Not to be confused with whether it is let in: that is its identity's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Registration {
    /// Built, not on the road yet.
    Produced,
    /// On the road.
    #[default]
    Registered,
    /// Taken off the road, for now or for good.
    Deregistered,
    /// Does not exist any more.
    Scrapped,
}

impl Registration {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Produced, Self::Registered, Self::Deregistered, Self::Scrapped];

    /// Returns the word used in API, database and registry files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Produced => "produced",
            Self::Registered => "registered",
            Self::Deregistered => "deregistered",
            Self::Scrapped => "scrapped",
        }
    }

    /// Finds one by its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.word() == word)
    }
}

/// How far the roll-out of monitoring has come for a vehicle.
///
/// A vehicle of which nobody says anything is monitored in full: silence must not turn detection off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum MonitoringStage {
    /// Not to be monitored.
    OutOfScope,
    /// To be monitored later.
    Planned,
    /// Monitored with the first vehicles of its line.
    Pilot,
    /// Monitored.
    #[default]
    Full,
}

impl MonitoringStage {
    /// All of them, in the order of a roll-out.
    pub const ALL: [Self; 4] = [Self::OutOfScope, Self::Planned, Self::Pilot, Self::Full];

    /// Returns the word used in API, database, rules and registry files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::Planned => "planned",
            Self::Pilot => "pilot",
            Self::Full => "full",
        }
    }

    /// Finds one by its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.word() == word)
    }

    /// Returns whether the vehicle is monitored now.
    #[must_use]
    pub const fn is_in_scope(self) -> bool {
        match self {
            Self::OutOfScope | Self::Planned => false,
            Self::Pilot | Self::Full => true,
        }
    }
}

/// One ECU of a vehicle.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EcuEntry {
    /// Number in the vehicle.
    pub ecu: EcuId,
    /// Name on screen and in rules.
    pub name: String,
    /// Bus it sits on, as the vehicle model names it.
    pub bus: u8,
    /// Who supplied it; empty if unknown.
    pub supplier: String,
    /// Software release.
    pub software: String,
}

/// One vehicle of the registry; the VIN is not here (PRIV-1). Texts are empty where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VehicleRecord {
    /// Pseudonym.
    pub vehicle: VehicleId,
    /// Owner.
    pub tenant: TenantId,
    /// Model line.
    pub model_line: String,
    /// Electrical platform.
    pub platform: String,
    /// Model year; 0 if unknown.
    pub model_year: u16,
    /// Hardware level; empty if unknown.
    pub hardware: String,
    /// Software release.
    pub release: String,
    /// Region, ISO 3166-1 alpha-2.
    pub region: String,
    /// H3 cell of the usual place, privacy-rounded to resolution 5 or coarser.
    pub h3: Option<u64>,
    /// How it reaches the cloud.
    pub connectivity: Connectivity,
    /// Where it stands in its life.
    pub registration: Registration,
    /// Whether and how it is monitored.
    pub stage: MonitoringStage,
    /// What it is equipped with, such as `v2x`; ascending, each once.
    pub features: Vec<String>,
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
