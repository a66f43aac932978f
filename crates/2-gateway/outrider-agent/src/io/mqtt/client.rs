//! The vehicle's end of an MQTT session as a state machine: bytes in, bytes out; no socket, no clock.
//!
//! MQTT 5.0 or 3.1.1 (OASIS). What the other end sends is hostile until parsed: each packet has a cap that is known
//! before its bytes are kept, and the first fault ends the session.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::{
    MaximumPacketSize, Properties, Property, Qos, SubEntry, SubOpts, TopicAlias, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use outrider_wire::limits::REPLY_BYTES_MAX;

/// Name of the CONNACK's user property (MQTT 5, 3.2.2.3.10) by which the cloud's edge says that it takes short frames.
pub const SHORT_PROPERTY: &str = "outrider-short";
/// Value of that property for the version of short frames that this program writes.
pub const SHORT_VERSION: &str = "1";

/// Longest packet with a message: a whole reply, its topic and properties.
pub const PUBLISH_BYTES_MAX: usize = REPLY_BYTES_MAX + 1024;
/// Longest packet of any other kind; a CONNACK with a reason string fits.
pub const CONTROL_BYTES_MAX: usize = 4096;
/// Messages that wait until somebody takes them; a session that brings more ends. More than the cloud has commands.
pub const WAITING_MAX: usize = 32;

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.0.
    V5,
}

/// What a client says of itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Version.
    pub version: Version,
    /// Client identifier: the vehicle's pseudonym.
    pub client_id: String,
    /// Topic that frames are published on.
    pub up: String,
    /// Topic that replies come on.
    pub down: String,
    /// Longest silence that the client allows itself, in seconds.
    pub keep_alive_s: u16,
}

/// Why the session cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A packet that breaks the protocol.
    #[error("malformed packet")]
    Malformed,
    /// A packet longer than any that is expected.
    #[error("packet of {0} bytes")]
    TooLong(usize),
    /// A packet that has no place here, such as a second CONNACK.
    #[error("packet of type {0} at the wrong time")]
    Unexpected(u8),
    /// The server refused the session or the subscription, or ended it, with this reason code of MQTT 5.
    #[error("refused with reason code {0:#04x}")]
    Refused(u8),
    /// More messages than anybody asked for.
    #[error("too many messages")]
    Flooded,
}

/// What the other end said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The session and its subscription stand.
    Ready,
    /// The frame with this packet identifier is durable, or a broker says that it has it.
    Acknowledged(u16),
    /// The frame with this packet identifier was refused with this reason code.
    Refused(u16, u8),
    /// A message on the downward topic.
    Down(Vec<u8>),
    /// The answer to a ping.
    Pong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// CONNECT is sent.
    Connecting,
    /// SUBSCRIBE is sent.
    Subscribing,
    Ready,
}

/// One session.
#[derive(Debug)]
pub struct Client {
    identity: Identity,
    state: State,
    buffer: Vec<u8>,
    packet_id: u16,
    /// Longest packet that the server takes.
    packet_bytes_max: usize,
    keep_alive_s: u16,
    may_alias: bool,
    has_alias: bool,
    takes_short: bool,
}

const SUBSCRIBE_ID: u16 = 1;
const ALIAS: u16 = 1;

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBACK: u8 = 9;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

