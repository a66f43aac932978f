//! What does not fit together: each case, its near miss, and that order and repetition change nothing.

use std::collections::BTreeSet;

use outrider_types::Severity;
use outrider_wire::catalogue::{event, field};
use outrider_wire::{AnchorStatement, BootEnd, BootHead, DropCount, DropReason, LostRows, TombstoneHead};

use super::*;
use crate::finding::CLOUD_EPOCH;
use crate::ledger::Balancing;

/// Current boot, hash of its beginning, ends of past boots.
type Beginning = (u64, Option<u8>, Vec<(u64, u64)>);

/// A batch as a test writes it down.
#[derive(Debug, Clone, Default)]
struct Said {
    epoch: u64,
    number: u64,
    /// Number, count and content of each row of the batched lane.
    rows: Vec<(u64, u64, u8)>,
    /// Last number, received, folded, drops.
    head: Option<(u64, u64, u64, Vec<DropCount>)>,
    /// First, last, reason.
    gaps: Vec<(u64, u64, DropReason)>,
    /// First, last, rows, observations, and whether it is rightly signed.
    tombstones: Vec<(u64, u64, u64, u64, bool)>,
    /// Kind, counter, head.
    anchors: Vec<(u8, u64, u8)>,
    boot: Option<Beginning>,
    /// Text of an account of lost boots, and whether it is rightly signed.
    lost_boots: Vec<(Vec<u8>, bool)>,
    fixes: Vec<ClockFix>,
    event_type: u16,
}

impl Said {
    fn of(epoch: u64, number: u64) -> Self {
        Self { epoch, number, boot: Some((epoch, None, Vec::new())), event_type: 100, ..Self::default() }
    }

    fn with_rows(mut self, rows: impl IntoIterator<Item = u64>) -> Self {
        self.rows.extend(rows.into_iter().map(|seq| (seq, 1, 0)));
        self
    }

    fn head(self, last_seq: u64, received: u64, folded: u64) -> Self {
        Self { head: Some((last_seq, received, folded, Vec::new())), ..self }
    }

    fn rows_bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 18];
        let mut writer = BatchWriter::new(&mut buffer);
        let range = |first, last| SeqRange::new(Seq(first), Seq(last)).expect("ascending");
        if let Some((last_seq, received, folded, drops)) = &self.head {
            let (last_seq, received, folded) = (*last_seq, *received, *folded);
            let head = LaneHead { lane: Lane::Batched, first_seq: 1, last_seq, received, folded };
            writer.head(&head, drops).expect("room");
        }
        for (first, last, reason) in &self.gaps {
            let gap = Gap { lane: Lane::Batched, range: range(*first, *last), reason: Some(*reason) };
            writer.gap(&gap).expect("room");
        }
        for (first, last, rows, observations, is_signed) in &self.tombstones {
            let lost = LostRows {
                event_type: EventTypeId(100),
                severity: Some(Severity::Low),
                rows: *rows,
                observations: *observations,
            };
            let mut head = TombstoneHead {
                lane: Lane::Batched,
                range: range(*first, *last),
                reason: Some(DropReason::Evicted),
                first: VehicleMicros(1),
                last: VehicleMicros(2),
                last_tag: [3; 16],
                signature: [0; 64],
            };
            if *is_signed {
                let mut alone = [0; 1024];
                let mut one = BatchWriter::new(&mut alone);
                one.tombstone(&head, [lost].into_iter()).expect("room");
                let bytes = one.finish();
                let batch = outrider_wire::Batch::parse(bytes).expect("own output");
                let view = batch.tombstones().next().expect("one").expect("own output");
                let mut text = [0; 1024];
                let text = view.signed(BootEpoch(self.epoch), &mut text).expect("room");
                head.signature = key(1).sign(text).to_bytes();
            }
            writer.tombstone(&head, [lost].into_iter()).expect("room");
        }
        for (kind, counter, head) in &self.anchors {
            let said = AnchorStatement { kind: *kind, counter: *counter, head: [*head; 32], proof: &[] };
            writer.anchor(&said).expect("room");
        }
        if let Some((current, previous, ends)) = &self.boot {
            let head = BootHead { current: BootEpoch(*current), previous: previous.map(|byte| [byte; 32]) };
            let ends = ends.iter().map(|(epoch, last_seq)| BootEnd {
                epoch: BootEpoch(*epoch),
                lane: Lane::Batched,
                last_seq: *last_seq,
            });
            writer.boot(&head, ends).expect("room");
        }
        for (text, is_signed) in &self.lost_boots {
            let signed = [outrider_wire::SIGN_LOST_BOOTS, text].concat();
            let signature = if *is_signed { key(1).sign(&signed).to_bytes() } else { [0; 64] };
            writer.lost_boots(text, &signature).expect("room");
        }
        self.fixes.iter().for_each(|fix| writer.fix(fix).expect("room"));
        for (seq, count, content) in &self.rows {
            let head = EventHead { count: *count, event_type: EventTypeId(self.event_type), ..head(*seq) };
            writer.event(&head, std::iter::empty(), &[*content]).expect("room");
        }
        writer.finish().to_vec()
    }

    fn bytes(&self) -> Vec<u8> {
        seal_in(self.epoch, self.number, &self.rows_bytes())
    }
}

