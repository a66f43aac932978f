//! Packets that the server writes, in both versions. None is longer than its client takes [MQTT-3.1.2-24]: what can be
//! left out is left out, and what then is still too long is not sent.

use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, MaximumPacketSize, MaximumQos, Properties, Property, Qos, ReasonString,
    ReceiveMaximum, RetainAvailable, ServerKeepAlive, SessionExpiryInterval, SharedSubscriptionAvailable,
    SubscriptionIdentifierAvailable, UserProperty, WildcardSubscriptionAvailable, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, MqttError, PubackReasonCode,
    SubackReasonCode, SubackReturnCode, UnsubackReasonCode,
};

use super::super::short::{SHORT_PROPERTY, SHORT_VERSION};
use super::packet::{Hello, PACKET_BYTES_MAX, Version};

/// What an accepted CONNECT is told.
#[derive(Debug, Clone)]
pub(super) struct Welcome {
    /// Frames that may wait for their acknowledgement.
    pub(super) receive_max: u16,
    /// Keep-alive that the server sets, if it is not the client's own.
    pub(super) keep_alive_s: Option<u16>,
    /// Client identifier, if the client left it to the server.
    pub(super) client_id: Option<String>,
}

/// Text that is always short and plain: building with it cannot fail.
const FITS: &str = "lengths and values are constants of this module or capped by it";

fn reason(text: &str) -> Properties {
    // Reason strings are for the vehicle's engineer; 200 bytes are a sentence.
    let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    if text.is_empty() {
        Properties::new()
    } else {
        vec![Property::ReasonString(ReasonString::new(&text).expect(FITS))]
    }
}

fn build<T>(packet: Result<T, MqttError>) -> T {
    packet.expect(FITS)
}

/// The first of some packets that the client takes.
fn fitting<const N: usize>(bytes_max: usize, packets: [impl FnOnce() -> Vec<u8>; N]) -> Option<Vec<u8>> {
    packets.into_iter().map(|packet| packet()).find(|packet| packet.len() <= bytes_max)
}

/// A packet with the reason for it, or without if it would be too long with it [MQTT-3.2.2-19], [MQTT-3.4.2-2],
/// [MQTT-3.14.2-3].
fn with_reason(text: &str, bytes_max: usize, packet: impl Fn(Properties) -> Vec<u8>) -> Option<Vec<u8>> {
    fitting(bytes_max, [reason(text), Properties::new()].map(|reason| || packet(reason)))
}

/// CONNACK for an accepted session: what is not possible is announced. `None` if the client takes no packet of that
/// length.
pub(super) fn welcome(hello: &Hello, welcome: &Welcome) -> Option<Vec<u8>> {
    let Version::V5 = hello.version else {
        let packet =
            v3_1_1::Connack::builder().session_present(false).return_code(ConnectReturnCode::Accepted);
        return Some(build(packet.build()).to_continuous_buffer());
    };
    let mut properties = vec![
        Property::ReceiveMaximum(build(ReceiveMaximum::new(welcome.receive_max))),
        Property::MaximumQos(build(MaximumQos::new(1))),
        Property::RetainAvailable(build(RetainAvailable::new(0))),
        Property::WildcardSubscriptionAvailable(build(WildcardSubscriptionAvailable::new(0))),
        Property::SubscriptionIdentifierAvailable(build(SubscriptionIdentifierAvailable::new(0))),
        Property::SharedSubscriptionAvailable(build(SharedSubscriptionAvailable::new(0))),
    ];
    if let Some(seconds) = welcome.keep_alive_s {
        properties.push(Property::ServerKeepAlive(build(ServerKeepAlive::new(seconds))));
    }
    if let Some(id) = &welcome.client_id {
        properties.push(Property::AssignedClientIdentifier(build(AssignedClientIdentifier::new(id))));
    }
    if hello.wants_session {
        // What waits for a vehicle waits in the store, not in a session.
        properties.push(Property::SessionExpiryInterval(build(SessionExpiryInterval::new(0))));
    }
    // A client that takes short packets only can do without these two: it sends none that is longer than a frame, and
    // no short frames.
    let packet_bytes = u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX);
    let optional = vec![
        Property::MaximumPacketSize(build(MaximumPacketSize::new(packet_bytes))),
        Property::UserProperty(build(UserProperty::new(SHORT_PROPERTY, SHORT_VERSION))),
    ];
    let packet = |optional: Properties| {
        let packet = v5_0::Connack::builder().session_present(false).reason_code(ConnectReasonCode::Success);
        build(packet.props([properties.clone(), optional].concat()).build()).to_continuous_buffer()
    };
    fitting(hello.packet_bytes_max, [optional, Properties::new()].map(|optional| || packet(optional)))
}

