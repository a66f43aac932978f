//! What was received, what is missing, what was given up.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use outrider_ingest::{AnchorProof, Balancing, Boots, CONTACT_AGES_S, ClockQuality, LaneReport, Worker};
use outrider_model::catalogue;
use outrider_types::{BootEpoch, ClockSource, IngestTime, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::DropReason;
use outrider_wire::catalogue::event;

use super::platform::lane;
use super::vehicle::vehicle_id;
use crate::api::app::Shared;
use crate::api::dto::{
    AccountState, AnchorState, BootState, Completeness, ContactClass, Event, GapHealth, GapOutcome,
    IngestHealth, LagHealth, LaneAccount, LaneHealth, LaneTombstone, LostKind, Timestamp, VehicleGaps,
};
use crate::api::error::ApiFailure;
use crate::rulebook::severity;

/// Accounts shown of a vehicle: the last twenty boots.
const LANES_MAX: usize = 60;
/// Vehicles shown of those with gaps.
const WORST_MAX: usize = 20;
/// Findings read of each type.
const FINDINGS_MAX: u32 = 20;
/// How far back findings are read.
const FINDING_DAYS_US: i64 = 30 * 86_400_000_000;

/// Shows what came in from the vehicles.
pub(crate) async fn ingest(state: Shared) -> Json<IngestHealth> {
    let now = state.scope().now;
    let (frames, rows) = (state.exchange.frames(), state.pipeline.status().rows);
    let owned = |counts: &BTreeMap<&'static str, u64>| {
        counts.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    };
    let (refused, quarantined) = (owned(frames.dropped()), owned(rows.quarantined()));
    let duplicates = rows.dropped().get("duplicate").copied().unwrap_or(0);
    Json(state.pipeline.with_ingest(|worker| {
        let (totals, contacts, worst) = worker.fleet(now, WORST_MAX);
        let lanes =
            outrider_types::Lane::ALL.into_iter().zip(totals.lanes).map(|(of, lane_totals)| LaneHealth {
                lane: lane(of),
                received: lane_totals.rows,
                folded: lane_totals.folded,
                tombstoned: lane_totals.lost,
                open: lane_totals.open,
                overdue: lane_totals.overdue,
                balanced: lane_totals.balanced,
                waiting: lane_totals.waiting,
                inexact: lane_totals.inexact,
                mismatched: lane_totals.mismatched,
            });
        let reasons = DropReason::ALL.into_iter().map(DropReason::word).chain(["unknown"]);
        let lost = reasons.zip(totals.lost_by_reason).filter(|(_, rows)| *rows > 0);
        let ends = CONTACT_AGES_S.into_iter().map(|end| u64::try_from(end).ok()).chain([None]);
        let classes = ends.zip(contacts.vehicles);
        let lag = worker.lag();
        let [open, overdue, tombstoned] = totals.gaps;
        let [tombstones_signed, tombstones_unsigned] = totals.tombstones;
        IngestHealth {
            vehicles: totals.vehicles,
            lanes: lanes.collect(),
            gaps: GapHealth { open, overdue, tombstoned },
            lost_by_reason: lost.map(|(reason, rows)| (reason.to_owned(), rows)).collect(),
            tombstones_signed,
            tombstones_unsigned,
            duplicates,
            quarantined,
            refused,
            frames: frames.received(),
            findings: totals.statements,
            lag: LagHealth {
                rows: lag.rows(),
                p50_s: lag.below_s(500),
                p90_s: lag.below_s(900),
                p99_s: lag.below_s(990),
            },
            contacts: classes.map(|(within_s, vehicles)| ContactClass { within_s, vehicles }).collect(),
            worst: worst.into_iter().filter_map(|vehicle| vehicle_gaps(worker, vehicle)).collect(),
            as_of: Timestamp(now),
        }
    }))
}

fn vehicle_gaps(worker: &Worker, vehicle: VehicleId) -> Option<VehicleGaps> {
    let (totals, contact) = worker.vehicle_totals(vehicle)?;
    Some(VehicleGaps {
        vehicle_id: vehicle.to_string(),
        open: totals.lanes.iter().map(|lane| lane.open).sum(),
        overdue: totals.lanes.iter().map(|lane| lane.overdue).sum(),
        tombstoned: totals.lanes.iter().map(|lane| lane.lost).sum(),
        findings: totals.statements,
        last_contact: Timestamp(contact),
    })
}

/// Shows what is known of one vehicle's deliveries.
pub(crate) async fn vehicle(state: Shared, Path(id): Path<String>) -> Result<Json<Completeness>, ApiFailure> {
    let scope = state.scope();
    let vehicle = vehicle_id(&id)?;
    state.store.vehicle_entry(scope, vehicle).await?;
    let since = scope.now.saturating_add(-FINDING_DAYS_US);
    let types = [
        event::INGEST_EQUIVOCATION,
        event::INGEST_COUNTER_ROLLBACK,
        event::INGEST_CONTRADICTION,
        event::INGEST_ACCOUNTING_MISMATCH,
        event::INGEST_CERTIFICATE_USED_TWICE,
    ];
    let mut findings: Vec<Event> = Vec::new();
    for event_type in types {
        findings.extend(state.history.latest(vehicle, event_type, since, FINDINGS_MAX).await?);
    }
    findings.sort_by_key(|event| std::cmp::Reverse(event.event_time));
    Ok(Json(state.pipeline.with_ingest(|worker| {
        let nothing = Boots::default();
        let boots = worker.boots(vehicle).unwrap_or(&nothing);
        let contact = worker.vehicle_totals(vehicle).map(|(_, contact)| contact);
        let heard = IngestTime(contact.unwrap_or(scope.now));
        let lanes = worker.lanes(vehicle);
        Completeness {
            lanes: lanes.iter().take(LANES_MAX).map(|lane| account(lane, boots, heard)).collect(),
            boots: boots.iter().rev().map(|(epoch, _)| boot(epoch, boots, heard)).collect(),
            outcomes: worker
                .gap_ends(vehicle)
                .map(|end| GapOutcome {
                    epoch: end.epoch.0,
                    lane: lane(end.lane),
                    from_seq: end.range.0,
                    to_seq: end.range.1,
                    since: Timestamp(end.since),
                    until: Timestamp(end.until),
                    filled: end.filled,
                    tombstoned: end.lost,
                })
                .collect(),
            findings,
            last_contact: contact.map(Timestamp),
            as_of: Timestamp(scope.now),
        }
    })))
}

