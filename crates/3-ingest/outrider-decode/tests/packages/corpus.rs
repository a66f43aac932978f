//! The corpus of the fuzz target `decoder_package`.

use std::path::Path;

use crate::hold::{decoder_package, lines_as_alone};

#[test]
fn every_input_of_the_corpus_ends() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/decoder_package");
    let (mut used, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("a corpus").flatten() {
        let bytes = std::fs::read(entry.path()).expect("an input");
        if decoder_package(&bytes) {
            used += 1;
        } else {
            refused += 1;
        }
    }
    assert!(used >= 4 && refused >= 3, "{used} used, {refused} refused");
}

#[test]
fn the_lines_of_the_corpus_give_together_what_each_gives_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/decoder_package");
    let input = std::fs::read(folder.join("table_lines")).expect("an input");
    let end = input.iter().position(|byte| *byte == 0).expect("a zero byte");
    let table = std::str::from_utf8(&input[1..end]).expect("a table");
    assert_eq!(lines_as_alone(table, &input[end + 1..]), 9);
}
