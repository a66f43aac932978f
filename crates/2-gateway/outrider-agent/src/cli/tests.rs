use std::path::Path;

use clap::Parser;
use serde_json::Value;

use super::{Arguments, run};
use crate::io::capture::write_trc;
use crate::traffic::{Drive, DriveProfile, bus_of, demo_network, generate};
use outrider_types::{BusId, UnixMicros, VehicleMicros};

/// Runs the program; exit code as text, standard output, standard error.
fn call(arguments: &[&str]) -> (String, String, String) {
    let words = std::iter::once("outrider-agent").chain(arguments.iter().copied());
    let parsed = Arguments::try_parse_from(words).expect("arguments of a test are right");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&parsed, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (format!("{code:?}"), text(out), text(err))
}

fn is_success(code: &str) -> bool {
    code == format!("{:?}", std::process::ExitCode::SUCCESS)
}

fn is_code(code: &str, number: u8) -> bool {
    code == format!("{:?}", std::process::ExitCode::from(number))
}

/// Writes a drive on one bus as a TRC file.
fn capture(path: &Path, seed: u64, seconds: u64) {
    let drive =
        Drive { profile: DriveProfile::City, start: VehicleMicros(0), length_us: seconds * 1_000_000 };
    let frames: Vec<_> =
        generate(&demo_network(), seed, &drive).filter(|frame| frame.bus == BusId(0)).collect();
    let mut file = Vec::new();
    write_trc(&mut file, UnixMicros(0), &frames).expect("memory can be written");
    std::fs::write(path, file).expect("the folder of the test can be written");
}

fn json(out: &str) -> Value {
    serde_json::from_str(out.lines().last().expect("a line")).expect("the last line is an object")
}

#[test]
fn learn_inject_and_replay_find_every_attack_and_nothing_in_a_clean_drive() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("train.trc")), 1, 20);
    capture(Path::new(&file("test.trc")), 2, 12);
    let (code, out, err) = call(&["learn", &file("train.trc"), "-o", &file("model.bin"), "--json"]);
    assert!(is_success(&code), "{err}");
    let pt = demo_network().messages.iter().filter(|message| bus_of(message) == BusId(0)).count();
    assert_eq!(json(&out)["buses"][0]["ids"], pt);
    let (code, out, err) =
        call(&["replay", "--model", &file("model.bin"), &file("test.trc"), "--json", "--fail-on", "medium"]);
    assert!(is_success(&code), "{err}");
    assert_eq!(json(&out)["events"].as_array().map(Vec::len), Some(0));
    let attacks = [
        ("fabricate", "can.cycle_time"),
        ("suspend", "can.suspension"),
        ("flood", "can.flood"),
        ("uds-bruteforce", "diag.security_access_brute_force"),
    ];
    for (attack, event) in attacks {
        let (source, target, labels) = (file("test.trc"), file("attacked.trc"), file("labels.json"));
        let inject = ["inject", "--attack", attack, &source, "-o", &target, "--labels", &labels, "--json"];
        let (code, out, err) = call(&inject);
        assert!(is_success(&code), "{err}");
        let written: Value = serde_json::from_slice(&std::fs::read(&labels).expect("labels")).expect("JSON");
        assert_eq!(written, json(&out));
        let (code, out, _) =
            call(&["replay", "--model", &file("model.bin"), &target, "--json", "--fail-on", "medium"]);
        assert!(is_code(&code, 4), "{attack}: {code}");
        let report = json(&out);
        let events = report["events"].as_array().expect("a list");
        let found = events.iter().find(|seen| seen["event_type"] == event);
        let at =
            found.and_then(|seen| seen["at_us"].as_u64()).unwrap_or_else(|| panic!("{attack}: {events:?}"));
        let (start, end) = (written["start_us"].as_u64(), written["end_us"].as_u64());
        assert!(Some(at) >= start && Some(at) <= end, "{attack}: {at}");
    }
}

