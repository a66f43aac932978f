//! Where our answer may differ from the public suite's, by feature: refused by design, or said by the standard.

use outrider_server::vehicle::mqtt::{Close, Fault};

use crate::mqtt::Packet;
use crate::mqtt_suite_cases::{Contract, behind_properties, split, string, varint};

/// What the suite wants at one point of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The end of the connection.
    End,
    /// A connection that answers a PINGREQ.
    Alive,
    /// This packet.
    Packet(Packet),
}

/// What came instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    /// The end of the connection without a word.
    End,
    /// DISCONNECT or a CONNACK that refuses, with this code, and then the end.
    LastWord(u8, u8),
    /// A packet, and the connection goes on.
    Packet(Packet),
    /// Nothing, and the connection goes on.
    Silence,
    /// Something that no rule can allow.
    Odd(String),
}

/// Class of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Our outcome is the suite's.
    Same,
    /// It differs where the standard says ours, or leaves it to the server.
    Standard,
    /// It is a refusal that is documented.
    ByDesign,
    /// None of these.
    Failed,
}

impl Class {
    pub(crate) const ALL: [Self; 4] = [Self::Same, Self::Standard, Self::ByDesign, Self::Failed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Standard => "standard",
            Self::ByDesign => "by design",
            Self::Failed => "failed",
        }
    }
}

/// One point at which something else came.
pub(crate) struct Difference<'a> {
    /// Protocol level of the session: 3, 4 or 5.
    pub(crate) level: u8,
    /// What was sent last, as the vehicle says it.
    pub(crate) sent: &'a [u8],
    pub(crate) wanted: &'a Wanted,
    pub(crate) got: &'a Got,
    /// Why the session's state machine ends after the same bytes.
    pub(crate) why: Option<Close>,
}

/// An answer that a rule allows.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// The rule does not hold for this version.
    No,
    /// The end without a word, for this reason.
    End(Close),
    /// DISCONNECT with this code, then the end.
    Bye(u8),
    /// CONNACK with this code, then the end.
    Connack(u8),
    /// PUBACK with this code; the session goes on.
    Puback(u8),
    /// SUBACK as `docs/book/mqtt.md` has it for these filters; the session goes on.
    Suback,
    /// Nothing but a reply frame, or nothing; the session goes on.
    OwnReplies,
}

