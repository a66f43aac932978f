//! The conformance suite of the case database: what any implementation must do.

use outrider_model::{
    Evidence, Finding, FindingId, GroupKey, LogOffset, Matched, OwnerEpoch, Partition, RuleId, Window,
};
use outrider_server::api::dto::{
    AlertActionKind, AlertActionRequest, AlertSelection, AlertStatus, CaseStatus, Disposition, Role, Severity,
};
use outrider_server::store::{
    AccountChange, AlertChange, AlertFilter, AlertOrder, CaseFilter, FindingInput, FindingOwner, NewCase,
    PartProgress, Progress, QuarantineEntry, QuarantineFilter, RuleCard, SavedPart, Scope, SqlStore, Store,
    StoreError,
};
use outrider_types::{TenantId, UnixMicros, VehicleId};

use crate::harness::NOW;
use crate::postgres::Fresh;

pub(crate) const SCOPE: Scope = Scope { tenant: TenantId(1), now: NOW };
const OTHER: Scope = Scope { tenant: TenantId(2), now: NOW };

#[tokio::test]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cases.sqlite");
    conforms(async || SqlStore::open(&path).await.expect("it opens")).await;
}

#[tokio::test]
async fn postgres_conforms() {
    let Some(fresh) = Fresh::new().await else { return };
    conforms(async || fresh.open().await).await;
}

async fn conforms(open: impl AsyncFn() -> SqlStore) {
    let store = open().await;
    findings_are_idempotent(&store).await;
    pages_hold_every_alert_once(&store).await;
    a_quiet_group_begins_a_new_alert(&store).await;
    a_selection_by_query_spares_later_alerts(&store).await;
    changes_of_alerts_are_told_once_and_in_order(&store).await;
    a_case_is_opened_worked_on_and_closed(&store).await;
    progress_is_all_or_nothing(&store).await;
    accounts_keep_an_administrator(&store).await;
    a_former_owner_writes_nothing_any_more(&store).await;
    a_former_owner_states_and_takes_back_nothing(&store).await;
    a_former_correlator_writes_and_states_nothing(&store).await;
    store.close().await;
    let again = open().await;
    let kept = again.saved_progress_of().await;
    assert_eq!(kept, LogOffset(7), "what was written survives the program");
}

/// Small help to read the offset back.
trait SavedOffset {
    async fn saved_progress_of(&self) -> LogOffset;
}

impl<T: Store> SavedOffset for T {
    async fn saved_progress_of(&self) -> LogOffset {
        self.saved_progress(SCOPE, Partition(0)).await.expect("it reads").next
    }
}

pub(crate) fn card() -> RuleCard {
    RuleCard {
        id: RuleId("rule-1".to_owned()),
        title: "Injection".to_owned(),
        tags: vec!["unr155.4.3".to_owned()],
        quiet_us: 1_000_000,
    }
}

pub(crate) fn finding(number: u8, group: &str, revision: u32) -> Finding {
    Finding {
        id: FindingId([number; 16]),
        tenant: SCOPE.tenant,
        rule: RuleId("rule-1".to_owned()),
        group: GroupKey(vec![("vehicle_id".to_owned(), group.to_owned())]),
        window: Window {
            from: UnixMicros(i64::from(number) * 1000),
            to: UnixMicros(i64::from(number) * 1000 + 500),
        },
        revision,
        late: revision > 1,
        severity: if number.is_multiple_of(2) {
            outrider_types::Severity::High
        } else {
            outrider_types::Severity::Low
        },
        threshold: Some(3),
        value: Some(u64::from(revision) + 2),
        event_count: u64::from(revision) + 2,
        vehicle_count: 1,
        model_line: Some("Aster".to_owned()),
        evidence: Evidence {
            matched: vec![Matched {
                field: "can_id".to_owned(),
                operator: "equals".to_owned(),
                expected: "1".to_owned(),
                observed: "1".to_owned(),
            }],
            events: Vec::new(),
            vehicles: vec![VehicleId([number; 16])],
        },
        detected_at: NOW,
        withdrawn: false,
    }
}

async fn record(store: &dyn Store, findings: &[Finding]) -> usize {
    let card = card();
    let inputs: Vec<_> = findings.iter().map(|finding| FindingInput { finding, rule: &card }).collect();
    store
        .record_findings(SCOPE, FindingOwner::Whole(OwnerEpoch(0)), &inputs, LogOffset(1))
        .await
        .expect("it writes")
        .len()
}

