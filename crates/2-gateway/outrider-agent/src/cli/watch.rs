//! `outrider-agent watch`: live Ethernet through the detectors, without gateway and cloud.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use outrider_types::{BusId, VehicleMicros};
use serde_json::{Value, json};

use super::replay::event_json;
use super::{Failure, Terminal};
use crate::io::packet_ring::{PacketRing, RingCounts};
use crate::net::{NetEdge, split_model};
use crate::replay::Episodes;

/// Time between two turns of the loop.
const TURN: Duration = Duration::from_millis(20);

const HELP: &str = "\
Says `listening` on standard output once frames are taken, and events at the end, one JSON object a line; the last line:
  taken, shed, damaged, dropped, seen   frames: judged, given back unread, unreadable, not taken by the kernel, all
  foreign      frames of segments that the model does not have
  events       number of events

Needs the right to open packet sockets (CAP_NET_RAW). Exit codes: see outrider-agent --help.";

/// Watches Ethernet interfaces and prints what the detectors find.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Watch {
    /// Interfaces, in the order of the model's segments.
    #[arg(long, required = true, value_name = "INTERFACE")]
    ethernet: Vec<String>,
    /// Vehicle model with an Ethernet part, as `learn` writes it.
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// End after this many seconds.
    #[arg(long, default_value_t = u64::MAX)]
    seconds: u64,
    /// End after this many frames.
    #[arg(long, default_value_t = u64::MAX)]
    frames: u64,
}

/// Opens interfaces as the segments of a model: the first one is source 0.
pub(super) fn open(interfaces: &[String]) -> Result<Vec<(BusId, PacketRing)>, Failure> {
    let numbered = interfaces.iter().zip(0u8..);
    let open = numbered.map(|(interface, number)| {
        let ring = PacketRing::open(interface);
        ring.map(|ring| (BusId(number), ring))
            .map_err(|error| Failure::input(format!("{interface}: {error}")))
    });
    open.collect()
}

impl Watch {
    #[expect(
        clippy::disallowed_methods,
        reason = "live capture is about real time, and its loop waits for frames"
    )]
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let name = self.model.display();
        let refused = |error: &dyn std::fmt::Display| Failure::input(format!("{name}: {error}"));
        let bytes = super::replay::read_model(&self.model)?;
        let mut edge = NetEdge::new(split_model(&bytes).1).map_err(|error| refused(&error))?;
        let mut rings = open(&self.ethernet)?;
        writeln!(terminal.out, "listening")?;
        terminal.out.flush()?;
        let mut episodes = Episodes::new();
        let (start, limit) = (Instant::now(), Duration::from_secs(self.seconds));
        let mut taken = 0;
        while start.elapsed() < limit && taken < self.frames {
            let now = VehicleMicros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            for (source, ring) in &mut rings {
                ring.turn(|frame| {
                    taken += 1;
                    edge.receive(now, *source, frame);
                    while let Some(observation) = edge.pop() {
                        episodes.add(&observation);
                    }
                });
            }
            edge.tick(now);
            sleep(TURN);
        }
        edge.finish();
        while let Some(observation) = edge.pop() {
            episodes.add(&observation);
        }
        let events = episodes.finish();
        for event in &events {
            writeln!(terminal.out, "{}", event_json(0, event))?;
        }
        let counts = rings.iter_mut().map(|(_, ring)| ring.counts());
        writeln!(terminal.out, "{}", summary(counts, edge.foreign(), events.len()))?;
        Ok(())
    }
}

fn summary(counts: impl Iterator<Item = RingCounts>, foreign: u64, events: usize) -> Value {
    let all = counts.fold(RingCounts::default(), |sum, one| RingCounts {
        taken: sum.taken + one.taken,
        shed: sum.shed + one.shed,
        damaged: sum.damaged + one.damaged,
        dropped: sum.dropped + one.dropped,
        seen: sum.seen + one.seen,
    });
    json!({
        "taken": all.taken, "shed": all.shed, "damaged": all.damaged, "dropped": all.dropped, "seen": all.seen,
        "foreign": foreign, "events": events,
    })
}
