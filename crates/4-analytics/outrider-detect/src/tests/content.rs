//! The rules that ship with the product: each has a hit and a near miss, in time, late, shuffled and repeated.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_model::{EventBatch, Finding, Stage, invariants};
use outrider_rules::{RuleFile, RuleSet, load, sample};
use outrider_types::{IngestTime, Seed, UnixMicros};

use super::events::{DAY, shuffle, standing};
use crate::{Detector, DetectorConfig};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../content/rules")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

fn shipped() -> Arc<RuleSet> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable rule file");
        (path.display().to_string(), text)
    };
    let is_rule = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yml");
    let texts: Vec<(String, String)> = sorted(&folder()).into_iter().filter(is_rule).map(read).collect();
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let loaded = load(&files);
    assert_eq!(loaded.errors().count(), 0, "{:?}", loaded.problems);
    Arc::new(loaded.rules)
}

/// Copies rows in the given order.
fn pick(batch: &EventBatch, rows: &[usize]) -> EventBatch {
    let mut picked = EventBatch::new();
    for row in rows {
        let view = batch.row(*row);
        picked.push(&view.to_row());
        for (key, value) in view.fields() {
            assert!(picked.set_field(key, value), "a field that was there fits");
        }
        picked.ecu.push(batch.ecu.get(*row));
        picked.model_line.push(batch.model_line.get(*row));
        picked.platform.push(batch.platform.get(*row));
        picked.release.push(batch.release.get(*row));
        picked.region.push(batch.region.get(*row));
        picked.monitoring.push(batch.monitoring.get(*row));
    }
    picked.h3 = rows.iter().map(|row| batch.h3[*row]).collect();
    picked.seal();
    picked
}

fn feed(rules: &Arc<RuleSet>, batches: &[EventBatch]) -> (Detector, Vec<Finding>) {
    let mut detector = Detector::new(Arc::clone(rules), DetectorConfig::default());
    let mut findings = Vec::new();
    for batch in batches {
        let now = batch.ingest_time.iter().max().copied().unwrap_or(0);
        detector.on_batch(batch, IngestTime(UnixMicros(now)), &mut findings);
    }
    assert_eq!(detector.balance().difference(), 0, "BAL-1");
    (detector, findings)
}

#[test]
fn every_shipped_rule_is_evaluated() {
    let detector = Detector::new(shipped(), DetectorConfig::default());
    assert_eq!(detector.not_evaluated(), []);
    assert!(detector.loads().len() > 20);
}

#[test]
fn every_sample_fires_or_stays_silent_in_any_order_of_arrival() {
    let rules = shipped();
    let mut seen = [0usize; 2];
    for case in sorted(&folder().join("tests")) {
        let name = case.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let headers = rules.rules().iter().map(|rule| (&rule.header, rule.generate));
        let correlations = rules.correlations().iter().map(|correlation| (&correlation.header, true));
        let (header, generates) = headers
            .chain(correlations)
            .find(|(header, _)| header.name.as_deref() == Some(&name))
            .expect("a folder is named after its rule");
        if !generates {
            continue;
        }
        for file in sorted(&case) {
            let text = std::fs::read_to_string(&file).expect("a readable sample");
            let mut batch = sample::read(&text).expect("a valid sample").batch;
            let hit = file.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("hit"));
            seen[usize::from(hit)] += 1;
            let (_, in_time) = feed(&rules, std::slice::from_ref(&batch));
            let fired = standing(&in_time).iter().any(|finding| finding.rule == header.id);
            assert_eq!(fired, hit, "{}", file.display());
            let mut seed = Seed::new(11);
            for row in 0..batch.rows() {
                batch.ingest_time[row] =
                    batch.event_time[row] + if seed.chance(3, 10) { 21 * DAY } else { 0 };
            }
            let mut rows: Vec<usize> = (0..batch.rows()).chain(0..batch.rows()).collect();
            shuffle(&mut rows, &mut seed);
            let batches: Vec<EventBatch> = rows.chunks(5).map(|rows| pick(&batch, rows)).collect();
            let (_, late) = feed(&rules, &batches);
            assert_eq!(invariants::same_findings(&in_time, &late), Ok(()), "{}", file.display());
        }
    }
    assert!(seen.iter().all(|count| *count >= 20), "{seen:?}");
}
