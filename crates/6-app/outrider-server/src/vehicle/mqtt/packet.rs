//! Control packets: what a publish-only server reads and writes, checked once, here.
//!
//! The codec (`mqtt-protocol-core`) turns bytes into packets; it is lenient in places where OASIS MQTT 5.0 demands a
//! refusal, and it allocates for each property. So lengths, flags, identifiers and the size of the properties are
//! checked around it. Numbers in brackets are normative statements of OASIS MQTT 5.0.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::{Properties, Property, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use outrider_wire::limits::FRAME_BYTES_MAX;

/// Longest topic: `v1/`, 32 digits, `/down` are 40 bytes; the rest is room for a name that is refused by name.
pub const TOPIC_BYTES_MAX: usize = 256;
/// All properties of one packet. Nothing needs them; a client may still send user properties.
pub const PROPERTIES_BYTES_MAX: usize = 1024;
/// Every packet but PUBLISH: a CONNECT with user name, password and properties fits.
pub const CONTROL_BYTES_MAX: usize = 4096;
/// A PUBLISH: the longest frame, its topic and properties, and 16 bytes for the lengths and identifiers between.
pub const PACKET_BYTES_MAX: usize = FRAME_BYTES_MAX + TOPIC_BYTES_MAX + PROPERTIES_BYTES_MAX + 16;
/// Topic filters of one SUBSCRIBE or UNSUBSCRIBE: one is granted.
const FILTERS_MAX: usize = 8;

/// Protocol version of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V3,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// Why a packet is refused; the numbers are MQTT 5's reason codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The packet cannot be parsed.
    Malformed = 0x81,
    /// The packet may not come now, or contradicts itself.
    Protocol = 0x82,
    /// Neither 3.1.1 nor 5.
    Version = 0x84,
    /// The client identifier is not the certificate's vehicle.
    ClientId = 0x85,
    /// A topic alias, which was never allowed.
    TopicAlias = 0x94,
    /// Longer than announced.
    TooLarge = 0x95,
    /// A retained message.
    Retain = 0x9a,
    /// QoS 2.
    Qos = 0x9b,
    /// A subscription identifier.
    SubscriptionId = 0xa1,
    /// An authentication method; the certificate is the authentication.
    Authentication = 0x8c,
    /// A will.
    Will = 0x83,
}

impl Fault {
    /// Returns the word for counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "packet.malformed",
            Self::Protocol => "packet.protocol",
            Self::Version => "connect.version",
            Self::ClientId => "connect.client_id",
            Self::TopicAlias => "publish.topic_alias",
            Self::TooLarge => "packet.too_large",
            Self::Retain => "publish.retain",
            Self::Qos => "publish.qos",
            Self::SubscriptionId => "subscribe.identifier",
            Self::Authentication => "connect.authentication",
            Self::Will => "connect.will",
        }
    }

    /// Returns the reason code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// First bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Type and flags.
    pub first: u8,
    /// Bytes of type and length.
    pub head_bytes: usize,
    /// Bytes after them.
    pub body_bytes: usize,
}

impl Head {
    /// Reads the head of the packet that `bytes` begin with, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for a length of more than four bytes [MQTT-1.5.5], [`Fault::TooLarge`] above the cap of the
    /// packet's type, which is known before any of its bytes is kept.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let mut body_bytes = 0usize;
        for (index, &byte) in rest.iter().take(4).enumerate() {
            body_bytes |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                let cap = if first >> 4 == PUBLISH { PACKET_BYTES_MAX } else { CONTROL_BYTES_MAX };
                // A length that a shorter one could say is malformed [MQTT-1.5.5-1].
                if byte == 0 && index > 0 {
                    return Err(Fault::Malformed);
                }
                return if body_bytes > cap {
                    Err(Fault::TooLarge)
                } else {
                    Ok(Some(Self { first, head_bytes: index + 2, body_bytes }))
                };
            }
        }
        if rest.len() >= 4 { Err(Fault::Malformed) } else { Ok(None) }
    }

    /// Returns the bytes of the whole packet.
    #[must_use]
    pub const fn packet_bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }
}

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

