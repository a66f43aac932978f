//! The report as one page: tables and plots in SVG, no script, nothing fetched from anywhere.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Outcome, Score, count, percentile};

/// Size of a plot, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
/// Room for axes.
const LEFT: f64 = 60.0;
const BELOW: f64 = 40.0;
/// Length of a bar, height of a row and room for names in plots with a row a class.
const BAR: f64 = 445.0;
const ROW: f64 = 22.0;
const NAMES: f64 = 205.0;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}\
th,td{padding:.2rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid #8884}\
th:first-child,td:first-child{text-align:left}\
svg{max-width:100%;height:auto;font-size:12px}\
svg text{fill:currentColor}\
.axis{stroke:currentColor;stroke-width:1;fill:none}\
.grid{stroke:#8884;stroke-width:1}\
.one{fill:#2f6fb0;stroke:#2f6fb0}.two{fill:#c2571a;stroke:#c2571a}\
.line{fill:none;stroke-width:2}\
.back{fill:#8883}";

/// Builds the page of a report.
#[must_use]
pub fn page(outcome: &Outcome, report: &Map<String, Value>) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation of the detectors</title>\
         <style>{STYLE}</style></head><body>\n<h1>Evaluation of the detectors</h1>\n"
    );
    summary(&mut page, report);
    page.push_str("<h2>By class of attack</h2>\n");
    classes(&mut page, report);
    recall_bars(&mut page, report);
    page.push_str("<h2>Recall against false alarms</h2>\n");
    curve(&mut page, report);
    page.push_str("<h2>Delay</h2>\n");
    delays(&mut page, outcome);
    page.push_str("<h2>Captures</h2>\n");
    captures(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

/// Text that cannot be taken for markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

fn number(value: Option<&Value>, scale: f64, places: usize, unit: &str) -> String {
    let value = value.and_then(Value::as_f64);
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.places$}{unit}", value * scale))
}

fn percent(value: Option<&Value>) -> String {
    number(value, 100.0, 1, " %")
}

fn text(value: Option<&Value>) -> String {
    escaped(value.and_then(Value::as_str).unwrap_or(""))
}

fn rows<'a>(report: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    report.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn table(page: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = String>| -> String {
        cells.map(|cell| format!("<{tag}>{cell}</{tag}>")).collect()
    };
    let head = cells("th", &mut head.iter().map(|name| (*name).to_owned()));
    let _ = writeln!(page, "<table><thead><tr>{head}</tr></thead><tbody>");
    for row in rows {
        let _ = writeln!(page, "<tr>{}</tr>", cells("td", &mut row.into_iter()));
    }
    page.push_str("</tbody></table>\n");
}

fn summary(page: &mut String, report: &Map<String, Value>) {
    let value = |name: &str| report.get(name);
    let facts = [
        ("Clean traffic", number(value("clean_hours"), 1.0, 3, " h")),
        ("False alarms", number(value("false_alarms"), 1.0, 0, "")),
        ("False alarms an hour", number(value("false_alarms_per_hour"), 1.0, 2, "")),
        ("Median delay", number(value("delay_ms_p50"), 1.0, 0, " ms")),
        ("Frames: precision", percent(value("frame_precision"))),
        ("Frames: recall", percent(value("frame_recall"))),
        ("Frames: F1", percent(value("frame_f1"))),
        ("Frames: false positives", percent(value("frame_fpr"))),
    ];
    table(page, &["", ""], facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]));
    for note in rows(report, "confidence") {
        let _ = writeln!(page, "<p>{}</p>", text(Some(note)));
    }
}

/// All classes, then the groups.
fn parts(report: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut parts: Vec<(String, &Value)> =
        rows(report, "classes").map(|class| (text(class.get("name")), class)).collect();
    for group in ["known_vehicle", "unknown_vehicle"] {
        for part in ["coarse", "masquerade", "all"] {
            let found = report.get(group).and_then(|group| group.get(part));
            let has_events =
                |found: &&Value| found.get("events").and_then(Value::as_u64).is_some_and(|events| events > 0);
            parts.extend(
                found.filter(has_events).map(|found| (format!("{}, {part}", group.replace('_', " ")), found)),
            );
        }
    }
    parts
}

