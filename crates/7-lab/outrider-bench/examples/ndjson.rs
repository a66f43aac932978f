//! Measures decoding, normalising and matching of NDJSON: events per CPU-second with fifty rules.
//!
//! `cargo run --release -p outrider-bench --example ndjson -- [EVENTS [FILE]]`; with a file, the events are written there, so
//! that another program can read the same.
#![expect(clippy::print_stdout, reason = "an example speaks to its user")]

use std::time::Duration;

use outrider_bench::{Events, Ingest};

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = account.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments.next().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let mut events = Events::new(1, 5_000);
    let mut text = String::new();
    (0..count).for_each(|_| events.write(&mut text));
    if let Some(file) = arguments.next() {
        std::fs::write(file, &text).expect("the file can be written");
    }
    let ingest = Ingest::new().expect("the built-in content is right");
    let figures = ingest.run(text.as_bytes(), &mut cpu);
    let rate = |time: Duration| f64::from(count) / time.as_secs_f64();
    let per_event = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(count);
    println!(
        "{} events of {} bytes, {} refused; events per CPU-second: {:.0} by the worker, {:.0} decoder and rules alone",
        figures.events,
        text.len() / count as usize,
        figures.refused,
        rate(figures.whole),
        rate(figures.decode + figures.rules)
    );
    println!(
        "ns an event: {:.0}, of which reading and mapping {:.0}, columns {:.0}, worker {:.0}, rules {:.0}",
        per_event(figures.whole),
        per_event(figures.read),
        per_event(figures.decode.saturating_sub(figures.read)),
        per_event(figures.whole.saturating_sub(figures.decode).saturating_sub(figures.rules)),
        per_event(figures.rules)
    );
    println!("matches: {:?}", figures.matches.values().collect::<Vec<_>>());
}
