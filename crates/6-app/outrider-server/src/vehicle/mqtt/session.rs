//! One MQTT session as a state machine: packets and times in, packets and frames out. No socket, no clock.

use std::time::Duration;

use mqtt_protocol_core::mqtt::result_code::{PubackReasonCode, SubackReasonCode, UnsubackReasonCode};
use outrider_types::VehicleId;

use super::emit::{self, Welcome};
use super::packet::{Fault, Head, Hello, Inbound, Message, Refused, Version};
use crate::vehicle::exchange::Refusal;

/// Frames that a vehicle may send before the first is acknowledged. The server takes them one after the other and
/// reads no further meanwhile; eight hide the round trip of a disk and a radio link (guess).
pub const RECEIVE_MAX: u16 = 8;
/// Longest silence of a session, in seconds; a client that asks for more, or for none, is told this one. Twenty
/// minutes are below the time after which mobile networks forget an idle connection (commonly 30 min).
pub const KEEP_ALIVE_S_MAX: u16 = 1200;

/// Time limits of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// From the connection to the CONNECT, and from the first byte of a packet to its last.
    pub patience: Duration,
}

/// What the session wants done, in this order: send, take, close.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes for the client.
    pub send: Vec<u8>,
    /// Frame for the exchange; its result goes to [`Session::taken`].
    pub take: Option<Take>,
    /// Why the connection ends after that.
    pub close: Option<Close>,
}

/// A frame on its way to the event log.
#[derive(Debug, PartialEq, Eq)]
pub struct Take {
    /// Packet identifier, `None` for QoS 0.
    pub id: Option<u16>,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client said so.
    Client,
    /// The client broke a rule.
    Fault(Fault),
    /// The client may not connect.
    Refused(&'static str),
    /// No CONNECT, or a packet that did not end, or silence.
    Slow(&'static str),
    /// The same certificate has a newer session.
    TakenOver,
    /// The server stops.
    Stopping,
    /// A frame was refused and 3.1.1 knows no other way to say so.
    FrameRefused,
}

impl Close {
    /// Returns the word for counters, or `None` if nothing was wrong.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Client | Self::Stopping => None,
            Self::Fault(fault) => Some(fault.word()),
            Self::Refused(word) | Self::Slow(word) => Some(word),
            Self::TakenOver => Some("session.taken_over"),
            Self::FrameRefused => Some("publish.refused"),
        }
    }
}

/// Why a CONNECT is refused by something else than its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The vehicle may connect.
    Open,
    /// It is not registered, or suspended.
    NotAuthorized,
    /// There are as many sessions as the server takes; try again after so many seconds.
    Full(u64),
    /// The server stops.
    Stopping,
}

enum State {
    Waiting,
    Open {
        version: Version,
        keep_alive: Duration,
        packet_bytes_max: usize,
        wants_reasons: bool,
        /// Whether the CONNECT asked for a session that outlives its connection.
        wants_session: bool,
        down: Option<Down>,
    },
    Closed,
}

/// Topic of replies that the client subscribed to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Down {
    Short,
    Named,
}

/// A session.
pub struct Session {
    vehicle: VehicleId,
    limits: SessionLimits,
    state: State,
    /// When the last whole packet came.
    heard: Duration,
    /// When the packet began that is not whole yet.
    partial: Option<Duration>,
    /// Replies that were too long for the client.
    unsent: u64,
}

impl Session {
    /// Creates the session of a certificate's vehicle. Times count from any one moment.
    #[must_use]
    pub const fn new(vehicle: VehicleId, limits: SessionLimits, now: Duration) -> Self {
        Self { vehicle, limits, state: State::Waiting, heard: now, partial: None, unsent: 0 }
    }

    /// Returns whether the client is connected.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Returns whether replies can be sent.
    #[must_use]
    pub const fn is_subscribed(&self) -> bool {
        matches!(self.state, State::Open { down: Some(_), .. })
    }

    /// Returns the replies that were not sent because the client takes no packet of that length.
    #[must_use]
    pub const fn unsent(&self) -> u64 {
        self.unsent
    }

