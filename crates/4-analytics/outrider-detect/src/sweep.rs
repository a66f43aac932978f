//! Finds the windows of event time in which enough distinct values lie.

/// Closed interval of event time, microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// Finds every qualifying window and joins those that overlap.
///
/// A window begins at an event and is `length` long; both ends belong to it. It qualifies if it holds at least
/// `need` distinct keys, and then stands for the span from its first to its last event. Only windows that begin
/// within `starts` are looked at. Sorts `points`; O(n log n).
pub(crate) fn qualifying(points: &mut Vec<(i64, u64)>, starts: Span, length: i64, need: u64) -> Vec<Span> {
    points.sort_unstable();
    points.dedup();
    let mut keys: Vec<u64> = points.iter().map(|point| point.1).collect();
    keys.sort_unstable();
    keys.dedup();
    if (keys.len() as u64) < need {
        return Vec::new();
    }
    let place = |key: u64| keys.binary_search(&key).expect("every point's key is in the list of keys");
    let mut inside = vec![0u32; keys.len()];
    let (mut distinct, mut end) = (0u64, 0usize);
    let mut spans: Vec<Span> = Vec::new();
    let mut index = 0;
    while index < points.len() {
        let from = points[index].0;
        while end < points.len() && reaches(from, points[end].0, length) {
            let slot = &mut inside[place(points[end].1)];
            *slot += 1;
            distinct += u64::from(*slot == 1);
            end += 1;
        }
        if distinct >= need && from >= starts.from && from <= starts.to {
            join(&mut spans, Span { from, to: points[end - 1].0 });
        }
        while index < points.len() && points[index].0 == from {
            let slot = &mut inside[place(points[index].1)];
            *slot -= 1;
            distinct -= u64::from(*slot == 0);
            index += 1;
        }
    }
    spans
}

/// Finds every window in which keys 0 to `need` − 1 follow each other, and joins those that overlap.
///
/// Windows, spans and `starts` are those of [`qualifying`]. Keys at one time follow each other either way round.
/// Sorts `points`; O(n · need · log n).
pub(crate) fn in_order(points: &mut Vec<(i64, u64)>, starts: Span, length: i64, need: u64) -> Vec<Span> {
    points.sort_unstable();
    points.dedup();
    let steps: Vec<Vec<i64>> = (0..need)
        .map(|step| points.iter().filter(|point| point.1 == step).map(|point| point.0).collect())
        .collect();
    let next = |times: &Vec<i64>, from: i64| times.get(times.partition_point(|at| *at < from)).copied();
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0usize;
    for (index, (from, _)) in points.iter().enumerate() {
        let repeated = index.checked_sub(1).is_some_and(|before| points[before].0 == *from);
        if repeated || *from < starts.from || *from > starts.to {
            continue;
        }
        let Some(done) = steps.iter().try_fold(*from, |at, times| next(times, at)) else { break };
        while end < points.len() && reaches(*from, points[end].0, length) {
            end += 1;
        }
        if reaches(*from, done, length) {
            join(&mut spans, Span { from: *from, to: points[end - 1].0 });
        }
    }
    spans
}

/// Counts the most distinct keys that any window of this length holds, with the window. Sorts `points`.
pub(crate) fn fullest(points: &mut Vec<(i64, u64)>, length: i64) -> Option<(u64, Span)> {
    points.sort_unstable();
    points.dedup();
    let mut inside = std::collections::BTreeMap::<u64, u32>::new();
    let mut best: Option<(u64, Span)> = None;
    let mut start = 0;
    for end in 0..points.len() {
        *inside.entry(points[end].1).or_default() += 1;
        while !reaches(points[start].0, points[end].0, length) {
            let slot = inside.get_mut(&points[start].1).expect("the point entered before it leaves");
            *slot -= 1;
            if *slot == 0 {
                inside.remove(&points[start].1);
            }
            start += 1;
        }
        let count = inside.len() as u64;
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, Span { from: points[start].0, to: points[end].0 }));
        }
    }
    best
}

/// Appends a span whose start is not before those in the list, joining it to the last if they overlap.
pub(crate) fn join(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
        Some(_) | None => spans.push(span),
    }
}

/// Returns whether a window that begins at `from` holds `time`.
fn reaches(from: i64, time: i64, length: i64) -> bool {
    #[cfg(test)]
    if flaw::EDGE_EXCLUDED.get() {
        return time < from.saturating_add(length);
    }
    time <= from.saturating_add(length)
}

/// A fault that tests switch on to show that they would notice it.
#[cfg(test)]
pub(crate) mod flaw {
    use std::cell::Cell;

    thread_local! {
        /// Leaves out an event at the very end of a window.
        pub(crate) static EDGE_EXCLUDED: Cell<bool> = const { Cell::new(false) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Span = Span { from: i64::MIN, to: i64::MAX };

    #[test]
    fn both_ends_of_a_window_belong_to_it() {
        let mut points = vec![(0, 1), (10, 2)];
        assert_eq!(qualifying(&mut points, ALL, 10, 2), [Span { from: 0, to: 10 }]);
        assert_eq!(qualifying(&mut points, ALL, 9, 2), []);
    }

    #[test]
    fn windows_that_share_an_event_join_and_others_do_not() {
        let mut points = vec![(0, 1), (5, 2), (12, 1), (30, 1), (31, 3)];
        let spans = qualifying(&mut points, ALL, 10, 2);
        assert_eq!(spans, [Span { from: 0, to: 12 }, Span { from: 30, to: 31 }]);
    }

    #[test]
    fn the_fullest_window_is_found() {
        let mut points = vec![(0, 1), (5, 2), (9, 3), (12, 1), (30, 4)];
        assert_eq!(fullest(&mut points, 10), Some((3, Span { from: 0, to: 9 })));
    }
}
