//! The publish side against a public suite: mosquitto's own broker tests, 1,486 cases of raw packets.
//!
//! `OUTRIDER_MQTT_SUITE` names the folder of its JSON files; `scripts/mqtt-suite.sh` fetches it. Each case runs over TLS
//! against the listener, and falls into one [`Class`]; where our answer is another than the suite's, a rule of
//! `mqtt_suite_rules.rs` must say which feature is refused, or which clause of the standard wants it so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use outrider_server::vehicle::admission::{HandshakeLimits, Rate};
use outrider_server::vehicle::mqtt::{Close, Gate, Head, Session, SessionLimits};
use outrider_types::VehicleId;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::client_config;
use crate::harness::{Running, running_with};
use crate::mqtt::{Client, Packet, connect3, connect5, packet, publish, text};
use crate::mqtt_suite_cases::{Contract, SuiteCase, SuiteStep, read, split};
use crate::mqtt_suite_rules::{Class, Difference, Got, RULES, Wanted, is_for_a_fault, judge};

/// Vehicles that work at the same time: each has one session, so that cases do not take each other over.
const VEHICLES: u8 = 8;
/// Longer than any answer takes. Nobody waits for it unless the server hangs.
const HANG: Duration = Duration::from_secs(10);
const PING: [u8; 2] = [0xc0, 0];

/// Folder of the suite, or `None` if it was not fetched. A missing suite is a failure where it is demanded.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("OUTRIDER_MQTT_SUITE").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        assert!(std::env::var_os("OUTRIDER_NEED_MQTT_SUITE").is_none(), "OUTRIDER_MQTT_SUITE is not set");
        say("SKIPPED: OUTRIDER_MQTT_SUITE is not set; `bash scripts/mqtt-suite.sh` fetches the suite\n");
    }
    folder.map(PathBuf::from)
}

/// Writes past the capture of test output: what was skipped, and the table, are for the log of a green run too.
pub(crate) fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("there is a standard error");
}

/// A vehicle that runs cases.
pub(crate) struct Tester {
    pub(crate) contract: Contract,
    vehicle: VehicleId,
    tls: tokio_rustls::TlsConnector,
    address: std::net::SocketAddr,
}

/// A server without the limits that many connections of one machine would meet.
pub(crate) async fn server() -> Running {
    running_with(|config| {
        let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
        config.mqtt.listener.handshakes = HandshakeLimits { underway_max: 256, rate };
        config.vehicle_rate.frames = rate;
    })
    .await
}

impl Tester {
    pub(crate) async fn new(running: &Running, number: u8) -> Self {
        let vehicle = running.vehicle(number).await;
        let files = running.server.ca().issue_vehicle(vehicle.id).expect("a certificate is issued");
        Self {
            contract: Contract { id: vehicle.id.to_string(), frame: vehicle.batch(1..=1) },
            vehicle: vehicle.id,
            tls: client_config(Some(&files), running.server.ca().certificate()).into(),
            address: running.server.mqtt_addr.expect("it takes frames"),
        }
    }

    /// Makes a TLS connection.
    pub(crate) async fn open(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket takes it");
        let name = ServerName::try_from("localhost").expect("a name");
        Client { stream: self.tls.connect(name, stream).await.expect("the listener admits it") }
    }

    /// The CONNECT that a case of this protocol level begins with.
    pub(crate) fn connect(&self, level: u8) -> Vec<u8> {
        match level {
            5 => connect5(&self.contract.id, 2, 60, &[]),
            4 => connect3(&self.contract.id),
            _ => packet(0x10, &[&text("MQIsdp"), &[3, 2, 0, 60], &text(&self.contract.id)]),
        }
    }
}

/// A case under way.
struct Run<'a> {
    tester: &'a Tester,
    /// Another vehicle.
    other: &'a Tester,
    client: Client,
    level: u8,
    /// Everything that was sent, and the last packet of it.
    sent: Vec<u8>,
    last: Vec<u8>,
    /// Whether the server has ended the connection as the suite wanted.
    is_over: bool,
    rules: Vec<&'static str>,
    class: Class,
}

/// Result of a case.
struct CaseResult {
    class: Class,
    rules: Vec<&'static str>,
    problem: Option<String>,
}

/// Why a case goes no further: it is done, or it failed.
type Halt = Result<(), String>;

