//! Decodes the numbers of every charging session that is recorded. Skips where the recordings are not present.
#![expect(clippy::print_stdout, reason = "the table is what the run is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use outrider_agent::io::capture::{self, ReadOptions, Record};
use outrider_bus::ether::EtherView;
use outrider_bus::v2g::{Facts, Kind, Messages, Milli, PayloadType, Values};

/// Recordings below a folder, or `None` with a message where they are not present.
fn recordings() -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/v2g");
    let mut paths = Vec::new();
    for kind in ["benign", "attack"] {
        let Ok(entries) = std::fs::read_dir(folder.join(kind)) else {
            println!("SKIPPED: shared/data/v2g/{kind} not present");
            return None;
        };
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    paths.sort();
    Some(paths)
}

/// Every EXI message of a recording; each lies in one segment there.
fn messages(path: &Path) -> Vec<Facts> {
    let capture = capture::open(path, &ReadOptions::default()).expect("the recording opens");
    let mut found = Vec::new();
    for record in capture {
        let Record::Ethernet { bytes, .. } = record.expect("the recording reads") else { continue };
        let ports = EtherView::new(&bytes).and_then(|ether| ether.ip()).and_then(|ip| ip.ports());
        let Some(ports) = ports.filter(|ports| ports.is_tcp) else { continue };
        let exi = Messages::new(ports.payload).filter(|view| view.payload_type() == PayloadType::Exi);
        found.extend(exi.filter_map(|view| Facts::parse(view.payload())));
    }
    found
}

const LOOPS: [Kind; 4] =
    [Kind::PreChargeReq, Kind::PreChargeRes, Kind::CurrentDemandReq, Kind::CurrentDemandRes];

#[test]
fn every_message_of_a_loop_is_read_and_says_what_a_charger_can_mean() {
    let Some(paths) = recordings() else { return };
    let mut read = 0;
    for path in &paths {
        let mut spans: BTreeMap<&str, (Milli, Milli)> = BTreeMap::new();
        let mut sessions = BTreeSet::new();
        for facts in messages(path) {
            if !facts.session.is_zero() {
                sessions.insert(facts.session);
            }
            let Some(kind) = facts.kind.filter(|kind| LOOPS.contains(kind)) else { continue };
            let values = facts.values;
            assert_ne!(values, Values::default(), "{kind:?} in {}", path.display());
            read += 1;
            for (name, value) in [
                ("target voltage", values.target_voltage),
                ("target current", values.target_current),
                ("voltage", values.present_voltage),
                ("current", values.present_current),
                ("voltage limit", values.voltage_limit),
            ] {
                let Some(value) = value else { continue };
                let span = spans.entry(name).or_insert((value, value));
                *span = (span.0.min(value), span.1.max(value));
            }
        }
        println!("{}: {} sessions, {spans:?}", path.display(), sessions.len());
        for (name, (low, high)) in spans {
            let (least, most) = if name.ends_with("current") { (-600_000, 600_000) } else { (0, 1_000_000) };
            assert!(low >= least && high <= most, "{name} {low}..{high} in {}", path.display());
        }
        assert!(sessions.len() <= 2, "a session's number stays: {sessions:?}");
    }
    assert!(read > 4000, "{read} messages");
}
