//! What a file says of one vehicle, checked.

use std::collections::{BTreeMap, BTreeSet};

use outrider_model::{Connectivity, EcuEntry, MonitoringStage, Registration, VehicleRecord};
use outrider_types::EcuId;

use super::vin::looks_like_vin;
use super::{FileEntry, FileProblem, FileRow, PROBLEMS_MAX, VehicleName, Vin, problem};

/// Longest text of a cell, in bytes.
pub const TEXT_BYTES_MAX: usize = 64;
/// Most features of a vehicle.
pub const FEATURES_MAX: usize = 64;
/// Most ECUs of a vehicle.
pub const ECUS_MAX: usize = 256;
/// Model years that are believed: a registry of vehicles with networks begins later than this, and ends earlier.
const YEARS: std::ops::RangeInclusive<u16> = 1950..=2100;

/// Columns of the vehicle itself; those of ECUs are `ecu.NUMBER.name`, `.supplier`, `.software` and `.bus`.
pub const COLUMNS: &[(&str, Column)] = &[
    ("vin", Column::Vin),
    ("vehicle_id", Column::VehicleId),
    ("model_line", Column::ModelLine),
    ("platform", Column::Platform),
    ("model_year", Column::ModelYear),
    ("hardware", Column::Hardware),
    ("release", Column::Release),
    ("region", Column::Region),
    ("h3", Column::H3),
    ("connectivity", Column::Connectivity),
    ("registration", Column::Registration),
    ("stage", Column::Stage),
    ("features", Column::Features),
];

/// Meaning of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// VIN; this or the pseudonym names the vehicle.
    Vin,
    /// Pseudonym, 32 hexadecimal digits.
    VehicleId,
    /// Model line.
    ModelLine,
    /// Electrical platform.
    Platform,
    /// Model year.
    ModelYear,
    /// Hardware level.
    Hardware,
    /// Software release.
    Release,
    /// ISO 3166-1 alpha-2.
    Region,
    /// H3 cell, hexadecimal.
    H3,
    /// Word of [`Connectivity`].
    Connectivity,
    /// Word of [`Registration`].
    Registration,
    /// Word of [`MonitoringStage`].
    Stage,
    /// Features, separated by `|`.
    Features,
    /// Something of one ECU.
    Ecu(EcuId, EcuColumn),
}

/// Meaning of a column of an ECU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EcuColumn {
    /// Name.
    Name,
    /// Supplier.
    Supplier,
    /// Software release.
    Software,
    /// Number of the bus it sits on.
    Bus,
}

impl Column {
    /// Finds a column by its name; capitals and spaces around it do not matter.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        if let Some((_, column)) = COLUMNS.iter().find(|(known, _)| *known == name) {
            return Some(*column);
        }
        let (number, part) = name.strip_prefix("ecu.")?.split_once('.')?;
        Some(Self::Ecu(EcuId(number.parse().ok().filter(|number| *number > 0)?), EcuColumn::from_name(part)?))
    }

    /// Name for messages.
    fn name(self) -> String {
        match self {
            Self::Ecu(ecu, part) => format!("ecu.{ecu}.{}", part.name()),
            Self::Vin
            | Self::VehicleId
            | Self::ModelLine
            | Self::Platform
            | Self::ModelYear
            | Self::Hardware
            | Self::Release
            | Self::Region
            | Self::H3
            | Self::Connectivity
            | Self::Registration
            | Self::Stage
            | Self::Features => {
                let known = COLUMNS.iter().find(|(_, column)| *column == self);
                known.map_or("", |(name, _)| *name).to_owned()
            }
        }
    }
}

impl EcuColumn {
    const ALL: [Self; 4] = [Self::Name, Self::Supplier, Self::Software, Self::Bus];

    const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Supplier => "supplier",
            Self::Software => "software",
            Self::Bus => "bus",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

/// What a file says of one vehicle; `None` leaves what is registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VehiclePatch {
    /// Model line.
    pub model_line: Option<String>,
    /// Platform.
    pub platform: Option<String>,
    /// Model year; 0 for unknown.
    pub model_year: Option<u16>,
    /// Hardware level.
    pub hardware: Option<String>,
    /// Software release.
    pub release: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// H3 cell as the file has it, neither checked nor rounded yet.
    pub h3: Option<Option<u64>>,
    /// How it reaches the cloud.
    pub connectivity: Option<Connectivity>,
    /// Where it stands in its life.
    pub registration: Option<Registration>,
    /// Whether it is monitored.
    pub stage: Option<MonitoringStage>,
    /// Features, ascending, each once.
    pub features: Option<Vec<String>>,
    /// ECUs, by number.
    pub ecus: Option<Vec<EcuEntry>>,
}

