//! Listening ports and outgoing connections, from the kernel's socket tables once a second.
//!
//! A connection that begins and ends between two looks is not seen; the firewall's log is the sensor for those.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use crate::config::SocketsConfig;
use crate::known::{Known, Verdict};
use crate::people::{People, Person};
use crate::proc_fs::{SocketLine, socket_line};
use crate::sensor::{Counts, Degradation, FULL, Period, Sensor, SensorState, Turn};
use crate::{HostEvent, Value};

/// Time between two looks.
const PERIOD_US: u64 = 1_000_000;
/// Bytes of one table that are read: 50,000 sockets.
const TABLE_BYTES_MAX: u64 = 8 << 20;
/// Findings that are remembered so that they are said once.
const OPEN_MAX: usize = 1024;
/// Descriptors looked at to find whose a socket is.
const LINKS_MAX: usize = 8192;
/// Sockets whose owner is looked for in one look at the tables.
const OWNERS_MAX: usize = 16;

const LISTENING: u8 = 10;
const CONNECTING: u8 = 2;
const ESTABLISHED: u8 = 1;
const UNCONNECTED: u8 = 7;

/// A network, `address/length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: u128,
    mask: u128,
    is_v4: bool,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let (bits, is_v4) = (bits(address), address.is_ipv4());
        let length: u32 = length.parse().ok().filter(|length| *length <= if is_v4 { 32 } else { 128 })?;
        let width = if is_v4 { 32 } else { 128 };
        let host = width - length;
        let mask = if host >= 128 { 0 } else { u128::MAX << host };
        Some(Self { address: bits & mask, mask, is_v4 })
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.is_v4 == ip.is_ipv4() && bits(ip) & self.mask == self.address
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// What a socket does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    Listens { protocol: &'static str, port: u16 },
    Talks { protocol: &'static str, to: SocketAddr },
}

/// The sensor.
pub(crate) struct Sockets {
    networks: Vec<Network>,
    known: Known,
    /// Unknown things that are going on, and the round in which they were seen last.
    open: BTreeMap<Finding, u64>,
    round: u64,
    period: Period,
    counts: Counts,
    degradation: Degradation,
}

impl Sockets {
    /// # Errors
    /// The baseline cannot be read, or a network is none.
    pub(crate) fn open(
        config: &SocketsConfig,
        baseline: &Path,
        learns_until: VehicleMicros,
    ) -> std::io::Result<Self> {
        let networks = config.networks.iter().map(|text| {
            let bad =
                || std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("{text} is no network"));
            Network::parse(text).ok_or_else(bad)
        });
        Ok(Self {
            networks: networks.collect::<std::io::Result<_>>()?,
            known: Known::open(baseline, learns_until)?,
            open: BTreeMap::new(),
            round: 0,
            period: Period::of_us(PERIOD_US),
            counts: Counts::default(),
            degradation: Degradation::new("host.sockets"),
        })
    }

    fn look(&mut self, turn: &mut Turn<'_>) {
        self.round += 1;
        let mut is_whole = true;
        let mut lines: Vec<(&'static str, SocketLine)> = Vec::new();
        let mut listening = std::collections::BTreeSet::new();
        for (protocol, table) in
            [("tcp", "net/tcp"), ("tcp", "net/tcp6"), ("udp", "net/udp"), ("udp", "net/udp6")]
        {
            let Ok(file) = fs::File::open(turn.people.root.path(table)) else { continue };
            let mut reader = BufReader::new(file.take(TABLE_BYTES_MAX));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                if let Some(socket) = socket_line(&line) {
                    if socket.state == LISTENING {
                        listening.insert(socket.local.port());
                    }
                    if is_of_interest(protocol, &socket) {
                        lines.push((protocol, socket));
                    }
                } else if !line.trim_start().starts_with("sl ") {
                    self.counts.received += 1;
                    self.counts.rejected += 1;
                }
                line.clear();
            }
            is_whole &= reader.into_inner().limit() > 0;
        }
        let mut owners = OWNERS_MAX;
        for (protocol, socket) in lines {
            let finding = match socket.state {
                LISTENING => Finding::Listens { protocol, port: socket.local.port() },
                UNCONNECTED if socket.remote.port() == 0 => {
                    Finding::Listens { protocol, port: socket.local.port() }
                }
                // Somebody called us: that port was judged when it was opened.
                _ if listening.contains(&socket.local.port()) && protocol == "tcp" => continue,
                _ => Finding::Talks { protocol, to: socket.remote },
            };
            self.judge(finding, &socket, &mut owners, turn);
        }
        let round = self.round;
        self.open.retain(|_, seen| *seen == round);
        self.degradation.set(if is_whole { FULL } else { "table cut" }, turn.now, turn.out);
    }

    fn judge(&mut self, finding: Finding, socket: &SocketLine, owners: &mut usize, turn: &mut Turn<'_>) {
        if let Some(seen) = self.open.get_mut(&finding) {
            *seen = self.round;
            return;
        }
        self.counts.received += 1;
        let is_normal = match finding {
            Finding::Listens { protocol, port } => {
                self.known.judge(&format!("listens {protocol} {port}")) != Verdict::Unknown
            }
            Finding::Talks { protocol, to } => {
                self.networks.iter().any(|network| network.contains(to.ip()))
                    || self.known.judge(&format!("talks {protocol} {to}")) != Verdict::Unknown
            }
        };
        if is_normal {
            self.counts.quiet += 1;
            return;
        }
        if self.open.len() >= OPEN_MAX {
            // More than a thousand unknown connections at once: counted, and one event says so.
            self.counts.quiet += 1;
            self.degradation.drop(1);
            self.degradation.set("findings cut", turn.now, turn.out);
            return;
        }
        self.open.insert(finding, self.round);
        self.counts.reported += 1;
        let owner = if *owners > 0 {
            *owners -= 1;
            owner_of(turn.people, socket.inode)
        } else {
            Person::default()
        };
        turn.out.push(event_of(finding, &owner, turn.now));
    }
}