/// Runs batches through a new worker and returns it with what it stated: name and reason.
fn states(batches: &[Said]) -> (Worker, BTreeSet<(String, String)>) {
    let mut worker = Worker::default();
    let mut said = BTreeSet::new();
    for (offset, batch) in (0..).zip(batches) {
        let (rows, _) = run(&mut worker, &[record(offset, batch.bytes())]);
        said.extend(statements(&rows));
    }
    assert_eq!(worker.rows().difference(), 0);
    (worker, said)
}

fn statements(rows: &EventBatch) -> BTreeSet<(String, String)> {
    let cloud = (0..rows.rows()).map(|row| rows.row(row)).filter(|row| row.id().epoch == CLOUD_EPOCH);
    cloud
        .map(|row| {
            let name = catalogue::event_type(row.event_type()).expect("of the catalogue").name;
            let reason = match row.field(field::REASON) {
                Some(FieldValue::Text(reason)) => reason,
                _ => "",
            };
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}

#[track_caller]
fn check(batches: &[Said], expected: &[(&str, &str)]) -> Worker {
    let (worker, said) = states(batches);
    let expected: BTreeSet<_> =
        expected.iter().map(|(name, reason)| ((*name).into(), (*reason).into())).collect();
    assert_eq!(said, expected);
    worker
}

fn state(worker: &Worker) -> Balancing {
    worker.lanes(VEHICLE)[0].account.expect("a new boot has books").state
}

#[test]
fn another_row_under_a_known_number_is_set_aside_and_stated_and_the_first_stays() {
    let first = Said::of(4, 1).with_rows(1..=3);
    let mut second = Said::of(4, 2).with_rows(3..=4);
    second.rows[0].2 = 9;
    let mut worker = Worker::default();
    let (kept, _) = run(&mut worker, &[record(0, first.bytes())]);
    assert_eq!(kept.context(2), [0]);
    let (rows, quarantine) = run(&mut worker, &[record(1, second.bytes())]);
    assert_eq!(rows.rows(), 2, "number 4 and the statement");
    let entry = &quarantine[0];
    assert_eq!((entry.reason, entry.units, &entry.bytes), ("row.equivocation", 1, &second.bytes()));
    let said = rows.row(1);
    assert_eq!(said.event_type(), event::INGEST_EQUIVOCATION);
    assert_eq!(said.severity(), Severity::Critical);
    assert_eq!(said.field(field::SEQ_FIRST), Some(FieldValue::Int(3)));
    let Some(FieldValue::Text(hash)) = said.field(field::ROW_HASH) else { panic!("no hash") };
    assert!(entry.place.contains(hash), "the evidence of both is in both places");
    let (again, quarantine) = run(&mut worker, &[record(2, second.bytes())]);
    assert_eq!((again.rows(), quarantine.len()), (0, 1), "stated once, set aside each time");
    assert_eq!(worker.rows().difference(), 0);
}

#[test]
fn the_listener_lets_another_row_under_a_known_number_through_to_the_worker() {
    let mut acceptor = Acceptor::default();
    let mut take = |batch: &Said, known| {
        let accepted = acceptor.accept(&batch.bytes(), VEHICLE, &Ring, known).expect("signed");
        (accepted.has_news, accepted.received)
    };
    let first = Said::of(4, 1).with_rows(1..=3).head(3, 3, 0);
    let (news, known) = take(&first, Received::default());
    assert!(news);
    let (news, known) = take(&Said { number: 2, ..first.clone() }, known);
    assert!(!news, "the same rows under another batch number");
    let mut second = Said::of(4, 2).with_rows(3..=3);
    second.rows[0].2 = 9;
    let (news, known) = take(&second, known);
    assert!(news);
    let (news, _) = take(&first.clone().head(3, 4, 0), known.clone());
    assert!(news, "a balance that changed is news without a new row");
    // A listener that began anew knows numbers, not contents: it lets a batch through once, and learns.
    let mut saved = Vec::new();
    known.save(&mut saved);
    let fresh = Received::load(&saved).expect("its own state");
    let (news, fresh) = take(&Said::of(4, 1).with_rows(1..=3), fresh);
    assert!(news);
    let (news, _) = take(&Said::of(4, 1).with_rows(1..=3), fresh);
    assert!(!news);
}

#[test]
fn a_rewritten_history_is_found_behind_the_window_if_it_comes_again_whole() {
    let history: Vec<Said> =
        (0..10).map(|part| Said::of(4, part).with_rows(part * 100 + 1..=part * 100 + 100)).collect();
    let mut rewritten = Said::of(4, 11).with_rows(60..=200);
    check(&[history.clone(), vec![rewritten.clone()]].concat(), &[]);
    rewritten.rows[50].2 = 9;
    let worker = check(&[history, vec![rewritten]].concat(), &[("ingest.equivocation", "rows")]);
    assert_eq!(worker.rows().dropped().get("duplicate"), Some(&141));
}

#[test]
fn rows_above_the_end_that_a_later_boot_found_are_a_rollback_and_late_history_is_not() {
    let ended = Said { boot: Some((5, Some(1), vec![(4, 10)])), ..Said::of(5, 1) };
    let late = Said::of(4, 2).with_rows(6..=10);
    check(&[Said::of(4, 1).with_rows(1..=5), ended.clone(), late.clone()], &[]);
    let above = Said::of(4, 3).with_rows([11]);
    let rollback = [("ingest.counter_rollback", "rows_above_end")];
    check(&[Said::of(4, 1).with_rows(1..=5), ended.clone(), late.clone(), above.clone()], &rollback);
    check(&[above, late, ended], &rollback);
}

#[test]
fn a_boot_that_begins_twice_or_an_anchor_that_does_not_grow_is_a_rollback() {
    let begun = |hash| Said { boot: Some((4, Some(hash), Vec::new())), ..Said::of(4, 1) };
    check(&[begun(1), begun(1)], &[]);
    check(&[begun(1), begun(2)], &[("ingest.counter_rollback", "boot_begun_twice")]);
    let anchor =
        |epoch, kind, counter, head| Said { anchors: vec![(kind, counter, head)], ..Said::of(epoch, 1) };
    check(&[anchor(4, 1, 7, 1), anchor(4, 1, 8, 2), anchor(5, 1, 9, 3), anchor(4, 1, 7, 1)], &[]);
    check(&[anchor(4, 1, 7, 1), anchor(5, 1, 7, 1)], &[("ingest.counter_rollback", "anchor_behind")]);
    check(&[anchor(5, 1, 7, 1), anchor(4, 1, 8, 1)], &[("ingest.counter_rollback", "anchor_behind")]);
    check(&[anchor(4, 1, 7, 1), anchor(4, 1, 7, 2)], &[("ingest.counter_rollback", "anchor_repeated")]);
    // A gateway that gets a TPM begins another counter.
    check(&[anchor(4, 1, 7, 1), anchor(5, 2, 1, 2)], &[]);
}

#[test]
fn heads_that_shrink_or_do_not_add_up_contradict() {
    let head = |number, last_seq, received, folded| Said::of(4, number).head(last_seq, received, folded);
    check(&[head(1, 2, 5, 3), head(2, 4, 9, 5), head(1, 2, 5, 3)], &[]);
    let shrank = [("ingest.counter_rollback", "head_shrank")];
    check(&[head(1, 4, 9, 5), head(2, 2, 5, 3)], &shrank);
    check(&[head(2, 2, 5, 3), head(1, 4, 9, 5)], &shrank);
    check(&[head(1, 2, 6, 3)], &[("ingest.contradiction", "head_unbalanced")]);
    let drops = vec![DropCount { reason: Some(DropReason::QuotaFull), count: 1 }];
    check(&[Said { head: Some((2, 6, 3, drops)), ..Said::of(4, 1) }], &[]);
    check(&[head(1, 2, 2, 0).with_rows([3])], &[("ingest.contradiction", "head_below_rows")]);
    // Damage is admitted: the vehicle knows of less than before, and says so.
    let corrupt = vec![DropCount { reason: Some(DropReason::Corrupt), count: 2 }];
    check(&[head(1, 4, 9, 5), Said { head: Some((4, 7, 3, corrupt)), ..Said::of(4, 2) }], &[]);
}

#[test]
fn a_lane_balances_to_the_last_observation_or_says_by_how_much_not() {
    let mut rows = Said::of(4, 1).head(6, 12, 6);
    rows.rows = vec![(1, 3, 0), (2, 1, 0), (5, 2, 0), (6, 1, 0)];
    assert_eq!(state(&check(std::slice::from_ref(&rows), &[])), Balancing::Waiting);
    rows.gaps = vec![(3, 4, DropReason::Evicted)];
    assert_eq!(state(&check(std::slice::from_ref(&rows), &[])), Balancing::Inexact, "a loss without counts");
    rows.tombstones = vec![(3, 4, 2, 5, true)];
    let worker = check(std::slice::from_ref(&rows), &[]);
    assert_eq!(state(&worker), Balancing::Balanced);
    let account = worker.lanes(VEHICLE)[0].account.expect("books");
    assert_eq!((account.rows, account.folded, account.lost_rows, account.lost_observations), (4, 3, 2, 5));
    rows.tombstones = vec![(3, 4, 2, 4, true)];
    let worker = check(&[rows], &[("ingest.accounting_mismatch", "")]);
    assert_eq!(state(&worker), Balancing::Mismatch(-1));
}

#[test]
fn tombstones_that_change_or_are_not_signed_are_stated() {
    let with = |number, tombstones| Said { tombstones, ..Said::of(4, number) };
    check(
        &[
            with(1, vec![(3, 4, 2, 5, true)]),
            with(2, vec![(3, 8, 6, 9, true)]),
            with(1, vec![(3, 4, 2, 5, true)]),
        ],
        &[],
    );
    let changed = [("ingest.contradiction", "tombstone_changed")];
    check(&[with(1, vec![(3, 4, 2, 5, true)]), with(2, vec![(3, 4, 2, 6, true)])], &changed);
    check(&[with(1, vec![(3, 4, 2, 5, true)]), with(2, vec![(4, 8, 5, 9, true)])], &changed);
    check(&[with(1, vec![(3, 4, 3, 5, true)])], &changed);
    check(&[with(1, vec![(3, 4, 2, 5, false)])], &[("ingest.contradiction", "tombstone_unsigned")]);
}

#[test]
fn numbers_that_come_although_lost_and_numbers_lost_although_here_are_told_apart() {
    let lost = |number| Said { gaps: vec![(2, 2, DropReason::Evicted)], ..Said::of(4, number) };
    let rows = |number| Said::of(4, number).with_rows(1..=3).head(3, 3, 0);
    for (batches, expected) in [([rows(1), lost(2)], (0, 1)), ([lost(1), rows(2)], (1, 0))] {
        let worker = check(&[batches.as_slice(), &batches].concat(), &[]);
        let account = worker.lanes(VEHICLE)[0].account.expect("books");
        assert_eq!((account.late, account.kept), expected);
        assert_eq!((account.state, account.lost_rows), (Balancing::Inexact, 0), "what is here is not lost");
        assert_eq!(worker.gaps(VEHICLE), []);
    }
}

#[test]
fn a_vehicle_cannot_speak_for_the_cloud() {
    let said = Said { event_type: 900, ..Said::of(4, 1) }.with_rows([1]);
    let mut worker = Worker::default();
    let (rows, quarantine) = run(&mut worker, &[record(0, said.bytes())]);
    assert_eq!((rows.rows(), quarantine[0].reason), (0, "row.reserved_type"));
    let account = worker.lanes(VEHICLE)[0].account.expect("books");
    assert_eq!((account.rows, account.unreadable, account.missing), (1, 1, 0), "its number is here");
    let said = Said::of(CLOUD_EPOCH.0, 1).with_rows([1]);
    let (rows, quarantine) = run(&mut worker, &[record(1, said.bytes())]);
    assert_eq!((rows.rows(), quarantine[0].reason), (0, "batch.reserved_epoch"));
}

#[test]
fn what_the_edge_saw_becomes_a_row() {
    let note = crate::note::Note::CertificateUsedTwice { before: "a".to_owned(), now: "b".to_owned() };
    let note = NoteRecord { tenant: TenantId(1), vehicle: VEHICLE, note };
    let mut worker = Worker::default();
    let (rows, _) = run(&mut worker, &[record(0, note.emit())]);
    assert_eq!(statements(&rows), [("ingest.certificate_used_twice".to_owned(), String::new())].into());
    assert_eq!(rows.row(0).field(field::SESSION_PLACE), Some(FieldValue::Text("b")));
    let (rows, quarantine) = run(&mut worker, &[record(1, note.emit()[..30].to_vec())]);
    assert_eq!((rows.rows(), quarantine[0].reason), (0, "note.unknown"));
}

#[test]
fn statements_about_one_vehicle_are_bounded() {
    let mut worker = Worker::default();
    let mut stated = 0;
    for part in 0..400u64 {
        let one = Said::of(4, part * 2).with_rows([part * 64 + 1]);
        let mut other = one.clone();
        other.rows[0].2 = 9;
        let (rows, _) =
            run(&mut worker, &[record(part * 2, one.bytes()), record(part * 2 + 1, other.bytes())]);
        stated += statements(&rows).len();
    }
    assert_eq!(stated, 256);
    assert_eq!(worker.statements(), 256);
}

#[test]
fn state_of_version_1_is_read_and_goes_on() {
    // As version 1 wrote it: received, one clock without fixes, since when the boot is known.
    let mut old = 1u32.to_le_bytes().to_vec();
    let mut received = Received::default();
    received.insert(BootEpoch(4), Lane::Batched, SeqRange::new(Seq(1), Seq(3)).expect("ascending"));
    received.announce(BootEpoch(4), Lane::Batched, 5);
    received.save(&mut old);
    old.extend(1u32.to_le_bytes());
    old.extend(4u64.to_le_bytes());
    old.extend(0u64.to_le_bytes());
    old.extend(0u32.to_le_bytes());
    old.extend(1u32.to_le_bytes());
    old.extend(4u64.to_le_bytes());
    old.extend(NOW.0.0.to_le_bytes());
    let mut worker = Worker::default();
    worker.load_vehicle(VEHICLE, &old).expect("version 1");
    assert_eq!(
        worker.gaps(VEHICLE).iter().map(|gap| (gap.first.0, gap.last.0)).collect::<Vec<_>>(),
        [(4, 5)]
    );
    let (rows, quarantine) =
        run(&mut worker, &[record(0, Said::of(4, 9).with_rows(1..=5).head(5, 5, 0).bytes())]);
    assert_eq!((rows.rows(), quarantine.len()), (2, 0), "what came before is a duplicate, whatever it said");
    assert_eq!(statements(&rows).len(), 0, "rows of before are not in the books: {:?}", statements(&rows));
    for cut in 0..old.len() {
        assert!(Worker::default().load_vehicle(VEHICLE, &old[..cut]).is_err(), "cut at {cut}");
    }
    old[0] = 4;
    let newer = Worker::default().load_vehicle(VEHICLE, &old);
    assert_eq!(newer, Err(SaveError::Version { expected: 3, got: 4 }));
}

/// What order must not change.
fn facts(worker: &Worker) -> Vec<String> {
    let accounts = worker.lanes(VEHICLE).into_iter().map(|lane| {
        let account = lane.account.map(|account| crate::ledger::Account { late: 0, kept: 0, ..account });
        format!("{} {} {:?} {:?} {:?}", lane.epoch, lane.contiguous, lane.end, account, lane.counts)
    });
    let gaps = worker
        .gaps(VEHICLE)
        .into_iter()
        .map(|gap| format!("{} {} {} {:?} {:?}", gap.epoch, gap.first, gap.last, gap.state, gap.reason));
    accounts.chain(gaps).collect()
}

fn said() -> impl Strategy<Value = Said> {
    let rows = proptest::collection::btree_map(1u64..12, (1u64..3, prop::bool::weighted(0.1)), 0..5);
    let boot = proptest::option::of((
        proptest::option::weighted(0.3, 0u8..2),
        proptest::collection::vec(6u64..14, 0..2),
    ));
    (
        4u64..6,
        0u64..6,
        rows,
        proptest::option::of((0u64..12, 0u64..3)),
        boot,
        proptest::option::of((1u8..2, 0u64..4, 0u8..2)),
    )
        .prop_map(|(epoch, number, rows, head, boot, anchor)| Said {
            rows: rows.into_iter().map(|(seq, (count, other))| (seq, count, u8::from(other))).collect(),
            head: head.map(|(last_seq, folded)| (last_seq, last_seq + folded, folded, Vec::new())),
            boot: boot.map(|(previous, ends)| {
                (epoch, previous, ends.into_iter().map(|last_seq| (4, last_seq)).collect())
            }),
            anchors: anchor.into_iter().collect(),
            ..Said::of(epoch, number)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_order_and_duplicates_give_the_same_state_and_statements(
        batches in proptest::collection::vec(said(), 1..4),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        shuffled in Just(()).prop_perturb(|(), mut random| random.next_u64()),
    ) {
        // One content a number in this world: which of two contents came first is a matter of order, and tested above.
        let mut batches = batches;
        let mut counts = std::collections::BTreeMap::new();
        for batch in &mut batches {
            for row in &mut batch.rows {
                *row = *counts.entry((batch.epoch, row.0)).or_insert((row.0, row.1, 0));
            }
        }
        let (straight, said) = states(&batches);
        let mut other = batches.clone();
        other.extend(order.iter().map(|index| batches[index.index(batches.len())].clone()));
        let keyed = |batch: &Said| batch.number.wrapping_mul(shuffled | 1).rotate_left(17) ^ batch.epoch;
        other.sort_by_key(keyed);
        let (mixed, mixed_said) = states(&other);
        prop_assert_eq!(facts(&straight), facts(&mixed));
        // A lane that does not balance is said as soon as it is whole for a moment, which not every order brings about.
        let mismatch = ("ingest.accounting_mismatch".to_owned(), String::new());
        let but_mismatch = |said: &BTreeSet<(String, String)>| -> BTreeSet<(String, String)> {
            said.iter().filter(|one| **one != mismatch).cloned().collect()
        };
        prop_assert_eq!(but_mismatch(&said), but_mismatch(&mixed_said));
        let unbalanced = straight.lanes(VEHICLE).into_iter().filter_map(|lane| lane.account);
        if unbalanced.into_iter().any(|account| {
            matches!(account.state, Balancing::Mismatch(_)) && account.highest <= 11
        }) {
            prop_assert!(said.contains(&mismatch) || said.iter().any(|(_, why)| why == "rows_above_end"));
            prop_assert!(mixed_said.contains(&mismatch) || mixed_said.iter().any(|(_, why)| why == "rows_above_end"));
        }
        // And the same again from a checkpoint in the middle.
        let mut worker = Worker::default();
        let half = other.len() / 2;
        let mut restored_said = BTreeSet::new();
        for (offset, batch) in (0..).zip(&other) {
            if offset == half {
                let saved = worker.save_changed();
                worker = Worker::default();
                for (vehicle, bytes) in saved {
                    worker.load_vehicle(vehicle, &bytes).expect("its own state");
                }
            }
            let (rows, _) = run(&mut worker, &[record(offset as u64, batch.bytes())]);
            restored_said.extend(statements(&rows));
        }
        prop_assert_eq!(facts(&mixed), facts(&worker));
        prop_assert_eq!(&mixed_said, &restored_said);
    }
}

#[test]
fn a_vehicle_is_bounded_in_memory() {
    // A busy lane in more boots than are kept, with twenty tombstones each.
    let mut worker = Worker::default();
    let mut offset = 0;
    for epoch in 4..24u64 {
        for part in 0..20u64 {
            let mut batch = Said::of(epoch, part + 1).with_rows(part * 100 + 1..=part * 100 + 80);
            let (first, last) = (part * 100 + 81, part * 100 + 99);
            batch.gaps = vec![(first, last, DropReason::Evicted)];
            batch.tombstones = vec![(first, last, 19, 19, true)];
            run(&mut worker, &[record(offset, batch.bytes())]);
            offset += 1;
        }
    }
    let saved = worker.save_changed().remove(0).1.len();
    assert!((30_000..100_000).contains(&saved), "{saved} bytes");
    let mut ordinary = Worker::default();
    for part in 0..60u64 {
        let last = part * 100 + 100;
        let batch = Said::of(4, part + 1).with_rows(part * 100 + 1..=last).head(last, last, 0);
        run(&mut ordinary, &[record(part, batch.bytes())]);
    }
    let saved = ordinary.save_changed().remove(0).1.len();
    assert!(saved < 5_000, "{saved} bytes of an ordinary vehicle");
}

/// An account of one boot of the batched lane: numbers, received, given up and the observations in them.
fn one_boot(epoch: u8, [numbers, received, evicted, observations]: [u8; 4]) -> Vec<u8> {
    let counts = [numbers, received, 0, evicted, observations, 0];
    let head = [1, epoch, 0, 1].into_iter().chain(counts);
    let kind = [1, 100, 0, 2, evicted, observations];
    head.chain(kind).chain([0, 0]).chain(counts).collect()
}

/// Sums over so many boots of the batched lane from `first` on: given up, and the observations in them.
fn summed(first: u8, boots: u8, evicted: u8, observations: u8) -> Vec<u8> {
    let counts = [evicted, observations, 0, evicted, observations, 0];
    let head = [1, first, boots - 1, boots].into_iter().chain(counts);
    let kind = [1, 100, 0, 2, evicted, observations];
    head.chain(kind).chain([1, 0, boots]).collect()
}

/// Returns the states of the gaps of each boot that has some, without those that were counted before.
fn gaps_of(worker: &Worker) -> Vec<(u64, GapState)> {
    worker.gaps(VEHICLE).iter().map(|gap| (gap.epoch.0, gap.state)).collect()
}

#[test]
fn sums_over_lost_boots_close_the_gaps_of_the_boots_that_they_name() {
    let one = Said::of(4, 1).with_rows([1, 2, 5]).head(5, 5, 0);
    let two = Said::of(5, 1).with_rows([2]).head(2, 2, 0);
    let other = Said::of(7, 1).with_rows([2]).head(2, 2, 0);
    let mut later = Said::of(9, 1);
    // Of boots 3 to 6 five rows were given up; the cloud had heard of three of these.
    later.lost_boots = vec![(summed(3, 4, 5, 9), true)];
    let all = [one.clone(), two.clone(), other, later.clone()];
    let worker = check(&all, &[("ingest.boots_summed", "")]);
    let (lost, open) = (GapState::Lost, GapState::Open);
    assert_eq!(gaps_of(&worker), [(4, lost), (5, lost), (7, open)]);
    let account = |epoch| {
        let lanes = worker.lanes(VEHICLE);
        let lane = lanes.into_iter().find(|lane| lane.epoch.0 == epoch).expect("known");
        lane.account.expect("books").state
    };
    assert_eq!([4, 5, 7].map(account), [Balancing::Inexact, Balancing::Inexact, Balancing::Waiting]);
    // Rows of such a boot that come later show no new gap, and are taken.
    let late = Said::of(6, 1).with_rows([3]).head(3, 3, 0);
    let worker = check(&[later.clone(), late], &[("ingest.boots_summed", "")]);
    assert_eq!(gaps_of(&worker), [(6, lost)]);
    // Less than is missing is said, and no boot that goes on is ended.
    later.lost_boots = vec![(summed(3, 7, 2, 2), true)];
    let own = Said { number: 2, ..Said::of(9, 2).with_rows([2]).head(2, 2, 0) };
    let expected = [("ingest.boots_summed", ""), ("ingest.accounting_mismatch", "")];
    let worker = check(&[one, two, later, own], &expected);
    assert_eq!(gaps_of(&worker), [(4, lost), (5, lost), (9, open)]);
}

#[test]
fn an_account_of_lost_boots_closes_their_gaps_and_is_a_row() {
    let rows = Said::of(4, 1).with_rows([1, 2, 5]).head(5, 5, 0);
    let mut later = Said::of(5, 1);
    // Numbers 3, 4 and 6 are gone, with four observations.
    later.lost_boots = vec![(one_boot(4, [6, 7, 3, 4]), true)];
    let worker = check(&[rows.clone(), later.clone()], &[("ingest.boots_summed", "")]);
    let lanes = worker.lanes(VEHICLE);
    let lane = lanes.iter().find(|lane| lane.epoch == BootEpoch(4)).expect("the boot is known");
    assert_eq!((lane.contiguous, lane.counts), (6, (3, 3)));
    let account = lane.account.expect("books");
    assert_eq!((account.lost_observations, account.state), (4, Balancing::Balanced));
    // The same once more is no news.
    let again = Said { number: 2, ..later.clone() };
    check(&[rows.clone(), later, again], &[("ingest.boots_summed", "")]);
    let mut forged = Said::of(5, 1);
    forged.lost_boots = vec![(one_boot(4, [6, 7, 3, 4]), false)];
    check(&[rows], &[]);
    check(&[forged], &[("ingest.boots_summed", ""), ("ingest.contradiction", "tombstone_unsigned")]);
}

#[test]
fn an_account_that_names_less_than_is_missing_is_said() {
    let rows = Said::of(4, 1).with_rows([1, 2]);
    let mut later = Said::of(5, 1);
    later.lost_boots = vec![(one_boot(4, [6, 6, 3, 3]), true)];
    check(&[rows, later], &[("ingest.boots_summed", ""), ("ingest.accounting_mismatch", "")]);
}

#[test]
fn clocks_of_one_boot_that_exclude_each_other_are_said() {
    let now = 1_800_000_000_000_000;
    let fix = |wall: i64, error_us| ClockFix {
        mono: VehicleMicros(1),
        wall: UnixMicros(wall),
        error_us,
        source: outrider_types::ClockSource::RealTimeClock,
    };
    let said = |second: ClockFix| {
        let mut said = Said::of(4, 1).with_rows([1]);
        said.fixes = vec![fix(now - 900_000_000, 5_000_000), second];
        said
    };
    let near = states(&[said(fix(now - 890_000_000, 5_000_000))]).1;
    assert!(!near.iter().any(|(_, reason)| reason == "clocks_disagree"), "they touch: {near:?}");
    let far = states(&[said(fix(now - 889_000_000, 5_000_000))]).1;
    assert!(far.contains(&("ingest.contradiction".into(), "clocks_disagree".into())), "{far:?}");
}
