//! What a network description says, whatever its format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use outrider_bus::can::CanId;

use super::protected::PduPlace;
use crate::io::dbc::{DbcMessage, DbcModel};

/// A signal; all formats say the same of one, in the bit numbers of DBC files.
pub use crate::io::dbc::DbcSignal as Signal;

/// Format of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Vector CAN database.
    Dbc,
    /// AUTOSAR XML.
    Arxml,
    /// LIN description file.
    Ldf,
    /// ASAM FIBEX.
    Fibex,
}

impl Format {
    /// Returns its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dbc => "DBC",
            Self::Arxml => "ARXML",
            Self::Ldf => "LDF",
            Self::Fibex => "FIBEX",
        }
    }
}

/// Where something stands, both from 1; column 0 means the whole line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.column == 0 {
            write!(f, "line {}", self.line)
        } else {
            write!(f, "line {}, column {}", self.line, self.column)
        }
    }
}

/// Kind of bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// CAN or CAN FD.
    Can,
    /// LIN.
    Lin,
    /// FlexRay.
    FlexRay,
    /// Ethernet.
    Ethernet,
}

impl Medium {
    /// Returns its name in lower case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Can => "can",
            Self::Lin => "lin",
            Self::FlexRay => "flexray",
            Self::Ethernet => "ethernet",
        }
    }
}

/// A bus, or several that are one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub medium: Medium,
    /// Bits a second, if stated.
    pub bit_rate: Option<u64>,
    /// Slots of the static segment of a FlexRay cluster, if stated.
    pub static_slots: Option<u16>,
    /// Payload of its static frames in words of two bytes, if stated.
    pub static_words: Option<u8>,
}

impl Cluster {
    /// Creates a cluster about which nothing is stated.
    #[must_use]
    pub const fn new(name: String, medium: Medium) -> Self {
        Self { name, medium, bit_rate: None, static_slots: None, static_words: None }
    }
}

/// What tells a frame from others on its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameKey {
    /// CAN identifier.
    Can(CanId),
    /// LIN frame identifier, 0 to 63.
    Lin(u8),
    /// Place in the FlexRay schedule.
    FlexRay {
        /// Slot, 1 to 2047.
        slot: u16,
        /// First cycle, 0 to 63.
        base_cycle: u8,
        /// Cycles from one to the next: 1, 2, 4, … 64.
        repetition: u8,
    },
}

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Its name.
    pub name: String,
    /// Name of its cluster; empty if the file has only one, without a name.
    pub cluster: String,
    /// What tells it from others.
    pub key: FrameKey,
    /// Whether it is a CAN FD frame.
    pub is_fd: bool,
    /// Payload bytes.
    pub bytes: u16,
    /// Microseconds from one to the next, or `None` if it is not cyclic or nobody said.
    pub cycle_us: Option<u64>,
    /// ECUs that send it.
    pub senders: Vec<String>,
    /// Its signals.
    pub signals: Vec<Signal>,
    /// Where it begins.
    pub place: Place,
}

/// One entry of a LIN schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleEntry {
    /// Frame or command.
    pub frame: String,
    /// Time until the next entry, in microseconds.
    pub delay_us: u64,
}

/// A LIN schedule table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinSchedule {
    /// Its name.
    pub name: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Its entries, in order.
    pub entries: Vec<ScheduleEntry>,
}

/// A slot of a LIN schedule whose frame is not always the same, or that may stay empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedSlot {
    /// Its name in schedules.
    pub name: String,
    /// Identifier of an event-triggered frame; `None` for a sporadic one, which has those of its frames.
    pub id: Option<u8>,
    /// Frames that may be in it.
    pub frames: Vec<String>,
}

/// Where a service instance is offered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// Instance, if stated.
    pub instance: Option<u16>,
    /// Address, if the endpoint has a fixed one.
    pub address: Option<IpAddr>,
    /// Whether the port is one of UDP, else TCP.
    pub is_udp: bool,
    /// Port.
    pub port: u16,
}

