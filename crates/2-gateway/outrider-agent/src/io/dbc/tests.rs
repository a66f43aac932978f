//! Tests of the DBC import.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const SMALL: &str = "VERSION \"\"\n\nNS_ :\n\tCM_\n\tBA_\n\nBS_:\n\nBU_: Brake Gateway\n\n\
BO_ 256 BrakeStatus: 8 Brake\n \
SG_ Pressure : 0|12@1+ (0.1,0) [0|400] \"bar\" Gateway\n \
SG_ Temperature : 23|8@0- (1,-40) [-40|200] \"C\" Gateway\n \
SG_ Mode M : 24|2@1+ (1,0) [0|3] \"\" Gateway\n \
SG_ Detail m1 : 32|16@1+ (1,0) [0|0] \"\" Gateway\n\n\
BO_ 2566844926 Extended: 8 Vector__XXX\n SG_ Level : 0|32@1- (1,0) [0|0] \"\" Gateway\n\n\
BO_TX_BU_ 256 : Brake,Gateway;\n\
CM_ BO_ 256 \"two; lines\nof comment\";\n\
BA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 65535;\n\
BA_DEF_DEF_ \"GenMsgCycleTime\" 0;\n\
BA_ \"GenMsgCycleTime\" BO_ 256 20;\n\
VAL_ 256 Mode 0 \"off\" 1 \"on\" ;\n\
SIG_VALTYPE_ 2566844926 Level : 1;\n";

fn small(text: &str) -> DbcModel {
    parse(text.as_bytes()).expect("test files have statements")
}

fn lines(model: &DbcModel) -> Vec<(u64, DbcReason)> {
    model.problems.iter().map(|problem| (problem.line, problem.reason)).collect()
}

#[test]
fn messages_signals_cycle_times_values_and_senders_come_out() {
    let model = small(SMALL);
    assert_eq!(model.problems, []);
    assert_eq!(model.nodes, ["Brake", "Gateway"]);
    let [brake, extended] = model.messages.as_slice() else { panic!("two messages, got {model:?}") };
    assert_eq!((brake.id, brake.bytes, brake.cycle_ms), (CanId::standard(256).expect("small"), 8, Some(20)));
    assert_eq!(brake.transmitters, ["Brake", "Gateway"]);
    let names: Vec<&str> = brake.signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["Pressure", "Temperature", "Mode", "Detail"]);
    assert_eq!(brake.signals[2].multiplex, Multiplex::Selector);
    assert_eq!(brake.signals[3].multiplex, Multiplex::Selected(1));
    assert_eq!(brake.signals[2].values.get(&1).map(String::as_str), Some("on"));
    assert_eq!((extended.id.is_extended(), extended.cycle_ms), (true, None));
    assert_eq!(extended.transmitters, [""; 0]);
    assert_eq!(extended.signals[0].kind, DbcValueKind::Float32);
    assert_eq!(model.ignored.get("CM_"), Some(&1));
}

#[test]
fn physical_values_are_read_in_both_orders() {
    let model = small(SMALL);
    let signals = &model.messages[0].signals;
    // 0x0E8 = 232 -> 23.2 bar; 0xF6 = -10 -> -50 C.
    let payload = [0xE8, 0x00, 0xF6, 0x01, 0, 0, 0, 0];
    let pressure = signals[0].physical(&payload).expect("inside");
    assert!((pressure - 23.2).abs() < 1e-9);
    assert_eq!(signals[1].physical(&payload), Some(-50.0));
    assert_eq!(signals[2].raw(&payload), Some(1));
    assert_eq!(signals[3].raw(&payload[..5]), None);
    let level = &model.messages[1].signals[0];
    assert_eq!(level.physical(&1.5f32.to_le_bytes()), Some(1.5));
}

#[test]
fn a_bad_statement_costs_only_itself() {
    let text = SMALL.replace("(0.1,0) [0|400]", "(0.1;0) [0|400]").replace("BO_ 256 20;", "BO_ 256 x;");
    let model = small(&text);
    assert_eq!(lines(&model), [(12, DbcReason::Syntax), (25, DbcReason::Syntax)]);
    assert_eq!(model.messages[0].signals.len(), 3);
    assert_eq!(model.messages[0].cycle_ms, None);
    let text = model.problems[0].to_string();
    assert!(text.starts_with("line 12: statement is malformed: expected"), "{text}");
}

