//! Learns what is normal on Ethernet segments.
//!
//! **In:** Ethernet frames of one or more captures. **Out:** the bytes of an [`outrider_ids::ethernet::model`].
//! Whether a segment is closed follows from what was seen: a charging port, and a segment whose stations are others in
//! each capture, are open. **Start reading** at [`EthernetLearner`].

use std::collections::{BTreeMap, BTreeSet};

use outrider_bus::doip::{self, Message as DoipMessage};
use outrider_bus::ether::{ETHERTYPE_HOMEPLUG, EtherView, IpAddress, Mac, PortsView};
use outrider_bus::neighbour::claim;
use outrider_bus::someip::sd::{EntryKind, SdOption, SdView};
use outrider_bus::someip::{Message, MessageKind, Messages, ReturnCode, SD_PORT};
use outrider_bus::uds;
use outrider_bus::v2g::sdp;
use outrider_ids::ethernet::model::{
    self, Binding, EtherTypeFact, Flow, Host, Lists, Method, Record, SegmentDraft, SegmentFacts, Service,
    Subscription, TesterFact, Vlan,
};
use outrider_ids::ethernet::service_port;
use outrider_ids::model::{ModelHead, WriteError};
use outrider_types::{BusId, VehicleMicros};

use crate::net::segment;

/// Width of the windows in which volume is counted, in microseconds, as in the detector.
const WINDOW_US: u64 = 1_000_000;
/// Largest length field of IEEE 802.3.
const LENGTH_MAX: u16 = 1500;
/// Share of stations seen in one capture of several that makes a segment open, in percent (guess).
const OPEN_PERCENT: usize = 30;
/// Methods kept of one capture until it is known which services are offered.
const CANDIDATES_MAX: usize = 65_536;

/// What a second carried at most.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    window: u64,
    bytes: u32,
    packets: u32,
    bytes_max: u32,
    packets_max: u32,
}

impl Peak {
    fn add(&mut self, at: VehicleMicros, bytes: usize) {
        let window = at.0 / WINDOW_US;
        if window != self.window {
            *self = Self { window, bytes: 0, packets: 0, ..*self };
        }
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.packets = self.packets.saturating_add(1);
        self.bytes_max = self.bytes_max.max(self.bytes);
        self.packets_max = self.packets_max.max(self.packets);
    }
}

type FlowKey = (IpAddress, IpAddress, u8, u16);

/// What is known of one segment.
#[derive(Debug, Default)]
struct Track {
    captures: u16,
    hosts: BTreeMap<Mac, BTreeSet<u16>>,
    ethertypes: BTreeSet<u16>,
    vlans: BTreeSet<u16>,
    bindings: BTreeSet<(IpAddress, Mac)>,
    services: BTreeSet<Service>,
    subscriptions: BTreeSet<Subscription>,
    candidates: BTreeMap<(u16, u16), Method>,
    testers: BTreeSet<TesterFact>,
    flows: BTreeMap<FlowKey, Peak>,
    total: Peak,
    is_charging: bool,
}

/// Summary of a learned segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    /// What the model says about it.
    pub facts: SegmentFacts,
    /// Records by list.
    pub records: BTreeMap<Lists, usize>,
    /// What had to be left out.
    pub problems: Vec<String>,
}

/// A learned model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedEthernet {
    /// Bytes of the model.
    pub model: Vec<u8>,
    /// What it says about itself.
    pub head: ModelHead,
    /// Its segments.
    pub segments: Vec<SegmentSummary>,
}

/// Collects frames until [`Self::finish`].
#[derive(Debug, Default)]
pub struct EthernetLearner {
    head: ModelHead,
    tracks: BTreeMap<BusId, Track>,
    current: BTreeMap<BusId, (VehicleMicros, VehicleMicros)>,
    capture: u16,
}