/// A SOME/IP service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Service identifier.
    pub service_id: Option<u16>,
    /// Instance identifiers that are offered.
    pub provided: BTreeSet<u16>,
    /// Instance identifiers that are used.
    pub required: BTreeSet<u16>,
    /// Methods by identifier.
    pub methods: BTreeMap<u16, String>,
    /// Events by identifier.
    pub events: BTreeMap<u16, String>,
    /// Event groups by identifier.
    pub event_groups: BTreeMap<u16, String>,
    /// Where its instances are offered.
    pub offers: BTreeSet<Offer>,
    /// Where it begins.
    pub place: Place,
}

/// End-to-end protection of a PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct E2eProtection {
    /// Name of the protection.
    pub name: String,
    /// Profile as written, such as `PROFILE_01`.
    pub profile: String,
    /// The PDU that it protects.
    pub pdu: String,
    /// Data identifiers.
    pub data_ids: Vec<u32>,
    /// Bit of the PDU at which the protected part begins.
    pub offset_bit: Option<u32>,
    /// Protected bits.
    pub data_bits: Option<u32>,
    /// First bit of the counter.
    pub counter_bit: Option<u32>,
    /// First bit of the checksum.
    pub crc_bit: Option<u32>,
    /// First bit of the header in the protected part, where a transformer writes it.
    pub header_bit: Option<u32>,
    /// How the data identifier enters the checksum of profiles 1 and 11, as written.
    pub data_id_mode: Option<String>,
    /// Largest step of the counter.
    pub max_delta: Option<u32>,
}

/// A PDU with an authenticator (SecOC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecuredPdu {
    /// Its name.
    pub name: String,
    /// The PDU inside.
    pub payload: Option<String>,
    /// SecOC data identifier.
    pub data_id: Option<u32>,
    /// Bits of the freshness value.
    pub freshness_bits: Option<u32>,
    /// Bits of the freshness value in the frame.
    pub freshness_tx_bits: Option<u32>,
    /// Bits of the authenticator in the frame.
    pub auth_tx_bits: Option<u32>,
    /// Bytes of the whole PDU.
    pub bytes: Option<u32>,
}

/// What a security extract says of an event at one IdsM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextProps {
    /// IdsM or mapping it belongs to.
    pub name: String,
    /// Sensor instance.
    pub sensor: Option<u8>,
    /// Severity as written.
    pub severity: Option<String>,
    /// Reporting mode as written.
    pub reporting_mode: Option<String>,
    /// Whether it is stored.
    pub is_persistent: Option<bool>,
}

/// A security event of a security extract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEventSpec {
    /// Short name.
    pub name: String,
    /// Event definition id.
    pub id: Option<u16>,
    /// Symbol, such as `SECOC_SEV_MAC_VERIFICATION_FAILED`.
    pub symbol: Option<String>,
    /// What is said of it at IdsMs.
    pub contexts: Vec<ContextProps>,
    /// Where it begins.
    pub place: Place,
}

/// Why something was not taken, or only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Outrider has no use for such an element.
    Unused,
    /// It follows no grammar that is known.
    Syntax,
    /// It refers to something that is not in the file.
    Dangling,
    /// A value is missing.
    Missing,
    /// A value is no number, or out of range.
    Value,
    /// It was described before.
    Duplicate,
    /// Bits lie outside what holds them; it is kept.
    Outside,
    /// It is a kind of thing that the importer does not know how to read.
    Unsupported,
}

impl Reason {
    /// Returns the reason in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unused => "not used",
            Self::Syntax => "malformed",
            Self::Dangling => "refers to something that is not there",
            Self::Missing => "lacks a value",
            Self::Value => "value is out of range",
            Self::Duplicate => "described twice",
            Self::Outside => "bits lie outside",
            Self::Unsupported => "kind is not supported",
        }
    }
}

