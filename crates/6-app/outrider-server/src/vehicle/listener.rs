//! TLS and HTTP/1.1 around [`Exchange`]: mutual authentication, caps, time limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use outrider_wire::limits::FRAME_BYTES_MAX;
use tokio::sync::watch;

use super::accept::{Arrival, Door, ListenerConfig, RunningListener};
use super::directory::{Admitted, Denied};
use super::download::Piece;
use super::evidence::EVIDENCE_BYTES_MAX;
use super::exchange::{Exchange, Refusal};

/// Listener for vehicles that speak HTTPS.
pub struct Listener(Door);

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
        Ok(Self(Door::bind(config, tls, exchange).await?))
    }

    /// Starts to accept.
    ///
    /// # Errors
    /// The socket has no address any more.
    pub fn start(self) -> std::io::Result<RunningListener> {
        self.0.start(serve)
    }
}

async fn serve(door: Arc<Door>, arrival: Arrival, mut stopped: watch::Receiver<bool>) {
    let (socket, _, _place) = arrival.split();
    let (exchange, patience) = (Arc::clone(&door.exchange), door.config.patience);
    let Some((stream, session)) = Box::pin(door.handshake(socket)).await else { return };
    drop(door);
    let directory = exchange.directory().clone();
    // Who is not let in hears why with the first request.
    let admitted = directory.admit(&session, exchange.now()).map(|()| session);
    if let Err(denied) = &admitted {
        tracing::warn!(error.code = denied.code(), "vehicle not let in");
    }
    let mut changes = directory.changes();
    let (session, served) = (admitted.clone(), exchange.clone());
    let service = service_fn(move |request| {
        let (exchange, session) = (Arc::clone(&served), session.clone());
        async move { Ok::<_, Infallible>(answer(&exchange, session, request, patience).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let denied = async {
        let Ok(admitted) = &admitted else { return std::future::pending().await };
        while changes.changed().await.is_ok() {
            if let Err(denied) = directory.still_admits(admitted, exchange.now()) {
                return denied;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        result = connection.as_mut() => report(result),
        denied = denied => {
            tracing::warn!(error.code = denied.code(), vehicle_id = ?admitted.ok().map(|session| session.vehicle), "session ended");
            connection.as_mut().graceful_shutdown();
            report(connection.await);
        }
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
    session: Result<Admitted, Denied>,
    request: Request<Incoming>,
    patience: Duration,
) -> Response<Full<Bytes>> {
    let session = session.and_then(|session| {
        exchange.directory().still_admits(&session, exchange.now())?;
        Ok(session.vehicle)
    });
    let vehicle = match session {
        Ok(vehicle) => vehicle,
        Err(denied) => {
            let refusal = Refusal::denied(denied);
            exchange.refuse(&refusal);
            let mut response = respond(Err(refusal));
            response.headers_mut().insert("connection", hyper::header::HeaderValue::from_static("close"));
            return response;
        }
    };
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/v1/livez") => Response::new(Full::new(Bytes::from_static(b"ok"))),
        (&Method::POST, "/v1/uplink") => match body(request, FRAME_BYTES_MAX, patience).await {
            Ok(frame) => match exchange.admit(vehicle, frame.len()) {
                Ok(()) => respond(exchange.take(vehicle, frame).await),
                Err(refusal) => respond(Err(refusal)),
            },
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
        (&Method::GET, path) if path.starts_with("/v1/artifacts/") => {
            let sha256 = path.trim_start_matches("/v1/artifacts/");
            let range = request.headers().get("range").and_then(|value| value.to_str().ok());
            respond_piece(exchange.artifact(vehicle, sha256, range).await)
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
    if let Some(seconds) = retry_after(status) {
        response.headers_mut().insert("retry-after", hyper::header::HeaderValue::from_static(seconds));
    }
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}

/// Answers a piece, and says where in the whole it lies (RFC 9110, section 14.4).
fn respond_piece(result: Result<Piece, Refusal>) -> Response<Full<Bytes>> {
    let piece = match result {
        Ok(piece) => piece,
        Err(refusal) => return respond(Err(refusal)),
    };
    let last = piece.from.saturating_add(piece.bytes.len() as u64).saturating_sub(1);
    let range = format!("bytes {}-{last}/{}", piece.from, piece.whole);
    let mut response = respond(Ok(piece.bytes));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    if let Ok(range) = hyper::header::HeaderValue::from_str(&range) {
        response.headers_mut().insert("content-range", range);
    }
    response
}

/// Seconds after which another try makes sense: a bucket of a vehicle's rate fills in ten; a disk that is full or gone
/// takes longer to come back.
const fn retry_after(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some("10"),
        StatusCode::SERVICE_UNAVAILABLE => Some("30"),
        _ => None,
    }
}
