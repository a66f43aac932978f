//! Any sequence of frames is taken by the detectors of a segment, learned from its own beginning.
//!
//! Input: frames, each behind its length in one byte and a time in 10 ms in another; the first half is learned from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::learn::ethernet::EthernetLearner;
use outrider_agent::net::NetEdge;
use outrider_ids::model::ModelHead;
use outrider_types::{BusId, VehicleMicros};

fuzz_target!(|bytes: &[u8]| {
    let mut learner = EthernetLearner::new(ModelHead::default());
    each(&bytes[..bytes.len() / 2], |at, frame| learner.add(at, BusId(0), frame));
    let model = learner.finish().expect("one segment fits a model").model;
    let mut edge = NetEdge::new(&model).expect("just written");
    each(bytes, |at, frame| {
        edge.receive(at, BusId(0), frame);
        while edge.pop().is_some() {}
    });
    edge.finish();
});

fn each(bytes: &[u8], mut take: impl FnMut(VehicleMicros, &[u8])) {
    let (mut rest, mut at) = (bytes, 0);
    while let [length, gap, tail @ ..] = rest {
        let (frame, behind) = tail.split_at(usize::from(*length).min(tail.len()));
        at += u64::from(*gap) * 10_000;
        take(VehicleMicros(at), frame);
        rest = behind;
    }
}
