//! Records of feeds: the fuzz corpus and its property as ordinary tests.

mod hold;

use std::path::Path;

use proptest::prelude::*;

#[test]
fn the_corpus_is_read_as_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/feed_record");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let entry = entry.expect("a file");
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).expect("it reads");
        assert_eq!(hold::feed_record(&bytes), name.starts_with("ok-"), "{name}");
        seen += 1;
    }
    assert!(seen >= 6, "{seen} files");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_accounted_for(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        hold::feed_record(&bytes);
        hold::feed_record(&[b"ORCF\x01\x00".as_slice(), &bytes].concat());
    }
}