impl EthernetLearner {
    /// Creates a learner; platform and release of `head` go into the model, its counts are overwritten.
    #[must_use]
    pub fn new(head: ModelHead) -> Self {
        Self { head: ModelHead { learned_frames: 0, learned_ms: 0, ..head }, ..Self::default() }
    }

    /// Returns the number of frames learned from.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.head.learned_frames
    }

    /// Adds one frame of the current capture.
    pub fn add(&mut self, at: VehicleMicros, source: BusId, bytes: &[u8]) {
        let Some(frame) = EtherView::new(bytes) else { return };
        self.head.learned_frames += 1;
        let bus = segment(source);
        self.current.entry(bus).or_insert((at, at)).1 = at;
        let capture = self.capture;
        let track = self.tracks.entry(bus).or_default();
        track.total.add(at, bytes.len());
        track.addresses(&frame, capture);
        let Some(ip) = frame.ip() else { return };
        if !ip.source().is_none() {
            track.bindings.insert((ip.source(), frame.source()));
        }
        let ports = ip.ports();
        let port = ports.as_ref().map_or(0, service_port);
        let key = (ip.source(), ip.destination(), ip.protocol(), port);
        track.flows.entry(key).or_default().add(at, bytes.len());
        if let Some(ports) = ports {
            track.application(ip.source(), &ports);
        }
    }

    /// Allows a diagnostic tester on a source's segment, seen or not.
    pub fn allow_tester(&mut self, source: BusId, tester: TesterFact) {
        self.tracks.entry(segment(source)).or_default().testers.insert(tester);
    }

    /// Allows a service offer that a network description states, seen or not.
    pub fn allow_service(&mut self, source: BusId, service: Service) {
        self.tracks.entry(segment(source)).or_default().services.insert(service);
    }

    /// Allows a subscription that a network description states, seen or not.
    pub fn allow_subscription(&mut self, source: BusId, subscription: Subscription) {
        self.tracks.entry(segment(source)).or_default().subscriptions.insert(subscription);
    }

    /// Ends the current capture.
    pub fn end_capture(&mut self) {
        for (bus, (first, last)) in std::mem::take(&mut self.current) {
            self.head.learned_ms += last.micros_since(first) / 1000;
            if let Some(track) = self.tracks.get_mut(&bus) {
                track.captures = track.captures.saturating_add(1);
                track.total.window = u64::MAX;
            }
        }
        self.capture = self.capture.saturating_add(1);
    }

    /// Writes the model.
    ///
    /// # Errors
    /// [`WriteError`] if there are more segments than a model holds.
    pub fn finish(mut self) -> Result<LearnedEthernet, WriteError> {
        self.end_capture();
        let learned: Vec<Facts> = self.tracks.iter().map(|(bus, track)| track.facts(*bus)).collect();
        let drafts: Vec<SegmentDraft<'_>> = learned.iter().map(Facts::draft).collect();
        let mut bytes = vec![0; model::encoded_bytes(&drafts)];
        model::write(&self.head, &drafts, &mut bytes)?;
        let segments = learned.into_iter().map(Facts::summary).collect();
        Ok(LearnedEthernet { model: bytes, head: self.head, segments })
    }
}

impl Track {
    fn addresses(&mut self, frame: &EtherView<'_>, capture: u16) {
        self.hosts.entry(frame.source()).or_default().insert(capture);
        let kind = if frame.ethertype() <= LENGTH_MAX { 0 } else { frame.ethertype() };
        self.is_charging |= kind == ETHERTYPE_HOMEPLUG;
        self.ethertypes.insert(kind);
        self.vlans.extend(frame.vlans());
        if let Some(claim) = claim(frame) {
            self.bindings.insert((claim.ip, claim.mac));
        }
    }

