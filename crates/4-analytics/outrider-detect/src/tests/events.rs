//! Made-up events and the rules that count them.

use std::sync::Arc;

use outrider_model::{
    Connectivity, EventBatch, EventRow, FieldValue, Finding, Stage, VehicleRecord, catalogue,
};
use outrider_rules::{RuleFile, RuleSet, load};
use outrider_types::{
    BootEpoch, EventId, EventTime, IngestTime, Lane, Seed, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};

use crate::{Detector, DetectorConfig};

/// 2026-01-05T00:00:00Z.
pub(super) const START: i64 = 1_767_571_200_000_000;
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const HOUR: i64 = 3600 * SECOND;
pub(super) const DAY: i64 = 24 * HOUR;

/// One event of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) vehicle: u32,
    pub(super) model: u8,
    pub(super) seq: u64,
    pub(super) at: i64,
    pub(super) ingest: i64,
    pub(super) error_us: u64,
    pub(super) service: i64,
}

impl Event {
    /// Returns an event that arrives a second after it happened.
    pub(super) fn new(vehicle: u32, seq: u64, at: i64) -> Self {
        Self { vehicle, model: 0, seq, at, ingest: at.saturating_add(SECOND), error_us: 1000, service: 0x27 }
    }

    pub(super) fn id(&self) -> EventId {
        EventId {
            vehicle: vehicle(self.vehicle),
            epoch: BootEpoch(1 + self.seq / 3),
            lane: Lane::Batched,
            seq: Seq(self.seq),
        }
    }

    pub(super) fn model_line(&self) -> String {
        format!("line-{}", self.model)
    }

    fn push(&self, batch: &mut EventBatch) {
        let number = |name: &str| catalogue::event_type_by_name(name).expect("the catalogue has it").id;
        batch.push(&EventRow {
            tenant: TenantId(1),
            id: self.id(),
            event_type: number("diag.security_access_denied"),
            severity: Severity::Low,
            time: EventTime { best: UnixMicros(self.at), error_us: self.error_us },
            ingest: IngestTime(UnixMicros(self.ingest)),
            mono: VehicleMicros(0),
            count: 1,
            span: (VehicleMicros(0), VehicleMicros(0)),
            bus: None,
            context: &[],
        });
        let key = catalogue::field_by_name("uds_nrc").expect("the catalogue has it").key;
        assert!(batch.set_field(key, FieldValue::Int(self.service)), "the field fits");
        let record = VehicleRecord {
            vehicle: vehicle(self.vehicle),
            tenant: TenantId(1),
            model_line: self.model_line(),
            platform: "p".to_owned(),
            model_year: 2026,
            release: "r".to_owned(),
            region: "DE".to_owned(),
            h3: None,
            connectivity: Connectivity::Cellular,
            ..VehicleRecord::default()
        };
        batch.enrich_last(Some(&record), None);
    }
}

/// Returns a pseudonym whose order is not that of the numbers.
pub(super) fn vehicle(number: u32) -> VehicleId {
    let mut seed = Seed::new(u64::from(number));
    let mut id = [0u8; 16];
    id[..8].copy_from_slice(&seed.next_u64().to_le_bytes());
    id[8..].copy_from_slice(&seed.next_u64().to_le_bytes());
    VehicleId(id)
}

pub(super) fn batch_of(events: &[Event]) -> EventBatch {
    let mut batch = EventBatch::new();
    events.iter().for_each(|event| event.push(&mut batch));
    batch.seal();
    batch
}

/// Shuffles in place, the same way for the same seed.
pub(super) fn shuffle<T>(items: &mut [T], seed: &mut Seed) {
    for index in (1..items.len()).rev() {
        let other = usize::try_from(seed.below(index as u64 + 1)).expect("below the length");
        items.swap(index, other);
    }
}

/// Returns a base rule `denied` and one correlation for each given block.
pub(super) fn rules(correlations: &[&str], generate: bool) -> Arc<RuleSet> {
    let base = "title: Denied\nid: 00000000-0000-4000-8000-000000000001\nname: denied\nstatus: test\n\
         description: test\nauthor: test\ndate: 2026-01-05\nlogsource:\n  product: vehicle\n  category: diag\n\
         detection:\n  selection:\n    event_type: diag.security_access_denied\n  condition: selection\n\
         level: low\ntags:\n  - unr155.18.3\n";
    let mut text = base.to_owned();
    for (index, block) in correlations.iter().enumerate() {
        let block = block.replace('\n', "\n  ");
        text.push_str(&format!(
            "---\ntitle: Count {index}\nid: 00000000-0000-4000-8000-0000000001{index:02}\nname: count_{index}\n\
             status: test\ndescription: test\nauthor: test\ndate: 2026-01-05\ncorrelation:\n  {block}\n\
             generate: {generate}\nlevel: high\ntags:\n  - unr155.18.3\n"
        ));
    }
    let loaded = load(&[RuleFile { name: "test.yml", text: &text }]);
    let errors: Vec<_> = loaded.errors().collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(loaded.rules.correlations().len(), correlations.len());
    Arc::new(loaded.rules)
}

/// Returns a configuration in which cells turn into sets as early as the threshold allows.
pub(super) fn eager() -> DetectorConfig {
    DetectorConfig { dense_above: 1, ..DetectorConfig::default() }
}

/// Feeds batches and returns every finding in order.
pub(super) fn run(detector: &mut Detector, batches: &[Vec<Event>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for batch in batches {
        let now = batch.iter().map(|event| event.ingest).max().unwrap_or(START);
        detector.on_batch(&batch_of(batch), IngestTime(UnixMicros(now)), &mut findings);
    }
    assert_eq!(detector.balance().difference(), 0, "BAL-1");
    findings
}

/// Returns the newest revisions that stand, by identity.
pub(super) fn standing(findings: &[Finding]) -> Vec<Finding> {
    let mut newest = std::collections::BTreeMap::new();
    for finding in findings {
        let before = newest.insert(finding.id, finding.clone());
        assert!(before.is_none_or(|before| before.revision < finding.revision && !before.withdrawn));
    }
    newest.into_values().filter(|finding| !finding.withdrawn).collect()
}