/// CONNACK for a refused session, or nothing if the client takes no packet of that length. In 3.1.1 there are five reasons,
/// and none of them has a text.
pub(super) fn refuse(version: Version, bytes_max: usize, code: u8, text: &str) -> Vec<u8> {
    match version {
        Version::V5 => {
            let code = ConnectReasonCode::try_from(code).unwrap_or(ConnectReasonCode::UnspecifiedError);
            let packet = |reason: Properties| {
                let packet = v5_0::Connack::builder().session_present(false).reason_code(code).props(reason);
                build(packet.build()).to_continuous_buffer()
            };
            with_reason(text, bytes_max, packet).unwrap_or_default()
        }
        Version::V3 => {
            let code = match code {
                0x84 => ConnectReturnCode::UnacceptableProtocolVersion,
                0x85 => ConnectReturnCode::IdentifierRejected,
                0x87 | 0x83 | 0x8c => ConnectReturnCode::NotAuthorized,
                _ => ConnectReturnCode::ServerUnavailable,
            };
            let packet = v3_1_1::Connack::builder().session_present(false).return_code(code);
            build(packet.build()).to_continuous_buffer()
        }
    }
}

/// PUBACK of a frame that is durable.
pub(super) fn acknowledge(version: Version, id: u16) -> Vec<u8> {
    match version {
        Version::V5 => build(v5_0::Puback::builder().packet_id(id).build()).to_continuous_buffer(),
        Version::V3 => build(v3_1_1::Puback::builder().packet_id(id).build()).to_continuous_buffer(),
    }
}

/// PUBACK of MQTT 5 for a frame that was refused.
pub(super) fn refuse_publish(id: u16, bytes_max: usize, code: PubackReasonCode, text: &str) -> Vec<u8> {
    let packet = |reason: Properties| {
        let packet = v5_0::Puback::builder().packet_id(id).reason_code(code);
        let packet = if reason.is_empty() { packet.build() } else { packet.props(reason).build() };
        build(packet).to_continuous_buffer()
    };
    with_reason(text, bytes_max, packet).unwrap_or_default()
}

/// SUBACK; one code a filter.
pub(super) fn suback(version: Version, id: u16, codes: Vec<SubackReasonCode>) -> Vec<u8> {
    match version {
        Version::V5 => {
            build(v5_0::Suback::builder().packet_id(id).reason_codes(codes).build()).to_continuous_buffer()
        }
        Version::V3 => {
            let code = |code: SubackReasonCode| match code.is_success() {
                true => SubackReturnCode::SuccessMaximumQos0,
                false => SubackReturnCode::Failure,
            };
            let codes = codes.into_iter().map(code).collect();
            build(v3_1_1::Suback::builder().packet_id(id).return_codes(codes).build()).to_continuous_buffer()
        }
    }
}

/// UNSUBACK; one code a filter, in MQTT 5.
pub(super) fn unsuback(version: Version, id: u16, codes: Vec<UnsubackReasonCode>) -> Vec<u8> {
    match version {
        Version::V5 => {
            build(v5_0::Unsuback::builder().packet_id(id).reason_codes(codes).build()).to_continuous_buffer()
        }
        Version::V3 => build(v3_1_1::Unsuback::builder().packet_id(id).build()).to_continuous_buffer(),
    }
}

/// PINGRESP.
pub(super) const PINGRESP: [u8; 2] = [0xd0, 0];

/// DISCONNECT, which only MQTT 5 knows from a server.
pub(super) fn disconnect(version: Version, bytes_max: usize, code: u8, text: &str) -> Vec<u8> {
    let Version::V5 = version else { return Vec::new() };
    let code = DisconnectReasonCode::try_from(code).unwrap_or(DisconnectReasonCode::UnspecifiedError);
    let packet = |reason: Properties| {
        let packet = v5_0::Disconnect::builder().reason_code(code);
        let packet = if reason.is_empty() { packet.build() } else { packet.props(reason).build() };
        build(packet).to_continuous_buffer()
    };
    with_reason(text, bytes_max, packet).unwrap_or_default()
}

/// PUBLISH with QoS 0.
pub(super) fn publish(version: Version, topic: &str, payload: Vec<u8>) -> Vec<u8> {
    match version {
        Version::V5 => {
            let packet =
                build(v5_0::Publish::builder().topic_name(topic)).qos(Qos::AtMostOnce).payload(payload);
            build(packet.build()).to_continuous_buffer()
        }
        Version::V3 => {
            let packet =
                build(v3_1_1::Publish::builder().topic_name(topic)).qos(Qos::AtMostOnce).payload(payload);
            build(packet.build()).to_continuous_buffer()
        }
    }
}
