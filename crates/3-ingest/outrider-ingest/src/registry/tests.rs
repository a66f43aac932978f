use proptest::prelude::*;

use super::*;
use outrider_model::{Connectivity, MonitoringStage, Registration, VehicleRecord};
use outrider_types::EcuId;

const EUROPE: &str = "WVWZZZ1JZXW000001";

/// Reads everything there is.
fn read(bytes: &[u8]) -> Result<Vec<FileEntry>, FileError> {
    let mut file = VehicleFile::open(bytes, FileOptions::default())?;
    let mut entries = Vec::new();
    while let Some(entry) = file.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn rows(bytes: &[u8]) -> Vec<FileRow> {
    let one = |entry| match entry {
        FileEntry::Row(row) => *row,
        FileEntry::Refused(problems) => panic!("refused: {problems:?}"),
    };
    read(bytes).expect("a file").into_iter().map(one).collect()
}

/// Returns `line reason` of each problem.
fn reasons(bytes: &[u8]) -> Vec<String> {
    let refused = read(bytes).expect("a file").into_iter().flat_map(|entry| match entry {
        FileEntry::Row(_) => Vec::new(),
        FileEntry::Refused(problems) => problems,
    });
    refused.map(|problem| format!("{} {}", problem.line, problem.reason)).collect()
}

fn structure_of(bytes: &[u8]) -> FileProblem {
    match read(bytes) {
        Err(FileError::Structure(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_three_formats_say_the_same() {
    let csv = format!(
        "\u{FEFF}vin,model_line,Platform,model_year,hardware,release,region,h3,connectivity,registration,stage,features,\
         ecu.2.name,ecu.2.supplier,ecu.2.software,ecu.2.bus\r\n\
         {EUROPE},Aster,P1,2026,H2,24.1,DE,851fa5a7fffffff,occasional,produced,pilot,v2x|ota,gateway,ACME,1.2,1\r\n"
    );
    let object = format!(
        "{{\"vin\":\"{EUROPE}\",\"model_line\":\"Aster\",\"platform\":\"P1\",\"model_year\":2026,\"hardware\":\"H2\",\
         \"release\":\"24.1\",\"region\":\"DE\",\"h3\":\"851fa5a7fffffff\",\"connectivity\":\"occasional\",\
         \"registration\":\"produced\",\"stage\":\"pilot\",\"features\":[\"v2x\",\"ota\",\"v2x\"],\
         \"ecus\":[{{\"ecu\":2,\"name\":\"gateway\",\"supplier\":\"ACME\",\"software\":\"1.2\",\"bus\":1}}]}}"
    );
    let [from_csv] = &rows(csv.as_bytes())[..] else { panic!("one row") };
    let [from_lines] = &rows(object.as_bytes())[..] else { panic!("one row") };
    let [from_array] = &rows(format!(" [\n{object}\n] ").as_bytes())[..] else { panic!("one row") };
    assert_eq!((from_csv.line, from_lines.line, from_array.line), (2, 1, 2));
    assert_eq!(from_csv.patch, from_lines.patch);
    assert_eq!(from_csv.patch, from_array.patch);
    assert!(from_csv.name == from_lines.name && from_csv.name == from_array.name);
    let mut record = VehicleRecord::default();
    from_csv.patch.apply(&mut record);
    assert_eq!(
        (record.model_line.as_str(), record.model_year, record.region.as_str()),
        ("Aster", 2026, "DE")
    );
    assert_eq!((record.hardware.as_str(), record.release.as_str()), ("H2", "24.1"));
    assert_eq!(record.h3, Some(0x0851_fa5a_7fff_ffff));
    assert_eq!(record.connectivity, Connectivity::Occasional);
    assert_eq!((record.registration, record.stage), (Registration::Produced, MonitoringStage::Pilot));
    assert_eq!(record.features, ["ota", "v2x"]);
    let ecu = record.ecus.first().expect("one");
    assert_eq!((ecu.ecu, ecu.name.as_str(), ecu.supplier.as_str()), (EcuId(2), "gateway", "ACME"));
    assert_eq!((ecu.software.as_str(), ecu.bus), ("1.2", 1));
}

#[test]
fn a_column_that_is_absent_leaves_and_an_empty_cell_clears() {
    let file = b"vehicle_id;model_line;stage\n000102030405060708090a0b0c0d0e0f;;\n";
    let [row] = &rows(file)[..] else { panic!("one row") };
    let mut record = VehicleRecord {
        model_line: "Aster".to_owned(),
        platform: "P1".to_owned(),
        stage: MonitoringStage::Pilot,
        ..VehicleRecord::default()
    };
    row.patch.apply(&mut record);
    assert_eq!((record.model_line.as_str(), record.platform.as_str()), ("", "P1"));
    assert_eq!(record.stage, MonitoringStage::Pilot, "no word is no statement");
}

#[test]
fn quotes_line_breaks_and_separators_within_cells_are_understood() {
    let file = b"vehicle_id,release,platform\n\
        000102030405060708090a0b0c0d0e0f,\"a \"\"b\"\"\",\"x,y\"\n\n\r\n\
        010102030405060708090a0b0c0d0e0f,\"two\nlines\",z\n\
        020102030405060708090a0b0c0d0e0f,plain \"quote,z";
    let entries = read(file).expect("a file");
    let FileEntry::Row(first) = &entries[0] else { panic!("a row") };
    assert_eq!(first.patch.release.as_deref(), Some("a \"b\""));
    assert_eq!(reasons(file), ["5 field.character"], "a line break cannot be seen");
    let FileEntry::Row(last) = &entries[2] else { panic!("a row") };
    assert_eq!((last.line, last.patch.release.as_deref()), (7, Some("plain \"quote")));
}

#[test]
fn formulas_are_text() {
    let [row] = &rows(b"vehicle_id,release\n000102030405060708090a0b0c0d0e0f,=cmd|'/c calc'!A0\n")[..] else {
        panic!("one row")
    };
    assert_eq!(row.patch.release.as_deref(), Some("=cmd|'/c calc'!A0"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_with_its_line() {
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let file = format!(
        "vin,vehicle_id,model_line,model_year,region,h3,stage,ecu.1.software,ecu.1.bus\n\
         LVWZZZ1JZXW000001,,{long},1066,Germany,xyz,soon,1.0,256\n\
         ,,,,,,,,\n\
         {EUROPE},000102030405060708090a0b0c0d0e0f,,,,,,,\n\
         {EUROPE},,{EUROPE},,,,,,\n\
         too,few\n\
         {EUROPE},,\"a\"b,,,,,,\n\
         {EUROPE},,Aster,,,,,,\n"
    );
    let expected = [
        "2 vin.check_digit",
        "2 field.length",
        "2 field.model_year",
        "2 field.region",
        "2 field.h3",
        "2 field.word",
        "2 field.bus",
        "2 field.ecu_name",
        "3 row.no_name",
        "4 row.two_names",
        "5 field.vin",
        "6 csv.cells",
        "7 csv.quote",
    ];
    assert_eq!(reasons(file.as_bytes()), expected);
    let entries = read(file.as_bytes()).expect("a file");
    assert!(matches!(entries.last(), Some(FileEntry::Row(row)) if row.line == 8), "reading went on");
}

#[test]
fn no_message_repeats_a_vin() {
    for file in [
        format!("{EUROPE},Aster\n"),
        format!("vin,model_line\n{EUROPE}1,{EUROPE}\n"),
        format!("vin\n\"{EUROPE}\"{EUROPE}\n"),
        format!("{{\"vin\":\"{EUROPE}\",\"{EUROPE}\":1,\"region\":\"{EUROPE}\"}}"),
        format!("{{\"vin\":{EUROPE}}}"),
        format!("[{EUROPE}]"),
    ] {
        let said = format!("{:?}", read(file.as_bytes()));
        assert!(said.contains("line"), "{said}");
        assert!(!said.contains(&EUROPE[3..]), "{said}");
    }
}

#[test]
fn headers_are_checked_as_a_whole() {
    let problem = structure_of(b"model_line,colour,model_line,ecu.0.name\n");
    assert_eq!((problem.line, problem.reason), (1, "csv.header"));
    assert_eq!(
        problem.text,
        "column 2 is none of the registry; column 3 is there twice; column 4 is none of the registry; \
         neither a column vin nor a column vehicle_id"
    );
    let options = FileOptions { ignore_unknown: true, ..FileOptions::default() };
    let file = b"vehicle_id,colour\n000102030405060708090a0b0c0d0e0f,red\n";
    let mut file = VehicleFile::open(&file[..], options).expect("unknown columns are passed over");
    assert!(matches!(file.next_entry(), Ok(Some(FileEntry::Row(_)))));
    assert_eq!(structure_of(b"").reason, "csv.no_header");
    assert_eq!(structure_of(&[0xFF, 0xFE, b'v', 0]).reason, "file.utf16");
    assert_eq!(structure_of(&[0x1F, 0x8B, 8, 0]).reason, "file.compressed");
}

#[test]
fn endless_records_are_refused_and_reading_goes_on() {
    let endless = "x".repeat(3 * RECORD_BYTES_MAX);
    let good = "000102030405060708090a0b0c0d0e0f";
    let csv = format!("vehicle_id,release\n{good},{endless}\n{good},\"{endless}\n{good},1\n");
    assert_eq!(reasons(csv.as_bytes()), ["2 csv.too_long", "3 csv.too_long"]);
    assert_eq!(read(csv.as_bytes()).expect("a file").len(), 3);
    let open = format!("vehicle_id\n{good}\n\"{good}\n{good}\n");
    let refused = read(open.as_bytes()).expect("a file");
    let [FileEntry::Row(_), FileEntry::Refused(problems)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((problems[0].line, problems[0].last_line, problems[0].reason), (3, 5, "csv.open_quote"));
    let object = format!("{{\"vehicle_id\":\"{good}\",\"release\":\"{endless}\"}}");
    let fine = format!("{{\"vehicle_id\":\"{good}\"}}");
    let lines = format!("{object}\n{fine}\n");
    assert_eq!(reasons(lines.as_bytes()), ["1 json.too_long"]);
    assert_eq!(read(lines.as_bytes()).expect("a file").len(), 2);
    let array = format!("[{object},\n{fine}]");
    assert_eq!(reasons(array.as_bytes()), ["1 json.too_long"]);
    assert_eq!(read(array.as_bytes()).expect("a file").len(), 2);
}

#[test]
fn json_with_wrong_members_is_refused_by_member() {
    let lines = "{\"vehicle_id\":\"000102030405060708090a0b0c0d0e0f\",\"stage\":true,\"features\":[1],\"ecus\":[{\"ecu\":0},\
                 {\"ecu\":1,\"name\":\"a\",\"colour\":1},{\"ecu\":1,\"name\":\"b\"}],\"stage\":\"full\",\"ecu.1.name\":\"x\"}\n\
                 [1]\nnot json\n{\"vin\":\"x\"";
    let expected = [
        "1 json.type",
        "1 json.type",
        "1 field.ecu",
        "1 field.unknown",
        "1 field.ecu",
        "1 json.twice",
        "1 field.unknown",
        "2 json.syntax",
        "3 json.syntax",
        "4 json.syntax",
    ];
    assert_eq!(reasons(lines.as_bytes()), expected);
    for (array, reason) in [
        ("[{} {}]", "json.structure"),
        ("[,{}]", "json.structure"),
        ("[{}] x", "json.structure"),
        ("[{},]", "json.structure"),
        ("[{\"a\":\"}\"", "json.cut"),
        ("[1]", "json.structure"),
    ] {
        match read(array.as_bytes()) {
            Err(FileError::Structure(problem)) => assert_eq!(problem.reason, reason, "{array}"),
            other => assert!(reason.is_empty(), "{array}: {other:?}"),
        }
    }
}

#[test]
fn the_corpus_is_read_to_its_end() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fuzz/corpus/registry_file");
    let (mut files, mut taken, mut refused) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        files += 1;
        let Ok(mut file) = VehicleFile::open(&bytes[..], FileOptions::default()) else { continue };
        while let Ok(Some(entry)) = file.next_entry() {
            match entry {
                FileEntry::Row(_) => taken += 1,
                FileEntry::Refused(_) => refused += 1,
            }
        }
    }
    assert!(files >= 6 && taken >= 3 && refused >= 3, "{files} files, {taken} taken, {refused} refused");
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..2000), kind in 0usize..4) {
        let head: &[u8] = [&b""[..], b"vin,release,ecu.1.name\n", b"[", b"{\"vin\":"][kind];
        let bytes = [head, &bytes].concat();
        let mut file = match VehicleFile::open(&bytes[..], FileOptions::default()) {
            Ok(file) => file,
            Err(_) => return Ok(()),
        };
        let mut last = 0;
        while let Ok(Some(entry)) = file.next_entry() {
            let line = match &entry {
                FileEntry::Row(row) => row.line,
                FileEntry::Refused(problems) => problems.first().expect("at least one").line,
            };
            prop_assert!(line >= last, "lines ascend");
            last = line;
        }
        prop_assert!(file.bytes() <= bytes.len() as u64);
        prop_assert!(matches!(file.next_entry(), Ok(None)), "nothing comes after the end");
    }

    #[test]
    fn what_is_written_in_csv_is_read(cells in proptest::collection::vec("[ -~]{0,20}", 1..20)) {
        let mut file = String::from("vehicle_id,release\n");
        for (number, cell) in cells.iter().enumerate() {
            file.push_str(&format!("{number:032x},\"{}\"\r\n", cell.replace('"', "\"\"")));
        }
        let read: Vec<String> =
            rows(file.as_bytes()).into_iter().map(|row| row.patch.release.expect("it is stated")).collect();
        let written: Vec<String> = cells.iter().map(|cell| cell.trim().to_owned()).collect();
        prop_assert_eq!(read, written);
    }
}
