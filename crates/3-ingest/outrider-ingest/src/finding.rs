//! What the cloud itself says of a vehicle's deliveries, as rows beside those of the vehicle.
//!
//! A statement's identity is a hash of what it is about, so the same thing is said once however records come in. It
//! travels as an event of the catalogue, so that rules, queue, lake and screens need nothing of their own.

use outrider_model::{EventBatch, EventRow, FieldValue, VehicleRecord, catalogue};
use outrider_types::{
    BootEpoch, EventId, EventTime, EventTypeId, FieldKey, IngestTime, Lane, Seq, Severity, TenantId,
    UnixMicros, VehicleId, VehicleMicros,
};
use outrider_wire::BootCounts;
use outrider_wire::catalogue::{event, field};
use sha2::{Digest, Sha256};

use crate::content::{RowHash, first_word};

/// Boot under which the cloud's own statements go. No vehicle may use it or one above; it is a whole number in every
/// language that reads our answers.
pub const CLOUD_EPOCH: BootEpoch = BootEpoch((1 << 53) - 1);

/// Event types that only the cloud may write.
pub const CLOUD_TYPES: std::ops::RangeInclusive<u16> = 900..=949;

/// What does not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Two rows under one number.
    Row,
    /// Sixty-four rows that came again are not what they were.
    Rows,
    /// Rows above the end that a later boot found.
    RowsAboveEnd,
    /// A later batch of the same boot knows of less.
    HeadShrank,
    /// The anchor's counter of a later boot is not above that of an earlier one.
    AnchorBehind,
    /// One value of the anchor over two ends of the spool.
    AnchorRepeated,
    /// The anchor says what the vehicle's registered anchor key did not sign.
    AnchorUnproven,
    /// One boot with two beginnings.
    BootBegunTwice,
    /// A lane head does not add up in itself.
    HeadUnbalanced,
    /// A lane head knows of fewer numbers than rows in the same batch.
    HeadBelowRows,
    /// One range with two tombstones.
    TombstoneChanged,
    /// A tombstone that the device key did not sign.
    TombstoneUnsigned,
    /// Two readings of the clock of one boot exclude each other.
    ClocksDisagree,
    /// Rows of a boot claim a time later than they came.
    AheadOfArrival,
}

impl Reason {
    /// Returns the word in the field `reason`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Rows => "rows",
            Self::RowsAboveEnd => "rows_above_end",
            Self::HeadShrank => "head_shrank",
            Self::AnchorBehind => "anchor_behind",
            Self::AnchorRepeated => "anchor_repeated",
            Self::AnchorUnproven => "anchor_unproven",
            Self::BootBegunTwice => "boot_begun_twice",
            Self::HeadUnbalanced => "head_unbalanced",
            Self::HeadBelowRows => "head_below_rows",
            Self::TombstoneChanged => "tombstone_changed",
            Self::TombstoneUnsigned => "tombstone_unsigned",
            Self::ClocksDisagree => "clocks_disagree",
            Self::AheadOfArrival => "ahead_of_arrival",
        }
    }

    const fn event_type(self) -> EventTypeId {
        match self {
            Self::Row | Self::Rows => event::INGEST_EQUIVOCATION,
            Self::RowsAboveEnd
            | Self::HeadShrank
            | Self::AnchorBehind
            | Self::AnchorRepeated
            | Self::BootBegunTwice => event::INGEST_COUNTER_ROLLBACK,
            Self::AnchorUnproven
            | Self::HeadUnbalanced
            | Self::HeadBelowRows
            | Self::TombstoneChanged
            | Self::TombstoneUnsigned
            | Self::ClocksDisagree
            | Self::AheadOfArrival => event::INGEST_CONTRADICTION,
        }
    }
}

