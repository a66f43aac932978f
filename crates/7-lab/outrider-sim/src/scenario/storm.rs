//! A hundred thousand vehicles come back within a minute: the real backoff against an edge of bounded capacity.
//!
//! The edge here is what an operator sizes: handshakes a second and a queue of handshakes that wait; what does not fit is
//! turned away at once. The server's own admission control is tested against real sockets in `outrider-server`.

use std::collections::{BTreeMap, VecDeque};

use outrider_gateway::Backoff;
use outrider_types::{Seed, VehicleMicros};

use super::plan::StormPlan;
use super::report::{Report, Violation};
use super::trace::Trace;

const SECOND_US: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Queued { at: u64 },
    Gone,
}

struct Client {
    backoff: Backoff,
    tries: u32,
    state: Waiting,
    served_at: Option<u64>,
}

/// What an edge did in each second.
#[derive(Default)]
struct Edge {
    queue: VecDeque<usize>,
    /// Handshakes finished in a second.
    done: BTreeMap<u64, u64>,
    /// Tries that came in a second.
    tries: BTreeMap<u64, u64>,
    queue_most: usize,
    turned_away: u64,
    given_up: u64,
    /// Handshakes spent on clients that had gone.
    wasted: u64,
}

fn scaled(value: u64, scale_percent: u64) -> u64 {
    (value.saturating_mul(scale_percent) / 100).max(1)
}

/// Runs the storm.
pub(super) fn run(plan: StormPlan, seed: Seed, scale_percent: u64, report: &mut Report) {
    let count = scaled(plan.vehicles, scale_percent);
    let capacity = scaled(plan.handshakes_per_s, scale_percent);
    let waiting_max = usize::try_from(scaled(plan.waiting_max, scale_percent)).unwrap_or(usize::MAX);
    let [base, most] = plan.backoff_ms.map(|millis| millis * 1000);
    let mut random = seed.fork(1);
    let mut clients: Vec<Client> = (0..count)
        .map(|index| Client {
            backoff: Backoff::new(base, most, seed.fork(2).fork(index)),
            tries: 0,
            state: Waiting::Gone,
            served_at: None,
        })
        .collect();
    // Tries by time and client; a client has one at most.
    let mut calls: BTreeMap<(u64, usize), ()> = BTreeMap::new();
    for index in 0..clients.len() {
        calls.insert((random.below(plan.arrive_s * SECOND_US), index), ());
    }
    let (mut edge, mut trace) = (Edge::default(), Trace::default());
    let slot_us = (SECOND_US / capacity).max(1);
    let mut next_slot = 0u64;
    let limit = plan.served_within_s.saturating_mul(4).saturating_mul(SECOND_US);
    let mut served = 0u64;
    loop {
        let call = calls.keys().next().copied();
        let works = !edge.queue.is_empty();
        let now = match (call, works) {
            (Some((at, _)), true) => at.min(next_slot),
            (Some((at, _)), false) => at,
            (None, true) => next_slot,
            (None, false) => break,
        };
        if now > limit {
            break;
        }
        if works && next_slot <= now {
            serve(&mut edge, &mut clients, &mut calls, plan.patience_ms * 1000, next_slot, &mut served);
            next_slot += slot_us;
            continue;
        }
        let Some((at, index)) = call else { continue };
        calls.remove(&(at, index));
        *edge.tries.entry(at / SECOND_US).or_default() += 1;
        let client = &mut clients[index];
        client.tries += 1;
        trace.note("try", &[at, index as u64, edge.queue.len() as u64], &[]);
        if edge.queue.len() >= waiting_max {
            edge.turned_away += 1;
            fail(client, index, at, &mut calls);
            continue;
        }
        if edge.queue.is_empty() {
            next_slot = next_slot.max(at + slot_us);
        }
        client.state = Waiting::Queued { at };
        edge.queue.push_back(index);
        edge.queue_most = edge.queue_most.max(edge.queue.len());
    }
    judge(plan, &edge, &clients, capacity, report);
    report.trace_hash = trace.hex();
    report.figures.insert("steps", trace.steps);
}

