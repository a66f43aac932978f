//! Windows and budgets in the uplink.

use super::*;

fn with_policy(policy: UplinkPolicy) -> Gateway<MemoryStorage> {
    let mut gateway = gateway();
    gateway.parts_mut().1.set_policy(policy).expect("it can be kept");
    gateway
}

#[test]
fn a_spent_budget_holds_batched_rows_back_and_not_the_critical_ones() {
    let mut cloud = Cloud::new();
    let mut gateway = with_policy(UplinkPolicy {
        bytes_a_day: Some(19_000),
        critical_bytes_a_day: 18_500,
        ..UplinkPolicy::default()
    });
    put(&mut gateway, Lane::Batched, 0..500);
    let freed = run(&mut gateway, &mut cloud, 10).freed + run(&mut gateway, &mut cloud, 40 * SECOND).freed;
    assert_eq!(freed, 500, "the frame that crosses the line goes");
    let spent = gateway.parts_mut().1.take_spent();
    assert_eq!((spent.len(), spent[0].lane), (1, Lane::Batched));
    assert!(spent[0].spent >= spent[0].bound);
    put(&mut gateway, Lane::Batched, 500..600);
    put(&mut gateway, Lane::Critical, 0..1);
    run(&mut gateway, &mut cloud, 41 * SECOND);
    assert_eq!(run(&mut gateway, &mut cloud, 400 * SECOND).answered, 0);
    assert_eq!((held(&gateway, Lane::Critical), held(&gateway, Lane::Batched)), (0, 100));
    let uplink = gateway.parts_mut().1;
    uplink.turn(VehicleMicros(24 * 3600 * SECOND), None);
    let window = VehicleMicros(24 * 3600 * SECOND).0;
    run(&mut gateway, &mut cloud, window);
    run(&mut gateway, &mut cloud, window + 30 * SECOND);
    assert_eq!(held(&gateway, Lane::Batched), 0, "a new day");
}

#[test]
fn critical_rows_go_on_with_one_frame_a_report_window_when_nothing_is_left() {
    let mut cloud = Cloud::new();
    let mut gateway = with_policy(UplinkPolicy {
        bytes_a_day: Some(400),
        critical_bytes_a_day: 400,
        ..UplinkPolicy::default()
    });
    let mut sent = 0;
    for second in 0..2000 {
        put(&mut gateway, Lane::Critical, second..second + 1);
        sent += run(&mut gateway, &mut cloud, second * SECOND + 10).answered;
    }
    assert_eq!(sent, 4, "one within the budget, then one at once and one in each quarter of an hour");
    let waiting = held(&gateway, Lane::Critical);
    assert!((1..=998).contains(&waiting), "{waiting}");
    gateway.set_link(Link::Unmetered);
    run(&mut gateway, &mut cloud, 2001 * SECOND);
    assert_eq!(held(&gateway, Lane::Critical), 0, "Wi-Fi costs nothing");
}

#[test]
fn the_deferred_lane_can_be_kept_for_the_workshop() {
    let mut cloud = Cloud::new();
    let usual = UplinkPolicy::default();
    let deferred = LanePolicy { link: Link::Workshop, ..usual.deferred };
    let mut gateway = with_policy(UplinkPolicy { deferred, ..usual });
    put(&mut gateway, Lane::Deferred, 0..1);
    gateway.set_link(Link::Unmetered);
    run(&mut gateway, &mut cloud, SECOND);
    assert_eq!(held(&gateway, Lane::Deferred), 1);
    gateway.set_link(Link::Workshop);
    run(&mut gateway, &mut cloud, 2 * SECOND);
    assert_eq!(held(&gateway, Lane::Deferred), 0);
}
