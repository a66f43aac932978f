//! End-to-end protection and secured PDUs.

use super::super::model::{E2eProtection, Reason, SecuredPdu};
use super::super::xml::Element;
use super::{Extract, number, owner, short_name};

/// Data identifiers of one protection; the profiles have at most sixteen.
const DATA_IDS_MAX: usize = 64;

impl<'t> Extract<'t> {
    pub(super) fn protections(&mut self) {
        for protection in self.tree.root().descendants("END-TO-END-PROTECTION") {
            let Some(profile) = protection.child("END-TO-END-PROFILE") else {
                self.problem(protection, Reason::Missing, "END-TO-END-PROFILE");
                continue;
            };
            let pdus = protection.child("END-TO-END-PROTECTION-I-SIGNAL-I-PDUS");
            let pdus = pdus.into_iter().flat_map(|list| list.all("END-TO-END-PROTECTION-I-SIGNAL-I-PDU"));
            for place in pdus {
                let Some(pdu) = self.follow_at(place, &["I-SIGNAL-I-PDU-REF"]) else { continue };
                let one = E2eProtection {
                    name: short_name(protection),
                    profile: profile.value(&["CATEGORY"]).unwrap_or_default().chars().take(32).collect(),
                    pdu: short_name(pdu),
                    data_ids: self.data_ids(profile),
                    offset_bit: self.number(place, &["DATA-OFFSET"]),
                    data_bits: self.number(profile, &["DATA-LENGTH"]),
                    counter_bit: self.number(profile, &["COUNTER-OFFSET"]),
                    crc_bit: self.number(profile, &["CRC-OFFSET"]),
                    header_bit: None,
                    data_id_mode: profile
                        .value(&["DATA-ID-MODE"])
                        .map(|text| text.chars().take(32).collect()),
                    max_delta: self.number(profile, &["MAX-DELTA-COUNTER-INIT"]),
                };
                self.description.protections.push(one);
            }
        }
        // From release 4.2 on a transformer protects signals; the profile is on the technology.
        for props in self.tree.root().descendants("END-TO-END-TRANSFORMATION-I-SIGNAL-PROPS") {
            let Some(signal) = owner(props, "I-SIGNAL") else { continue };
            let technology = self.follow_at(props, &["TRANSFORMER-REF"]);
            let described = technology.and_then(|technology| {
                technology.down(&["TRANSFORMATION-DESCRIPTIONS", "END-TO-END-TRANSFORMATION-DESCRIPTION"])
            });
            let variant = [
                "END-TO-END-TRANSFORMATION-I-SIGNAL-PROPS-VARIANTS",
                "END-TO-END-TRANSFORMATION-I-SIGNAL-PROPS-CONDITIONAL",
            ];
            let values = props.down(&variant).unwrap_or(props);
            let profile = described.and_then(|one| one.value(&["PROFILE-NAME"])).unwrap_or_default();
            let max_delta = described.and_then(|one| self.number(one, &["MAX-DELTA-COUNTER"]));
            let one = E2eProtection {
                name: technology.map_or_else(String::new, short_name),
                profile: profile.chars().take(32).collect(),
                pdu: short_name(signal),
                data_ids: self.data_ids(values),
                offset_bit: None,
                data_bits: self.number(values, &["DATA-LENGTH"]),
                counter_bit: described.and_then(|one| self.number(one, &["COUNTER-OFFSET"])),
                crc_bit: described.and_then(|one| self.number(one, &["CRC-OFFSET"])),
                header_bit: described.and_then(|one| self.number(one, &["OFFSET"])),
                data_id_mode: described
                    .and_then(|one| one.value(&["DATA-ID-MODE"]))
                    .map(|text| text.chars().take(32).collect()),
                max_delta,
            };
            self.description.protections.push(one);
        }
    }

    fn data_ids(&mut self, element: Element<'t>) -> Vec<u32> {
        let mut ids = Vec::new();
        let list = element.child("DATA-IDS").into_iter().flat_map(|list| list.all("DATA-ID"));
        for value in list.take(DATA_IDS_MAX) {
            match number(value.text()).and_then(|id| u32::try_from(id).ok()) {
                Some(id) => ids.push(id),
                None => self.problem(value, Reason::Value, value.text()),
            }
        }
        ids
    }

    pub(super) fn secured(&mut self) {
        for pdu in self.tree.root().descendants("SECURED-I-PDU") {
            let payload = self.follow_at(pdu, &["PAYLOAD-REF"]);
            let payload = payload.and_then(|triggering| self.follow_at(triggering, &["I-PDU-REF"]));
            let props = pdu.child("SECURE-COMMUNICATION-PROPS");
            let authentication = self.follow_at(pdu, &["AUTHENTICATION-PROPS-REF"]);
            let freshness = self.follow_at(pdu, &["FRESHNESS-PROPS-REF"]);
            // Before release 4.4 all of it stands in the properties of the PDU.
            let mut first = |places: [Option<Element<'t>>; 2], name: &'static str| {
                places.into_iter().flatten().find_map(|place| self.number(place, &[name]))
            };
            let one = SecuredPdu {
                name: short_name(pdu),
                payload: payload.map(short_name),
                data_id: first([props, None], "DATA-ID"),
                freshness_bits: first([freshness, props], "FRESHNESS-VALUE-LENGTH"),
                freshness_tx_bits: first([freshness, props], "FRESHNESS-VALUE-TX-LENGTH"),
                auth_tx_bits: first([authentication, props], "AUTH-INFO-TX-LENGTH"),
                bytes: first([Some(pdu), None], "LENGTH"),
            };
            if one.data_id.is_none() {
                self.problem(pdu, Reason::Missing, "DATA-ID");
            }
            self.description.secured.push(one);
        }
    }
}
