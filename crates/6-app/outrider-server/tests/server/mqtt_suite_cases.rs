//! Cases of a public suite of raw MQTT packets, and what our contract changes in their bytes.
//!
//! The suite is mosquitto's own: JSON files of packets to send and packets to expect. It is not part of this project;
//! `scripts/mqtt-suite.sh` fetches it. It knows a broker at which anybody publishes to `topic` and subscribes to `p`.
//! Ours takes frames of one vehicle, so these names are replaced wherever they stand at their place, in broken packets
//! too: what is refused then is refused for its fault, not for its name.

use std::path::Path;

use serde_json::Value;

use crate::mqtt::{packet, text};

/// A case.
#[derive(Debug, Clone)]
pub(crate) struct SuiteCase {
    /// Name of its file without ending.
    pub(crate) file: String,
    /// Group and name.
    pub(crate) name: String,
    /// Protocol level that the case is about: 3, 4 or 5.
    pub(crate) level: u8,
    /// Whether a good CONNECT comes first.
    pub(crate) connects: bool,
    /// Whether the server ends the connection after the last step.
    pub(crate) ends: bool,
    /// What is done, in order.
    pub(crate) steps: Vec<SuiteStep>,
}

/// A step of a case.
#[derive(Debug, Clone)]
pub(crate) enum SuiteStep {
    /// Bytes for the server.
    Send(Vec<u8>),
    /// A packet of the server.
    Expect(Vec<u8>),
    /// Another client publishes something for the topic that the case subscribed to.
    FromAnother,
}

fn bytes_of(step: &Value) -> Vec<u8> {
    let text: String = step["payload"].as_str().expect("a payload").split_whitespace().collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

fn step_of(step: &Value) -> SuiteStep {
    match step["type"].as_str() {
        Some("send") => SuiteStep::Send(bytes_of(step)),
        Some("recv") => SuiteStep::Expect(bytes_of(step)),
        Some("publish") => SuiteStep::FromAnother,
        other => panic!("a step that this runner does not know: {other:?}"),
    }
}

fn case_of(file: &str, group: &str, case: &Value) -> SuiteCase {
    let level = case["ver"].as_u64().map_or(4, |level| u8::try_from(level).expect("a protocol level"));
    SuiteCase {
        file: file.to_owned(),
        name: format!("{group} / {}", case["name"].as_str().expect("a case has a name")),
        level,
        connects: case["connect"].as_bool().unwrap_or(true),
        ends: case["expect_disconnect"].as_bool().unwrap_or(true),
        steps: case["msgs"].as_array().expect("a list of steps").iter().map(step_of).collect(),
    }
}

/// Reads all cases of a folder, in the order of files and cases.
pub(crate) fn read(folder: &Path) -> Vec<SuiteCase> {
    let entries = std::fs::read_dir(folder).expect("the folder of the suite is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let groups: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("it can be read")).expect("JSON");
        for group in groups.as_array().expect("a list of groups") {
            if group["disable"].as_bool() == Some(true) {
                continue;
            }
            let name = group["group"].as_str().expect("a group has a name");
            let tests = group["tests"].as_array().expect("a group has cases");
            cases.extend(tests.iter().map(|case| case_of(&file, name, case)));
        }
    }
    cases
}

/// Splits a packet into its first byte and its body, if its length is what came.
pub(crate) fn split(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (length, at) = varint(bytes, 1)?;
    let body = bytes.get(at..)?;
    (body.len() == length).then_some((bytes[0], body))
}

/// Reads a variable byte integer and returns it with the place behind it.
pub(crate) fn varint(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for index in 0..4 {
        let byte = *bytes.get(at + index)?;
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, at + index + 1));
        }
    }
    None
}

/// Reads text or binary data with its length and returns it with the place behind it.
pub(crate) fn string(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let end = at + 2 + length;
    Some((bytes.get(at + 2..end)?, end))
}

/// Place behind properties.
pub(crate) fn behind_properties(bytes: &[u8], at: usize) -> Option<usize> {
    let (length, begin) = varint(bytes, at)?;
    Some(begin + length).filter(|end| *end <= bytes.len())
}

/// Replaces a part of bytes.
fn splice(bytes: &[u8], part: std::ops::Range<usize>, new: &[u8]) -> Vec<u8> {
    [&bytes[..part.start], new, &bytes[part.end..]].concat()
}

