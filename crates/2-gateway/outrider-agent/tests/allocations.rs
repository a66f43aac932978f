//! Proves that the detectors never allocate after they were made.
#![expect(clippy::print_stdout, reason = "the measurement is worth a line")]

use std::path::Path;

use outrider_agent::bench::counting::{Counting, allocations};
use outrider_agent::learn::ethernet::EthernetLearner;
use outrider_agent::net::NetEdge;
use outrider_ids::ethernet::EthernetDetector;
use outrider_ids::model::ModelHead;
use outrider_types::{BusId, VehicleMicros};

#[global_allocator]
static HEAP: Counting = Counting;

fn count(work: &mut dyn FnMut()) -> u64 {
    allocations(work).expect("this program's heap counts")
}

#[test]
fn taking_frames_allocates_nothing_even_under_attack() {
    let mut kept = Vec::new();
    let probe = count(&mut || kept.extend_from_slice(&[1u8; 100]));
    assert!(probe > 0, "the allocator counts, or zero would prove nothing");
    let bench = outrider_agent::bench::edge(30);
    println!("{bench:?}");
    assert_eq!(bench.allocations, Some(0));
    assert!(bench.observations > 0, "the attacks must have been seen");
    assert!(bench.frames > 10_000);
    assert!(bench.state_bytes_per_bus <= 256 * 1024, "{} bytes", bench.state_bytes_per_bus);
}

#[test]
fn the_filter_chain_allocates_nothing_after_its_start() {
    use outrider_ids::qualify::{Body, Chain, ChainConfig, SevRule, Threshold};
    use outrider_types::{EventTypeId, VehicleMicros};
    use std::num::NonZeroU32;

    /// A context of fixed size.
    struct Context([u8; 64]);
    impl Body for Context {
        fn has_context(&self) -> bool {
            self.0[0] != 0
        }
        fn drop_context(&mut self) {
            self.0 = [0; 64];
        }
        fn fold(&mut self, _: &Self) {}
    }

    let three = NonZeroU32::new(3).expect("not zero");
    let rule = |number: u16| SevRule {
        every_nth: three,
        aggregation_us: number.is_multiple_of(2).then_some(20_000),
        threshold: Some(Threshold { count: three, window_us: 50_000 }),
        ..SevRule::pass(EventTypeId(number))
    };
    let rules: Vec<SevRule> = (1..=100).map(rule).collect();
    let config = ChainConfig { period_us: 10_000, contexts_max: 32, rate: None, traffic: None };
    let chain = Chain::<Context, 128, 64>::new(&config, &rules, VehicleMicros(0));
    let mut chain = Box::new(chain.expect("a good configuration"));
    let mut passed = 0u64;
    let allocations = count(&mut || {
        for at in 0..2_000u64 {
            for number in 0..50u64 {
                let event_type = EventTypeId(u16::try_from((at * 7 + number) % 110).expect("small"));
                let _ = chain.report(event_type, 2, Context([1; 64]));
            }
            chain.tick(VehicleMicros(at * 5_000), &mut |_, _, _| passed += 1);
            let _ = chain.take_internal();
        }
    });
    assert_eq!(allocations, 0);
    let counts = chain.counts();
    assert!(counts.holds() && passed == counts.passed && passed > 100, "{counts:?}");
    let reached =
        [counts.unlisted, counts.no_buffer, counts.thinned, counts.aggregated, counts.below_threshold];
    assert!(reached.into_iter().all(|count| count > 0) && counts.contexts_lost > 0, "{counts:?}");
}

#[test]
fn taking_ethernet_frames_allocates_nothing_even_under_attack() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/ethernet/attacks.bin");
    let bytes = std::fs::read(path).expect("the corpus is part of the repository");
    let (mut frames, mut rest) = (Vec::new(), bytes.as_slice());
    while let [length, _, tail @ ..] = rest {
        let (frame, behind) = tail.split_at(usize::from(*length));
        frames.push(frame);
        rest = behind;
    }
    let mut learner = EthernetLearner::new(ModelHead::default());
    frames[..30].iter().for_each(|frame| learner.add(VehicleMicros(0), BusId(0), frame));
    let mut edge = NetEdge::new(&learner.finish().expect("one segment").model).expect("just written");
    let mut observations = 0;
    let mut work = || {
        for (at, frame) in (0u64..).zip(&frames) {
            edge.receive(VehicleMicros(at * 10_000), BusId(0), frame);
            while edge.pop().is_some() {
                observations += 1;
            }
        }
        edge.tick(VehicleMicros(10_000_000));
    };
    let allocations = count(&mut work);
    assert_eq!(allocations, 0);
    assert!(observations >= 6, "the attacks must have been seen: {observations}");
    let state = size_of::<EthernetDetector>();
    println!("state of a segment: {state} bytes");
    assert!(state <= 256 * 1024);
}

#[test]
fn taking_what_is_heard_on_lin_and_flexray_allocates_nothing_even_under_attack() {
    use outrider_agent::inject::scheduled::{ScheduledAttack, ScheduledPlan, attack};
    use outrider_agent::io::capture::Record;
    use outrider_agent::scheduled::{ScheduleSections, ScheduledEdge};
    use outrider_agent::traffic::{FlexRayTraffic, LinTraffic};

    let lin = LinTraffic::drawn(1, BusId(0)).take(6_000).map(Record::Lin).collect::<Vec<_>>();
    let flexray = FlexRayTraffic::drawn(1, BusId(0), 8).take(30_000);
    let flexray = flexray.map(|heard| Record::FlexRay(Box::new(heard))).collect::<Vec<_>>();
    let kinds = [(&lin, ScheduledAttack::LinPublisher), (&flexray, ScheduledAttack::FlexRayLength)];
    for (clean, kind) in kinds {
        let plan = ScheduledPlan { attack: kind, seed: 1, start_us: None, length_us: None };
        let records = attack(clean, &plan).expect("generated traffic has a target").records;
        let mut edge = ScheduledEdge::new(ScheduleSections::default());
        let (mut observations, mut seen) = (0, 0u64);
        let mut work = || {
            for record in &records {
                match record {
                    Record::Lin(heard) => seen += u64::from(edge.lin(heard).is_flagged()),
                    Record::FlexRay(heard) => seen += u64::from(edge.flexray(heard).is_flagged()),
                    Record::Can(_) | Record::CanXl(_) | Record::Ethernet { .. } => {}
                }
                edge.tick(record.at());
                while edge.pop().is_some() {
                    observations += 1;
                }
            }
        };
        assert_eq!(count(&mut work), 0, "{}", kind.word());
        assert!(observations >= 2 && seen > 0, "{} must have been seen: {observations}, {seen}", kind.word());
    }
}
