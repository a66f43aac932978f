//! SOME/IP services: instances on application endpoints (classic), deployments and instances (adaptive).

use std::collections::BTreeMap;

use super::super::model::{Offer, Reason, Service};
use super::super::xml::Element;
use super::{Extract, owner, short_name};

/// Where a service instance refers to its endpoint.
const LOCAL_ADDRESS: [&str; 3] =
    ["LOCAL-UNICAST-ADDRESSS", "APPLICATION-ENDPOINT-REF-CONDITIONAL", "APPLICATION-ENDPOINT-REF"];

/// Services by identifier while they are put together.
type Services = BTreeMap<u16, Service>;

impl<'t> Extract<'t> {
    pub(super) fn services(&mut self) {
        let mut services = Services::new();
        for deployment in self.tree.root().descendants("SOMEIP-SERVICE-INTERFACE-DEPLOYMENT") {
            self.deployment(deployment, &mut services);
        }
        let instances = [
            ("PROVIDED-SERVICE-INSTANCE", true),
            ("CONSUMED-SERVICE-INSTANCE", false),
            ("PROVIDED-SOMEIP-SERVICE-INSTANCE", true),
            ("REQUIRED-SOMEIP-SERVICE-INSTANCE", false),
        ];
        for (kind, is_provided) in instances {
            for instance in self.tree.root().descendants(kind) {
                self.instance(instance, is_provided, &mut services);
            }
        }
        for header in self.tree.root().descendants("SO-CON-I-PDU-IDENTIFIER") {
            self.header(header, &mut services);
        }
        self.description.services = services.into_values().collect();
    }

    fn deployment(&mut self, deployment: Element<'t>, services: &mut Services) {
        let Some(id) = self.needed::<u16>(deployment, "SERVICE-INTERFACE-ID") else { return };
        let mut methods = BTreeMap::new();
        let mut events = BTreeMap::new();
        let mut groups = BTreeMap::new();
        let lists = [
            ("METHOD-DEPLOYMENTS", "SOMEIP-METHOD-DEPLOYMENT", "METHOD-ID", &mut methods),
            ("EVENT-DEPLOYMENTS", "SOMEIP-EVENT-DEPLOYMENT", "EVENT-ID", &mut events),
            ("EVENT-GROUPS", "SOMEIP-EVENT-GROUP", "EVENT-GROUP-ID", &mut groups),
        ];
        for (list, kind, number, out) in lists {
            for one in deployment.child(list).into_iter().flat_map(|list| list.all(kind)) {
                if let Some(id) = self.needed::<u16>(one, number) {
                    out.insert(id, short_name(one));
                }
            }
        }
        for field in deployment
            .child("FIELD-DEPLOYMENTS")
            .into_iter()
            .flat_map(|list| list.all("SOMEIP-FIELD-DEPLOYMENT"))
        {
            for (part, number) in [("GET", "METHOD-ID"), ("SET", "METHOD-ID"), ("NOTIFIER", "EVENT-ID")] {
                let Some(part) = field.child(part) else { continue };
                let Some(id) = self.needed::<u16>(part, number) else { continue };
                let out = if number == "EVENT-ID" { &mut events } else { &mut methods };
                out.insert(id, format!("{}.{}", short_name(field), part.name().to_ascii_lowercase()));
            }
        }
        let service = services.entry(id).or_insert_with(|| named(id, deployment));
        service.methods.extend(methods);
        service.events.extend(events);
        service.event_groups.extend(groups);
    }

    fn instance(&mut self, instance: Element<'t>, is_provided: bool, services: &mut Services) {
        let deployment = self.follow_at(instance, &["SERVICE-INTERFACE-DEPLOYMENT-REF"]);
        let id = match deployment {
            Some(deployment) => self.number(deployment, &["SERVICE-INTERFACE-ID"]),
            None => self.number(instance, &["SERVICE-IDENTIFIER"]),
        };
        let Some(id) = id else {
            return self.problem(instance, Reason::Missing, "service identifier");
        };
        let number = ["INSTANCE-IDENTIFIER", "SERVICE-INSTANCE-ID", "REQUIRED-SERVICE-INSTANCE-ID"]
            .into_iter()
            .find_map(|name| self.number::<u16>(instance, &[name]));
        let mut groups = BTreeMap::new();
        for (list, kind) in
            [("EVENT-HANDLERS", "EVENT-HANDLER"), ("CONSUMED-EVENT-GROUPS", "CONSUMED-EVENT-GROUP")]
        {
            for handler in instance.child(list).into_iter().flat_map(|list| list.all(kind)) {
                if let Some(id) = self.number(handler, &["EVENT-GROUP-IDENTIFIER"]) {
                    groups.insert(id, short_name(handler));
                }
            }
        }
        let offer = if is_provided { self.offer(instance, number) } else { None };
        let service = services.entry(id).or_insert_with(|| named(id, instance));
        let numbers = if is_provided { &mut service.provided } else { &mut service.required };
        numbers.extend(number);
        service.event_groups.extend(groups);
        service.offers.extend(offer);
    }

    /// Returns address and port of the application endpoint around an instance.
    fn offer(&mut self, instance: Element<'t>, number: Option<u16>) -> Option<Offer> {
        // Around the instance, or from release 4.4 on beside it.
        let endpoint = match owner(instance, "APPLICATION-ENDPOINT") {
            Some(endpoint) => endpoint,
            None => self.follow_at(instance, &LOCAL_ADDRESS)?,
        };
        let udp = ["TP-CONFIGURATION", "UDP-TP", "UDP-TP-PORT", "PORT-NUMBER"];
        let tcp = ["TP-CONFIGURATION", "TCP-TP", "TCP-TP-PORT", "PORT-NUMBER"];
        let (is_udp, port) = match self.number::<u16>(endpoint, &udp) {
            Some(port) => (true, port),
            None => (false, self.number::<u16>(endpoint, &tcp)?),
        };
        let address = self.follow_at(endpoint, &["NETWORK-ENDPOINT-REF"]).and_then(|network| {
            let list = network.child("NETWORK-ENDPOINT-ADDRESSES")?;
            let four = list.down(&["IPV-4-CONFIGURATION", "IPV-4-ADDRESS"]);
            let value = four.or_else(|| list.down(&["IPV-6-CONFIGURATION", "IPV-6-ADDRESS"]))?;
            let address = value.text().parse().ok();
            if address.is_none() {
                self.problem(value, Reason::Value, value.text());
            }
            address
        });
        Some(Offer { instance: number, address, is_udp, port })
    }

    /// Reads the message number of a PDU; of a service that is not known it may be any number and says nothing.
    fn header(&mut self, header: Element<'t>, services: &mut Services) {
        let Some(id) = self.number::<u32>(header, &["HEADER-ID"]) else { return };
        let (service, message) =
            (u16::try_from(id >> 16).unwrap_or(0), u16::try_from(id & 0xFFFF).unwrap_or(0));
        let Some(service) = services.get_mut(&service) else { return };
        let list = if message & 0x8000 == 0 { &mut service.methods } else { &mut service.events };
        list.entry(message).or_insert_with(|| short_name(header));
    }
}

fn named(id: u16, element: Element<'_>) -> Service {
    Service { name: short_name(element), service_id: Some(id), place: element.place(), ..Service::default() }
}
