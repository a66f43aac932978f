//! PDUs and their signals.

use outrider_bus::can::ByteOrder;

use super::super::coding;
use super::super::model::{Reason, Signal};
use super::super::protected::PduPlace;
use super::super::xml::Element;
use super::{Extract, micros, short_name};
use crate::io::dbc::Multiplex;

/// Steps from a secured PDU to its payload that are followed.
const SECURED_MAX: usize = 4;

/// Elements from the signal down to its type and computation.
const PROPS: [&str; 3] =
    ["NETWORK-REPRESENTATION-PROPS", "SW-DATA-DEF-PROPS-VARIANTS", "SW-DATA-DEF-PROPS-CONDITIONAL"];
const PHYSICAL: [&str; 3] = ["PHYSICAL-PROPS", "SW-DATA-DEF-PROPS-VARIANTS", "SW-DATA-DEF-PROPS-CONDITIONAL"];

impl<'t> Extract<'t> {
    /// Reads the signals of a PDU that begins at a bit of its frame, and its cycle.
    pub(super) fn pdu(&mut self, pdu: Element<'t>, begin: u16, frame: usize) -> (Vec<Signal>, Option<u64>) {
        let mut pdu = pdu;
        for _ in 0..SECURED_MAX {
            let (name, bytes) = (short_name(pdu), self.number(pdu, &["LENGTH"]));
            self.description.pdus.push(PduPlace { frame, pdu: name, start: begin / 8, bytes });
            if pdu.name() != "SECURED-I-PDU" {
                break;
            }
            let payload = self.follow_at(pdu, &["PAYLOAD-REF"]);
            match payload.and_then(|triggering| self.follow_at(triggering, &["I-PDU-REF"])) {
                Some(inner) => pdu = inner,
                None => return (Vec::new(), None),
            }
        }
        match pdu.name() {
            "MULTIPLEXED-I-PDU" => self.multiplexed(pdu, begin),
            "CONTAINER-I-PDU" => {
                self.problem(pdu, Reason::Unsupported, "contained PDUs are not placed");
                (Vec::new(), None)
            }
            _ => (self.plain(pdu, begin, Multiplex::Plain), cycle(pdu)),
        }
    }

    fn plain(&mut self, pdu: Element<'t>, begin: u16, multiplex: Multiplex) -> Vec<Signal> {
        let mut signals = Vec::new();
        for list in ["I-SIGNAL-TO-PDU-MAPPINGS", "I-SIGNAL-TO-I-PDU-MAPPINGS"] {
            let Some(mappings) = pdu.child(list) else { continue };
            for mapping in mappings.all("I-SIGNAL-TO-I-PDU-MAPPING") {
                signals.extend(self.mapped_signal(mapping, begin, multiplex));
            }
        }
        signals
    }

    fn mapped_signal(&mut self, mapping: Element<'t>, begin: u16, multiplex: Multiplex) -> Option<Signal> {
        // A group only bundles signals that have mappings of their own.
        let Some(reference) = mapping.child("I-SIGNAL-REF") else {
            let _ = mapping.child("I-SIGNAL-GROUP-REF");
            return None;
        };
        let signal = self.follow(reference)?;
        let order = match mapping.value(&["PACKING-BYTE-ORDER"]) {
            Some("MOST-SIGNIFICANT-BYTE-FIRST") => ByteOrder::Big,
            Some("MOST-SIGNIFICANT-BYTE-LAST" | "OPAQUE") | None => ByteOrder::Little,
            Some(other) => {
                self.problem(mapping, Reason::Value, other);
                return None;
            }
        };
        let start: u16 = self.needed(mapping, "START-POSITION")?;
        let bits: u16 = self.needed(signal, "LENGTH")?;
        if !self.tree.spend(coding::SIGNAL_STEPS) {
            return None;
        }
        let name = short_name(signal);
        if !(1..=64).contains(&bits) {
            self.problem(signal, Reason::Unsupported, format!("{name} has {bits} bits, 1 to 64 are read"));
            return None;
        }
        let Some(start_bit) = start.checked_add(begin) else {
            self.problem(mapping, Reason::Value, format!("{name} begins at bit {start}"));
            return None;
        };
        let mut signal_out = Signal { multiplex, ..coding::raw(name, start_bit, bits, order) };
        self.coding(signal, &mut signal_out);
        Some(signal_out)
    }

