//! Compares what the cloud has with what the world knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outrider_model::invariants;
use outrider_server::pipeline::Backlog;
use outrider_server::server::RunningServer;
use outrider_server::store::{AlertFilter, AlertOrder, Scope};
use outrider_sim::{Detected, Stated, World};
use outrider_types::{BootEpoch, EventId, Lane, Seq, TenantId, VehicleId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::Failure;
use crate::content::rules;

/// Longest time that the worker gets to finish, in tenths of a second.
const PATIENCE_TENTHS: u32 = 1800;

/// What became of a demo.
pub(super) struct Verdict {
    events_in: u64,
    events_stored: u64,
    findings: u64,
    alerts: u64,
    lost: u64,
    duplicated: u64,
    digest: String,
    is_balanced: Option<String>,
    attacks: Vec<(Detected, usize)>,
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.is_balanced.is_none()
            && self.attacks.iter().all(|(attack, _)| attack.is_detected())
    }

    fn detected(&self) -> usize {
        self.attacks.iter().filter(|(attack, _)| attack.is_detected()).count()
    }

    pub(super) fn to_json(&self, seed: u64, seconds: f64, failed: u64) -> Value {
        let attacks: Vec<Value> = self
            .attacks
            .iter()
            .map(|(attack, vehicles)| {
                json!({
                    "name": attack.kind.word(), "vehicles": vehicles,
                    "detected": attack.is_detected(), "rules": attack.rules,
                })
            })
            .collect();
        json!({
            "events_in": self.events_in, "events_stored": self.events_stored, "findings": self.findings,
            "alerts": self.alerts, "expected_attacks": self.attacks.len(), "detected_attacks": self.detected(),
            "lost": self.lost, "duplicated": self.duplicated, "findings_digest": self.digest, "attacks": attacks,
            "balanced": self.is_balanced.is_none(), "failed_exchanges": failed, "seed": seed, "seconds": seconds,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!(
            "{} events given a number by vehicles, {} stored, {} lost, {} duplicated\n{} findings in {} alerts, digest {}\n",
            self.events_in,
            self.events_stored,
            self.lost,
            self.duplicated,
            self.findings,
            self.alerts,
            self.digest
        );
        for (attack, vehicles) in &self.attacks {
            let rules: Vec<&str> = attack.rules.iter().map(String::as_str).collect();
            let outcome = if rules.is_empty() { "NOT DETECTED".to_owned() } else { rules.join(", ") };
            text.push_str(&format!("{} on {vehicles} vehicles: {outcome}\n", attack.kind.word()));
        }
        if let Some(seen) = &self.is_balanced {
            text.push_str(&format!("a stage does not balance: {seen}\n"));
        }
        text
    }
}

/// Waits until the worker has caught up, then judges.
///
/// # Errors
/// The worker does not finish, or storage cannot be read.
pub(super) async fn judge(server: &RunningServer, world: &World) -> Result<Verdict, Failure> {
    caught_up(server).await?;
    let sent = world.sent();
    let stored = stored(server).await?;
    let (lost, duplicated) = invariants::exactly_once(&sent, &stored);
    let app = server.app();
    let scope = Scope { tenant: TenantId(1), now: app.clock.now() };
    let mut attacks_stated = Vec::new();
    let (mut findings, mut alerts, mut cursor) = (BTreeSet::new(), 0u64, None);
    loop {
        let page = app
            .store
            .alerts(scope, &AlertFilter::default(), (AlertOrder::FirstAt, false), cursor.as_deref(), 500)
            .await
            .map_err(Failure::failed)?;
        for alert in &page.items {
            alerts += 1;
            let vehicles =
                app.store.alert_vehicles(scope, &alert.id, 10_000).await.map_err(Failure::failed)?;
            for finding in
                app.store.alert_findings(scope, &alert.id, 10_000).await.map_err(Failure::failed)?
            {
                findings.insert((
                    finding.id,
                    finding.window_from,
                    finding.window_to,
                    finding.value,
                    finding.event_count,
                    finding.vehicle_count,
                ));
            }
            let vehicles: BTreeSet<VehicleId> = vehicles.into_iter().collect();
            attacks_stated.push((alert.clone(), vehicles));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let names = rule_names()?;
    let stated: Vec<Stated<'_>> = attacks_stated
        .iter()
        .filter_map(|(alert, vehicles)| {
            Some(Stated {
                rule: names.get(&alert.rule_id)?,
                vehicles,
                model_line: alert.model_line.as_deref(),
                from: alert.first_at.0,
                to: alert.last_at.0,
            })
        })
        .collect();
    let attacks =
        world.attacks().iter().map(|attack| (Detected::of(attack, &stated), attack.vehicles.len())).collect();
    let status = app.pipeline.status();
    let frames = app.exchange.frames();
    let stages = [
        ("frames", &frames),
        ("batches", &status.batches),
        ("rows", &status.rows),
        ("detect", &status.detect),
        ("lake", &status.lake),
    ];
    Ok(Verdict {
        events_in: sent.len() as u64,
        events_stored: stored.len() as u64,
        findings: findings.len() as u64,
        alerts,
        lost,
        duplicated,
        digest: digest(&findings),
        is_balanced: invariants::balanced(stages).err().map(|violation| violation.seen),
        attacks,
    })
}

/// Returns the name of every shipped rule that has one, by its identity.
fn rule_names() -> Result<BTreeMap<String, String>, Failure> {
    let texts = rules(None)?;
    let files: Vec<_> =
        texts.iter().map(|rule| outrider_rules::RuleFile { name: &rule.name, text: &rule.text }).collect();
    let loaded = outrider_rules::load(&files).rules;
    let plain = loaded.rules().iter().map(|rule| &rule.header);
    let headers = plain.chain(loaded.correlations().iter().map(|correlation| &correlation.header));
    Ok(headers.filter_map(|header| Some((header.id.to_string(), header.name.clone()?))).collect())
}

type FindingKey = (String, outrider_types::UnixMicros, outrider_types::UnixMicros, Option<u64>, u64, u64);

/// Returns a digest of what findings state, without when it was stated.
fn digest(findings: &BTreeSet<FindingKey>) -> String {
    let mut hasher = Sha256::new();
    for (id, from, to, value, events, vehicles) in findings {
        hasher.update(format!("{id} {} {} {value:?} {events} {vehicles}\n", from.0, to.0));
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

async fn caught_up(server: &RunningServer) -> Result<(), Failure> {
    let app = server.app();
    for _ in 0..PATIENCE_TENTHS {
        let (log, status) = (std::sync::Arc::clone(&app.log), app.pipeline.status());
        let asked = tokio::task::spawn_blocking(move || (Backlog::read(&*log, &status), status));
        let (backlog, status) = asked.await.map_err(Failure::failed)?;
        if let Some(error) = backlog.trouble {
            return Err(Failure::failed(error));
        }
        let mut places = backlog.partitions.iter().zip(&status.partitions);
        if places.all(|(part, place)| !part.is_behind() && Some(place.lake_next) >= part.head) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Failure::failed("the worker did not finish in three minutes"))
}

/// Returns the identity of every stored row.
async fn stored(server: &RunningServer) -> Result<Vec<EventId>, Failure> {
    let app = server.app();
    let mut ids = Vec::new();
    let query = "SELECT vehicle_id, epoch, lane, seq FROM events";
    let result = app.history.sql(query, 5_000_000).await.map_err(Failure::failed)?;
    if result.truncated {
        return Err(Failure::failed("more rows than can be compared"));
    }
    for row in &result.rows {
        ids.push(event_id(row).ok_or_else(|| Failure::failed("a stored identity cannot be read"))?);
    }
    Ok(ids)
}

/// Reads an identity from a row of vehicle_id, epoch, lane, seq.
pub(crate) fn event_id(row: &[Value]) -> Option<EventId> {
    Some(EventId {
        vehicle: row.first()?.as_str()?.parse().ok()?,
        epoch: BootEpoch(row.get(1)?.as_u64()?),
        lane: Lane::from_word(row.get(2)?.as_str()?)?,
        seq: Seq(row.get(3)?.as_u64()?),
    })
}