/// What a CONNECT says, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version.
    pub version: Version,
    /// Client identifier; may be empty.
    pub client_id: String,
    /// Seconds between packets at most; 0 is no limit of the client's.
    pub keep_alive_s: u16,
    /// Longest packet that the client takes.
    pub packet_bytes_max: usize,
    /// Whether the client wants reason strings.
    pub wants_reasons: bool,
    /// Whether the client asks for a session that outlives the connection.
    pub wants_session: bool,
}

/// A message of the vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Packet identifier; `None` for QoS 0.
    pub id: Option<u16>,
    /// Content.
    pub payload: Vec<u8>,
}

/// A packet of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Begins the session.
    Connect(Hello),
    /// Brings a message.
    Publish(Message),
    /// Asks for topics.
    Subscribe {
        /// Packet identifier.
        id: u16,
        /// Topic filters.
        filters: Vec<String>,
    },
    /// Gives topics up.
    Unsubscribe {
        /// Packet identifier.
        id: u16,
        /// Topic filters.
        filters: Vec<String>,
    },
    /// Says that the client lives.
    Ping,
    /// Ends the session.
    Disconnect,
}

impl Inbound {
    /// Parses a packet that is no CONNECT.
    ///
    /// # Errors
    /// [`Fault`]; the connection cannot go on.
    pub fn parse(version: Version, head: Head, body: &[u8]) -> Result<Self, Fault> {
        let flags = head.first & 0x0f;
        // [MQTT-2.1.3-1]: reserved flags have one value.
        match head.first >> 4 {
            PUBLISH => publish(version, flags, body),
            SUBSCRIBE if flags == 2 => subscribe(version, body),
            UNSUBSCRIBE if flags == 2 => unsubscribe(version, body),
            PINGREQ if flags == 0 && body.is_empty() => Ok(Self::Ping),
            DISCONNECT if flags == 0 => disconnect(version, body),
            // A second CONNECT [MQTT-3.1.0-2]; QoS 2, AUTH and acknowledgements belong to nothing here.
            CONNECT | 4..=7 | 15 if flags_fit(head.first) => Err(Fault::Protocol),
            _ => Err(Fault::Malformed),
        }
    }

    /// Parses the first packet of a connection.
    ///
    /// # Errors
    /// [`Fault`], with the version that an answer must have.
    pub fn parse_connect(head: Head, body: &[u8]) -> Result<Hello, (Fault, Version)> {
        // [MQTT-3.1.0-1]: the first packet is CONNECT.
        if head.first != CONNECT << 4 {
            return Err((Fault::Protocol, Version::V3));
        }
        let version = match body.get(..7) {
            Some([0, 4, b'M', b'Q', b'T', b'T', 4]) => Version::V3,
            Some([0, 4, b'M', b'Q', b'T', b'T', 5]) => Version::V5,
            // [MQTT-3.1.2-2]: the answer to an unknown version is that of the newest one.
            Some([0, 4, b'M', b'Q', b'T', b'T', _]) => return Err((Fault::Version, Version::V5)),
            _ => return Err((Fault::Malformed, Version::V3)),
        };
        connect(version, body).map_err(|fault| (fault, version))
    }
}

const fn flags_fit(first: u8) -> bool {
    // PUBREL has the flags 2, the others none.
    let wanted = if first >> 4 == 6 { 2 } else { 0 };
    first & 0x0f == wanted
}

fn fault(error: MqttError) -> Fault {
    if error == MqttError::ProtocolError { Fault::Protocol } else { Fault::Malformed }
}

/// Refuses a packet with bytes behind its end.
fn whole<T>((packet, bytes): (T, usize), body: &[u8]) -> Result<T, Fault> {
    if bytes == body.len() { Ok(packet) } else { Err(Fault::Malformed) }
}

/// Refuses text with a null character [MQTT-1.5.4-2].
fn text(text: &str) -> Result<String, Fault> {
    if text.contains('\0') { Err(Fault::Malformed) } else { Ok(text.to_owned()) }
}