/// A rule: where a packet has a feature, these are our answers.
pub(crate) struct Rule {
    pub(crate) class: Class,
    pub(crate) name: &'static str,
    applies: fn(&Difference<'_>) -> bool,
    /// In 3.1.1 and before.
    older: Answer,
    /// In MQTT 5.
    five: Answer,
}

const fn design(
    name: &'static str,
    applies: fn(&Difference<'_>) -> bool,
    older: Answer,
    five: Answer,
) -> Rule {
    Rule { class: Class::ByDesign, name, applies, older, five }
}

/// The end that 3.1.1 has instead of a reason.
const fn mute(fault: Fault) -> Answer {
    Answer::End(Close::Fault(fault))
}

const fn standard(name: &'static str, applies: fn(&Difference<'_>) -> bool, five: Answer) -> Rule {
    Rule { class: Class::Standard, name, applies, older: Answer::No, five }
}

/// The rows of "Refused by design" in `docs/book/mqtt.md`, and the clauses of OASIS MQTT 5.0 where the suite's broker does
/// something else.
pub(crate) static RULES: &[Rule] = &[
    design("MQTT 3.1", is_mqisdp, Answer::Connack(1), Answer::Connack(1)),
    design("will", has_will, Answer::Connack(5), Answer::Connack(0x83)),
    design("QoS 2", |d| d.publishes() && d.flags() >> 1 & 3 == 2, mute(Fault::Qos), Answer::Bye(0x9b)),
    design(
        "retained message",
        |d| d.publishes() && d.flags() & 1 == 1,
        mute(Fault::Retain),
        Answer::Bye(0x9a),
    ),
    design("topic alias", |d| d.publishes() && d.has(0x23), Answer::No, Answer::Bye(0x94)),
    design("another topic", publishes_elsewhere, Answer::End(Close::FrameRefused), Answer::Puback(0x87)),
    design("subscription identifier", |d| d.subscribes() && d.has(0x0b), Answer::No, Answer::Bye(0xa1)),
    design("other subscriptions, QoS 0", |d| d.subscribes(), Answer::Suback, Answer::Suback),
    design("acknowledgement of nothing", is_acknowledgement, mute(Fault::Protocol), Answer::Bye(0x82)),
    design("message to a subscriber", wants_message, Answer::OwnReplies, Answer::OwnReplies),
    standard("2.1.3: wrong flags are malformed", has_wrong_flags, Answer::Bye(0x81)),
    standard("2.2.2.2: a property of another packet is malformed", has_strange, Answer::Bye(0x81)),
    Rule {
        class: Class::Standard,
        name: "3.1.2-2: a later version is answered by the newest that is known",
        applies: |d| connect_level(d) > Some(5),
        older: Answer::Connack(0x84),
        five: Answer::No,
    },
    standard("3.3.2.1: no topic is a protocol error", has_no_topic, Answer::Bye(0x82)),
    standard("3.3.4-6: no subscription identifier from a client", brings_id, Answer::Bye(0x82)),
    standard(
        "3.8.2.1.2: zero is no subscription identifier",
        |d| d.subscribes() && d.has(0x0b),
        Answer::Bye(0x82),
    ),
    standard("3.8.3.1: QoS 3, retain handling 3: protocol errors", has_three, Answer::Bye(0x82)),
    standard("3.8.3-2, 3.10.3-2: no filter is a protocol error", has_no_filter, Answer::Bye(0x82)),
    standard("3.1.4: CONNACK says why", |d| d.kind() == 1 && d.ends(), Answer::Connack(0x81)),
    standard("4.13.1: DISCONNECT says why", |d| d.kind() != 1 && d.ends(), Answer::Bye(0x81)),
    standard("4.13.1: DISCONNECT says why", |d| d.kind() != 1 && d.ends(), Answer::Bye(0x82)),
];

/// Finds the rule that allows a difference.
pub(crate) fn judge(contract: &Contract, difference: &Difference<'_>) -> Option<&'static Rule> {
    let allows = |rule: &&Rule| {
        let answer = if difference.level == 5 { rule.five } else { rule.older };
        (rule.applies)(difference) && matches(contract, difference, answer)
    };
    RULES.iter().find(allows)
}

/// Returns whether an end without a word came for a fault of the packet, or because the client said so.
pub(crate) fn is_for_a_fault(why: Option<Close>) -> bool {
    matches!(
        why,
        Some(
            Close::Fault(Fault::Malformed | Fault::Protocol)
                | Close::Client
                | Close::Refused("connect.packet_bytes")
        )
    )
}

fn matches(contract: &Contract, difference: &Difference<'_>, answer: Answer) -> bool {
    match (answer, difference.got) {
        (Answer::End(close), Got::End) => difference.why == Some(close),
        (Answer::Bye(code), Got::LastWord(0xe0, got)) => code == *got,
        (Answer::Connack(code), Got::LastWord(0x20, got)) => code == *got,
        (Answer::Puback(code), Got::Packet((0x40, body))) => body.get(2) == Some(&code),
        (Answer::Suback, Got::Packet((0x90, body))) => {
            Some(body) == documented_suback(contract, difference).as_ref()
        }
        (Answer::OwnReplies, Got::Silence) => true,
        (Answer::OwnReplies, Got::Packet((0x30, body))) => {
            let named = contract.named_down();
            let Some((topic, end)) = string(body, 0) else { return false };
            let at = if difference.level == 5 { end + 1 } else { end };
            let is_reply = outrider_wire::Reply::parse(&body[at..]).is_ok();
            is_reply && (topic == b"v1/down" || topic == named.as_bytes())
        }
        _ => false,
    }
}

/// The body of the SUBACK that is documented.
fn documented_suback(contract: &Contract, difference: &Difference<'_>) -> Option<Vec<u8>> {
    let body = difference.body();
    let mut out = body.get(..2)?.to_vec();
    let mut at = 2;
    if difference.level == 5 {
        at = behind_properties(body, at)?;
        out.push(0);
    }
    let five = difference.level == 5;
    while let Some((filter, end)) = string(body, at) {
        let filter = std::str::from_utf8(filter).ok()?;
        out.push(match filter {
            "v1/down" => 0,
            other if other == contract.named_down() => 0,
            _ if !five => 0x80,
            other if other.starts_with("$share/") => 0x9e,
            other if other.contains(['+', '#']) => 0xa2,
            _ => 0x87,
        });
        at = end + 1;
    }
    Some(out)
}

impl Difference<'_> {
    fn kind(&self) -> u8 {
        self.sent.first().map_or(0, |first| first >> 4)
    }

    fn flags(&self) -> u8 {
        self.sent.first().map_or(0, |first| first & 0x0f)
    }

    fn body(&self) -> &[u8] {
        split(self.sent).map_or(&[], |(_, body)| body)
    }

    fn publishes(&self) -> bool {
        self.kind() == 3
    }

    fn subscribes(&self) -> bool {
        self.kind() == 8
    }

    /// Returns whether the suite wants the end and no word before it.
    fn ends(&self) -> bool {
        *self.wanted == Wanted::End
    }

    fn has(&self, id: usize) -> bool {
        self.properties().contains(&id)
    }

    /// Identifiers of the packet's properties, as far as they can be read.
    fn properties(&self) -> Vec<usize> {
        let body = self.body();
        let begin = match self.kind() {
            3 => string(body, 0).map(|(_, end)| if self.flags() >> 1 & 3 == 0 { end } else { end + 2 }),
            8 | 10 => Some(2),
            14 => Some(1),
            _ => None,
        };
        let Some((length, begin)) = begin.and_then(|at| varint(body, at)) else { return Vec::new() };
        let Some(bytes) = body.get(begin..begin + length) else { return Vec::new() };
        let (mut ids, mut at) = (Vec::new(), 0);
        while let Some((id, value)) = varint(bytes, at) {
            ids.push(id);
            let end = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => Some(value + 1),
                0x13 | 0x21..=0x23 => Some(value + 2),
                0x02 | 0x11 | 0x18 | 0x27 => Some(value + 4),
                0x0b => varint(bytes, value).map(|(_, end)| end),
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => {
                    string(bytes, value).map(|(_, end)| end)
                }
                0x26 => string(bytes, value).and_then(|(_, end)| string(bytes, end)).map(|(_, end)| end),
                _ => None,
            };
            match end {
                Some(end) => at = end,
                None => break,
            }
        }
        ids
    }
}

