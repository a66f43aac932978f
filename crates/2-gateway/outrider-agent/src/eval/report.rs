//! What an evaluation says, as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::score::{Clean, Event, FrameCount, percentile, recall, share, threshold};
use super::{Accounts, Alarm, CaptureRow, ModePart, Outcome, Score, Simulated};

/// Rates of false alarms, an hour, at which recall is stated.
pub const RATES_PER_HOUR: [u32; 3] = [1, 5, 10];

/// Attacks that show in identifiers and timing alone.
const COARSE: [&str; 4] = ["fabrication", "suspension", "flood", "fuzzing"];

/// Numbers that all parts of the report need.
struct Basis<'a> {
    outcome: &'a Outcome,
    recorded: Clean,
    simulated: Option<&'a Simulated>,
    /// The threshold for each of [`RATES_PER_HOUR`].
    thresholds: Vec<(u32, Score)>,
    scores: Vec<Score>,
}

impl<'a> Basis<'a> {
    fn new(outcome: &'a Outcome, simulated: Option<&'a Simulated>) -> Self {
        let mut recorded = Clean::default();
        outcome.captures.iter().for_each(|row| recorded.join(&row.clean));
        let hits = outcome.events.iter().flat_map(|event| &event.hits).map(|hit| hit.score);
        let mut scores: Vec<Score> = hits.chain(recorded.alarms.iter().copied()).collect();
        scores.extend(simulated.into_iter().flat_map(|simulated| &simulated.clean.alarms));
        scores.sort_unstable();
        scores.dedup();
        // Simulated hours would drown what a quarter of an hour of recorded traffic shows, and the other way
        // round, so each origin must keep the rate for itself.
        let mut basis = Self { outcome, recorded, simulated, thresholds: Vec::new(), scores };
        let origins = basis.origins();
        let at = |rate: u32| (rate, threshold(&basis.scores, &origins, f64::from(rate)));
        basis.thresholds = RATES_PER_HOUR.into_iter().map(at).collect();
        basis
    }

    fn origins(&self) -> Vec<&Clean> {
        std::iter::once(&self.recorded).chain(self.simulated.map(|simulated| &simulated.clean)).collect()
    }

    fn total(&self) -> Clean {
        let mut total = Clean::default();
        self.origins().into_iter().for_each(|clean| total.join(clean));
        total
    }

    /// Recall and delays of some events.
    fn events(&self, wanted: &dyn Fn(&Event) -> bool) -> Map<String, Value> {
        let events = || self.outcome.events.iter().filter(|event| wanted(event));
        let at_rates: Map<String, Value> = self
            .thresholds
            .iter()
            .map(|(rate, threshold)| (rate.to_string(), json!(recall(events(), *threshold))))
            .collect();
        let mut delays: Vec<u64> = events().filter_map(|event| event.delay_us(Score::ALARM)).collect();
        let detected = delays.len() as u64;
        let is_located =
            |event: &&Event| event.hits.iter().any(|hit| hit.score >= Score::ALARM && hit.located);
        let located = events().filter(is_located).count() as u64;
        let mut frames = FrameCount::default();
        events().for_each(|event| frames.join(&event.frames));
        let mut object = Map::new();
        object.insert("events".into(), json!(events().count()));
        object.insert("detected".into(), json!(detected));
        object.insert("recall".into(), json!(recall(events(), Score::ALARM)));
        object.insert("recall_at_fa_per_hour".into(), at_rates.into());
        object.insert("delay_ms_p50".into(), json!(percentile(&mut delays, 50).map(milliseconds)));
        object.insert("delay_ms_p95".into(), json!(percentile(&mut delays, 95).map(milliseconds)));
        object.insert("located".into(), json!(share(located, detected)));
        if frames.hit + frames.missed > 0 {
            object.insert("frames".into(), frames_json(&frames));
        }
        object
    }
}

