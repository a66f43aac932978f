//! HTTPS with mutual TLS to the cloud's vehicle listener.

use std::sync::Arc;
use std::time::Duration;

use outrider_gateway::uplink::{Transport, TransportError};
use outrider_wire::limits::REPLY_BYTES_MAX;
use rustls::crypto::CryptoProvider;
use ureq::Agent;

use super::tls::{client_config, https_agent};
use crate::keystore::{DeviceKey, TlsKey, provider_with};
use crate::runtime::CloudLink;

/// A section of a key without a key in it.
pub(crate) const STAND_IN: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

/// Certificates of one vehicle, PEM.
pub struct LinkFiles<'a> {
    /// CA that the listener's certificate must come from.
    pub ca: &'a [u8],
    /// Client certificate.
    pub certificate: &'a [u8],
    /// Private key of the client certificate.
    pub key: &'a [u8],
}

/// Why a link cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct LinkError {
    /// Which file.
    pub what: &'static str,
    /// Why not.
    pub reason: String,
}

/// Link to the cloud; keeps its connection open between exchanges.
pub struct HttpsLink {
    agent: Agent,
    cloud: String,
}

impl HttpsLink {
    /// Creates a link to `cloud`, such as `https://127.0.0.1:8444`; connects at the first exchange.
    ///
    /// # Errors
    /// [`LinkError`] if a certificate or key cannot be read.
    pub fn new(cloud: &str, files: &LinkFiles<'_>) -> Result<Self, LinkError> {
        Self::with_provider(cloud, files, rustls::crypto::ring::default_provider())
    }

    /// Creates a link whose client certificate belongs to a key in a TPM, a token or a key file; `files.key` is not used.
    ///
    /// # Errors
    /// [`LinkError`] if a certificate cannot be read.
    pub fn with_device_key(
        cloud: &str,
        files: &LinkFiles<'_>,
        key: Arc<dyn DeviceKey>,
    ) -> Result<Self, LinkError> {
        // The provider knows the key; what it is told to load stands for it.
        let files = LinkFiles { key: STAND_IN, ..*files };
        Self::with_provider(cloud, &files, provider_with(TlsKey::new(key)))
    }

    fn with_provider(
        cloud: &str,
        files: &LinkFiles<'_>,
        provider: CryptoProvider,
    ) -> Result<Self, LinkError> {
        let config = client_config(files.ca, Some((files.certificate, files.key)), provider)?;
        let agent = https_agent(config, Duration::from_secs(60));
        Ok(Self { agent, cloud: cloud.trim_end_matches('/').to_owned() })
    }
}

impl Transport for HttpsLink {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        let response = self.agent.post(format!("{}/v1/uplink", self.cloud)).send(frame);
        let mut response = response.map_err(|error| unreachable(&error))?;
        match response.status().as_u16() {
            200 => response
                .body_mut()
                .with_config()
                .limit(REPLY_BYTES_MAX as u64)
                .read_to_vec()
                .map_err(|error| unreachable(&error)),
            status => Err(TransportError::Refused { status }),
        }
    }
}

impl CloudLink for HttpsLink {
    fn upload(
        &mut self,
        command_id: &str,
        sha256: &str,
        media_type: &str,
        content: &[u8],
    ) -> Result<(), TransportError> {
        let response = self
            .agent
            .put(format!("{}/v1/evidence/{command_id}", self.cloud))
            .header("x-sha256", sha256)
            .content_type(media_type)
            .send(content);
        match response.map_err(|error| unreachable(&error))?.status().as_u16() {
            200 => Ok(()),
            status => Err(TransportError::Refused { status }),
        }
    }

    fn fetch(&mut self, sha256: &str, from: u64, bytes_max: usize) -> Result<Vec<u8>, TransportError> {
        let to = from.saturating_add(bytes_max as u64).saturating_sub(1);
        let response = self
            .agent
            .get(format!("{}/v1/artifacts/{sha256}", self.cloud))
            .header("range", format!("bytes={from}-{to}"))
            .call();
        let mut response = response.map_err(|error| unreachable(&error))?;
        match response.status().as_u16() {
            206 => response
                .body_mut()
                .with_config()
                .limit(bytes_max as u64)
                .read_to_vec()
                .map_err(|error| unreachable(&error)),
            status => Err(TransportError::Refused { status }),
        }
    }
}

fn unreachable(error: &ureq::Error) -> TransportError {
    if matches!(error, ureq::Error::Timeout(_)) {
        return TransportError::TimedOut;
    }
    TransportError::Unreachable(error.to_string())
}
