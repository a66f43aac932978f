//! Brokers that die, freeze and come back under load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use outrider_log::kafka::{KafkaConfig, KafkaLog};
use outrider_model::{AppendError, EventLog, LogOffset, Partition};

use super::brokers::Brokers;
use super::{NOW, P0, config};
use crate::conformance::read_all;

const WRITERS: u8 = 6;

fn record(writer: u8, number: u64) -> Vec<u8> {
    let mut bytes = vec![writer; 300];
    bytes[1..9].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn number_of(bytes: &[u8]) -> (u8, u64) {
    (bytes[0], u64::from_le_bytes(bytes[1..9].try_into().expect("eight bytes")))
}

/// What a writer was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<u64>,
    refused: u64,
}

/// Appends numbers in order until it is told to stop; a number that is refused is sent again, as a vehicle does.
fn write(log: &dyn EventLog, writer: u8, stop: &AtomicBool, done: &AtomicU64) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let partition = Partition(u16::from(writer) % log.partitions());
        let bytes = record(writer, number);
        match log.append(partition, NOW, &[&bytes], &[(&[writer], &number.to_le_bytes())]) {
            Ok(_) => {
                told.acknowledged.push(number);
                done.fetch_add(1, Ordering::AcqRel);
                number += 1;
            }
            Err(AppendError::Busy(_)) => told.refused += 1,
            Err(other) => panic!("writer {writer}, number {number}: {other}"),
        }
    }
    told
}

/// Waits until so many more appends were acknowledged; the bound is far above what an election takes.
fn await_more(done: &AtomicU64, more: u64) {
    let goal = done.load(Ordering::Acquire) + more;
    for _ in 0..2_400 {
        if done.load(Ordering::Acquire) >= goal {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("nothing is acknowledged any more");
}

fn leader(log: &KafkaLog, partition: Partition) -> i32 {
    for _ in 0..200 {
        let view = log.describe("nobody").expect("describes");
        let leader = view.partitions[usize::from(partition.0)].leader;
        if leader > 0 {
            return leader;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("no leader");
}

fn await_in_sync(log: &KafkaLog) {
    for _ in 0..600 {
        if log.describe("nobody").is_ok_and(|view| view.partitions.iter().all(|part| part.in_sync == 3)) {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("the brokers do not come into sync again");
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts show what the kills hit")]
fn a_killed_leader_loses_nothing_that_was_acknowledged() {
    const KILLS: u64 = 3;
    let Some(brokers) = Brokers::take() else { return };
    let config = KafkaConfig { patience: Duration::from_secs(15), ..config(&brokers, 2) };
    let log = KafkaLog::open(config.clone()).expect("it opens");
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let told: Vec<Told> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (log, stop, done) = (&log, &stop, &done);
                scope.spawn(move || write(log, writer, stop, done))
            })
            .collect();
        for kill in 0..KILLS {
            await_more(&done, 300);
            let victim = leader(&log, Partition(u16::try_from(kill % 2).expect("small")));
            brokers.kill(victim);
            let before = done.load(Ordering::Acquire);
            await_more(&done, 300);
            println!("leader {victim} killed at {before} acknowledged appends");
            brokers.restart(victim);
            await_in_sync(&log);
        }
        stop.store(true, Ordering::Release);
        writers.into_iter().map(|writer| writer.join().expect("no writer fails")).collect()
    });
    let (mut acknowledged, mut duplicates, mut unacknowledged) = (0_u64, 0_u64, 0_u64);
    let fresh = KafkaLog::open(config).expect("it opens");
    let mut found: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for partition in [P0, Partition(1)] {
        for entry in read_all(&fresh, partition, LogOffset(0)) {
            let (writer, number) = number_of(&entry.bytes);
            assert_eq!(entry.bytes, record(writer, number), "no damaged record");
            found.entry(writer).or_default().push(number);
        }
    }
    for (writer, told) in (0..WRITERS).zip(&told) {
        let numbers = &found[&writer];
        let mut distinct = numbers.clone();
        distinct.dedup();
        assert!(
            distinct.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "in order, a repetition beside its first: {writer}"
        );
        assert_eq!(distinct.first(), Some(&0));
        let last = *told.acknowledged.last().expect("it wrote");
        assert!(
            distinct.len() as u64 > last,
            "writer {writer} was told {last}, the log ends at {:?}",
            distinct.last()
        );
        assert!(
            (numbers.len() - distinct.len()) as u64 <= told.refused,
            "only what was refused is there twice"
        );
        acknowledged += told.acknowledged.len() as u64;
        duplicates += (numbers.len() - distinct.len()) as u64;
        unacknowledged += distinct.len() as u64 - told.acknowledged.len() as u64;
        let key = fresh.get(&[writer]).expect("gets").pop().expect("put with the record");
        let key = u64::from_le_bytes(key.try_into().expect("eight bytes"));
        assert!(
            (last..=*distinct.last().expect("some")).contains(&key),
            "a key never runs ahead of its record"
        );
    }
    let refused: u64 = told.iter().map(|told| told.refused).sum();
    println!(
        "kill -9 of the leader, {KILLS} times: {acknowledged} acknowledged, 0 lost, {refused} refused, {duplicates} \
         there twice, {unacknowledged} there without answer"
    );
}

#[test]
fn brokers_that_do_not_answer_are_busy_within_a_bound_and_well_again_after_it() {
    let Some(brokers) = Brokers::take() else { return };
    let config =
        KafkaConfig { patience: Duration::from_secs(3), queue_bytes_max: 200_000, ..config(&brokers, 1) };
    let open = KafkaConfig { patience: Duration::from_secs(30), ..config.clone() };
    drop(KafkaLog::open(open).expect("the topics are made"));
    let log = KafkaLog::open(config).expect("it opens");
    log.append(P0, NOW, &[b"before"], &[]).expect("appends");
    (1..=3).for_each(|broker| brokers.freeze(broker));
    // The queue holds two of these; the others are refused at once.
    let large = vec![7; 90_000];
    let outcomes: Vec<Result<LogOffset, AppendError>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..8)
            .map(|_| {
                let (log, large) = (&log, &large);
                scope.spawn(move || log.append(P0, NOW, &[large], &[]))
            })
            .collect();
        running.into_iter().map(|append| append.join().expect("no append hangs")).collect()
    });
    let full = outcomes.iter().filter(
        |outcome| matches!(outcome, Err(AppendError::Busy(reason)) if reason.contains("on their way")),
    );
    let full = full.count();
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(AppendError::Busy(_)))).count();
    let end = log.end(P0);
    (1..=3).for_each(|broker| brokers.thaw(broker));
    assert_eq!(busy, 8, "{outcomes:?}");
    assert!(full >= 4, "back-pressure showed: {outcomes:?}");
    assert!(matches!(end, Err(AppendError::Busy(_))), "{end:?}");
    for attempt in 0.. {
        match log.append(P0, NOW, &[b"after"], &[]) {
            Ok(_) => break,
            Err(AppendError::Busy(_)) if attempt < 40 => {}
            Err(other) => panic!("{other}"),
        }
    }
    let found = read_all(&log, P0, LogOffset(0));
    assert_eq!(
        (found[0].bytes.as_slice(), found[found.len() - 1].bytes.as_slice()),
        (&b"before"[..], &b"after"[..])
    );
    assert!(found.len() <= 2 + 8, "what was refused is there once at most");
}

