//! MQTT clients of the measurements.

use std::net::SocketAddr;
use std::sync::Arc;

use outrider_types::VehicleId;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{BenchError, failed};
use crate::vehicle::ca::{TlsFiles, VehicleCa};
use crate::vehicle::mqtt::Head;

/// What all clients trust.
pub(super) struct Fleet {
    roots: Arc<rustls::RootCertStore>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl Fleet {
    pub(super) fn new(ca: &VehicleCa) -> Result<Self, BenchError> {
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(ca.certificate().as_bytes());
        roots.add(certificate.map_err(failed("CA"))?).map_err(failed("CA"))?;
        Ok(Self { roots: Arc::new(roots), provider: Arc::new(rustls::crypto::ring::default_provider()) })
    }

    /// TLS configuration of one vehicle, with room for one ticket.
    pub(super) fn config(&self, files: &TlsFiles) -> Result<Arc<rustls::ClientConfig>, BenchError> {
        let chain = vec![
            CertificateDer::from_pem_slice(files.certificate.as_bytes()).map_err(failed("certificate"))?,
        ];
        let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes()).map_err(failed("key"))?;
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(failed("TLS"))?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(chain, key)
            .map_err(failed("TLS"))?;
        config.resumption = rustls::client::Resumption::in_memory_sessions(1);
        config.alpn_protocols = vec![b"mqtt".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A connected client.
pub(super) struct Member {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
    /// Whether the handshake was resumed.
    pub(super) is_resumed: bool,
    /// Window that the server announced.
    pub(super) receive_max: u16,
}

impl Member {
    pub(super) async fn connect(
        address: SocketAddr,
        vehicle: VehicleId,
        files: &TlsFiles,
        fleet: &Fleet,
    ) -> Result<Self, BenchError> {
        Self::connect_with(address, vehicle, fleet.config(files)?).await
    }

    /// Connects with MQTT 5 and subscribes to replies, as a vehicle does.
    pub(super) async fn connect_with(
        address: SocketAddr,
        vehicle: VehicleId,
        config: Arc<rustls::ClientConfig>,
    ) -> Result<Self, BenchError> {
        let socket = TcpStream::connect(address).await.map_err(failed("connect"))?;
        socket.set_nodelay(true).map_err(failed("connect"))?;
        let name = ServerName::try_from("localhost").map_err(failed("name"))?;
        let stream =
            TlsConnector::from(config).connect(name, socket).await.map_err(failed("TLS handshake"))?;
        let is_resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let mut member = Self { stream, unread: Vec::new(), is_resumed, receive_max: u16::MAX };
        let mut hello = b"\x10\x2d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x20".to_vec();
        hello.extend(vehicle.to_string().as_bytes());
        member.send(&hello).await?;
        let (first, body) = member.packet().await?;
        if (first, body.get(1)) != (0x20, Some(&0)) {
            return Err(failed("CONNACK")(format!("refused: {body:?}")));
        }
        // Receive Maximum is property 0x21; both servers name it first among those of two bytes.
        if let Some(at) = body.iter().skip(3).position(|byte| *byte == 0x21).map(|at| at + 3)
            && let Some([high, low]) = body.get(at + 1..at + 3)
        {
            member.receive_max = u16::from_be_bytes([*high, *low]);
        }
        member.send(b"\x82\x0d\x00\x01\x00\x00\x07v1/down\x00").await?;
        let (first, _) = member.packet().await?;
        if first != 0x90 {
            return Err(failed("SUBACK")("another packet"));
        }
        Ok(member)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.stream.write_all(bytes).await.map_err(failed("send"))?;
        self.stream.flush().await.map_err(failed("send"))
    }

    /// Reads one packet.
    async fn packet(&mut self) -> Result<(u8, Vec<u8>), BenchError> {
        loop {
            if let Ok(Some(head)) = Head::parse(&self.unread)
                && self.unread.len() >= head.packet_bytes()
            {
                let body = self.unread.drain(..head.packet_bytes()).skip(head.head_bytes).collect();
                return Ok((head.first, body));
            }
            let count = self.stream.read_buf(&mut self.unread).await.map_err(failed("receive"))?;
            if count == 0 {
                return Err(failed("receive")("the server closed the connection"));
            }
        }
    }
}

/// Makes the message of a client and number.
pub(super) type Payload = Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>;

/// How clients publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Messages of all clients together.
    pub(super) messages: u64,
    /// Messages of one client without acknowledgement.
    pub(super) window: u16,
}

/// Publishes from all clients at once; `payload` makes the message of a client and number. Returns the number of
/// acknowledged messages.
pub(super) async fn publish_all(
    members: Vec<Member>,
    pace: Pace,
    payload: Payload,
) -> Result<u64, BenchError> {
    let each = pace.messages / members.len().max(1) as u64;
    let mut running = JoinSet::new();
    for (number, member) in members.into_iter().enumerate() {
        running.spawn(publish(member, number, each, pace.window, Arc::clone(&payload)));
    }
    let mut acknowledged = 0;
    while let Some(result) = running.join_next().await {
        acknowledged += result.map_err(failed("client"))??;
    }
    Ok(acknowledged)
}

async fn publish(
    mut member: Member,
    number: usize,
    messages: u64,
    window: u16,
    payload: Payload,
) -> Result<u64, BenchError> {
    let (mut sent, mut acknowledged) = (0u64, 0u64);
    let mut burst = Vec::new();
    while acknowledged < messages {
        burst.clear();
        while sent < messages && sent - acknowledged < u64::from(window) {
            let id = u16::try_from(sent % 60_000).unwrap_or(0) + 1;
            publish_packet(&mut burst, id, &payload(number, sent));
            sent += 1;
        }
        if !burst.is_empty() {
            member.send(&burst).await?;
        }
        let (first, _) = member.packet().await?;
        acknowledged += u64::from(first == 0x40);
    }
    Ok(acknowledged)
}

fn publish_packet(out: &mut Vec<u8>, id: u16, payload: &[u8]) {
    // Topic of five bytes, identifier, no properties; a length of two bytes suits 128 to 16,383.
    let length = 2 + 5 + 2 + 1 + payload.len();
    out.push(0x32);
    if length > 127 {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        out.push(u8::try_from(length >> 7 & 0x7f).unwrap_or(0));
    } else {
        out.push(u8::try_from(length).unwrap_or(0));
    }
    out.extend(b"\x00\x05v1/up");
    out.extend(id.to_be_bytes());
    out.push(0);
    out.extend(payload);
}
