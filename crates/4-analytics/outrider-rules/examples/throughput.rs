//! Measures the matcher: events per CPU-second with 30, 300 and 3,000 synthetic rules.
//!
//! `cargo run --release -p outrider-rules --example throughput`. CPU time is the kernel's account of this
//! process; where there is none, the wall clock stands in. Rules and events are made of a fixed sequence.
#![expect(clippy::print_stdout, reason = "an example speaks to its user")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use outrider_model::catalogue::{event_type_by_name, field_by_name};
use outrider_model::{EventBatch, EventRow, FieldValue};
use outrider_rules::{Matches, RuleFile, RuleSet, load};
use outrider_types::{
    BootEpoch, EventId, EventTime, IngestTime, Seq, TenantId, UnixMicros, VehicleId, VehicleMicros,
};

/// Rows of a batch, as the ingestion makes them.
const ROWS: u64 = 4_096;
/// CPU time of one measurement.
const AT_LEAST: Duration = Duration::from_secs(3);

/// SplitMix64: small, and the same on every machine.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// One rule in ten kinds: equality, lists, substrings, prefixes, wildcards, expressions, bounds, networks.
fn rule(number: u64, sequence: &mut Sequence) -> String {
    let n = sequence.below(2_000);
    let (category, lines) = match number % 10 {
        0 => ("host", format!("  s: {{event_type: host.process_unexpected, process_name: tool{n}}}")),
        1 => ("host", format!("  s: {{file_path|contains: '/x{n}/', privileged: true}}")),
        2 => ("host", format!("  s: {{file_path|startswith: ['/opt/a{n}/', '/data/b{n}/']}}")),
        3 => ("host", format!("  s: {{process_name|re: '^to+l[0-9]*{n}$', user_id|gte: 1000}}")),
        4 => ("can", format!("  s: {{can_id: [{}, {}], frames|gte: {}}}", n, n + 1, n % 50)),
        5 => (
            "can",
            format!("  s: {{event_type: can.flood, rate_hz|gte: {}, bus_load_percent|gt: 40}}", 4_000 + n),
        ),
        6 => ("diag", format!("  s: {{uds_nrc: 0x35, tester_address: {n}}}")),
        7 => (
            "fw",
            format!("  s: {{source_ip|cidr: '10.{}.{}.0/24', destination_port: {n}}}", n % 250, n % 199),
        ),
        8 => ("ota", format!("  s: {{campaign: camp{n}, reason|contains: [signature, 'key{n}']}}")),
        _ => ("host", format!("  s: {{file_path: '/usr/*/lib{n}?.so', process_name|endswith: '{n}'}}")),
    };
    format!(
        "title: rule {number}\nid: 00000000-0000-0000-0000-{number:012x}\nlevel: low\ndescription: d\n\
         tags: [unr155.11.1]\nlogsource: {{product: vehicle, category: {category}}}\ndetection:\n{lines}\n  \
         f: {{model_line: test, count|lt: {}}}\n  condition: s and not f\n",
        n % 7 + 1
    )
}

fn rules(count: u64) -> RuleSet {
    let mut sequence = Sequence(7);
    let mut text = String::new();
    for number in 0..count {
        writeln!(text, "{}---", rule(number, &mut sequence)).expect("a string takes all");
    }
    let loaded = load(&[RuleFile { name: "synthetic.yml", text: &text }]);
    assert!(loaded.problems.is_empty(), "{}", loaded.problems[0]);
    loaded.rules
}

fn batch(sequence: &mut Sequence) -> EventBatch {
    const TYPES: [&str; 8] = [
        "host.process_unexpected",
        "host.file_modified",
        "host.module_loaded",
        "can.unknown_id",
        "can.flood",
        "diag.security_access_denied",
        "fw.packet_blocked",
        "ota.signature_failure",
    ];
    let mut batch = EventBatch::new();
    for number in 0..ROWS {
        let name = TYPES[usize::try_from(sequence.below(8)).expect("below 8")];
        let event_type = event_type_by_name(name).expect("the catalogue has the type");
        let vehicle = VehicleId(u128::from(sequence.below(3_000)).to_be_bytes());
        batch.push(&EventRow {
            tenant: TenantId(1),
            id: EventId { vehicle, epoch: BootEpoch(1), lane: event_type.lane, seq: Seq(number + 1) },
            event_type: event_type.id,
            severity: event_type.severity,
            time: EventTime { best: UnixMicros(0), error_us: 0 },
            ingest: IngestTime(UnixMicros(0)),
            mono: VehicleMicros(0),
            count: 1,
            span: (VehicleMicros(0), VehicleMicros(0)),
            bus: None,
            context: &[],
        });
        let n = sequence.below(2_000);
        let texts = [
            ("process_name", format!("tool{}", n % 300)),
            ("file_path", format!("/data/b{n}/x{}/lib.so", n % 97)),
            ("source_ip", format!("10.{}.{}.{}", n % 250, n % 199, n % 250)),
            ("campaign", format!("camp{}", n % 20)),
            ("reason", "signature of the package is wrong".to_owned()),
        ];
        let number = |bound: u64| i64::try_from(n % bound).expect("a small number");
        let numbers = [
            ("user_id", 900 + number(200)),
            ("can_id", number(2_048)),
            ("frames", number(40)),
            ("rate_hz", 3_000 + number(1_500)),
            ("bus_load_percent", number(100)),
            ("uds_nrc", 0x33 + number(5)),
            ("tester_address", number(1_000)),
            ("destination_port", number(1_024)),
        ];
        let carried = |name: &str| {
            let field = field_by_name(name).expect("the catalogue has the field");
            event_type.fields.contains(&field.key).then_some(field.key)
        };
        for (name, value) in &texts {
            carried(name).map(|key| batch.set_field(key, FieldValue::Text(value)));
        }
        for (name, value) in numbers {
            carried(name).map(|key| batch.set_field(key, FieldValue::Int(value)));
        }
    }
    batch.seal();
    batch
}

/// CPU time of this process so far.
fn cpu(start: Instant) -> Duration {
    let account = fs::read_to_string("/proc/self/schedstat").ok();
    let nanos = account.as_deref().and_then(|text| text.split(' ').next()).and_then(|word| word.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn main() {
    let start = Instant::now();
    let mut sequence = Sequence(42);
    let batches: Vec<EventBatch> = (0..16).map(|_| batch(&mut sequence)).collect();
    for count in [30, 300, 3_000] {
        let before = Instant::now();
        let set = rules(count);
        let loading = before.elapsed();
        let mut matches = Matches::new();
        let (mut events, mut matched) = (0u64, 0usize);
        let begin = cpu(start);
        let mut spent = Duration::ZERO;
        while spent < AT_LEAST {
            for batch in &batches {
                set.evaluate(batch, &mut matches);
                events += ROWS;
                matched += matches.iter().map(|(_, rows)| rows.len()).sum::<usize>();
            }
            spent = cpu(start).saturating_sub(begin);
        }
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let (rate, share) = (events as f64 / spent.as_secs_f64(), matched as f64 / events as f64);
        println!(
            "{count} rules: {rate:.0} events per CPU-second, {share:.4} matches an event, loaded in {loading:?}"
        );
    }
}
