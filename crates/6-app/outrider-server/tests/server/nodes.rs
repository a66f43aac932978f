//! Two nodes on one case database at once: what each call decides from what it read must hold when it writes.

use std::collections::BTreeSet;

use outrider_model::{LogOffset, OwnerEpoch, Partition};
use outrider_server::api::dto::{AlertActionKind, Role};
use outrider_server::store::{
    AccountChange, AlertFilter, AlertOrder, AlertStore as _, CommandStore as _, EnrolmentPermit,
    EnrolmentStore as _, FEEDS_MAX, FeedSecretHash, FeedSetup, FeedStore as _, FindingInput, FindingOwner,
    FleetStore as _, IdentityNote, IdentityStore as _, NewReveal, PermitKind, Progress, ProgressStore as _,
    QuarantineEntry, QuarantineFilter, QuarantineStore as _, REVEALS_OPEN_MAX, RegistryMark,
    RevealStore as _, Scope, SecretHash, SqlStore, StopStore as _, StoreError, StoreResult, StoredBatchKey,
};
use outrider_server::vehicle::{Issued, Serial, Suite};
use outrider_types::{BootEpoch, TenantId, UnixMicros, VehicleId};
use tokio::task::JoinSet;

use crate::harness::{NOW, TestVehicle};
use crate::postgres::Fresh;
use crate::store::{SCOPE, action, card, finding};

/// Calls that race each other.
const RACERS: u8 = 8;

/// The same database, opened by two nodes.
struct Nodes([SqlStore; 2]);

