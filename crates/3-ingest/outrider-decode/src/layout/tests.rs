use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"
root = "frame"
endian = "little"

[type]
frame = [
  { name = "magic", uint = 16, equals = 0xABCD, endian = "big" },
  { name = "version", uint = 4 },
  { name = "flags", uint = 4 },
  { name = "kind", uint = 8, values = { 1 = "alarm", 2 = "status" } },
  { name = "length", uint = 16 },
  { name = "speed", uint = 16, scale = 0.01, when = { field = "flags", mask = 1 } },
  { name = "body", switch = "kind", cases = { 1 = "alarm", 0x2 = "status" }, size = { field = "length" } },
]
alarm = [
  { name = "count", uint = 8 },
  { name = "hits", type = "hit", count = { field = "count" } },
  { name = "unit", text = "zero" },
]
hit = [
  { name = "delta", int = 12 },
  { pad = 3 },
  { name = "active", bool = true },
]
status = [ { name = "words", uint = 16, until_end = true } ]
"#;

fn read(text: &str, bytes: &[u8]) -> Vec<Result<Doc, ReadError>> {
    let layout = Layout::parse(text).expect("a layout");
    layout.read(bytes, &ReadLimits::default()).into_iter().map(|item| item.doc).collect()
}

fn only(text: &str, bytes: &[u8]) -> Result<Doc, ReadError> {
    let mut docs = read(text, bytes);
    assert_eq!(docs.len(), 1, "{docs:?}");
    docs.remove(0)
}

const ALARM: [u8; 18] = [
    0xAB, 0xCD, 0x21, 0x01, 0x08, 0x00, 0x10, 0x27, // version 2, flags 1, alarm, 8 bytes, 100.00
    0x02, 0xFF, 0xE1, 0x00, 0x50, b'G', b'W', 0x00, // two hits, then a text
    0xEE, 0xEE,
];

#[test]
fn bits_units_words_lists_and_nested_types_are_read() {
    let doc = only(TEXT, &ALARM).expect("reads");
    assert_eq!(doc.get("version"), Some(&Doc::Int(2)));
    assert_eq!(doc.get("kind"), Some(&Doc::Text("alarm".to_owned())));
    assert_eq!(doc.get("speed"), Some(&Doc::Float(100.0)));
    let body = doc.get("body").expect("a body");
    let hit = |delta, active| {
        Doc::Map(vec![("delta".to_owned(), Doc::Int(delta)), ("active".to_owned(), Doc::Bool(active))])
    };
    assert_eq!(body.get("hits"), Some(&Doc::List(vec![hit(-2, true), hit(5, false)])));
    assert_eq!(body.get("unit"), Some(&Doc::Text("GW".to_owned())));
}

#[test]
fn a_size_holds_a_nested_type_inside_of_its_bytes() {
    let mut status = vec![0xAB, 0xCD, 0x20, 0x02, 0x04, 0x00, 0x01, 0x00, 0x02, 0x00, 0x03, 0x00];
    let doc = only(TEXT, &status).expect("reads");
    let words = doc.get("body").and_then(|body| body.get("words"));
    assert_eq!(words, Some(&Doc::List(vec![Doc::Int(1), Doc::Int(2)])), "not the third, which is outside");
    status[4] = 0x03;
    assert_eq!(only(TEXT, &status).expect_err("half a word").reason, "layout.short");
    status[4] = 0x09;
    assert_eq!(only(TEXT, &status).expect_err("beyond the end").reason, "layout.short");
    status[3] = 0x77;
    status[4] = 0x02;
    let doc = only(TEXT, &status).expect("an unknown kind");
    assert_eq!(doc.get("body"), Some(&Doc::Bytes(vec![1, 0])), "is kept as it is");
    status[0] = 0;
    assert_eq!(only(TEXT, &status).expect_err("another magic").reason, "layout.mismatch");
}

#[test]
fn documents_repeat_and_an_error_ends_them() {
    let text = "root = \"r\"\nrepeat = true\n[type]\nr = [ { name = \"n\", uint = 8 }, \
                { name = \"b\", bytes = { field = \"n\" } } ]";
    let docs = read(text, &[1, 9, 0, 2, 1]);
    assert_eq!(docs.len(), 3);
    assert_eq!(docs[0].as_ref().expect("reads").get("b"), Some(&Doc::Bytes(vec![9])));
    assert_eq!(docs[2].as_ref().expect_err("cut").reason, "layout.short");
    let empty = "root = \"r\"\nrepeat = true\n[type]\nr = [ { name = \"b\", bytes = 0 } ]";
    assert_eq!(read(empty, &[1, 2, 3]).len(), 1, "a root without bytes stands once");
}