impl Client {
    /// Begins a session; the second value is the CONNECT to send.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if identifier or topics are no MQTT strings.
    pub fn new(identity: Identity) -> Result<(Self, Vec<u8>), Fault> {
        let bad = |_: MqttError| Fault::Malformed;
        let keep_alive_s = identity.keep_alive_s;
        let connect = match identity.version {
            Version::V3 => v3_1_1::Connect::builder()
                .client_id(&identity.client_id)
                .and_then(|packet| packet.clean_session(true).keep_alive(keep_alive_s).build())
                .map_err(bad)?
                .to_continuous_buffer(),
            Version::V5 => {
                // [MQTT-3.1.2-24]: the server sends no longer packet than this.
                let longest = u32::try_from(PUBLISH_BYTES_MAX).unwrap_or(u32::MAX);
                let longest = MaximumPacketSize::new(longest).map_err(bad)?;
                v5_0::Connect::builder()
                    .client_id(&identity.client_id)
                    .map(|packet| packet.clean_start(true).keep_alive(keep_alive_s))
                    .and_then(|packet| packet.props(vec![Property::MaximumPacketSize(longest)]).build())
                    .map_err(bad)?
                    .to_continuous_buffer()
            }
        };
        let client = Self {
            state: State::Connecting,
            buffer: Vec::new(),
            packet_id: SUBSCRIBE_ID,
            packet_bytes_max: usize::MAX,
            keep_alive_s,
            may_alias: false,
            has_alias: false,
            takes_short: false,
            identity,
        };
        Ok((client, connect))
    }

    /// Returns true if the server said that it takes short frames.
    #[must_use]
    pub const fn takes_short(&self) -> bool {
        self.takes_short
    }

    /// Returns the longest silence that is left to this end, in seconds; 0 is no limit.
    #[must_use]
    pub const fn keep_alive_s(&self) -> u16 {
        self.keep_alive_s
    }

    /// Packs a frame into a PUBLISH of QoS 1; returns its packet identifier, too.
    ///
    /// # Errors
    /// [`Fault::TooLong`] if the server takes no packet of that length; nothing has changed then.
    pub fn publish(&mut self, frame: &[u8]) -> Result<(u16, Vec<u8>), Fault> {
        let bad = |_: MqttError| Fault::Malformed;
        let id = self.packet_id.checked_add(1).unwrap_or(SUBSCRIBE_ID + 1);
        let bytes = match self.identity.version {
            Version::V3 => v3_1_1::Publish::builder()
                .topic_name(&self.identity.up)
                .and_then(|packet| packet.qos(Qos::AtLeastOnce).packet_id(id).payload(frame).build())
                .map_err(bad)?
                .to_continuous_buffer(),
            Version::V5 => {
                // The first message names the topic and its alias, the others the alias (3.3.2.3.4).
                let topic = if self.has_alias { "" } else { &self.identity.up };
                let mut properties = Properties::new();
                if self.may_alias {
                    properties.push(Property::TopicAlias(TopicAlias::new(ALIAS).map_err(bad)?));
                }
                v5_0::Publish::builder()
                    .topic_name(topic)
                    .map(|packet| packet.qos(Qos::AtLeastOnce).packet_id(id).props(properties))
                    .and_then(|packet| packet.payload(frame).build())
                    .map_err(bad)?
                    .to_continuous_buffer()
            }
        };
        if bytes.len() > self.packet_bytes_max {
            return Err(Fault::TooLong(bytes.len()));
        }
        self.has_alias = self.may_alias;
        self.packet_id = id;
        Ok((id, bytes))
    }

    /// Returns a PINGREQ.
    #[must_use]
    pub const fn ping() -> [u8; 2] {
        [0xC0, 0]
    }

    /// Returns a DISCONNECT without reason.
    #[must_use]
    pub const fn goodbye() -> [u8; 2] {
        [0xE0, 0]
    }

    /// Takes bytes from the other end; returns what they say and what to send at once.
    ///
    /// # Errors
    /// [`Fault`]; the session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(Vec<Heard>, Vec<u8>), Fault> {
        self.buffer.extend_from_slice(bytes);
        let (mut heard, mut send, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some((first, body)) = self.buffer.get(at..).map(frame).transpose()?.flatten() {
            let (begin, end) = (at + body.start, at + body.end);
            let body: Arc<[u8]> = self.buffer.get(begin..end).unwrap_or_default().into();
            at = end;
            if let Some(said) = self.packet(first, body, &mut send)? {
                heard.push(said);
                if heard.len() > WAITING_MAX {
                    return Err(Fault::Flooded);
                }
            }
        }
        self.buffer.drain(..at);
        Ok((heard, send))
    }