/// One thing that was refused or taken only in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Element or keyword.
    pub element: String,
    /// Why.
    pub reason: Reason,
    /// What it was about.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.place, self.element, self.reason.word())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Elements of one kind that were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NotUnderstood {
    /// How many.
    pub count: u64,
    /// The first one.
    pub first: Place,
}

/// What a description says.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Format it was in.
    pub format: Format,
    /// ECUs.
    pub nodes: Vec<String>,
    /// Buses.
    pub clusters: Vec<Cluster>,
    /// Frames.
    pub frames: Vec<Frame>,
    /// LIN schedules.
    pub schedules: Vec<LinSchedule>,
    /// Sporadic and event-triggered frames of LIN.
    pub shared_slots: Vec<SharedSlot>,
    /// Whether LIN checksums are over the identifier too, if the file says so: from version 2 of the protocol on.
    pub has_enhanced_checksums: Option<bool>,
    /// SOME/IP services.
    pub services: Vec<Service>,
    /// Places of PDUs in frames.
    pub pdus: Vec<PduPlace>,
    /// End-to-end protections.
    pub protections: Vec<E2eProtection>,
    /// PDUs with an authenticator.
    pub secured: Vec<SecuredPdu>,
    /// Security events.
    pub security_events: Vec<SecurityEventSpec>,
    /// What was refused, the first [`super::PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How much was refused.
    pub problems_total: u64,
    /// Elements that were passed over, by name.
    pub not_understood: BTreeMap<String, NotUnderstood>,
    /// What a DBC file gave; kept whole, because conversion has nothing to add.
    dbc: Option<DbcModel>,
}

impl Description {
    /// Creates an empty description.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            nodes: Vec::new(),
            clusters: Vec::new(),
            frames: Vec::new(),
            schedules: Vec::new(),
            shared_slots: Vec::new(),
            has_enhanced_checksums: None,
            services: Vec::new(),
            pdus: Vec::new(),
            protections: Vec::new(),
            secured: Vec::new(),
            security_events: Vec::new(),
            problems: Vec::new(),
            problems_total: 0,
            not_understood: BTreeMap::new(),
            dbc: None,
        }
    }

    /// Keeps the model of a DBC file for the learner.
    pub(super) fn with_dbc(self, dbc: DbcModel) -> Self {
        Self { dbc: Some(dbc), ..self }
    }

    /// Adds a problem, or only counts it.
    pub(super) fn problem(&mut self, place: Place, element: &str, reason: Reason, detail: impl Into<String>) {
        self.problems_total += 1;
        if self.problems.len() < super::PROBLEMS_MAX {
            let detail: String = detail.into();
            self.problems.push(Problem {
                place,
                element: element.chars().take(80).collect(),
                reason,
                detail: detail.chars().take(200).collect(),
            });
        }
    }

    /// Counts an element that is passed over.
    pub(super) fn pass_over(&mut self, element: &str, place: Place) {
        let name: String = element.chars().take(80).collect();
        let entry = self.not_understood.entry(name).or_insert(NotUnderstood { count: 0, first: place });
        entry.count += 1;
    }

    /// Returns the CAN part in the shape that the learner takes, whatever the format was.
    #[must_use]
    pub fn into_can(self) -> DbcModel {
        if let Some(dbc) = self.dbc {
            return dbc;
        }
        let mut model = DbcModel { nodes: self.nodes, ..DbcModel::default() };
        let mut seen = BTreeSet::new();
        for frame in self.frames {
            let FrameKey::Can(id) = frame.key else { continue };
            // The same frame may be triggered on several clusters; the learner knows it on every bus anyway.
            if !seen.insert(id) {
                continue;
            }
            model.messages.push(DbcMessage {
                id,
                name: frame.name,
                bytes: frame.bytes,
                cycle_ms: frame
                    .cycle_us
                    .and_then(|us| u32::try_from(us.div_ceil(1000)).ok())
                    .filter(|&ms| ms > 0),
                transmitters: frame.senders,
                signals: frame.signals,
                line: frame.place.line,
            });
        }
        model
    }
}
