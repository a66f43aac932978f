//! Tests of alert grouping.

use outrider_model::Evidence;

use super::*;

const HOUR: i64 = 3_600_000_000;

fn finding(number: u8, from_h: i64, to_h: i64) -> Finding {
    Finding {
        id: FindingId([number; 16]),
        tenant: TenantId(1),
        rule: RuleId("r".to_owned()),
        group: GroupKey(vec![("model_line".to_owned(), "m".to_owned())]),
        window: Window { from: UnixMicros(from_h * HOUR), to: UnixMicros(to_h * HOUR) },
        revision: 1,
        late: false,
        severity: Severity::Medium,
        threshold: Some(50),
        value: Some(50),
        event_count: 50,
        vehicle_count: 50,
        model_line: Some("m".to_owned()),
        evidence: Evidence { vehicles: vec![VehicleId([number; 16])], ..Evidence::default() },
        detected_at: UnixMicros(0),
        withdrawn: false,
    }
}

fn run(state: &mut AlertState, finding: &Finding) -> AlertChange {
    apply(state, finding, 24 * HOUR)
}

#[test]
fn a_campaign_is_one_alert_however_often_it_is_revised() {
    let mut state = AlertState::default();
    let first = finding(1, 0, 1);
    let AlertChange::New(id) = run(&mut state, &first) else { panic!("the first finding opens an alert") };
    for revision in 2..20 {
        let grown = Finding { revision, vehicle_count: u64::from(revision) * 200, ..first.clone() };
        assert_eq!(run(&mut state, &grown), AlertChange::Revised(id));
        assert_eq!(run(&mut state, &grown), AlertChange::Unchanged, "the same revision again");
    }
    assert_eq!(run(&mut state, &first), AlertChange::Unchanged, "an old revision");
    assert_eq!((state.alerts.len(), state.alerts[0].vehicle_count()), (1, 3800));
}

#[test]
fn quiet_longer_than_the_window_separates_alerts_and_not_a_moment_less() {
    let mut state = AlertState::default();
    run(&mut state, &finding(1, 0, 1));
    assert!(matches!(run(&mut state, &finding(2, 25, 25)), AlertChange::Revised(_)));
    let mut later = finding(3, 49, 50);
    later.window.from.0 += 1;
    assert!(matches!(run(&mut state, &later), AlertChange::New(_)));
    assert_eq!(state.alerts.len(), 2);
    let before = finding(4, -30, -24);
    assert!(matches!(run(&mut state, &before), AlertChange::Revised(id) if id == state.alerts[0].id));
}

#[test]
fn a_closed_alert_takes_revisions_of_its_findings_and_no_new_ones() {
    let mut state = AlertState::default();
    run(&mut state, &finding(1, 0, 1));
    state.alerts[0].closed = true;
    let revised = Finding { revision: 2, event_count: 70, ..finding(1, 0, 1) };
    assert!(matches!(run(&mut state, &revised), AlertChange::Revised(id) if id == state.alerts[0].id));
    assert_eq!(state.alerts[0].event_count(), 70);
    assert!(matches!(run(&mut state, &finding(2, 2, 2)), AlertChange::New(_)));
}

#[test]
fn a_withdrawn_finding_stops_counting_and_its_successor_stays_in_the_alert() {
    let mut state = AlertState::default();
    run(&mut state, &finding(1, 10, 11));
    let AlertChange::Revised(id) =
        run(&mut state, &Finding { revision: 2, withdrawn: true, ..finding(1, 10, 11) })
    else {
        panic!("a withdrawal is a change");
    };
    assert!(state.alerts[0].withdrawn());
    let successor = Finding { event_count: 60, ..finding(2, 2, 11) };
    assert_eq!(run(&mut state, &successor), AlertChange::Revised(id));
    assert_eq!((state.alerts.len(), state.alerts[0].event_count()), (1, 60));
    assert!(!state.alerts[0].withdrawn());
    let unknown = Finding { withdrawn: true, ..finding(9, 0, 1) };
    assert_eq!(run(&mut state, &unknown), AlertChange::Unchanged);
}

#[test]
fn an_alert_is_late_only_if_nothing_in_it_came_in_time() {
    let mut state = AlertState::default();
    run(&mut state, &Finding { late: true, ..finding(1, 0, 1) });
    assert!(state.alerts[0].late());
    run(&mut state, &finding(2, 2, 3));
    assert!(!state.alerts[0].late());
}

#[test]
fn similar_alerts_share_a_vehicle_a_rule_or_a_model_line() {
    let alert = |number: u8, rule: &str, model: Option<&str>| {
        let mut state = AlertState::default();
        let changed = Finding {
            rule: RuleId(rule.to_owned()),
            model_line: model.map(str::to_owned),
            ..finding(number, 0, i64::from(number))
        };
        run(&mut state, &changed);
        state.alerts.remove(0)
    };
    let mine = alert(1, "a", Some("m"));
    let mut same_vehicle = alert(2, "b", None);
    same_vehicle.parts[0].vehicles = mine.vehicles();
    let others = [alert(3, "c", Some("n")), alert(4, "a", Some("m")), same_vehicle, alert(5, "a", None)];
    let found: Vec<_> = similar(&mine, &others, 10).into_iter().map(|(_, likeness)| likeness).collect();
    assert_eq!(
        found,
        [vec![Likeness::Rule, Likeness::ModelLine], vec![Likeness::Rule], vec![Likeness::Vehicle]]
    );
}

#[test]
fn statistics_leave_duplicates_out() {
    let judged = [
        Some(Judgement::TruePositive),
        Some(Judgement::BenignTruePositive),
        Some(Judgement::FalsePositive),
        Some(Judgement::Duplicate),
        None,
    ];
    let statistics = RuleStatistics::of(judged);
    assert_eq!((statistics.precision_percent(), statistics.open()), (Some(66), 1));
    assert_eq!(RuleStatistics::default().precision_percent(), None);
    for judgement in Judgement::ALL {
        assert_eq!(Judgement::from_word(judgement.word()), Some(judgement));
        assert_eq!(RuleStatistics::of([Some(judgement)]).count(judgement), 1);
    }
}