#[test]
fn files_that_are_of_no_use_end_with_code_three_and_name_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("train.trc")), 1, 5);
    assert!(is_success(&call(&["learn", &file("train.trc"), "-o", &file("model.bin")]).0));
    let model = std::fs::read(file("model.bin")).expect("a model");
    std::fs::write(file("cut.bin"), &model[..model.len() / 2]).expect("writable");
    std::fs::write(file("empty.trc"), "").expect("writable");
    let cases: [(&[&str], &str); 5] = [
        (&["replay", "--model", "model.bin", "missing.trc"], "missing.trc"),
        (&["replay", "--model", "model.bin", "empty.trc"], "empty"),
        (&["replay", "--model", "cut.bin", "train.trc"], "cut.bin"),
        (&["learn", "empty.trc", "-o", "other.bin"], "empty.trc"),
        (&["inject", "--attack", "flood", "train.trc", "-o", "x.trc", "--start", "99"], "starts"),
    ];
    for (words, expected) in cases {
        let is_file = |word: &str| word.contains('.');
        let words: Vec<String> =
            words.iter().map(|word| if is_file(word) { file(word) } else { (*word).to_owned() }).collect();
        let (code, out, err) = call(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(is_code(&code, 3), "{words:?}: {code}");
        assert!(out.is_empty() && err.contains(expected), "{err}");
    }
    assert!(!Path::new(&file("other.bin")).exists());
}

#[test]
fn a_bus_that_the_model_does_not_have_is_refused_rather_than_called_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("train.trc")), 1, 5);
    assert!(is_success(&call(&["learn", &file("train.trc"), "-o", &file("model.bin")]).0));
    let (code, _, err) = call(&["replay", "--model", &file("model.bin"), &file("train.trc"), "--bus", "5"]);
    assert!(is_code(&code, 3) && err.contains("model has no bus"), "{err}");
}

#[test]
fn eval_judges_a_known_vehicle_and_says_so_in_the_fields_that_are_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("train.trc")), 1, 15);
    capture(Path::new(&file("test.trc")), 2, 12);
    let (train, test) = (file("train.trc"), file("test.trc"));
    let (code, out, err) = call(&[
        "eval",
        "--train",
        &train,
        "--clean",
        &test,
        "--attack-seed",
        "7",
        "--events",
        "1",
        "--html",
        &file("page.html"),
        "--json",
    ]);
    assert!(is_success(&code), "{err}");
    let page = std::fs::read_to_string(file("page.html")).expect("the page was written");
    assert!(page.contains("<svg") && page.contains("masquerade-ramp") && page.contains("</html>"));
    assert!(!page.contains("<script") && !page.contains("http"), "nothing is run or fetched");
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    let report = json(&out);
    for field in
        ["frame_precision", "frame_recall", "frame_f1", "frame_fpr", "clean_hours", "false_alarms_per_hour"]
    {
        assert!(report[field].is_number(), "{field}: {}", report[field]);
    }
    assert_eq!(report["known_vehicle"]["captures"], 1);
    assert!(report["masquerade"]["events"].as_u64().is_some_and(|events| events >= 5));
    assert!(
        report["classes"].as_array().is_some_and(|classes| classes.len() == crate::inject::Attack::ALL.len())
    );
}

#[test]
fn what_inject_labels_eval_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("clean.trc")), 3, 12);
    let (out_file, labels) = (file("attacked.trc"), file("attacked.json"));
    let arguments = ["--attack", "fabrication", "-o", &out_file, "--labels", &labels, "--seconds", "3"];
    let (code, _, err) = call(&[&["inject", &file("clean.trc")], &arguments[..]].concat());
    assert!(is_success(&code), "{err}");
    let (code, out, err) = call(&["eval", "--labelled", &out_file, "--labels", &labels, "--json"]);
    assert!(is_success(&code), "{err}");
    let report = json(&out);
    assert_eq!(report["classes"][0]["name"], "fabrication");
    assert_eq!(report["classes"][0]["recall"], 1.0);
    assert_eq!(report["unknown_vehicle"]["captures"], 1);
    assert!(report["frame_recall"].as_f64().is_some_and(|recall| recall > 0.3), "{}", report["frame_recall"]);
    let (code, _, err) = call(&["eval", "--labelled", &out_file, "--json"]);
    assert!(is_code(&code, 3) && err.contains("no labels"), "{err}");
}