    fn packet(&mut self, first: u8, body: Arc<[u8]>, send: &mut Vec<u8>) -> Result<Option<Heard>, Fault> {
        let (kind, flags) = (first >> 4, first & 0x0F);
        if kind != PUBLISH && flags != 0 {
            return Err(Fault::Malformed);
        }
        match (kind, self.state) {
            (CONNACK, State::Connecting) => {
                self.connack(&body)?;
                self.state = State::Subscribing;
                send.extend(self.subscribe()?);
                Ok(None)
            }
            (SUBACK, State::Subscribing) => {
                suback(self.identity.version, &body)?;
                self.state = State::Ready;
                Ok(Some(Heard::Ready))
            }
            (PUBACK, State::Ready) => puback(self.identity.version, &body).map(Some),
            (PUBLISH, State::Subscribing | State::Ready) => self.message(flags, body, send),
            (PINGRESP, State::Ready) if body.is_empty() => Ok(Some(Heard::Pong)),
            // 3.1.1 knows no DISCONNECT from a server.
            (DISCONNECT, _) if self.identity.version == Version::V5 => {
                Err(Fault::Refused(body.first().copied().unwrap_or(0)))
            }
            _ => Err(Fault::Unexpected(kind)),
        }
    }

    fn connack(&mut self, body: &[u8]) -> Result<(), Fault> {
        // A session that was kept although a clean one was asked for is a broken server [MQTT-3.2.2-2].
        if body.first() != Some(&0) {
            return Err(Fault::Malformed);
        }
        if self.identity.version == Version::V3 {
            return match *body {
                [_, 0] => Ok(()),
                // The five reasons of 3.1.1, 3.2.2.3, as those of MQTT 5.
                [_, code @ 1..=5] => {
                    let codes = [0x84, 0x85, 0x88, 0x86, 0x87];
                    Err(Fault::Refused(codes.get(usize::from(code) - 1).copied().unwrap_or(0x80)))
                }
                _ => Err(Fault::Malformed),
            };
        }
        if let Some(code @ 0x80..=0xFF) = body.get(1) {
            return Err(Fault::Refused(*code));
        }
        let (packet, length) = v5_0::Connack::parse(body).map_err(|_| Fault::Malformed)?;
        if length != body.len() {
            return Err(Fault::Malformed);
        }
        for property in packet.props() {
            if let Property::TopicAliasMaximum(most) = property {
                self.may_alias = most.val() >= ALIAS;
            } else if let Property::MaximumPacketSize(longest) = property {
                self.packet_bytes_max = usize::try_from(longest.val()).unwrap_or(usize::MAX);
            } else if let Property::ServerKeepAlive(seconds) = property {
                // [MQTT-3.1.2-21].
                self.keep_alive_s = seconds.val();
            } else if let Property::MaximumQos(most) = property
                && most.val() == 0
            {
                // Without QoS 1 nobody says whether a frame came.
                return Err(Fault::Refused(0x9B));
            } else if let Property::UserProperty(pair) = property
                && pair.key() == SHORT_PROPERTY
            {
                self.takes_short = pair.val() == SHORT_VERSION;
            }
        }
        Ok(())
    }

    fn subscribe(&self) -> Result<Vec<u8>, Fault> {
        let bad = |_: MqttError| Fault::Malformed;
        let options = SubOpts::new().set_qos(Qos::AtMostOnce);
        let entry = SubEntry::new(self.identity.down.as_str(), options).map_err(bad)?;
        match self.identity.version {
            Version::V3 => {
                let packet =
                    v3_1_1::Subscribe::builder().packet_id(SUBSCRIBE_ID).entries(vec![entry]).build();
                Ok(packet.map_err(bad)?.to_continuous_buffer())
            }
            Version::V5 => {
                let packet = v5_0::Subscribe::builder().packet_id(SUBSCRIBE_ID).entries(vec![entry]).build();
                Ok(packet.map_err(bad)?.to_continuous_buffer())
            }
        }
    }

