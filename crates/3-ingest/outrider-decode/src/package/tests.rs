use ed25519_dalek::{Signer as _, SigningKey};
use outrider_wire::{SignerError, Verifier};
use proptest::prelude::*;

use super::*;
use crate::{DecoderTable, Shadow};

const MANIFEST: &str = r#"
name = "acme.tcu"
version = "1.2.0"
format = "acme.tcu/2"
platforms = ["evo"]
releases = { from = "3.0", to = "3.12" }
namespace = "acme"
owner = "Acme Vehicle Security"
licence = "Apache-2.0"
reader = { format = "layout", file = "layout.toml" }
mapping = "mapping.toml"
"#;

const LAYOUT: &str = r#"
root = "r"
repeat = true
[type]
r = [ { name = "kind", uint = 8, values = { 1 = "UNKNOWN_ID", 2 = "BEAT" } }, { name = "id", uint = 16 }, { name = "vin", text = 17 } ]
"#;

const MAPPING: &str = r#"
namespace = "acme"
vehicle = { path = "vin", kind = "vin" }
type = { path = "kind", values = { UNKNOWN_ID = "can.unknown_id" } }
field = [ { to = "can_id", path = "id" } ]
ignore = [ { path = "kind", equals = "BEAT" } ]
"#;

const INPUT: &[u8] =
    b"\x01\x07\xe0WVWZZZ1JZ3W386752\x02\x00\x00WVWZZZ1JZ3W386752\x01\x00\x01not a vin here...\x09";

fn expected() -> serde_json::Value {
    serde_json::json!({
        "outputs": [{ "vehicle": { "vin": "WVWZZZ1JZ3W386752" }, "type": "can.unknown_id", "fields": { "can_id": 0x7e0 } }],
        "refused": ["map.vehicle", "layout.short"],
        "ignored": 1,
    })
}

fn files() -> Files {
    let text = |text: &str| text.as_bytes().to_vec();
    Files::from([
        ("decoder.toml".to_owned(), text(MANIFEST)),
        ("layout.toml".to_owned(), text(LAYOUT)),
        ("mapping.toml".to_owned(), text(MAPPING)),
        ("golden/one.in".to_owned(), INPUT.to_vec()),
        ("golden/one.json".to_owned(), expected().to_string().into_bytes()),
    ])
}

fn with(changes: &[(&str, &str, &str)]) -> Result<Package, PackageError> {
    let mut files = files();
    for (name, from, to) in changes {
        let text = String::from_utf8(files[*name].clone()).expect("text");
        assert!(text.contains(from), "{from}");
        files.insert((*name).to_owned(), text.replacen(from, to, 1).into_bytes());
    }
    Package::from_files(files)
}

struct Key(SigningKey);

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

struct Public(ed25519_dalek::VerifyingKey);

impl Verifier for Public {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

fn packed() -> (Vec<u8>, [u8; 32]) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    let package = Package::from_files(files()).expect("a package");
    (package.pack(public, &Key(key)).expect("signs"), public)
}

fn open(bytes: &[u8], trusted: [u8; 32]) -> Result<(Package, [u8; 32]), PackageError> {
    Package::open(bytes, &|key| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(key).ok().filter(|_| *key == trusted)?;
        Some(Box::new(Public(key)) as Box<dyn Verifier>)
    })
}

#[test]
fn samples_pass_or_say_where_they_do_not() {
    let package = Package::from_files(files()).expect("a package");
    assert!(package.test().is_passed(), "{:#?}", package.test());
    let changed = with(&[("mapping.toml", "can.unknown_id", "can.flood")]).expect("a package");
    let report = changed.test();
    assert!(!report.is_passed());
    assert_eq!(report.outcomes[0].differences[0].path, "outputs[0].type");
}