#[test]
fn loops_that_do_not_move_on_and_endless_types_end_in_an_error() {
    let still = "root = \"r\"\n[type]\nr = [ { name = \"x\", type = \"e\", until_end = true } ]\ne = []";
    assert_eq!(only(still, &[1]).expect_err("no bits").reason, "layout.standstill");
    let many = "root = \"r\"\n[type]\nr = [ { name = \"n\", uint = 32 }, \
                { name = \"x\", type = \"e\", count = { field = \"n\" } } ]\ne = []";
    assert_eq!(only(many, &[0xff; 4]).expect_err("four billion").reason, "read.values");
    let endless = "root = \"r\"\n[type]\nr = [ { name = \"x\", type = \"r\" } ]";
    assert_eq!(only(endless, &[0xff; 4]).expect_err("itself").reason, "layout.depth");
    let back = "root = \"r\"\n[type]\nr = [ { name = \"x\", uint = 8, at = 0 }, { name = \"y\", bytes = \"rest\", at = 0 } ]";
    assert_eq!(only(back, &[7, 8]).expect("reads").get("y"), Some(&Doc::Bytes(vec![7, 8])));
    let doubling: String = (0..15)
        .map(|level| {
            format!(
                "t{level} = [ {{ name = \"a\", type = \"t{0}\" }}, {{ name = \"b\", type = \"t{0}\" }} ]\n",
                level + 1
            )
        })
        .collect();
    let doubling = format!("root = \"t0\"\n[type]\n{doubling}t15 = [ {{ name = \"x\", uint = 8, at = 0 }} ]");
    assert_eq!(only(&doubling, &[1]).expect_err("32,768 values").reason, "read.values");
}

#[test]
fn a_wrong_layout_is_refused_with_its_place() {
    let message = |fields: &str| {
        let text = format!("root = \"r\"\n[type]\nr = [ {fields} ]");
        Layout::parse(&text).expect_err(fields).to_string()
    };
    assert!(
        message("{ name = \"x\", uint = 65 }").contains("type r, field 1 (x): a number has 1 to 64 bits")
    );
    assert!(message("{ name = \"x\", uint = 8, int = 8 }").contains("exactly one"));
    assert!(message("{ name = \"x\", type = \"s\" }").contains("no type `s`"));
    assert!(message("{ uint = 8 }").contains("has a name"));
    assert!(message("{ name = \"x\", uint = 8, typo = 1 }").contains("typo"));
    assert!(message("{ name = \"x\", text = 8, scale = 2.0 }").contains("for numbers"));
    assert!(message("{ name = \"x\", uint = 8, values = { x = 1 } }").contains("`x` is no integer"));
    assert!(Layout::parse("root = \"q\"\n[type]\nr = []").is_err());
}

#[test]
fn several_pads_leave_nothing_behind() {
    let layout = "root = \"r\"\n[type]\nr = [ { pad = 4 }, { name = \"a\", uint = 4 }, { pad = 3 }, { pad = 5, count = 2 }, \
                  { pad = 3 }, { name = \"b\", uint = 8 } ]";
    let doc = only(layout, &[0xF7, 0xFF, 0xFF, 9]).expect("reads");
    assert_eq!(doc, Doc::Map(vec![("a".to_owned(), Doc::Int(7)), ("b".to_owned(), Doc::Int(9))]));
}

#[test]
fn the_same_bytes_read_for_each_document_are_bounded_together() {
    let again = "root = \"r\"\nrepeat = true\n[type]\nr = [ { name = \"n\", uint = 8 }, \
                 { name = \"b\", bytes = \"rest\", at = 0 } ]";
    let layout = Layout::parse(again).expect("a layout");
    let limits = ReadLimits { bytes_max: 1_000, ..ReadLimits::default() };
    let docs = layout.read(&[0; 1_000], &limits);
    let kept: usize = docs
        .iter()
        .filter_map(|item| item.doc.as_ref().ok()?.get("b"))
        .map(|doc| if let Doc::Bytes(bytes) = doc { bytes.len() } else { 0 })
        .sum();
    assert!((3_000..=4_000).contains(&kept), "{kept}");
    assert_eq!(docs.last().and_then(|item| item.doc.as_ref().err()).expect("ends").reason, "read.bytes");
}

proptest! {
    #[test]
    fn numbers_are_what_their_bits_say(bytes in proptest::collection::vec(any::<u8>(), 9..16), skip in 0_usize..8, width in 1_u32..=64) {
        let mut bits = Bits::new(&bytes);
        bits.skip(skip).expect("inside");
        let value = bits.uint(width, spec::Endian::Big).expect("inside");
        let expected = (skip..skip + width as usize)
            .fold(0_u64, |value, bit| value << 1 | u64::from(bytes[bit / 8] >> (7 - bit % 8) & 1));
        prop_assert_eq!(value, expected);
    }

    #[test]
    fn whole_numbers_in_little_endian(value in any::<u64>(), bytes in 1_usize..=8) {
        let wire = value.to_le_bytes();
        let width = u32::try_from(bytes * 8).expect("small");
        let read = Bits::new(&wire).uint(width, spec::Endian::Little).expect("inside");
        prop_assert_eq!(read, value & (u64::MAX >> (64 - width)));
        let read = Bits::new(&wire).int(width, spec::Endian::Little).expect("inside");
        prop_assert_eq!(read, (value << (64 - width)).cast_signed() >> (64 - width));
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(TEXT, &bytes);
        let mut framed = ALARM.to_vec();
        framed.truncate(6);
        framed.extend(bytes);
        let _ = read(TEXT, &framed);
    }

    #[test]
    fn any_text_is_a_layout_or_not(text in "\\PC{0,200}") {
        let _ = Layout::parse(&text);
    }
}
