//! Measures bytes and time an event on the wire, from synthetic events that the dictionary was not trained on.
//!
//! `cargo run --release -p outrider-gateway --example wire_figures`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool for developers, run by hand"
)]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use outrider_gateway::codec::{Encoder, decode};
use outrider_types::{Lane, Seed};
use outrider_wire::{Batch, BatchWriter, Envelope};

mod synthetic;

/// Batches measured of each size.
const BATCHES: u64 = 400;

/// Bytes are sums over all batches; times are those of the fastest batch, as other work on the machine only adds.
struct Sums {
    events: u64,
    raw: usize,
    plain: usize,
    dictionary: usize,
    frame: usize,
    write: Duration,
    read: Duration,
    compress: Duration,
    decompress: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("rows  raw/ev  zstd/ev  dict/ev  frame/ev  write ns  read ns  zstd ns  unzstd ns");
    for (rows, lane) in [(1, Some(Lane::Critical)), (20, Some(Lane::Batched)), (500, Some(Lane::Batched))] {
        let never = Duration::MAX;
        let mut sums = Sums {
            events: 0,
            raw: 0,
            plain: 0,
            dictionary: 0,
            frame: 0,
            write: never,
            read: never,
            compress: never,
            decompress: never,
        };
        for number in 0..BATCHES {
            measure(&mut sums, rows, lane, Seed::new(0xF160_0000 + number))?;
        }
        let per = |value: usize| value as f64 / sums.events as f64;
        let ns = |time: Duration| time.as_nanos() / u128::from(rows);
        println!(
            "{rows:4}  {:6.1}  {:7.1}  {:7.1}  {:8.1}  {:8}  {:7}  {:7}  {:9}",
            per(sums.raw),
            per(sums.plain),
            per(sums.dictionary),
            per(sums.frame),
            ns(sums.write),
            ns(sums.read),
            ns(sums.compress),
            ns(sums.decompress),
        );
    }
    Ok(())
}

fn measure(sums: &mut Sums, rows: u64, lane: Option<Lane>, seed: Seed) -> Result<(), Box<dyn Error>> {
    let mut drive = synthetic::Drive::new(seed);
    let events: Vec<_> = (0..rows).map(|_| drive.event(lane)).collect();
    let mut buffer = vec![0; 256 << 10];
    let start = Instant::now();
    let mut writer = BatchWriter::new(&mut buffer);
    for event in &events {
        writer.event(&event.head, event.fields(), &event.context)?;
    }
    let raw = writer.finish();
    sums.write = sums.write.min(start.elapsed());

    let mut encoder = Encoder::new()?;
    let start = Instant::now();
    let (dict, payload) = encoder.encode(raw)?;
    sums.compress = sums.compress.min(start.elapsed());
    let start = Instant::now();
    let unpacked = decode(dict, u32::try_from(raw.len())?, &payload)?;
    sums.decompress = sums.decompress.min(start.elapsed());

    let start = Instant::now();
    let mut seen = 0;
    for event in Batch::parse(&unpacked)?.events() {
        let event = event?;
        seen += event.fields().map(|field| u64::from(field.key.0)).sum::<u64>() + event.head.seq.0;
    }
    black_box(seen);
    sums.read = sums.read.min(start.elapsed());
    sums.events += rows;
    sums.raw += raw.len();
    sums.plain += zstd::bulk::compress(raw, 3)?.len();
    sums.dictionary += payload.len();
    sums.frame += Envelope::frame_bytes(payload.len());
    Ok(())
}
