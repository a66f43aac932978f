//! LIN schedules and FlexRay slots of a model, from network descriptions.
//!
//! **In:** [`Description`]s in the order in which they are given. **Out:** the bytes of two sections of a vehicle model.
//! **Never:** a fact that no description states. Buses are numbered as captures number channels: the first LIN cluster
//! of all files is the first LIN channel, and so on; FlexRay clusters likewise.

use std::collections::BTreeMap;

use outrider_bus::flexray::Occupancy;
use outrider_bus::lin::{ChecksumKind, Pid, SLOTS_MAX, Schedule, Slot};
use outrider_ids::flexray::model::{self as flexray_model, ClusterDraft, ROWS_MAX, SlotFacts};
use outrider_ids::lin::model::{self as lin_model, BusDraft, FrameFacts, TABLES_MAX};
use outrider_types::BusId;

use crate::io::network::{Description, FrameKey, LinSchedule, Medium};
use crate::scheduled::{flexray_bus, lin_bus};

/// Bytes that both sections fit in, as the model bounds them.
const SECTION_BYTES_MAX: usize = 256 * 1024;
/// Identifier of the master's diagnostic requests, and of what slaves answer to them.
const REQUEST: u8 = 0x3C;
const ANSWER: u8 = 0x3D;
/// Commands of schedules that are sent as diagnostic requests (ISO 17987-2, schedule table definition).
const COMMANDS: [&str; 10] = [
    "MasterReq",
    "AssignNAD",
    "ConditionalChangeNAD",
    "DataDump",
    "SaveConfiguration",
    "AssignFrameId",
    "AssignFrameIdRange",
    "UnassignFrameId",
    "FreeFormat",
    "AssignPID",
];

/// One LIN bus.
#[derive(Debug, Clone)]
struct Lin {
    name: String,
    frames: BTreeMap<u8, FrameFacts>,
    tables: Vec<Schedule>,
}

/// One FlexRay cluster.
#[derive(Debug, Clone)]
struct FlexRay {
    name: String,
    static_slots: u16,
    rows: BTreeMap<u16, SlotFacts>,
}

/// One bus as `learn` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledSummary {
    /// Number in models and events.
    pub bus: BusId,
    /// Name in its description.
    pub name: String,
    /// `lin` or `flexray`.
    pub medium: &'static str,
    /// Frames of LIN, or slots of FlexRay.
    pub frames: usize,
    /// Schedule tables of LIN.
    pub tables: usize,
    /// Slots of FlexRay's static segment, 0 if not stated.
    pub static_slots: u16,
}

/// Gathers what descriptions say.
#[derive(Debug, Clone, Default)]
pub struct ScheduleLearner {
    lin: Vec<Lin>,
    flexray: Vec<FlexRay>,
    problems: Vec<String>,
}

impl ScheduleLearner {
    /// Takes the LIN and FlexRay clusters of a description.
    pub fn add(&mut self, description: &Description) {
        for cluster in &description.clusters {
            match cluster.medium {
                Medium::Lin => self.lin(description, &cluster.name),
                Medium::FlexRay => self.flexray(description, cluster),
                Medium::Can | Medium::Ethernet => {}
            }
        }
    }

