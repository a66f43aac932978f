//! Members that join, leave and die: every record goes to one owner at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrider_log::kafka::{KafkaConfig, KafkaError, KafkaLog, KafkaMembership, MembershipConfig};
use outrider_model::{AppendError, EventLog, LogOffset, OwnerEpoch, Partition, PartitionOwner};

use super::brokers::Brokers;
use super::{NOW, config};

const PARTITIONS: u16 = 4;

/// What all workers have done, as a database that refuses old owners would hold it.
#[derive(Debug, Default)]
struct Ledger {
    /// Partition → epoch of the newest owner, and the first offset that is not worked off.
    checkpoints: BTreeMap<Partition, (OwnerEpoch, u64)>,
    /// Partition → what was worked off, in this order: epoch, offset, writer and number.
    done: BTreeMap<Partition, Vec<(OwnerEpoch, u64, u64)>>,
    /// Writes of old owners that were refused.
    fenced: u64,
}

/// A worker: works off what it owns, between two polls of the group.
struct Worker {
    ledger: Arc<Mutex<Ledger>>,
    owned: Mutex<BTreeMap<Partition, (OwnerEpoch, u64)>>,
    handed_over: Mutex<u64>,
}

impl Worker {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of each partition: read, work off, checkpoint; a checkpoint of an old owner is refused.
    fn step(&self, log: &dyn EventLog) {
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (partition, (epoch, next)) in owned {
            let records = match log.read(partition, LogOffset(next), 20, 1 << 20) {
                Ok(records) => records,
                Err(AppendError::Busy(_)) => continue,
                Err(other) => panic!("{other}"),
            };
            let Some(last) = records.last() else { continue };
            let after = last.offset.0 + 1;
            let mut ledger = self.ledger();
            let (newest, place) = ledger.checkpoints.get(&partition).copied().unwrap_or_default();
            if newest > epoch {
                ledger.fenced += 1;
                self.owned.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
                continue;
            }
            assert_eq!(place, next, "{partition:?}: nobody else has worked meanwhile");
            ledger.checkpoints.insert(partition, (epoch, after));
            let done = ledger.done.entry(partition).or_default();
            done.extend(records.iter().map(|record| {
                (
                    epoch,
                    record.offset.0,
                    u64::from_le_bytes(record.bytes[..8].try_into().expect("eight bytes")),
                )
            }));
            drop(ledger);
            let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = owned.get_mut(&partition) {
                entry.1 = after;
            }
        }
    }
}

impl PartitionOwner for Worker {
    fn acquire(&self, partition: Partition, epoch: OwnerEpoch) {
        let mut ledger = self.ledger();
        let (newest, next) = ledger.checkpoints.get(&partition).copied().unwrap_or_default();
        assert!(epoch > newest, "{partition:?}: {epoch:?} comes after {newest:?}");
        ledger.checkpoints.insert(partition, (epoch, next));
        drop(ledger);
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, (epoch, next));
    }

    fn hand_over(&self, partitions: &[Partition]) {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.iter().for_each(|partition| {
            owned.remove(partition);
        });
        *self.handed_over.lock().unwrap_or_else(PoisonError::into_inner) += partitions.len() as u64;
    }

    fn lose(&self, partitions: &[Partition]) {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.iter().for_each(|partition| {
            owned.remove(partition);
        });
    }
}

