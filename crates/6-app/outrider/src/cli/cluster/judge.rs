//! What `outrider cluster` compares.

use std::collections::{BTreeMap, BTreeSet};

use outrider_lake::{Lake, LakeConfig, QueryLimits};
use outrider_server::store::{AlertFilter, AlertOrder, AlertStore as _, Scope, SqlStore};
use outrider_types::{EventId, TenantId, UnixMicros, VehicleId};
use tokio::runtime::Handle;

use crate::cli::Failure;
use crate::cli::demo::event_id;

/// Longest query of the comparison.
const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(180);

/// What the lake has.
#[derive(Default)]
pub(super) struct Rows {
    /// How often each event is there.
    pub(super) found: BTreeMap<EventId, u64>,
    /// Rows that were accepted before one that the vehicle had sent earlier.
    pub(super) reordered: u64,
}

impl Rows {
    /// Reads all rows.
    ///
    /// # Errors
    /// The lake.
    pub(super) fn read(config: &LakeConfig, runtime: &Handle) -> Result<Self, Failure> {
        let lake = Lake::open_read_only(config, runtime.clone()).map_err(Failure::failed)?;
        let limits = QueryLimits {
            rows_max: 20_000_000,
            result_bytes_max: 4 << 30,
            memory_bytes_max: 4 << 30,
            time_max: TIME_MAX,
        };
        let sql = "SELECT vehicle_id, epoch, lane, seq, CAST(ingest_time AS BIGINT) FROM events";
        let result = lake.sql(sql, &limits).map_err(Failure::failed)?;
        if result.truncated {
            return Err(Failure::failed("more rows than can be compared"));
        }
        let mut rows = Self::default();
        let mut times: BTreeMap<(VehicleId, u64, u64), i64> = BTreeMap::new();
        for row in &result.rows {
            let id = event_id(row).ok_or_else(|| Failure::failed("a stored identity cannot be read"))?;
            *rows.found.entry(id).or_default() += 1;
            let ingest = row.get(4).and_then(serde_json::Value::as_i64);
            let ingest = ingest.ok_or_else(|| Failure::failed("a stored time cannot be read"))?;
            times.insert((id.vehicle, id.epoch.0, id.seq.0), ingest);
        }
        let pairs = times.iter().zip(times.iter().skip(1));
        let wrong = pairs.filter(|((one, before), (other, after))| one.0 == other.0 && after < before);
        rows.reordered = wrong.count() as u64;
        Ok(rows)
    }
}

/// What is said of one window: value, events, vehicles, and whether it stands.
type Statement = (Option<u64>, u64, u64);

/// Findings that stand, by title of the rule and identity.
pub(super) type Findings = BTreeMap<(String, String), Statement>;

/// Reads every finding that stands, by rule and identity.
///
/// # Errors
/// The case database.
pub(super) async fn findings(store: &SqlStore, now: UnixMicros) -> Result<Findings, Failure> {
    let scope = Scope { tenant: TenantId(1), now };
    let (mut all, mut cursor) = (BTreeMap::new(), None);
    let standing: BTreeSet<String> = store
        .findings_stated(scope, outrider_model::LogOffset(0))
        .await
        .map_err(Failure::failed)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let every = AlertFilter::default();
    loop {
        let order = (AlertOrder::LastAt, false);
        let page = store.alerts(scope, &every, order, cursor.as_deref(), 500);
        let page = page.await.map_err(Failure::failed)?;
        for alert in &page.items {
            let findings = store.alert_findings(scope, &alert.id, 10_000).await.map_err(Failure::failed)?;
            for finding in findings.into_iter().filter(|finding| standing.contains(&finding.id)) {
                let statement = (finding.value, finding.event_count, finding.vehicle_count);
                all.insert((alert.rule_title.clone(), finding.id), statement);
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}