fn connect(version: Version, body: &[u8]) -> Result<Hello, Fault> {
    let flags = *body.get(7).ok_or(Fault::Malformed)?;
    let (has_will, will_qos, will_retain) = (flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    // [MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13].
    if flags & 1 != 0 || will_qos == 3 || (!has_will && (will_qos != 0 || will_retain)) {
        return Err(Fault::Malformed);
    }
    let hello = match version {
        Version::V3 => {
            let packet = whole(v3_1_1::Connect::parse(body).map_err(fault)?, body)?;
            Hello {
                version,
                client_id: text(packet.client_id())?,
                keep_alive_s: packet.keep_alive(),
                packet_bytes_max: usize::MAX,
                wants_reasons: false,
                wants_session: flags & 2 == 0,
            }
        }
        Version::V5 => {
            cap_properties(body.get(10..).unwrap_or_default())?;
            let packet = whole(v5_0::Connect::parse(body).map_err(fault)?, body)?;
            let mut hello = Hello {
                version,
                client_id: text(packet.client_id())?,
                keep_alive_s: packet.keep_alive(),
                packet_bytes_max: usize::MAX,
                wants_reasons: true,
                wants_session: false,
            };
            apply(&mut hello, packet.props())?;
            hello
        }
    };
    if has_will { Err(Fault::Will) } else { Ok(hello) }
}

/// Takes over what the properties of a CONNECT say.
fn apply(hello: &mut Hello, properties: &Properties) -> Result<(), Fault> {
    let mut has_method = false;
    for property in properties {
        if let Property::MaximumPacketSize(bytes) = property {
            // [MQTT-3.1.2-24]: never a longer packet than this. Zero is a protocol error.
            hello.packet_bytes_max = usize::try_from(bytes.val()).unwrap_or(usize::MAX);
            if bytes.val() == 0 {
                return Err(Fault::Protocol);
            }
        } else if let Property::ReceiveMaximum(count) = property
            && count.val() == 0
        {
            return Err(Fault::Protocol);
        } else if let Property::RequestProblemInformation(wanted) = property {
            hello.wants_reasons = wanted.val() == 1;
        } else if let Property::SessionExpiryInterval(seconds) = property {
            hello.wants_session = seconds.val() > 0;
        } else if let Property::AuthenticationMethod(_) = property {
            has_method = true;
        } else if let Property::AuthenticationData(_) = property
            && !has_method
            && !properties.iter().any(|other| matches!(other, Property::AuthenticationMethod(_)))
        {
            return Err(Fault::Protocol);
        }
    }
    if has_method { Err(Fault::Authentication) } else { Ok(()) }
}

/// Checks that the properties at the start of `bytes` are short before they are taken apart.
fn cap_properties(bytes: &[u8]) -> Result<(), Fault> {
    let mut length = 0usize;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return if length > PROPERTIES_BYTES_MAX { Err(Fault::TooLarge) } else { Ok(()) };
        }
    }
    Err(Fault::Malformed)
}

