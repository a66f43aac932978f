//! An existing broker as front: the server as an MQTT 5 client that takes frames from a shared subscription.
//!
//! **In:** messages on `v1/{vehicle}/up`. **Out:** PUBACK to the broker when a frame is durable, replies on
//! `v1/{vehicle}/down`. **Never:** trust in the topic: it says whose key a frame must be signed with, and the frame is
//! refused if it names another vehicle (INV: the signature decides). Frames that are not signed by themselves, such as
//! short ones under a session key, are refused on this way, because the session ended at the broker.
//!
//! A broker may acknowledge and lose: what it has acknowledged to a vehicle frees nothing in the vehicle, only the
//! signed watermark of the reply does.

mod client;

use std::sync::Arc;
use std::time::Duration;

use outrider_types::VehicleId;
use outrider_wire::UplinkFrame;

use self::client::{Client, ClientError, Received};
use super::ca::TlsFiles;
use super::exchange::{Exchange, Refusal};
use crate::tasks::Stopped;

/// Shared between all servers of an installation: each message goes to one of them.
const SUBSCRIPTION: &str = "$share/outrider/v1/+/up";
/// Messages that the broker may send before the first is acknowledged; more servers, not more messages, make it faster.
const RECEIVE_MAX: u16 = 64;
/// Keep-alive: half of it is the longest silence of ours.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// First and longest wait before another try.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where the broker is.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// `mqtts://host:port`, or `mqtt://` with a loopback address.
    pub url: BrokerUrl,
    /// Certificate, key and CA for `mqtts`.
    pub tls: Option<TlsFiles>,
}

/// Address of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub is_tls: bool,
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// It is not an address of a broker.
    #[error("`{0}` is not mqtts://host:port or mqtt://127.0.0.1:port")]
    Form(String),
    /// Without TLS beyond this machine.
    #[error("`{0}` is not on this machine, and mqtt:// has no TLS: use mqtts://")]
    Plain(String),
}

impl std::str::FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || BrokerUrlError::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let is_tls = match scheme {
            "mqtts" => true,
            "mqtt" => false,
            _ => return Err(form()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').ok_or_else(form)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().map_err(|_| form())?;
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(form());
        }
        // The name is believed only as an address: a resolver could say anything.
        let is_here = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_tls && !is_here {
            return Err(BrokerUrlError::Plain(text.to_owned()));
        }
        Ok(Self { host: host.to_owned(), port, is_tls })
    }
}

/// Takes frames from a broker until told to stop; connects again after failures, with growing waits.
pub(crate) async fn run(
    config: BrokerConfig,
    provider: Arc<rustls::crypto::CryptoProvider>,
    exchange: Arc<Exchange>,
    mut stopped: Stopped,
) {
    exchange.links().set_broker();
    let mut wait = RETRY.0;
    loop {
        let began = exchange.links().now();
        let session = session(&config, &provider, &exchange);
        let result = tokio::select! {
            biased;
            () = stopped.wait() => return,
            result = session => result,
        };
        if let Err(error) = result {
            exchange.links().count_refusal("broker.lost");
            tracing::warn!(%error, "broker connection lost");
        }
        if exchange.links().now().saturating_sub(began) > RETRY.1 {
            wait = RETRY.0;
        }
        tokio::select! {
            biased;
            () = stopped.wait() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(RETRY.1);
    }
}

/// One connection, from CONNECT to its end.
async fn session(
    config: &BrokerConfig,
    provider: &Arc<rustls::crypto::CryptoProvider>,
    exchange: &Arc<Exchange>,
) -> Result<(), ClientError> {
    let mut client = Client::connect(config, provider).await?;
    client.subscribe(SUBSCRIPTION).await?;
    tracing::info!("broker connected");
    loop {
        let Some(received) = client.message().await? else { continue };
        exchange.links().count_broker_frame();
        let message = match received {
            Received::Message(message) => message,
            Received::Unfit { fault, id } => {
                exchange.links().count_refusal(fault.word());
                if let Some(id) = id {
                    client.acknowledge(id).await?;
                }
                continue;
            }
        };
        let answer = take(exchange, &message.topic, message.payload).await;
        let is_storage_gone = answer.as_ref().is_err_and(|(_, refusal)| refusal.status >= 500);
        if is_storage_gone {
            // Not acknowledged, so that the broker gives it to somebody else, or to us later.
            return Err(ClientError::Storage);
        }
        match answer {
            Ok((vehicle, reply)) => {
                client.publish(&format!("v1/{vehicle}/down"), reply).await?;
            }
            Err((_, refusal)) => exchange.links().count_refusal(refusal.code),
        }
        // A frame that is refused for what it is would be refused for ever: it is acknowledged and counted.
        if let Some(id) = message.id {
            client.acknowledge(id).await?;
        }
    }
}

/// Takes a frame for the vehicle of a topic.
async fn take(
    exchange: &Arc<Exchange>,
    topic: &str,
    frame: Vec<u8>,
) -> Result<(VehicleId, Vec<u8>), (Option<VehicleId>, Refusal)> {
    let named = topic.strip_prefix("v1/").and_then(|rest| rest.strip_suffix("/up"));
    let Some(vehicle) = named.and_then(|id| id.parse::<VehicleId>().ok()) else {
        let refusal =
            Refusal { status: 400, code: "broker.topic", message: "the topic names no vehicle".to_owned() };
        exchange.refuse(&refusal);
        return Err((None, refusal));
    };
    // Only frames that carry the device's own signature: the broker could have sent anything else itself.
    if !matches!(UplinkFrame::kind(&frame), Some(UplinkFrame::Batch | UplinkFrame::Receipt)) {
        let message = "not signed by the vehicle itself".to_owned();
        let refusal = Refusal { status: 400, code: "broker.frame", message };
        exchange.refuse(&refusal);
        return Err((Some(vehicle), refusal));
    }
    match exchange.admit(vehicle, frame.len()) {
        Ok(()) => {}
        Err(refusal) => return Err((Some(vehicle), refusal)),
    }
    match exchange.take(vehicle, frame).await {
        Ok(reply) => Ok((vehicle, reply)),
        Err(refusal) => Err((Some(vehicle), refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_tls_or_stays_on_this_machine() {
        let parse = |text: &str| text.parse::<BrokerUrl>();
        let url = |host: &str, port, is_tls| BrokerUrl { host: host.to_owned(), port, is_tls };
        assert_eq!(parse("mqtts://broker.example:8883"), Ok(url("broker.example", 8883, true)));
        assert_eq!(parse("mqtt://127.0.0.1:1883/"), Ok(url("127.0.0.1", 1883, false)));
        assert_eq!(parse("mqtt://[::1]:1883"), Ok(url("::1", 1883, false)));
        for text in ["mqtt://10.0.0.1:1883", "mqtt://localhost:1883", "mqtt://127.0.0.1.evil.example:1883"] {
            assert_eq!(parse(text), Err(BrokerUrlError::Plain(text.to_owned())));
        }
        for text in [
            "",
            "broker",
            "http://a:1",
            "mqtts://a",
            "mqtts://:1",
            "mqtts://a:b",
            "mqtts://u@h:1",
            "mqtts://a:99999",
        ] {
            assert_eq!(parse(text), Err(BrokerUrlError::Form(text.to_owned())));
        }
    }
}