#[test]
fn with_one_replica_left_nothing_is_acknowledged_and_reading_goes_on() {
    let Some(brokers) = Brokers::take() else { return };
    let config = KafkaConfig { patience: Duration::from_secs(30), ..config(&brokers, 1) };
    drop(KafkaLog::open(config.clone()).expect("it opens"));
    let log = KafkaLog::open(KafkaConfig { patience: Duration::from_secs(4), ..config }).expect("it opens");
    log.append(P0, NOW, &[b"before"], &[]).expect("appends");
    // The leader stays; a frozen replica leaves the set of those in sync after its session.
    let leader = leader(&log, P0);
    let others: Vec<i32> = (1..=3).filter(|broker| *broker != leader).collect();
    others.iter().for_each(|broker| brokers.freeze(*broker));
    let refused = log.append(P0, NOW, &[b"during"], &[(b"key", b"during")]);
    let keys = log.get(b"key");
    others.iter().for_each(|broker| brokers.thaw(*broker));
    assert!(matches!(refused, Err(AppendError::Busy(_))), "{refused:?}");
    assert_eq!(keys.expect("gets"), Vec::<Vec<u8>>::new(), "no key speaks of it");
    for attempt in 0.. {
        match log.append(P0, NOW, &[b"after"], &[]) {
            Ok(_) => break,
            Err(AppendError::Busy(_)) if attempt < 40 => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(read_all(&log, P0, LogOffset(0))[0].bytes, b"before");
}