/// A statement of the cloud about one vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Two things that cannot both be true.
    Conflict {
        /// Which.
        reason: Reason,
        /// Boot that it is about.
        epoch: BootEpoch,
        /// Lane that it is about, if it is about one.
        lane: Option<Lane>,
        /// First and last number that it is about, or counters of an anchor.
        range: (u64, u64),
        /// Hash of what came first and of what came second, if contents differ.
        hashes: Option<(RowHash, RowHash)>,
    },
    /// A lane of which everything is there does not balance.
    Mismatch {
        /// Boot.
        epoch: BootEpoch,
        /// Lane.
        lane: Lane,
        /// Observations accounted for, less those that the vehicle counted.
        difference: i64,
    },
    /// A gap was open for too long although the vehicle reports.
    Overdue {
        /// Boot.
        epoch: BootEpoch,
        /// Lane.
        lane: Lane,
        /// First and last number.
        range: (u64, u64),
        /// For how long, in microseconds.
        open_us: i64,
    },
    /// The time of a boot is known better than when its first rows came.
    ClockCorrected {
        /// Boot.
        epoch: BootEpoch,
        /// Wall time of the boot's microsecond 0, as it was estimated and as it is.
        start: (EventTime, EventTime),
    },
    /// Boots of a lane that the vehicle accounted for together.
    BootsSummed {
        /// Lane.
        lane: Lane,
        /// First and last boot, and how many of those between it is about.
        boots: (BootEpoch, BootEpoch, u64),
        /// Sums over them.
        sum: BootCounts,
        /// Whether each boot was told by itself.
        is_exact: bool,
    },
    /// A certificate was used from two places at once.
    CertificateUsedTwice {
        /// Where the session is that was there first.
        before: String,
        /// Where the second came from.
        now: String,
        /// When, for the identity.
        at: UnixMicros,
    },
}

/// Where a row of the cloud belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) vehicle: VehicleId,
    pub(crate) ingest: IngestTime,
    pub(crate) record: Option<&'a VehicleRecord>,
}

impl Statement {
    /// Returns the boot that it is about.
    #[must_use]
    pub const fn epoch(&self) -> BootEpoch {
        match self {
            Self::Conflict { epoch, .. }
            | Self::Mismatch { epoch, .. }
            | Self::Overdue { epoch, .. }
            | Self::ClockCorrected { epoch, .. } => *epoch,
            Self::BootsSummed { boots: (first, ..), .. } => *first,
            Self::CertificateUsedTwice { .. } => CLOUD_EPOCH,
        }
    }

    const fn event_type(&self) -> EventTypeId {
        match self {
            Self::Conflict { reason, .. } => reason.event_type(),
            Self::Mismatch { .. } => event::INGEST_ACCOUNTING_MISMATCH,
            Self::Overdue { .. } => event::INGEST_GAP_OVERDUE,
            Self::ClockCorrected { .. } => event::INGEST_CLOCK_CORRECTED,
            Self::BootsSummed { .. } => event::INGEST_BOOTS_SUMMED,
            Self::CertificateUsedTwice { .. } => event::INGEST_CERTIFICATE_USED_TWICE,
        }
    }

    /// Returns the number that it goes under: a hash of what makes it the same statement, 52 bits, never 0.
    #[must_use]
    pub fn identity(&self) -> Seq {
        let mut hash = Sha256::new();
        hash.update(self.event_type().0.to_le_bytes());
        hash.update(self.epoch().0.to_le_bytes());
        let lane = |lane: Option<Lane>| [lane.map_or(u8::MAX, Lane::code)];
        match self {
            Self::Conflict { reason, lane: of, range, .. } => {
                hash.update(lane(*of));
                hash.update(reason.word());
                // One statement for 64 numbers: a rewritten history is not a thousand alerts. What is about a whole
                // lane or boot is said once, whatever numbers show it first.
                let place = match reason {
                    Reason::Row | Reason::Rows => range.0 / 64,
                    Reason::TombstoneChanged | Reason::TombstoneUnsigned | Reason::AnchorRepeated => range.0,
                    Reason::RowsAboveEnd
                    | Reason::HeadShrank
                    | Reason::AnchorBehind
                    | Reason::AnchorUnproven
                    | Reason::BootBegunTwice
                    | Reason::HeadUnbalanced
                    | Reason::HeadBelowRows
                    | Reason::ClocksDisagree
                    | Reason::AheadOfArrival => 0,
                };
                hash.update(place.to_le_bytes());
            }
            Self::Mismatch { lane: of, .. } => hash.update(lane(Some(*of))),
            Self::Overdue { lane: of, range, .. } => {
                hash.update(lane(Some(*of)));
                hash.update(range.0.to_le_bytes());
            }
            Self::ClockCorrected { start: (_, now), .. } => {
                hash.update(now.best.0.to_le_bytes());
                hash.update(now.error_us.to_le_bytes());
            }
            Self::BootsSummed { lane: of, boots: (_, last, count), .. } => {
                hash.update(lane(Some(*of)));
                hash.update(last.0.to_le_bytes());
                hash.update(count.to_le_bytes());
            }
            Self::CertificateUsedTwice { before, now, at } => {
                hash.update(at.0.to_le_bytes());
                hash.update(before);
                hash.update([0]);
                hash.update(now);
            }
        }
        Seq((first_word(hash) >> 12).max(1))
    }