    /// Returns what could not be taken.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Returns whether no description had such a bus.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lin.is_empty() && self.flexray.is_empty()
    }

    fn lin(&mut self, description: &Description, cluster: &str) {
        let mut bus = Lin { name: cluster.to_owned(), frames: BTreeMap::new(), tables: Vec::new() };
        let mut ids: BTreeMap<&str, u8> = BTreeMap::new();
        let checksum = description.has_enhanced_checksums.map(|enhanced| match enhanced {
            true => ChecksumKind::Enhanced,
            false => ChecksumKind::Classic,
        });
        for frame in description.frames.iter().filter(|frame| frame.cluster == cluster) {
            let FrameKey::Lin(id) = frame.key else { continue };
            ids.insert(&frame.name, id);
            let is_diagnostic = id >= REQUEST;
            let facts = FrameFacts {
                bytes: u8::try_from(frame.bytes).ok().filter(|bytes| *bytes <= 8).unwrap_or(0),
                checksum: if is_diagnostic { Some(ChecksumKind::Classic) } else { checksum },
                may_be_silent: is_diagnostic,
                may_collide: false,
            };
            bus.frames.insert(id, facts);
        }
        for slot in &description.shared_slots {
            match slot.id {
                Some(id) => {
                    ids.insert(&slot.name, id);
                    // Whoever has news answers, with the frame that has it: any length, nobody, or several at once.
                    let facts =
                        FrameFacts { may_be_silent: true, may_collide: true, ..FrameFacts::default() };
                    bus.frames.insert(id, facts);
                }
                None => {
                    for id in slot.frames.iter().filter_map(|name| ids.get(name.as_str())) {
                        if let Some(facts) = bus.frames.get_mut(id) {
                            facts.may_be_silent = true;
                        }
                    }
                }
            }
        }
        // A master always may ask and hear diagnosis.
        for id in [REQUEST, ANSWER] {
            let facts = FrameFacts {
                checksum: Some(ChecksumKind::Classic),
                may_be_silent: true,
                ..Default::default()
            };
            bus.frames.entry(id).or_insert(facts);
        }
        for schedule in description.schedules.iter().filter(|schedule| schedule.cluster == cluster) {
            if let Some(table) = table_of(description, schedule, &ids, &mut self.problems) {
                if bus.tables.len() < TABLES_MAX {
                    bus.tables.push(table);
                } else {
                    self.problems.push(format!("{cluster}: more than {TABLES_MAX} schedule tables"));
                }
            }
        }
        self.lin.push(bus);
    }

    fn flexray(&mut self, description: &Description, cluster: &crate::io::network::Cluster) {
        // Lengths of static frames are only judged if the cluster states them: a frame may be shorter than its slot.
        let static_slots = cluster.static_slots.filter(|_| cluster.static_words.is_some()).unwrap_or(0);
        let mut bus = FlexRay { name: cluster.name.clone(), static_slots, rows: BTreeMap::new() };
        for frame in description.frames.iter().filter(|frame| frame.cluster == cluster.name) {
            let FrameKey::FlexRay { slot, base_cycle, repetition } = frame.key else { continue };
            let Some(occupancy) = Occupancy::new(slot, base_cycle, repetition) else { continue };
            let stated = u8::try_from(frame.bytes.div_ceil(2)).unwrap_or(u8::MAX).min(0x7F);
            let words = if slot <= static_slots { cluster.static_words.unwrap_or(stated) } else { stated };
            let row = bus.rows.entry(slot).or_insert(SlotFacts { slot, ..SlotFacts::default() });
            row.words = row.words.max(words.min(0x7F));
            row.cycles |= occupancy.cycles();
        }
        while bus.rows.len() > ROWS_MAX {
            bus.rows.pop_last();
            self.problems.push(format!("{}: more than {ROWS_MAX} slots", cluster.name));
        }
        self.flexray.push(bus);
    }

    /// Returns the bytes of the LIN section and of the FlexRay section; empty where there is no such bus.
    #[must_use]
    pub fn sections(&self) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = vec![0; SECTION_BYTES_MAX];
        let frames: Vec<Vec<(u8, FrameFacts)>> =
            self.lin.iter().map(|bus| bus.frames.iter().map(|(id, facts)| (*id, *facts)).collect()).collect();
        let buses: Vec<BusDraft<'_>> = (0u8..)
            .zip(self.lin.iter().zip(&frames))
            .map(|(number, (bus, frames))| BusDraft {
                bus: lin_bus(BusId(number)),
                frames,
                tables: &bus.tables,
            })
            .collect();
        let written = if buses.is_empty() { None } else { lin_model::write(&buses, &mut bytes) };
        let lin = bytes.get(..written.unwrap_or(0)).unwrap_or(&[]).to_vec();
        let rows: Vec<Vec<SlotFacts>> =
            self.flexray.iter().map(|bus| bus.rows.values().copied().collect()).collect();
        let clusters: Vec<ClusterDraft<'_>> = (0u8..)
            .zip(self.flexray.iter().zip(&rows))
            .map(|(number, (bus, rows))| ClusterDraft {
                bus: flexray_bus(BusId(number)),
                static_slots: bus.static_slots,
                rows,
            })
            .collect();
        let written = if clusters.is_empty() { None } else { flexray_model::write(&clusters, &mut bytes) };
        (lin, bytes.get(..written.unwrap_or(0)).unwrap_or(&[]).to_vec())
    }

    /// Returns what each bus has, LIN before FlexRay.
    #[must_use]
    pub fn summaries(&self) -> Vec<ScheduledSummary> {
        let lin = (0u8..).zip(&self.lin).map(|(number, bus)| ScheduledSummary {
            bus: lin_bus(BusId(number)),
            name: bus.name.clone(),
            medium: "lin",
            frames: bus.frames.len(),
            tables: bus.tables.len(),
            static_slots: 0,
        });
        let flexray = (0u8..).zip(&self.flexray).map(|(number, bus)| ScheduledSummary {
            bus: flexray_bus(BusId(number)),
            name: bus.name.clone(),
            medium: "flexray",
            frames: bus.rows.len(),
            tables: 0,
            static_slots: bus.static_slots,
        });
        lin.chain(flexray).collect()
    }
}