fn classes(page: &mut String, report: &Map<String, Value>) {
    let head = [
        "class",
        "events",
        "found",
        "at 1/h",
        "at 5/h",
        "at 10/h",
        "delay p50",
        "delay p95",
        "frames F1",
        "frames FPR",
    ];
    let row = |(name, class): (String, &Value)| {
        let at = |rate: &str| percent(class.get("recall_at_fa_per_hour").and_then(|at| at.get(rate)));
        let frames = |name: &str| percent(class.get("frames").and_then(|frames| frames.get(name)));
        vec![
            name,
            number(class.get("events"), 1.0, 0, ""),
            percent(class.get("recall")),
            at("1"),
            at("5"),
            at("10"),
            number(class.get("delay_ms_p50"), 1.0, 0, " ms"),
            number(class.get("delay_ms_p95"), 1.0, 0, " ms"),
            frames("f1"),
            frames("fpr"),
        ]
    };
    table(page, &head, parts(report).into_iter().map(row));
}

/// One bar a class: how many of its events were found.
fn recall_bars(page: &mut String, report: &Map<String, Value>) {
    let parts = parts(report);
    let height = count(parts.len() as u64) * ROW + 8.0;
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"share of events found by class\">"
    );
    for (index, (name, class)) in (0u64..).zip(&parts) {
        let y = count(index) * ROW + 4.0;
        let recall = class.get("recall").and_then(Value::as_f64).unwrap_or(0.0);
        let _ = writeln!(
            page,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"back\" x=\"{NAMES}\" y=\"{y:.0}\" width=\"{BAR}\" height=\"16\"/>\
             <rect class=\"one\" x=\"{NAMES}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"16\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{:.0} %</text>",
            NAMES - 8.0,
            y + 13.0,
            recall.clamp(0.0, 1.0) * BAR,
            NAMES + BAR + 8.0,
            y + 13.0,
            recall * 100.0
        );
    }
    page.push_str("</svg>\n");
}

/// A frame with axes: `across` names and values along the bottom, shares up the side.
fn axes(page: &mut String, label: &str, across: &[(f64, String)], title: &str) {
    let (right, bottom) = (WIDTH - 20.0, HEIGHT - BELOW);
    let _ = writeln!(page, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">");
    for step in 0..=4u32 {
        let share = f64::from(step) / 4.0;
        let y = up(share);
        let _ = writeln!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            LEFT - 6.0,
            y + 4.0,
            share * 100.0
        );
    }
    for (x, name) in across {
        let _ = writeln!(
            page,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"10\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{name}</text>",
            bottom + 16.0
        );
    }
    let _ = writeln!(
        page,
        "<path class=\"axis\" d=\"M{LEFT} 10V{bottom}H{right}\"/><text x=\"{:.0}\" y=\"{:.0}\" \
         text-anchor=\"middle\">{title}</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 6.0
    );
}

/// Height of a share.
fn up(share: f64) -> f64 {
    let bottom = HEIGHT - BELOW;
    bottom - share.clamp(0.0, 1.0) * (bottom - 10.0)
}