impl VehiclePatch {
    /// Writes what is stated into a record.
    pub fn apply(&self, record: &mut VehicleRecord) {
        let texts = [
            (&self.model_line, &mut record.model_line),
            (&self.platform, &mut record.platform),
            (&self.hardware, &mut record.hardware),
            (&self.release, &mut record.release),
            (&self.region, &mut record.region),
        ];
        for (text, slot) in texts {
            if let Some(text) = text {
                slot.clone_from(text);
            }
        }
        record.model_year = self.model_year.unwrap_or(record.model_year);
        record.h3 = self.h3.unwrap_or(record.h3);
        record.connectivity = self.connectivity.unwrap_or(record.connectivity);
        record.registration = self.registration.unwrap_or(record.registration);
        record.stage = self.stage.unwrap_or(record.stage);
        if let Some(features) = &self.features {
            record.features.clone_from(features);
        }
        if let Some(ecus) = &self.ecus {
            record.ecus.clone_from(ecus);
        }
    }
}

/// Collects the cells of one record and everything that is wrong with them.
pub(super) struct RowBuilder {
    line: u64,
    vin: Option<Vin>,
    vehicle: Option<outrider_types::VehicleId>,
    patch: VehiclePatch,
    ecus: Option<BTreeMap<EcuId, EcuEntry>>,
    problems: Vec<FileProblem>,
}

impl RowBuilder {
    pub(super) fn new(line: u64) -> Self {
        let (patch, problems) = (VehiclePatch::default(), Vec::new());
        Self { line, vin: None, vehicle: None, patch, ecus: None, problems }
    }