impl Run<'_> {
    async fn send(&mut self, bytes: Vec<u8>) {
        use tokio::io::AsyncWriteExt as _;
        // The level of a CONNECT is that of the session.
        if let Some((first, body)) = split(&bytes)
            && first >> 4 == 1
            && body.starts_with(b"\0\x04MQTT")
        {
            self.level = body.get(6).copied().unwrap_or(self.level);
        }
        // A server that has already ended the connection shows it when we read.
        let _ = self.client.stream.write_all(&bytes).await;
        let _ = self.client.stream.flush().await;
        self.sent.extend(&bytes);
        self.last = bytes;
    }

    /// The next packet; `Ok(None)` at the end of the connection.
    async fn next(&mut self) -> Result<Option<Packet>, String> {
        timeout(HANG, self.client.packet()).await.map_err(|_| "no answer and no end".to_owned())
    }

    /// What comes, seen as an answer to the last packet. `asks`: a PINGREQ shows whether anything comes.
    async fn look(&mut self, asks: bool) -> Result<Got, String> {
        if asks {
            use tokio::io::AsyncWriteExt as _;
            let _ = self.client.stream.write_all(&PING).await;
            let _ = self.client.stream.flush().await;
        }
        let Some((first, body)) = self.next().await? else { return Ok(Got::End) };
        let code = match first {
            0xe0 => Some(body.first().copied().unwrap_or(0)),
            0x20 => body.get(1).copied().filter(|code| *code != 0),
            _ => None,
        };
        if let Some(code) = code {
            return Ok(match self.next().await? {
                None => Got::LastWord(first, code),
                Some(more) => Got::Odd(format!("{more:02x?} after the last word")),
            });
        }
        if first == 0xd0 && asks {
            return Ok(Got::Silence);
        }
        if asks {
            // The answer to our own PINGREQ comes after it.
            match self.next().await? {
                Some((0xd0, _)) => {}
                other => return Ok(Got::Odd(format!("{first:02x} {body:02x?}, then {other:02x?}"))),
            }
        }
        Ok(Got::Packet((first, body)))
    }

    /// Notes a difference; `Err` if no rule allows it.
    fn differ(&mut self, wanted: &Wanted, got: &Got) -> Halt {
        let why = self.tester.why(&self.sent);
        let difference = Difference { level: self.level, sent: &self.last, wanted, got, why };
        let rule = judge(&self.tester.contract, &difference).ok_or_else(|| {
            format!("after {:02x?} wanted {wanted:02x?}, got {got:02x?} ({why:?})", self.last)
        })?;
        self.class = self.class.max(rule.class);
        self.rules.push(rule.name);
        Ok(())
    }

    /// Expects a packet; `Ok(false)` if the case is over.
    async fn expect(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let (first, body) = split(bytes).expect("the suite expects whole packets");
        let wanted = (first, body.to_vec());
        // Only a message to a subscriber may stay away and leave the session silent.
        let got = self.look(first >> 4 == 3).await?;
        if is_same(self.level, &wanted, &got) {
            self.is_over = matches!(got, Got::LastWord(..));
            return Ok(true);
        }
        self.differ(&Wanted::Packet(wanted), &got)?;
        Ok(matches!(got, Got::Packet((0x90, _)) | Got::Silence))
    }

    /// Expects the end, or a connection that lives.
    async fn finish(&mut self, ends: bool) -> Halt {
        if self.is_over {
            return if ends { Ok(()) } else { Err("the connection ended".to_owned()) };
        }
        if !ends {
            let got = self.look(true).await?;
            return if got == Got::Silence { Ok(()) } else { self.differ(&Wanted::Alive, &got) };
        }
        let got = self.look(false).await?;
        // An end without a word may have another cause than the suite means.
        if got == Got::End && is_for_a_fault(self.tester.why(&self.sent)) {
            return Ok(());
        }
        self.differ(&Wanted::End, &got)
    }

    /// Another vehicle publishes to this one's topic: nobody carries a message from one client to another.
    async fn publish_from_another(&mut self) -> Halt {
        let mut other = self.other.open().await;
        let topic = self.tester.contract.named_down();
        other.send(&self.other.connect(5)).await;
        let connack = other.packet().await;
        other.send(&publish(5, &topic, 1, &self.other.contract.frame)).await;
        match (connack, other.packet().await) {
            (Some((0x20, _)), Some((0x40, body))) if body.starts_with(&[0, 1, 0x87]) => Ok(()),
            answers => Err(format!("a message to another vehicle: {answers:02x?}")),
        }
    }

    async fn steps(&mut self, case: &SuiteCase) -> Halt {
        if case.connects {
            self.send(self.tester.connect(case.level)).await;
            let got = self.look(false).await?;
            if !matches!(got, Got::Packet((0x20, _))) {
                return self.differ(&Wanted::Packet((0x20, vec![0, 0])), &got);
            }
        }
        for step in &case.steps {
            match step {
                SuiteStep::Send(bytes) => {
                    let bytes = self.tester.contract.adapt(self.level, bytes);
                    self.send(bytes).await;
                }
                SuiteStep::Expect(bytes) => {
                    // A case whose message stayed away has nothing left to be acknowledged.
                    if !self.expect(bytes).await? {
                        return Ok(());
                    }
                }
                SuiteStep::FromAnother => self.publish_from_another().await?,
            }
        }
        self.finish(case.ends).await
    }
}

