//! Clusters and the frames on them.

use outrider_bus::can::CanId;

use super::super::coding;
use super::super::model::{Cluster, Frame, FrameKey, LinSchedule, Medium, Reason, ScheduleEntry};
use super::super::xml::Element;
use super::{Extract, ecu_of, micros, short_name};

/// What kinds of clusters are called.
const CLUSTERS: [(&str, &str, &str, Medium); 4] = [
    ("CAN-CLUSTER", "CAN-CLUSTER-VARIANTS", "CAN-CLUSTER-CONDITIONAL", Medium::Can),
    ("LIN-CLUSTER", "LIN-CLUSTER-VARIANTS", "LIN-CLUSTER-CONDITIONAL", Medium::Lin),
    ("FLEXRAY-CLUSTER", "FLEXRAY-CLUSTER-VARIANTS", "FLEXRAY-CLUSTER-CONDITIONAL", Medium::FlexRay),
    ("ETHERNET-CLUSTER", "ETHERNET-CLUSTER-VARIANTS", "ETHERNET-CLUSTER-CONDITIONAL", Medium::Ethernet),
];

impl<'t> Extract<'t> {
    pub(super) fn clusters(&mut self) {
        for (kind, variants, conditional, medium) in CLUSTERS {
            for cluster in self.tree.root().descendants(kind) {
                let name = short_name(cluster);
                let Some(variant) = cluster.down(&[variants, conditional]) else {
                    self.problem(cluster, Reason::Missing, format!("{name} has no {conditional}"));
                    continue;
                };
                let bit_rate = self.number(variant, &["BAUDRATE"]);
                let static_slots = self.number(variant, &["NUMBER-OF-STATIC-SLOTS"]);
                let static_words = self.number(variant, &["PAYLOAD-LENGTH-STATIC"]);
                let stated =
                    Cluster { bit_rate, static_slots, static_words, ..Cluster::new(name.clone(), medium) };
                self.description.clusters.push(stated);
                let Some(channels) = variant.child("PHYSICAL-CHANNELS") else { continue };
                for channel in channels.peek().filter(|channel| channel.name().ends_with("-PHYSICAL-CHANNEL"))
                {
                    self.channel(channel.mark(), &name, medium);
                }
            }
        }
    }

    fn channel(&mut self, channel: Element<'t>, cluster: &str, medium: Medium) {
        if let Some(triggerings) = channel.child("FRAME-TRIGGERINGS") {
            for triggering in triggerings.peek() {
                let keys = match triggering.name() {
                    "CAN-FRAME-TRIGGERING" => self.can_key(triggering.mark()).into_iter().collect(),
                    "LIN-FRAME-TRIGGERING" => self.lin_key(triggering.mark()).into_iter().collect(),
                    "FLEXRAY-FRAME-TRIGGERING" => self.flexray_keys(triggering.mark()),
                    _ => continue,
                };
                for (index, key) in keys.into_iter().enumerate() {
                    self.frame(triggering, cluster, key, index == 0);
                }
            }
        }
        if medium == Medium::Lin
            && let Some(tables) = channel.child("SCHEDULE-TABLES")
        {
            tables.all("LIN-SCHEDULE-TABLE").for_each(|table| self.schedule(table, cluster));
        }
    }

    fn can_key(&mut self, triggering: Element<'t>) -> Option<FrameKey> {
        let number: u32 = self.needed(triggering, "IDENTIFIER")?;
        let is_extended = triggering.value(&["CAN-ADDRESSING-MODE"]) == Some("EXTENDED");
        let id = if is_extended { CanId::extended(number) } else { CanId::standard(number) };
        if id.is_none() {
            self.problem(triggering, Reason::Value, format!("identifier {number:#x}"));
        }
        id.map(FrameKey::Can)
    }

    fn lin_key(&mut self, triggering: Element<'t>) -> Option<FrameKey> {
        let number: u8 = self.needed(triggering, "IDENTIFIER")?;
        if number > 63 {
            self.problem(triggering, Reason::Value, format!("identifier {number}"));
            return None;
        }
        Some(FrameKey::Lin(number))
    }

    fn flexray_keys(&mut self, triggering: Element<'t>) -> Vec<FrameKey> {
        let mut keys = Vec::new();
        let Some(timings) = triggering.child("ABSOLUTELY-SCHEDULED-TIMINGS") else {
            self.problem(triggering, Reason::Missing, "ABSOLUTELY-SCHEDULED-TIMINGS");
            return keys;
        };
        for timing in timings.all("FLEXRAY-ABSOLUTELY-SCHEDULED-TIMING") {
            let Some(slot) = self.needed::<u16>(timing, "SLOT-ID") else { continue };
            let Some(cycle) = timing.child("COMMUNICATION-CYCLE") else {
                self.problem(timing, Reason::Missing, "COMMUNICATION-CYCLE");
                continue;
            };
            let Some(one) = cycle.child("CYCLE-REPETITION") else {
                self.problem(cycle, Reason::Unsupported, "only CYCLE-REPETITION is read");
                continue;
            };
            let Some(base_cycle) = self.needed::<u8>(one, "BASE-CYCLE") else { continue };
            // Written as CYCLE-REPETITION-4.
            let written = one.value(&["CYCLE-REPETITION"]).and_then(|text| text.rsplit('-').next());
            let repetition = written.and_then(|text| text.parse::<u8>().ok());
            match flexray_key(slot, base_cycle, repetition) {
                Some(key) => keys.push(key),
                None => self.problem(timing, Reason::Value, format!("slot {slot}, base cycle {base_cycle}")),
            }
        }
        keys
    }