#[test]
fn a_package_without_its_parts_is_refused() {
    let message = |changes: &[(&str, &str, &str)]| with(changes).expect_err("refused").to_string();
    assert!(message(&[("decoder.toml", "layout.toml", "none.toml")]).contains("none.toml"));
    assert!(message(&[("decoder.toml", "1.2.0", "1.2")]).contains("version"));
    assert!(message(&[("decoder.toml", "\"acme\"", "\"Acme\"")]).contains("namespace"));
    assert!(message(&[("decoder.toml", "owner =", "ovner =")]).contains("ovner"));
    assert!(message(&[("decoder.toml", "\"3.12\"", "\"2.9\"")]).contains("from is above to"));
    assert!(message(&[("decoder.toml", "\"layout\"", "\"nothing\"")]).contains("reader"));
    let mut none = files();
    none.retain(|name, _| !name.starts_with("golden/"));
    assert_eq!(Package::from_files(none).expect_err("no sample"), PackageError::NoSample);
    let mut half = files();
    half.remove("golden/one.json");
    assert_eq!(Package::from_files(half).expect_err("half"), PackageError::Sample("one".to_owned()));
    for name in ["../x", "/x", "a//b", ".hidden", "a b"] {
        let mut files = files();
        files.insert(name.to_owned(), Vec::new());
        assert!(
            matches!(Package::from_files(files), Err(PackageError::Archive(ArchiveError::Name(_)))),
            "{name}"
        );
    }
}

#[test]
fn a_packed_package_comes_back_and_any_changed_byte_is_found() {
    let (bytes, key) = packed();
    let (package, signer) = open(&bytes, key).expect("opens");
    assert_eq!(signer, key);
    assert_eq!(package.files(), &files());
    assert!(package.test().is_passed());
    assert_eq!(open(&bytes, [0; 32]).expect_err("another key"), PackageError::Archive(ArchiveError::Signer));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(matches!(open(&changed, key), Err(PackageError::Archive(_))), "byte {at}");
        assert!(matches!(open(&bytes[..at], key), Err(PackageError::Archive(_))), "cut at {at}");
    }
}

const LIST: &str = "root = \"r\"\nrepeat = true\n[type]\nr = [ { name = \"n\", uint = 8 }, \
    { name = \"vin\", text = 17 }, { name = \"hits\", type = \"hit\", count = { field = \"n\" } } ]\n\
    hit = [ { name = \"id\", uint = 8 } ]";

fn with_list() -> Package {
    let mut files = files();
    let manifest = format!("{MANIFEST}each = {{ list = \"hits\", as = \"hit\" }}\n");
    let mapping = "namespace = \"acme\"\nvehicle = { path = \"vin\", kind = \"vin\" }\n\
        type = { default = \"can.unknown_id\" }\nfield = [ { to = \"can_id\", path = \"hit.id\", max = 9.0 } ]\n";
    let text = |text: &str| text.as_bytes().to_vec();
    files.insert("decoder.toml".to_owned(), text(&manifest));
    files.insert("layout.toml".to_owned(), text(LIST));
    files.insert("mapping.toml".to_owned(), text(mapping));
    Package::from_files(files).expect("a package")
}

#[test]
fn each_element_of_a_list_is_an_event_with_what_stands_beside_it() {
    let decoded = with_list()
        .decoder()
        .decode(b"\x02WVWZZZ1JZ3W386752\x07\x08\x00WVWZZZ1JZ3W386752\x01no vin at all....\x01");
    let made: Vec<_> = decoded
        .outputs
        .iter()
        .map(|(place, output)| (*place, crate::to_json(output)["fields"]["can_id"].clone()))
        .collect();
    assert_eq!(made, [(0, 7.into()), (1, 8.into())]);
    assert_eq!(decoded.refusals.len(), 1, "{:?}", decoded.refusals);
    assert_eq!(decoded.refusals[0].reason, "map.vehicle");
    assert_eq!(decoded.refusals[0].number, 3, "a list without elements is a document, too");
    assert_eq!((decoded.ignored, decoded.documents()), (1, 4));
    let mut files = with_list().files().clone();
    files.insert(
        "decoder.toml".to_owned(),
        format!("{MANIFEST}each = {{ list = \"none\", as = \"hit\" }}\n").into_bytes(),
    );
    let decoded = Package::from_files(files).expect("a package").decoder().decode(b"\x00WVWZZZ1JZ3W386752");
    assert_eq!(decoded.refusals[0].reason, "each.list");
}