fn account(report: &LaneReport, boots: &Boots, heard: IngestTime) -> LaneAccount {
    let (received, lost) = report.counts;
    let account = report.account.as_ref();
    let (state, difference) = match account.map(|account| account.state) {
        None => (AccountState::Closed, None),
        Some(Balancing::Balanced) => (AccountState::Balanced, Some(0)),
        Some(Balancing::Waiting) => (AccountState::Waiting, None),
        Some(Balancing::Inexact) => (AccountState::Inexact, None),
        Some(Balancing::Mismatch(difference)) => (AccountState::Mismatch, Some(difference)),
    };
    let missing = account.map_or(report.overdue, |account| account.missing);
    let tombstones = report.tombstones.iter().map(|tombstone| {
        let (rows, observations) = tombstone.counts();
        let at = |mono: VehicleMicros| {
            let (time, quality) = boots.event_time(report.epoch, mono, heard);
            (mono.0 > 0 && quality != ClockQuality::Unknown).then_some(Timestamp(time.best))
        };
        LaneTombstone {
            from_seq: tombstone.range.0,
            to_seq: tombstone.range.1,
            reason: tombstone.reason.map_or("unknown", DropReason::word).to_owned(),
            rows,
            observations,
            first_at: at(tombstone.span.0),
            last_at: at(tombstone.span.1),
            signed: tombstone.is_signed,
            lost: tombstone.lost.iter().map(lost_kind).collect(),
        }
    });
    LaneAccount {
        epoch: report.epoch.0,
        lane: lane(report.lane),
        contiguous_seq: report.contiguous,
        highest_seq: account.map_or(report.contiguous, |account| account.highest),
        end_seq: report.end,
        counted: account.and_then(|account| account.counted),
        received,
        folded: account.map_or(0, |account| account.folded),
        tombstoned: account.map_or(lost, |account| account.lost_rows),
        tombstoned_observations: account.map_or(0, |account| account.lost_observations),
        unnumbered: account.map_or(0, |account| account.unnumbered),
        open: missing.saturating_sub(report.overdue),
        overdue: report.overdue,
        unreadable: account.map_or(0, |account| account.unreadable),
        late: account.map_or(0, |account| account.late),
        kept: account.map_or(0, |account| account.kept),
        state,
        difference,
        tombstones: tombstones.collect(),
    }
}

fn lost_kind(lost: &outrider_wire::LostRows) -> LostKind {
    let name = match catalogue::event_type(lost.event_type) {
        Some(entry) => entry.name.to_owned(),
        None if lost.event_type.0 == 0 => "several".to_owned(),
        None => lost.event_type.0.to_string(),
    };
    LostKind {
        event_type: name,
        severity: lost.severity.map(severity),
        rows: lost.rows,
        observations: lost.observations,
    }
}

/// Word of a clock's source.
pub(crate) const fn source_word(source: ClockSource) -> &'static str {
    match source {
        ClockSource::Unknown => "unknown",
        ClockSource::RealTimeClock => "real_time_clock",
        ClockSource::Network => "network",
        ClockSource::Gnss => "gnss",
        ClockSource::Cloud => "cloud",
    }
}

fn boot(epoch: BootEpoch, boots: &Boots, heard: IngestTime) -> BootState {
    let book = boots.get(epoch);
    let (began, quality) = boots.event_time(epoch, VehicleMicros(0), heard);
    let (clock, source) = match quality {
        ClockQuality::Unknown => ("unknown", None),
        ClockQuality::Bounded => ("bounded", None),
        ClockQuality::Anchored(source) => ("anchored", Some(source_word(source).to_owned())),
    };
    let anchor = book.and_then(|book| book.anchor()).map(|anchor| AnchorState {
        kind: match anchor.kind {
            1 => "software",
            2 => "tpm2",
            3 => "pkcs11",
            _ => "unknown",
        }
        .to_owned(),
        counter: anchor.counter,
        proof: match anchor.proof {
            AnchorProof::Unchecked => "unchecked",
            AnchorProof::Proven => "proven",
            AnchorProof::Unproven => "unproven",
        }
        .to_owned(),
    });
    let contradicted = book.map_or(0, |book| book.clock.contradicted(&boots.bounds(epoch, heard)));
    BootState {
        epoch: epoch.0,
        heard_at: Timestamp(book.map_or(UnixMicros(0), |book| book.since)),
        began_at: Timestamp(began.best),
        began_error_us: began.error_us,
        clock: clock.to_owned(),
        clock_source: source,
        refused_fixes: book.map_or(0, |book| book.clock.refused),
        contradicted_fixes: contradicted as u64,
        anchor,
    }
}