#[test]
fn what_belongs_to_nothing_is_listed_with_its_line() {
    let model = small(&format!("SG_ A : 0|1@1+ (1,0) [0|1] \"\" X\n{SMALL}VAL_ 7 A 0 \"x\" ;\nHELLO 1;\n"));
    let expected = [(1, DbcReason::Orphan), (29, DbcReason::Orphan), (30, DbcReason::Keyword)];
    assert_eq!(lines(&model), expected);
}

#[test]
fn identifiers_and_sizes_out_of_range_are_refused_and_duplicates_too() {
    let message = |id: &str| format!("BO_ {id} M{id}: 8 N\n SG_ A : 0|1@1+ (1,0) [0|1] \"\" X\n");
    let text = [message("2048"), message("2047"), message("2047"), message("99999999999")].concat();
    let model = small(&text);
    assert_eq!(model.messages.len(), 1);
    let expected = [(1, DbcReason::Identifier), (5, DbcReason::Duplicate)];
    assert_eq!(lines(&model)[..2], expected);
    assert_eq!(model.problems.len(), 3);
    let wide =
        small("BO_ 1 M: 8 N\n SG_ A : 60|8@1+ (1,0) [0|1] \"\" X\n SG_ B : 0|65@1+ (1,0) [0|1] \"\" X\n");
    assert_eq!(lines(&wide), [(2, DbcReason::Outside), (3, DbcReason::Length)]);
    assert_eq!(wide.messages[0].signals.len(), 1);
}

#[test]
fn an_unterminated_string_is_named_and_the_rest_is_read() {
    let model = small(&format!("CM_ \"no end\n{SMALL}"));
    assert_eq!(lines(&model), [(1, DbcReason::Syntax)]);
    assert_eq!(model.messages, small(&format!("\n{SMALL}")).messages);
    let lost = small("BO_ 1 M: 8 N\nCM_ \"no end\n");
    assert_eq!(lines(&lost), [(2, DbcReason::Unterminated),]);
    assert_eq!(lost.messages.len(), 1);
}

#[test]
fn files_that_are_no_dbc_say_so() {
    assert!(matches!(parse(b""), Err(DbcError::Empty)));
    assert!(matches!(parse(b" \n\r\n"), Err(DbcError::Empty)));
    assert!(matches!(parse(b"hello\nworld\n"), Err(DbcError::NotDbc { line: 1 })));
    let nowhere = open(Path::new("no/such/file.dbc"));
    assert!(matches!(nowhere, Err(DbcError::Io(_))));
}

#[test]
fn latin_1_and_crlf_are_read() {
    let mut bytes = SMALL.replace('\n', "\r\n").replace("\"C\"", "\"\u{1}C\"").into_bytes();
    for byte in &mut bytes {
        if *byte == 1 {
            *byte = 0xB0;
        }
    }
    let model = parse(&bytes).expect("a DBC file");
    assert_eq!(model.problems, []);
    assert_eq!(model.messages[0].signals[1].unit, "\u{b0}C");
}

#[test]
fn a_real_network_of_148_messages_is_read_whole() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/can/tesla-model3/Model3CAN.dbc");
    let Ok(bytes) = std::fs::read(&path) else {
        return super::super::skip("shared/data/can/tesla-model3/Model3CAN.dbc");
    };
    let model = parse(&bytes).expect("a DBC file");
    let signals: usize = model.messages.iter().map(|message| message.signals.len()).sum();
    assert_eq!((model.messages.len(), signals), (148, 3172));
    assert_eq!(model.messages.iter().filter(|message| message.cycle_ms.is_some()).count(), 40);
    // The file gives two messages a byte count below their signals' bits; that must be seen, and nothing else.
    let outside = model.problems.iter().filter(|problem| problem.reason == DbcReason::Outside).count();
    assert_eq!((model.problems.len(), outside), (6, 6), "{:?}", model.problems);
}

#[test]
fn the_corpus_is_read_without_harm() {
    let count = super::super::corpus("dbc", |bytes| {
        let _ = parse(bytes);
    });
    assert!(count >= 3, "corpus has {count} files");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_model_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_damaged_file_never_harms(at in 0..SMALL.len(), with in any::<u8>(), cut in 0..SMALL.len()) {
        let mut bytes = SMALL.as_bytes().to_vec();
        bytes[at] = with;
        if let Ok(model) = parse(&bytes) {
            for message in &model.messages {
                for signal in &message.signals {
                    let _ = signal.physical(&[0xFF; 8]);
                }
            }
        }
        bytes.truncate(cut);
        let _ = parse(&bytes);
    }
}
