//! TLS of the vehicle's links: whom it trusts, what it shows, and what it does with a wrong clock.

use std::sync::Arc;
use std::time::Duration;

use outrider_types::UnixMicros;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::https::LinkError;
use crate::identity::{Belief, Validity, belief};

/// Reads what a certificate (DER) says of time.
#[must_use]
pub fn validity(der: &[u8]) -> Option<Validity> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    let micros = |seconds: i64| UnixMicros(seconds.saturating_mul(1_000_000));
    let validity = parsed.validity();
    Some(Validity {
        not_before: micros(validity.not_before.timestamp()),
        not_after: micros(validity.not_after.timestamp()),
    })
}

/// Returns the configuration of a link: TLS 1.3, the roots of a PEM text, and a client certificate with its key, where
/// there is one.
///
/// # Errors
/// [`LinkError`] if a certificate or key cannot be read.
pub fn client_config(
    roots: &[u8],
    identity: Option<(&[u8], &[u8])>,
    provider: CryptoProvider,
) -> Result<ClientConfig, LinkError> {
    fn bad<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> LinkError {
        move |error| LinkError { what, reason: error.to_string() }
    }
    let provider = Arc::new(provider);
    let mut trusted = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots) {
        trusted.add(root.map_err(bad("ca"))?).map_err(bad("ca"))?;
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(trusted), provider.clone());
    let inner = inner.build().map_err(bad("ca"))?;
    let chain: Option<Result<Vec<_>, _>> =
        identity.map(|(certificate, _)| CertificateDer::pem_slice_iter(certificate).collect());
    let chain = chain.transpose().map_err(bad("certificate"))?;
    let own = chain.as_ref().and_then(|chain| chain.first()).and_then(|own| validity(own));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(bad("tls"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Patient { inner, own }));
    match (chain, identity) {
        (Some(chain), Some((_, key))) => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(bad("key"))?;
            builder.with_client_auth_cert(chain, key).map_err(bad("key"))
        }
        (None, _) | (_, None) => Ok(builder.with_no_client_auth()),
    }
}

/// Checks the cloud's certificate as usual; only where the clock is not believed, its validity is judged against all
/// times that are possible.
#[derive(Debug)]
struct Patient {
    inner: Arc<WebPkiServerVerifier>,
    own: Option<Validity>,
}

impl ServerCertVerifier for Patient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        let is_of_time = matches!(
            judged,
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            ))
        );
        let wall = UnixMicros(i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        if !is_of_time || belief(wall, self.own) == Belief::Believed {
            return judged;
        }
        let moment = validity(end_entity).and_then(|theirs| Validity::moment_for(self.own, wall, theirs));
        let seconds = moment.and_then(|at| u64::try_from(at.0 / 1_000_000).ok());
        let Some(seconds) = seconds else { return judged };
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// TLS for `ureq`, with our own configuration: its own has no way to judge certificates otherwise.
#[derive(Debug)]
pub struct TlsConnector(pub Arc<ClientConfig>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'));
        let name = name.map_err(|_| ureq::Error::Tls("the address has no host"))?.to_owned();
        let mut connection = ClientConnection::new(self.0.clone(), name)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let stream = StreamOwned { conn: connection, sock: socket };
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers: LazyBuffers::new(input, output), stream })))
    }
}

/// A TLS connection of `ureq`.
pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTransport(..)")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        use std::io::Write as _;
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        use std::io::Read as _;
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Returns an HTTPS client over a configuration: no redirects, no proxy, every status is an answer.
#[must_use]
pub fn https_agent(config: ClientConfig, patience: Duration) -> ureq::Agent {
    use ureq::unversioned::resolver::DefaultResolver;
    use ureq::unversioned::transport::TcpConnector;
    let options = ureq::Agent::config_builder()
        .https_only(true)
        .max_redirects(0)
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .build();
    let connector = ().chain(TcpConnector::default()).chain(TlsConnector(Arc::new(config)));
    ureq::Agent::with_parts(options, connector, DefaultResolver::default())
}
