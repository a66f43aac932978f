//! LIN lines of Vector ASCII logs.
//!
//! Behind the time stands the channel, `Li` for the first and `L2` and so on for others, then the event. Read: frames
//! (`Li 3C Rx 8 01 … checksum = 5A CSM = classic`), checksum errors (`CSErr`), headers nobody answered (`TransmErr`),
//! responses that are none (`RcvError:`, `ShortOrSlowResponse:`), `SyncError`, `WakeupFrame` and `Unexpected wakeup:`.
//! `SleepModeEvent` is read where its text says that sleep is entered; the texts are not documented (unverified).
//! Everything else is about the measuring hardware and passed over. Sources: Vector's description of the format as the
//! library `vector_asc` keeps it.

use outrider_bus::lin::{ChecksumKind, Fault, Frame, Heard, Pid, checksum};

use super::super::ProblemReason;
use super::super::text::{Payload, number};
use super::Words;

/// Most words looked at behind a frame for its checksum: 26 are documented, the times of each byte among them.
const TAIL_WORDS: usize = 96;

/// Returns the channel of a word that names a LIN channel, counted from 1.
pub(super) fn channel(word: &str) -> Option<u8> {
    match word.strip_prefix('L')? {
        "i" => Some(1),
        digits => number(digits, 10).filter(|&channel| channel > 0),
    }
}

/// Reads what stands behind the channel; `None` is nothing heard on the bus.
pub(super) fn heard(words: &mut Words<'_>, base: u32) -> Result<Option<Heard>, ProblemReason> {
    let first = words.next().ok_or(ProblemReason::Fields)?;
    match first {
        "SyncError" | "RcvError:" => return Ok(Some(Heard::Header)),
        "WakeupFrame" | "Unexpected" => return Ok(Some(Heard::WakeUp)),
        "SleepModeEvent" => {
            let enters = words.take(16).any(|word| word.to_ascii_lowercase().starts_with("enter"));
            return Ok(enters.then_some(Heard::Asleep));
        }
        _ => {}
    }
    let pid = number::<u8>(first, base).and_then(Pid::new);
    let second = words.next();
    let is_frame = matches!(second, Some("Rx" | "Tx" | "CSErr" | "TransmErr"));
    let Some(pid) = pid else {
        // A symbolic name cannot be resolved; another keyword is about the hardware.
        return if is_frame { Err(ProblemReason::Identifier) } else { Ok(None) };
    };
    let fault = |fault| Ok(Some(Heard::Fault { pid, fault }));
    match second {
        Some("Rx" | "Tx") => frame(pid, words, base).map(Some),
        Some("CSErr") => fault(Fault::Checksum),
        Some("TransmErr") => fault(Fault::Silence),
        Some("TxRq") => Ok(None),
        _ => match words.next() {
            Some("RcvError:" | "ShortOrSlowResponse:") => fault(Fault::Framing),
            _ => Ok(None),
        },
    }
}

fn frame(pid: Pid, words: &mut Words<'_>, base: u32) -> Result<Heard, ProblemReason> {
    let length: usize = words.next().and_then(|word| number(word, 10)).ok_or(ProblemReason::Length)?;
    let payload = Payload::take(words, length, base)?;
    let build = |kind| Frame::new(pid, kind, payload.bytes()).map_err(|_| ProblemReason::Length);
    let tail: Vec<&str> = words.take(TAIL_WORDS).collect();
    let said = |key: &str| {
        let at = tail.windows(2).position(|pair| pair == [key, "="])?;
        tail.get(at + 2).copied()
    };
    let stated: Option<u8> = said("checksum").and_then(|word| number(word, base));
    let kind = match said("CSM") {
        Some("classic") => Some(ChecksumKind::Classic),
        Some("enhanced") => Some(ChecksumKind::Enhanced),
        _ => None,
    };
    by_checksum(pid, kind, stated, build)
}

/// Decides what a frame is by its checksum as the capture states it, if it does.
pub(in super::super) fn by_checksum(
    pid: Pid,
    kind: Option<ChecksumKind>,
    stated: Option<u8>,
    build: impl Fn(ChecksumKind) -> Result<Frame, ProblemReason>,
) -> Result<Heard, ProblemReason> {
    let enhanced = build(ChecksumKind::Enhanced)?;
    let fits = |kind| stated == Some(checksum(kind, pid, enhanced.data()));
    let found = [ChecksumKind::Enhanced, ChecksumKind::Classic].into_iter().find(|&kind| fits(kind));
    match (kind.or(found), stated) {
        // Both kinds fit where the identifier adds nothing; what the capture says is then believed.
        (Some(kind), Some(_)) if fits(kind) => Ok(Heard::Frame { frame: build(kind)?, has_checksum: true }),
        (_, Some(_)) if found.is_some() => {
            Ok(Heard::Frame { frame: build(found.unwrap_or_default())?, has_checksum: true })
        }
        // Converters that do not know the checksum write 0.
        (None, None | Some(0)) => Ok(Heard::Frame { frame: enhanced, has_checksum: false }),
        (Some(kind), None) => Ok(Heard::Frame { frame: build(kind)?, has_checksum: true }),
        (_, Some(_)) => Ok(Heard::Fault { pid, fault: Fault::Checksum }),
    }
}
