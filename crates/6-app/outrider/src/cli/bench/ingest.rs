//! `outrider bench ingest`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use outrider_bench::{Events, Figures, Ingest, TENZIR_NORMALISED, TENZIR_RULES_ONLY};
use serde_json::{Map, Value, json};

use super::tenzir::{Run, Tenzir};
use super::{float, thread_cpu, wire};
use crate::cli::{Failure, print};

/// Ingestion: lines of JSON to matches of fifty rules, beside Tenzir on the same file, and signed wire batches to the lake.
///
/// JSON fields: events, bytes_per_event, rules, ndjson_events_per_cpu_second (the whole way of a feed's worker),
/// ndjson_decode_rules_events_per_cpu_second (decoder, columns and rules alone), ndjson_ns_per_event (read, columns,
/// worker, rules), tenzir (the program, or that it is absent), tenzir_events_per_cpu_second (start taken off),
/// tenzir_rules_only_events_per_cpu_second, tenzir_cpu_seconds, tenzir_start_cpu_seconds, ratio (whole way to Tenzir),
/// ratio_decode_rules, matches (by rule, equal in both or the command fails), wire_events, wire_rules,
/// wire_to_lake_events_per_cpu_second, wire_to_lake_stages (CPU seconds), bytes_per_row (after compaction).
#[derive(Debug, Args)]
pub(super) struct BenchIngest {
    /// Lines of JSON.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Vehicles that the lines come from.
    #[arg(long, default_value_t = 5_000)]
    vehicles: u64,
    /// Events over the wire to the lake.
    #[arg(long, default_value_t = 1_000_000)]
    wire_events: u64,
    /// Vehicles that send them.
    #[arg(long, default_value_t = 2_000)]
    wire_vehicles: usize,
    /// The program of Tenzir; by default `tenzir` of PATH, and without it no comparison.
    #[arg(long)]
    tenzir: Option<PathBuf>,
    /// Folder for file and lake; by default a temporary one that is removed.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl BenchIngest {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let folder = self.folder.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("outrider-bench-ingest-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder).map_err(Failure::failed)?;
        let figures = self.measure(&folder);
        if self.folder.is_none() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        let figures = Value::Object(figures?);
        print(&if self.json { format!("{figures}\n") } else { format!("{figures:#}\n") })
    }

    fn measure(&self, folder: &Path) -> Result<Map<String, Value>, Failure> {
        let tenzir = Tenzir::find(self.tenzir.as_deref(), folder)?;
        let file = folder.join("events.ndjson");
        let ours = self.lines(&file)?;
        let mut out = Map::new();
        self.tell_lines(&ours, &mut out);
        match tenzir {
            Some(tenzir) => self.beside(&tenzir, &file, &ours, &mut out)?,
            None => {
                out.insert("tenzir".to_owned(), json!("absent: name its program with --tenzir"));
                for name in [
                    "tenzir_events_per_cpu_second",
                    "tenzir_rules_only_events_per_cpu_second",
                    "tenzir_cpu_seconds",
                    "tenzir_start_cpu_seconds",
                    "ratio",
                    "ratio_decode_rules",
                ] {
                    out.insert(name.to_owned(), Value::Null);
                }
            }
        }
        out.insert("matches".to_owned(), json!(ours.matches));
        let carried = wire::carry(self.wire_events, self.wire_vehicles, &folder.join("lake"), true)?;
        out.insert("wire_events".to_owned(), json!(carried.events));
        out.insert("wire_rules".to_owned(), json!(carried.rules));
        let rate = rate(carried.events, carried.cpu);
        out.insert("wire_to_lake_events_per_cpu_second".to_owned(), json!(rate));
        out.insert("wire_to_lake_stages".to_owned(), carried.stages.to_json());
        out.insert("bytes_per_row".to_owned(), json!(carried.bytes_per_row));
        Ok(out)
    }

    /// Writes the file and takes its lines our way.
    fn lines(&self, file: &Path) -> Result<Figures, Failure> {
        let (mut events, mut text) = (Events::new(1, self.vehicles), String::new());
        (0..self.events).for_each(|_| events.write(&mut text));
        std::fs::write(file, &text).map_err(Failure::failed)?;
        tracing::info!(events = self.events, bytes = text.len(), "lines are made");
        let figures = Ingest::new().map_err(Failure::failed)?.run(text.as_bytes(), &mut thread_cpu);
        if (figures.events, figures.refused) != (self.events, 0) {
            return Err(Failure::failed(format!(
                "{} of {} lines became rows, {} were set aside",
                figures.events, self.events, figures.refused
            )));
        }
        if figures.whole.is_zero() {
            return Err(Failure::failed("the kernel accounts no time in /proc/thread-self/schedstat"));
        }
        Ok(figures)
    }

    /// Enters the figures of lines.
    fn tell_lines(&self, ours: &Figures, out: &mut Map<String, Value>) {
        let nanos = |time: Duration| time.as_secs_f64() * 1e9 / float(self.events);
        let columns = ours.decode.saturating_sub(ours.read);
        let worker = ours.whole.saturating_sub(ours.decode).saturating_sub(ours.rules);
        let told = json!({
            "events": self.events, "bytes_per_event": float(ours.bytes) / float(self.events),
            "rules": ours.matches.len(),
            "ndjson_events_per_cpu_second": rate(self.events, ours.whole.as_secs_f64()),
            "ndjson_decode_rules_events_per_cpu_second": rate(self.events, decode_rules(ours)),
            "ndjson_ns_per_event": {
                "read": nanos(ours.read), "columns": nanos(columns), "worker": nanos(worker),
                "rules": nanos(ours.rules),
            },
        });
        out.extend(told.as_object().cloned().unwrap_or_default());
    }

    /// Has Tenzir take the same file: with nothing in it, with rules over the source's own words, and normalised.
    fn beside(
        &self,
        tenzir: &Tenzir,
        file: &Path,
        ours: &Figures,
        out: &mut Map<String, Value>,
    ) -> Result<(), Failure> {
        // One event: a pipeline that sees none prints no counts.
        let (mut event, first) = (String::new(), file.with_file_name("first.ndjson"));
        Events::new(1, self.vehicles).write(&mut event);
        std::fs::write(&first, event).map_err(Failure::failed)?;
        let start = tenzir.run(TENZIR_NORMALISED, &first)?;
        let rules_only = tenzir.run(TENZIR_RULES_ONLY, file)?;
        let normalised = tenzir.run(TENZIR_NORMALISED, file)?;
        is_same(&rules_only, &ours.matches)?;
        is_same(&normalised, &ours.matches)?;
        // Ours counts no start of the process either.
        let seconds = |run: &Run| (run.cpu - start.cpu).max(0.0);
        let theirs = rate(self.events, seconds(&normalised));
        let ratio = |ours: f64| theirs.map(|theirs| ours / theirs);
        let told = json!({
            "tenzir": "present",
            "tenzir_events_per_cpu_second": theirs,
            "tenzir_rules_only_events_per_cpu_second": rate(self.events, seconds(&rules_only)),
            "tenzir_cpu_seconds": normalised.cpu, "tenzir_start_cpu_seconds": start.cpu,
            "ratio": ratio(float(self.events) / ours.whole.as_secs_f64()),
            "ratio_decode_rules": ratio(float(self.events) / decode_rules(ours)),
        });
        out.extend(told.as_object().cloned().unwrap_or_default());
        Ok(())
    }
}