/// A member with its worker on a thread.
struct Member {
    worker: Arc<Worker>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

fn membership() -> MembershipConfig {
    MembershipConfig {
        session: Duration::from_secs(6),
        hand_over: Duration::from_secs(30),
        ..MembershipConfig::default()
    }
}

impl Member {
    fn start(config: &KafkaConfig, ledger: &Arc<Mutex<Ledger>>) -> Self {
        let worker = Arc::new(Worker {
            ledger: Arc::clone(ledger),
            owned: Mutex::default(),
            handed_over: Mutex::default(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (config, owner, stopped) = (config.clone(), Arc::clone(&worker), Arc::clone(&stop));
        let group = MembershipConfig { group: config.topic.clone(), ..membership() };
        let run = move || {
            let log = KafkaLog::open(KafkaConfig { is_read_only: true, create: None, ..config.clone() });
            let log = log.expect("it opens");
            let membership = KafkaMembership::join(&config, &group, owner.clone()).expect("joins");
            while !stopped.load(Ordering::Acquire) {
                membership.poll(Duration::from_millis(50)).expect("polls");
                owner.step(&log);
                let owned = owner.owned.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for (partition, (_, next)) in owned {
                    match membership.commit(partition, LogOffset(next)) {
                        Ok(()) | Err(KafkaError::Fenced { .. } | KafkaError::Brokers(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            membership.leave(Duration::from_secs(30));
        };
        #[expect(clippy::disallowed_methods, reason = "the test is the composition root")]
        let thread = std::thread::spawn(run);
        Self { worker, stop, thread }
    }

    fn owned(&self) -> usize {
        self.worker.owned.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends; returns how many partitions it handed over in its life.
    fn leave(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the member ends well");
        *self.worker.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn await_owned(members: &[&Member], wanted: impl Fn(&[usize]) -> bool) {
    for _ in 0..1_200 {
        let owned: Vec<usize> = members.iter().map(|member| member.owned()).collect();
        if owned.iter().sum::<usize>() == usize::from(PARTITIONS) && wanted(&owned) {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("the group does not settle");
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts show what the rebalances hit")]
fn every_record_is_worked_off_once_in_order_while_members_come_and_go() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, PARTITIONS);
    let log = KafkaLog::open(config.clone()).expect("it opens");
    let (ledger, stop) = (Arc::new(Mutex::new(Ledger::default())), AtomicBool::new(false));
    let (sent, handed_over) = std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let mut sent = [0_u64; PARTITIONS as usize];
            while !stop.load(Ordering::Acquire) {
                for (partition, number) in (0..).map(Partition).zip(&mut sent) {
                    log.append(partition, NOW, &[&number.to_le_bytes()], &[]).expect("appends");
                    *number += 1;
                }
            }
            sent
        });
        let first = Member::start(&config, &ledger);
        await_owned(&[&first], |_| true);
        let second = Member::start(&config, &ledger);
        await_owned(&[&first, &second], |owned| owned.iter().all(|count| *count == 2));
        let third = Member::start(&config, &ledger);
        await_owned(&[&first, &second, &third], |owned| owned.iter().all(|count| *count >= 1));
        let mut handed_over = first.leave();
        await_owned(&[&second, &third], |owned| owned.iter().all(|count| *count == 2));
        handed_over += third.leave();
        await_owned(&[&second], |_| true);
        stop.store(true, Ordering::Release);
        let sent = producer.join().expect("the producer ends");
        for _ in 0..1_200 {
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let all = (0..).map(Partition).zip(sent);
            if all.clone().all(|(partition, sent)| {
                ledger.checkpoints.get(&partition).is_some_and(|(_, next)| *next == sent)
            }) {
                break;
            }
            drop(ledger);
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let view = log.describe(&config.topic).expect("describes");
        assert!(view.partitions.iter().all(|part| part.committed.is_some()), "the group says how far it is");
        (sent, handed_over + second.leave())
    });
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let mut owners = 0;
    for (partition, sent) in (0..).map(Partition).zip(sent) {
        let done = &ledger.done[&partition];
        let numbers: Vec<u64> = done.iter().map(|(.., number)| *number).collect();
        assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "{partition:?}: each once, in order");
        assert!(
            done.windows(2).all(|pair| pair[0].0 <= pair[1].0),
            "an old owner does nothing after a new one"
        );
        let mut epochs: Vec<OwnerEpoch> = done.iter().map(|(epoch, ..)| *epoch).collect();
        epochs.dedup();
        owners += epochs.len();
    }
    assert!(owners > usize::from(PARTITIONS), "no partition moved");
    assert!(handed_over >= 4, "partitions were handed over, not dropped: {handed_over}");
    println!(
        "{} records of {PARTITIONS} partitions, {owners} owners, {handed_over} hand-overs, {} writes of old owners refused",
        sent.iter().sum::<u64>(),
        ledger.fenced
    );
}

#[test]
fn a_member_that_is_silent_is_left_behind_and_its_commits_are_refused() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, PARTITIONS);
    drop(KafkaLog::open(config.clone()).expect("the topics are made"));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let worker = || {
        Arc::new(Worker {
            ledger: Arc::clone(&ledger),
            owned: Mutex::default(),
            handed_over: Mutex::default(),
        })
    };
    let group = MembershipConfig {
        group: config.topic.clone(),
        session: Duration::from_secs(6),
        hand_over: Duration::from_secs(6),
    };
    let (silent, heard) = (worker(), worker());
    let sleeper = KafkaMembership::join(&config, &group, silent.clone()).expect("joins");
    let poll_until = |member: &KafkaMembership, wanted: &dyn Fn() -> bool| {
        for _ in 0..1_200 {
            if wanted() {
                return;
            }
            member.poll(Duration::from_millis(50)).expect("polls");
        }
        panic!("the group does not settle");
    };
    poll_until(&sleeper, &|| sleeper.owned().len() == usize::from(PARTITIONS));
    let epochs = sleeper.owned();
    let other = KafkaMembership::join(&config, &group, heard).expect("joins");
    // The first never polls again: after the bound the group goes on without it.
    poll_until(&other, &|| other.owned().len() == usize::from(PARTITIONS));
    let newer = other.owned();
    assert!(newer.iter().all(|(partition, epoch)| epoch > &epochs[partition]), "{newer:?} after {epochs:?}");
    let refused = sleeper.commit(Partition(0), LogOffset(0));
    assert!(matches!(refused, Err(KafkaError::Fenced { partition: 0, .. })), "{refused:?}");
    other.commit(Partition(0), LogOffset(0)).expect("the owner's commit is taken");
    other.leave(Duration::from_secs(10));
}
