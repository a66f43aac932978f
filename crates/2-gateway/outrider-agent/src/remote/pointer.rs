//! The pointer file: which slot is in use, what is on trial, what was tried. It changes as a whole or not at all.

use outrider_gateway::spool::Floor;
use outrider_types::UnixMicros;
use outrider_wire::ArtifactKind;
use sha2::{Digest, Sha256};

use super::place;

const MAGIC: [u8; 6] = *b"ORCF\x01\x00";
/// Bytes of the check: half a SHA-256, against damage; whoever can write the file can write the check.
const CHECK_BYTES: usize = 16;

/// Why a configuration was taken back; append-only numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnReason {
    /// The program started three times and was never healthy in between.
    Starts,
    /// The detectors, filters or lanes could not be made of it.
    Unusable,
    /// Far more events than before.
    EventRate,
    /// The program stood still.
    Watchdog,
    /// The cloud did not answer any more.
    UplinkSilent,
    /// Its files were damaged.
    Damaged,
}

impl ReturnReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Starts, Self::Unusable, Self::EventRate, Self::Watchdog, Self::UplinkSilent, Self::Damaged];

    /// Returns the word in events and status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Unusable => "unusable",
            Self::EventRate => "event_rate",
            Self::Watchdog => "watchdog",
            Self::UplinkSilent => "uplink_silent",
            Self::Damaged => "damaged",
        }
    }

    fn code(self) -> u8 {
        let place = Self::ALL.into_iter().position(|reason| reason == self).unwrap_or(0);
        u8::try_from(place).unwrap_or(0) + 1
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// What is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialOf {
    /// What it configures.
    pub kind: ArtifactKind,
    /// Its version.
    pub version: u64,
    /// Version before, 0 if there was none.
    pub before: u64,
    /// Starts of the program since the switch.
    pub starts: u8,
    /// Number of the command that ordered it.
    pub sequence: u64,
    /// Events an hour before the switch.
    pub usual_per_hour: u64,
}

/// The last return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    /// What was taken back.
    pub kind: ArtifactKind,
    /// Its version.
    pub version: u64,
    /// Why.
    pub reason: ReturnReason,
    /// When, by the clock that the vehicle trusts; 0 if it had none.
    pub at: UnixMicros,
    /// Whether the event about it was given to the gateway.
    pub is_told: bool,
}

/// How the last command ended, for its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Number of the command.
    pub sequence: u64,
    /// Whether its artifact is in use.
    pub is_good: bool,
}

/// Content of the pointer file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pointer {
    /// Slot in use: false is `a`.
    pub slot: bool,
    /// Versions in the slot; 0 is what the vehicle was provisioned with.
    pub versions: [u64; 3],
    /// Versions that were tried and that were good, by kind.
    pub floors: [Floor; 3],
    /// What is on trial.
    pub trial: Option<TrialOf>,
    /// The last return.
    pub last_return: Option<Return>,
    /// How the last command ended.
    pub ended: Option<Ended>,
}

impl Pointer {
    /// Returns the floor of a kind.
    #[must_use]
    pub fn floor(&self, kind: ArtifactKind) -> Floor {
        self.floors.get(place(kind)).copied().unwrap_or_default()
    }

    /// Returns the version in use; 0 is what the vehicle was provisioned with.
    #[must_use]
    pub fn version(&self, kind: ArtifactKind) -> u64 {
        self.versions.get(place(kind)).copied().unwrap_or(0)
    }

    /// Returns the bytes of the file.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut put = |number: u64| out.extend(number.to_le_bytes());
        put(u64::from(self.slot));
        self.versions.iter().for_each(|version| put(*version));
        self.floors.iter().for_each(|floor| [floor.tried, floor.good].into_iter().for_each(&mut put));
        let trial = self.trial.map_or([0; 6], |trial| {
            let starts = u64::from(trial.starts);
            let kind = u64::from(trial.kind.code());
            [kind, trial.version, trial.before, starts, trial.sequence, trial.usual_per_hour]
        });
        trial.into_iter().for_each(&mut put);
        let last = self.last_return.map_or([0; 5], |last| {
            let (kind, reason) = (u64::from(last.kind.code()), u64::from(last.reason.code()));
            [kind, last.version, reason, last.at.0.cast_unsigned(), u64::from(last.is_told)]
        });
        last.into_iter().for_each(&mut put);
        let ended = self.ended.map_or([0; 2], |ended| [ended.sequence, u64::from(ended.is_good)]);
        ended.into_iter().for_each(&mut put);
        let check: [u8; 32] = Sha256::digest(&out).into();
        out.extend(&check[..CHECK_BYTES]);
        out
    }

    /// Reads the file; `None` for anything that [`Pointer::emit`] does not write.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (text, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        let expected: [u8; 32] = Sha256::digest(text).into();
        if expected[..CHECK_BYTES] != check[..] {
            return None;
        }
        let mut rest = text.strip_prefix(&MAGIC)?;
        let mut take = || {
            let (number, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            Some(u64::from_le_bytes(*number))
        };
        let flag = |number: u64| (number < 2).then_some(number == 1);
        let kind = |code: u64| ArtifactKind::from_code(u16::try_from(code).ok()?);
        let slot = flag(take()?)?;
        let versions = [take()?, take()?, take()?];
        let mut floors = [Floor::default(); 3];
        for floor in &mut floors {
            *floor = Floor { tried: take()?, good: take()? };
        }
        let [of, version, before, starts, sequence, usual_per_hour] =
            [take()?, take()?, take()?, take()?, take()?, take()?];
        let trial = match of {
            0 => None,
            code => Some(TrialOf {
                kind: kind(code)?,
                version,
                before,
                starts: u8::try_from(starts).ok()?,
                sequence,
                usual_per_hour,
            }),
        };
        let [of, version, reason, at, is_told] = [take()?, take()?, take()?, take()?, take()?];
        let last_return = match of {
            0 => None,
            code => Some(Return {
                kind: kind(code)?,
                version,
                reason: ReturnReason::from_code(u8::try_from(reason).ok()?)?,
                at: UnixMicros(at.cast_signed()),
                is_told: flag(is_told)?,
            }),
        };
        let (sequence, is_good) = (take()?, flag(take()?)?);
        let ended = Some(Ended { sequence, is_good }).filter(|ended| ended.sequence != 0);
        rest.is_empty().then_some(Self { slot, versions, floors, trial, last_return, ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_as_it_was_written_and_no_bit_of_it_can_change() {
        let kind = ArtifactKind::Model;
        let pointer = Pointer {
            slot: true,
            versions: [1, 2, 3],
            floors: [Floor { tried: 4, good: 3 }; 3],
            trial: Some(TrialOf { kind, version: 4, before: 3, starts: 2, sequence: 9, usual_per_hour: 7 }),
            last_return: Some(Return {
                kind,
                version: 2,
                reason: ReturnReason::Damaged,
                at: UnixMicros(-5),
                is_told: true,
            }),
            ended: Some(Ended { sequence: 8, is_good: false }),
        };
        for pointer in [pointer, Pointer::default()] {
            let bytes = pointer.emit();
            assert_eq!(Pointer::parse(&bytes), Some(pointer));
            assert_eq!(Pointer::parse(&bytes[..bytes.len() - 1]), None);
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Pointer::parse(&changed), None, "bit {bit}");
            }
        }
    }
}