fn publish(version: Version, flags: u8, body: &[u8]) -> Result<Inbound, Fault> {
    let qos = flags >> 1 & 3;
    // [MQTT-3.3.1-4] and [MQTT-3.3.1-2].
    if qos == 3 || (qos == 0 && flags & 8 != 0) {
        return Err(Fault::Malformed);
    }
    let topic_bytes = match body {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => return Err(Fault::Malformed),
    };
    if topic_bytes > TOPIC_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    let id_at = 2 + topic_bytes;
    let id = if qos == 0 {
        None
    } else {
        let bytes = body.get(id_at..id_at + 2).ok_or(Fault::Malformed)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    // [MQTT-2.2.1-3]: the identifier is not zero.
    if id == Some(0) {
        return Err(Fault::Protocol);
    }
    let topic = text(
        std::str::from_utf8(body.get(2..id_at).ok_or(Fault::Malformed)?).map_err(|_| Fault::Malformed)?,
    )?;
    // [MQTT-3.3.2-2]: no wildcards in the name of a topic.
    if topic.contains(['+', '#']) {
        return Err(Fault::Malformed);
    }
    let data: Arc<[u8]> = Arc::from(body);
    let payload = match version {
        Version::V3 => {
            whole(v3_1_1::Publish::parse(flags, data).map_err(fault)?, body)?.payload().as_slice().to_vec()
        }
        Version::V5 => {
            let after_id = body.get(if id.is_some() { id_at + 2 } else { id_at }..).unwrap_or_default();
            cap_properties(after_id)?;
            let packet = whole(v5_0::Publish::parse(flags, data).map_err(fault)?, body)?;
            for property in packet.props() {
                if let Property::TopicAlias(_) = property {
                    return Err(Fault::TopicAlias);
                }
                // [MQTT-3.3.4-6]: only a server says these.
                if let Property::SubscriptionIdentifier(_) = property {
                    return Err(Fault::Protocol);
                }
                // [MQTT-3.3.2-14].
                if let Property::ResponseTopic(topic) = property
                    && topic.val().contains(['+', '#'])
                {
                    return Err(Fault::Malformed);
                }
            }
            packet.payload().as_slice().to_vec()
        }
    };
    // [MQTT-4.7.3-1]; an empty name without alias is a protocol error.
    if topic.is_empty() {
        return Err(Fault::Protocol);
    }
    if qos == 2 {
        return Err(Fault::Qos);
    }
    if flags & 1 != 0 {
        return Err(Fault::Retain);
    }
    Ok(Inbound::Publish(Message { topic, id, payload }))
}

fn packet_id(body: &[u8]) -> Result<u16, Fault> {
    match body {
        [0, 0, ..] => Err(Fault::Protocol),
        [high, low, ..] => Ok(u16::from_be_bytes([*high, *low])),
        _ => Err(Fault::Malformed),
    }
}

fn cap_filters(filters: Vec<String>) -> Result<Vec<String>, Fault> {
    let is_fine = (1..=FILTERS_MAX).contains(&filters.len())
        && filters.iter().all(|filter| !filter.is_empty() && filter.len() <= TOPIC_BYTES_MAX);
    if is_fine { Ok(filters) } else { Err(Fault::Protocol) }
}

fn subscribe(version: Version, body: &[u8]) -> Result<Inbound, Fault> {
    let id = packet_id(body)?;
    let entries = match version {
        Version::V3 => whole(v3_1_1::Subscribe::parse(body).map_err(fault)?, body)?.entries().clone(),
        Version::V5 => {
            cap_properties(body.get(2..).unwrap_or_default())?;
            let packet = whole(v5_0::Subscribe::parse(body).map_err(fault)?, body)?;
            if packet.props().iter().any(|property| matches!(property, Property::SubscriptionIdentifier(_))) {
                return Err(Fault::SubscriptionId);
            }
            packet.entries().clone()
        }
    };
    // [MQTT-3.8.3-4]: no "no local" on a shared subscription.
    if entries.iter().any(|entry| entry.topic_filter().starts_with("$share/") && entry.sub_opts().nl()) {
        return Err(Fault::Protocol);
    }
    let filters = entries.iter().map(|entry| text(entry.topic_filter())).collect::<Result<Vec<_>, _>>()?;
    Ok(Inbound::Subscribe { id, filters: cap_filters(filters)? })
}

fn unsubscribe(version: Version, body: &[u8]) -> Result<Inbound, Fault> {
    let id = packet_id(body)?;
    let filters = match version {
        Version::V3 => whole(v3_1_1::Unsubscribe::parse(body).map_err(fault)?, body)?.entries().clone(),
        Version::V5 => {
            cap_properties(body.get(2..).unwrap_or_default())?;
            whole(v5_0::Unsubscribe::parse(body).map_err(fault)?, body)?.entries().clone()
        }
    };
    let filters = filters.iter().map(|filter| text(filter.as_str())).collect::<Result<Vec<_>, _>>()?;
    Ok(Inbound::Unsubscribe { id, filters: cap_filters(filters)? })
}

fn disconnect(version: Version, body: &[u8]) -> Result<Inbound, Fault> {
    match version {
        Version::V3 if body.is_empty() => Ok(Inbound::Disconnect),
        Version::V3 => Err(Fault::Malformed),
        Version::V5 if body.is_empty() => Ok(Inbound::Disconnect),
        Version::V5 => {
            if body.len() > 1 {
                cap_properties(&body[1..])?;
            }
            whole(v5_0::Disconnect::parse(body).map_err(fault)?, body)?;
            Ok(Inbound::Disconnect)
        }
    }
}