/// Builds the report.
#[must_use]
pub fn report(outcome: &Outcome, simulated: Option<&Simulated>) -> Map<String, Value> {
    let basis = Basis::new(outcome, simulated);
    let mut names: Vec<&str> = Vec::new();
    for event in &outcome.events {
        if !names.contains(&event.class.as_str()) {
            names.push(&event.class);
        }
    }
    names.sort_by_key(|name| {
        let known = crate::inject::Attack::from_word(name);
        known.map_or(usize::MAX, |attack| {
            crate::inject::Attack::ALL.iter().position(|other| *other == attack).unwrap_or(usize::MAX)
        })
    });
    let mut object = Map::new();
    let classes = names.iter().map(|name| {
        let mut class = Map::from_iter([("name".to_owned(), json!(name))]);
        class.extend(basis.events(&|event| event.class == *name));
        Value::from(class)
    });
    object.insert("classes".into(), classes.collect());
    object.insert("masquerade".into(), basis.events(&Event::is_masquerade).into());
    let coarse = |event: &Event| COARSE.contains(&event.class.as_str());
    for (name, is_known) in [("known_vehicle", true), ("unknown_vehicle", false)] {
        let part = json!({
            "captures": outcome.captures.iter().filter(|row| row.is_known == is_known).count(),
            "coarse": basis.events(&|event| event.is_known == is_known && coarse(event)),
            "masquerade": basis.events(&|event| event.is_known == is_known && event.is_masquerade()),
            "all": basis.events(&|event| event.is_known == is_known),
        });
        object.insert(name.into(), part);
    }
    let all = basis.events(&|_| true);
    object.insert("delay_ms_p50".into(), all.get("delay_ms_p50").cloned().unwrap_or_default());
    object.insert("delay_ms_p95".into(), all.get("delay_ms_p95").cloned().unwrap_or_default());
    frame_fields(&basis, &mut object);
    clean_fields(&basis, &mut object);
    object.insert("captures".into(), outcome.captures.iter().map(capture_json).collect());
    object
}

/// Frame by frame: the frames of all attacks that have any, and the clean traffic once.
fn frame_fields(basis: &Basis<'_>, object: &mut Map<String, Value>) {
    let mut frames = basis.recorded.frames;
    let has_frames = |event: &&Event| event.frames.hit + event.frames.missed > 0;
    basis.outcome.events.iter().filter(has_frames).for_each(|event| frames.join(&event.frames));
    object.insert("frame_precision".into(), json!(frames.precision()));
    object.insert("frame_recall".into(), json!(frames.recall()));
    object.insert("frame_f1".into(), json!(frames.f1()));
    object.insert("frame_fpr".into(), json!(frames.false_positive_rate()));
}

fn clean_fields(basis: &Basis<'_>, object: &mut Map<String, Value>) {
    let total = basis.total();
    let (hours, alarms) = (total.hours(), total.false_alarms(Score::ALARM));
    object.insert("clean_hours".into(), json!(hours));
    object.insert("false_alarms".into(), json!(alarms));
    object.insert("false_alarms_per_hour".into(), json!(total.per_hour(Score::ALARM)));
    object.insert("recorded".into(), recorded_json(basis));
    object.insert("simulated".into(), basis.simulated.map_or(Value::Null, simulated_json));
    object.insert("clean_frame_fpr".into(), json!(basis.recorded.frames.false_positive_rate()));
    let thresholds = basis.thresholds.iter().map(|(rate, score)| (rate.to_string(), json!(score.0)));
    object.insert("thresholds".into(), thresholds.collect());
    object.insert("alarm_threshold".into(), json!(Score::ALARM.0));
    let curve = basis.scores.iter().map(|score| {
        json!({
            "score": score.0,
            "false_alarms_per_hour": total.per_hour(*score),
            "recall": recall(basis.outcome.events.iter(), *score),
            "recall_masquerade":
                recall(basis.outcome.events.iter().filter(|event| event.is_masquerade()), *score),
        })
    });
    object.insert("curve".into(), curve.collect());
    object.insert("confidence".into(), confidence(&basis.recorded, basis.simulated).into());
}