    /// Notes a problem; beyond [`PROBLEMS_MAX`] the first ones must do.
    pub(super) fn refuse(&mut self, reason: &'static str, text: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem(self.line, reason, text));
        }
    }

    /// Says that ECUs are stated, even if there are none.
    pub(super) fn state_ecus(&mut self) {
        self.ecus.get_or_insert_default();
    }

    /// Takes one cell.
    pub(super) fn set(&mut self, column: Column, text: &str) {
        let text = text.trim();
        match column {
            Column::Vin => match Vin::parse(text) {
                _ if text.is_empty() => {}
                Ok(vin) => self.vin = Some(vin),
                Err(error) => self.refuse(error.code(), format!("column vin: {error}")),
            },
            Column::VehicleId => match text.parse() {
                _ if text.is_empty() => {}
                Ok(vehicle) => self.vehicle = Some(vehicle),
                Err(error) => self.refuse("field.vehicle_id", format!("column vehicle_id: {error}")),
            },
            Column::ModelLine => self.patch.model_line = self.text(column, text),
            Column::Platform => self.patch.platform = self.text(column, text),
            Column::Hardware => self.patch.hardware = self.text(column, text),
            Column::Release => self.patch.release = self.text(column, text),
            Column::ModelYear => self.year(text),
            Column::Region => self.region(text),
            Column::H3 => match u64::from_str_radix(text, 16) {
                _ if text.is_empty() => self.patch.h3 = Some(None),
                Ok(cell) => self.patch.h3 = Some(Some(cell)),
                Err(_) => self.refuse("field.h3", "column h3: no H3 cell in hexadecimal digits"),
            },
            Column::Connectivity => {
                self.patch.connectivity = self.word(column, text, Connectivity::from_word);
            }
            Column::Registration => {
                self.patch.registration = self.word(column, text, Registration::from_word);
            }
            Column::Stage => self.patch.stage = self.word(column, text, MonitoringStage::from_word),
            Column::Features => self.features(text.split('|')),
            Column::Ecu(ecu, part) => self.ecu(ecu, part, text),
        }
    }

    /// Takes the features.
    pub(super) fn features<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut features = BTreeSet::new();
        for word in words.map(str::trim).filter(|word| !word.is_empty()) {
            if features.len() == FEATURES_MAX {
                return self.refuse("field.features", format!("column features: more than {FEATURES_MAX}"));
            }
            match self.text(Column::Features, word) {
                Some(word) if !word.contains('|') => drop(features.insert(word)),
                Some(_) => return self.refuse("field.features", "column features: a feature holds `|`"),
                None => return,
            }
        }
        self.patch.features = Some(features.into_iter().collect());
    }

    fn year(&mut self, text: &str) {
        match text.parse() {
            _ if text.is_empty() => self.patch.model_year = Some(0),
            Ok(year) if YEARS.contains(&year) => self.patch.model_year = Some(year),
            Ok(_) | Err(_) => {
                let (from, to) = (YEARS.start(), YEARS.end());
                self.refuse("field.model_year", format!("column model_year: no year from {from} to {to}"));
            }
        }
    }

    fn region(&mut self, text: &str) {
        if text.is_empty() || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())) {
            self.patch.region = Some(text.to_owned());
        } else {
            self.refuse("field.region", "column region: not two capital letters (ISO 3166-1 alpha-2)");
        }
    }

    fn word<T>(&mut self, column: Column, text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = parse(text);
        if found.is_none() && !text.is_empty() {
            self.refuse("field.word", format!("column {}: not one of its words", column.name()));
        }
        found
    }

    fn ecu(&mut self, ecu: EcuId, part: EcuColumn, text: &str) {
        self.state_ecus();
        if text.is_empty() {
            return;
        }
        let column = Column::Ecu(ecu, part);
        let bus = if part == EcuColumn::Bus { text.parse().ok() } else { Some(0) };
        let Some(bus) = bus else {
            return self.refuse("field.bus", format!("column {}: no number from 0 to 255", column.name()));
        };
        let Some(text) = self.text(column, text) else { return };
        let entry = self.ecus.get_or_insert_default().entry(ecu);
        let entry = entry.or_insert_with(|| EcuEntry { ecu, ..EcuEntry::default() });
        match part {
            EcuColumn::Name => entry.name = text,
            EcuColumn::Supplier => entry.supplier = text,
            EcuColumn::Software => entry.software = text,
            EcuColumn::Bus => entry.bus = bus,
        }
    }

    /// Checks a text that goes into the registry as it is: whatever a spreadsheet would make of it, here it is text.
    fn text(&mut self, column: Column, text: &str) -> Option<String> {
        if text.len() > TEXT_BYTES_MAX {
            self.refuse(
                "field.length",
                format!("column {}: more than {TEXT_BYTES_MAX} bytes", column.name()),
            );
        } else if text.chars().any(is_unseen) {
            self.refuse(
                "field.character",
                format!("column {}: a character that cannot be seen", column.name()),
            );
        } else if looks_like_vin(text) {
            let place = column.name();
            self.refuse(
                "field.vin",
                format!("column {place}: looks like a VIN, which belongs in column vin"),
            );
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// Ends the record.
    pub(super) fn finish(mut self) -> FileEntry {
        let ecus: Option<Vec<EcuEntry>> = self.ecus.take().map(|ecus| ecus.into_values().collect());
        if ecus.as_ref().is_some_and(|ecus| ecus.len() > ECUS_MAX) {
            self.refuse("field.ecus", format!("more than {ECUS_MAX} ECUs"));
        }
        if ecus.iter().flatten().any(|ecu| ecu.name.is_empty()) {
            self.refuse("field.ecu_name", "an ECU has no name");
        }
        self.patch.ecus = ecus;
        let name = match (self.vin.take(), self.vehicle) {
            (Some(vin), None) => Some(VehicleName::Vin(vin)),
            (None, Some(vehicle)) => Some(VehicleName::Pseudonym(vehicle)),
            (Some(_), Some(_)) => {
                self.refuse(
                    "row.two_names",
                    "both a VIN and a pseudonym: which of them counts cannot be known",
                );
                None
            }
            (None, None) => {
                // A name that is wrong has been said already.
                if self.problems.is_empty() {
                    self.refuse("row.no_name", "neither a VIN nor a pseudonym");
                }
                None
            }
        };
        match name {
            Some(name) if self.problems.is_empty() => {
                FileEntry::Row(Box::new(FileRow { line: self.line, name, patch: self.patch }))
            }
            Some(_) | None => FileEntry::Refused(self.problems),
        }
    }
}

/// Control characters and those that turn the direction of a text or take no room: what a person reads must be what is
/// there.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}
