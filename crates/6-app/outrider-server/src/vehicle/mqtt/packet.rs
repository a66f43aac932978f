//! Control packets: what a publish-only server reads and writes, checked once, here.
//!
//! What vehicles send is taken apart here, field by field, not by the codec that writes our answers: the standard says of
//! each fault which reason code it has and when the connection ends, and the codec knows neither. Numbers in brackets are
//! normative statements of OASIS MQTT 5.0, "of 3.1.1" those of the older version.

use outrider_wire::limits::FRAME_BYTES_MAX;

use super::fields::{
    AUTHENTICATION_DATA, AUTHENTICATION_METHOD, Fields, Owner, SUBSCRIPTION_IDENTIFIER, TOPIC_ALIAS,
};

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
    /// [`Fault::Protocol`] for the type that is forbidden, [`Fault::Malformed`] for a length of more than four bytes
    /// [MQTT-1.5.5], [`Fault::TooLarge`] above the cap of the packet's type. All are known before any byte of the packet
    /// is kept.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        if first >> 4 == RESERVED {
            return Err(Fault::Protocol);
        }
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

/// A type that does not exist and is forbidden (2.1.2).
const RESERVED: u8 = 0;
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBREL: u8 = 6;
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

/// Why a CONNECT is refused, and how to say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub fault: Fault,
    /// Version that an answer must have.
    pub version: Version,
    /// Longest packet that the client takes, as far as it was read.
    pub packet_bytes_max: usize,
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
    Disconnect {
        /// Seconds for which the session shall be kept.
        session_expiry_s: u32,
    },
}

impl Inbound {
    /// Parses a packet that is no CONNECT.
    ///
    /// # Errors
    /// [`Fault`]; the connection cannot go on.
    pub fn parse(version: Version, head: Head, body: &[u8]) -> Result<Self, Fault> {
        let (kind, flags) = (head.first >> 4, head.first & 0x0f);
        // [MQTT-2.1.3-1]: reserved flags have one value.
        let reserved = if matches!(kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE) { 2 } else { 0 };
        if kind != PUBLISH && flags != reserved {
            return Err(Fault::Malformed);
        }
        let fields = Fields::new(body);
        match kind {
            PUBLISH => publish(version, flags, fields),
            SUBSCRIBE => subscribe(version, fields),
            UNSUBSCRIBE => unsubscribe(version, fields),
            PINGREQ => fields.end().map(|()| Self::Ping),
            DISCONNECT => disconnect(version, fields),
            // A second CONNECT [MQTT-3.1.0-2]; acknowledgements and AUTH belong to nothing here; the rest only a server
            // sends. They are not taken apart.
            _ => Err(Fault::Protocol),
        }
    }

    /// Reads the identifier of a PUBLISH, however broken the rest of it is; `None` if it has none.
    #[must_use]
    pub fn publish_id(head: Head, body: &[u8]) -> Option<u16> {
        let mut fields = Fields::new(body);
        let is_acknowledged = head.first >> 4 == PUBLISH && head.first & 6 != 0;
        fields.binary().ok().filter(|_| is_acknowledged)?;
        packet_id(&mut fields).ok()
    }

    /// Parses the first packet of a connection.
    ///
    /// # Errors
    /// [`Refused`], with what an answer must know.
    pub fn parse_connect(head: Head, body: &[u8]) -> Result<Hello, Refused> {
        let refused = |fault, version| Refused { fault, version, packet_bytes_max: usize::MAX };
        // [MQTT-3.1.0-1]: the first packet is CONNECT.
        if head.first >> 4 != CONNECT {
            return Err(refused(Fault::Protocol, Version::V3));
        }
        let mut fields = Fields::new(body);
        let name = fields.binary().map_err(|fault| refused(fault, Version::V3))?;
        let level = fields.u8().map_err(|fault| refused(fault, Version::V3))?;
        let version = match (name, level) {
            (b"MQTT", 4) => Version::V3,
            (b"MQTT", 5) => Version::V5,
            // [MQTT-3.1.2-2]: to a later version the newest known answer, to an earlier one that of 3.1.1, where
            // [MQTT-3.1.2-2 of 3.1.1] demands it.
            (b"MQTT", 6..) => return Err(refused(Fault::Version, Version::V5)),
            (b"MQTT" | b"MQIsdp", _) => return Err(refused(Fault::Version, Version::V3)),
            // [MQTT-3.1.2-1].
            _ => return Err(refused(Fault::Malformed, Version::V3)),
        };
        // [MQTT-2.1.3-1].
        if head.first & 0x0f != 0 {
            return Err(refused(Fault::Malformed, Version::V3));
        }
        let mut hello = Hello {
            version,
            client_id: String::new(),
            keep_alive_s: 0,
            packet_bytes_max: usize::MAX,
            wants_reasons: true,
            wants_session: false,
        };
        match connect(&mut hello, fields) {
            Ok(()) => Ok(hello),
            Err(fault) => Err(Refused { fault, version, packet_bytes_max: hello.packet_bytes_max }),
        }
    }
}