/// What the length of the clean traffic can support.
fn confidence(recorded: &Clean, simulated: Option<&Simulated>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |name: &str, clean: &Clean| {
        let hours = clean.hours();
        if clean.clean_us == 0 {
            return;
        }
        let upper = clean.upper_95(Score::ALARM).unwrap_or(f64::INFINITY);
        notes.push(format!(
            "{name}: {} false alarms in {hours:.3} h; with 95 % confidence fewer than {upper:.2} an hour",
            clean.false_alarms(Score::ALARM)
        ));
        for rate in RATES_PER_HOUR {
            if hours * f64::from(rate) < 1.0 {
                notes.push(format!(
                    "{name}: {hours:.3} h cannot show a rate of {rate} an hour: a single false alarm is already \
                     {:.1} an hour, so the recall at {rate} is the recall at none",
                    1.0 / hours
                ));
            }
        }
    };
    note("recorded traffic", recorded);
    if let Some(simulated) = simulated {
        note("simulated traffic", &simulated.clean);
    }
    notes
}

fn origin(clean: &Clean) -> Value {
    json!({
        "clean_hours": clean.hours(),
        "false_alarms": clean.false_alarms(Score::ALARM),
        "false_alarms_per_hour": clean.per_hour(Score::ALARM),
        "false_alarms_per_hour_upper_95": clean.upper_95(Score::ALARM),
        "alarm_duty_cycle": share(clean.alarmed_us, clean.clean_us),
        "frame_fpr": clean.frames.false_positive_rate(),
    })
}

/// Recorded traffic, with its modes as the detectors told them: nobody labelled them.
fn recorded_json(basis: &Basis<'_>) -> Value {
    let Value::Object(mut object) = origin(&basis.recorded) else { return Value::Null };
    let mut modes: BTreeMap<_, ModePart> = BTreeMap::new();
    let mut accounts = Accounts::default();
    for row in &basis.outcome.captures {
        accounts.join(&row.accounts);
        for (mode, part) in &row.modes {
            let sum = modes.entry(*mode).or_default();
            sum.clean_us += part.clean_us;
            sum.false_alarms += part.false_alarms;
        }
    }
    let modes = modes.iter().map(|(mode, part)| (mode.word().to_owned(), mode_json(part)));
    object.insert("modes".into(), modes.collect());
    object.insert("budget".into(), accounts.json());
    object.into()
}

fn mode_json(part: &ModePart) -> Value {
    json!({"clean_hours": super::hours(part.clean_us), "false_alarms": part.false_alarms})
}

fn simulated_json(simulated: &Simulated) -> Value {
    let Value::Object(mut object) = origin(&simulated.clean) else { return Value::Null };
    object.insert("frames".into(), json!(simulated.frames));
    object.insert("platforms".into(), json!(simulated.platforms));
    let modes = simulated.modes.iter().map(|(mode, part)| {
        let mut json = mode_json(part);
        let told = simulated.told.iter().filter(|((of, _), _)| of == mode);
        let told = told.map(|((_, told), us)| (told.word().to_owned(), json!(super::hours(*us))));
        if let Value::Object(json) = &mut json {
            json.insert("told_hours".into(), told.collect());
        }
        (mode.word().to_owned(), json)
    });
    object.insert("modes".into(), modes.collect());
    object.insert("budget".into(), simulated.accounts.json());
    let alarms = simulated.first_alarms.iter().map(|(platform, mode, alarm)| {
        let mut alarm = alarm_json(alarm);
        if let Value::Object(alarm) = &mut alarm {
            alarm.insert("platform".into(), json!(platform));
            alarm.insert("mode".into(), json!(mode.word()));
        }
        alarm
    });
    object.insert("first_false_alarms".into(), alarms.collect());
    object.into()
}