#[test]
fn a_document_keeps_its_number_whatever_becomes_of_those_before_it() {
    let numbers = |package: &Package, input: &[u8]| -> Vec<usize> {
        package.decoder().decode(input).outputs.iter().map(|(number, _)| *number).collect()
    };
    let old = Package::from_files(files()).expect("a package");
    let new = with(&[("mapping.toml", "kind = \"vin\"", "kind = \"foreign\"")]).expect("a package");
    let input =
        [INPUT.get(40..60).expect("the third"), INPUT.get(..40).expect("the first two"), &INPUT[..20]]
            .concat();
    assert_eq!(numbers(&old, &input), [1, 3], "the first is refused, the third ignored");
    assert_eq!(numbers(&new, &input), [0, 1, 3]);
    let decoded = old.decoder().decode(&input);
    assert_eq!((decoded.refusals[0].number, decoded.refusals[0].of.clone()), (0, 0..1));
    assert_eq!(decoded.refusals[0].raw, input[..20]);
    assert_eq!(decoded.documents(), 4);
}

#[test]
fn the_bytes_of_a_list_are_kept_with_its_first_refusal_only() {
    let mut files = with_list().files().clone();
    let mapping = "namespace = \"acme\"\nvehicle = { path = \"vin\", kind = \"vin\" }\n\
        type = { default = \"can.unknown_id\" }\n\
        field = [ { to = \"can_id\", path = \"hit.id\", max = 9.0, required = true } ]\n";
    files.insert("mapping.toml".to_owned(), mapping.as_bytes().to_vec());
    let input = b"\x04WVWZZZ1JZ3W386752\x07\x80\x08\x81";
    let decoded = Package::from_files(files).expect("a package").decoder().decode(input);
    let places: Vec<usize> = decoded.outputs.iter().map(|(number, _)| *number).collect();
    assert_eq!(places, [0, 2]);
    let refused: Vec<_> =
        decoded.refusals.iter().map(|it| (it.number, it.of.clone(), it.raw.as_slice())).collect();
    assert_eq!(refused, [(1, 0..4, input.as_slice()), (3, 0..4, b"".as_slice())]);
}

#[test]
fn the_results_of_one_input_are_bounded_together() {
    let mut files = files();
    let reader = "reader = { format = \"json\", framing = \"lines\" }";
    let manifest = MANIFEST.replace("reader = { format = \"layout\", file = \"layout.toml\" }", reader);
    let manifest = manifest.replace("mapping.toml", "mapping.vrl");
    files.insert("decoder.toml".to_owned(), manifest.into_bytes());
    let text = "x".repeat(30_000);
    let program = format!(". = {{ \"type\": \"can.unknown_id\", \"context\": \"{text}\" }}\n");
    files.insert("mapping.vrl".to_owned(), program.into_bytes());
    let decoder = Package::from_files(files).expect("a package").decoder();
    let decoded = decoder.decode("{}\n".repeat(4_000).as_bytes());
    assert_eq!(decoded.documents(), 4_000);
    let kept: usize = decoded.outputs.iter().map(|(_, output)| output.weight()).sum();
    assert!((32 << 20..=OUTPUT_BYTES_MAX).contains(&kept), "{kept}");
    assert!(decoded.refusals.iter().all(|refusal| refusal.reason == "map.output"));
}

#[test]
fn copies_beside_a_list_are_bounded() {
    let each = each::Each { list: "list".to_owned(), name: "one".to_owned() };
    let doc = |beside: usize, elements: usize| {
        crate::Doc::Map(vec![
            ("list".to_owned(), crate::Doc::List(vec![crate::Doc::Null; elements])),
            ("beside".to_owned(), crate::Doc::Bytes(vec![0; beside])),
        ])
    };
    let mut copied = 0;
    assert_eq!(each.expand(doc(1 << 20, 50), &mut copied).map(Iterator::count), Ok(50));
    let again = each.expand(doc(1 << 20, 50), &mut copied).map(Iterator::count);
    assert_eq!(again.expect_err("100 MiB together").reason, "each.too_large");
}

#[test]
fn the_decoder_that_says_most_about_a_vehicle_is_chosen() {
    let general = || {
        with(&[
            ("decoder.toml", "acme.tcu\"", "acme.general\""),
            ("decoder.toml", "platforms = [\"evo\"]", ""),
            ("decoder.toml", "releases = { from = \"3.0\", to = \"3.12\" }", ""),
        ])
        .expect("a package")
    };
    let newer = || with(&[("decoder.toml", "1.2.0", "1.10.0")]).expect("a package");
    let table = DecoderTable::new([newer(), general(), Package::from_files(files()).expect("a package")]);
    let id = |platform, release| {
        table.select("acme.tcu/2", platform, release).map(|it| it.decoder().id().to_owned())
    };
    assert_eq!(id(Some("evo"), Some("3.9")).as_deref(), Some("acme.tcu@1.10.0"), "the higher version");
    assert_eq!(id(Some("evo"), Some("4.0")).as_deref(), Some("acme.general@1.2.0"));
    assert_eq!(id(Some("other"), Some("3.9")).as_deref(), Some("acme.general@1.2.0"));
    assert_eq!(id(None, None).as_deref(), Some("acme.general@1.2.0"));
    assert!(table.select("acme.tcu/3", Some("evo"), None).is_none());
}

