//! IDS frames of other ECUs: the part of the IDS reporter (IdsR).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use outrider_gateway::{Ed25519Verifier, FieldValue, SecurityEvent};
use outrider_types::{EcuId, VehicleMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::ids_frame::{IdsFrameError, IdsMessage, IdsTimestamp, IdsView};
use outrider_wire::{SIGNATURE_BYTES, Verifier, limits};
use serde::{Deserialize, Serialize};

use super::names::{EventName, SevNames};

/// Longest datagram: what UDP over IPv4 can carry.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Length of the header that some transports put before each frame: message number and length, four bytes each.
pub(super) const SEPARATION_BYTES: usize = 8;
/// Most frames taken from one datagram; a larger one is no report but a flood.
const FRAMES_MAX: u32 = 256;
/// Longest security extract: some thousand events. Reading takes about six times its size in memory, which the program
/// gives back; a whole ECU extract belongs on a desk.
const EXTRACT_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Shortest time between two events about refused frames of one reason.
const COMPLAINT_US: u64 = 60_000_000;

/// `[idsr]`: where IDS frames of other ECUs come in. Without it nobody listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdsrSection {
    /// Address to listen on, UDP; one that is not of this machine alone needs `allow_remote`.
    pub listen: SocketAddr,
    /// Whether other machines may reach the address.
    #[serde(default)]
    pub allow_remote: bool,
    /// IdsM instances that may report; all others are refused.
    pub instances: BTreeSet<u16>,
    /// Whether eight bytes of message number and length stand before each frame.
    #[serde(default)]
    pub separation_header: bool,
    /// Security extract (ARXML) that names the events.
    #[serde(default)]
    pub extract: Option<PathBuf>,
    /// Ed25519 key, hexadecimal: frames without a right signature of it are refused.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Events of the catalogue by event definition id.
    #[serde(default)]
    pub event: Vec<EventName>,
}

impl IdsrSection {
    /// Reads the security extract and creates the reporter.
    ///
    /// # Errors
    /// A text that names the file or the setting.
    pub fn open(&self) -> Result<Idsr, String> {
        let defined = match &self.extract {
            None => Vec::new(),
            Some(path) => {
                let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
                if bytes > EXTRACT_BYTES_MAX {
                    let path = path.display();
                    return Err(format!(
                        "{path}: has {bytes} bytes, at most {EXTRACT_BYTES_MAX} are read in a vehicle"
                    ));
                }
                let description =
                    crate::io::network::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
                description.security_events
            }
        };
        Idsr::new(self, SevNames::new(&defined, &self.event)?)
    }
}

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Refusal {
    Malformed,
    Version,
    Value,
    Instance,
    Signature,
    TooMany,
}

impl Refusal {
    const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Value => "value",
            Self::Instance => "instance",
            Self::Signature => "signature",
            Self::TooMany => "too_many",
        }
    }
}

/// Where frames went: frames = accepted + malformed + version + value + instance + signature + too_many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct IdsrCounts {
    /// Datagrams taken.
    pub datagrams: u64,
    /// Frames found in them; what stands behind a broken frame counts as part of it.
    pub frames: u64,
    /// Frames that became events.
    pub accepted: u64,
    /// Frames that end early, or whose separation header lies.
    pub malformed: u64,
    /// Frames of an unknown version of the protocol.
    pub version: u64,
    /// Frames with a value that is not legal.
    pub value: u64,
    /// Frames of an IdsM that may not report.
    pub instance: u64,
    /// Frames without a right signature, where one is asked for.
    pub signature: u64,
    /// Rests of datagrams with too many frames.
    pub too_many: u64,
    /// Accepted frames whose context was too long for a row; the event came without it.
    pub contexts_dropped: u64,
}

impl IdsrCounts {
    /// Returns true if every frame is in one count (BAL-1).
    #[must_use]
    pub const fn holds(&self) -> bool {
        let refused =
            self.malformed + self.version + self.value + self.instance + self.signature + self.too_many;
        self.frames == self.accepted + refused
    }
}