    fn message(&self, flags: u8, body: Arc<[u8]>, send: &mut Vec<u8>) -> Result<Option<Heard>, Fault> {
        let bad = |_: MqttError| Fault::Malformed;
        let qos = flags >> 1 & 3;
        // QoS 2 was not subscribed to [MQTT-3.8.4-8].
        if qos > 1 {
            return Err(Fault::Unexpected(PUBLISH));
        }
        // The codec reads topic and identifier; that they are there is checked before it does.
        let topic_bytes = match *body {
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => return Err(Fault::Malformed),
        };
        if body.len() < 2 + topic_bytes + if qos == 1 { 2 } else { 0 } {
            return Err(Fault::Malformed);
        }
        let (topic, id, payload) = match self.identity.version {
            Version::V3 => {
                let (packet, _) = v3_1_1::Publish::parse(flags, body).map_err(bad)?;
                (packet.topic_name().to_owned(), packet.packet_id(), packet.payload().as_slice().to_vec())
            }
            Version::V5 => {
                let (packet, _) = v5_0::Publish::parse(flags, body).map_err(bad)?;
                // No alias was offered for this direction [MQTT-3.1.2-26].
                (packet.topic_name().to_owned(), packet.packet_id(), packet.payload().as_slice().to_vec())
            }
        };
        if let Some(id) = id.filter(|_| qos == 1) {
            let [high, low] = id.to_be_bytes();
            send.extend([0x40, 2, high, low]);
        }
        // What is published elsewhere is not for us, whoever sends it.
        Ok((topic == self.identity.down).then_some(Heard::Down(payload)))
    }
}

/// Finds the packet that the bytes begin with: its first byte, and where its body is. `None` if it is not whole.
fn frame(bytes: &[u8]) -> Result<Option<(u8, std::ops::Range<usize>)>, Fault> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0usize;
    for (index, &byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            // [MQTT-1.5.5-1]: as few bytes as possible.
            if byte == 0 && index > 0 {
                return Err(Fault::Malformed);
            }
            let cap = if first >> 4 == PUBLISH { PUBLISH_BYTES_MAX } else { CONTROL_BYTES_MAX };
            if length > cap {
                return Err(Fault::TooLong(length));
            }
            let begin = index + 2;
            let end = begin + length;
            return Ok((bytes.len() >= end).then_some((first, begin..end)));
        }
    }
    if rest.len() >= 4 { Err(Fault::Malformed) } else { Ok(None) }
}

fn puback(version: Version, body: &[u8]) -> Result<Heard, Fault> {
    let [high, low, rest @ ..] = body else { return Err(Fault::Malformed) };
    let id = u16::from_be_bytes([*high, *low]);
    match (version, rest) {
        (_, []) => Ok(Heard::Acknowledged(id)),
        (Version::V3, _) => Err(Fault::Malformed),
        (Version::V5, [0 | 0x10, ..]) => Ok(Heard::Acknowledged(id)),
        (Version::V5, [code @ 0x80..=0xFF, ..]) => Ok(Heard::Refused(id, *code)),
        (Version::V5, _) => Err(Fault::Malformed),
    }
}

fn suback(version: Version, body: &[u8]) -> Result<(), Fault> {
    let code = match version {
        Version::V3 => match body {
            [0, 1, code] => *code,
            _ => return Err(Fault::Malformed),
        },
        // Properties stand between identifier and code.
        Version::V5 => match body {
            [0, 1, _, .., code] => *code,
            _ => return Err(Fault::Malformed),
        },
    };
    if code < 3 { Ok(()) } else { Err(Fault::Refused(code)) }
}