#[test]
fn eval_takes_the_label_column_of_a_table() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("capture.csv").display().to_string();
    let drive = Drive { profile: DriveProfile::City, start: VehicleMicros(0), length_us: 12_000_000 };
    let frames: Vec<_> = generate(&demo_network(), 6, &drive).filter(|frame| frame.bus == BusId(0)).collect();
    let plan = crate::inject::AttackPlan::new(crate::inject::Attack::Flood, 2);
    let stretch = crate::inject::Injector::new(&frames).expect("frames").attack(&plan).expect("a target");
    let mut text = String::from("timestamp,arbitration_id,dlc,data,label\n");
    for (index, timed) in stretch.applied(&frames).iter().enumerate() {
        let truth = index.checked_sub(stretch.from).and_then(|index| stretch.truth.get(index));
        let label = if truth.is_some_and(|truth| truth.is_attack()) { "DoS" } else { "normal" };
        let id = timed.frame.id().expect("a data frame");
        let data: String = timed.frame.data().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        });
        let at = timed.at.0;
        let _ =
            writeln!(text, "{}.{:06},{id},{},{data},{label}", at / 1_000_000, at % 1_000_000, data.len() / 2);
    }
    std::fs::write(&path, text).expect("the folder of the test can be written");
    let (code, out, err) = call(&["eval", "--clean", &path, "--json"]);
    assert!(is_success(&code), "{err}");
    let report = json(&out);
    assert_eq!(
        (report["classes"][0]["name"].as_str(), report["classes"][0]["events"].as_u64()),
        (Some("dos"), Some(1))
    );
    assert_eq!(report["classes"][0]["recall"], 1.0);
    assert!(
        report["problems"].as_array().is_some_and(|problems| problems.len() == 1),
        "it says that labels were used"
    );
}

#[test]
fn descriptions_of_every_format_are_described_and_those_with_can_frames_learned_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("train.trc")), 1, 5);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/io/network/fixtures");
    let fixture = |name: &str| fixtures.join(name).display().to_string();
    for (name, format, frames) in
        [("small.arxml", "ARXML", 3), ("small-fibex.xml", "FIBEX", 2), ("small.ldf", "LDF", 4)]
    {
        let (code, out, err) = call(&["describe", &fixture(name), "--json"]);
        assert!(is_success(&code), "{err}");
        let report = json(&out);
        assert_eq!(
            (report["format"].as_str(), report["frames"].as_array().map(Vec::len)),
            (Some(format), Some(frames))
        );
        let (code, out, _) = call(&["describe", &fixture(name)]);
        assert!(is_success(&code) && out.starts_with(&format!("{format}: understood")), "{out}");
        assert!(out.contains("a model takes: ") && out.contains("a model leaves out: "), "{out}");
        assert!(out.contains("not understood: ") && out.contains("refused or incomplete: "), "{out}");
    }
    let learn = |given: &[&str]| {
        let (train, model) = (file("train.trc"), file("model.bin"));
        let words = [&["learn", train.as_str(), "-o", model.as_str(), "--json"], given].concat();
        call(&words)
    };
    let ids = |out: &str| json(out)["buses"][0]["ids"].as_u64().expect("a number");
    let (_, plain, _) = learn(&[]);
    let (code, out, err) =
        learn(&["--arxml", &fixture("small.arxml"), "--fibex", &fixture("small-fibex.xml")]);
    assert!(is_success(&code), "{err}");
    assert!(err.contains("2 CAN messages of 3 frames, 2 protected, 1 service offers"), "{err}");
    assert!(err.contains("1 service offers are left out: the captures have no Ethernet frame"), "{err}");
    // Identifiers 0x100, 0x18FF1234 and 801; the demo network has the first one already if it has it.
    let added = ids(&out) - ids(&plain);
    assert!((2..=3).contains(&added), "{added} new identifiers");
    assert!(json(&out)["problems"].as_array().is_some_and(|all| all.len() >= 3), "{out}");
    let (code, _, err) = learn(&["--ldf", &fixture("small.ldf")]);
    assert!(is_success(&code) && err.contains("bus 64: LIN LIN_Door, 5 frames, 2 schedule tables"), "{err}");
    let (code, _, err) = learn(&["--arxml", &fixture("small.ldf")]);
    assert!(is_code(&code, 3) && err.contains("is LDF, was given as ARXML"), "{err}");
    let (code, _, err) = call(&["describe", &file("missing.arxml")]);
    assert!(is_code(&code, 3) && err.contains("missing.arxml"), "{err}");
}

