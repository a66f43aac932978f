//! The small MQTT 5 client of the broker connector: one subscription, acknowledged by hand.

use std::sync::Arc;
use std::time::Duration;

use mqtt_protocol_core::mqtt::packet::{Property, Qos, ReceiveMaximum, SubEntry, SubOpts, v5_0};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{BrokerConfig, KEEP_ALIVE, RECEIVE_MAX};
use crate::vehicle::mqtt::{Fault, Head, Inbound, Message, Version};

/// Longest wait for the broker to take bytes, or to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Network or TLS.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Certificates.
    #[error("TLS: {0}")]
    Tls(String),
    /// The broker refused with this reason code.
    #[error("{what} refused with reason {code:#04x}")]
    Refused {
        /// Packet.
        what: &'static str,
        /// Reason.
        code: u8,
    },
    /// The broker sent what is no MQTT.
    #[error("the broker broke the protocol: {0}")]
    Protocol(&'static str),
    /// Nothing came in time.
    #[error("the broker is silent")]
    Silent,
    /// The event log does not take frames.
    #[error("storage is not available")]
    Storage,
}

impl From<Fault> for ClientError {
    fn from(fault: Fault) -> Self {
        Self::Protocol(fault.word())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A message that came.
pub(super) enum Received {
    /// One that can be looked at.
    Message(Message),
    /// One that cannot: too many properties, a topic that is too long, text that is refused. Whoever may publish on the
    /// broker can send it, and the broker would send it again for ever.
    Unfit {
        /// What is wrong.
        fault: Fault,
        /// Packet identifier, `None` for QoS 0.
        id: Option<u16>,
    },
}

/// A connected client.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
    waits_for_pong: bool,
}

fn built<T>(packet: Result<T, MqttError>) -> Result<T, ClientError> {
    packet.map_err(|_| ClientError::Protocol("a packet of ours"))
}

impl Client {
    /// Connects, with a clean start: what waits for us waits in the vehicles.
    pub(super) async fn connect(
        config: &BrokerConfig,
        provider: &Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Self, ClientError> {
        let url = &config.url;
        let socket = TcpStream::connect((url.host.as_str(), url.port));
        let socket = timeout(PATIENCE, socket).await.map_err(|_| ClientError::Silent)??;
        socket.set_nodelay(true)?;
        let stream: Box<dyn Stream> = if url.is_tls {
            let name = ServerName::try_from(url.host.clone())
                .map_err(|error| ClientError::Tls(error.to_string()))?;
            let connector = tokio_rustls::TlsConnector::from(tls(config, provider)?);
            Box::new(
                timeout(PATIENCE, connector.connect(name, socket))
                    .await
                    .map_err(|_| ClientError::Silent)??,
            )
        } else {
            Box::new(socket)
        };
        let mut client = Self { stream, unread: Vec::new(), waits_for_pong: false };
        let receive_max = Property::ReceiveMaximum(built(ReceiveMaximum::new(RECEIVE_MAX))?);
        let keep_alive = u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(60);
        let hello =
            v5_0::Connect::builder().clean_start(true).keep_alive(keep_alive).props(vec![receive_max]);
        client.send(&built(hello.build())?.to_continuous_buffer()).await?;
        let (head, body) = client.packet().await?;
        match (head.first, body.get(1)) {
            (0x20, Some(0)) => Ok(client),
            (0x20, Some(&code)) => Err(ClientError::Refused { what: "CONNECT", code }),
            _ => Err(ClientError::Protocol("no CONNACK")),
        }
    }

    /// Subscribes with QoS 1.
    pub(super) async fn subscribe(&mut self, filter: &str) -> Result<(), ClientError> {
        let entry = built(SubEntry::new(filter, SubOpts::new().set_qos(Qos::AtLeastOnce)))?;
        let packet = built(v5_0::Subscribe::builder().packet_id(1u16).entries(vec![entry]).build())?;
        self.send(&packet.to_continuous_buffer()).await?;
        let (head, body) = self.packet().await?;
        match (head.first, body.last()) {
            (0x90, Some(1)) => Ok(()),
            // QoS 0 would lose frames without a word.
            (0x90, Some(&code)) => Err(ClientError::Refused { what: "SUBSCRIBE", code }),
            _ => Err(ClientError::Protocol("no SUBACK")),
        }
    }

    /// Waits for a message; `None` when another packet came, or when it was time for a ping.
    pub(super) async fn message(&mut self) -> Result<Option<Received>, ClientError> {
        let Ok(packet) = timeout(KEEP_ALIVE / 2, self.packet_slowly()).await else {
            if self.waits_for_pong {
                return Err(ClientError::Silent);
            }
            self.waits_for_pong = true;
            self.send(&[0xc0, 0]).await?;
            return Ok(None);
        };
        let (head, body) = packet?;
        self.waits_for_pong = false;
        match head.first >> 4 {
            3 => {
                // A shared subscription gets no retained messages, and nothing above QoS 1 was asked for.
                match Inbound::parse(Version::V5, head, &body) {
                    Ok(Inbound::Publish(message)) => Ok(Some(Received::Message(message))),
                    Ok(_) => Err(ClientError::Protocol("no PUBLISH")),
                    Err(fault) => Ok(Some(Received::Unfit { fault, id: Inbound::publish_id(head, &body) })),
                }
            }
            14 => Err(ClientError::Refused { what: "the session", code: body.first().copied().unwrap_or(0) }),
            _ => Ok(None),
        }
    }

    /// Acknowledges a message.
    pub(super) async fn acknowledge(&mut self, id: u16) -> Result<(), ClientError> {
        let packet = built(v5_0::Puback::builder().packet_id(id).build())?;
        self.send(&packet.to_continuous_buffer()).await
    }

    /// Publishes with QoS 0: a reply that is lost is asked for again by the next resend of its frame.
    pub(super) async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), ClientError> {
        let packet = built(v5_0::Publish::builder().topic_name(topic))?.qos(Qos::AtMostOnce).payload(payload);
        self.send(&built(packet.build())?.to_continuous_buffer()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        Ok(timeout(PATIENCE, write).await.map_err(|_| ClientError::Silent)??)
    }

    async fn packet(&mut self) -> Result<(Head, Vec<u8>), ClientError> {
        timeout(PATIENCE, self.packet_slowly()).await.map_err(|_| ClientError::Silent)?
    }

    /// Reads one packet; may be dropped at any time and called again.
    async fn packet_slowly(&mut self) -> Result<(Head, Vec<u8>), ClientError> {
        loop {
            // `Head::parse` bounds what is kept: the longest packet.
            if let Some(head) = Head::parse(&self.unread)?
                && self.unread.len() >= head.packet_bytes()
            {
                let body = self.unread.drain(..head.packet_bytes()).skip(head.head_bytes).collect();
                return Ok((head, body));
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(ClientError::Protocol("closed"));
            }
        }
    }
}

fn tls(
    config: &BrokerConfig,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<rustls::ClientConfig>, ClientError> {
    let unusable = |error: &dyn std::fmt::Display| ClientError::Tls(error.to_string());
    let files = config.tls.as_ref().ok_or_else(|| ClientError::Tls("no client certificate".to_owned()))?;
    let certificates = |pem: &str| {
        CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| unusable(&e))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes()).map_err(|error| unusable(&error))?;
    // Brokers of today speak 1.2 as well; nothing here needs it.
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&files.certificate)?, key)
        .map_err(|error| unusable(&error))?;
    tls.alpn_protocols = vec![b"mqtt".to_vec()];
    Ok(Arc::new(tls))
}