impl Nodes {
    /// Runs calls at once, in turn on either node; returns the results in the order of their numbers.
    async fn race<T, F>(&self, call: impl Fn(SqlStore, u8) -> F) -> Vec<StoreResult<T>>
    where
        T: Send + 'static,
        F: Future<Output = StoreResult<T>> + Send + 'static,
    {
        let mut racers = JoinSet::new();
        for number in 0..RACERS {
            let running = call(self.0[usize::from(number % 2)].clone(), number);
            racers.spawn(async move { (number, running.await) });
        }
        let mut results = racers.join_all().await;
        results.sort_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// Counts the calls that were done; all others must have been refused for a reason that a person can read.
fn done<T: std::fmt::Debug>(results: &[StoreResult<T>]) -> usize {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error, StoreError::Conflict(_) | StoreError::Fenced { .. }), "{error:?}");
    }
    results.iter().filter(|result| result.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_decide_as_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = async || SqlStore::open(&folder.path().join("cases.sqlite")).await.expect("it opens");
    all(&Nodes([open().await, open().await])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_on_postgres_decide_as_one() {
    let Some(fresh) = Fresh::new().await else { return };
    // Both make the tables at once; one of them finds them made.
    let (first, second) = tokio::join!(fresh.open(), fresh.open());
    all(&Nodes([first, second])).await;
}

async fn all(nodes: &Nodes) {
    numbers_are_given_out_once(nodes).await;
    a_partition_has_one_owner(nodes).await;
    findings_of_one_group_share_an_alert(nodes).await;
    an_alert_is_acted_on_once(nodes).await;
    an_administrator_stays(nodes).await;
    a_reveal_opens_once_and_few_are_open(nodes).await;
    a_stop_is_released_by_two_persons(nodes).await;
    a_token_serves_one_key(nodes).await;
    a_boot_has_one_batch_key(nodes).await;
    feeds_are_bounded(nodes).await;
    a_replay_is_asked_for_once(nodes).await;
    whoever_follows_the_registry_misses_nothing(nodes).await;
}

async fn numbers_are_given_out_once(nodes: &Nodes) {
    let vehicle = VehicleId([1; 16]);
    let mut drawn = BTreeSet::new();
    for _ in 0..5 {
        for number in
            nodes.race(|store, _| async move { store.next_command_sequence(SCOPE, vehicle).await }).await
        {
            assert!(drawn.insert(number.expect("it is drawn")), "a number was drawn twice");
        }
    }
    assert_eq!(drawn, (1..=5 * u64::from(RACERS)).collect());
}

async fn a_partition_has_one_owner(nodes: &Nodes) {
    const PARTITION: Partition = Partition(7);
    let epochs = nodes.race(|store, _| async move { store.take_over(SCOPE, &[PARTITION]).await }).await;
    let epochs: Vec<OwnerEpoch> = epochs.into_iter().map(|epoch| epoch.expect("it is taken over")).collect();
    assert_eq!(epochs.iter().collect::<BTreeSet<_>>().len(), epochs.len(), "{epochs:?}");
    let commits = nodes
        .race(|store, number| {
            let epoch = epochs[usize::from(number)];
            async move {
                let next = [(PARTITION, LogOffset(5))].into();
                store.commit_progress(SCOPE, &Progress { epoch, next, ..Progress::default() }).await
            }
        })
        .await;
    assert_eq!(done(&commits), 1, "all but the last owner are fenced");
}

async fn findings_of_one_group_share_an_alert(nodes: &Nodes) {
    // Each its own finding of one new group, and all the same one.
    for (group, is_same) in [("raced", false), ("raced too", true)] {
        let recorded = nodes
            .race(|store, number| async move {
                let finding = finding(if is_same { 100 } else { 101 + number }, group, 1);
                let card = card();
                let input = [FindingInput { finding: &finding, rule: &card }];
                store.record_findings(SCOPE, FindingOwner::Whole(OwnerEpoch(0)), &input, LogOffset(1)).await
            })
            .await;
        assert_eq!(done(&recorded), usize::from(RACERS));
        let filter = AlertFilter { words: vec![format!("{group})")], ..AlertFilter::default() };
        let page = nodes.0[0].alerts(SCOPE, &filter, (AlertOrder::LastAt, true), None, 10).await;
        let alerts = page.expect("it reads").items;
        let counted: Vec<u64> = alerts.iter().map(|alert| alert.finding_count).collect();
        assert_eq!(counted, [if is_same { 1 } else { u64::from(RACERS) }], "{group}");
    }
}

async fn an_alert_is_acted_on_once(nodes: &Nodes) {
    let filter = AlertFilter { words: vec!["raced too".to_owned()], ..AlertFilter::default() };
    let page = nodes.0[0].alerts(SCOPE, &filter, (AlertOrder::LastAt, true), None, 1).await;
    let id = page.expect("it reads").items[0].id.clone();
    let acts = nodes
        .race(|store, number| {
            let request = action(AlertActionKind::Acknowledge, vec![id.clone()]);
            async move { store.act_on_alerts(SCOPE, &format!("user {number}"), None, &request).await }
        })
        .await;
    let changed: u64 = acts.iter().map(|act| act.as_ref().expect("it answers").changed).sum();
    assert_eq!(changed, 1);
}

async fn an_administrator_stays(nodes: &Nodes) {
    for number in 0..RACERS {
        let name = format!("admin {number}");
        nodes.0[0].create_account(SCOPE, &name, Role::Admin, "hash", false).await.expect("it is made");
    }
    let demoted = nodes
        .race(|store, number| async move {
            let demote = AccountChange { role: Some(Role::Analyst), ..AccountChange::default() };
            store.change_account(SCOPE, &format!("admin {number}"), &demote, None).await
        })
        .await;
    assert_eq!(done(&demoted), usize::from(RACERS) - 1);
}

async fn a_reveal_opens_once_and_few_are_open(nodes: &Nodes) {
    let ask = |store: SqlStore, number: u8| async move {
        let request = NewReveal {
            id: format!("reveal-{number}"),
            vehicle: VehicleId([2; 16]),
            reason: "a test".to_owned(),
            by: "ada".to_owned(),
            expires: UnixMicros(NOW.0 + 1),
            is_two_person: true,
        };
        store.request_reveal(SCOPE, &request).await
    };
    let mut asked = Vec::new();
    for round in 0..8 {
        asked.extend(nodes.race(|store, number| ask(store, round * RACERS + number)).await);
    }
    assert!(asked.len() > REVEALS_OPEN_MAX as usize, "the bound is reached");
    assert_eq!(done(&asked), REVEALS_OPEN_MAX as usize);
    let id = asked.iter().find_map(|it| it.as_ref().ok()).expect("one is open").id.clone();
    let agreed = nodes
        .race(|store, number| {
            let id = id.clone();
            async move { store.approve_reveal(SCOPE, &id, &format!("user {number}")).await }
        })
        .await;
    assert_eq!(done(&agreed), 1);
    let opened = nodes
        .race(|store, _| {
            let id = id.clone();
            async move { store.open_reveal(SCOPE, &id, "ada", true).await }
        })
        .await;
    assert_eq!(done(&opened), 1, "a VIN is shown once");
}

async fn a_stop_is_released_by_two_persons(nodes: &Nodes) {
    nodes.0[0].set_emergency_stop(SCOPE, "ada", "a test").await.expect("it is set");
    let alone =
        nodes.race(|store, _| async move { store.release_emergency_stop(SCOPE, "ada", "alone").await });
    assert_eq!(done(&alone.await), 1, "who proposes cannot confirm");
    assert!(nodes.0[1].emergency_stop(SCOPE).await.expect("it reads").is_set);
    let others = nodes
        .race(|store, number| async move {
            store.release_emergency_stop(SCOPE, &format!("user {number}"), "seen").await
        })
        .await;
    assert_eq!(done(&others), 1, "one confirms, and then nothing is set any more");
}

async fn a_token_serves_one_key(nodes: &Nodes) {
    let store = &nodes.0[0];
    let vehicle = TestVehicle::unregistered(3);
    store.put_vehicles(SCOPE, &[vehicle.entry()]).await.expect("it is registered");
    let secret = SecretHash("token".to_owned());
    let permit = EnrolmentPermit {
        secret: secret.clone(),
        kind: PermitKind::Token,
        vehicle: vehicle.id,
        expires: UnixMicros(NOW.0 + 1),
        used_for: None,
    };
    store.permit_enrolment(SCOPE, &permit, "ada").await.expect("it is permitted");
    let issued = nodes
        .race(|store, number| {
            let secret = secret.clone();
            let issued = Issued {
                vehicle: vehicle.id,
                serial: Serial::of_der(&[9, number]),
                generation: 1,
                suite: Suite::Ed25519,
                key_hash: format!("key {number}"),
                not_before: NOW,
                not_after: NOW,
                der: Vec::new(),
            };
            let note = IdentityNote {
                vehicle: Some(vehicle.id),
                actor: "vehicle".to_owned(),
                action: "enrol",
                outcome: "done".to_owned(),
                detail: String::new(),
            };
            async move { store.record_certificate(SCOPE, &issued, Some(&secret), &note).await }
        })
        .await;
    assert_eq!(done(&issued), 1);
}

async fn a_boot_has_one_batch_key(nodes: &Nodes) {
    let vehicle = VehicleId([4; 16]);
    let put = nodes
        .race(|store, number| async move {
            let key = StoredBatchKey { vehicle, from: BootEpoch(1), key: [number; 32] };
            store.put_batch_key(SCOPE, &key).await
        })
        .await;
    assert_eq!(done(&put), 1);
    assert_eq!(nodes.0[1].batch_keys(SCOPE, vehicle).await.expect("it reads").len(), 1);
}

async fn feeds_are_bounded(nodes: &Nodes) {
    let create = |store: SqlStore, name: String| async move {
        let setup = FeedSetup {
            name,
            format: "ndjson".to_owned(),
            platform: None,
            release: None,
            body_bytes_max: 1000,
            requests_per_minute_max: 1,
            clock_error_s: 1,
            takes_unregistered: false,
        };
        store.create_feed(SCOPE, &setup, &FeedSecretHash("hash".to_owned()), "ada").await
    };
    let same = nodes.race(|store, _| create(store, "same".to_owned())).await;
    assert_eq!(done(&same), 1, "a name is taken once");
    let mut made = 1;
    for round in 0..=FEEDS_MAX / u32::from(RACERS) {
        made += done(&nodes.race(|store, number| create(store, format!("feed {round} {number}"))).await);
    }
    assert_eq!(made, FEEDS_MAX as usize, "the bound holds");
}

async fn a_replay_is_asked_for_once(nodes: &Nodes) {
    let entry = QuarantineEntry {
        at: NOW,
        vehicle: None,
        reason: "raced".to_owned(),
        place: String::new(),
        content: vec![1],
        units: 1,
        foreign: None,
    };
    let progress = Progress { quarantine: vec![entry; 20], ..Progress::default() };
    nodes.0[0].commit_progress(SCOPE, &progress).await.expect("it writes");
    let asked = nodes
        .race(|store, number| async move {
            store.request_replays(SCOPE, &QuarantineFilter::default(), &format!("user {number}")).await
        })
        .await;
    assert_eq!(asked.into_iter().map(|count| count.expect("it answers")).sum::<u64>(), 20);
}

/// A reader remembers the last revision it saw. A revision that is drawn earlier must not appear later.
async fn whoever_follows_the_registry_misses_nothing(nodes: &Nodes) {
    let scope = Scope { tenant: TenantId(9), now: NOW };
    let followed = nodes
        .race(|store, number| async move {
            let (mut mark, mut seen) = (RegistryMark::default(), BTreeSet::new());
            if number > 1 {
                for round in 0..10 {
                    let mut entry = TestVehicle::unregistered(number * 10 + round).entry();
                    entry.record.tenant = scope.tenant;
                    store.put_vehicles(scope, &[entry]).await?;
                }
                return Ok(seen);
            }
            let wanted = usize::from(RACERS - 2) * 10;
            for _ in 0..10_000 {
                let (entries, next) = store.registered_vehicles(scope, mark, 1000).await?;
                seen.extend(entries.iter().map(|entry| entry.record.vehicle));
                mark = next;
                if seen.len() == wanted {
                    break;
                }
                tokio::task::yield_now().await;
            }
            Ok(seen)
        })
        .await;
    for seen in followed.into_iter().take(2) {
        assert_eq!(seen.expect("it reads").len(), usize::from(RACERS - 2) * 10);
    }
}