    fn application(&mut self, source: IpAddress, ports: &PortsView<'_>) {
        let has = |port| ports.source == port || ports.destination == port;
        self.is_charging |= has(sdp::PORT) && !ports.is_tcp;
        if has(doip::PORT) {
            self.testers(source, ports.payload);
        } else if has(SD_PORT) && !ports.is_tcp {
            for message in Messages::new(ports.payload).flatten() {
                self.discovery(source, &message);
            }
        } else if Messages::new(ports.payload)
            .all(|message| message.is_ok_and(|message| is_plausible(&message)))
        {
            Messages::new(ports.payload).flatten().for_each(|message| self.method(&message));
        }
    }

    fn testers(&mut self, ip: IpAddress, payload: &[u8]) {
        for view in doip::Messages::new(payload) {
            let address = match view.message() {
                Ok(DoipMessage::ActivationRequest { tester, .. }) => tester,
                Ok(DoipMessage::Diagnostic { source, data, .. }) if is_request(data) => source,
                _ => continue,
            };
            self.testers.insert(TesterFact { address, ip });
        }
    }

    fn discovery(&mut self, source: IpAddress, message: &Message<'_>) {
        let Ok(view) = SdView::new(message.payload) else { return };
        for entry in view.entries() {
            let endpoint = view.options_of(&entry).find_map(|option| match option {
                SdOption::Endpoint(endpoint) => Some(endpoint),
                SdOption::Configuration(_)
                | SdOption::LoadBalancing { .. }
                | SdOption::Multicast(_)
                | SdOption::SdEndpoint(_)
                | SdOption::Unknown { .. } => None,
            });
            match entry.kind {
                EntryKind::Offer if !entry.is_stop() => {
                    self.services.insert(Service {
                        service: entry.service,
                        instance: entry.instance,
                        ip: endpoint.map_or(source, |endpoint| endpoint.ip),
                        port: endpoint.map_or(0, |endpoint| endpoint.port),
                        protocol: endpoint.map_or(0, |endpoint| endpoint.protocol),
                    });
                }
                EntryKind::Subscribe => {
                    self.subscriptions.insert(Subscription {
                        service: entry.service,
                        instance: entry.instance,
                        group: entry.event_group().unwrap_or(0),
                        ip: source,
                    });
                }
                EntryKind::Offer | EntryKind::Find | EntryKind::SubscribeAck | EntryKind::Unknown(_) => {}
            }
        }
    }

    /// Notes a message; whether its service is one shows at the end.
    fn method(&mut self, message: &Message<'_>) {
        let key = (message.header.service, message.header.method);
        if message.header.is_segment
            || self.candidates.len() >= CANDIDATES_MAX && !self.candidates.contains_key(&key)
        {
            return;
        }
        let bytes = u32::try_from(message.payload.len()).unwrap_or(u32::MAX);
        let method = self.candidates.entry(key).or_insert(Method {
            service: key.0,
            method: key.1,
            interface_version: message.header.interface_version,
            bytes_min: bytes,
            bytes_max: bytes,
        });
        method.interface_version = message.header.interface_version;
        method.bytes_min = method.bytes_min.min(bytes);
        method.bytes_max = method.bytes_max.max(bytes);
    }

    fn is_closed(&self) -> bool {
        if self.is_charging {
            return false;
        }
        let single = self.hosts.values().filter(|captures| captures.len() == 1).count();
        self.captures < 2 || single * 100 <= self.hosts.len() * OPEN_PERCENT
    }

