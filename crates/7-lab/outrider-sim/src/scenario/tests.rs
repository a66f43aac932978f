//! Every shipped scenario, small; and that the judge can fail.

use super::*;

/// Reads a file of `scenarios/`.
fn plan(name: &str) -> Plan {
    let path = format!("{}/../../../scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the file is part of the repository");
    let plan = Plan::parse(&text).expect("a scenario");
    assert_eq!(plan.name, name);
    plan
}

/// Runs a scenario small and asserts that nothing is wrong and that it was not idle.
fn good(plan: &Plan, scale_percent: u64) -> Report {
    let report = run(plan, 1, scale_percent);
    assert_eq!(report.violations, [], "{}", report.json());
    assert_eq!((report.lost, report.duplicated, report.reordered), (0, 0, 0));
    assert_eq!((report.attacks_fired, &report.undetected), (report.attacks_detected, &Vec::new()));
    for (lane, account) in &report.accounts {
        assert!(account.emitted > 100 && account.delivered > 10, "{lane}: {account:?}");
        assert_eq!(account.difference(), 0, "{lane}");
    }
    report
}

#[test]
fn weeks_offline_lose_nothing() {
    let mut plan = plan("offline-weeks");
    // The fifth vehicle is the one that is overfull.
    (plan.hours, plan.vehicles_min) = (400, 5);
    plan.profile.iter_mut().for_each(|profile| profile.cut_per_mille *= 4);
    good(&plan, 1);
}

#[test]
fn torn_power_loses_nothing_that_was_promised() {
    let mut plan = plan("torn-power");
    plan.hours = 60;
    let report = good(&plan, 1);
    assert!(report.faults_fired["power_cut"] > 50, "{}", report.json());
}

#[test]
fn a_full_flash_gives_up_by_policy_and_says_so() {
    let mut plan = plan("full-flash");
    plan.hours = 240;
    let report = good(&plan, 1);
    assert!(report.faults_fired["evicted_row"] > 1000, "{}", report.json());
}

#[test]
fn a_boot_loop_forgets_nothing() {
    let mut plan = plan("boot-loop");
    plan.hours = 16;
    let report = good(&plan, 1);
    assert!(report.figures["boots"] > 800, "{}", report.json());
}

#[test]
fn a_broker_cannot_forge_and_its_losses_are_made_good() {
    let mut plan = plan("lying-broker");
    plan.hours = 120;
    let report = good(&plan, 1);
    assert!(report.attacks_fired > 100, "{}", report.json());
    assert_eq!(report.attacks.len(), 5);
}

#[test]
fn no_clock_makes_the_cloud_state_a_wrong_interval() {
    let mut plan = plan("clock-chaos");
    plan.hours = 200;
    good(&plan, 1);
}

#[test]
fn who_owns_a_gateway_is_found() {
    let mut plan = plan("compromised-gateway");
    (plan.vehicles_min, plan.attack.gateway_each) = (8, 1);
    let report = good(&plan, 1);
    assert_eq!((report.attacks_fired, report.attacks.len()), (5, 5), "{}", report.json());
}

#[test]
fn a_reconnect_storm_ends_in_bounded_time_without_waves() {
    let report = run(&plan("reconnect-storm"), 1, 10);
    assert_eq!(report.violations, [], "{}", report.json());
    assert_eq!(report.figures["served"], 10_000);
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let mut plan = plan("lying-broker");
    plan.hours = 24;
    let hash = |seed| run(&plan, seed, 1).trace_hash;
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
    let storm = self::plan("reconnect-storm");
    let hash = |seed| run(&storm, seed, 1).trace_hash;
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

#[test]
fn a_scenario_whose_faults_do_not_happen_fails() {
    let mut plan = plan("lying-broker");
    (plan.hours, plan.network) = (12, NetworkPlan::default());
    let report = run(&plan, 1, 1);
    assert!(report.violations.iter().any(|one| one.invariant == "fired"), "{}", report.json());
}

#[test]
fn the_judge_sees_a_clock_that_promises_too_much() {
    // A satellite that is right to 50 ms, on a crystal eleven times worse than the cloud reckons with.
    let mut plan = plan("clock-chaos");
    (plan.hours, plan.vehicles_min) = (100, 1);
    plan.require.clear();
    plan.profile.retain(|profile| profile.clock == ClockWord::Good);
    let mut field = Field::new(&plan, Seed::new(1), 1);
    field.units[0].drift_ppm = 1100;
    field.run();
    let mut report = Report::default();
    Judge::new(&field.cloud, &mut report).vehicles(&field.units, &BTreeSet::new());
    assert!(report.violations.iter().all(|one| one.invariant == "TIME-1"), "{}", report.json());
    assert!(!report.violations.is_empty());
}

#[test]
fn the_judge_names_what_is_missing_and_what_is_nobodys() {
    let mut plan = plan("lying-broker");
    (plan.hours, plan.vehicles_min) = (12, 2);
    let mut field = Field::new(&plan, Seed::new(1), 1);
    field.run();
    let ids: Vec<_> = field.cloud.lake.rows.keys().copied().collect();
    let (gone, nobodys) = (ids[3], outrider_types::EventId { seq: outrider_types::Seq(99_999), ..ids[5] });
    let row = field.cloud.lake.rows.remove(&gone).expect("it is there");
    field.cloud.lake.rows.insert(nobodys, row);
    let mut report = Report::default();
    Judge::new(&field.cloud, &mut report).vehicles(&field.units, &BTreeSet::new());
    let about = |invariant, id: outrider_types::EventId| {
        report.violations.iter().any(|one| {
            one.invariant == invariant
                && one.vehicle == Some(id.vehicle.to_string())
                && (one.boot, one.number) == (Some(id.epoch.0), Some(id.seq.0))
        })
    };
    assert!(about("LOG-2", gone) && about("phantom", nobodys), "{}", report.json());
    assert_eq!(report.lost, 1);
}

#[test]
fn a_file_with_a_wrong_key_or_range_is_refused() {
    let wrong = "name = \"x\"\nabout = \"x\"\nhours = 1\nvehicles = 1\nvihicles = 2\n";
    assert!(matches!(Plan::parse(wrong), Err(PlanError::Toml(_))));
    let none = "name = \"x\"\nabout = \"x\"\nhours = 1\nvehicles = 1\n";
    assert!(matches!(Plan::parse(none), Err(PlanError::Value { field: "profile", .. })));
}