/// Writes Ethernet frames as a pcap file, ten milliseconds apart.
fn pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut file = Vec::new();
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 1].into_iter().for_each(|value| word(&mut file, value));
    for (number, frame) in (0u32..).zip(frames) {
        let length = u32::try_from(frame.len()).expect("short");
        [number / 100, number % 100 * 10_000, length, length]
            .into_iter()
            .for_each(|value| word(&mut file, value));
        file.extend(frame);
    }
    std::fs::write(path, file).expect("the folder of the test can be written");
}

#[test]
fn ethernet_is_learned_and_a_tester_that_was_not_invited_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let activation = |tester: u16| {
        let mut out = [0; 20];
        let message =
            outrider_bus::doip::Message::ActivationRequest { tester, activation_type: 0, oem: None };
        let length = message.emit(2, &mut out).expect("fits");
        let total = u8::try_from(28 + length).expect("short");
        let mut bytes =
            vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, total, 0, 0, 0, 0, 64, 17, 0, 0];
        bytes.extend([10, 0, 0, 2, 10, 0, 0, 1, 0x34, 0x58, 0x34, 0x58, 0, total - 20, 0, 0]);
        bytes.extend(&out[..length]);
        bytes
    };
    pcap(Path::new(&file("ordinary.pcap")), &[activation(0x0E80)]);
    pcap(Path::new(&file("suspicious.pcap")), &[activation(0x0E80), activation(0x0E81), activation(0x0E82)]);
    let arxml = concat!(env!("CARGO_MANIFEST_DIR"), "/src/io/network/fixtures/small.arxml");
    let learned = ["learn", &file("ordinary.pcap"), "--tester", "0E81@10.0.0.2", "--arxml", arxml];
    let (code, out, err) = call(&[learned.as_slice(), &["-o", &file("m.bin"), "--json"]].concat());
    assert!(is_success(&code), "{err}");
    assert_eq!(json(&out)["segments"][0]["services"], 1, "the offer that the description states");
    assert_eq!((&json(&out)["packets"], &json(&out)["segments"][0]["testers"]), (&1.into(), &2.into()));
    std::fs::write(file("line.txt"), "0 1 8 1 0 0 0 0 0\n0.015 1 8 1 5 0 0 0 0\n")
        .expect("the folder can be written");
    let replayed =
        ["replay", "-m", &file("m.bin"), &file("suspicious.pcap"), "--plca", &file("line.txt"), "--json"];
    let (code, out, err) = call(&replayed);
    assert!(is_success(&code), "{err}");
    let events = json(&out)["events"].as_array().cloned().unwrap_or_default();
    let found: Vec<(Option<&str>, Option<i64>)> = events
        .iter()
        .map(|event| (event["event_type"].as_str(), event["fields"]["tester_address"].as_i64()))
        .collect();
    assert_eq!(found, [(Some("eth.plca_violation"), None), (Some("doip.unknown_tester"), Some(0x0E82))]);
    assert_eq!(events[1]["fields"]["source_ip"], "10.0.0.2");
}

