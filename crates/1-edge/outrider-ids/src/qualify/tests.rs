extern crate std;

use core::num::NonZeroU32;
use std::vec::Vec;

use outrider_types::{EventTypeId, VehicleMicros};
use proptest::prelude::*;

use super::*;

const MS: u64 = 1000;
const A: EventTypeId = EventTypeId(1);
const B: EventTypeId = EventTypeId(2);

/// A body whose context is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    context: Option<u32>,
    last: u32,
}

impl Body for Seen {
    fn has_context(&self) -> bool {
        self.context.is_some()
    }

    fn drop_context(&mut self) {
        self.context = None;
    }

    fn fold(&mut self, later: &Self) {
        self.last = later.last;
    }
}

type Small = Chain<Seen, 4, 8>;

fn nz(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn config() -> ChainConfig {
    ChainConfig { period_us: 10 * MS, contexts_max: 8, rate: None, traffic: None }
}

fn chain(rule: SevRule) -> Small {
    Chain::new(&config(), &[SevRule::pass(B), rule], VehicleMicros(0)).expect("a good configuration")
}

/// Reports `count` occurrences of `A` with the number as context, and lets `at_ms` come.
fn step(chain: &mut Small, number: u32, count: u32, at_ms: u64) -> Vec<(u32, Seen)> {
    chain.report(A, count, Seen { context: Some(number), last: number }).expect("there is room");
    pass(chain, at_ms)
}

fn pass(chain: &mut Small, at_ms: u64) -> Vec<(u32, Seen)> {
    let mut out = Vec::new();
    chain.tick(VehicleMicros(at_ms * MS), &mut |_, count, seen| out.push((count, seen)));
    assert!(chain.counts().holds(), "{:?}", chain.counts());
    out
}

/// Numbers that pass when 1, 2, 3, … are reported in one main function each.
fn numbers(chain: &mut Small, until: u32) -> Vec<u32> {
    let mut out = Vec::new();
    for number in 1..=until {
        out.extend(
            step(chain, number, 1, u64::from(number) * 10).iter().filter_map(|(_, seen)| seen.context),
        );
    }
    out
}

#[test]
fn without_filters_everything_passes_at_the_next_main_function_and_not_before() {
    let mut chain = chain(SevRule::pass(A));
    assert_eq!(step(&mut chain, 1, 7, 9), [], "no period has passed");
    assert_eq!(chain.counts().waiting, 1);
    assert_eq!(pass(&mut chain, 10), [(7, Seen { context: Some(1), last: 1 })]);
    assert_eq!(pass(&mut chain, 20), []);
}

#[test]
fn every_third_passes_the_first_fourth_and_seventh() {
    let rule = SevRule { every_nth: nz(3), ..SevRule::pass(A) };
    assert_eq!(numbers(&mut chain(rule), 8), [1, 4, 7]);
    // A report of several occurrences advances by all of them and passes if an n-th one is among them, unchanged.
    let mut chain = chain(rule);
    assert_eq!(step(&mut chain, 1, 2, 10).len(), 1, "occurrences 1 and 2");
    assert_eq!(step(&mut chain, 2, 1, 20).len(), 0, "occurrence 3");
    assert_eq!(step(&mut chain, 3, 5, 30)[0].0, 5, "occurrences 4 to 8");
    assert_eq!(step(&mut chain, 4, 1, 40).len(), 0, "occurrence 9");
    assert_eq!(step(&mut chain, 5, 1, 50).len(), 1, "occurrence 10");
}

#[test]
fn a_threshold_of_three_drops_two_and_passes_the_rest_of_the_window() {
    let rule =
        SevRule { threshold: Some(Threshold { count: nz(3), window_us: 50 * MS }), ..SevRule::pass(A) };
    // Main functions at 10, 20, … ms; windows end at 50 and 100 ms.
    assert_eq!(numbers(&mut chain(rule), 11), [3, 4, 5, 8, 9, 10]);
    let mut chain = chain(rule);
    assert_eq!(step(&mut chain, 1, 2, 10).len(), 0);
    assert_eq!(step(&mut chain, 2, 1, 20).len(), 1, "counts accumulate");
}

#[test]
fn aggregation_sums_counts_keeps_the_first_context_and_speaks_at_the_end_of_its_window() {
    let rule = SevRule { aggregation_us: Some(30 * MS), ..SevRule::pass(A) };
    let mut chain = chain(rule);
    assert_eq!(step(&mut chain, 1, 2, 10), []);
    assert_eq!(step(&mut chain, 2, 3, 20), []);
    assert_eq!(step(&mut chain, 3, 4, 30), [(9, Seen { context: Some(1), last: 3 })]);
    assert_eq!((chain.counts().aggregated, chain.counts().passed), (2, 1));
    assert_eq!(pass(&mut chain, 60), [], "an empty window says nothing");
    step(&mut chain, 4, 1, 70);
    let mut out = Vec::new();
    chain.flush(&mut |_, count, seen| out.push((count, seen)));
    assert_eq!(out, [(1, Seen { context: Some(4), last: 4 })], "before a shutdown nothing is kept");
    assert!(chain.counts().holds() && chain.counts().waiting == 0);
}

#[test]
fn the_threshold_stands_behind_the_aggregation() {
    let threshold = Some(Threshold { count: nz(5), window_us: 40 * MS });
    let rule = SevRule { aggregation_us: Some(20 * MS), threshold, ..SevRule::pass(A) };
    let mut chain = chain(rule);
    assert_eq!(step(&mut chain, 1, 2, 20), [], "two are below five");
    assert_eq!(step(&mut chain, 2, 3, 40).first().map(|(count, _)| *count), Some(3), "five in the window");
    assert_eq!(step(&mut chain, 3, 4, 60), [], "a new window");
}

#[test]
fn a_blocked_state_drops_and_leaves_later_filters_untouched() {
    let driving = BlockState::new(1).expect("below 32");
    let rule = SevRule { blocked_in: driving.bit(), every_nth: nz(2), ..SevRule::pass(A) };
    let mut chain = chain(rule);
    chain.set_state(Some(driving));
    assert_eq!(step(&mut chain, 1, 1, 10), []);
    chain.set_state(BlockState::new(2));
    assert_eq!(step(&mut chain, 2, 1, 20).len(), 1, "the blocked one did not count as the first");
    chain.set_state(None);
    assert_eq!(step(&mut chain, 3, 1, 30).len(), 0);
    assert_eq!((chain.counts().blocked, chain.counts().thinned), (1, 1));
    assert_eq!(BlockState::new(32), None);
}

#[test]
fn reporting_modes_are_judged_before_the_chain() {
    let filtered = |mode| SevRule { mode, every_nth: nz(100), blocked_in: u32::MAX, ..SevRule::pass(A) };
    let cases = [
        (ReportingMode::Off, None),
        (ReportingMode::Brief, None),
        (ReportingMode::Detailed, None),
        (ReportingMode::BriefBypassingFilters, Some(None)),
        (ReportingMode::DetailedBypassingFilters, Some(Some(1))),
    ];
    for (mode, expected) in cases {
        let mut chain = chain(filtered(mode));
        chain.set_state(BlockState::new(0));
        let out = step(&mut chain, 1, 1, 10);
        assert_eq!(out.first().map(|(_, seen)| seen.context), expected, "{mode:?}");
        assert_eq!(chain.counts().off, u64::from(mode == ReportingMode::Off));
    }
    let mut brief = chain(SevRule { mode: ReportingMode::Brief, ..SevRule::pass(A) });
    assert_eq!(step(&mut brief, 1, 1, 10)[0].1.context, None);
}

#[test]
fn full_buffers_are_counted_and_said() {
    let mut chain = chain(SevRule::pass(A));
    for number in 0..8 {
        chain.report(A, 1, Seen { context: None, last: number }).expect("eight buffers");
    }
    assert_eq!(chain.report(A, 1, Seen { context: None, last: 8 }), Err(Refused::NoEventBuffer));
    assert_eq!(chain.report(EventTypeId(9), 1, Seen { context: None, last: 9 }), Err(Refused::Unlisted));
    assert_eq!(chain.take_internal(), Some((InternalEvent::NoEventBuffer, 1)));
    assert_eq!(chain.take_internal(), None);
    assert_eq!(pass(&mut chain, 10).len(), 8);
    assert_eq!((chain.counts().no_buffer, chain.counts().unlisted), (1, 1));
}

#[test]
fn a_report_without_a_place_for_its_context_is_kept_without_it() {
    let rule = SevRule { aggregation_us: Some(20 * MS), ..SevRule::pass(A) };
    let tight = ChainConfig { contexts_max: 1, ..config() };
    let mut chain: Small = Chain::new(&tight, &[rule, SevRule::pass(B)], VehicleMicros(0)).expect("good");
    step(&mut chain, 1, 1, 10);
    chain.report(B, 1, Seen { context: Some(2), last: 2 }).expect("there is room");
    assert_eq!(chain.take_internal(), Some((InternalEvent::NoContextBuffer, 1)));
    let out = pass(&mut chain, 20);
    assert_eq!(out.iter().map(|(_, seen)| seen.context).collect::<Vec<_>>(), [None, Some(1)]);
    chain.report(B, 1, Seen { context: Some(3), last: 3 }).expect("there is room");
    assert_eq!(pass(&mut chain, 30)[0].1.context, Some(3), "the place is free again");
}

#[test]
fn limits_hold_before_the_reporter_and_traffic_is_not_charged_for_what_the_rate_drops() {
    let limits = ChainConfig {
        rate: Some(RateLimit { events: nz(2), window_us: 20 * MS }),
        traffic: Some(TrafficLimit { bytes: nz(100), window_us: 40 * MS }),
        ..config()
    };
    let mut chain: Small = Chain::new(&limits, &[], VehicleMicros(0)).expect("good");
    assert_eq!(chain.admit(60), Ok(()));
    assert_eq!(chain.admit(41), Err(Limited::Traffic), "101 bytes");
    assert_eq!(chain.admit(1), Err(Limited::Rate), "the second one counted although its bytes did not fit");
    assert_eq!(chain.take_internal(), Some((InternalEvent::TrafficLimitExceeded, 1)));
    pass(&mut chain, 20);
    assert_eq!(chain.admit(40), Ok(()), "100 bytes fit");
    assert_eq!(chain.admit(1), Err(Limited::Traffic));
    pass(&mut chain, 40);
    assert_eq!(chain.admit(100), Ok(()));
    assert!(chain.limits().holds());
    assert_eq!((chain.limits().sent, chain.limits().rate, chain.limits().traffic), (3, 1, 2));
}

#[test]
fn a_late_main_function_ends_every_window_it_missed_once() {
    let rule = SevRule { aggregation_us: Some(30 * MS), ..SevRule::pass(A) };
    let mut chain = chain(rule);
    assert_eq!(step(&mut chain, 1, 1, 1_000_000_000).len(), 1);
    assert_eq!(pass(&mut chain, 1_000_000_000), []);
}

#[test]
fn configurations_that_cannot_be_kept_are_refused() {
    let refused = |config: &ChainConfig, rules: &[SevRule]| {
        Chain::<Seen, 2, 2>::new(config, rules, VehicleMicros(0)).err()
    };
    let window = |window_us| SevRule { aggregation_us: Some(window_us), ..SevRule::pass(A) };
    let wrong =
        |event_type, window_us| Some(ConfigError::Window { event_type, window_us, period_us: 10 * MS });
    assert_eq!(refused(&config(), &[window(10 * MS)]), None);
    assert_eq!(refused(&config(), &[window(15 * MS)]), wrong(Some(A), 15 * MS));
    assert_eq!(refused(&config(), &[window(0)]), wrong(Some(A), 0));
    let threshold = Some(Threshold { count: nz(1), window_us: 9 * MS });
    assert_eq!(refused(&config(), &[SevRule { threshold, ..SevRule::pass(A) }]), wrong(Some(A), 9 * MS));
    let rate = Some(RateLimit { events: nz(1), window_us: 1 });
    assert_eq!(refused(&ChainConfig { rate, ..config() }, &[]), wrong(None, 1));
    let traffic = Some(TrafficLimit { bytes: nz(1), window_us: 11 * MS });
    assert_eq!(refused(&ChainConfig { traffic, ..config() }, &[]), wrong(None, 11 * MS));
    assert_eq!(refused(&ChainConfig { period_us: 0, ..config() }, &[]), Some(ConfigError::Period));
    let pass = |number| SevRule::pass(EventTypeId(number));
    assert_eq!(refused(&config(), &[pass(1), pass(1)]), Some(ConfigError::Duplicate(A)));
    let many = Some(ConfigError::TooMany { got: 3, max: 2 });
    assert_eq!(refused(&config(), &[pass(2), pass(3), pass(1)]), many);
}

fn rule() -> impl Strategy<Value = SevRule> {
    let mode = prop_oneof![
        Just(ReportingMode::Off),
        Just(ReportingMode::Brief),
        Just(ReportingMode::Detailed),
        Just(ReportingMode::BriefBypassingFilters),
        Just(ReportingMode::DetailedBypassingFilters),
    ];
    let threshold = proptest::option::of((1u32..6, 1u64..5));
    (mode, 0u32..4, 1u32..5, proptest::option::of(1u64..5), threshold).prop_map(
        |(mode, blocked_in, nth, aggregation, threshold)| SevRule {
            event_type: A,
            mode,
            blocked_in,
            every_nth: nz(nth),
            aggregation_us: aggregation.map(|ticks| ticks * 10 * MS),
            threshold: threshold
                .map(|(count, ticks)| Threshold { count: nz(count), window_us: ticks * 10 * MS }),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_comes_is_in_one_count_and_occurrences_are_never_made_up(
        rule in rule(),
        steps in proptest::collection::vec((0u8..4, 0u64..40, 0u8..3), 0..80),
    ) {
        let mut chain = chain(rule);
        let (mut at, mut reported, mut qualified) = (0, 0u64, 0u64);
        for (reports, ms, state) in steps {
            chain.set_state(BlockState::new(state));
            for number in 0..u32::from(reports) {
                reported += u64::from(number) + 1;
                let _ = chain.report(A, number + 1, Seen { context: Some(number), last: number });
            }
            at += ms;
            qualified += pass(&mut chain, at).iter().map(|(count, _)| u64::from(*count)).sum::<u64>();
        }
        chain.flush(&mut |_, count, _| qualified += u64::from(count));
        prop_assert!(qualified <= reported);
        prop_assert!(chain.counts().holds() && chain.counts().waiting == 0);
        if rule == (SevRule { mode: ReportingMode::DetailedBypassingFilters, ..rule }) && chain.counts().no_buffer == 0 {
            prop_assert_eq!(qualified, reported);
        }
    }
}