    /// Returns when [`Session::tick`] has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let silence = match &self.state {
            State::Waiting => self.heard.saturating_add(self.limits.patience),
            // [MQTT-3.1.2-22]: one and a half times the keep-alive.
            State::Open { keep_alive, .. } => self.heard.saturating_add(*keep_alive * 3 / 2),
            State::Closed => Duration::MAX,
        };
        let partial = self.partial.map_or(Duration::MAX, |since| since.saturating_add(self.limits.patience));
        silence.min(partial)
    }

    /// Says that bytes of a packet are there and its end is not.
    pub const fn waits_for_rest(&mut self, now: Duration) {
        if self.partial.is_none() {
            self.partial = Some(now);
        }
    }

    /// Takes one whole packet. `gate` is asked for a CONNECT only.
    pub fn receive(&mut self, head: Head, body: &[u8], now: Duration, gate: impl FnOnce() -> Gate) -> Step {
        self.heard = now;
        self.partial = None;
        match &self.state {
            State::Closed => Step::default(),
            State::Waiting => match Inbound::parse_connect(head, body) {
                Ok(hello) => self.connect(&hello, gate),
                Err(refused) => self.refuse_connect(refused),
            },
            State::Open { version, .. } => {
                let version = *version;
                match Inbound::parse(version, head, body) {
                    Ok(packet) => self.packet(version, packet),
                    Err(fault) => self.fail(fault),
                }
            }
        }
    }

    /// Ends the session because of bytes that are no packet.
    pub fn fail(&mut self, fault: Fault) -> Step {
        // [MQTT-3.1.4-1]: what cannot be a CONNECT is not answered.
        let send = self.say_goodbye(disconnect_code(fault), fault.word());
        self.close(send, Close::Fault(fault))
    }

    /// Takes the result of a frame: the acknowledgement goes out only now.
    pub fn taken(&mut self, id: Option<u16>, result: Result<Vec<u8>, Refusal>) -> Step {
        let State::Open { version, wants_reasons, packet_bytes_max, .. } = self.state else {
            return Step::default();
        };
        match result {
            Ok(reply) => {
                let mut send = id.map_or_else(Vec::new, |id| emit::acknowledge(version, id));
                send.extend(self.reply(reply));
                Step { send, ..Step::default() }
            }
            Err(refusal) => match (version, id) {
                (Version::V5, Some(id)) => {
                    let text = if wants_reasons {
                        format!("{}: {}", refusal.code, refusal.message)
                    } else {
                        String::new()
                    };
                    let send = emit::refuse_publish(id, packet_bytes_max, puback_code(&refusal), &text);
                    Step { send, ..Step::default() }
                }
                // Nobody waits for an answer.
                (Version::V5, None) => Step::default(),
                (Version::V3, _) => self.close(Vec::new(), Close::FrameRefused),
            },
        }
    }

    /// Packs a reply frame for the topic that the client subscribed to; empty if it did not, or takes no such packet.
    pub fn reply(&mut self, frame: Vec<u8>) -> Vec<u8> {
        let State::Open { version, packet_bytes_max, down: Some(down), .. } = self.state else {
            return Vec::new();
        };
        let topic = match down {
            Down::Short => "v1/down".to_owned(),
            Down::Named => format!("v1/{}/down", self.vehicle),
        };
        let packet = emit::publish(version, &topic, frame);
        // [MQTT-3.1.2-24], [MQTT-3.1.2-25].
        if packet.len() > packet_bytes_max {
            self.unsent += 1;
            return Vec::new();
        }
        packet
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Duration) -> Step {
        if now < self.deadline() {
            return Step::default();
        }
        match self.state {
            State::Waiting => self.close(Vec::new(), Close::Slow("connect.slow")),
            State::Open { .. } if self.partial.is_some_and(|since| now >= since + self.limits.patience) => {
                let send = self.say_goodbye(0x80, "the packet did not end");
                self.close(send, Close::Slow("packet.slow"))
            }
            State::Open { .. } => {
                let send = self.say_goodbye(0x8d, "");
                self.close(send, Close::Slow("session.silent"))
            }
            State::Closed => Step::default(),
        }
    }

    /// Ends the session because its certificate has a newer one [MQTT-3.1.4-3].
    pub fn take_over(&mut self) -> Step {
        let send = self.say_goodbye(0x8e, "the certificate has a newer session");
        self.close(send, Close::TakenOver)
    }

    /// Ends the session because its vehicle is not let in any more; `word` says why, for the counters.
    pub fn deny(&mut self, word: &'static str) -> Step {
        let send = self.say_goodbye(0x87, word);
        self.close(send, Close::Refused(word))
    }

    /// Ends the session because the server stops.
    pub fn stop(&mut self) -> Step {
        let send = self.say_goodbye(0x8b, "");
        self.close(send, Close::Stopping)
    }

    fn say_goodbye(&self, code: u8, text: &str) -> Vec<u8> {
        match self.state {
            State::Open { version, packet_bytes_max, .. } => {
                emit::disconnect(version, packet_bytes_max, code, text)
            }
            State::Waiting | State::Closed => Vec::new(),
        }
    }

    fn close(&mut self, send: Vec<u8>, close: Close) -> Step {
        self.state = State::Closed;
        self.partial = None;
        Step { send, take: None, close: Some(close) }
    }

    fn refuse_connect(&mut self, Refused { fault, version, packet_bytes_max }: Refused) -> Step {
        // In 3.1.1 a CONNECT that breaks a rule is not answered; neither is what is no CONNECT.
        let is_mute = version == Version::V3 && matches!(fault, Fault::Malformed | Fault::Protocol);
        let send = if is_mute {
            Vec::new()
        } else {
            emit::refuse(version, packet_bytes_max, fault.code(), fault.word())
        };
        self.close(send, Close::Fault(fault))
    }

    fn connect(&mut self, hello: &Hello, gate: impl FnOnce() -> Gate) -> Step {
        let Hello { version, packet_bytes_max, .. } = *hello;
        let name = self.vehicle.to_string();
        let is_another = !hello.client_id.is_empty() && hello.client_id != name;
        // [MQTT-3.1.3-8 of 3.1.1]: no name and yet a session to be kept.
        if is_another || (hello.client_id.is_empty() && version == Version::V3 && hello.wants_session) {
            return self.refuse_connect(Refused { fault: Fault::ClientId, version, packet_bytes_max });
        }
        let refused = match gate() {
            Gate::Open => None,
            Gate::NotAuthorized => {
                Some((0x87, "connect.not_authorized", "the vehicle may not connect".to_owned()))
            }
            Gate::Full(seconds) => Some((0x97, "connect.full", format!("retry after {seconds} s"))),
            Gate::Stopping => Some((0x88, "connect.stopping", "retry after 5 s".to_owned())),
        };
        if let Some((code, word, text)) = refused {
            return self.close(emit::refuse(version, packet_bytes_max, code, &text), Close::Refused(word));
        }
        let (keep_alive_s, is_ours) = match hello.keep_alive_s {
            0 => (KEEP_ALIVE_S_MAX, true),
            seconds => (seconds.min(KEEP_ALIVE_S_MAX), seconds > KEEP_ALIVE_S_MAX),
        };
        let welcome = Welcome {
            receive_max: RECEIVE_MAX,
            keep_alive_s: is_ours.then_some(keep_alive_s),
            client_id: hello.client_id.is_empty().then_some(name),
        };
        // [MQTT-3.1.2-24]: who takes this CONNACK takes every other packet of ours that cannot be shortened.
        let Some(send) = emit::welcome(hello, &welcome) else {
            return self.close(Vec::new(), Close::Refused("connect.packet_bytes"));
        };
        self.state = State::Open {
            version,
            keep_alive: Duration::from_secs(u64::from(keep_alive_s)),
            packet_bytes_max,
            wants_reasons: hello.wants_reasons,
            wants_session: hello.wants_session,
            down: None,
        };
        Step { send, ..Step::default() }
    }

    fn packet(&mut self, version: Version, packet: Inbound) -> Step {
        match packet {
            Inbound::Connect(_) => self.fail(Fault::Protocol),
            Inbound::Publish(message) => self.publish(version, message),
            Inbound::Subscribe { id, filters } => self.subscribe(version, id, &filters),
            Inbound::Unsubscribe { id, filters } => self.unsubscribe(version, id, &filters),
            Inbound::Ping => Step { send: emit::PINGRESP.to_vec(), ..Step::default() },
            Inbound::Disconnect { session_expiry_s } => self.disconnect(session_expiry_s),
        }
    }

    fn disconnect(&mut self, session_expiry_s: u32) -> Step {
        // 3.14.2.2.2: who asked for no session cannot ask for one when it leaves.
        if session_expiry_s > 0 && matches!(self.state, State::Open { wants_session: false, .. }) {
            return self.fail(Fault::Protocol);
        }
        self.close(Vec::new(), Close::Client)
    }

    fn publish(&mut self, version: Version, message: Message) -> Step {
        let named = format!("v1/{}/up", self.vehicle);
        if message.topic == "v1/up" || message.topic == named {
            return Step { take: Some(Take { id: message.id, frame: message.payload }), ..Step::default() };
        }
        match (version, message.id) {
            (Version::V5, Some(id)) => {
                let State::Open { packet_bytes_max, wants_reasons, .. } = self.state else {
                    return Step::default();
                };
                let text = if wants_reasons { "publish to v1/up" } else { "" };
                let code = PubackReasonCode::NotAuthorized;
                Step { send: emit::refuse_publish(id, packet_bytes_max, code, text), ..Step::default() }
            }
            (Version::V5, None) => Step::default(),
            // [MQTT-3.3.5-2] of 3.1.1: acknowledge or close; nothing is acknowledged that was not kept.
            (Version::V3, _) => self.close(Vec::new(), Close::FrameRefused),
        }
    }

    fn down_of(&self, filter: &str) -> Option<Down> {
        if filter == "v1/down" {
            return Some(Down::Short);
        }
        (filter == format!("v1/{}/down", self.vehicle)).then_some(Down::Named)
    }

    fn subscribe(&mut self, version: Version, id: u16, filters: &[String]) -> Step {
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let wanted = self.down_of(filter);
            codes.push(match wanted {
                // The connection is reliable, and no session outlives it: QoS 1 would add nothing.
                Some(_) => SubackReasonCode::GrantedQos0,
                None if filter.starts_with("$share/") => SubackReasonCode::SharedSubscriptionsNotSupported,
                None if filter.contains(['+', '#']) => SubackReasonCode::WildcardSubscriptionsNotSupported,
                None => SubackReasonCode::NotAuthorized,
            });
            if let (Some(_), State::Open { down, .. }) = (wanted, &mut self.state) {
                *down = wanted;
            }
        }
        Step { send: emit::suback(version, id, codes), ..Step::default() }
    }

    fn unsubscribe(&mut self, version: Version, id: u16, filters: &[String]) -> Step {
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let named = self.down_of(filter);
            let had = match &mut self.state {
                State::Open { down, .. } if named.is_some() && *down == named => {
                    *down = None;
                    true
                }
                State::Open { .. } | State::Waiting | State::Closed => false,
            };
            codes.push(if had {
                UnsubackReasonCode::Success
            } else {
                UnsubackReasonCode::NoSubscriptionExisted
            });
        }
        Step { send: emit::unsuback(version, id, codes), ..Step::default() }
    }
}

/// Reason code of a DISCONNECT: its list lacks two that a CONNACK has.
const fn disconnect_code(fault: Fault) -> u8 {
    match fault {
        Fault::Version | Fault::ClientId | Fault::Authentication => Fault::Protocol.code(),
        Fault::Malformed
        | Fault::Protocol
        | Fault::TopicAlias
        | Fault::TooLarge
        | Fault::Retain
        | Fault::Qos
        | Fault::SubscriptionId
        | Fault::Will => fault.code(),
    }
}

/// Reason code of a PUBACK for a refusal, by its status.
const fn puback_code(refusal: &Refusal) -> PubackReasonCode {
    match refusal.status {
        401 | 403 => PubackReasonCode::NotAuthorized,
        429 => PubackReasonCode::QuotaExceeded,
        400 | 413 | 422 => PubackReasonCode::PayloadFormatInvalid,
        404 | 409 => PubackReasonCode::ImplementationSpecificError,
        _ => PubackReasonCode::UnspecifiedError,
    }
}