#[test]
fn status_shows_a_report_and_tells_whether_the_program_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vehicle.toml");
    let settings =
        ["vehicle", "cloud", "ca", "certificate", "key", "batch_key", "ack_public_key", "command_public_key"];
    let text: String = settings.iter().map(|name| format!("{name} = ''\n")).collect();
    std::fs::write(&path, format!("tenant = 1\nstate = 'state'\n{text}[host]\n")).expect("it writes");
    let (path, state) = (path.display().to_string(), folder.path().join("state"));
    let (code, _, err) = call(&["status", "--config", &path]);
    assert!(is_code(&code, 3) && err.contains("no report"), "{err}");
    std::fs::create_dir(&state).expect("a folder");
    crate::runtime::report::tests::sample(i64::MAX).write(&state).expect("it writes");
    let (code, out, err) = call(&["status", "--config", &path]);
    assert!(is_success(&code), "{err}");
    for word in ["memory 1.0 MiB (most 2.0 MiB) of 32.0 MiB", "host.files [full]: 5 received", "landlock 7"] {
        assert!(out.contains(word), "{out}");
    }
    crate::runtime::report::tests::sample(0).write(&state).expect("it writes");
    let (code, out, err) = call(&["status", "--config", &path, "--json"]);
    assert!(is_code(&code, 5) && err.contains("does not run"), "{err}");
    assert_eq!((&json(&out)["running"], &json(&out)["sandbox"]["user"]), (&false.into(), &999.into()));
}

#[test]
fn a_capture_that_cannot_be_judged_is_named_and_the_others_are_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("good.trc")), 3, 9);
    let early = "1.0,100,1,01,dos\n1.5,100,1,01,normal\n2.0,100,1,01,normal\n";
    std::fs::write(file("early.csv"), early).expect("the folder of the test can be written");
    let (good, early) = (file("good.trc"), file("early.csv"));
    let (code, out, err) = call(&["eval", "--clean", &good, "--labelled", &early, "--events", "1", "--json"]);
    assert!(is_success(&code), "{err}");
    let report = json(&out);
    assert_eq!(report["captures"].as_array().map(Vec::len), Some(1));
    assert!(
        report["problems"][0].as_str().is_some_and(|text| text.contains("not judged")),
        "{}",
        report["problems"]
    );
    let (code, _, err) = call(&["eval", "--labelled", &early, "--json"]);
    assert!(is_code(&code, 3) && err.contains("none of the captures"), "{err}");
}

#[test]
fn generated_lin_traffic_is_attacked_learned_replayed_and_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (clean, attacked, labels) = (file("clean.pcapng"), file("attacked.pcapng"), file("labels.json"));
    let generate = ["inject", "--generate", "lin", "--generate-seconds", "60", "--seed", "2"];
    let (code, _, err) = call(&[&generate[..], &["--attack", "none", "-o", &clean]].concat());
    assert!(is_success(&code), "{err}");
    let put = ["--attack", "lin-publisher", "--start", "30", "-o", &attacked, "--labels", &labels, "--json"];
    let (code, out, err) = call(&[&generate[..], &put].concat());
    assert!(is_success(&code), "{err}");
    let done = json(&out);
    assert!(done["altered"].as_u64().is_some_and(|altered| altered > 5), "{done}");
    // A model whose only part is about LIN; the bus of these captures is not the one it describes, and is learned.
    let ldf = format!("{}/src/io/network/fixtures/small.ldf", env!("CARGO_MANIFEST_DIR"));
    let (code, out, err) = call(&["learn", &clean, "--ldf", &ldf, "-o", &file("model.bin"), "--json"]);
    assert!(is_success(&code), "{err}");
    assert_eq!(json(&out)["scheduled"][0]["bus"], 64);
    assert!(json(&out)["heard"].as_u64().is_some_and(|heard| heard > 1000), "{out}");
    for (capture, found) in [(&clean, false), (&attacked, true)] {
        let (code, out, err) =
            call(&["replay", "--model", &file("model.bin"), capture, "--json", "--fail-on", "medium"]);
        assert_eq!(is_code(&code, 4), found, "{code}: {err}");
        let report = json(&out);
        assert!(report["lin"].as_u64().is_some_and(|heard| heard > 1000), "{report}");
        let events = report["events"].as_array().expect("a list");
        let is_said = events.iter().any(|seen| {
            seen["event_type"] == "lin.publisher_mismatch"
                && seen["severity"] == "medium"
                && seen["bus"] == 64
        });
        assert_eq!(is_said, found, "{events:?}");
    }
    let (code, out, err) = call(&["eval", "--labelled", &attacked, "--labels", &labels, "--json"]);
    assert!(is_success(&code), "{err}");
    let report = json(&out);
    assert_eq!(
        (report["classes"][0]["name"].as_str(), report["classes"][0]["recall"].as_f64()),
        (Some("lin-publisher"), Some(1.0))
    );
    assert_eq!(report["false_alarms"], 0);
    let (code, _, err) = call(&["inject", "--generate", "lin", "--attack", "flood", "-o", &clean]);
    assert!(is_code(&code, 3) && err.contains("CAN needs a capture"), "{err}");
}