/// Turns datagrams into events.
#[derive(Debug)]
pub struct Idsr {
    instances: BTreeSet<u16>,
    separation_header: bool,
    names: SevNames,
    key: Option<Ed25519Verifier>,
    counts: IdsrCounts,
    /// Refusals not yet said, and when they were said last.
    refused: BTreeMap<Refusal, (u64, Option<VehicleMicros>, Option<u16>)>,
}

impl Idsr {
    /// Creates it from its section and the names of events.
    ///
    /// # Errors
    /// A text that names the setting.
    pub fn new(section: &IdsrSection, names: SevNames) -> Result<Self, String> {
        if !section.listen.ip().is_loopback() && !section.allow_remote {
            return Err(format!(
                "listen = {:?} is reachable by others: say allow_remote = true",
                section.listen
            ));
        }
        if section.instances.is_empty() || section.instances.last().is_some_and(|&last| last > 1023) {
            return Err("instances: at least one, each 0 to 1023".to_owned());
        }
        let key = match &section.public_key {
            None => None,
            Some(text) => {
                let bytes = outrider_types::hex_decode::<32>(text.trim())
                    .map_err(|error| format!("public_key: {error}"))?;
                Some(Ed25519Verifier::new(&bytes).map_err(|error| format!("public_key: {error}"))?)
            }
        };
        Ok(Self {
            instances: section.instances.clone(),
            separation_header: section.separation_header,
            names,
            key,
            counts: IdsrCounts::default(),
            refused: BTreeMap::new(),
        })
    }

