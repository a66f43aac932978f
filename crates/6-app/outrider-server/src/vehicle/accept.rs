//! What both listeners of vehicles share: accepting, admission, the TLS handshake, the certificate's vehicle.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::{HandshakeGate, HandshakeLimits};
use super::directory::{Admitted, names};
use super::exchange::Exchange;

/// How a listener treats its peers.
#[derive(Debug, Clone, Copy)]
pub struct ListenerConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections at the same time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Time for the TLS handshake, for the head of a request, and for its body.
    pub patience: Duration,
    /// Bounds of the handshakes.
    pub handshakes: HandshakeLimits,
}

impl ListenerConfig {
    /// Loopback, any free port. 4,096 connections cost about 50 MB of TLS state; ten seconds are enough for a batch
    /// of one mebibyte at 1 Mbit/s.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections_max: 4096,
            patience: Duration::from_secs(10),
            handshakes: HandshakeLimits::default(),
        }
    }
}

/// A listener that runs; stops when told, after its connections have ended.
pub struct RunningListener {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl RunningListener {
    /// Stops accepting, lets running requests end, and returns when all connections are closed.
    pub async fn stop(self) {
        // Nobody listens any more only if the task has ended by itself.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "vehicle listener ended badly");
        }
    }
}

/// A socket, and who may come through it.
pub(super) struct Door {
    socket: TcpListener,
    tls: TlsAcceptor,
    pub(super) exchange: Arc<Exchange>,
    pub(super) config: ListenerConfig,
    gate: Mutex<HandshakeGate>,
}

/// A connection before its handshake, with its place among the connections.
pub(super) struct Arrival {
    socket: TcpStream,
    pub(super) address: IpAddr,
    pub(super) place: OwnedSemaphorePermit,
}

/// Ends a handshake in the gate, also when its task was dropped.
struct Underway<'a>(&'a Door);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.gate().end();
    }
}

impl Door {
    /// Binds the socket.
    ///
    /// # Errors
    /// What the system says, for example that the port is taken.
    pub(super) async fn bind(
        config: ListenerConfig,
        tls: Arc<rustls::ServerConfig>,
        exchange: Arc<Exchange>,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.address).await?;
        let gate = Mutex::new(HandshakeGate::new(config.handshakes, exchange.links().now()));
        Ok(Self { socket, tls: TlsAcceptor::from(tls), exchange, config, gate })
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, HandshakeGate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to accept; each connection is served by a task of its own.
    ///
    /// # Errors
    /// The socket has no address any more.
    #[expect(clippy::disallowed_methods, reason = "the handle is kept and joined by RunningListener::stop")]
    pub(super) fn start<F, T>(self, serve: F) -> std::io::Result<RunningListener>
    where
        F: Fn(Arc<Self>, Arrival, watch::Receiver<bool>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let address = self.socket.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(Arc::new(self), stopped, serve));
        Ok(RunningListener { address, stop, task })
    }

    /// Makes the handshake and returns the stream with what the certificate says. Whether its vehicle is let in is for the
    /// listener to ask and to answer in its own protocol.
    pub(super) async fn handshake(&self, socket: TcpStream) -> Option<(TlsStream<TcpStream>, Admitted)> {
        let links = self.exchange.links();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let underway = Underway(self);
        let _ = socket.set_nodelay(true);
        let accepted = tokio::time::timeout(self.config.patience, self.tls.accept(socket)).await;
        drop(underway);
        let Ok(Ok(stream)) = accepted else {
            count(&links.handshakes_failed);
            tracing::debug!("tls handshake failed");
            return None;
        };
        let tls = stream.get_ref().1;
        if tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
            count(&links.handshakes_resumed);
        } else {
            count(&links.handshakes_full);
        }
        let named = tls.peer_certificates().and_then(|chain| chain.first()).and_then(names);
        if named.is_none() {
            links.count_refusal("certificate.unnamed");
            tracing::warn!("client certificate names no vehicle");
        }
        Some((stream, named?))
    }
}

impl Arrival {
    /// Splits the connection into what the handshake needs and what the rest needs.
    pub(super) fn split(self) -> (TcpStream, IpAddr, OwnedSemaphorePermit) {
        (self.socket, self.address, self.place)
    }
}

async fn accept<F, T>(door: Arc<Door>, mut stopped: watch::Receiver<bool>, serve: F)
where
    F: Fn(Arc<Door>, Arrival, watch::Receiver<bool>) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(door.config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        // A connection that ends frees its place, so both are waited for together.
        let place = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let socket = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            socket = door.socket.accept() => socket,
        };
        // A failed accept (too many open files) is over when a connection ends.
        let Ok((socket, peer)) = socket else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Refused before any cryptography: closing costs a few microseconds, a handshake half a millisecond.
        let begun = door.gate().begin(door.exchange.links().now());
        if begun.is_err() {
            door.exchange.links().handshakes_refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let arrival = Arrival { socket, address: peer.ip().to_canonical(), place };
        connections.spawn(serve(Arc::clone(&door), arrival, stopped.clone()));
    }
    drop(door);
    while connections.join_next().await.is_some() {}
}
