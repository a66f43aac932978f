//! Our own qualified events as IDS frames for another reporter.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_types::{ClockFix, Severity};
use outrider_wire::ids_frame::{
    ContextLayout, IdsContext, IdsMessage, IdsTimestamp, IdsVersion, IdsmInstance, SensorInstance,
};
use serde::{Deserialize, Serialize};

use super::idsr::SEPARATION_BYTES;
use super::names::{EventName, SevNames};

/// Frames that wait for the socket; more are lost and counted.
const FRAMES_MAX: usize = 256;
/// Version of the layout of our contexts.
pub(crate) const LAYOUT: ContextLayout = ContextLayout { version: 1, is_altered: false };
/// Longest context that goes out: the frame still fits one Ethernet frame.
const CONTEXT_BYTES_MAX: usize = 1024;

/// `[idsm]`: where qualified events go as IDS frames, beside the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdsmSection {
    /// Address of the reporter, UDP.
    pub target: SocketAddr,
    /// Number of this IdsM, 0 to 1023.
    pub instance: u16,
    /// Number of the sensor, 0 to 63.
    #[serde(default)]
    pub sensor: u8,
    /// Version of the protocol, 1 or 2.
    #[serde(default = "version")]
    pub version: u8,
    /// Whether eight bytes of message number and length stand before each frame.
    #[serde(default)]
    pub separation_header: bool,
    /// Numbers of events that have one of their own; others are 0x8000 plus their number in the catalogue.
    #[serde(default)]
    pub event: Vec<EventName>,
}

const fn version() -> u8 {
    2
}

/// Where events went; offered = queued + limited + unnamed + full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdsmCounts {
    /// Qualified events.
    pub offered: u64,
    /// Frames that were queued for the socket.
    pub queued: u64,
    /// Dropped by the rate or traffic limit.
    pub limited: u64,
    /// Events that have no legal number.
    pub unnamed: u64,
    /// Lost because too many frames waited.
    pub full: u64,
    /// Of the queued ones, those that the socket did not take.
    pub failed: u64,
}

impl IdsmCounts {
    /// Returns true if every event is in one count (BAL-1).
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.offered == self.queued + self.limited + self.unnamed + self.full
    }
}

/// Turns events into frames.
#[derive(Debug)]
pub struct Idsm {
    version: IdsVersion,
    instance: IdsmInstance,
    sensor: SensorInstance,
    separation_header: bool,
    names: SevNames,
    queue: VecDeque<Vec<u8>>,
    counts: IdsmCounts,
}

impl Idsm {
    /// Creates it from its section.
    ///
    /// # Errors
    /// A text that names the setting.
    pub fn new(section: &IdsmSection) -> Result<Self, String> {
        let text = |error: outrider_wire::ids_frame::IdsFrameError| error.to_string();
        Ok(Self {
            version: IdsVersion::from_code(section.version).map_err(text)?,
            instance: IdsmInstance::new(section.instance).map_err(text)?,
            sensor: SensorInstance::new(section.sensor).map_err(text)?,
            separation_header: section.separation_header,
            names: SevNames::new(&[], &section.event)?,
            queue: VecDeque::new(),
            counts: IdsmCounts::default(),
        })
    }

    /// Returns the frame of an event, or `None` if it has no legal number.
    pub(super) fn frame(&mut self, event: &SecurityEvent, fix: Option<&ClockFix>) -> Option<Vec<u8>> {
        self.counts.offered += 1;
        let Some(id) = self.names.id(event.event_type) else {
            self.counts.unnamed += 1;
            return None;
        };
        // Brief reports have lost their context, and then the frame has none [SWS_IdsM_01010].
        let has_context = !event.fields.is_empty() || !event.context.is_empty();
        let context = has_context.then(|| context(event));
        let count = NonZeroU16::new(u16::try_from(event.count).unwrap_or(u16::MAX));
        let message = IdsMessage {
            version: self.version,
            instance: self.instance,
            sensor: self.sensor,
            event: id,
            count: count.unwrap_or(NonZeroU16::MIN),
            timestamp: fix.and_then(|fix| timestamp(fix, event)),
            context: context.as_deref().map(|bytes| IdsContext {
                layout: (self.version == IdsVersion::V2).then_some(LAYOUT),
                bytes,
            }),
            signature: None,
        };
        let length = message.frame_bytes();
        let before = if self.separation_header { SEPARATION_BYTES } else { 0 };
        let mut out = vec![0; before + length];
        if self.separation_header {
            let short = u32::try_from(length).unwrap_or(u32::MAX);
            out[4..8].copy_from_slice(&short.to_be_bytes());
        }
        let written = message.emit(&mut out[before..]);
        if written.is_err() {
            // Every value was made legal above, so this is a bug; the event still is in a count.
            debug_assert!(false, "{written:?}");
            self.counts.unnamed += 1;
            return None;
        }
        Some(out)
    }

    pub(super) fn push(&mut self, frame: Vec<u8>) {
        if self.queue.len() >= FRAMES_MAX {
            self.counts.full += 1;
        } else {
            self.counts.queued += 1;
            self.queue.push_back(frame);
        }
    }

    pub(super) const fn limited(&mut self) {
        self.counts.limited += 1;
    }

    pub(super) const fn send_failed(&mut self) {
        self.counts.failed += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.queue.pop_front()
    }

    pub(super) const fn counts(&self) -> IdsmCounts {
        self.counts
    }
}

fn timestamp(fix: &ClockFix, event: &SecurityEvent) -> Option<IdsTimestamp> {
    let wall = u64::try_from(fix.event_time(event.first).best.0).ok()?;
    let seconds = u32::try_from(wall / 1_000_000).ok()?;
    let nanos = u32::try_from(wall % 1_000_000 * 1000).ok()?;
    Some(IdsTimestamp::Autosar { seconds, nanos })
}

/// Context of layout 1: severity (0 to 4, or 255 for the catalogue's), bus (or 255), then fields as key (2 bytes), kind
/// (0 unsigned, 1 signed, 2 text, 3 bytes, 4 double, 5 flag), length, value; numbers big endian. A field that does not fit
/// is left out.
pub(crate) fn context(event: &SecurityEvent) -> Vec<u8> {
    let severity = event.severity.map_or(u8::MAX, |severity| match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    });
    let mut out = vec![severity, event.bus.map_or(u8::MAX, |bus| bus.0)];
    for (key, value) in &event.fields {
        let (kind, bytes): (u8, Vec<u8>) = match value {
            FieldValue::Uint(value) => (0, value.to_be_bytes().to_vec()),
            FieldValue::Sint(value) => (1, value.to_be_bytes().to_vec()),
            FieldValue::Text(text) => (2, text.as_bytes().to_vec()),
            FieldValue::Bytes(bytes) => (3, bytes.clone()),
            FieldValue::Double(value) => (4, value.to_bits().to_be_bytes().to_vec()),
            FieldValue::Flag(flag) => (5, vec![u8::from(*flag)]),
        };
        let Ok(length) = u8::try_from(bytes.len()) else { continue };
        if out.len() + 4 + bytes.len() > CONTEXT_BYTES_MAX {
            continue;
        }
        out.extend(key.0.to_be_bytes());
        out.extend([kind, length]);
        out.extend(bytes);
    }
    out
}