    /// Finds type, computation and unit: on the signal itself, or on the system signal behind it.
    fn coding(&mut self, signal: Element<'t>, out: &mut Signal) {
        let own = signal.down(&PROPS);
        let system = self.follow_at(signal, &["SYSTEM-SIGNAL-REF"]).and_then(|system| system.down(&PHYSICAL));
        if let Some(base) = own.and_then(|props| self.follow_at(props, &["BASE-TYPE-REF"])) {
            let encoding = base.value(&["BASE-TYPE-ENCODING"]);
            if !coding::encoding(encoding, out) {
                self.problem(base, Reason::Unsupported, encoding.unwrap_or_default());
            }
        }
        for props in [own, system].into_iter().flatten() {
            if let Some(computation) = self.follow_at(props, &["COMPU-METHOD-REF"]) {
                let description = &mut self.description;
                coding::computation(computation, out, &mut |element, reason, detail| {
                    description.problem(element.place(), element.name(), reason, detail);
                });
                if let Some(unit) = self.follow_at(computation, &["UNIT-REF"]) {
                    out.unit = unit_name(unit);
                }
                break;
            }
        }
        if out.unit.is_empty() {
            for props in [own, system].into_iter().flatten() {
                if let Some(unit) = self.follow_at(props, &["UNIT-REF"]) {
                    out.unit = unit_name(unit);
                    break;
                }
            }
        }
    }

    fn multiplexed(&mut self, pdu: Element<'t>, begin: u16) -> (Vec<Signal>, Option<u64>) {
        let mut signals = Vec::new();
        let mut cycle_us = None;
        let start: Option<u16> = self.number(pdu, &["SELECTOR-FIELD-START-POSITION"]);
        let bits: Option<u16> = self.number(pdu, &["SELECTOR-FIELD-LENGTH"]);
        let order = pdu.value(&["SELECTOR-FIELD-BYTE-ORDER"]);
        if let (Some(start), Some(bits)) = (start.and_then(|start| start.checked_add(begin)), bits)
            && (1..=64).contains(&bits)
        {
            let is_big = order == Some("MOST-SIGNIFICANT-BYTE-FIRST");
            let order = if is_big { ByteOrder::Big } else { ByteOrder::Little };
            let selector = coding::raw(format!("{}_selector", short_name(pdu)), start, bits, order);
            signals.push(Signal { multiplex: Multiplex::Selector, ..selector });
        } else {
            self.problem(pdu, Reason::Missing, "selector field");
        }
        for part in pdu.child("STATIC-PARTS").into_iter().flat_map(|list| list.all("STATIC-PART")) {
            if let Some(inner) = self.follow_at(part, &["I-PDU-REF"]) {
                signals.extend(self.plain(inner, begin, Multiplex::Plain));
                cycle_us = cycle_us.or(cycle(inner));
            }
        }
        for part in pdu.child("DYNAMIC-PARTS").into_iter().flat_map(|list| list.all("DYNAMIC-PART")) {
            let list = part.child("DYNAMIC-PART-ALTERNATIVES").into_iter();
            for alternative in list.flat_map(|list| list.all("DYNAMIC-PART-ALTERNATIVE")) {
                let Some(code) = self.needed(alternative, "SELECTOR-FIELD-CODE") else { continue };
                if let Some(inner) = self.follow_at(alternative, &["I-PDU-REF"]) {
                    signals.extend(self.plain(inner, begin, Multiplex::Selected(code)));
                }
            }
        }
        (signals, cycle_us)
    }
}

fn unit_name(unit: Element<'_>) -> String {
    let shown = unit.value(&["DISPLAY-NAME"]).map_or_else(|| short_name(unit), str::to_owned);
    shown.chars().take(32).collect()
}

/// Returns the time of cyclic sending.
fn cycle(pdu: Element<'_>) -> Option<u64> {
    let timing =
        pdu.down(&["I-PDU-TIMING-SPECIFICATIONS", "I-PDU-TIMING", "TRANSMISSION-MODE-DECLARATION"])?;
    let cyclic = timing.down(&["TRANSMISSION-MODE-TRUE-TIMING", "CYCLIC-TIMING"])?;
    cyclic.value(&["TIME-PERIOD", "VALUE"]).and_then(micros)
}