fn is_mqisdp(difference: &Difference<'_>) -> bool {
    difference.kind() == 1 && difference.body().starts_with(b"\0\x06MQIsdp")
}

fn connect_level(difference: &Difference<'_>) -> Option<u8> {
    let rest = difference.body().strip_prefix(b"\0\x04MQTT").filter(|_| difference.kind() == 1);
    rest.and_then(|rest| rest.first().copied())
}

fn connect_flags(difference: &Difference<'_>) -> Option<u8> {
    connect_level(difference).and_then(|_| difference.body().get(7).copied())
}

fn has_will(difference: &Difference<'_>) -> bool {
    connect_flags(difference).is_some_and(|flags| flags & 4 != 0)
}

fn publishes_elsewhere(difference: &Difference<'_>) -> bool {
    difference.publishes()
        && string(difference.body(), 0).is_some_and(|(topic, _)| topic != b"v1/up" && !topic.is_empty())
}

fn is_acknowledgement(difference: &Difference<'_>) -> bool {
    (4..=7).contains(&difference.kind()) && !has_wrong_flags(difference)
}

fn wants_message(difference: &Difference<'_>) -> bool {
    matches!(difference.wanted, Wanted::Packet((first, _)) if first >> 4 == 3)
}

fn has_wrong_flags(difference: &Difference<'_>) -> bool {
    let right = match difference.kind() {
        6 | 8 | 10 => 2,
        _ => 0,
    };
    !difference.publishes() && difference.flags() != right
}

/// A property that exists and belongs to another packet, table 2-4.
fn has_strange(difference: &Difference<'_>) -> bool {
    let own: &[usize] = match difference.kind() {
        3 => &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26],
        8 => &[0x0b, 0x26],
        10 => &[0x26],
        14 => &[0x11, 0x1c, 0x1f, 0x26],
        _ => return false,
    };
    difference.properties().iter().any(|id| !own.contains(id))
}

fn has_no_topic(difference: &Difference<'_>) -> bool {
    difference.publishes() && string(difference.body(), 0).is_some_and(|(topic, _)| topic.is_empty())
}

fn brings_id(difference: &Difference<'_>) -> bool {
    difference.publishes() && difference.has(0x0b)
}

fn has_three(difference: &Difference<'_>) -> bool {
    let options = difference.body().last().copied().unwrap_or(0);
    difference.subscribes() && (options & 3 == 3 || options & 0x30 == 0x30)
}

fn has_no_filter(difference: &Difference<'_>) -> bool {
    let body = difference.body();
    matches!(difference.kind(), 8 | 10) && behind_properties(body, 2) == Some(body.len())
}
