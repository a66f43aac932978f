//! Trains the dictionary of short frames, or says what it gains on rows that it was not trained on.
//!
//! `cargo run --release --manifest-path tools/dictionary/Cargo.toml --bin short_rows [FILE [SHAPES]]`: the same source
//! gives the same bytes. A released dictionary is never trained again; a better one gets a new name in `outrider_wire::dictionary`. SHAPES
//! is where the shapes of the catalogue's event types go.
#![expect(clippy::print_stdout, reason = "a tool for developers, run by hand")]
#![expect(clippy::cast_possible_truncation, reason = "sizes are small and known")]

use std::error::Error;

use outrider_gateway::short::ShortCodec;
use outrider_model::catalogue::{EVENT_TYPES, FieldKind, event_type, field};
use outrider_types::{Lane, Seed, Seq, VehicleMicros};
use outrider_wire::BatchWriter;

#[path = "../../../../crates/2-gateway/outrider-gateway/examples/synthetic/mod.rs"]
mod synthetic;

/// Rows to train with: about a hundred times the dictionary, as zstd's documentation advises.
const SAMPLES: u64 = 40_000;
/// The dictionary's length: what the batch dictionary has, and a gateway can hold.
const DICTIONARY_BYTES: usize = 16 << 10;
/// First seed of the rows to train with, and of those to judge with.
const TRAIN: u64 = 0x5407_0000_0000;
const JUDGE: u64 = 0x5407_8000_0000;

/// A number of any magnitude below `2^bits`.
fn any_size(seed: &mut Seed, bits: u64) -> u64 {
    let wide = 1 + seed.below(bits);
    seed.below(1 << wide)
}

/// Returns a row without its outer tag and length, as short frames code it.
fn sample(number: u64) -> Vec<u8> {
    let mut seed = Seed::new(number);
    let mut drive = synthetic::Drive::new(seed.fork(1));
    // Three in four are of types that are critical by themselves; the others a policy may make so.
    let any = seed.chance(1, 4);
    let mut event = drive.event(Some(Lane::Critical));
    for _ in 0..200 {
        let is_critical = event_type(event.head.event_type).is_some_and(|entry| entry.lane == Lane::Critical);
        if any || is_critical {
            break;
        }
        event = drive.event(Some(Lane::Critical));
    }
    let span = event.head.last.0 - event.head.first.0;
    event.head.seq = Seq(1 + any_size(&mut seed, 14));
    event.head.first = VehicleMicros(1_000_000 + any_size(&mut seed, 35));
    event.head.last = VehicleMicros(event.head.first.0 + span);
    let mut buffer = [0; 4096];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.event(&event.head, event.fields(), &event.context).expect("a row fits");
    let row = writer.finish();
    let length_bytes = row.iter().skip(1).position(|byte| *byte < 0x80).expect("a length ends") + 1;
    row[1 + length_bytes..].to_vec()
}

/// Returns the shapes of all event types, critical ones first, so that their index is one byte.
fn shapes() -> Vec<u8> {
    let mut kinds: Vec<_> = EVENT_TYPES.iter().collect();
    kinds.sort_by_key(|kind| (kind.lane, kind.id));
    let mut out = Vec::new();
    for kind in kinds {
        out.push(kind.fields.len() as u8);
        out.extend_from_slice(&kind.id.0.to_le_bytes());
        for key in kind.fields {
            let code = match field(*key).map(|field| field.kind) {
                Some(FieldKind::Int) | None => 0,
                Some(FieldKind::Text) => 1,
                Some(FieldKind::Float) => 2,
                Some(FieldKind::Bool) => 3,
            };
            out.extend_from_slice(&key.0.to_le_bytes());
            out.push(code);
        }
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let samples: Vec<Vec<u8>> = (0..SAMPLES).map(|number| sample(TRAIN + number)).collect();
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?;
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, &dictionary)?;
    }
    if let Some(path) = std::env::args().nth(2) {
        std::fs::write(path, shapes())?;
    }
    let released = outrider_wire::dictionary::SHORT_V1.bytes;
    println!(
        "{} bytes; the released one is {}",
        dictionary.len(),
        if dictionary == released { "the same" } else { "another" }
    );
    let mut codec = ShortCodec::with_dictionary(&dictionary)?;
    let (mut raw, mut coded, mut stored) = (0, 0, 0);
    for number in 0..4000 {
        let event = sample(JUDGE + number);
        let mut row = vec![0x0A, (event.len() as u8 & 0x7F) | if event.len() > 127 { 0x80 } else { 0 }];
        if event.len() > 127 {
            row.push((event.len() >> 7) as u8);
        }
        row.extend_from_slice(&event);
        let (coding, bytes) = codec.encode(&row).ok_or("a row that cannot be coded")?;
        raw += event.len();
        coded += bytes.len();
        stored += u32::from(coding == outrider_wire::ShortCoding::STORED);
    }
    println!(
        "rows {}, raw {:.1}, coded {:.1} bytes, {stored} stored",
        4000,
        raw as f64 / 4000.0,
        coded as f64 / 4000.0
    );
    Ok(())
}