    /// Appends it as a row.
    pub(crate) fn push(&self, place: Place<'_>, batch: &mut EventBatch) {
        let event_type = self.event_type();
        let severity = catalogue::event_type(event_type).map_or(Severity::Medium, |entry| entry.severity);
        let zero = VehicleMicros(0);
        batch.push(&EventRow {
            tenant: place.tenant,
            id: EventId {
                vehicle: place.vehicle,
                epoch: CLOUD_EPOCH,
                lane: Lane::Critical,
                seq: self.identity(),
            },
            event_type,
            severity,
            time: EventTime { best: place.ingest.0, error_us: 0 },
            ingest: place.ingest,
            mono: zero,
            count: 1,
            span: (zero, zero),
            bus: None,
            context: &[],
        });
        self.set_fields(batch);
        batch.enrich_last(place.record, None);
    }

    fn set_fields(&self, batch: &mut EventBatch) {
        let mut int = |key: FieldKey, value: i64| batch.set_field(key, FieldValue::Int(value));
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if !matches!(self, Self::CertificateUsedTwice { .. }) {
            int(field::ABOUT_EPOCH, whole(self.epoch().0));
        }
        let lane = match self {
            Self::Conflict { lane, range, .. } => {
                int(field::SEQ_FIRST, whole(range.0));
                int(field::SEQ_LAST, whole(range.1));
                *lane
            }
            Self::Mismatch { lane, difference, .. } => {
                int(field::DIFFERENCE, *difference);
                Some(*lane)
            }
            Self::Overdue { lane, range, open_us, .. } => {
                int(field::SEQ_FIRST, whole(range.0));
                int(field::SEQ_LAST, whole(range.1));
                int(field::DURATION_US, *open_us);
                Some(*lane)
            }
            Self::ClockCorrected { start: (before, now), .. } => {
                int(field::WALL_AT_BOOT_US, now.best.0);
                int(field::WALL_ERROR_US, whole(now.error_us));
                int(field::WALL_AT_BOOT_BEFORE_US, before.best.0);
                int(field::WALL_ERROR_BEFORE_US, whole(before.error_us));
                None
            }
            Self::BootsSummed { lane, boots: (_, last, count), sum, .. } => {
                int(field::ABOUT_EPOCH_LAST, whole(last.0));
                int(field::BOOTS, whole(*count));
                int(field::ROWS_GIVEN_UP, whole(sum.evicted));
                int(field::OBSERVATIONS_GIVEN_UP, whole(sum.observations));
                int(field::OBSERVATIONS_COUNTED, whole(sum.received));
                Some(*lane)
            }
            Self::CertificateUsedTwice { .. } => None,
        };
        if let Self::BootsSummed { is_exact, .. } = self {
            batch.set_field(field::IS_EXACT, FieldValue::Bool(*is_exact));
        }
        let mut text = |key: FieldKey, value: &str| batch.set_field(key, FieldValue::Text(value));
        if let Some(lane) = lane {
            text(field::ABOUT_LANE, lane.word());
        }
        match self {
            Self::Conflict { reason, hashes, .. } => {
                text(field::REASON, reason.word());
                if let Some((before, now)) = hashes {
                    text(field::ROW_HASH_BEFORE, &before.to_string());
                    text(field::ROW_HASH, &now.to_string());
                }
            }
            Self::CertificateUsedTwice { before, now, .. } => {
                text(field::SESSION_PLACE_BEFORE, before);
                text(field::SESSION_PLACE, now);
            }
            Self::Mismatch { .. }
            | Self::Overdue { .. }
            | Self::ClockCorrected { .. }
            | Self::BootsSummed { .. } => {}
        }
    }
}
