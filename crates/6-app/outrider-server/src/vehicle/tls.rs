//! TLS of the vehicles' listeners: who is trusted and who we are, both replaceable while sessions run.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use outrider_types::Clock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::ca::{CaError, VehicleCa};

/// Whose client certificates a listener takes.
#[derive(Debug, Clone, Default)]
pub struct ClientPolicy {
    /// Further CAs beside the installation's own, PEM: those of an external fleet CA, or of factories.
    pub further: Vec<String>,
    /// A client may come without a certificate; what it may do then is for the listener to say.
    pub is_optional: bool,
    /// For so long after its end a certificate still opens a session.
    pub grace: Duration,
}

/// TLS of one listener.
#[derive(Debug)]
pub struct ListenerTls {
    provider: Arc<CryptoProvider>,
    time: Arc<WallTime>,
    addresses: Vec<IpAddr>,
    policy: ClientPolicy,
    clients: Arc<Clients>,
    identity: Arc<Identity>,
}

impl ListenerTls {
    /// Trusts all roots of the CA and gets a certificate from it.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn new(
        ca: &VehicleCa,
        policy: ClientPolicy,
        addresses: Vec<IpAddr>,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CaError> {
        let clients = clients(ca, &policy, &provider)?;
        let schemes = clients.supported_verify_schemes();
        let clients = Clients { inner: RwLock::new(clients), schemes, policy: policy.clone() };
        let identity = Identity(RwLock::new(identity(ca, &addresses, &provider)?));
        let (clients, identity) = (Arc::new(clients), Arc::new(identity));
        Ok(Self { provider, time: Arc::new(WallTime(clock)), addresses, policy, clients, identity })
    }

    /// Takes up the CA's roots and gets a fresh certificate; new connections use both.
    ///
    /// # Errors
    /// [`CaError`]; what was there stays.
    pub fn refresh(&self, ca: &VehicleCa) -> Result<(), CaError> {
        let clients = clients(ca, &self.policy, &self.provider)?;
        let identity = identity(ca, &self.addresses, &self.provider)?;
        *self.clients.inner.write().unwrap_or_else(PoisonError::into_inner) = clients;
        *self.identity.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
        Ok(())
    }

    /// Returns the configuration for a protocol; it follows [`Self::refresh`].
    ///
    /// # Errors
    /// [`CaError::Unusable`] if the provider has no TLS 1.3.
    pub fn config(&self, alpn: &[&[u8]]) -> Result<Arc<rustls::ServerConfig>, CaError> {
        let mut config = rustls::ServerConfig::builder_with_details(self.provider.clone(), self.time.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| CaError::Unusable { what: "TLS", reason: error.to_string() })?
            .with_client_cert_verifier(self.clients.clone())
            .with_cert_resolver(self.identity.clone());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// Time of the server's clock, for TLS.
struct WallTime(Arc<dyn Clock>);

impl std::fmt::Debug for WallTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WallTime")
    }
}

impl rustls::time_provider::TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}

/// Our certificate.
#[derive(Debug)]
struct Identity(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn identity(
    ca: &VehicleCa,
    addresses: &[IpAddr],
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, CaError> {
    let unusable = |what| move |reason: String| CaError::Unusable { what, reason };
    let files = ca.issue_listener(addresses)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(files.certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| unusable("certificate")(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes())
        .map_err(|error| unusable("private key")(error.to_string()))?;
    let certified = CertifiedKey::from_der(chain, key, provider);
    certified.map(Arc::new).map_err(|error| unusable("private key")(error.to_string()))
}

/// Checks client certificates against roots that may change.
#[derive(Debug)]
struct Clients {
    inner: RwLock<Arc<dyn ClientCertVerifier>>,
    schemes: Vec<SignatureScheme>,
    policy: ClientPolicy,
}

fn clients(
    ca: &VehicleCa,
    policy: &ClientPolicy,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CaError> {
    let unusable = |what| move |reason: String| CaError::Unusable { what, reason };
    let mut roots = rustls::RootCertStore::empty();
    for pem in ca.roots().iter().chain(&policy.further) {
        for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let der = der.map_err(|error| unusable("client CA")(error.to_string()))?;
            roots.add(der).map_err(|error| unusable("client CA")(error.to_string()))?;
        }
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if policy.is_optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| unusable("client verifier")(error.to_string()))
}

impl Clients {
    fn inner(&self) -> Arc<dyn ClientCertVerifier> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        !self.policy.is_optional
    }

    /// No hints: they would grow with every generation, and a vehicle has one certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let inner = self.inner();
        let refusal = match inner.verify_client_cert(end_entity, intermediates, now) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusal,
        };
        let is_expired = matches!(
            refusal,
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            )
        );
        let end = x509_parser::parse_x509_certificate(end_entity).ok();
        let end = end.and_then(|(_, parsed)| u64::try_from(parsed.validity().not_after.timestamp()).ok());
        match end {
            // Everything else about it is judged as of its last second.
            Some(end) if is_expired && now.as_secs().saturating_sub(end) <= self.policy.grace.as_secs() => {
                let at = UnixTime::since_unix_epoch(Duration::from_secs(end.min(now.as_secs())));
                inner.verify_client_cert(end_entity, intermediates, at)
            }
            Some(_) | None => Err(refusal),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
