//! The corpus of the fuzz target `foreign_reader`.

use std::path::Path;

use crate::hold::{SPECS, foreign_reader};

#[test]
fn every_input_of_the_corpus_ends_in_items() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/foreign_reader");
    let mut seen = vec![0; SPECS.len()];
    for entry in std::fs::read_dir(folder).expect("a corpus").flatten() {
        let bytes = std::fs::read(entry.path()).expect("an input");
        let which = foreign_reader(&bytes).expect("an input that chooses a reader");
        seen[which] += 1;
    }
    assert!(seen.iter().all(|count| *count >= 3), "inputs by reader: {seen:?}");
}