    /// Takes one datagram and gives the events in it to `sink`.
    pub fn receive(&mut self, datagram: &[u8], now: VehicleMicros, sink: &mut dyn FnMut(SecurityEvent)) {
        self.counts.datagrams += 1;
        let mut rest = datagram;
        let mut taken = 0;
        loop {
            self.counts.frames += 1;
            taken += 1;
            if taken > FRAMES_MAX {
                self.refuse(Refusal::TooMany, None);
                return;
            }
            match self.one(rest, now) {
                Ok((event, behind)) => {
                    rest = behind;
                    match event {
                        Ok(event) => {
                            self.counts.accepted += 1;
                            sink(event);
                        }
                        Err((refusal, instance)) => self.refuse(refusal, instance),
                    }
                }
                Err(refusal) => {
                    self.refuse(refusal, None);
                    return;
                }
            }
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Says what was refused, at most once a minute and reason.
    pub fn tick(&mut self, now: VehicleMicros, sink: &mut dyn FnMut(SecurityEvent)) {
        self.complain(now, COMPLAINT_US, sink);
    }

    /// Says what was refused and not said yet, before a shutdown.
    pub fn flush(&mut self, now: VehicleMicros, sink: &mut dyn FnMut(SecurityEvent)) {
        self.complain(now, 0, sink);
    }

    fn complain(&mut self, now: VehicleMicros, quiet_us: u64, sink: &mut dyn FnMut(SecurityEvent)) {
        for (refusal, (count, said, instance)) in &mut self.refused {
            if *count == 0 || said.is_some_and(|said| now.micros_since(said) < quiet_us) {
                continue;
            }
            let mut event = SecurityEvent::new(event::IDS_REPORT_REFUSED, now)
                .with(field::REASON, FieldValue::Text(refusal.word().to_owned()))
                .with(field::DROPPED, FieldValue::Uint(*count));
            if let Some(instance) = instance {
                event = event.with(field::IDS_INSTANCE, FieldValue::Uint(u64::from(*instance)));
            }
            (*count, *said) = (0, Some(now));
            sink(event);
        }
    }

    /// Returns the counts.
    #[must_use]
    pub const fn counts(&self) -> IdsrCounts {
        self.counts
    }

    fn refuse(&mut self, refusal: Refusal, instance: Option<u16>) {
        let counter = match refusal {
            Refusal::Malformed => &mut self.counts.malformed,
            Refusal::Version => &mut self.counts.version,
            Refusal::Value => &mut self.counts.value,
            Refusal::Instance => &mut self.counts.instance,
            Refusal::Signature => &mut self.counts.signature,
            Refusal::TooMany => &mut self.counts.too_many,
        };
        *counter += 1;
        let entry = self.refused.entry(refusal).or_default();
        entry.0 += 1;
        entry.2 = instance.or(entry.2);
    }

    /// Reads the frame at the beginning; the outer error leaves nothing to go on with.
    #[expect(clippy::type_complexity, reason = "an event or its refusal, and what stands behind")]
    fn one<'a>(
        &mut self,
        bytes: &'a [u8],
        now: VehicleMicros,
    ) -> Result<(Result<SecurityEvent, (Refusal, Option<u16>)>, &'a [u8]), Refusal> {
        let (bytes, behind) = if self.separation_header { separated(bytes)? } else { (bytes, None) };
        let (view, rest) = IdsView::parse(bytes).map_err(|error| match error {
            IdsFrameError::Version { .. } => Refusal::Version,
            IdsFrameError::Truncated { .. }
            | IdsFrameError::Event
            | IdsFrameError::Count
            | IdsFrameError::Instance
            | IdsFrameError::Timestamp
            | IdsFrameError::Context
            | IdsFrameError::Signature
            | IdsFrameError::Full { .. } => Refusal::Malformed,
        })?;
        if behind.is_some() && !rest.is_empty() {
            return Err(Refusal::Malformed);
        }
        Ok((self.judge(&view, now), behind.unwrap_or(rest)))
    }

    fn judge(
        &mut self,
        view: &IdsView<'_>,
        now: VehicleMicros,
    ) -> Result<SecurityEvent, (Refusal, Option<u16>)> {
        let instance = view.instance();
        if !self.instances.contains(&instance) {
            return Err((Refusal::Instance, Some(instance)));
        }
        let message = IdsMessage::parse(view).map_err(|_| (Refusal::Value, Some(instance)))?;
        let is_signed = match &self.key {
            None => false,
            Some(key) => {
                let signature =
                    message.signature.and_then(|bytes| <&[u8; SIGNATURE_BYTES]>::try_from(bytes).ok());
                let is_right = signature.is_some_and(|signature| key.verify(view.signed(), signature));
                if !is_right {
                    return Err((Refusal::Signature, Some(instance)));
                }
                true
            }
        };
        Ok(self.event(&message, is_signed, now))
    }

    fn event(&mut self, message: &IdsMessage<'_>, is_signed: bool, now: VehicleMicros) -> SecurityEvent {
        let named = self.names.named(message.event);
        let uint = |value: u64| FieldValue::Uint(value);
        let mut event = SecurityEvent::new(named.event_type, now)
            .with(field::IDS_EVENT_ID, uint(u64::from(message.event.get())))
            .with(field::IDS_INSTANCE, uint(u64::from(message.instance.get())))
            .with(field::IDS_SENSOR, uint(u64::from(message.sensor.get())))
            .with(field::IDS_SIGNED, FieldValue::Flag(is_signed));
        event.ecu = EcuId(message.instance.get());
        event.count = u64::from(message.count.get());
        if let Some(symbol) = named.symbol {
            event = event.with(field::IDS_EVENT_NAME, FieldValue::Text(symbol));
        }
        if let Some(IdsTimestamp::Autosar { seconds, nanos }) = message.timestamp {
            let micros = u64::from(seconds) * 1_000_000 + u64::from(nanos / 1000);
            event = event.with(field::IDS_TIME_US, uint(micros));
        }
        if let Some(context) = message.context {
            if let Some(layout) = context.layout {
                event = event.with(field::IDS_CONTEXT_VERSION, uint(u64::from(layout.version)));
            }
            if context.bytes.len() <= limits::CONTEXT_BYTES_MAX {
                event.context = context.bytes.to_vec();
            } else {
                self.counts.contexts_dropped += 1;
                event = event.with(field::SIZE_BYTES, uint(context.bytes.len() as u64));
            }
        }
        event
    }
}

/// Takes the separation header off: the frame, and what stands behind it.
fn separated(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Refusal> {
    let (header, rest) = bytes.split_first_chunk::<SEPARATION_BYTES>().ok_or(Refusal::Malformed)?;
    let [_, _, _, _, length @ ..] = *header;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Refusal::Malformed)?;
    let (frame, behind) = rest.split_at_checked(length).ok_or(Refusal::Malformed)?;
    Ok((frame, Some(behind)))
}
