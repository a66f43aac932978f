//! TLS 1.3 with a client certificate for MQTT.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use outrider_wire::SHORT_EXPORTER_LABEL;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Dial, PATIENCE, Stream};
use crate::io::https::{LinkError, LinkFiles, STAND_IN};
use crate::keystore::{DeviceKey, TlsKey, provider_with};

/// Time for the TCP connection; the vehicle's loop stands still meanwhile.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Port of MQTT over TLS (IANA, `secure-mqtt`).
const PORT: u16 = 8883;
/// Sessions that can be resumed: there is one server.
const RESUMPTIONS: usize = 4;
/// Shortest wait that the system takes for one.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Opens TLS connections to one server.
pub struct TlsDial {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    host: String,
    port: u16,
    begun: Instant,
}

impl TlsDial {
    /// Creates one for `mqtts://host:port`; nothing is connected yet.
    ///
    /// # Errors
    /// [`LinkError`] if the address, a certificate or the key cannot be read.
    pub fn new(cloud: &str, files: &LinkFiles<'_>) -> Result<Self, LinkError> {
        Self::with_provider(cloud, files, rustls::crypto::ring::default_provider())
    }

    /// Creates one whose client certificate belongs to a key in a TPM, a token or a key file; `files.key` is not used.
    ///
    /// # Errors
    /// [`LinkError`] if the address or a certificate cannot be read.
    pub fn with_device_key(
        cloud: &str,
        files: &LinkFiles<'_>,
        key: Arc<dyn DeviceKey>,
    ) -> Result<Self, LinkError> {
        // The provider knows the key; what rustls is told to load stands for it.
        let files = LinkFiles { key: STAND_IN, ..*files };
        Self::with_provider(cloud, &files, provider_with(TlsKey::new(key)))
    }

    fn with_provider(
        cloud: &str,
        files: &LinkFiles<'_>,
        provider: CryptoProvider,
    ) -> Result<Self, LinkError> {
        fn bad<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> LinkError {
            move |error| LinkError { what, reason: error.to_string() }
        }
        let address = cloud.strip_prefix("mqtts://").unwrap_or(cloud).trim_end_matches('/');
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(bad("cloud"))?),
            None => (address, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(bad("cloud"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(files.ca) {
            roots.add(certificate.map_err(bad("ca"))?).map_err(bad("ca"))?;
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(files.certificate).collect();
        let key = PrivateKeyDer::from_pem_slice(files.key).map_err(bad("key"))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(bad("tls"))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.map_err(bad("certificate"))?, key)
            .map_err(bad("certificate"))?;
        config.alpn_protocols = vec![b"mqtt".to_vec()];
        config.resumption = Resumption::in_memory_sessions(RESUMPTIONS);
        Ok(Self { config: Arc::new(config), name, host, port, begun: instant() })
    }

    fn tcp(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        // Two addresses: one of each family. More would make the loop stand still for longer.
        for address in (self.host.as_str(), self.port).to_socket_addrs()?.take(2) {
            match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[expect(clippy::disallowed_methods, reason = "a link's patience is about real time")]
fn instant() -> Instant {
    Instant::now()
}

impl Dial for TlsDial {
    fn dial(&mut self) -> io::Result<Box<dyn Stream>> {
        let socket = self.tcp()?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let tls =
            ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket);
        let until = self.now().saturating_add(PATIENCE);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
            if self.now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(Box::new(TlsStream { stream }))
    }

    fn now(&self) -> Duration {
        instant().duration_since(self.begun)
    }
}

struct TlsStream {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Stream for TlsStream {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.stream.sock.set_read_timeout(Some(wait.max(WAIT_MIN)))?;
        self.stream.read(into)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn key(&self) -> Option<[u8; 32]> {
        self.stream.conn.export_keying_material([0; 32], SHORT_EXPORTER_LABEL, None).ok()
    }
}
