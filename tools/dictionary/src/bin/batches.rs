//! Trains the dictionary of batches from synthetic events and prints its content address.
//!
//! `cargo run --release --manifest-path tools/dictionary/Cargo.toml --bin batches -- <file>`. A released dictionary is never
//! trained again: a new one gets a new file beside it in `outrider-wire/dict`.
#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "a tool for developers, run by hand")]

use std::error::Error;

use outrider_types::Seed;
use outrider_wire::BatchWriter;
use sha2::{Digest, Sha256};

#[path = "../../../../crates/2-gateway/outrider-gateway/examples/synthetic/mod.rs"]
mod synthetic;

/// Largest dictionary: what 500 rows save by more does not pay for its place in the vehicle.
const DICTIONARY_BYTES: usize = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: batches <file>")?;
    let mut samples = Vec::new();
    for number in 0..1500u64 {
        let mut drive = synthetic::Drive::new(Seed::new(0x0D1C_7000 + number));
        // Batches as they leave a vehicle: mostly small, some full.
        let rows = [1, 1, 4, 20, 20, 60][(number % 6) as usize];
        let mut buffer = vec![0u8; 64 << 10];
        let mut writer = BatchWriter::new(&mut buffer);
        for _ in 0..rows {
            let event = drive.event(None);
            writer.event(&event.head, event.fields(), &event.context)?;
        }
        samples.push(writer.finish().to_vec());
    }
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?;
    let digest = Sha256::digest(&dictionary);
    std::fs::write(&path, &dictionary)?;
    println!(
        "{} bytes, id 0x{:02x}{:02x}{:02x}{:02x}",
        dictionary.len(),
        digest[0],
        digest[1],
        digest[2],
        digest[3]
    );
    Ok(())
}
