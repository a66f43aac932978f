//! Tickets that open a vehicle for a workshop.
//!
//! **In:** a file in the state folder, any bytes. **Out:** whether a workshop is at work, and events when that begins,
//! ends or is refused. **Never:** without a signature under the configured key, for this vehicle, in its window of
//! trusted time; longer than the configured hours; across a restart of the clock.
//!
//! ```text
//! 0 magic "ORWT"   8 vehicle, 16 bytes   32 not_before i64   48 signature, 64 bytes
//! 4 version u32   24 number u64          40 expires i64
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use outrider_gateway::{Ed25519Verifier, FieldValue, SecurityEvent, Storage};
use outrider_types::{UnixMicros, VehicleId, VehicleMicros, hex_decode};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError, Verifier};
use serde::{Deserialize, Serialize};

use super::Vehicle;

/// Name of the file in the state folder.
pub const TICKET_FILE: &str = "workshop.ticket";
/// Bytes of a ticket.
pub const TICKET_BYTES: usize = SIGNED_BYTES + SIGNATURE_BYTES;
const SIGNED_BYTES: usize = 48;
const MAGIC: [u8; 4] = *b"ORWT";
const VERSION: u32 = 1;
const HOUR_US: u64 = 3_600_000_000;

/// `[workshop]` of `vehicle.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkshopSection {
    /// Public key of who may open the vehicle, hexadecimal.
    pub public_key: String,
    /// Longest work that one ticket allows, in hours.
    #[serde(default = "hours_max")]
    pub hours_max: u8,
}

/// A working day.
const fn hours_max() -> u8 {
    10
}

/// What a ticket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The one vehicle it is for.
    pub vehicle: VehicleId,
    /// Number in its authority's series.
    pub number: u64,
    /// Earliest time.
    pub not_before: UnixMicros,
    /// First time at which it is void.
    pub expires: UnixMicros,
}

/// Why a ticket opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is no ticket.
    Malformed,
    /// It is not signed under the configured key.
    Signature,
    /// It is for another vehicle.
    WrongVehicle,
    /// Its window is empty or longer than allowed.
    Window,
    /// The vehicle knows no trusted time.
    NoTrustedTime,
    /// Its window has not begun.
    NotYetValid,
    /// Its window is over.
    Expired,
}

impl Refused {
    const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::WrongVehicle => "wrong_vehicle",
            Self::Window => "window",
            Self::NoTrustedTime => "no_trusted_time",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
        }
    }
}

impl Ticket {
    /// Writes and signs a ticket.
    ///
    /// # Errors
    /// [`SignerError`] if the signer cannot sign.
    pub fn emit(&self, signer: &dyn Signer) -> Result<[u8; TICKET_BYTES], SignerError> {
        let mut out = [0; TICKET_BYTES];
        let parts = [
            (0, MAGIC.as_slice()),
            (4, &VERSION.to_le_bytes()),
            (8, &self.vehicle.0),
            (24, &self.number.to_le_bytes()),
            (32, &self.not_before.0.to_le_bytes()),
            (40, &self.expires.0.to_le_bytes()),
        ];
        for (at, part) in parts {
            out[at..at + part.len()].copy_from_slice(part);
        }
        let (signed, signature) = out.split_at_mut(SIGNED_BYTES);
        signature.copy_from_slice(&signer.sign(signed)?);
        Ok(out)
    }

    /// Reads a ticket and checks its signature; nothing of it is believed before.
    ///
    /// # Errors
    /// [`Refused::Malformed`] or [`Refused::Signature`].
    pub fn open(bytes: &[u8], verifier: &dyn Verifier) -> Result<Self, Refused> {
        let number =
            |at: usize| -> Option<u64> { Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)) };
        if bytes.len() != TICKET_BYTES || bytes[..4] != MAGIC || bytes[4..8] != VERSION.to_le_bytes() {
            return Err(Refused::Malformed);
        }
        let (signed, signature) = bytes.split_at(SIGNED_BYTES);
        let signature = signature.try_into().map_err(|_| Refused::Malformed)?;
        if !verifier.verify(signed, signature) {
            return Err(Refused::Signature);
        }
        let read = || {
            Some(Self {
                vehicle: VehicleId(bytes.get(8..24)?.try_into().ok()?),
                number: number(24)?,
                not_before: UnixMicros(number(32)?.cast_signed()),
                expires: UnixMicros(number(40)?.cast_signed()),
            })
        };
        read().ok_or(Refused::Malformed)
    }

    /// Returns how long it opens the vehicle from now on.
    ///
    /// # Errors
    /// [`Refused`].
    fn lasts_us(&self, vehicle: VehicleId, now: Option<UnixMicros>, max_us: u64) -> Result<u64, Refused> {
        if self.vehicle != vehicle {
            return Err(Refused::WrongVehicle);
        }
        let span = self.expires.0.checked_sub(self.not_before.0).and_then(|span| u64::try_from(span).ok());
        if span.is_none_or(|span| span == 0 || span > max_us) {
            return Err(Refused::Window);
        }
        let now = now.ok_or(Refused::NoTrustedTime)?;
        if now < self.not_before {
            return Err(Refused::NotYetValid);
        }
        u64::try_from(self.expires.0 - now.0).ok().filter(|&left| left > 0).ok_or(Refused::Expired)
    }
}