fn fail(client: &mut Client, index: usize, at: u64, calls: &mut BTreeMap<(u64, usize), ()>) {
    client.state = Waiting::Gone;
    client.backoff.fail(VehicleMicros(at));
    calls.insert((client.backoff.until().0, index), ());
}

/// Finishes one handshake. A client whose patience ended meanwhile has gone, and cost the edge all the same.
fn serve(
    edge: &mut Edge,
    clients: &mut [Client],
    calls: &mut BTreeMap<(u64, usize), ()>,
    patience_us: u64,
    now: u64,
    served: &mut u64,
) {
    let Some(index) = edge.queue.pop_front() else { return };
    *edge.done.entry(now / SECOND_US).or_default() += 1;
    let client = &mut clients[index];
    let Waiting::Queued { at } = client.state else { return };
    if now.saturating_sub(at) > patience_us {
        edge.given_up += 1;
        edge.wasted += 1;
        fail(client, index, at + patience_us, calls);
        return;
    }
    client.backoff.succeed();
    client.state = Waiting::Gone;
    client.served_at = Some(now);
    *served += 1;
}

fn judge(plan: StormPlan, edge: &Edge, clients: &[Client], capacity: u64, report: &mut Report) {
    let mut times: Vec<u64> = clients.iter().filter_map(|client| client.served_at).collect();
    times.sort_unstable();
    let starving = clients.len() - times.len();
    if starving > 0 {
        let seen = format!("{starving} vehicles were never served");
        report.violate(Violation::of("starvation", seen));
    }
    let last = times.last().copied().unwrap_or(0) / SECOND_US;
    if last > plan.served_within_s {
        let seen = format!("the last vehicle was served after {last} s, not {}", plan.served_within_s);
        report.violate(Violation::of("bound", seen));
    }
    let busiest = edge.done.values().max().copied().unwrap_or(0);
    // A second holds one slot more than its length when its ends meet one.
    if busiest > capacity + 1 {
        let seen = format!("{busiest} handshakes in a second, capacity {capacity}");
        report.violate(Violation::of("capacity", seen));
    }
    let wave = wave_percent(edge, plan.arrive_s);
    if wave > plan.wave_percent_max {
        let seen = format!("the busiest second has {wave} % of the mean around it");
        report.violate(Violation::of("wave", seen));
    }
    report.fault("turned_away", edge.turned_away);
    report.fault("patience_ended", edge.given_up);
    let at = |part: usize| times.get(times.len().saturating_sub(1) * part / 100).copied().unwrap_or(0);
    let figures = [
        ("vehicles", clients.len() as u64),
        ("served", times.len() as u64),
        ("tries", clients.iter().map(|client| u64::from(client.tries)).sum()),
        ("tries_most_of_one", clients.iter().map(|client| u64::from(client.tries)).max().unwrap_or(0)),
        ("served_ms_median", at(50) / 1000),
        ("served_ms_p99", at(99) / 1000),
        ("served_s_last", last),
        ("handshakes_per_s_most", busiest),
        ("handshakes_wasted", edge.wasted),
        ("queue_most", edge.queue_most as u64),
        ("tries_per_s_most", edge.tries.values().max().copied().unwrap_or(0)),
        ("wave_percent", wave),
    ];
    report.figures.extend(figures);
}

/// Largest ratio of a second's tries to the mean of the eleven seconds around it, in percent, after the first wave.
/// Seconds with few tries say nothing about waves and are left out.
fn wave_percent(edge: &Edge, arrive_s: u64) -> u64 {
    let last = edge.tries.keys().next_back().copied().unwrap_or(0);
    let mut most = 0;
    for (second, tries) in edge.tries.range(arrive_s + 1..) {
        let (from, to) = (second.saturating_sub(5).max(arrive_s + 1), (second + 5).min(last));
        let around: u64 = edge.tries.range(from..=to).map(|(_, tries)| tries).sum();
        let mean = around / (to - from + 1).max(1);
        if mean >= 50 {
            most = most.max(tries * 100 / mean);
        }
    }
    most
}
