//! MQTT over TLS 1.3 to the cloud's edge, or to a broker in front of it: one session, kept open.
//!
//! **In:** frames. **Out:** replies, and replies that nobody asked for because a command waits. **Never:** a row freed for
//! a PUBACK: only the signed watermark in a reply does that. **Start reading** at [`MqttLink::exchange`].

pub mod client;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use outrider_gateway::Backoff;
use outrider_gateway::short::SessionTagger;
use outrider_gateway::uplink::{ShortSession, Transport, TransportError};
use outrider_types::{Seed, VehicleMicros};
use outrider_wire::{Reply, UplinkFrame, is_short};

pub use self::client::Version;
use self::client::{Client, Fault, Heard, Identity, WAITING_MAX};
pub use self::tls::TlsDial;
use super::https::HttpsLink;
use crate::runtime::CloudLink;

/// Time from a connection to the end of the subscription, and for a reply to a frame. A reply waits for a disk and for
/// up to eight frames before it (guess).
pub const PATIENCE: Duration = Duration::from_secs(15);
/// First and longest step of the waits between connections.
const BACKOFF_US: (u64, u64) = (1_000_000, 600_000_000);
/// Least wait after a server said that this client is not wanted: trying again soon changes nothing.
const UNWANTED_US: u64 = 60_000_000;
/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// A connection: bytes both ways, and a key that both of its ends can derive.
pub trait Stream {
    /// Reads what is there, waiting at most `wait`; 0 bytes are its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`] if nothing came, anything else if it broke.
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Writes all bytes.
    ///
    /// # Errors
    /// It broke, or took too long.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns the key that the TLS exporter gives for short frames, if there is one.
    fn key(&self) -> Option<[u8; 32]>;
}

/// Opens connections.
pub trait Dial {
    /// Opens a connection, with mutual authentication.
    ///
    /// # Errors
    /// Why there is none.
    fn dial(&mut self) -> io::Result<Box<dyn Stream>>;

    /// Returns the time since any one moment.
    fn now(&self) -> Duration;
}

struct Open {
    stream: Box<dyn Stream>,
    client: Client,
    id: u64,
    /// When something was last sent.
    said: Duration,
    /// When the ping went out that is not answered yet.
    pinged: Option<Duration>,
}

/// State of the link, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkState {
    /// Whether a session is open.
    pub is_open: bool,
    /// Whether it takes short frames.
    pub takes_short: bool,
    /// Sessions tried so far.
    pub sessions: u64,
    /// Attempts that failed, and sessions that broke.
    pub failures: u64,
    /// Reason code of the last refusal; 0 if there was none.
    pub refusal: u8,
}

/// Link to the cloud over MQTT.
pub struct MqttLink<D> {
    dial: D,
    identity: Identity,
    /// Whether another party reads what the vehicle publishes: then nobody tells us of commands, and no key is shared.
    is_broker: bool,
    evidence: Option<HttpsLink>,
    open: Option<Open>,
    waiting: VecDeque<Vec<u8>>,
    backoff: Backoff,
    not_before: Duration,
    patience: Duration,
    state: LinkState,
}

impl<D: Dial> MqttLink<D> {
    /// Creates a link that connects when it is used; `seed` is for jitter only.
    #[must_use]
    pub const fn new(dial: D, identity: Identity, is_broker: bool, seed: Seed) -> Self {
        Self {
            dial,
            identity,
            is_broker,
            evidence: None,
            open: None,
            waiting: VecDeque::new(),
            backoff: Backoff::new(BACKOFF_US.0, BACKOFF_US.1, seed),
            not_before: Duration::ZERO,
            patience: PATIENCE,
            state: LinkState { is_open: false, takes_short: false, sessions: 0, failures: 0, refusal: 0 },
        }
    }

