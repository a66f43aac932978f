//! Measures the edge: time, allocations and memory of the detectors over generated traffic.

pub mod counting;
pub mod host;
pub mod instructions;
pub mod uplink;

use std::time::Instant;

use outrider_bus::can::TimedFrame;
use outrider_ids::BusDetector;
use outrider_ids::model::ModelHead;
use outrider_types::VehicleMicros;

use crate::edge::Edge;
use crate::learn::Learner;
use crate::traffic::{Drive, DriveProfile, demo_network, generate};

/// Times of many single frames, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nanos {
    /// Half were faster.
    pub p50: u64,
    /// One in a hundred was slower.
    pub p99: u64,
    /// One in a thousand was slower.
    pub p999: u64,
    /// Frames timed.
    pub samples: u64,
}

/// Buckets of one nanosecond; slower frames share the last one.
const BUCKETS: usize = 100_000;

/// Histogram of single short times, less the time that reading the clock takes.
#[derive(Debug)]
pub struct Stopwatch {
    buckets: Vec<u64>,
    overhead: u64,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch is about real time")]
fn now() -> Instant {
    Instant::now()
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Stopwatch {
    /// Creates a stopwatch and measures what reading the clock takes.
    #[must_use]
    pub fn new() -> Self {
        let mut pairs: Vec<u64> = (0..1001).map(|_| nanos_since(now())).collect();
        pairs.sort_unstable();
        let overhead = pairs.get(pairs.len() / 2).copied().unwrap_or(0);
        Self { buckets: vec![0; BUCKETS], overhead }
    }

    /// Runs something once and notes how long it took; does not allocate.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = now();
        let result = work();
        let took = nanos_since(start).saturating_sub(self.overhead);
        let bucket = usize::try_from(took).unwrap_or(usize::MAX).min(BUCKETS - 1);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        result
    }

    /// Returns the quantiles.
    #[must_use]
    pub fn finish(&self) -> Nanos {
        let samples: u64 = self.buckets.iter().sum();
        let quantile = |thousandths: u64| {
            let rank = samples.saturating_mul(thousandths) / 1000;
            let mut seen = 0;
            let found = self.buckets.iter().position(|count| {
                seen += count;
                seen > rank
            });
            found.map_or(0, |bucket| bucket as u64)
        };
        Nanos { p50: quantile(500), p99: quantile(990), p999: quantile(999), samples }
    }
}

/// What the detectors cost, measured by [`edge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeBench {
    /// Frames timed.
    pub frames: u64,
    /// Median time of one frame, in nanoseconds.
    pub ns_per_frame_p50: u64,
    /// 99.9th percentile of the time of one frame, in nanoseconds.
    pub ns_per_frame_p999: u64,
    /// Heap allocations while frames were taken; `None` if the program's allocator does not count.
    pub allocations: Option<u64>,
    /// Memory of the detectors of one bus, in bytes.
    pub state_bytes_per_bus: usize,
    /// Observations said, so that nobody measures detectors that are asleep.
    pub observations: u64,
}

/// Returns a model learned from a minute of generated traffic and the frames of another drive, with an injection, a
/// flood and unknown identifiers in it.
#[must_use]
pub fn edge_input(seconds: u64) -> (Vec<u8>, Vec<TimedFrame>) {
    let network = demo_network();
    let drive = |length_us| Drive { profile: DriveProfile::City, start: VehicleMicros(0), length_us };
    let training: Vec<TimedFrame> = generate(&network, 1, &drive(60_000_000)).collect();
    let mut learner = Learner::new(ModelHead::default());
    learner.add_database(network.clone());
    learner.add_capture(&training);
    let model = learner.finish().expect("generated traffic makes a model").model;
    let mut frames: Vec<TimedFrame> = generate(&network, 2, &drive(seconds * 1_000_000)).collect();
    for attack in [crate::inject::Attack::Fabricate, crate::inject::Attack::UdsBruteForce] {
        let plan = crate::inject::AttackPlan {
            length_us: Some(1_000_000),
            ..crate::inject::AttackPlan::new(attack, 3)
        };
        if let Ok((attacked, _)) = crate::inject::inject(&frames, &plan) {
            frames = attacked;
        }
    }
    (model, frames)
}

/// Frames after which time passes without one: at a thousand frames a second and more about twice a second.
const FRAMES_PER_TICK: usize = 512;

/// Gives frames to the detectors, each by `receive`, and returns what they said.
fn run(edge: &mut Edge, frames: &[TimedFrame], mut receive: impl FnMut(&mut Edge, &TimedFrame)) -> u64 {
    let mut observations = 0;
    for (index, frame) in frames.iter().enumerate() {
        receive(edge, frame);
        if index % FRAMES_PER_TICK == 0 {
            edge.tick(frame.at);
        }
        while edge.pop().is_some() {
            observations += 1;
        }
    }
    observations
}

/// Measures the detectors over generated traffic.
///
/// Each frame is timed for itself, less the time of reading the clock. Run it in a release build on a computer that
/// has nothing else to do; the 99.9th percentile otherwise measures the computer. Allocations are counted if the
/// program's allocator is [`counting::Counting`].
#[must_use]
pub fn edge(seconds: u64) -> EdgeBench {
    let (model, frames) = edge_input(seconds);
    let mut edge = Edge::new(&model).expect("just learned");
    let mut stopwatch = Stopwatch::new();
    let mut observations = 0;
    let mut work = || {
        observations = run(&mut edge, &frames, |edge, frame| {
            stopwatch.time(|| edge.receive(frame));
        });
    };
    let allocations = counting::allocations(&mut work);
    let nanos = stopwatch.finish();
    EdgeBench {
        frames: nanos.samples,
        ns_per_frame_p50: nanos.p50,
        ns_per_frame_p999: nanos.p999,
        allocations,
        state_bytes_per_bus: std::mem::size_of::<BusDetector>(),
        observations,
    }
}

/// Does the work of [`edge`] on the first frames without reading a clock, for a tool that counts instructions. Returns
/// the frames taken and the observations said.
#[must_use]
pub fn edge_untimed(seconds: u64, frames_max: usize) -> (usize, u64) {
    let (model, frames) = edge_input(seconds);
    let mut edge = Edge::new(&model).expect("just learned");
    let frames = frames.get(..frames_max).unwrap_or(&frames);
    let observations = run(&mut edge, frames, |edge, frame| {
        std::hint::black_box(edge.receive(frame));
    });
    (frames.len(), observations)
}
