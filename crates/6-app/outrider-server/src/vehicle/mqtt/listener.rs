//! The MQTT listener: sockets, TLS with tickets, and what its connections share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::connection::Connection;
use super::pool::Pool;
use crate::vehicle::accept::{Arrival, Door, ListenerConfig, RunningListener};
use crate::vehicle::exchange::Exchange;

/// Options of the MQTT listener.
#[derive(Debug, Clone, Copy)]
pub struct MqttConfig {
    /// Socket, connections, time limits.
    pub listener: ListenerConfig,
    /// Sessions at the same time; a further vehicle is told when to come again. Fewer than the connections, so that
    /// there is somebody to tell it.
    pub sessions_max: usize,
}

impl MqttConfig {
    /// Loopback, any free port; 20,000 sessions of at most 12 KiB are 240 MB.
    #[must_use]
    pub fn loopback() -> Self {
        let listener = ListenerConfig { connections_max: 21_000, ..ListenerConfig::loopback() };
        Self { listener, sessions_max: 20_000 }
    }
}

/// What the connections of a listener share.
pub(super) struct Shared {
    pub(super) exchange: Arc<Exchange>,
    pub(super) pool: Pool,
    pub(super) patience: Duration,
    pub(super) sessions_max: usize,
}

/// Listener for vehicles that speak MQTT.
pub struct MqttListener {
    door: Door,
    shared: Arc<Shared>,
}

/// Makes the listener's TLS configuration of the one that vehicles over HTTPS use: the same certificates and the same
/// verifier, another protocol name, and tickets.
///
/// Tickets are stateless: a million vehicles that may resume cost the server nothing. They are encrypted under keys
/// that live in memory and change every six hours, so that a ticket lasts twelve hours at most. One ticket a
/// connection is enough and half the bytes of the usual two.
///
/// # Errors
/// The provider has no source of randomness.
pub fn tls_config(base: &rustls::ServerConfig) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let mut config = base.clone();
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

impl MqttListener {
    /// Binds the socket. `tls` comes from [`tls_config`].
    ///
    /// # Errors
    /// What the system says, for example that the port is taken.
    pub async fn bind(
        config: MqttConfig,
        tls: Arc<rustls::ServerConfig>,
        exchange: Arc<Exchange>,
    ) -> std::io::Result<Self> {
        let shared = Shared {
            exchange: Arc::clone(&exchange),
            pool: Pool::default(),
            patience: config.listener.patience,
            sessions_max: config.sessions_max,
        };
        Ok(Self { door: Door::bind(config.listener, tls, exchange).await?, shared: Arc::new(shared) })
    }

    /// Starts to accept.
    ///
    /// # Errors
    /// The socket has no address any more.
    pub fn start(self) -> std::io::Result<RunningListener> {
        let shared = self.shared;
        self.door.start(move |door, arrival, stopped| serve(door, arrival, stopped, Arc::clone(&shared)))
    }
}

async fn serve(door: Arc<Door>, arrival: Arrival, stopped: watch::Receiver<bool>, shared: Arc<Shared>) {
    let (socket, address, _place) = arrival.split();
    let Some((stream, admitted)) = Box::pin(door.handshake(socket)).await else { return };
    drop(door);
    let links = Arc::clone(shared.exchange.links());
    let close = Connection::new(stream, admitted, address, shared, stopped).run().await;
    if let Some(word) = close.word() {
        links.count_refusal(word);
        tracing::debug!(error.code = word, "mqtt session ended");
    }
}