/// CPU seconds of decoder, columns and rules alone.
fn decode_rules(figures: &Figures) -> f64 {
    (figures.decode + figures.rules).as_secs_f64()
}

/// Events of a CPU second, if there was time to measure.
fn rate(events: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| float(events) / seconds)
}

/// Checks that each rule matched as many rows there as here.
fn is_same(theirs: &Run, ours: &BTreeMap<String, u64>) -> Result<(), Failure> {
    let expected: BTreeMap<usize, u64> = (1..).zip(ours.values().copied()).collect();
    for (rule, count) in &expected {
        let other = theirs.matches.get(rule);
        if other != Some(count) {
            return Err(Failure::failed(format!("rule {rule} matched {count} here and {other:?} in Tenzir")));
        }
    }
    if theirs.matches.len() == expected.len() {
        Ok(())
    } else {
        Err(Failure::failed("Tenzir has other rules"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in of Tenzir that prints what a shell makes of the pipeline's file.
    fn stand_in(folder: &Path, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.join("stand-in");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("made a program");
        program
    }

    fn bench(folder: &Path, tenzir: Option<PathBuf>) -> BenchIngest {
        BenchIngest {
            events: 6_000,
            vehicles: 50,
            wire_events: 3_000,
            wire_vehicles: 4,
            tenzir,
            folder: Some(folder.to_path_buf()),
            json: true,
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("outrider-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        folder
    }

    #[test]
    fn a_small_run_measures_all_and_says_what_it_did_not_compare() {
        let folder = folder("small");
        let bench = bench(&folder, None);
        let ours = bench.lines(&folder.join("events.ndjson")).expect("lines");
        let mut out = Map::new();
        bench.tell_lines(&ours, &mut out);
        assert_eq!((out["events"].as_u64(), out["rules"].as_u64()), (Some(6_000), Some(50)));
        assert!(out["bytes_per_event"].as_f64().expect("a number") > 300.0);
        for name in ["ndjson_events_per_cpu_second", "ndjson_decode_rules_events_per_cpu_second"] {
            assert!(out[name].as_f64().expect(name) > 0.0);
        }
        let carried =
            wire::carry(bench.wire_events, bench.wire_vehicles, &folder.join("lake"), true).expect("carried");
        assert_eq!(carried.events, 3_000);
        assert!(carried.bytes_per_row.expect("compacted") > 1.0 && carried.findings > 0);
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn other_counts_than_ours_are_an_error() {
        let folder = folder("counts");
        let bench = bench(&folder, None);
        let file = folder.join("events.ndjson");
        let ours = bench.lines(&file).expect("lines");
        let row = |more: u64| -> String {
            let counts = (1..).zip(ours.matches.values());
            let counts: Vec<_> =
                counts.map(|(rule, count)| format!("\"r{rule:02}\":{}", count + more)).collect();
            format!("{{{}}}", counts.join(","))
        };
        let compare = |script: String| {
            let program = stand_in(&folder, &script);
            let tenzir = Tenzir::find(Some(&program), &folder).expect("found").expect("there");
            bench.beside(&tenzir, &file, &ours, &mut Map::new()).map_err(|failure| failure.to_string())
        };
        assert_eq!(compare(format!("echo '{}'", row(0))), Ok(()));
        let wrong = compare(format!("echo '{}'", row(1))).expect_err("other counts");
        assert!(wrong.contains("rule 1 matched"), "{wrong}");
        assert!(compare("echo '{\"r01\":1}'".to_owned()).is_err());
        let failed = compare("echo sorry >&2; exit 3".to_owned()).expect_err("it failed");
        assert!(failed.contains("sorry"), "{failed}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
