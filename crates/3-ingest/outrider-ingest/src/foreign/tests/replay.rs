use std::sync::atomic::Ordering;

use super::*;
use crate::feeds::NamesUnavailable;

/// Takes an entry again, as the server does.
fn again(bench: &mut Bench, number: u64, entry: &Quarantined) {
    let record = crate::replay::ReplayRecord {
        tenant: TENANT,
        entry: number,
        received: entry.ingest.0,
        part: entry.foreign.clone(),
        bytes: entry.bytes.clone(),
    };
    // Weeks later: times are judged by when the bytes came.
    let ingest = IngestTime(NOW.saturating_add(3_000_000_000_000));
    let record = LogRecord { offset: LogOffset(bench.offset), ingest, bytes: record.emit() };
    bench.offset += 1;
    bench.worker.receive(&record, &NoKeys, &bench.registry, &mut bench.batch, &mut bench.quarantine);
    bench.check();
}

/// Sets other decoders.
fn decoders(bench: &mut Bench, packages: Vec<Package>, feeds: Vec<Feed>) {
    bench.worker.set_feeds(Arc::new(Feeds::new(
        feeds,
        Arc::new(DecoderTable::new(packages)),
        Arc::new(key()),
    )));
}

/// Identities of the rows, sorted.
fn ids(bench: &Bench) -> Vec<(u64, u64)> {
    let mut ids: Vec<(u64, u64)> =
        bench.batch.epoch.iter().copied().zip(bench.batch.seq.iter().copied()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn after_a_fix_refused_documents_pass_once_under_the_identity_that_they_would_have_had() {
    let strict = MAPPING.replace("path = \"id\"", "path = \"id\", max = 9.0, required = true");
    let body: String =
        (5..15).map(|id| line("ID", &format!(", \"id\": {id}"))).collect::<String>() + "{broken\n";
    let mut bench = bench_with(vec![package("acme/1", LINES, &strict)], vec![feed(1, "acme/1", false)]);
    bench.send(1, body.as_bytes());
    assert_eq!((bench.batch.rows(), bench.quarantine.len()), (5, 6));
    let entries = std::mem::take(&mut bench.quarantine);
    let before = bench.worker.feed_counts()[&FeedId(1)].documents.quarantined().values().sum::<u64>();
    let fixed = vec![version("1.0.1", "acme/1", LINES, MAPPING)];
    decoders(&mut bench, fixed, vec![feed(1, "acme/1", false)]);
    // `check` compares all counts with all entries: these stand for those that were taken out.
    bench.quarantine.push(Quarantined { units: before, ..entries[0].clone() });
    for (number, entry) in entries.iter().enumerate() {
        again(&mut bench, number as u64, entry);
        again(&mut bench, number as u64, entry);
    }
    let replayed = bench.worker.take_replayed();
    assert_eq!(replayed.len(), 6, "each once");
    assert_eq!(replayed.iter().map(|it| (it.passed, it.refused)).collect::<Vec<_>>()[4..], [(1, 0), (0, 1)]);
    let mut whole = bench_with(vec![package("acme/1", LINES, MAPPING)], vec![feed(1, "acme/1", false)]);
    whole.send(1, body.as_bytes());
    assert_eq!(ids(&bench), ids(&whole), "as if the fix had been there at once");
    assert_eq!(bench.batch.ingest_time, whole.batch.ingest_time, "they came when they came");
    let counts = |bench: &Bench, version: &str| {
        let counts = bench.worker.decoder_counts().iter().find(|(id, _)| id.ends_with(version));
        counts.map(|(_, it)| (it.received(), it.passed(), it.quarantined().values().sum::<u64>()))
    };
    assert_eq!(counts(&bench, "@1.0.0"), Some((11, 5, 6)));
    assert_eq!(counts(&bench, "@1.0.1"), Some((6, 5, 1)), "each is counted for the version that decoded it");
    assert_eq!(counts(&whole, "@1.0.0"), Some((11, 10, 1)));
}

#[test]
fn what_the_worker_refused_passes_when_the_vehicle_is_registered_and_nothing_else_with_it() {
    let mut bench = bench();
    let other = VehicleName::Vin(VIN.replace("386752", "386753"));
    let body = [line("ID", ""), line("ID", "").replace("386752", "386753"), line("NEW", "")].concat();
    bench.send(1, body.as_bytes());
    assert_eq!((bench.batch.rows(), bench.reasons()), (2, vec!["feed.vehicle_unknown"]));
    let entry = bench.quarantine[0].clone();
    assert_eq!(entry.bytes, body.as_bytes());
    again(&mut bench, 1, &entry);
    assert_eq!(bench.batch.rows(), 2, "it is still unknown");
    assert_eq!(bench.quarantine.len(), 2, "and set aside again");
    assert_eq!(bench.part(1), bench.part(0));
    let registered = vehicle(&other);
    bench.registry.insert(registered, known(registered, "evo"));
    let entry = bench.quarantine[1].clone();
    again(&mut bench, 2, &entry);
    assert_eq!((bench.batch.rows(), bench.batch.vehicle[2]), (3, registered));
    assert_eq!(bench.worker.feed_counts()[&FeedId(1)].documents.dropped()["taken_before"], 4);
}

#[test]
fn payloads_bodies_without_a_decoder_and_changed_numbers_are_taken_again_as_they_stood() {
    let mut bench = bench();
    let inner = "{\"event\": \"ID\", \"vin\": \"WVWZZZ1JZ3W386752\"}\n";
    bench.send(2, wrapped("later/1", &inner.repeat(2), "").as_bytes());
    bench.send(3, line("ID", "").as_bytes());
    assert_eq!(bench.reasons(), ["feed.no_decoder", "feed.no_decoder"]);
    let feeds = || vec![feed(2, "acme.envelope/1", true), feed(3, "none/1", false)];
    let packages = || {
        vec![
            package("later/1", LINES, MAPPING),
            package("none/1", LINES, MAPPING),
            package("acme.envelope/1", LINES, ENVELOPE),
        ]
    };
    decoders(&mut bench, packages(), feeds());
    for (number, entry) in bench.quarantine.clone().iter().enumerate() {
        again(&mut bench, number as u64, entry);
    }
    assert_eq!(bench.batch.rows(), 3);
    let mut whole = bench_with(packages(), feeds());
    whole.send(2, wrapped("later/1", &inner.repeat(2), "").as_bytes());
    whole.send(3, line("ID", "").as_bytes());
    assert_eq!(ids(&bench), ids(&whole));
    // A decoder that counts otherwise cannot tell which documents are meant.
    let broken = [line("ID", ""), line("ID", "").replace("386752", "386753")].concat();
    bench.send(3, broken.as_bytes());
    let entry = bench.quarantine.last().expect("one").clone();
    decoders(
        &mut bench,
        vec![package("none/1", "{ format = \"json\", framing = \"object\" }", MAPPING)],
        feeds(),
    );
    let rows = bench.batch.rows();
    again(&mut bench, 9, &entry);
    assert_eq!(
        (bench.batch.rows(), bench.quarantine.last().map(|it| it.reason)),
        (rows, Some("replay.numbers"))
    );
    // Without its feed nothing is lost either.
    decoders(&mut bench, Vec::new(), Vec::new());
    again(&mut bench, 10, &entry);
    assert_eq!(
        bench.quarantine.last().map(|it| (it.reason, it.foreign.clone())),
        Some(("feed.unknown", entry.foreign))
    );
}

#[test]
fn a_replay_in_a_replay_and_a_damaged_one_do_nothing() {
    let mut bench = bench();
    let inner = crate::replay::ReplayRecord {
        tenant: TENANT,
        entry: 1,
        received: NOW,
        part: None,
        bytes: b"x".to_vec(),
    };
    let outer = crate::replay::ReplayRecord { entry: 2, bytes: inner.emit(), ..inner };
    let mut receive = |bytes: Vec<u8>| {
        let record = LogRecord { offset: LogOffset(0), ingest: IngestTime(NOW), bytes };
        bench.worker.receive(&record, &NoKeys, &bench.registry, &mut bench.batch, &mut bench.quarantine);
    };
    receive(outer.emit());
    receive(crate::replay::REPLAY_MAGIC.to_vec());
    assert_eq!((bench.reasons(), bench.worker.take_replayed()), (vec!["replay.record"], vec![]));
}

/// A vault that was asked how often, and that answers or not.
#[derive(Default)]
struct Vault {
    bodies: std::sync::atomic::AtomicUsize,
    asked: std::sync::atomic::AtomicUsize,
    is_open: std::sync::atomic::AtomicBool,
}

impl Pseudonyms for Vault {
    fn begin_body(&self) {
        self.bodies.fetch_add(1, Ordering::SeqCst);
    }

    fn pseudonym(&self, feed: &Feed, name: &VehicleName) -> Result<Option<VehicleId>, NamesUnavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_open.load(Ordering::SeqCst) { key().pseudonym(feed, name) } else { Err(NamesUnavailable) }
    }
}

#[test]
fn a_body_asks_once_for_each_name_and_waits_in_the_quarantine_while_nobody_answers() {
    let mut bench = bench();
    let vault = Arc::new(Vault::default());
    let packages = vec![package("acme/1", LINES, MAPPING), package("acme.envelope/1", LINES, ENVELOPE)];
    let feeds = vec![feed(1, "acme/1", true), feed(2, "acme.envelope/1", true)];
    bench.worker.set_feeds(Arc::new(Feeds::new(feeds, Arc::new(DecoderTable::new(packages)), vault.clone())));
    let numbered = |id: u32| line("ID", &format!(", \"id\": {id}"));
    let body = [numbered(1), numbered(2).replace("386752", "386753"), numbered(3)].concat();
    bench.send(1, body.as_bytes());
    assert_eq!((bench.batch.rows(), bench.reasons()), (0, vec!["feed.names_unavailable"]));
    assert_eq!(bench.quarantine[0].units, 3, "nothing is lost");
    let entry = bench.quarantine[0].clone();
    bench.send(2, wrapped("acme/1", &numbered(4), "").as_bytes());
    assert_eq!(bench.reasons(), ["feed.names_unavailable"; 2]);
    assert_eq!(bench.quarantine[1].units, 1, "the payload is not decoded for nobody knows whom");
    vault.is_open.store(true, Ordering::SeqCst);
    again(&mut bench, 1, &entry);
    assert_eq!(bench.batch.rows(), 3);
    assert_eq!(bench.batch.vehicle[0], vehicle(&vin()));
    assert_ne!(bench.batch.vehicle[1], bench.batch.vehicle[0]);
    let asked = (vault.bodies.load(Ordering::SeqCst), vault.asked.load(Ordering::SeqCst));
    assert_eq!(asked, (3, 2 + 1 + 2), "each name once, whatever the rows");
}
