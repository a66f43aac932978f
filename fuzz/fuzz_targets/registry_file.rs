//! Any bytes as a registry file, in every format: read to an end, lines ascend, no message holds a cell.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_ingest::registry::{FileEntry, FileFormat, FileOptions, VehicleFile};

fuzz_target!(|bytes: &[u8]| {
    let formats = [None, Some(FileFormat::Csv), Some(FileFormat::Ndjson), Some(FileFormat::Json)];
    for format in formats {
        for ignore_unknown in [false, true] {
            let options = FileOptions { format, ignore_unknown };
            let Ok(mut file) = VehicleFile::open(bytes, options) else { continue };
            let mut last = 0;
            while let Ok(Some(entry)) = file.next_entry() {
                let line = match &entry {
                    FileEntry::Row(row) => row.line,
                    FileEntry::Refused(problems) => problems[0].line,
                };
                assert!(line >= last);
                last = line;
            }
            assert!(file.bytes() <= bytes.len() as u64);
        }
    }
});
