use std::collections::BTreeSet;

use outrider_types::UnixMicros;

use super::*;
use crate::api::dto::{
    DatabaseHealth, DetectHealth, GapHealth, Health, LakeHealth, LogHealth, PartitionHealth, StageBalance,
    Timestamp,
};
use crate::pipeline::PipelineStatus;
use crate::vehicle::VehicleLinkStatus;

const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

/// A partition with its head and what waits of it, if they are known, and the time of what is worked off.
fn partition(number: u32, head: Option<(u64, u64)>, at: Option<i64>) -> PartitionHealth {
    PartitionHealth {
        partition: number,
        head_offset: head.map(|(head, _)| head),
        worker_offset: head.map_or(0, |(head, lag)| head - lag),
        lag_records: head.map(|(_, lag)| lag),
        ingested_at: at.map(|at| Timestamp(UnixMicros(at))),
    }
}

fn health() -> Health {
    let balance = |stage: &str| StageBalance {
        stage: stage.to_owned(),
        unit: "events".to_owned(),
        received: 12,
        passed: 7,
        dropped: [("duplicate".to_owned(), 3)].into(),
        quarantined: [("a \"bad\"\\\nword".to_owned(), 2)].into(),
        balanced: true,
    };
    Health {
        stages: vec![balance("ingest_events"), balance("lake")],
        log: LogHealth {
            head_offset: 9,
            worker_offset: 4,
            lag_records: 5,
            bytes: 1_000,
            partitions: vec![
                partition(0, Some((5, 0)), Some(NOW.0 - 9_000_000)),
                partition(1, Some((4, 4)), Some(NOW.0 - 2_500_000)),
            ],
        },
        lake: LakeHealth { version: 3, rows: 7, files: 2, bytes: 900, last_commit_at: Some(Timestamp(NOW)) },
        detect: DetectHealth {
            state_entries: 1,
            late_findings: 0,
            degraded: [].into(),
            not_evaluated: [].into(),
        },
        gaps: GapHealth { open: 1, overdue: 2, tombstoned: 3 },
        links: VehicleLinkStatus { broker_frames: Some(1), ..VehicleLinkStatus::default() },
        database: DatabaseHealth { bytes: 4_096 },
        trouble: None,
        uptime_s: 1,
        version: "1.2.3".to_owned(),
        as_of: Timestamp(NOW),
    }
}

fn page(health: &Health, worker: &PipelineStatus) -> String {
    let process = ProcessStatus { cpu_seconds: Some(1.5), memory_bytes: Some(7), files: Some(3) };
    render(&Readings { health, worker, process, started: UnixMicros(NOW.0 - 1_000_000) })
}

/// One line that is no comment: name, labels as written, value.
fn series(line: &str) -> (&str, &str, f64) {
    let (rest, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = rest
        .split_once('{')
        .map_or((rest, ""), |(name, labels)| (name, labels.strip_suffix('}').expect("labels end")));
    (name, labels, value.parse().expect("a number"))
}

#[test]
fn names_end_with_their_unit_and_counters_with_total() {
    let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len());
    for metric in ALL {
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        let is_ours = metric.name.starts_with("outrider_") || metric.name.starts_with("process_");
        assert!(
            is_ours && metric.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{}",
            metric.name
        );
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '\n']), "{}", metric.name);
    }
}

#[test]
fn every_metric_is_announced_once_before_its_series() {
    let page = page(&health(), &PipelineStatus::default());
    let announced: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').expect("name and kind"))
        .collect();
    let expected: BTreeSet<_> = ALL.iter().map(|metric| (metric.name, metric.kind.word())).collect();
    assert_eq!(announced.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(announced.len(), ALL.len());
    let (mut current, mut seen) = ("", BTreeSet::new());
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            current = head.split(' ').next().expect("a name");
        } else if !line.starts_with('#') {
            let (name, labels, _) = series(line);
            assert_eq!(name, current);
            assert!(seen.insert((name, labels)), "{line} twice");
        }
    }
    assert!(page.ends_with('\n'));
}

