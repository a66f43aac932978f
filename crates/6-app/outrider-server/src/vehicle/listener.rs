//! TLS and HTTP/1.1 around [`Exchange`]: mutual authentication, caps, time limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use outrider_types::VehicleId;
use outrider_wire::limits::FRAME_BYTES_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::ca::vehicle_of;
use super::evidence::EVIDENCE_BYTES_MAX;
use super::exchange::{Exchange, Refusal};

/// How the listener treats its peers.
#[derive(Debug, Clone, Copy)]
pub struct ListenerConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections at the same time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Time for the TLS handshake, for the head of a request, and for its body.
    pub patience: Duration,
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
        }
    }
}

/// Listener for vehicles.
pub struct Listener {
    socket: TcpListener,
    tls: TlsAcceptor,
    exchange: Arc<Exchange>,
    config: ListenerConfig,
}

/// A listener that runs; stops when told, after its connections have ended.
pub struct RunningListener {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Binds the socket.
    ///
    /// # Errors
    /// What the system says, for example that the port is taken.
    pub async fn bind(
        config: ListenerConfig,
        tls: Arc<rustls::ServerConfig>,
        exchange: Arc<Exchange>,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.address).await?;
        Ok(Self { socket, tls: TlsAcceptor::from(tls), exchange, config })
    }

    /// Starts to accept.
    ///
    /// # Errors
    /// The socket has no address any more.
    #[expect(clippy::disallowed_methods, reason = "the handle is kept and joined by RunningListener::stop")]
    pub fn start(self) -> std::io::Result<RunningListener> {
        let address = self.socket.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(self.accept(stopped));
        Ok(RunningListener { address, stop, task })
    }

    async fn accept(self, mut stopped: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.config.connections_max));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let socket = tokio::select! {
                biased;
                _ = stopped.changed() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                socket = self.socket.accept() => socket,
            };
            // A failed accept (too many open files) is over when a connection ends.
            let Ok((socket, _)) = socket else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (tls, exchange, patience) =
                (self.tls.clone(), Arc::clone(&self.exchange), self.config.patience);
            let stopped = stopped.clone();
            connections.spawn(async move {
                serve(socket, tls, exchange, patience, stopped).await;
                drop(place);
            });
        }
        while connections.join_next().await.is_some() {}
    }
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

async fn serve(
    socket: TcpStream,
    tls: TlsAcceptor,
    exchange: Arc<Exchange>,
    patience: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = socket.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(socket)).await else {
        tracing::debug!("tls handshake failed");
        return;
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let Some(vehicle) = certificates.and_then(|chain| chain.first()).and_then(vehicle_of) else {
        tracing::warn!("client certificate names no vehicle");
        return;
    };
    let service = service_fn(move |request| {
        let exchange = Arc::clone(&exchange);
        async move { Ok::<_, Infallible>(answer(&exchange, vehicle, request, patience).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => report(result),
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            report(connection.await);
        }
    }
}

fn report(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "vehicle connection ended");
    }
}

async fn answer(
    exchange: &Arc<Exchange>,
    vehicle: VehicleId,
    request: Request<Incoming>,
    patience: Duration,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/v1/livez") => Response::new(Full::new(Bytes::from_static(b"ok"))),
        (&Method::POST, "/v1/uplink") => match body(request, FRAME_BYTES_MAX, patience).await {
            Ok(frame) => respond(exchange.take(vehicle, frame).await),
            Err(refusal) => {
                exchange.refuse(&refusal);
                respond(Err(refusal))
            }
        },
        (&Method::PUT, path) if path.starts_with("/v1/evidence/") => {
            let command = path.trim_start_matches("/v1/evidence/").to_owned();
            let header = |name: &str| {
                request
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned()
            };
            let (sha256, media_type) = (header("x-sha256"), header("content-type"));
            let _place = exchange.upload_place().await;
            // A capture of 32 MiB takes longer than a batch.
            let result = match body(request, EVIDENCE_BYTES_MAX, patience * 12).await {
                Ok(content) => exchange.evidence(vehicle, &command, &sha256, &media_type, content).await,
                Err(refusal) => Err(refusal),
            };
            exchange.count_upload(&result);
            respond(result.map(|()| Vec::new()))
        }
        _ => respond(Err(Refusal { status: 404, code: "not_found", message: "no such resource".to_owned() })),
    }
}

async fn body(request: Request<Incoming>, limit: usize, patience: Duration) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(patience, Limited::new(request.into_body(), limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal { status: 413, code: "body.too_large", message: format!("more than {limit} bytes") })
        }
        Ok(Err(error)) => Err(Refusal { status: 400, code: "body.broken", message: error.to_string() }),
        Err(_) => {
            Err(Refusal { status: 408, code: "body.slow", message: "the body came too slowly".to_owned() })
        }
    }
}

fn respond(result: Result<Vec<u8>, Refusal>) -> Response<Full<Bytes>> {
    let (status, kind, body) = match result {
        Ok(reply) => (StatusCode::OK, "application/octet-stream", reply),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let text = serde_json::json!({"code": refusal.code, "message": refusal.message}).to_string();
            (status, "application/json", text.into_bytes())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}