/// Turns a schedule into a table, or none if an entry of it is nobody's. A slot that several sporadic frames share
/// becomes one optional slot for each, of which the last has the time.
fn table_of(
    description: &Description,
    schedule: &LinSchedule,
    ids: &BTreeMap<&str, u8>,
    problems: &mut Vec<String>,
) -> Option<Schedule> {
    let mut slots: Vec<Slot> = Vec::new();
    for entry in &schedule.entries {
        let length_us = u32::try_from(entry.delay_us).unwrap_or(u32::MAX);
        let shared =
            description.shared_slots.iter().find(|slot| slot.name == entry.frame && slot.id.is_none());
        let (names, is_optional) = match shared {
            Some(slot) => (slot.frames.clone(), true),
            None => (vec![entry.frame.clone()], false),
        };
        for name in names {
            let id = match name.as_str() {
                // What is no name in ARXML is the name of an element: a command.
                command if COMMANDS.contains(&command) || command.contains('-') => Some(REQUEST),
                "SlaveResp" => Some(ANSWER),
                frame => ids.get(frame).copied(),
            };
            let Some(pid) = id.and_then(Pid::new) else {
                problems.push(format!("schedule {}: nobody has frame {name}, table left out", schedule.name));
                return None;
            };
            slots.push(Slot { pid, is_optional, length_us });
        }
    }
    let table = Schedule::new(&slots);
    if table.is_none() {
        problems
            .push(format!("schedule {}: no slots, or more than {SLOTS_MAX}, table left out", schedule.name));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::network;

    #[test]
    fn the_schedules_of_an_ldf_file_become_a_section_that_the_detectors_read() {
        let ldf = include_str!("../io/network/fixtures/small.ldf");
        let mut learner = ScheduleLearner::default();
        learner.add(&network::parse(ldf.as_bytes()).expect("the fixture"));
        let (lin, flexray) = learner.sections();
        assert!(flexray.is_empty() && lin_model::check(&lin).is_ok());
        let bus = lin_model::Buses::new(&lin).next().expect("one bus");
        assert_eq!(bus.bus, lin_bus(BusId(0)));
        let facts = bus.frames[0x11].expect("WindowStatus");
        assert_eq!((facts.bytes, facts.checksum), (4, Some(ChecksumKind::Enhanced)));
        assert!(bus.frames[18].is_some_and(|facts| facts.may_be_silent), "sporadic");
        assert!(bus.frames[3].is_none());
        let pid = |id| Pid::new(id).expect("six bits");
        assert!(bus.order.allows(pid(0x11), pid(18)) && !bus.order.allows(pid(18), pid(18)));
        assert_eq!(bus.order.slot_us(pid(0x11)), Some(10_000));
        assert_eq!(learner.problems(), [] as [String; 0]);
    }

    #[test]
    fn the_slots_of_an_arxml_file_become_a_section_that_the_detectors_read() {
        let arxml = include_str!("../io/network/fixtures/small.arxml");
        let mut learner = ScheduleLearner::default();
        learner.add(&network::parse(arxml.as_bytes()).expect("the fixture"));
        let (_, flexray) = learner.sections();
        let cluster = flexray_model::Clusters::new(&flexray).next().expect("one cluster");
        assert_eq!(cluster.bus, flexray_bus(BusId(0)));
        let rows: Vec<SlotFacts> = cluster.rows().collect();
        assert!(!rows.is_empty() && rows.iter().all(|row| row.cycles != 0));
    }
}