/// Reads a CONNECT behind its protocol level. What was read before a fault is in `hello`.
fn connect(hello: &mut Hello, mut fields: Fields<'_>) -> Result<(), Fault> {
    let flags = fields.u8()?;
    let (has_user, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
    let (has_will, will_qos, will_retain) = (flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    // [MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13].
    if flags & 1 != 0 || will_qos == 3 || (!has_will && (will_qos != 0 || will_retain)) {
        return Err(Fault::Malformed);
    }
    // [MQTT-3.1.2-22 of 3.1.1]; MQTT 5 takes a password without a name.
    if hello.version == Version::V3 && has_password && !has_user {
        return Err(Fault::Malformed);
    }
    hello.keep_alive_s = fields.u16()?;
    let mut has_method = false;
    if hello.version == Version::V3 {
        hello.wants_session = flags & 2 == 0;
    } else {
        let said = fields.properties(Owner::Connect)?;
        // [MQTT-3.1.2-24]: never a longer packet than this.
        if let Some(bytes) = said.packet_bytes_max {
            hello.packet_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        hello.wants_reasons = !said.wants_no_reasons;
        hello.wants_session = said.session_expiry_s > 0;
        has_method = said.has(AUTHENTICATION_METHOD);
        if said.has(AUTHENTICATION_DATA) && !has_method {
            return Err(Fault::Protocol);
        }
    }
    fields.text()?.clone_into(&mut hello.client_id);
    if has_will {
        if hello.version == Version::V5 {
            fields.properties(Owner::Will)?;
        }
        // [MQTT-4.7.3-1], [MQTT-3.3.2-2]: a will is a message.
        let topic = fields.text()?;
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(Fault::Malformed);
        }
        fields.binary()?;
    }
    if has_user {
        fields.text()?;
    }
    if has_password {
        fields.binary()?;
    }
    fields.end()?;
    if has_method {
        return Err(Fault::Authentication);
    }
    if has_will { Err(Fault::Will) } else { Ok(()) }
}

fn publish(version: Version, flags: u8, mut fields: Fields<'_>) -> Result<Inbound, Fault> {
    let qos = flags >> 1 & 3;
    // [MQTT-3.3.1-4] and [MQTT-3.3.1-2].
    if qos == 3 || (qos == 0 && flags & 8 != 0) {
        return Err(Fault::Malformed);
    }
    let topic = fields.text()?;
    if topic.len() > TOPIC_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    // [MQTT-3.3.2-2]: no wildcards in the name of a topic.
    if topic.contains(['+', '#']) {
        return Err(Fault::Malformed);
    }
    let id = if qos == 0 { None } else { Some(packet_id(&mut fields)?) };
    if version == Version::V5 {
        let said = fields.properties(Owner::Publish)?;
        // [MQTT-3.3.4-6]: only a server says these.
        if said.has(SUBSCRIPTION_IDENTIFIER) {
            return Err(Fault::Protocol);
        }
        if said.has(TOPIC_ALIAS) {
            return Err(Fault::TopicAlias);
        }
    }
    // [MQTT-4.7.3-1]; an empty name without alias is a protocol error (3.3.2.1).
    if topic.is_empty() {
        return Err(Fault::Protocol);
    }
    if qos == 2 {
        return Err(Fault::Qos);
    }
    if flags & 1 != 0 {
        return Err(Fault::Retain);
    }
    Ok(Inbound::Publish(Message { topic: topic.to_owned(), id, payload: fields.rest().to_vec() }))
}

/// Reads a packet identifier; it is not zero [MQTT-2.2.1-3].
fn packet_id(fields: &mut Fields<'_>) -> Result<u16, Fault> {
    match fields.u16()? {
        0 => Err(Fault::Protocol),
        id => Ok(id),
    }
}

/// Reads a topic filter; it has at least one character [MQTT-4.7.3-1].
fn filter<'a>(fields: &mut Fields<'a>) -> Result<&'a str, Fault> {
    match fields.text()? {
        "" => Err(Fault::Malformed),
        filter if filter.len() > TOPIC_BYTES_MAX => Err(Fault::TooLarge),
        filter => Ok(filter),
    }
}