    /// Reads the frame of a triggering. The senders are marked once only.
    fn frame(&mut self, triggering: Element<'t>, cluster: &str, key: FrameKey, is_first: bool) {
        let Some(reference) = triggering.child("FRAME-REF") else {
            if is_first {
                self.problem(triggering, Reason::Missing, "FRAME-REF");
            }
            return;
        };
        let Some(element) = self.follow(reference).filter(|_| self.tree.spend(coding::SIGNAL_STEPS)) else {
            return;
        };
        let bytes = self.number(element, &["FRAME-LENGTH"]).unwrap_or(0);
        let behavior = triggering.value(&["CAN-FRAME-TX-BEHAVIOR"]);
        let mut frame = Frame {
            name: short_name(element),
            cluster: cluster.to_owned(),
            key,
            is_fd: behavior == Some("CAN-FD") || matches!(key, FrameKey::Can(_)) && bytes > 8,
            bytes,
            cycle_us: None,
            senders: self.senders(triggering),
            signals: Vec::new(),
            place: triggering.place(),
        };
        if let Some(mappings) = element.child("PDU-TO-FRAME-MAPPINGS") {
            for mapping in mappings.all("PDU-TO-FRAME-MAPPING") {
                self.mapped_pdu(mapping, &mut frame);
            }
        }
        for signal in frame.signals.iter().filter(|signal| !signal.fits(bytes)) {
            self.description.problem(element.place(), element.name(), Reason::Outside, &signal.name);
        }
        self.description.frames.push(frame);
    }

    fn mapped_pdu(&mut self, mapping: Element<'t>, frame: &mut Frame) {
        let Some(pdu) = self.follow_at(mapping, &["PDU-REF"]) else { return };
        // The order says nothing about a PDU that begins at a byte, and no other is read.
        let _ = mapping.child("PACKING-BYTE-ORDER");
        let start: u16 = self.number(mapping, &["START-POSITION"]).unwrap_or(0);
        if !start.is_multiple_of(8) {
            self.problem(mapping, Reason::Unsupported, format!("PDU begins inside a byte, at bit {start}"));
            return;
        }
        let pdu_bytes: Option<u16> = self.number(pdu, &["LENGTH"]);
        if pdu_bytes.is_some_and(|bytes| bytes.saturating_add(start / 8) > frame.bytes) {
            self.problem(
                pdu,
                Reason::Outside,
                format!("{} ends behind frame {}", short_name(pdu), frame.name),
            );
        }
        let index = self.description.frames.len();
        let (signals, cycle_us) = self.pdu(pdu, start, index);
        frame.signals.extend(signals);
        frame.cycle_us = match (frame.cycle_us, cycle_us) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    fn senders(&mut self, triggering: Element<'t>) -> Vec<String> {
        let mut senders = Vec::new();
        let Some(references) = triggering.child("FRAME-PORT-REFS") else { return senders };
        for reference in references.all("FRAME-PORT-REF") {
            let Some(port) = self.follow(reference) else { continue };
            if port.value(&["COMMUNICATION-DIRECTION"]) == Some("OUT") {
                senders.extend(ecu_of(port));
            }
        }
        senders.sort();
        senders.dedup();
        senders
    }

    fn schedule(&mut self, table: Element<'t>, cluster: &str) {
        let mut entries = Vec::new();
        if let Some(list) = table.child("TABLE-ENTRYS") {
            for entry in list.peek() {
                let delay_us = entry.value(&["DELAY"]).and_then(micros);
                let frame = match entry.name() {
                    "APPLICATION-ENTRY" => {
                        let triggering = self.follow_at(entry.mark(), &["FRAME-TRIGGERING-REF"]);
                        triggering.map(|triggering| {
                            // The frame has the name that frames are known by; a triggering may have another.
                            let path =
                                triggering.value(&["FRAME-REF"]).and_then(|path| path.rsplit('/').next());
                            path.map_or_else(|| short_name(triggering), str::to_owned)
                        })
                    }
                    _ => Some(entry.mark().name().to_ascii_lowercase()),
                };
                match (frame, delay_us) {
                    (Some(frame), Some(delay_us)) => entries.push(ScheduleEntry { frame, delay_us }),
                    (_, None) => self.problem(entry, Reason::Missing, "DELAY"),
                    (None, Some(_)) => {}
                }
            }
        }
        self.description.schedules.push(LinSchedule {
            name: short_name(table),
            cluster: cluster.to_owned(),
            entries,
        });
    }
}

/// Checks a place in the FlexRay schedule: slots 1 to 2047, cycles 0 to 63, repetitions that are powers of two up to 64
/// and above the base cycle.
pub(in crate::io::network) fn flexray_key(
    slot: u16,
    base_cycle: u8,
    repetition: Option<u8>,
) -> Option<FrameKey> {
    let repetition = repetition.filter(|one| one.is_power_of_two() && *one <= 64 && base_cycle < *one)?;
    (1..=2047).contains(&slot).then_some(FrameKey::FlexRay { slot, base_cycle, repetition })
}
