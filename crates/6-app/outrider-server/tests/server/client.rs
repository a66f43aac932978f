//! Small HTTP/1.1 clients: what goes over the wire stands in the test, not in a library.

use std::net::SocketAddr;
use std::sync::Arc;

use outrider_server::vehicle::TlsFiles;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// Code of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().expect("a refusal has a code").to_owned()
    }

    /// Value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }
}

/// Sends one request and reads to the end of the connection.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    head: &str,
    body: &[u8],
) -> Answer {
    let request =
        format!("{head}Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes()).await.expect("the server takes the head");
    // A server may answer and close before it has read a body that is too long.
    let _ = stream.write_all(body).await;
    let _ = stream.flush().await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let end = text.find("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let head = text[..end].to_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status line");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

/// Browser with a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Browser {
    /// A browser without a session.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address: Some(address), ..Self::default() }
    }

    /// Sends one request.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !self.cookie.is_empty() {
            head.push_str(&format!("Cookie: other=1; {}\r\n", self.cookie));
        }
        if !self.csrf.is_empty() {
            head.push_str(&format!("X-CSRF-Token: {}\r\n", self.csrf));
        }
        if !text.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        let stream = TcpStream::connect(self.address.expect("an address")).await.expect("the server listens");
        exchange(stream, &head, text.as_bytes()).await
    }

    /// Sends a file.
    pub(crate) async fn send_bytes(&self, path: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nCookie: {}\r\nX-CSRF-Token: {}\r\nContent-Type: application/octet-stream\r\n",
            self.cookie, self.csrf
        );
        let stream = TcpStream::connect(self.address.expect("an address")).await.expect("the server listens");
        exchange(stream, &head, body).await
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    /// Acts.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    /// Logs in and keeps cookie and token.
    pub(crate) async fn login(&mut self, user: &str, password: &str) -> Answer {
        let answer =
            self.post("/api/v1/session", serde_json::json!({"user": user, "password": password})).await;
        if answer.status == 200 {
            let cookie = answer.header("set-cookie").expect("a session has a cookie");
            self.cookie = cookie.split(';').next().expect("a cookie has a value").to_owned();
            self.csrf = answer.json()["csrf_token"].as_str().expect("a session has a token").to_owned();
        }
        answer
    }
}

/// Connects as a vehicle with a client certificate.
pub(crate) async fn vehicle_stream(
    address: SocketAddr,
    files: Option<&TlsFiles>,
    ca: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = client_config(files, ca);
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    tokio_rustls::TlsConnector::from(config).connect(name, stream).await
}

/// Connects as a vehicle from another loopback address.
pub(crate) async fn vehicle_stream_from(
    source: [u8; 4],
    address: SocketAddr,
    files: &TlsFiles,
    ca: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    tokio_rustls::TlsConnector::from(client_config(Some(files), ca)).connect(name, stream).await
}

/// TLS configuration of a vehicle.
pub(crate) fn client_config(files: Option<&TlsFiles>, ca: &str) -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate")).expect("a root");
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .with_root_certificates(roots);
    Arc::new(match files {
        Some(files) => {
            let chain =
                vec![CertificateDer::from_pem_slice(files.certificate.as_bytes()).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("they fit")
        }
        None => builder.with_no_client_auth(),
    })
}
