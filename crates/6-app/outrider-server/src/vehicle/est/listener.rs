//! TLS and HTTP/1.1 around [`EnrolmentDesk`]: a listener of its own, since its clients may come without a certificate.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answer::{CSR_ATTRIBUTES, certificates_only};
use super::desk::{EnrolmentDesk, EnrolmentPolicy, EstRefusal, Proof};
use super::request::EST_BODY_BYTES_MAX;
use crate::tasks::Stopped;
use crate::vehicle::ca::Issued;

/// Media types of RFC 7030.
const PKCS7: &str = "application/pkcs7-mime; smime-type=certs-only";
const PKCS7_ANY: &str = "application/pkcs7-mime";
const ATTRIBUTES: &str = "application/csrattrs";
/// Revocation lists, one a generation of the CA (RFC 5280; media type of RFC 2585, 4.2).
const LISTS: &str = "/v1/crl/";
const LIST: &str = "application/pkix-crl";
/// Beginning of every path (RFC 7030, 3.2.2).
const ROOT: &str = "/.well-known/est/";

/// Options of enrolment.
#[derive(Debug, Clone)]
pub struct EstConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Connections at the same time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Time for the TLS handshake, for the head of a request, and for its body.
    pub patience: Duration,
    /// CAs of the factories whose certificates vehicles are born with, PEM.
    pub factories: Vec<String>,
    /// Limits.
    pub policy: EnrolmentPolicy,
}

impl EstConfig {
    /// Loopback, any free port, no factories. 256 connections: a fleet renews over months, and a signature takes less
    /// than a millisecond.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections_max: 256,
            patience: Duration::from_secs(10),
            factories: Vec::new(),
            policy: EnrolmentPolicy::default(),
        }
    }
}

/// Listener for vehicles that enrol.
pub struct EstListener {
    socket: TcpListener,
    tls: TlsAcceptor,
    desk: Arc<EnrolmentDesk>,
    config: EstConfig,
}

impl EstListener {
    /// Binds the socket.
    ///
    /// # Errors
    /// What the system says, for example that the port is taken.
    pub async fn bind(
        config: EstConfig,
        tls: Arc<rustls::ServerConfig>,
        desk: Arc<EnrolmentDesk>,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(config.address).await?;
        Ok(Self { socket, tls: TlsAcceptor::from(tls), desk, config })
    }

    /// Returns where it listens.
    ///
    /// # Errors
    /// The socket has no address any more.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until told to stop.
    pub(crate) async fn serve(self, mut stopped: Stopped) {
        let places = Arc::new(Semaphore::new(self.config.connections_max));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = stopped.wait() => break,
            };
            // A failed accept (too many open files) is over when a connection ends.
            let Ok((socket, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (tls, desk, patience) = (self.tls.clone(), self.desk.clone(), self.config.patience);
            connections.spawn(async move {
                connection(socket, tls, desk, patience).await;
                drop(place);
            });
            while connections.try_join_next().is_some() {}
        }
        connections.shutdown().await;
    }
}

async fn connection(socket: TcpStream, tls: TlsAcceptor, desk: Arc<EnrolmentDesk>, patience: Duration) {
    let _ = socket.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(socket)).await else {
        tracing::debug!("tls handshake failed");
        return;
    };
    let chain = stream.get_ref().1.peer_certificates();
    let client: Option<Arc<CertificateDer<'static>>> =
        chain.and_then(|chain| chain.first()).map(|certificate| Arc::new(certificate.clone().into_owned()));
    let service = service_fn(move |request| {
        let (desk, client) = (desk.clone(), client.clone());
        async move { Ok::<_, Infallible>(answer(&desk, client.as_deref(), request, patience).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    // Enrolment is a few requests; nobody stays.
    if tokio::time::timeout(patience * 6, served).await.is_err() {
        tracing::debug!("enrolment connection ended for slowness");
    }
}

async fn answer(
    desk: &EnrolmentDesk,
    client: Option<&CertificateDer<'static>>,
    request: Request<Incoming>,
    patience: Duration,
) -> Response<Full<Bytes>> {
    let operation = request.uri().path().strip_prefix(ROOT).unwrap_or_default().to_owned();
    let method = request.method().clone();
    if let Some(generation) = request.uri().path().strip_prefix(LISTS) {
        return match (method == Method::GET, generation.parse::<u32>()) {
            (true, Ok(generation)) => match desk.revocation_list(generation).await {
                Ok(der) => good(LIST, der),
                Err(refusal) => refuse(&refusal),
            },
            (false, _) | (_, Err(_)) => refuse(&EstRefusal::new(404, "not_found", "no such resource")),
        };
    }
    match (&method, operation.as_str()) {
        (&Method::GET, "cacerts") => match desk.ca().trust_bundle() {
            Ok(bundle) => good(PKCS7_ANY, certificates_only(&bundle)),
            Err(error) => {
                tracing::error!(%error, "ca certificates not read");
                refuse(&EstRefusal::new(500, "est.ca", "the certificates cannot be read"))
            }
        },
        (&Method::GET, "csrattrs") => {
            good(ATTRIBUTES, base64::engine::general_purpose::STANDARD.encode(CSR_ATTRIBUTES))
        }
        (&Method::POST, "simpleenroll" | "simplereenroll") => {
            let token = token_of(request.headers());
            let proof = match (client, &token) {
                // Who shows a token wants it to be used, also from behind a certificate that is of no use here.
                (_, Some(token)) => Proof::Token(token),
                (Some(certificate), None) => Proof::Certificate(certificate),
                (None, None) => Proof::None,
            };
            let issued = match body(request, patience).await {
                Ok(body) if operation == "simpleenroll" => desk.enrol(proof, &body).await,
                Ok(body) => desk.renew(proof, &body).await,
                Err(refusal) => Err(refusal),
            };
            match issued {
                Ok(Issued { der, .. }) => good(PKCS7, certificates_only(&[der])),
                Err(refusal) => refuse(&refusal),
            }
        }
        (_, "cacerts" | "csrattrs" | "simpleenroll" | "simplereenroll") => {
            refuse(&EstRefusal::new(405, "est.method", "not with this method"))
        }
        (_, "fullcmc" | "serverkeygen") => {
            refuse(&EstRefusal::new(501, "est.not_offered", "this operation is not offered"))
        }
        _ => refuse(&EstRefusal::new(404, "not_found", "no such resource")),
    }
}

/// Returns the password of HTTP Basic (RFC 7617), which is the token; the user name says nothing.
fn token_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || text.len() > 512 {
        return None;
    }
    let pair = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned()).filter(|token| !token.is_empty())
}

async fn body(request: Request<Incoming>, patience: Duration) -> Result<Vec<u8>, EstRefusal> {
    let limited = Limited::new(request.into_body(), EST_BODY_BYTES_MAX).collect();
    match tokio::time::timeout(patience, limited).await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(EstRefusal::new(413, "est.too_long", "the request is too long"))
        }
        Ok(Err(_)) => Err(EstRefusal::new(400, "body.broken", "the body ended early")),
        Err(_) => Err(EstRefusal::new(408, "body.slow", "the body came too slowly")),
    }
}

/// Base64 without the header `Content-Transfer-Encoding`, which RFC 8951, 3.1 has struck off.
fn good(kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refuse(refusal: &EstRefusal) -> Response<Full<Bytes>> {
    let text = serde_json::json!({"code": refusal.code, "message": refusal.message}).to_string();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if refusal.status == 401 {
        let scheme = HeaderValue::from_static("Basic realm=\"outrider enrolment\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}