fn alarm_json(alarm: &Alarm) -> Value {
    let known = outrider_model::catalogue::event_type(alarm.event_type);
    json!({
        "at_us": alarm.at.0,
        "event_type": known.map_or_else(|| alarm.event_type.0.to_string(), |known| known.name.to_owned()),
        "bus": alarm.bus.0,
        "can_id": alarm.can_id.map(|id| id.to_string()),
        "mode": alarm.mode.word(),
        "score": alarm.score.0,
    })
}

fn frames_json(frames: &FrameCount) -> Value {
    json!({
        "precision": frames.precision(),
        "recall": frames.recall(),
        "f1": frames.f1(),
        "fpr": frames.false_positive_rate(),
    })
}

fn capture_json(row: &CaptureRow) -> Value {
    let alarms = row.false_alarms.iter().map(alarm_json);
    json!({
        "capture": row.name,
        "frames": row.frames,
        "seconds": std::time::Duration::from_micros(row.span_us).as_secs_f64(),
        "vehicle": if row.is_known { "known" } else { "unknown" },
        "id_share": row.id_share,
        "warm_up_seconds": std::time::Duration::from_micros(row.warm_up_us).as_secs_f64(),
        "warm_up_alarms": row.warm_up_alarms,
        "clean_seconds": std::time::Duration::from_micros(row.clean.clean_us).as_secs_f64(),
        "alarm_duty_cycle": share(row.clean.alarmed_us, row.clean.clean_us),
        "false_alarms": alarms.collect::<Vec<_>>(),
        "skipped": row.skipped,
        "labelled_events": row.labelled,
    })
}

/// Microseconds as milliseconds.
fn milliseconds(us: u64) -> f64 {
    super::count(us) / 1000.0
}

/// The report for a person: one line a class, then the false alarms.
#[must_use]
pub fn lines(report: &Map<String, Value>) -> Vec<String> {
    let number = |value: Option<&Value>, scale: f64, unit: &str| {
        value
            .and_then(Value::as_f64)
            .map_or_else(|| "-".to_owned(), |value| format!("{:.1}{unit}", value * scale))
    };
    let row = |name: &str, class: &Value| {
        let at =
            |rate: &str| number(class.get("recall_at_fa_per_hour").and_then(|at| at.get(rate)), 100.0, " %");
        format!(
            "{name:22} {:>4} events, found {:>7}, at 1, 5, 10 false alarms an hour {:>7} {:>7} {:>7}, delay {} \
             (p95 {}), frames F1 {} FPR {}",
            class.get("events").and_then(Value::as_u64).unwrap_or(0),
            number(class.get("recall"), 100.0, " %"),
            at("1"),
            at("5"),
            at("10"),
            number(class.get("delay_ms_p50"), 1.0, " ms"),
            number(class.get("delay_ms_p95"), 1.0, " ms"),
            number(class.get("frames").and_then(|frames| frames.get("f1")), 100.0, " %"),
            number(class.get("frames").and_then(|frames| frames.get("fpr")), 100.0, " %"),
        )
    };
    let mut lines = Vec::new();
    for class in report.get("classes").and_then(Value::as_array).into_iter().flatten() {
        lines.push(row(class.get("name").and_then(Value::as_str).unwrap_or(""), class));
    }
    for group in ["known_vehicle", "unknown_vehicle"] {
        for part in ["coarse", "masquerade", "all"] {
            let found = report.get(group).and_then(|group| group.get(part));
            if let Some(found) = found.filter(|found| found.get("events").and_then(Value::as_u64) != Some(0))
            {
                lines.push(row(&format!("{}, {part}", group.replace('_', " ")), found));
            }
        }
    }
    lines.push(format!(
        "frame by frame: precision {}, recall {}, F1 {}, false positives {}",
        number(report.get("frame_precision"), 100.0, " %"),
        number(report.get("frame_recall"), 100.0, " %"),
        number(report.get("frame_f1"), 100.0, " %"),
        number(report.get("frame_fpr"), 100.0, " %"),
    ));
    let notes = report.get("confidence").and_then(Value::as_array).into_iter().flatten();
    lines.extend(notes.filter_map(Value::as_str).map(str::to_owned));
    lines
}