/// Returns whether an answer is the suite's. Compared is what the packet says: code and identifier of an answer. The
/// properties of a CONNACK and the reason string of a DISCONNECT are the server's own, and a PUBACK that says yes may add
/// that nobody listens (0x10).
fn is_same(level: u8, (first, body): &Packet, got: &Got) -> bool {
    match (*first, got) {
        (0xe0, Got::LastWord(0xe0, code)) => body.first().copied().unwrap_or(0) == *code,
        (0x20, Got::LastWord(0x20, code)) => body.get(1) == Some(code),
        (0x20, Got::Packet((0x20, got))) => body.get(..2) == got.get(..2),
        (0x40, Got::Packet((0x40, got))) if level == 5 => {
            let code = |body: &[u8]| body.get(2).copied().filter(|code| *code >= 0x80).unwrap_or(0);
            body.get(..2) == got.get(..2) && code(body) == code(got)
        }
        (first, Got::Packet(got)) => first == got.0 && *body == got.1,
        _ => false,
    }
}

impl Tester {
    /// Why the session's state machine ends after these bytes: an end over TLS does not say it in 3.1.1.
    fn why(&self, mut bytes: &[u8]) -> Option<Close> {
        let now = Duration::from_secs(1);
        let mut session = Session::new(self.vehicle, SessionLimits { patience: HANG }, now);
        loop {
            let mut step = match Head::parse(bytes) {
                Err(fault) => session.fail(fault),
                Ok(Some(head)) if head.packet_bytes() <= bytes.len() => {
                    let body = &bytes[head.head_bytes..head.packet_bytes()];
                    bytes = &bytes[head.packet_bytes()..];
                    session.receive(head, body, now, || Gate::Open)
                }
                Ok(_) => return None,
            };
            if let Some(take) = step.take.take() {
                step = session.taken(take.id, Ok(Vec::new()));
            }
            if step.close.is_some() {
                return step.close;
            }
        }
    }

    async fn run(&self, other: &Self, case: &SuiteCase) -> CaseResult {
        let mut run = Run {
            tester: self,
            other,
            client: self.open().await,
            level: case.level,
            sent: Vec::new(),
            last: Vec::new(),
            is_over: false,
            rules: Vec::new(),
            class: Class::Same,
        };
        match run.steps(case).await {
            Ok(()) => CaseResult { class: run.class, rules: run.rules, problem: None },
            Err(problem) => {
                let problem = format!("{}: {}: {problem}", case.file, case.name);
                CaseResult { class: Class::Failed, rules: Vec::new(), problem: Some(problem) }
            }
        }
    }
}

/// Cases by file and class, and by rule.
fn table(results: &[(&SuiteCase, CaseResult)]) -> String {
    let mut files: BTreeMap<&str, BTreeMap<Class, usize>> = BTreeMap::new();
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for (case, result) in results {
        for file in [case.file.as_str(), "~ all"] {
            *files.entry(file).or_default().entry(result.class).or_default() += 1;
        }
        let mut names = result.rules.clone();
        names.dedup();
        names.into_iter().for_each(|name| *rules.entry(name).or_default() += 1);
    }
    let unused: Vec<_> =
        RULES.iter().map(|rule| rule.name).filter(|name| !rules.contains_key(name)).collect();
    assert!(unused.is_empty(), "rules without a case: {unused:?}");
    let mut out = format!("{:<16}", "mosquitto's file");
    Class::ALL.iter().for_each(|class| write!(out, "{:>11}", class.name()).expect("memory"));
    for (file, counts) in &files {
        write!(out, "\n{:<16}", file.trim_start_matches("~ ")).expect("memory");
        for class in Class::ALL {
            write!(out, "{:>11}", counts.get(&class).copied().unwrap_or(0)).expect("memory");
        }
    }
    for rule in RULES {
        if let Some(count) = rules.remove(rule.name) {
            write!(out, "\n{count:>5}  {}: {}", rule.class.name(), rule.name).expect("memory");
        }
    }
    out.push('\n');
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_suite_finds_nothing_that_is_not_documented() {
    let Some(folder) = folder() else { return };
    let cases = read(&folder);
    let running = server().await;
    let mut testers = Vec::new();
    for number in 0..VEHICLES {
        let pair = [2 * number + 1, 2 * number + 2].map(|number| Tester::new(&running, number));
        testers.push(join_all(pair).await);
    }
    let workers = testers.iter().enumerate().map(|(first, pair)| {
        let mine = cases.iter().skip(first).step_by(usize::from(VEHICLES));
        async move {
            let mut results = Vec::new();
            for case in mine {
                results.push((case, pair[0].run(&pair[1], case).await));
            }
            results
        }
    });
    let results: Vec<_> = join_all(workers).await.into_iter().flatten().collect();
    let problems: Vec<_> = results.iter().filter_map(|(_, result)| result.problem.as_ref()).collect();
    assert!(problems.is_empty(), "{} cases failed: {problems:#?}", problems.len());
    say(&table(&results));
    let count = |class| results.iter().filter(|(_, result)| result.class == class).count();
    // The counts of version 2.0.21 are 1,486, 1,078 and 317. Fewer would mean that the suite was not read, or that a rule
    // swallows what it should not.
    assert!(results.len() >= 1486 && count(Class::Same) >= 1050, "{} are the same", count(Class::Same));
    assert!(count(Class::ByDesign) >= 300, "{} are refused by design", count(Class::ByDesign));
    running.server.shutdown().await;
}