async fn findings_are_idempotent(store: &dyn Store) {
    assert_eq!(record(store, &[finding(1, "a", 1)]).await, 1);
    assert_eq!(record(store, &[finding(1, "a", 1)]).await, 0, "a replay changes nothing");
    let all = AlertFilter::default();
    let page = store.alerts(SCOPE, &all, (AlertOrder::LastAt, true), None, 10).await.expect("it reads");
    let alert = page.items[0].clone();
    assert_eq!((alert.finding_count, alert.event_count, alert.late, alert.revision), (1, 3, false, 1));
    assert_eq!(alert.group.get("vehicle_id").map(String::as_str), Some("a"));
    let acknowledge = action(AlertActionKind::Acknowledge, vec![alert.id.clone()]);
    assert_eq!(store.act_on_alerts(SCOPE, "ada", None, &acknowledge).await.expect("it acts").changed, 1);
    assert_eq!(record(store, &[finding(1, "a", 2), finding(3, "a", 1)]).await, 1);
    assert_eq!(record(store, &[finding(1, "a", 1)]).await, 0, "an older revision comes too late");
    let alert = store.alert(SCOPE, &alert.id).await.expect("it reads");
    assert_eq!((alert.finding_count, alert.event_count, alert.late), (2, 7, true));
    assert_eq!((alert.status, alert.owner.as_deref()), (AlertStatus::Acknowledged, Some("ada")));
    let mut close = action(AlertActionKind::Close, vec![alert.id.clone()]);
    assert!(matches!(store.act_on_alerts(SCOPE, "ada", None, &close).await, Err(StoreError::Invalid(_))));
    close.disposition = Some(Disposition::HardwareFault);
    assert_eq!(store.act_on_alerts(SCOPE, "ada", None, &close).await.expect("it acts").changed, 1);
    let refused = store.act_on_alerts(SCOPE, "ada", None, &close).await.expect("it answers").refused;
    assert_eq!(refused[0].code, "wrong_status");
    assert_eq!(record(store, &[finding(5, "a", 1)]).await, 1);
    let closed = store.alert(SCOPE, &alert.id).await.expect("it reads");
    assert_eq!(
        (closed.status, closed.finding_count),
        (AlertStatus::Closed, 2),
        "a new episode leaves the old alone"
    );
    let total =
        store.alerts(SCOPE, &all, (AlertOrder::LastAt, true), None, 10).await.expect("it reads").total;
    assert_eq!(total, 2);
    let foreign =
        store.alerts(OTHER, &all, (AlertOrder::LastAt, true), None, 10).await.expect("it reads").total;
    assert_eq!(foreign, 0, "another tenant sees nothing");
    assert_eq!(record(store, &[Finding { withdrawn: true, ..finding(3, "a", 2) }]).await, 1);
    let alert = store.alert(SCOPE, &alert.id).await.expect("it reads");
    assert_eq!((alert.finding_count, alert.event_count), (1, 4), "what was taken back no longer counts");
    assert_eq!(
        record(store, &[Finding { withdrawn: true, ..finding(200, "new", 1) }]).await,
        0,
        "nobody has seen it"
    );
    let counts = store.rule_counts(SCOPE).await.expect("it counts");
    assert_eq!(counts["rule-1"].0, 3);
    assert_eq!(counts["rule-1"].2["hardware_fault"], 1);
    let again = [Finding { event_count: 9, ..finding(1, "a", 1) }];
    assert_eq!(record(store, &again).await, 1, "a replay in other steps may know more at a lower revision");
    assert_eq!(record(store, &again).await, 0);
    assert_eq!(record(store, &[finding(3, "a", 3)]).await, 0, "what was taken back stays so");
}

pub(crate) fn action(action: AlertActionKind, ids: Vec<String>) -> AlertActionRequest {
    AlertActionRequest {
        action,
        selection: AlertSelection { ids: Some(ids), ..AlertSelection::default() },
        disposition: None,
        note: None,
        case_id: None,
        owner: None,
    }
}

