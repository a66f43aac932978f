use proptest::prelude::*;

use super::super::labels::{FrameTruth, LabelError, LabelFile, LabelledEvent, Truths};
use super::*;

/// Sixty seconds of frames, one every 100 ms, identifiers 0x100 and 0x101 in turn.
fn frames() -> Vec<TimedFrame> {
    let frame = |step: u64| {
        let id = CanId::standard(0x100 + u32::from(step % 2 == 1)).expect("eleven bits");
        let frame = Frame::classic(id, &[1]).expect("a byte");
        TimedFrame { at: VehicleMicros(step * 100_000), bus: BusId(0), frame }
    };
    (0..600).map(frame).collect()
}

fn resolve(text: &str) -> Result<Truths, LabelError> {
    let start = Some(outrider_types::UnixMicros(1_600_000_000_000_000));
    LabelFile::parse(text.as_bytes())?.resolve("drives/Trace_1.log", &frames(), start)
}

fn spans(truths: &Truths) -> Vec<(String, u64, u64)> {
    truths.events.iter().map(|event| (event.class.clone(), event.start_us, event.end_us)).collect()
}

#[test]
fn intervals_of_any_shape_and_unit_say_the_same() {
    let cases = [
        r#"{"events": [{"class": "Replay", "start_us": 4000000, "end_us": 9500000}]}"#,
        r#"{"trace_1": {"class": "replay", "injection_interval": [4.0, 9.5]}}"#,
        r#"[{"attack": "replay", "start": 4, "end": 9.5, "capture": "trace_1.csv"}]"#,
        r#"{"trace_1.log": [[4.0, 9.5, "replay"]], "trace_2.log": [[1.0, 2.0, "flood"]]}"#,
        r#"[{"class": "replay", "begin_ms": 4000, "stop_ms": "9500"}]"#,
        r#"[{"class": "replay", "start": 1600000004.0, "end": 1600000009.5}]"#,
        r#"[{"class": "replay", "start": 1600000004000000, "end": 1600000009500000}]"#,
        "start,end,class\n4.0,9.5,replay\n",
        "4.0,9.5,replay\n",
        "file;begin_us;end_us;attack\nTRACE_1.LOG;4000000;9500000;replay\ntrace_2.log;1;2;flood\n",
        "start\tend\tclass\n1600000004\t1600000009.5\treplay\n",
    ];
    for text in cases {
        let truths = resolve(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(spans(&truths), [("replay".to_owned(), 4_000_000, 9_500_000)], "{text}");
    }
}

#[test]
fn identifiers_and_ranges_say_which_frames_are_meant() {
    let count =
        |truths: &Truths, wanted: FrameTruth| truths.frames.iter().filter(|truth| **truth == wanted).count();
    let whole = resolve(r#"[{"class": "flood", "start": 4.0, "end": 5.0}]"#).expect("labels");
    assert_eq!(count(&whole, FrameTruth::Unknown), 11, "nobody says which frames");
    let masquerade = resolve(r#"[{"class": "masquerade", "start": 4.0, "end": 5.0, "ids": ["0x100", 999]}]"#);
    assert_eq!(count(&masquerade.expect("labels"), FrameTruth::Attack), 6);
    let ranges = resolve(
        r#"{"output": "trace_1.trc", "events": [{"class": "replay", "start_us": 4000000, "end_us": 5000000}],
            "attack_frames": [[40, 3], [598, 9]], "answer_frames": [[43, 1]]}"#,
    )
    .expect("labels");
    assert_eq!((count(&ranges, FrameTruth::Attack), count(&ranges, FrameTruth::Unknown)), (5, 1));
}

#[test]
fn one_label_a_frame_makes_an_event_of_each_burst() {
    let word = |index: usize| match index {
        100..150 => "DoS",
        155..160 => "1",
        400..410 => "DoS",
        _ => "normal",
    };
    let labels: Vec<&str> = (0..600).map(word).collect();
    let lines = format!("label\n{}\n", labels.join("\n"));
    let list = serde_json::to_string(&labels).expect("strings");
    let object = format!("{{\"labels\": {list}}}");
    for text in [lines, list, object] {
        let truths = resolve(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let expected = [("dos", 100, 149), ("attack", 155, 159), ("dos", 400, 409)];
        let expected =
            expected.map(|(class, first, last)| (class.to_owned(), first * 100_000, last * 100_000));
        assert_eq!(spans(&truths), expected);
        assert_eq!(truths.frames.iter().filter(|truth| **truth == FrameTruth::Attack).count(), 65);
    }
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let cases = [
        ("{}", LabelError::Nothing),
        ("", LabelError::Nothing),
        ("[[1,", LabelError::Json { line: 1 }),
        ("start,end\n1,x\n", LabelError::Row { line: 2 }),
        ("[[5.0, 4.0]]", LabelError::Times),
        ("[[100, 200]]", LabelError::Times),
        ("label\n0\n1\n", LabelError::Count { labels: 2, frames: 600 }),
    ];
    for (text, expected) in cases {
        assert_eq!(resolve(text).err(), Some(expected), "{text}");
    }
    assert_eq!(LabelFile::parse(&[0xFF, 0xFE]), Err(LabelError::Text));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(resolve(&deep), Err(LabelError::Nothing));
}

#[test]
fn a_labelled_capture_gives_recall_inside_and_false_alarms_outside() {
    let clean = drive(5, 20);
    let stretch = Injector::new(&clean)
        .expect("frames")
        .attack(&AttackPlan { length_us: Some(4_000_000), ..AttackPlan::new(Attack::Fabricate, 3) })
        .expect("a target");
    let frames = stretch.applied(&clean);
    let end = stretch.from + stretch.frames.len();
    let label = |index: usize| {
        let truth = (stretch.from..end).contains(&index).then(|| stretch.truth[index - stretch.from]);
        truth.filter(|truth| truth.is_attack()).map(|_| "fabrication")
    };
    let truths = Truths::of_frames(&frames, (0..frames.len()).map(|index| Some(label(index))));
    assert_eq!(truths.events.len(), 1);
    let judge = |truths: &Truths| {
        let mut bench = Bench::new(Settings::default());
        bench.labelled("capture", &frames, truths).map(|()| bench.finish())
    };
    let outcome = judge(&truths).expect("a clean beginning");
    assert_eq!(recall(outcome.events.iter(), Score::ALARM), Some(1.0));
    assert!(outcome.events[0].hits.iter().any(|hit| hit.located));
    let counted = outcome.events[0].frames;
    assert_eq!(counted.hit + counted.missed, stretch.labels.injected);
    assert!(outcome.captures[0].clean.alarms.iter().all(|score| *score < Score::ALARM));
    assert!(outcome.captures[0].clean.clean_us < 13_000_000);
    // Said to be elsewhere, the same attack is a false alarm.
    let event = LabelledEvent {
        class: "fabrication".to_owned(),
        start_us: 18_000_000,
        end_us: 19_000_000,
        ids: std::collections::BTreeSet::new(),
    };
    let elsewhere = Truths { events: vec![event.clone()], frames: vec![FrameTruth::Clean; frames.len()] };
    let outcome = judge(&elsewhere).expect("a clean beginning");
    assert_eq!(recall(outcome.events.iter(), Score::ALARM), Some(0.0));
    assert!(outcome.captures[0].clean.false_alarms(Score::ALARM) >= 1);
    let early = Truths { events: vec![LabelledEvent { start_us: 200_000, ..event }], ..elsewhere };
    assert!(judge(&early).is_err(), "nothing clean to learn an unknown vehicle from");
}

#[test]
fn the_corpus_of_labels_is_read_without_harm() {
    let count = crate::io::corpus("eval_labels", |bytes| {
        if let Ok(file) = LabelFile::parse(bytes) {
            let _ = file.resolve("trace_1.log", &frames(), None);
        }
    });
    assert!(count >= 5);
}

proptest! {
    #[test]
    fn any_labels_are_read_without_harm(
        text in "[\\[\\]{}\":,0-9a-z_.\\n startendclass-]{0,200}",
        json in proptest::collection::vec((any::<f64>(), any::<i64>()), 0..6),
    ) {
        for text in [text, serde_json::to_string(&json).expect("numbers")] {
            if let Ok(truths) = resolve(&text) {
                prop_assert_eq!(truths.frames.len(), 600);
                prop_assert!(truths.events.is_sorted_by_key(|event| event.start_us));
            }
        }
    }

    #[test]
    fn intervals_come_back_whatever_their_unit(start in 0u64..50_000, length in 1u64..9_000, unit in 0usize..3) {
        let (name, scale) = [("ms", 1), ("us", 1000), ("ns", 1_000_000)][unit];
        let text = format!("start_{name},end_{name}\n{},{}\n", start * scale, (start + length) * scale);
        let truths = resolve(&text).expect("inside the capture");
        prop_assert_eq!(spans(&truths), [("attack".to_owned(), start * 1000, (start + length) * 1000)]);
    }
}