    fn facts(&self, bus: BusId) -> Facts {
        let offered: BTreeSet<u16> = self.services.iter().map(|service| service.service).collect();
        let mut facts = Facts {
            facts: SegmentFacts {
                bus,
                is_closed: self.is_closed(),
                captures: self.captures,
                packets_max: self.total.packets_max,
                bytes_max: self.total.bytes_max,
            },
            problems: Vec::new(),
            hosts: self.hosts.keys().map(|&mac| Host { mac }).collect(),
            ethertypes: self.ethertypes.iter().map(|&ethertype| EtherTypeFact { ethertype }).collect(),
            vlans: self.vlans.iter().map(|&vlan| Vlan { vlan }).collect(),
            bindings: self.bindings.iter().map(|&(ip, mac)| Binding { ip, mac }).collect(),
            services: self.services.iter().copied().collect(),
            subscriptions: self.subscriptions.iter().copied().collect(),
            methods: self
                .candidates
                .values()
                .filter(|method| offered.contains(&method.service))
                .copied()
                .collect(),
            testers: self.testers.iter().copied().collect(),
            flows: self
                .flows
                .iter()
                .map(|(&(source, destination, protocol, port), peak)| Flow {
                    source,
                    destination,
                    protocol,
                    port,
                    bytes_max: peak.bytes_max,
                    packets_max: peak.packets_max,
                })
                .collect(),
        };
        facts.bound();
        facts
    }
}

fn is_request(data: &[u8]) -> bool {
    matches!(uds::Message::parse(data), Ok(uds::Message::Request(_)))
}

/// A message of a service, as far as its header can tell.
fn is_plausible(message: &Message<'_>) -> bool {
    let header = &message.header;
    !matches!(header.kind, MessageKind::Unknown(_)) && !matches!(header.return_code, ReturnCode::Unknown(_))
}

/// Records of one segment.
struct Facts {
    facts: SegmentFacts,
    problems: Vec<String>,
    hosts: Vec<Host>,
    ethertypes: Vec<EtherTypeFact>,
    vlans: Vec<Vlan>,
    bindings: Vec<Binding>,
    services: Vec<Service>,
    subscriptions: Vec<Subscription>,
    methods: Vec<Method>,
    testers: Vec<TesterFact>,
    flows: Vec<Flow>,
}

impl Facts {
    /// Holds the lists at their bounds. A list that is not whole must not judge, so that a segment with too many
    /// stations, bindings or flows counts as open.
    fn bound(&mut self) {
        let problems = &mut self.problems;
        let whole = [
            cut(&mut self.hosts, problems),
            cut(&mut self.bindings, problems),
            cut(&mut self.flows, problems),
            cut(&mut self.services, problems),
            cut(&mut self.subscriptions, problems),
            cut(&mut self.testers, problems),
        ];
        if self.facts.is_closed && whole.contains(&false) {
            self.facts.is_closed = false;
            problems.push("segment counts as open, because a list of its stations is not whole".to_owned());
        }
        cut(&mut self.ethertypes, problems);
        cut(&mut self.vlans, problems);
        if !cut(&mut self.methods, problems) {
            self.methods.clear();
        }
    }

    fn draft(&self) -> SegmentDraft<'_> {
        SegmentDraft {
            facts: self.facts,
            hosts: &self.hosts,
            ethertypes: &self.ethertypes,
            vlans: &self.vlans,
            bindings: &self.bindings,
            services: &self.services,
            subscriptions: &self.subscriptions,
            methods: &self.methods,
            testers: &self.testers,
            flows: &self.flows,
        }
    }

    fn summary(self) -> SegmentSummary {
        let records = BTreeMap::from([
            (Lists::Hosts, self.hosts.len()),
            (Lists::EtherTypes, self.ethertypes.len()),
            (Lists::Vlans, self.vlans.len()),
            (Lists::Bindings, self.bindings.len()),
            (Lists::Services, self.services.len()),
            (Lists::Subscriptions, self.subscriptions.len()),
            (Lists::Methods, self.methods.len()),
            (Lists::Testers, self.testers.len()),
            (Lists::Flows, self.flows.len()),
        ]);
        SegmentSummary { facts: self.facts, records, problems: self.problems }
    }
}

/// Cuts a list at its bound and returns whether it was whole.
fn cut<R: Record>(records: &mut Vec<R>, problems: &mut Vec<String>) -> bool {
    let limit = R::LIST.limit();
    if records.len() <= limit {
        return true;
    }
    problems.push(format!("{:?}: {} seen, {limit} kept", R::LIST, records.len()));
    records.truncate(limit);
    false
}
