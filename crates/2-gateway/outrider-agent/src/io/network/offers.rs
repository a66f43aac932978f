//! Which service offers a vehicle's Ethernet detectors can expect.

use std::collections::BTreeSet;
use std::net::IpAddr;

use outrider_bus::ether::IpAddress;
use outrider_ids::ethernet::model::Service as Offered;

use super::model::Description;

/// Protocol numbers of TCP and UDP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What the model can take of SOME/IP services, and what is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// Offers, ascending.
    pub offers: Vec<Offered>,
    /// What is left out, each with its reason.
    pub left_out: Vec<String>,
}

impl Description {
    /// Returns the offers with everything that the detector compares: service, instance, address and port.
    #[must_use]
    pub fn offered(&self) -> Offers {
        let mut offers = BTreeSet::new();
        let mut left_out = Vec::new();
        for service in &self.services {
            let name = &service.name;
            let Some(id) = service.service_id else {
                left_out.push(format!("service {name}: it has no identifier"));
                continue;
            };
            for offer in &service.offers {
                let whole = offer.instance.zip(offer.address);
                let Some((instance, address)) = whole else {
                    let lacks = if offer.instance.is_none() { "instance" } else { "fixed address" };
                    left_out.push(format!("service {name}, port {}: it has no {lacks}", offer.port));
                    continue;
                };
                let ip = match address {
                    IpAddr::V4(ip) => IpAddress::V4(ip.octets()),
                    IpAddr::V6(ip) => IpAddress::V6(ip.octets()),
                };
                let protocol = if offer.is_udp { UDP } else { TCP };
                offers.insert(Offered { service: id, instance, ip, port: offer.port, protocol });
            }
            if !service.provided.is_empty() && service.offers.is_empty() {
                left_out.push(format!("service {name}: no endpoint of its instances is stated"));
            }
            if !service.methods.is_empty() || !service.events.is_empty() {
                let count = service.methods.len() + service.events.len();
                left_out
                    .push(format!("service {name}: {count} methods and events, without sizes of messages"));
            }
        }
        Offers { offers: offers.into_iter().collect(), left_out }
    }
}
