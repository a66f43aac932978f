//! ASAM FIBEX 2.0 to 4.1: clusters, channels with frame triggerings, frames, PDUs, signals, codings.
//!
//! Elements refer to each other by `ID-REF`. The start bit of a signal that begins with its highest byte is taken as that
//! of its highest bit, as in ARXML; the standard's text was not at hand to compare.

use std::collections::{BTreeMap, BTreeSet};

use outrider_bus::can::{ByteOrder, CanId};

use super::NAME_BYTES_MAX;
use super::arxml::{flexray_key, number, whole};
use super::coding::{self, SIGNAL_STEPS};
use super::model::{Cluster, Description, Format, Frame, FrameKey, Medium, Reason, Signal};
use super::xml::{Element, Tree};

/// Elements that say nothing about a network.
const ADMINISTRATIVE: [&str; 8] = [
    "SHORT-NAME",
    "LONG-NAME",
    "DESC",
    "PROJECT",
    "CATEGORY",
    "ADMIN-DATA",
    "COMPANY-DATAS",
    "MANUFACTURER-EXTENSION",
];

struct Extract<'t> {
    tree: &'t Tree,
    by_id: BTreeMap<&'t str, Element<'t>>,
    /// ECUs by the triggering that they send.
    senders: BTreeMap<&'t str, BTreeSet<String>>,
    seen: BTreeSet<(String, FrameKey)>,
    description: Description,
}

/// Reads everything that is understood out of a tree whose root is `FIBEX`.
pub(super) fn extract(tree: &Tree) -> Description {
    let mut extract = Extract {
        tree,
        by_id: BTreeMap::new(),
        senders: BTreeMap::new(),
        seen: BTreeSet::new(),
        description: Description::new(Format::Fibex),
    };
    for element in tree.elements() {
        if let Some(id) = element.attribute("ID") {
            extract.by_id.entry(id).or_insert(element);
        }
    }
    extract.ecus();
    extract.clusters();
    let mut description = extract.description;
    tree.count_unused(&mut description, &ADMINISTRATIVE);
    description
}

fn short_name(element: Element<'_>) -> String {
    let name = element.peek().find(|child| child.name() == "SHORT-NAME");
    name.map_or_else(String::new, |name| name.text().chars().take(NAME_BYTES_MAX).collect())
}

/// Reads `PT0.01S`, the duration of XML Schema, as far as it has seconds only; or plain seconds.
fn micros(text: &str) -> Option<u64> {
    let seconds = text.strip_prefix("PT").and_then(|rest| rest.strip_suffix('S')).unwrap_or(text);
    whole(seconds.parse().ok()?, 1e6).filter(|&us| us > 0)
}

impl<'t> Extract<'t> {
    fn problem(&mut self, element: Element<'_>, reason: Reason, detail: &str) {
        self.description.problem(element.place(), element.name(), reason, detail);
    }

