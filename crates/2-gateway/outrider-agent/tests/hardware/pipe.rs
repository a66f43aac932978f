//! What keys are for, in memory: a TLS handshake with a client certificate, and a signed frame.

use std::sync::Arc;

use outrider_agent::keystore::{DeviceKey, TlsKey, WireSigner, provider_with};
use outrider_gateway::{EcdsaP256Verifier, Ed25519Signer, Ed25519Verifier};
use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::{DictId, Envelope, EnvelopeHeader, FrameError, SealedEnvelope};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// A public key without its private half.
struct Public(Vec<u8>);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// Shakes hands by TLS 1.3 with mutual authentication, the client's key being `key`.
pub(crate) fn shakes_hands(key: Arc<dyn DeviceKey>) {
    let params = |name: &str| CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let mut ca = params("ca");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("random")).expect("it signs");
    let server_key = KeyPair::generate().expect("random");
    let server = params("localhost").signed_by(&server_key, &ca).expect("it signs");
    let public = Public(key.public_point().to_vec());
    let client = params("vehicle").signed_by(&public, &ca).expect("it signs");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der().to_vec())).expect("a certificate");
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
        .build()
        .expect("roots");
    let server_config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der())),
        )
        .expect("a key");
    // The key that rustls is told to load stands for the one of the provider.
    let stand_in = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(vec![0x30, 0]));
    let client_config = ClientConfig::builder_with_provider(Arc::new(provider_with(TlsKey::new(key))))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![client.der().clone()], stand_in)
        .expect("certificate and key belong together");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(client_config), name).expect("a configuration");
    let mut server = ServerConnection::new(Arc::new(server_config)).expect("a configuration");
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        server.read_tls(&mut wire.as_slice()).expect("memory");
        server.process_new_packets().expect("the server takes the certificate");
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        client.read_tls(&mut wire.as_slice()).expect("memory");
        client.process_new_packets().expect("the client takes the server");
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(server.peer_certificates().map(<[_]>::len), Some(1));
}

/// Signs a frame with the key, and reads it with keys of both suites.
pub(crate) fn frames_are_signed(signer: &WireSigner) {
    let header = EnvelopeHeader {
        dict: DictId::STORED,
        catalogue_id: 1,
        tenant: TenantId(1),
        vehicle: VehicleId([1; 16]),
        epoch: BootEpoch(1),
        batch_number: 1,
        raw_bytes: 4,
    };
    let envelope = Envelope { header, payload: b"rows" };
    let mut frame = vec![0; Envelope::frame_bytes(4)];
    assert_eq!(envelope.emit(signer, &mut frame), Ok(frame.len()));
    assert_eq!(frame.get(6..8), Some(&[2, 0][..]));
    let key = EcdsaP256Verifier::new(&signer.0.public_point()).expect("a point");
    let open = |frame: &[u8]| SealedEnvelope::parse(frame).expect("whole").open(&key).map(|_| ());
    assert_eq!(open(&frame), Ok(()));
    let other = Ed25519Verifier::new(&Ed25519Signer::new(&[1; 32]).public_key()).expect("a point");
    let read = SealedEnvelope::parse(&frame).expect("whole").open(&other).map(|_| ());
    assert_eq!(read, Err(FrameError::Suite { expected: 1, got: 2 }));
    // The suite is signed: a frame that claims the other one is not this one.
    let last = frame.len() - 1;
    frame[last] ^= 1;
    assert_eq!(open(&frame), Err(FrameError::Signature));
}
