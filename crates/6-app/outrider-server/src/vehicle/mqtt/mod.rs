//! MQTT 5 and 3.1.1 for vehicles: publish only, over TLS 1.3 with client certificates.
//!
//! **In:** frames on `v1/up`. **Out:** PUBACK when a frame is durable, reply frames on `v1/down`. **Never:** a session
//! that outlives its connection, a message from one client to another, an acknowledgement before the event log has the
//! frame (LOG-2), a read buffer for a connection that is silent.
//!
//! `fields` and `packet` read what clients send, `emit` writes with the codec crate, `session` is the state machine,
//! `listener` the sockets.

mod connection;
mod emit;
mod fields;
mod listener;
mod packet;
mod pool;
mod session;

pub use listener::{MqttConfig, MqttListener, tls_config};
pub use packet::{
    CONTROL_BYTES_MAX, Fault, Head, Hello, Inbound, Message, PACKET_BYTES_MAX, PROPERTIES_BYTES_MAX, Refused,
    TOPIC_BYTES_MAX, Version,
};
pub use session::{Close, Gate, KEEP_ALIVE_S_MAX, RECEIVE_MAX, Session, SessionLimits, Step, Take};