#[test]
fn bench_edge_says_every_field_and_does_not_invent_what_was_not_counted() {
    let (code, out, err) = call(&["bench", "edge", "--seconds", "3", "--json"]);
    assert!(is_success(&code), "{err}");
    let figures = json(&out);
    for field in ["frames", "ns_per_frame_p50", "ns_per_frame_p999", "state_bytes_per_bus", "observations"] {
        assert!(figures[field].as_u64().is_some_and(|value| value > 0), "{field}: {out}");
    }
    assert!(figures["allocations"].is_null(), "the heap of this test does not count");
    assert!(figures["instructions_per_frame"].is_null() && figures.get("instructions_missing").is_none());
    let (code, out, err) = call(&["bench", "edge", "--seconds", "3", "--untimed", "--frames", "100"]);
    assert!(is_success(&code), "{err}");
    assert_eq!(json(&out)["frames"], 100);
}

#[test]
fn a_model_is_signed_shown_and_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&file("train.trc")), 1, 5);
    let (code, public, err) = call(&["model", "keygen", "-o", &file("key")]);
    assert!(is_success(&code) && public.trim().len() == 64, "{err}");
    assert!(!is_success(&call(&["model", "keygen", "-o", &file("key")]).0), "never over another key");
    let secret = std::fs::read_to_string(file("key")).expect("written");
    let learn = ["learn", &file("train.trc"), "-o", &file("model"), "--platform", "p", "--release", "7"];
    let (code, out, err) = call(&[learn.as_slice(), &["--sign-key", &file("key"), "--json"]].concat());
    assert!(is_success(&code), "{err}");
    assert!(json(&out)["signed"] == true && !err.contains(secret.lines().nth(1).expect("a line")));
    let (_, out, _) = call(&["model", "show", &file("model"), "--json"]);
    let shown = json(&out);
    assert_eq!((&shown["can"]["platform"], &shown["can"]["release"]), (&"p".into(), &"7".into()));
    assert_eq!((&shown["signatures"][0]["algorithm"], &shown["ethernet"]), (&"ed25519".into(), &Value::Null));
    assert!(shown["can"]["buses"][0]["habits"]["payloads"]["ids"].is_u64(), "{shown}");
    let (_, out, _) = call(&["model", "show", &file("model")]);
    assert!(out.contains("CAN model, layout 2") && out.contains("not checked: ed25519"), "{out}");
    let verify = |key: &str| call(&["model", "verify", &file("model"), "--key", &file(key)]);
    assert!(is_success(&verify("key.pub").0));
    std::fs::write(file("hex"), &public).expect("it writes");
    assert!(is_success(&verify("hex").0));
    assert!(is_success(&call(&["model", "keygen", "-o", &file("other")]).0));
    let (code, _, err) = verify("other.pub");
    assert!(is_code(&code, 3) && err.contains("which is not trusted"), "{err}");
    assert!(is_success(&call(&["model", "sign", &file("model"), "--key", &file("other")]).0));
    assert!(is_success(&verify("other.pub").0) && is_success(&verify("key.pub").0));
    let (code, _, err) = call(&["replay", "--model", &file("model"), &file("train.trc"), "--json"]);
    assert!(is_success(&code), "{err}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(file("key"), mode).expect("its own file");
    let (code, _, err) = call(&["model", "sign", &file("model"), "--key", &file("key")]);
    assert!(is_code(&code, 3) && err.contains("mode 0644"), "{err}");
}