    /// Sends captures this way.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Option<HttpsLink>) -> Self {
        self.evidence = evidence;
        self
    }

    /// Waits so long for a reply instead of [`PATIENCE`].
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Takes other steps between connections than from a second to ten minutes, in microseconds.
    #[must_use]
    pub fn with_backoff(mut self, base_us: u64, max_us: u64) -> Self {
        self.backoff = Backoff::new(base_us, max_us, Seed::new(base_us ^ max_us));
        self
    }

    /// Returns the state of the link.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// Opens a session if there is none and the last failure is long enough ago.
    fn connect(&mut self) -> Result<&mut Open, TransportError> {
        if self.open.is_none() {
            let now = self.dial.now();
            if now < self.not_before {
                return Err(TransportError::Unreachable("waiting after a failure".to_owned()));
            }
            match self.begin() {
                Ok(open) => {
                    self.state = LinkState {
                        is_open: true,
                        takes_short: open.client.takes_short(),
                        refusal: 0,
                        ..self.state
                    };
                    self.open = Some(open);
                }
                Err(ended) => return Err(self.fail(&ended)),
            }
        }
        self.open.as_mut().ok_or_else(|| TransportError::Unreachable("no session".to_owned()))
    }

    fn begin(&mut self) -> Result<Open, Ended> {
        self.state.sessions += 1;
        let (client, connect) = Client::new(self.identity.clone())?;
        let mut stream = self.dial.dial().map_err(Ended::Broken)?;
        stream.write(&connect).map_err(Ended::Broken)?;
        let said = self.dial.now();
        let mut open = Open { stream, client, id: self.state.sessions, said, pinged: None };
        let until = said.saturating_add(self.patience);
        loop {
            for heard in open.hear(&self.dial, until)? {
                match heard {
                    Heard::Ready => return Ok(open),
                    Heard::Down(reply) => self.waiting.push_back(reply),
                    Heard::Acknowledged(_) | Heard::Refused(..) | Heard::Pong => {}
                }
            }
        }
    }

    /// Ends the session and decides when to try again: anywhere in a step that doubles, so that a fleet does not come
    /// back at once. Who is told to go away waits a minute at least.
    fn fail(&mut self, ended: &Ended) -> TransportError {
        self.open = None;
        self.state =
            LinkState { is_open: false, takes_short: false, failures: self.state.failures + 1, ..self.state };
        let now = self.dial.now();
        let mut wait = self.backoff.fail_anywhere(micros(now)).0.saturating_sub(micros(now).0);
        if let Ended::Fault(Fault::Refused(code)) = ended {
            self.state.refusal = *code;
            if is_unwanted(*code) {
                wait = wait.saturating_add(UNWANTED_US);
            }
        }
        self.not_before = now.saturating_add(Duration::from_micros(wait));
        match ended {
            Ended::Slow => TransportError::TimedOut,
            Ended::Broken(error) => TransportError::Unreachable(error.to_string()),
            Ended::Fault(fault) => TransportError::Unreachable(fault.to_string()),
        }
    }

    /// Sends a frame and waits for its reply.
    fn ask(&mut self, frame: &[u8]) -> Result<Result<Vec<u8>, u8>, Ended> {
        let Some(open) = self.open.as_mut() else { return Err(Ended::Slow) };
        let (id, packet) = match open.client.publish(frame) {
            Ok(packed) => packed,
            // The server takes no frame of that length: as good as refused, and the session goes on.
            Err(Fault::TooLong(_)) => return Ok(Err(0x95)),
            Err(fault) => return Err(Ended::Fault(fault)),
        };
        open.stream.write(&packet).map_err(Ended::Broken)?;
        open.said = self.dial.now();
        let until = open.said.saturating_add(self.patience);
        // A receipt is answered without acknowledgement, a batch with one.
        let wants_ack = UplinkFrame::kind(frame) != Some(UplinkFrame::Receipt);
        let mut answer = None;
        loop {
            for heard in open.hear(&self.dial, until)? {
                match heard {
                    Heard::Refused(of, code) if of == id => answer = Some(Err(code)),
                    Heard::Down(reply) => {
                        let is_mine =
                            Reply::parse(&reply).is_ok_and(|reply| !wants_ack || !reply.ack.is_empty());
                        // What is no reply at all is the answer, too: the uplink says why it is not believed.
                        if answer.is_none() && (is_mine || Reply::parse(&reply).is_err()) {
                            answer = Some(Ok(reply));
                        } else {
                            self.waiting.push_back(reply);
                        }
                    }
                    // A PUBACK alone says only that somebody has the bytes.
                    Heard::Acknowledged(_) | Heard::Refused(..) | Heard::Pong | Heard::Ready => {}
                }
            }
            if self.waiting.len() > WAITING_MAX {
                return Err(Ended::Fault(Fault::Flooded));
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Reads what came unasked, and pings in time.
    fn listen(&mut self) -> Result<(), Ended> {
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        let now = self.dial.now();
        match open.hear(&self.dial, now) {
            Ok(all) => {
                for heard in all {
                    match heard {
                        Heard::Down(reply) => self.waiting.push_back(reply),
                        Heard::Pong => open.pinged = None,
                        Heard::Acknowledged(_) | Heard::Refused(..) | Heard::Ready => {}
                    }
                }
            }
            Err(Ended::Slow) => {}
            Err(ended) => return Err(ended),
        }
        if self.waiting.len() > WAITING_MAX {
            return Err(Ended::Fault(Fault::Flooded));
        }
        if open.pinged.is_some_and(|at| now.saturating_sub(at) >= self.patience) {
            return Err(Ended::Slow);
        }
        // Three quarters: the ping has to arrive before the server's patience ends, one and a half of it.
        let silence = Duration::from_secs(u64::from(open.client.keep_alive_s())) * 3 / 4;
        if !silence.is_zero() && open.pinged.is_none() && now.saturating_sub(open.said) >= silence {
            open.stream.write(&Client::ping()).map_err(Ended::Broken)?;
            (open.said, open.pinged) = (now, Some(now));
        }
        Ok(())
    }
}

impl Open {
    /// Waits for packets until `until`; sends what they ask for at once.
    fn hear<D: Dial>(&mut self, dial: &D, until: Duration) -> Result<Vec<Heard>, Ended> {
        let mut bytes = [0; READ_BYTES];
        let mut is_first = true;
        loop {
            let left = until.saturating_sub(dial.now());
            // Slow bytes do not lengthen the wait: it ends for all of them together.
            if left.is_zero() && !is_first {
                return Err(Ended::Slow);
            }
            is_first = false;
            let count = match self.stream.read(&mut bytes, left) {
                Ok(0) => return Err(Ended::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if is_no_news(&error) => continue,
                Err(error) => return Err(Ended::Broken(error)),
            };
            let (heard, send) = self.client.receive(bytes.get(..count).unwrap_or_default())?;
            if !send.is_empty() {
                self.stream.write(&send).map_err(Ended::Broken)?;
            }
            if !heard.is_empty() {
                return Ok(heard);
            }
        }
    }
}

/// Returns true if nothing came in time, which is no fault of the connection.
fn is_no_news(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::Interrupted];
    kinds.contains(&error.kind())
}

/// Why a session ended.
#[derive(Debug)]
enum Ended {
    Slow,
    Broken(io::Error),
    Fault(Fault),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn micros(time: Duration) -> VehicleMicros {
    VehicleMicros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Returns true for reasons that will not have changed in a few seconds: not authorised, banned, wrong identifier or
/// credentials, server busy, quota exceeded, another server, moved, connection rate.
const fn is_unwanted(code: u8) -> bool {
    matches!(code, 0x84..=0x8A | 0x97 | 0x9C | 0x9D | 0x9F)
}

/// Returns the HTTP status that says what a PUBACK's reason code says.
const fn status(code: u8) -> u16 {
    match code {
        0x87 => 403,
        0x90 => 404,
        0x95 => 413,
        0x97 => 429,
        0x99 => 400,
        0x83 => 409,
        _ => 503,
    }
}

impl<D: Dial> Transport for MqttLink<D> {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        // A short frame belongs to the session that is open.
        if is_short(frame) && self.open.is_none() {
            return Err(TransportError::Unreachable("the session has ended".to_owned()));
        }
        self.connect()?;
        match self.ask(frame) {
            Ok(answer) => {
                self.backoff.succeed();
                answer.map_err(|code| TransportError::Refused { status: status(code) })
            }
            Err(ended) => Err(self.fail(&ended)),
        }
    }

    fn session(&mut self) -> Option<ShortSession> {
        let open = self.open.as_ref().filter(|open| !self.is_broker && open.client.takes_short())?;
        Some(ShortSession { id: open.id, tagger: SessionTagger::new(open.stream.key()?) })
    }
}

impl<D: Dial> CloudLink for MqttLink<D> {
    fn upload(
        &mut self,
        command_id: &str,
        sha256: &str,
        media_type: &str,
        content: &[u8],
    ) -> Result<(), TransportError> {
        match &mut self.evidence {
            Some(link) => link.upload(command_id, sha256, media_type, content),
            None => Err(TransportError::Refused { status: 404 }),
        }
    }

    fn fetch(&mut self, sha256: &str, from: u64, bytes_max: usize) -> Result<Vec<u8>, TransportError> {
        match &mut self.evidence {
            Some(link) => link.fetch(sha256, from, bytes_max),
            None => Err(TransportError::Refused { status: 404 }),
        }
    }

    fn takes_evidence(&self) -> bool {
        self.evidence.is_some()
    }

    fn unasked(&mut self) -> Vec<Vec<u8>> {
        // What fails is tried again at the next call, after its wait.
        if self.connect().is_ok()
            && let Err(ended) = self.listen()
        {
            self.fail(&ended);
        }
        self.waiting.drain(..).collect()
    }

    fn tells_commands(&self) -> bool {
        self.state.is_open && !self.is_broker
    }

    fn state(&self) -> Option<LinkState> {
        Some(self.state)
    }
}

impl<D> Drop for MqttLink<D> {
    fn drop(&mut self) {
        if let Some(open) = &mut self.open {
            // Whoever does not hear it notices the closed connection.
            let _ = open.stream.write(&Client::goodbye());
        }
    }
}