async fn pages_hold_every_alert_once(store: &dyn Store) {
    let many: Vec<Finding> =
        (10..40).map(|number| finding(number, &format!("group {}", number % 30), 1)).collect();
    assert_eq!(record(store, &many).await, 30);
    for order in [AlertOrder::LastAt, AlertOrder::Severity, AlertOrder::VehicleCount] {
        for descending in [false, true] {
            let (mut seen, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let page = store
                    .alerts(SCOPE, &AlertFilter::default(), (order, descending), cursor.as_deref(), 7)
                    .await;
                let page = page.expect("it reads");
                assert_eq!(page.total, 32);
                seen.extend(page.items.into_iter().map(|alert| alert.id));
                match page.next_cursor {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            let count = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!((count, seen.len()), (32, 32), "{order:?} {descending}");
        }
    }
    let bad = store.alerts(SCOPE, &AlertFilter::default(), (AlertOrder::LastAt, true), Some("x"), 7).await;
    assert!(matches!(bad, Err(StoreError::Invalid(_))));
    let filters = [
        (AlertFilter { severity: vec![Severity::High], ..AlertFilter::default() }, 15),
        (AlertFilter { vehicle: Some(VehicleId([12; 16]).to_string()), ..AlertFilter::default() }, 1),
        (AlertFilter { words: vec!["100%".to_owned()], ..AlertFilter::default() }, 0),
        (
            AlertFilter {
                words: vec!["INJECTION".to_owned(), "group 1".to_owned()],
                ..AlertFilter::default()
            },
            11,
        ),
        (
            AlertFilter {
                case: Some("none".to_owned()),
                status: vec![AlertStatus::Closed],
                ..AlertFilter::default()
            },
            1,
        ),
        (AlertFilter { from: Some(UnixMicros(39_000)), ..AlertFilter::default() }, 1),
    ];
    for (filter, total) in filters {
        let page = store.alerts(SCOPE, &filter, (AlertOrder::LastAt, true), None, 1).await.expect("it reads");
        assert_eq!(page.total, total, "{filter:?}");
    }
    let counts = store
        .alert_counts(SCOPE, &AlertFilter { severity: vec![Severity::Low], ..AlertFilter::default() })
        .await;
    assert_eq!(counts.expect("it counts").high, 15, "its own condition on severity does not count");
}

/// Findings of one group at these times, in milliseconds, in this order of arrival; returns the alerts' bounds.
async fn episodes(store: &dyn Store, tenant: u32, times: &[i64]) -> Vec<(i64, i64, u64)> {
    let scope = Scope { tenant: TenantId(tenant), now: NOW };
    let card = card();
    for (number, at) in times.iter().enumerate() {
        let at = UnixMicros(at * 1000);
        let number = u8::try_from(number).expect("few");
        let found = Finding {
            window: Window { from: at, to: at },
            tenant: scope.tenant,
            ..finding(number, "quiet", 1)
        };
        let input = FindingInput { finding: &found, rule: &card };
        assert_eq!(
            store
                .record_findings(scope, FindingOwner::Whole(OwnerEpoch(0)), &[input], LogOffset(1))
                .await
                .expect("it writes")
                .len(),
            1
        );
    }
    let all = AlertFilter::default();
    let page = store.alerts(scope, &all, (AlertOrder::FirstAt, false), None, 100).await.expect("it reads");
    page.items.iter().map(|it| (it.first_at.0.0 / 1000, it.last_at.0.0 / 1000, it.finding_count)).collect()
}

async fn a_quiet_group_begins_a_new_alert(store: &dyn Store) {
    // The card's group is quiet after a second.
    assert_eq!(episodes(store, 10, &[0, 1000, 1500]).await, [(0, 1500, 3)], "a second is not quiet");
    assert_eq!(episodes(store, 11, &[0, 1001]).await, [(0, 0, 1), (1001, 1001, 1)], "a second and more is");
    let late = episodes(store, 12, &[9000, 0, 500, 8500]).await;
    assert_eq!(late, [(0, 500, 2), (8500, 9000, 2)], "a late finding joins the alert of its time");
}

async fn a_selection_by_query_spares_later_alerts(store: &dyn Store) {
    let filter = AlertFilter {
        severity: vec![Severity::High],
        detected_until: Some(UnixMicros(NOW.0 - 1)),
        ..AlertFilter::default()
    };
    let mut request = action(AlertActionKind::Acknowledge, Vec::new());
    request.selection.ids = None;
    let none = store.act_on_alerts(SCOPE, "ada", Some(&filter), &request).await.expect("it acts");
    assert_eq!(none.changed, 0, "all were detected later");
    let filter = AlertFilter { detected_until: Some(NOW), ..filter };
    let some = store.alerts(SCOPE, &filter, (AlertOrder::LastAt, true), None, 1).await.expect("it reads");
    request.selection.except = Some(vec![some.items[0].id.clone()]);
    let result = store.act_on_alerts(SCOPE, "ada", Some(&filter), &request).await.expect("it acts");
    assert_eq!((result.changed, result.changed_ids.len()), (14, 14));
}

async fn changes_of_alerts_are_told_once_and_in_order(store: &dyn Store) {
    let scope = Scope { tenant: TenantId(60), ..SCOPE };
    let (none, start) = store.alerts_changed(scope, None, 10).await.expect("it reads");
    assert_eq!((none.len(), start), (0, AlertChange(0)), "nothing is there");
    let (card, owner) = (card(), FindingOwner::Whole(OwnerEpoch(0)));
    let state = async |number: u8, revision| {
        let group = format!("changed-{number}");
        let finding = Finding { tenant: scope.tenant, ..finding(number, &group, revision) };
        let inputs = [FindingInput { finding: &finding, rule: &card }];
        store.record_findings(scope, owner, &inputs, LogOffset(1)).await.expect("it writes")
    };
    let mut ids = Vec::new();
    for number in [104, 103, 102, 101, 100] {
        ids.extend(state(number, 1).await.into_iter().map(|alert| alert.id));
    }
    let (mut from, mut told) = (start, Vec::new());
    loop {
        let (alerts, last) = store.alerts_changed(scope, Some(from), 2).await.expect("it reads");
        if alerts.is_empty() {
            assert_eq!(last, from, "nothing more is no step");
            break;
        }
        assert!(last > from && alerts.len() <= 2);
        from = last;
        told.extend(alerts.into_iter().map(|alert| alert.id));
    }
    assert_eq!(told, ids);
    assert_eq!(store.alerts_changed(scope, None, 10).await.expect("it reads"), (Vec::new(), from));
    // An act is a change, and so is a revision; what says nothing new is none.
    let act = action(AlertActionKind::Acknowledge, vec![ids[1].clone()]);
    store.act_on_alerts(scope, "ada", None, &act).await.expect("it acts");
    assert_eq!((state(104, 2).await.len(), state(100, 1).await.len()), (1, 0));
    let (alerts, _) = store.alerts_changed(scope, Some(from), 10).await.expect("it reads");
    let said: Vec<_> = alerts.iter().map(|alert| (alert.id.as_str(), alert.revision, alert.status)).collect();
    let expected = [(ids[1].as_str(), 2, AlertStatus::Acknowledged), (ids[0].as_str(), 2, AlertStatus::New)];
    assert_eq!(said, expected);
    let others = store.alerts_changed(OTHER, Some(AlertChange(0)), 10).await.expect("it reads");
    assert_eq!(others, (Vec::new(), AlertChange(0)), "of another tenant nothing");
}

async fn a_case_is_opened_worked_on_and_closed(store: &dyn Store) {
    let filter = AlertFilter { status: vec![AlertStatus::New], ..AlertFilter::default() };
    let alerts =
        store.alerts(SCOPE, &filter, (AlertOrder::LastAt, true), None, 2).await.expect("it reads").items;
    let new = |id: &str, alert_ids| NewCase {
        id: id.to_owned(),
        title: "Look".to_owned(),
        severity: Severity::High,
        by: "ada".to_owned(),
        alert_ids,
    };
    let missing = store.create_case(SCOPE, &new("case-0", vec!["nothing".to_owned()])).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
    assert!(
        matches!(store.case(SCOPE, "case-0").await, Err(StoreError::NotFound { .. })),
        "nothing was written"
    );
    store.create_case(SCOPE, &new("case-1", vec![alerts[0].id.clone()])).await.expect("it opens");
    store.add_alerts(SCOPE, "case-1", "ada", &[alerts[1].id.clone()]).await.expect("it adds");
    store.create_case(SCOPE, &new("case-2", Vec::new())).await.expect("it opens");
    let taken = store.add_alerts(SCOPE, "case-2", "bob", &[alerts[0].id.clone()]).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "an alert has one case");
    store.add_note(SCOPE, "case-1", "ada", "seen").await.expect("it notes");
    let case = store.case(SCOPE, "case-1").await.expect("it reads");
    assert_eq!((case.status, case.alert_count, case.vehicle_count), (CaseStatus::Investigating, 2, 2));
    store.close_case(SCOPE, "case-1", "ada", Disposition::TruePositive, "done").await.expect("it closes");
    let closed = store.add_alerts(SCOPE, "case-1", "ada", &[]).await;
    assert!(matches!(closed, Err(StoreError::Conflict(_))));
    let timeline = store.case_timeline(SCOPE, "case-1").await.expect("it reads");
    assert_eq!(timeline.len(), 5, "opened, two alerts, a note, closed");
    let filter = CaseFilter { status: vec![CaseStatus::New], words: vec!["look".to_owned()], owner: None };
    assert_eq!(store.cases(SCOPE, &filter, None, 10).await.expect("it reads").total, 1);
}

async fn a_former_owner_writes_nothing_any_more(store: &dyn Store) {
    let parts = [Partition(1000), Partition(1001)];
    let former = store.take_over(SCOPE, &parts[..1]).await.expect("it takes over");
    let progress = |epoch, partition, next| Progress {
        epoch,
        next: [(partition, LogOffset(next))].into(),
        vehicles: vec![(partition, VehicleId([9; 16]), vec![1])],
        ..Progress::default()
    };
    store.commit_progress(SCOPE, &progress(former, parts[0], 5)).await.expect("it is the owner");
    let owner = store.take_over(SCOPE, &parts).await.expect("it takes over");
    assert!(owner > former);
    // The former owner is further, and refused all the same; nothing of it is there.
    let refused = store.commit_progress(SCOPE, &progress(former, parts[0], 9)).await;
    assert!(matches!(refused, Err(StoreError::Fenced { partition: 1000, .. })), "{refused:?}");
    assert!(store.check_owner(SCOPE, parts[0], former).await.is_err());
    let saved = store.saved_progress(SCOPE, parts[0]).await.expect("it reads");
    assert_eq!((saved.next, saved.vehicles.len()), (LogOffset(5), 1));
    for partition in parts {
        store.check_owner(SCOPE, partition, owner).await.expect("it is the owner");
        store.commit_progress(SCOPE, &progress(owner, partition, 7)).await.expect("it is the owner");
    }
    // One partition that is another's spoils the whole commit.
    let other = store.take_over(SCOPE, &parts[1..]).await.expect("it takes over");
    let mut both = progress(owner, parts[0], 8);
    both.next.insert(parts[1], LogOffset(8));
    let refused = store.commit_progress(SCOPE, &both).await;
    assert!(matches!(refused, Err(StoreError::Fenced { partition: 1001, .. })), "{refused:?}");
    assert_eq!(store.saved_progress(SCOPE, parts[0]).await.expect("it reads").next, LogOffset(7));
    store.commit_progress(SCOPE, &progress(owner, parts[0], 8)).await.expect("that one is its own still");
    store.commit_progress(SCOPE, &progress(other, parts[1], 8)).await.expect("and this one the other's");
}

async fn a_former_owner_states_and_takes_back_nothing(store: &dyn Store) {
    let former = store.take_over(SCOPE, &[Partition(0)]).await.expect("it takes over");
    let owner = store.take_over(SCOPE, &[Partition(0)]).await.expect("it takes over");
    let finding = finding(77, "fenced", 1);
    let card = card();
    let input = FindingInput { finding: &finding, rule: &card };
    let refused = store.record_findings(SCOPE, FindingOwner::Whole(former), &[input], LogOffset(1)).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert_eq!(
        store
            .record_findings(SCOPE, FindingOwner::Whole(owner), &[input], LogOffset(1))
            .await
            .expect("writes")
            .len(),
        1
    );
    let ids = [finding.id.to_string()];
    let refused = store.withdraw_findings(SCOPE, former, &ids).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert_eq!(store.withdraw_findings(SCOPE, owner, &ids).await.expect("writes").len(), 1);
}

async fn a_former_correlator_writes_and_states_nothing(store: &dyn Store) {
    assert!(!store.is_correlated(SCOPE).await.expect("it reads"));
    let (part, other) = (Partition(3), Partition(4));
    let former = store.take_over_part(SCOPE, part).await.expect("it takes over");
    assert!(
        store.is_correlated(SCOPE).await.expect("it reads")
            && !store.is_correlated(OTHER).await.expect("it reads")
    );
    let progress = |epoch, next| PartProgress {
        part,
        epoch,
        next: LogOffset(next),
        watermarks: [(Partition(0), NOW), (Partition(9), UnixMicros(-1))].into(),
        detect: vec![7; 3],
        ..PartProgress::default()
    };
    store.commit_part(SCOPE, &progress(former, 5)).await.expect("it is the owner");
    let owner = store.take_over_part(SCOPE, part).await.expect("it takes over");
    let refused = store.commit_part(SCOPE, &progress(former, 9)).await;
    assert!(matches!(refused, Err(StoreError::Fenced { partition: 3, .. })), "{refused:?}");
    let finding = finding(78, "fenced part", 1);
    let card = card();
    let input = FindingInput { finding: &finding, rule: &card };
    let stated = async |of, epoch| {
        store.record_findings(SCOPE, FindingOwner::Part(of, epoch), &[input], LogOffset(1)).await
    };
    assert!(matches!(stated(part, former).await, Err(StoreError::Fenced { .. })));
    assert!(matches!(stated(other, owner).await, Err(StoreError::Fenced { .. })), "of that part only");
    assert_eq!(stated(part, owner).await.expect("it writes").len(), 1);
    let saved = store.saved_part(SCOPE, part).await.expect("it reads");
    assert_eq!((saved.next, saved.detect, saved.watermarks.len()), (LogOffset(5), Some(vec![7; 3]), 2));
    let behind = store.commit_part(SCOPE, &progress(owner, 4)).await;
    assert!(matches!(behind, Err(StoreError::Conflict(_))), "{behind:?}");
    assert_eq!(store.saved_part(SCOPE, other).await.expect("it reads"), SavedPart::default());
    // The partitions of the event log have epochs and places of their own.
    assert_eq!(store.saved_progress(SCOPE, part).await.expect("it reads").detect, None);
}

async fn progress_is_all_or_nothing(store: &dyn Store) {
    let progress = |next| Progress {
        next: [(Partition(0), LogOffset(next)), (Partition(3), LogOffset(40))].into(),
        vehicles: vec![
            (Partition(0), VehicleId([9; 16]), vec![1, 2]),
            (Partition(3), VehicleId([8; 16]), vec![3]),
        ],
        detect: Some(vec![3]),
        quarantine: vec![QuarantineEntry {
            units: 1,
            foreign: None,
            at: NOW,
            vehicle: None,
            reason: "rows".to_owned(),
            place: "byte 7".to_owned(),
            content: vec![0xab; 100],
        }],
        ..Progress::default()
    };
    store.commit_progress(SCOPE, &progress(7)).await.expect("it writes");
    let behind = store.commit_progress(SCOPE, &progress(6)).await;
    assert!(matches!(behind, Err(StoreError::Conflict(_))), "an older worker is fenced out");
    let saved = store.saved_progress(SCOPE, Partition(0)).await.expect("it reads");
    assert_eq!((saved.next, saved.vehicles.len(), saved.detect), (LogOffset(7), 1, Some(vec![3])));
    let other = store.saved_progress(SCOPE, Partition(3)).await.expect("it reads");
    assert_eq!(
        (other.next, other.vehicles, other.detect),
        (LogOffset(40), vec![(VehicleId([8; 16]), vec![3])], None)
    );
    let page = store.quarantine(SCOPE, &QuarantineFilter::default(), None, 10).await.expect("it reads");
    assert_eq!(page.total, 1, "the refused attempt left nothing");
    assert_eq!((page.items[0].bytes, page.items[0].excerpt_hex.len()), (100, 128));
}

async fn accounts_keep_an_administrator(store: &dyn Store) {
    store.create_account(SCOPE, "root", Role::Admin, "hash", false).await.expect("it is made");
    let again = store.create_account(SCOPE, "root", Role::Analyst, "hash", false).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))));
    let demote = AccountChange { role: Some(Role::Analyst), ..AccountChange::default() };
    assert!(matches!(store.change_account(SCOPE, "root", &demote, None).await, Err(StoreError::Conflict(_))));
    store.create_account(SCOPE, "second", Role::Admin, "hash", false).await.expect("it is made");
    let changed = store.change_account(SCOPE, "root", &demote, None).await.expect("another one is left");
    assert_eq!(changed.role, Role::Analyst);
}