    /// Follows the `ID-REF` of a child.
    fn follow(&mut self, element: Element<'t>, name: &'static str) -> Option<Element<'t>> {
        let reference = element.child(name)?;
        let id = reference.attribute("ID-REF").unwrap_or_default();
        match self.by_id.get(id) {
            Some(target) => Some(target.mark()),
            None => {
                self.problem(reference, Reason::Dangling, id);
                None
            }
        }
    }

    fn number<T: TryFrom<u64>>(&mut self, element: Element<'t>, names: &[&'static str]) -> Option<T> {
        let value = element.down(names).filter(|value| !value.text().is_empty())?;
        let read = number(value.text()).and_then(|number| T::try_from(number).ok());
        if read.is_none() {
            self.problem(value, Reason::Value, value.text());
        }
        read
    }

    fn ecus(&mut self) {
        for ecu in self.tree.root().descendants("ECU") {
            let name = short_name(ecu);
            for port in ecu.descendants("OUTPUT-PORT") {
                if let Some(id) = port.child("FRAME-TRIGGERING-REF").and_then(|one| one.attribute("ID-REF")) {
                    self.senders.entry(id).or_default().insert(name.clone());
                }
            }
            self.description.nodes.push(name);
        }
    }

    fn clusters(&mut self) {
        let mut placed = BTreeSet::new();
        for cluster in self.tree.root().descendants("CLUSTER") {
            let name = short_name(cluster);
            let protocol = cluster.value(&["PROTOCOL"]).unwrap_or_default().to_ascii_lowercase();
            let medium = match protocol.as_str() {
                "can" | "can_fd" | "can-fd" => Medium::Can,
                "flexray" => Medium::FlexRay,
                "lin" => Medium::Lin,
                "ethernet" | "someip" => Medium::Ethernet,
                _ => {
                    self.problem(cluster, Reason::Unsupported, &format!("protocol {protocol:?} of {name}"));
                    continue;
                }
            };
            let bit_rate = self.number(cluster, &["SPEED"]);
            let static_slots = self.number(cluster, &["NUMBER-OF-STATIC-SLOTS"]);
            let static_words = self.number(cluster, &["PAYLOAD-LENGTH-STATIC"]);
            let stated =
                Cluster { bit_rate, static_slots, static_words, ..Cluster::new(name.clone(), medium) };
            self.description.clusters.push(stated);
            let references =
                cluster.child("CHANNEL-REFS").into_iter().flat_map(|list| list.all("CHANNEL-REF"));
            for reference in references {
                let id = reference.attribute("ID-REF").unwrap_or_default();
                match self.by_id.get(id).copied() {
                    Some(channel) if placed.insert(channel.index()) => {
                        self.channel(channel.mark(), &name, medium);
                    }
                    Some(_) => self.problem(reference, Reason::Duplicate, id),
                    None => self.problem(reference, Reason::Dangling, id),
                }
            }
        }
        for channel in self.tree.root().descendants("CHANNEL") {
            if !placed.contains(&channel.index()) {
                self.problem(channel, Reason::Dangling, "no cluster has this channel");
            }
        }
    }

    fn channel(&mut self, channel: Element<'t>, cluster: &str, medium: Medium) {
        let list = channel.child("FRAME-TRIGGERINGS").into_iter();
        for triggering in list.flat_map(|list| list.all("FRAME-TRIGGERING")) {
            let keys = match medium {
                Medium::FlexRay => self.flexray_keys(triggering),
                Medium::Can => self.can_key(triggering).into_iter().collect(),
                Medium::Lin => self.lin_key(triggering).into_iter().collect(),
                Medium::Ethernet => Vec::new(),
            };
            for key in keys {
                // Channels A and B of FlexRay carry the same frame.
                if self.seen.insert((cluster.to_owned(), key)) {
                    self.frame(triggering, cluster, key);
                }
            }
        }
    }

    fn can_key(&mut self, triggering: Element<'t>) -> Option<FrameKey> {
        let Some(value) = triggering.down(&["IDENTIFIER", "IDENTIFIER-VALUE"]) else {
            self.problem(triggering, Reason::Missing, "IDENTIFIER-VALUE");
            return None;
        };
        let number = number(value.text()).and_then(|number| u32::try_from(number).ok());
        let is_stated = value.attribute("EXTENDED-ADDRESSING") == Some("true");
        let id = number.and_then(|number| match is_stated || number > 0x7FF {
            true => CanId::extended(number),
            false => CanId::standard(number),
        });
        if id.is_none() {
            self.problem(value, Reason::Value, value.text());
        }
        id.map(FrameKey::Can)
    }

    fn lin_key(&mut self, triggering: Element<'t>) -> Option<FrameKey> {
        let number: Option<u8> = self.number(triggering, &["IDENTIFIER", "IDENTIFIER-VALUE"]);
        let id = number.filter(|&id| id < 64);
        if id.is_none() {
            self.problem(triggering, Reason::Value, "LIN identifier");
        }
        id.map(FrameKey::Lin)
    }

    fn flexray_keys(&mut self, triggering: Element<'t>) -> Vec<FrameKey> {
        let mut keys = Vec::new();
        let timings = triggering.child("TIMINGS").into_iter();
        for timing in timings.flat_map(|list| list.all("ABSOLUTELY-SCHEDULED-TIMING")) {
            let slot = self.number(timing, &["SLOT-ID"]).unwrap_or(0);
            let base = self.number(timing, &["BASE-CYCLE"]).unwrap_or(0);
            let repetition = self.number(timing, &["CYCLE-REPETITION"]);
            match flexray_key(slot, base, repetition) {
                Some(key) => keys.push(key),
                None => self.problem(timing, Reason::Value, &format!("slot {slot}, base cycle {base}")),
            }
        }
        if keys.is_empty() {
            self.problem(triggering, Reason::Missing, "a place in the schedule");
        }
        keys
    }

    fn frame(&mut self, triggering: Element<'t>, cluster: &str, key: FrameKey) {
        let Some(element) = self.follow(triggering, "FRAME-REF") else {
            if triggering.child("FRAME-REF").is_none() {
                self.problem(triggering, Reason::Missing, "FRAME-REF");
            }
            return;
        };
        if !self.tree.spend(SIGNAL_STEPS) {
            return;
        }
        let bytes = self.number(element, &["BYTE-LENGTH"]).unwrap_or(0);
        let cyclic = ["TIMINGS", "CYCLIC-TIMING", "REPEATING-TIME-RANGE", "VALUE"];
        let senders = triggering.attribute("ID").and_then(|id| self.senders.get(id));
        let mut frame = Frame {
            name: short_name(element),
            cluster: cluster.to_owned(),
            key,
            is_fd: matches!(key, FrameKey::Can(_)) && bytes > 8,
            bytes,
            cycle_us: triggering.value(&cyclic).and_then(micros),
            senders: senders.into_iter().flatten().cloned().collect(),
            signals: Vec::new(),
            place: triggering.place(),
        };
        self.signals(element, 0, &mut frame);
        let instances = element.child("PDU-INSTANCES").into_iter();
        for instance in instances.flat_map(|list| list.all("PDU-INSTANCE")) {
            let begin: u16 = self.number(instance, &["BIT-POSITION"]).unwrap_or(0);
            let _ = instance.child("IS-HIGH-LOW-BYTE-ORDER");
            let Some(pdu) = self.follow(instance, "PDU-REF") else { continue };
            let pdu_bytes: Option<u16> = self.number(pdu, &["BYTE-LENGTH"]);
            if pdu_bytes.is_some_and(|length| length.saturating_add(begin / 8) > bytes) {
                self.problem(pdu, Reason::Outside, &format!("ends behind frame {}", frame.name));
            }
            if begin.is_multiple_of(8) {
                self.signals(pdu, begin, &mut frame);
                frame.cycle_us = frame.cycle_us.or_else(|| pdu.value(&cyclic).and_then(micros));
            } else {
                self.problem(instance, Reason::Unsupported, "PDU begins inside a byte");
            }
        }
        for signal in frame.signals.iter().filter(|signal| !signal.fits(bytes)) {
            self.description.problem(element.place(), element.name(), Reason::Outside, &signal.name);
        }
        self.description.frames.push(frame);
    }

    /// Reads the signals of a frame or PDU that begins at a bit of the frame.
    fn signals(&mut self, holder: Element<'t>, begin: u16, frame: &mut Frame) {
        let instances = holder.child("SIGNAL-INSTANCES").into_iter();
        for instance in instances.flat_map(|list| list.all("SIGNAL-INSTANCE")) {
            let Some(start) = self.number::<u16>(instance, &["BIT-POSITION"]) else {
                self.problem(instance, Reason::Missing, "BIT-POSITION");
                continue;
            };
            let is_big = instance.value(&["IS-HIGH-LOW-BYTE-ORDER"]) == Some("true");
            let order = if is_big { ByteOrder::Big } else { ByteOrder::Little };
            let Some(signal) = self.follow(instance, "SIGNAL-REF") else { continue };
            let Some(coding) = self.follow(signal, "CODING-REF") else {
                self.problem(signal, Reason::Missing, "CODING-REF");
                continue;
            };
            let bits: u16 = self.number(coding, &["CODED-TYPE", "BIT-LENGTH"]).unwrap_or(0);
            let name = short_name(signal);
            if !(1..=64).contains(&bits) {
                self.problem(
                    coding,
                    Reason::Unsupported,
                    &format!("{name} has {bits} bits, 1 to 64 are read"),
                );
                continue;
            }
            let Some(start_bit) = start.checked_add(begin).filter(|_| self.tree.spend(SIGNAL_STEPS)) else {
                continue;
            };
            let mut out = coding::raw(name, start_bit, bits, order);
            self.coding(coding, &mut out);
            frame.signals.push(out);
        }
    }

    fn coding(&mut self, coding: Element<'t>, out: &mut Signal) {
        if let Some(coded) = coding.child("CODED-TYPE") {
            let base = coded.attribute("BASE-DATA-TYPE").unwrap_or_default();
            let word = match coded.attribute("ENCODING") {
                Some(word) => Some(word),
                None if base.starts_with("A_INT") => Some("SIGNED"),
                None if base.starts_with("A_FLOAT") => Some("IEEE754"),
                None => None,
            };
            if !coding::encoding(word, out) {
                self.problem(coded, Reason::Unsupported, word.unwrap_or_default());
            }
        }
        let methods = coding.child("COMPU-METHODS").into_iter();
        let Some(method) = methods.flat_map(|list| list.all("COMPU-METHOD")).next() else { return };
        let description = &mut self.description;
        coding::computation(method, out, &mut |element, reason, detail| {
            description.problem(element.place(), element.name(), reason, detail);
        });
        if let Some(unit) = self.follow(method, "UNIT-REF") {
            let shown = unit.value(&["DISPLAY-NAME"]).map_or_else(|| short_name(unit), str::to_owned);
            out.unit = shown.chars().take(32).collect();
        }
    }
}
