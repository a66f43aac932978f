//! What of a difference may be kept and shown: no name of a vehicle, no bytes, nothing long (PRIV-1).

use serde_json::{Map, Value as Json, json};

use super::Difference;
use crate::map::cut;
use crate::record::{CONCEALED, NAME_BYTES_MIN, Output, VehicleName, conceal_text};

/// Most bytes of a text in an example, and of a place: as much as a line of a screen or two.
const TEXT_BYTES_MAX: usize = 160;
/// Most members of a value in an example.
const MEMBERS_MAX: usize = 16;
/// Characters of a VIN.
const VIN_BYTES: usize = 17;

/// Names of the vehicles of two results.
#[derive(Debug, Default)]
pub(super) struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    /// Takes what the two versions call the vehicle of a document: one may keep as a field what the other knows as a name.
    pub(super) fn of(outputs: [Option<&'a Output>; 2]) -> Self {
        let names = outputs.into_iter().flatten().filter_map(|output| {
            let vehicle = match output {
                Output::Event(record) => record.vehicle.as_ref(),
                Output::Payload(payload) => Some(&payload.vehicle),
            };
            match vehicle? {
                VehicleName::Vin(name) | VehicleName::Foreign(name) => Some(name.as_str()),
                VehicleName::Id(_) => None,
            }
        });
        Self(names.filter(|name| name.len() >= NAME_BYTES_MIN).collect())
    }

    /// Hides names, and words that have the shape of a VIN, in a text; cuts it.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in &self.0 {
            conceal_text(&mut text, name);
        }
        let words: Vec<String> = text
            .split(|sign: char| !sign.is_ascii_alphanumeric())
            .filter(|word| word.len() == VIN_BYTES && VehicleName::vin(word).is_some())
            .map(str::to_owned)
            .collect();
        for word in words {
            conceal_text(&mut text, &word);
        }
        cut(text, TEXT_BYTES_MAX)
    }

    /// Makes a difference that may be shown.
    pub(super) fn hide(&self, difference: &Difference) -> Difference {
        let value = |value: &Option<Json>| value.as_ref().map(|value| self.value(&difference.path, value));
        Difference {
            path: self.text(&difference.path),
            before: value(&difference.before),
            after: value(&difference.after),
        }
    }

    fn value(&self, path: &str, value: &Json) -> Json {
        let is_under = |place: &str| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match value {
            Json::String(_) if is_under("vehicle.id") => value.clone(),
            Json::String(_) if is_under("vehicle") => json!(CONCEALED),
            // Hexadecimal digits, in which a name would not be found.
            Json::String(digits) if is_under("context") || is_under("payload.bytes") => {
                json!(format!("({} bytes)", digits.len() / 2))
            }
            Json::String(text) => json!(self.text(text)),
            Json::Object(members) => {
                let mut shown = Map::new();
                for (name, value) in members.iter().take(MEMBERS_MAX) {
                    shown.insert(self.text(name), self.value(&format!("{path}.{name}"), value));
                }
                if members.len() > MEMBERS_MAX {
                    shown.insert("…".to_owned(), json!(members.len() - MEMBERS_MAX));
                }
                Json::Object(shown)
            }
            // Results of one document hold no list.
            Json::Array(items) => json!(format!("({} items)", items.len())),
            Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIN: &str = "WVWZZZ1JZ3W386752";

    fn hidden(names: &Names<'_>, path: &str, before: Json) -> Difference {
        names.hide(&Difference { path: path.to_owned(), before: Some(before), after: None })
    }

    #[test]
    fn neither_a_version_s_name_of_the_vehicle_nor_a_word_like_a_vin_is_shown() {
        let names = Names(vec!["TCU-0042"]);
        let cases = [
            ("ecu", json!("gateway of tcu-0042"), json!("gateway of (vehicle)")),
            ("fields.text", json!("seen at WVWZZZ1JZ3W386752/1"), json!("seen at (vehicle)/1")),
            ("vehicle", json!({ "vin": VIN }), json!({ "vin": "(vehicle)" })),
            ("vehicle", json!({ "name": "ab" }), json!({ "name": "(vehicle)" })),
            ("vehicle.name", json!("ab"), json!("(vehicle)")),
            ("vehicle.id", json!("0102"), json!("0102")),
            ("context", json!("5456"), json!("(2 bytes)")),
            (
                "payload",
                json!({ "format": "a", "bytes": "00ff00" }),
                json!({ "format": "a", "bytes": "(3 bytes)" }),
            ),
            ("extensions", json!({ "acme.TCU-0042": VIN }), json!({ "acme.(vehicle)": "(vehicle)" })),
            ("fields.can_id", json!(291), json!(291)),
        ];
        for (path, before, shown) in cases {
            assert_eq!(hidden(&names, path, before).before, Some(shown), "{path}");
        }
        let difference = hidden(&names, "extensions.acme.TCU-0042", json!(1));
        assert_eq!(difference.path, "extensions.acme.(vehicle)");
        // One character more or less is no VIN.
        let longer = json!(format!("{VIN}1"));
        assert_eq!(hidden(&names, "ecu", longer.clone()).before, Some(longer));
    }

    #[test]
    fn an_example_is_short_whatever_a_document_held() {
        let names = Names::default();
        let long = hidden(&names, "ecu", json!("ü".repeat(10_000)));
        assert_eq!(long.before, Some(json!("ü".repeat(TEXT_BYTES_MAX / 2))));
        let members: Map<String, Json> = (0..40).map(|at| (format!("acme.{at:02}"), json!(at))).collect();
        let many = hidden(&names, "extensions", Json::Object(members)).before.expect("a value");
        let many = many.as_object().expect("an object");
        assert_eq!((many.len(), many.get("…")), (MEMBERS_MAX + 1, Some(&json!(24))));
    }
}