/// Whether a workshop is at work.
pub(super) struct Workshop {
    verifier: Ed25519Verifier,
    max_us: u64,
    /// The ticket as it was laid down, whatever came of it: the same bytes are judged once while the time is known.
    seen: Option<Vec<u8>>,
    /// A ticket that may be good later and was told of.
    waiting: Option<Vec<u8>>,
    /// The ticket that opened the vehicle, since when and until when.
    open: Option<(Ticket, VehicleMicros, VehicleMicros)>,
}

impl Workshop {
    /// Creates it from a section.
    ///
    /// # Errors
    /// Why the key is none.
    pub(super) fn new(section: &WorkshopSection) -> Result<Self, String> {
        let key = hex_decode::<32>(section.public_key.trim()).map_err(|error| error.to_string())?;
        let verifier = Ed25519Verifier::new(&key).map_err(|error| error.to_string())?;
        Ok(Self {
            verifier,
            max_us: u64::from(section.hours_max) * HOUR_US,
            seen: None,
            waiting: None,
            open: None,
        })
    }
}

/// Reads the ticket that lies in a state folder, if there is one; a file of another length is none and is told as such.
///
/// # Errors
/// The file cannot be read.
#[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
pub fn read_ticket(state: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(state.join(TICKET_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(TICKET_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Lays a ticket down in a state folder, whole or not at all.
///
/// # Errors
/// The folder cannot be written.
pub fn lay_ticket(state: &Path, ticket: &[u8]) -> io::Result<()> {
    let fresh = state.join("workshop.new");
    fs::write(&fresh, ticket)?;
    fs::rename(fresh, state.join(TICKET_FILE))
}

impl<S: Storage> Vehicle<S> {
    /// Sets who may open the vehicle for a workshop; without it nobody can.
    ///
    /// # Errors
    /// Why the key is none.
    pub fn set_workshop(&mut self, section: Option<&WorkshopSection>) -> Result<(), String> {
        self.workshop = section.map(Workshop::new).transpose()?;
        Ok(())
    }

    /// Returns whether a workshop is at work.
    #[must_use]
    pub fn is_in_workshop(&self) -> bool {
        self.workshop.as_ref().is_some_and(|workshop| workshop.open.is_some())
    }

    /// Takes what lies in the place of the ticket; call it about once a second. Taking the ticket away ends the work.
    pub fn workshop_ticket(&mut self, bytes: Option<&[u8]>, now: VehicleMicros) {
        let trusted = self.trusted_now(now);
        let Some(workshop) = &mut self.workshop else { return };
        if workshop.seen.as_deref() == bytes {
            return;
        }
        let before = workshop.open.take();
        let opened = bytes.map(|bytes| {
            let ticket = Ticket::open(bytes, &workshop.verifier).map_err(|refused| (None, refused))?;
            let lasts = ticket.lasts_us(self.vehicle, trusted, workshop.max_us);
            lasts.map(|lasts| (ticket, lasts)).map_err(|refused| (Some(ticket.number), refused))
        });
        // Without the time, or too early, the same ticket may be good later: it is told once, and judged again.
        let is_early = matches!(opened, Some(Err((_, Refused::NoTrustedTime | Refused::NotYetValid))));
        let is_told = is_early && workshop.waiting == bytes.map(<[u8]>::to_vec);
        workshop.waiting = bytes.filter(|_| is_early).map(<[u8]>::to_vec);
        workshop.seen = bytes.filter(|_| !is_early).map(<[u8]>::to_vec);
        if let Some(Ok((ticket, lasts))) = opened {
            workshop.open = Some((ticket, now, now.saturating_add(lasts)));
        }
        if let Some(before) = before {
            self.tell_end(before, if bytes.is_some() { "replaced" } else { "taken_back" }, now);
        }
        match opened {
            Some(Ok((ticket, lasts))) => {
                let begun = SecurityEvent::new(event::WORKSHOP_BEGUN, now)
                    .with(field::WORKSHOP_TICKET, FieldValue::Uint(ticket.number))
                    .with(field::DURATION_US, FieldValue::Uint(lasts));
                self.store(begun, now);
            }
            Some(Err((number, refused))) if !is_told => {
                let mut event = SecurityEvent::new(event::WORKSHOP_REFUSED, now);
                if let Some(number) = number {
                    event = event.with(field::WORKSHOP_TICKET, FieldValue::Uint(number));
                }
                self.store(event.with(field::REASON, FieldValue::Text(refused.word().to_owned())), now);
            }
            Some(Err(_)) | None => {}
        }
        self.tell_detectors();
    }

    /// Ends the work when its time is over.
    pub(super) fn tick_workshop(&mut self, now: VehicleMicros) {
        let Some(workshop) = &mut self.workshop else { return };
        if let Some(over) = workshop.open.take_if(|(.., until)| now >= *until) {
            self.tell_end(over, "expired", now);
            self.tell_detectors();
        }
    }

    fn tell_end(
        &mut self,
        (ticket, since, until): (Ticket, VehicleMicros, VehicleMicros),
        reason: &str,
        now: VehicleMicros,
    ) {
        let ended = SecurityEvent::new(event::WORKSHOP_ENDED, now)
            .with(field::WORKSHOP_TICKET, FieldValue::Uint(ticket.number))
            .with(field::REASON, FieldValue::Text(reason.to_owned()))
            .with(field::DURATION_US, FieldValue::Uint(now.min(until).micros_since(since)));
        self.store(ended, now);
    }

    pub(super) fn tell_detectors(&mut self) {
        let is_open = self.is_in_workshop();
        if let Some(edge) = &mut self.edge {
            edge.set_workshop(is_open);
        }
        if let Some(net) = &mut self.net {
            net.set_workshop(is_open);
        }
    }
}