#[test]
fn a_process_without_api_shows_what_runs_in_it_and_nothing_else() {
    let process = ProcessStatus { cpu_seconds: Some(1.5), memory_bytes: Some(7), files: Some(3) };
    let (whole, status) = (health(), PipelineStatus { owned: 2, ..PipelineStatus::default() });
    let role = |worker, links| {
        let (version, stages) = ("1.2.3", &whole.stages[..]);
        let page =
            render_role(&RoleReadings { version, stages, worker, links, process, started: NOW, now: NOW });
        assert!(!page.contains("NaN"));
        page
    };
    let partitions = &whole.log.partitions[..];
    let announced = |page: &str| -> BTreeSet<String> {
        let heads: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let names: BTreeSet<_> =
            heads.iter().filter_map(|head| Some(head.split_once(' ')?.0.to_owned())).collect();
        assert_eq!(names.len(), heads.len(), "each once");
        names
    };
    let has = |names: &BTreeSet<String>, metric: &Metric| names.contains(metric.name);
    let working = |is_log_mute| WorkerReadings { status: &status, partitions, is_log_mute };
    let page = role(Some(working(false)), None);
    assert!(page.contains("outrider_owned_partitions 2\n") && page.contains("outrider_worker_stuck 0\n"));
    assert!(page.contains("outrider_log_lag_records{partition=\"1\"} 4\n"), "{page}");
    let names = announced(&page);
    assert!(has(&names, &WATERMARK_AGE) && has(&names, &RULE_ENTRIES) && has(&names, &STAGE_PASSED));
    assert!(!has(&names, &LINK_SESSIONS) && !has(&names, &LAKE_ROWS) && !has(&names, &GAPS));
    assert!(role(Some(working(true)), None).contains("outrider_worker_stuck 1\n"));
    let names = announced(&role(None, Some(&whole.links)));
    assert!(has(&names, &LINK_SESSIONS) && has(&names, &PROCESS_CPU));
    assert!(!has(&names, &OWNED) && !has(&names, &WORKER_STUCK));
}

#[test]
fn labels_are_escaped() {
    let page = page(&health(), &PipelineStatus::default());
    let line =
        r#"outrider_stage_quarantined_units_total{stage="lake",unit="events",reason="a \"bad\"\\\nword"} 2"#;
    assert!(page.lines().any(|each| each == line), "{page}");
}

#[test]
fn each_partition_has_its_watermark_whose_age_counts_only_while_records_wait() {
    let mut health = health();
    let values = |health: &Health, metric: &Metric| -> Vec<(String, String)> {
        let page = page(health, &PipelineStatus::default());
        let lines = page.lines().filter(|line| line.starts_with(metric.name)).map(series);
        lines.map(|(_, labels, value)| (labels.to_owned(), value.to_string())).collect()
    };
    let expected = |values: &[(u32, &str)]| -> Vec<(String, String)> {
        let text = |(number, value): &(u32, &str)| (format!("partition=\"{number}\""), (*value).to_owned());
        values.iter().map(text).collect()
    };
    // One partition is done, the other waits: the sum would hide which, and the newest of all how long.
    assert_eq!(values(&health, &WATERMARK_AGE), expected(&[(0, "0"), (1, "2.5")]));
    assert_eq!(values(&health, &LOG_LAG), expected(&[(0, "0"), (1, "4")]));
    assert_eq!(values(&health, &LOG_HEAD), expected(&[(0, "5"), (1, "4")]));
    // A clock that went back is no age; of what is not known nothing is said.
    health.log.partitions = vec![
        partition(0, Some((5, 1)), Some(NOW.0 + 1_000_000)),
        partition(1, None, Some(NOW.0)),
        partition(2, Some((5, 1)), None),
    ];
    assert_eq!(values(&health, &WATERMARK_AGE), expected(&[(0, "0")]));
    assert_eq!(values(&health, &LOG_LAG), expected(&[(0, "1"), (2, "1")]));
}

#[test]
fn what_is_not_known_has_no_series() {
    let mut health = health();
    health.lake.last_commit_at = None;
    health.links.broker_frames = None;
    let readings = Readings {
        health: &health,
        worker: &PipelineStatus::default(),
        process: ProcessStatus::default(),
        started: NOW,
    };
    let page = render(&readings);
    let absent = [LAKE_COMMIT_AGE, LINK_BROKER_FRAMES, PROCESS_CPU, PROCESS_MEMORY, PROCESS_FILES];
    for metric in absent {
        assert!(!page.lines().any(|line| line.starts_with(metric.name)), "{}", metric.name);
    }
}

#[test]
fn the_checked_in_page_is_the_generated_one() {
    let mut text = String::from(
        "# Metrics\n\nGenerated from the program. How to read them: [operations](operations.md#monitoring).\n\n\
         `all` and `api` show every metric, processes without API those that are marked.\n\n\
         | metric | kind | labels | says | edge | worker, correlator |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let (health, status) = (health(), PipelineStatus::default());
    let readings = |worker, links| RoleReadings {
        version: "",
        stages: &[],
        worker,
        links,
        process: ProcessStatus::default(),
        started: NOW,
        now: NOW,
    };
    let edge = render_role(&readings(None, Some(&health.links)));
    let worker = WorkerReadings { status: &status, partitions: &[], is_log_mute: false };
    let worker = render_role(&readings(Some(worker), None));
    for Metric { name, kind, help, labels } in ALL {
        let mark = |page: &str| if page.contains(&format!("# TYPE {name} ")) { "yes" } else { "" };
        text.push_str(&format!(
            "| `{name}` | {} | {} | {help} | {} | {} |\n",
            kind.word(),
            labels.join(", "),
            mark(&edge),
            mark(&worker)
        ));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/book/metrics.md");
    expect_test::expect_file![path].assert_eq(&text);
}