/// Loopback is the host's own affair, and an unconnected UDP socket without a port of its own asks and goes.
fn is_of_interest(protocol: &str, socket: &SocketLine) -> bool {
    match (protocol, socket.state) {
        ("tcp", LISTENING) => true,
        ("udp", UNCONNECTED) => socket.local.port() != 0 && socket.local.port() < 32_768,
        (_, ESTABLISHED | CONNECTING) => !socket.remote.ip().is_loopback(),
        _ => false,
    }
}

fn event_of(finding: Finding, owner: &Person, now: VehicleMicros) -> HostEvent {
    match finding {
        Finding::Listens { protocol, port } => HostEvent::new(event::HOST_PORT_OPENED, now)
            .text(field::PROCESS_NAME, &owner.name)
            .with(field::DESTINATION_PORT, Value::Int(port.into()))
            .text(field::PROTOCOL, protocol),
        Finding::Talks { protocol, to } => HostEvent::new(event::HOST_EGRESS_UNEXPECTED, now)
            .text(field::PROCESS_NAME, &owner.name)
            .text(field::DESTINATION_IP, &to.ip().to_string())
            .with(field::DESTINATION_PORT, Value::Int(to.port().into()))
            .text(field::PROTOCOL, protocol),
    }
}

/// Finds whose a socket is, as far as the rights go and within a bound.
fn owner_of(people: &mut People, inode: u64) -> Person {
    let wanted = format!("socket:[{inode}]");
    let mut left = LINKS_MAX;
    for process in people.root.processes() {
        let Ok(entries) = fs::read_dir(people.root.path(&format!("{process}/fd"))) else { continue };
        for entry in entries.flatten() {
            if left == 0 {
                return Person::default();
            }
            left -= 1;
            if fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()) {
                return people.meet(process).cloned().unwrap_or_default();
            }
        }
    }
    Person::default()
}

impl Sensor for Sockets {
    fn name(&self) -> &'static str {
        "host.sockets"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) {
        if self.period.is_due(turn.now) {
            self.look(turn);
            self.known.keep(turn, &mut self.degradation);
        }
    }

    fn state(&self) -> SensorState {
        SensorState::new(self.name(), self.degradation.step(), self.counts)
            .with_known(&self.known)
            .with("open_findings", self.open.len() as u64)
            .with("degradations", self.degradation.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;
    use crate::proc_fs::ProcRoot;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(local: &str, remote: &str, state: &str) -> String {
        format!("   0: {local} {remote} {state} 0:0 0:0 0     0        0 77 1\n")
    }

    #[test]
    fn networks_contain_their_addresses_and_no_other() {
        let network = Network::parse("10.1.0.0/16").expect("it is one");
        assert!(network.contains("10.1.255.1".parse().expect("an address")));
        assert!(!network.contains("10.2.0.1".parse().expect("an address")));
        assert!(!network.contains("::10.1.0.1".parse().expect("an address")));
        let all = Network::parse("::/0").expect("it is one");
        assert!(all.contains("2001:db8::1".parse().expect("an address")));
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_was_learned_is_normal_and_the_rest_is_said_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("proc");
        fs::create_dir_all(root.join("net")).expect("a folder");
        let write = |lines: &[String]| {
            fs::write(root.join("net/tcp"), HEAD.to_owned() + &lines.concat()).expect("it writes");
        };
        let ssh = line("00000000:0016", "00000000:0000", "0A");
        write(std::slice::from_ref(&ssh));
        let config = SocketsConfig { networks: vec!["10.0.0.0/8".to_owned()] };
        let mut sensor =
            Sockets::open(&config, &folder.path().join("known"), VehicleMicros(500_000)).expect("it opens");
        let (mut people, mut out) = (People::new(ProcRoot::new(&root)), Outbox::default());
        let mut look = |sensor: &mut Sockets, second: u64| {
            let now = VehicleMicros(second * 1_000_000);
            sensor.turn(&mut Turn { now, people: &mut people, out: &mut out });
            std::iter::from_fn(|| out.pop()).collect::<Vec<_>>()
        };
        assert_eq!(look(&mut sensor, 0), [], "it learns");
        assert_eq!(look(&mut sensor, 1), []);
        let shell = line("00000000:115C", "00000000:0000", "0A");
        let near = line("0A00000A:9000", "0100000A:01BB", "01");
        let far = line("0A00000A:9001", "08080808:01BB", "01");
        let called = line("0A00000A:0016", "09090909:9999", "01");
        write(&[ssh.clone(), shell, near, far, called, "rubbish\n".to_owned()]);
        let found = look(&mut sensor, 2);
        let ports: Vec<_> = found.iter().map(|event| event.event_type).collect();
        assert_eq!(ports, [event::HOST_PORT_OPENED, event::HOST_EGRESS_UNEXPECTED]);
        assert_eq!(found[0].value(field::DESTINATION_PORT), Some(&Value::Int(4444)));
        assert_eq!(found[1].text_of(field::DESTINATION_IP), Some("8.8.8.8"));
        assert_eq!(look(&mut sensor, 3), [], "each is said once");
        write(std::slice::from_ref(&ssh));
        assert_eq!(look(&mut sensor, 4), []);
        write(&[ssh, line("00000000:115C", "00000000:0000", "0A")]);
        assert_eq!(look(&mut sensor, 5).len(), 1, "opened again is said again");
        let counts = sensor.state().counts;
        assert!(counts.is_balanced() && counts.rejected == 2, "{counts:?}");
    }
}