#[test]
fn a_shadow_run_counts_what_a_new_version_changes() {
    let old = Package::from_files(files()).expect("a package").decoder();
    let new = with(&[
        ("mapping.toml", "kind = \"vin\"", "kind = \"foreign\""),
        ("layout.toml", "uint = 16", "uint = 16, endian = \"little\""),
    ]);
    let new = new.expect("a package").decoder();
    let mut shadow = Shadow::new(old.as_ref(), new.as_ref());
    shadow.input(INPUT);
    shadow.input(INPUT);
    let report = shadow.finish();
    assert_eq!((report.inputs, report.same, report.changed, report.lost, report.gained), (2, 0, 2, 0, 2));
    assert_eq!(report.places.get("fields.can_id"), Some(&2));
    assert_eq!(report.refused, 2, "the cut document at the end of each");
    let vehicle = report.examples.iter().find(|(_, difference)| difference.path.starts_with("vehicle"));
    let shown = format!("{vehicle:?}");
    assert!(shown.contains("(vehicle)"), "both versions name it, in two ways: {shown}");
    let bytes = String::from_utf8_lossy(INPUT);
    let all = format!("{:?} {:?}", report.examples, report.places);
    let name = bytes.split(|sign: char| !sign.is_ascii_alphanumeric()).find(|word| word.len() == 17);
    assert!(name.is_some_and(|name| !all.contains(name)), "{all}");
    let mut same = Shadow::new(old.as_ref(), old.as_ref());
    same.input(INPUT);
    let report = same.finish();
    assert_eq!((report.same, report.changed, report.refused), (1, 0, 2));
}

#[test]
fn a_report_of_a_shadow_run_stays_small_whatever_names_a_source_invents() {
    let json = |space: &str| {
        let mapping = format!(
            "namespace = \"{space}\"\nvehicle = {{ path = \"vin\", kind = \"vin\" }}\n\
             type = {{ path = \"event\", values = {{ door = \"can.unknown_id\" }} }}\n"
        );
        let manifest = "name = \"acme.json\"\nversion = \"1.0.0\"\nformat = \"acme.json\"\nnamespace = \"acme\"\n\
             owner = \"ACME\"\nlicence = \"proprietary\"\nmapping = \"mapping.toml\"\n[reader]\nformat = \"json\"\n";
        let parts = [
            ("decoder.toml", manifest.to_owned()),
            ("mapping.toml", mapping),
            ("golden/one.in", "{}".to_owned()),
            ("golden/one.json", "{}".to_owned()),
        ];
        let files = parts.map(|(name, text)| (name.to_owned(), text.into_bytes()));
        Package::from_files(files.into()).expect("a package").decoder()
    };
    let (old, new) = (json("acme"), json("other"));
    let mut shadow = Shadow::new(old.as_ref(), new.as_ref());
    for at in 0..400 {
        let input =
            format!("{{\"vin\":\"WVWZZZ1JZ3W386752\",\"event\":\"door\",\"n{at}-wvwzzz1jz3w386752\":{at}}}");
        shadow.input(input.as_bytes());
    }
    let report = shadow.finish();
    assert_eq!((report.inputs, report.changed, report.examples.len()), (400, 400, 32));
    assert_eq!((report.places.len(), report.places.get("…")), (257, Some(&272)));
    assert!(!format!("{report:?}").to_ascii_uppercase().contains("WVWZZZ"), "{report:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_package_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&bytes, [0; 32]).is_err());
        let mut framed = packed().0;
        framed.truncate(102);
        framed.extend(bytes);
        prop_assert!(open(&framed, packed().1).is_err());
    }

    #[test]
    fn any_input_ends_in_outputs_and_refusals(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Package::from_files(files()).expect("a package").decoder().decode(&bytes);
    }
}