/// Reads what follows the identifier of a SUBSCRIBE or UNSUBSCRIBE with `entry`. None at all is a protocol error
/// [MQTT-3.8.3-2], [MQTT-3.10.3-2].
fn filters<'a>(
    mut fields: Fields<'a>,
    entry: impl Fn(&mut Fields<'a>) -> Result<&'a str, Fault>,
) -> Result<Vec<String>, Fault> {
    let mut filters = Vec::new();
    while !fields.is_empty() {
        if filters.len() == FILTERS_MAX {
            return Err(Fault::TooLarge);
        }
        filters.push(entry(&mut fields)?.to_owned());
    }
    if filters.is_empty() { Err(Fault::Protocol) } else { Ok(filters) }
}

fn subscribe(version: Version, mut fields: Fields<'_>) -> Result<Inbound, Fault> {
    let id = packet_id(&mut fields)?;
    let is_numbered =
        version == Version::V5 && fields.properties(Owner::Subscribe)?.has(SUBSCRIPTION_IDENTIFIER);
    let filters = filters(fields, |fields| {
        let filter = filter(fields)?;
        check_options(version, filter, fields.u8()?)?;
        Ok(filter)
    })?;
    if is_numbered { Err(Fault::SubscriptionId) } else { Ok(Inbound::Subscribe { id, filters }) }
}

/// Checks the options of a subscription: reserved bits and, in 3.1.1, QoS 3 are malformed [MQTT-3.8.3-5], [MQTT-3.8.3-4 of
/// 3.1.1]; QoS 3 and retain handling 3 are protocol errors (3.8.3.1), and so is a shared subscription without name or
/// filter [MQTT-4.8.2-1], [MQTT-4.8.2-2] or with "no local" [MQTT-3.8.3-4].
fn check_options(version: Version, filter: &str, options: u8) -> Result<(), Fault> {
    let (qos, no_local, retain_handling) = (options & 3, options & 4 != 0, options >> 4 & 3);
    if version == Version::V3 {
        return if options & 0xfc != 0 || qos == 3 { Err(Fault::Malformed) } else { Ok(()) };
    }
    if options & 0xc0 != 0 {
        return Err(Fault::Malformed);
    }
    let is_shared_well = filter.strip_prefix("$share/").is_none_or(|rest| {
        let (name, shared) = rest.split_once('/').unwrap_or_default();
        !name.is_empty() && !name.contains(['+', '#']) && !shared.is_empty() && !no_local
    });
    if qos == 3 || retain_handling == 3 || !is_shared_well { Err(Fault::Protocol) } else { Ok(()) }
}

fn unsubscribe(version: Version, mut fields: Fields<'_>) -> Result<Inbound, Fault> {
    let id = packet_id(&mut fields)?;
    if version == Version::V5 {
        fields.properties(Owner::Unsubscribe)?;
    }
    Ok(Inbound::Unsubscribe { id, filters: filters(fields, filter)? })
}

/// Reason codes of a DISCONNECT (3.14.2.1); a client that uses a server's wants to go none the less.
const fn is_reason(code: u8) -> bool {
    matches!(code, 0 | 4 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b | 0x8d..=0x90 | 0x93..=0xa2)
}

fn disconnect(version: Version, mut fields: Fields<'_>) -> Result<Inbound, Fault> {
    let mut session_expiry_s = 0;
    if version == Version::V5 && !fields.is_empty() {
        if !is_reason(fields.u8()?) {
            return Err(Fault::Malformed);
        }
        if !fields.is_empty() {
            session_expiry_s = fields.properties(Owner::Disconnect)?.session_expiry_s;
        }
    }
    fields.end()?;
    Ok(Inbound::Disconnect { session_expiry_s })
}