/// Recall over the rate of false alarms, which is a step for every score.
fn curve(page: &mut String, report: &Map<String, Value>) {
    let mut points: Vec<(f64, f64, f64)> = rows(report, "curve")
        .filter_map(|point| {
            let value = |name: &str| point.get(name).and_then(Value::as_f64);
            Some((
                value("false_alarms_per_hour")?,
                value("recall").unwrap_or(0.0),
                value("recall_masquerade").unwrap_or(0.0),
            ))
        })
        .collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let most = points.iter().map(|point| point.0).fold(10.0, f64::max);
    // By the square root, so that few false alarms have most of the room.
    let x = |rate: f64| LEFT + (rate / most).sqrt() * (WIDTH - 20.0 - LEFT);
    let marks = [0.0, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0];
    let across: Vec<(f64, String)> =
        marks.into_iter().filter(|rate| *rate <= most).map(|rate| (x(rate), format!("{rate:.0}"))).collect();
    axes(page, "recall over false alarms an hour", &across, "false alarms an hour");
    type Height = fn(&(f64, f64, f64)) -> f64;
    let lines: [(&str, &str, Height); 2] =
        [("one", "all attacks", |point| point.1), ("two", "masquerades", |point| point.2)];
    for (index, (class, name, height)) in (0u64..).zip(lines) {
        let path: String = points
            .iter()
            .enumerate()
            .map(|(index, point)| {
                format!("{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, x(point.0), up(height(point)))
            })
            .collect();
        let _ = writeln!(page, "<path class=\"{class} line\" style=\"fill:none\" d=\"{path}\"/>");
        for point in &points {
            let _ = writeln!(
                page,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                x(point.0),
                up(height(point))
            );
        }
        let y = 24.0 + count(index) * 18.0;
        let _ = writeln!(
            page,
            "<circle class=\"{class}\" cx=\"{:.0}\" cy=\"{:.0}\" r=\"4\"/><text x=\"{:.0}\" y=\"{:.0}\">{name}</text>",
            WIDTH - 140.0,
            y,
            WIDTH - 130.0,
            y + 4.0
        );
    }
    page.push_str("</svg>\n");
}

/// Share of the found events that were found within a time, and the spread of each class.
fn delays(page: &mut String, outcome: &Outcome) {
    let mut all: Vec<u64> = outcome.events.iter().filter_map(|event| event.delay_us(Score::ALARM)).collect();
    if all.is_empty() {
        page.push_str("<p>Nothing was found.</p>\n");
        return;
    }
    all.sort_unstable();
    let most = count(all.last().copied().unwrap_or(0).max(1_000_000)) / 1000.0;
    let x = |ms: f64| LEFT + (ms / most).sqrt() * (WIDTH - 20.0 - LEFT);
    let marks = [10.0, 50.0, 100.0, 220.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];
    let across: Vec<(f64, String)> =
        marks.into_iter().filter(|ms| *ms <= most).map(|ms| (x(ms), format!("{ms:.0}"))).collect();
    axes(page, "share of found events over delay", &across, "delay in milliseconds");
    let mut path = format!("M{LEFT} {:.1}", up(0.0));
    for (index, delay) in (1u64..).zip(&all) {
        let share = super::ratio(index, all.len() as u64);
        let _ = write!(path, "H{:.1}V{:.1}", x(count(*delay) / 1000.0), up(share));
    }
    let _ = writeln!(page, "<path class=\"one line\" style=\"fill:none\" d=\"{path}\"/></svg>");
    let mut classes: std::collections::BTreeMap<&str, Vec<u64>> = std::collections::BTreeMap::new();
    for event in &outcome.events {
        classes.entry(&event.class).or_default().extend(event.delay_us(Score::ALARM));
    }
    let ms = |value: Option<u64>| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{:.0} ms", count(value) / 1000.0))
    };
    let rows = classes.into_iter().map(|(name, mut values)| {
        let mut row = vec![escaped(name), values.len().to_string()];
        row.extend([5, 25, 50, 75, 95].map(|share| ms(percentile(&mut values, share))));
        row
    });
    table(page, &["class", "found", "5 %", "25 %", "median", "75 %", "95 %"], rows);
}

fn captures(page: &mut String, report: &Map<String, Value>) {
    let head = [
        "capture",
        "vehicle",
        "known ids",
        "length",
        "warm-up",
        "judged clean",
        "false alarms",
        "alarm time",
    ];
    let list = rows(report, "captures").map(|row| {
        let seconds = |name: &str| number(row.get(name), 1.0, 1, " s");
        vec![
            text(row.get("capture")),
            text(row.get("vehicle")),
            percent(row.get("id_share")),
            seconds("seconds"),
            seconds("warm_up_seconds"),
            seconds("clean_seconds"),
            row.get("false_alarms").and_then(Value::as_array).map_or(0, Vec::len).to_string(),
            percent(row.get("alarm_duty_cycle")),
        ]
    });
    table(page, &head, list);
    let modes =
        report.get("simulated").and_then(|simulated| simulated.get("modes")).and_then(Value::as_object);
    if let Some(modes) = modes {
        page.push_str("<h2>Simulated hours</h2>\n");
        let list = modes.iter().map(|(mode, part)| {
            let value = |name: &str, places| number(part.get(name), 1.0, places, "");
            vec![escaped(mode), value("clean_hours", 2), value("false_alarms", 0)]
        });
        table(page, &["mode", "hours", "false alarms"], list);
    }
}