/// What a vehicle says in the place of the suite's client.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    /// Its identifier: the client identifier of its certificate.
    pub(crate) id: String,
    /// A frame that it signed.
    pub(crate) frame: Vec<u8>,
}

impl Contract {
    /// The topic of its replies with its name in it.
    pub(crate) fn named_down(&self) -> String {
        format!("v1/{}/down", self.id)
    }

    /// Replaces the suite's client identifier, topics and payload where a packet has them. `level` is the session's.
    pub(crate) fn adapt(&self, level: u8, bytes: &[u8]) -> Vec<u8> {
        let Some((first, body)) = split(bytes) else { return bytes.to_vec() };
        let adapted = match first >> 4 {
            1 => self.connect(body),
            3 => Some(self.publish(body)),
            8 | 10 => self.filters(level, first >> 4 == 8, body),
            _ => None,
        };
        adapted.map_or_else(|| bytes.to_vec(), |body| packet(first, &[&body]))
    }

    /// The client identifier `p` becomes the vehicle's; another one, or none, stays.
    fn connect(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (_, at) = string(body, 0)?;
        let properties = at + 4;
        let begin = if *body.get(at)? == 5 { behind_properties(body, properties)? } else { properties };
        let (id, end) = string(body, begin)?;
        (id == b"p").then(|| splice(body, begin..end, &text(&self.id)))
    }

    /// The topics `topic` and `p` become `v1/up`; the payloads `payload` and `message` a frame.
    fn publish(&self, body: &[u8]) -> Vec<u8> {
        let mut new = match string(body, 0) {
            Some((b"topic" | b"p", end)) => splice(body, 0..end, &text("v1/up")),
            _ => body.to_vec(),
        };
        if new.ends_with(b"payload") || new.ends_with(b"message") {
            new.truncate(new.len() - 7);
            new.extend(&self.frame);
        }
        new
    }

    /// The filters `topic` and `p` become `v1/down`, `q` the same with the vehicle's name.
    fn filters(&self, level: u8, has_options: bool, body: &[u8]) -> Option<Vec<u8>> {
        let mut at = if level == 5 { behind_properties(body, 2)? } else { 2 };
        let mut new = body.get(..at)?.to_vec();
        while let Some((filter, end)) = string(body, at) {
            new.extend(match filter {
                b"topic" | b"p" => text("v1/down"),
                b"q" => text(&self.named_down()),
                _ => body[at..end].to_vec(),
            });
            let next = (end + usize::from(has_options)).min(body.len());
            new.extend(&body[end..next]);
            at = next;
        }
        new.extend(&body[at..]);
        Some(new)
    }
}

#[test]
fn names_are_replaced_at_their_place_only() {
    let contract = Contract { id: "ab".repeat(16), frame: b"FRAME".to_vec() };
    let adapt = |level, bytes: &[u8]| contract.adapt(level, bytes);
    // CONNECT with the identifier `p`, and with bytes behind it that do not belong there.
    let connect = |rest: &[u8]| packet(0x10, &[&text("MQTT"), &[4, 2, 0, 10], rest]);
    let named = [&text(&contract.id)[..], &[0, 1, b'p']].concat();
    assert_eq!(adapt(4, &connect(&[0, 1, b'p', 0, 1, b'p'])), connect(&named));
    assert_eq!(adapt(4, &connect(&[0, 0])), connect(&[0, 0]), "none stays none");
    // PUBLISH of MQTT 5 with a property that looks like a name.
    let publish =
        |topic: &str, payload: &[u8]| packet(0x32, &[&text(topic), &[0x12, 0x34, 4, 8, 0, 1, b'p'], payload]);
    assert_eq!(adapt(5, &publish("topic", b"payload")), publish("v1/up", b"FRAME"));
    // SUBSCRIBE with a user property `p`, the filters `p` and `q`, and without the options of the last.
    let user = [0, 1, 7, 0x26, 0, 1, b'p', 0, 1, b'q'];
    let subscribe = packet(0x82, &[&user, &[0, 1, b'p', 1, 0, 1, b'q']]);
    let wanted = packet(0x82, &[&user, &text("v1/down"), &[1], &text(&contract.named_down())]);
    assert_eq!(adapt(5, &subscribe), wanted);
    // A length that is not what came: nothing is touched.
    assert_eq!(adapt(4, &[0xa2, 1, 0x12, 0x34]), [0xa2, 1, 0x12, 0x34]);
}
