//! The matcher agrees with the plain meaning of rules.
//!
//! Rules are generated as a small model, written as YAML for the loader, and evaluated by hand on every row. The
//! evaluation here shares no code with the crate.

use std::cell::Cell;
use std::fmt::Write as _;
use std::net::IpAddr;

use outrider_model::catalogue::{event_type_by_name, field_by_name};
use outrider_model::{EventBatch, EventRow, FieldValue};
use outrider_rules::{FieldRef, Matches, RuleFile, RuleIndex, load};
use outrider_types::{
    BootEpoch, BusId, EventId, EventTime, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One item of a selection: `key: values`.
#[derive(Debug, Clone)]
struct Item {
    field: &'static str,
    operator: &'static str,
    negated: bool,
    values: Vec<String>,
}

#[derive(Debug, Clone)]
struct ModelRule {
    /// Selections of alternatives of items.
    selections: Vec<Vec<Vec<Item>>>,
    condition: usize,
}

const CONDITIONS: [&str; 8] = [
    "s0",
    "s0 and not s1",
    "1 of s*",
    "all of them",
    "s0 or (s1 and not s2)",
    "not s0",
    "not (s0 or s1) or s2",
    "[s0 and s1, not s2]",
];

fn condition(index: usize, s: &[bool]) -> bool {
    match index {
        0 => s[0],
        1 => s[0] && !s[1],
        2 => s[0] || s[1] || s[2],
        3 => s[0] && s[1] && s[2],
        4 => s[0] || (s[1] && !s[2]),
        5 => !s[0],
        7 => (s[0] && s[1]) || !s[2],
        _ => !(s[0] || s[1]) || s[2],
    }
}

/// Does `value` match `pattern`, both as characters? Straight from the definition.
fn glob(pattern: &[char], value: &[char]) -> bool {
    match pattern {
        [] => value.is_empty(),
        ['\\', next @ ('*' | '?' | '\\'), rest @ ..] => {
            value.first() == Some(next) && glob(rest, &value[1..])
        }
        ['*', rest @ ..] => (0..=value.len()).any(|skip| glob(rest, &value[skip..])),
        ['?', rest @ ..] => !value.is_empty() && glob(rest, &value[1..]),
        [first, rest @ ..] => value.first() == Some(first) && glob(rest, &value[1..]),
    }
}

fn in_network(value: &str, network: &str) -> bool {
    let (base, bits) = network.split_once('/').expect("the generator writes networks");
    let bits: u32 = bits.parse().expect("the generator writes networks");
    match (value.parse::<IpAddr>(), base.parse::<IpAddr>()) {
        (Ok(IpAddr::V4(value)), Ok(IpAddr::V4(base))) => {
            (u32::from(value) ^ u32::from(base)).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (Ok(IpAddr::V6(value)), Ok(IpAddr::V6(base))) => {
            (u128::from(value) ^ u128::from(base)).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

impl Item {
    fn holds(&self, batch: &EventBatch, row: usize) -> bool {
        if self.field.is_empty() {
            return self.keywords_hold(batch, row);
        }
        let field = FieldRef::from_name(self.field).expect("the generator knows the fields");
        let value = field.text_of(batch, row);
        let one = |wanted: &String| match &value {
            None => wanted == "null",
            Some(_) if wanted == "null" => false,
            Some(value) if self.operator.starts_with("fieldref") => {
                let other = FieldRef::from_name(wanted).expect("the generator knows the fields");
                other.text_of(batch, row).is_some_and(|other| self.refer(value, &other))
            }
            Some(value) => self.compare(value, wanted),
        };
        let holds = match (self.operator, &value) {
            ("exists", value) => (self.values[0] == "true") == value.is_some(),
            (operator, _) if operator.ends_with("all") => self.values.iter().all(one),
            _ => self.values.iter().any(one),
        };
        holds != self.negated
    }

    /// Keywords are searched in every text of the event that is not about the vehicle.
    fn keywords_hold(&self, batch: &EventBatch, row: usize) -> bool {
        let texts = ["process_name", "parent_process", "source_ip"].map(|name| {
            FieldRef::from_name(name).expect("the generator knows the fields").text_of(batch, row)
        });
        let one = |wanted: &String| texts.iter().flatten().any(|text| self.compare(text, wanted));
        if self.operator == "all" { self.values.iter().all(one) } else { self.values.iter().any(one) }
    }

    /// Compares two fields of a row.
    fn refer(&self, value: &str, other: &str) -> bool {
        let is_cased = self.operator.contains("cased");
        let form = |text: &str| if is_cased { text.to_owned() } else { text.to_lowercase() };
        let (value, other) = (form(value), form(other));
        match self.operator {
            "fieldref" | "fieldref|cased" => value == other,
            "fieldref|contains" => value.contains(&other),
            "fieldref|startswith" => value.starts_with(&other),
            "fieldref|endswith" => value.ends_with(&other),
            other => unreachable!("the generator does not write `{other}`"),
        }
    }

    /// Compares a part of the time, which is the first of [`TIMES`] with this text.
    fn compare_part(&self, value: &str, wanted: &str) -> bool {
        let (_, _, parts) =
            TIMES.iter().find(|(_, text, _)| *text == value).expect("the generator chose a time");
        let (part, operator) = self.operator.split_once('|').unwrap_or((self.operator, ""));
        let names = ["minute", "hour", "day", "week", "month", "year"];
        let position = names.iter().position(|name| *name == part).expect("the generator names parts");
        let (value, wanted) = (parts[position], wanted.parse::<i64>().expect("the generator writes numbers"));
        match operator {
            "" => value == wanted,
            "gte" => value >= wanted,
            "lt" => value < wanted,
            other => unreachable!("the generator does not write `{other}`"),
        }
    }

    fn compare(&self, value: &str, wanted: &str) -> bool {
        if self.field == "event_time" {
            return self.compare_part(value, wanted);
        }
        let chars = |text: &str| -> Vec<char> {
            if self.operator.contains("cased") {
                text.chars().collect()
            } else {
                text.to_lowercase().chars().collect()
            }
        };
        let text =
            |before: &str, after: &str| glob(&chars(&format!("{before}{wanted}{after}")), &chars(value));
        let number = |text: &str| text.parse::<f64>().expect("the generator compares numbers");
        match self.operator.trim_end_matches("cased").trim_end_matches("|all").trim_end_matches('|') {
            "" if matches!(self.field, "user_id" | "count" | "bus" | "voltage_v") => {
                (number(value) - number(wanted)).abs() < 1e-9
            }
            "all" if !self.field.is_empty() => text("", ""),
            "" if !self.field.is_empty() => text("", ""),
            "" | "all" | "contains" => text("*", "*"),
            "startswith" => text("", "*"),
            "endswith" => text("*", ""),
            "re" => regex::Regex::new(wanted).expect("the generator writes expressions").is_match(value),
            "cidr" => in_network(value, wanted),
            "gt" => number(value) > number(wanted),
            "gte" => number(value) >= number(wanted),
            "lt" => number(value) < number(wanted),
            "lte" => number(value) <= number(wanted),
            other => unreachable!("the generator does not write `{other}`"),
        }
    }

    fn key(&self) -> String {
        let mut key = self.field.to_owned();
        if !self.operator.is_empty() {
            write!(key, "|{}", self.operator).expect("a string takes all");
        }
        if self.negated {
            key.push_str("|neq");
        }
        key
    }
}

/// Times, how they are written, and their minute, hour, day, week, month and year, from a calendar.
const TIMES: [(i64, &str, [i64; 6]); 4] = [
    (0, "1970-01-01T00:00:00.000000Z", [0, 0, 1, 1, 1, 1970]),
    (1_767_571_200_000_000, "2026-01-05T00:00:00.000000Z", [0, 0, 5, 2, 1, 2026]),
    (1_230_768_059_999_999, "2009-01-01T00:00:59.999999Z", [0, 0, 1, 1, 1, 2009]),
    (1_262_476_799_000_000, "2010-01-02T23:59:59.000000Z", [59, 23, 2, 53, 1, 2010]),
];

fn yaml(number: usize, rule: &ModelRule) -> String {
    let mut text = format!(
        "title: t\nid: 00000000-0000-0000-0000-{number:012x}\nlevel: low\ndescription: d\n\
         logsource: {{product: vehicle}}\ndetection:\n"
    );
    for (index, alternatives) in rule.selections.iter().enumerate() {
        writeln!(text, "  s{index}:").expect("a string takes all");
        for items in alternatives {
            let mut keys = Vec::new();
            for item in items {
                let key = item.key();
                assert!(!keys.contains(&key), "the generator writes a key once");
                let values: Vec<String> = item
                    .values
                    .iter()
                    .map(|value| if value == "null" { value.clone() } else { format!("'{value}'") })
                    .collect();
                let lead = if keys.is_empty() { '-' } else { ' ' };
                writeln!(text, "    {lead} '{key}': [{}]", values.join(", ")).expect("a string takes all");
                keys.push(key);
            }
        }
    }
    writeln!(text, "  condition: {}", CONDITIONS[rule.condition]).expect("a string takes all");
    text
}

fn word() -> impl Strategy<Value = String> {
    "[abAB]{0,3}".prop_map(|word| word)
}

fn texts(pattern: &'static str, sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(pattern, sizes)
}

fn text_item() -> impl Strategy<Value = Item> {
    let fields = prop::sample::select(vec!["process_name", "parent_process", "model_line"]);
    let equal = (texts(r"[abAB*?]{0,3}|\\\*|null", 1..4)).prop_map(|values| ("", values));
    let cased = (texts(r"[abAB*?]{1,3}", 1..4)).prop_map(|values| ("cased", values));
    let places = prop::sample::select(vec!["contains", "startswith", "endswith", "contains|cased"]);
    let placed = (places, texts("[abAB?*]{0,2}", 1..4));
    let all = texts("[abAB]{1,2}", 2..4).prop_map(|values| ("contains|all", values));
    let globs = texts(r"[ab?]\*[abAB]?", 2..4).prop_map(|values| ("all", values));
    let regexes = prop::sample::select(vec![
        "^a",
        "b$",
        "a.b",
        "(?i)^AB?$",
        "A|bb",
        "ab",
        "(?i)bA$",
        "^a?bb",
        "aa|Bb",
        "[aA]{2}",
    ]);
    let regex = regexes.prop_map(|text| ("re", vec![text.to_owned()]));
    let operation = prop_oneof![3 => equal, 1 => cased, 3 => placed, 1 => all, 1 => globs, 1 => regex];
    (fields, operation, prop::bool::weighted(0.15)).prop_map(|(field, (operator, values), negated)| Item {
        field,
        operator,
        negated,
        values,
    })
}

fn number_item() -> impl Strategy<Value = Item> {
    let fields = prop::sample::select(vec!["user_id", "count", "bus", "voltage_v"]);
    let compare = prop::sample::select(vec!["gt", "gte", "lt", "lte"]);
    let compared = (compare, (-2..5i32)).prop_map(|(operator, bound)| (operator, vec![bound.to_string()]));
    let equal = prop::collection::vec(-1..4i32, 1..4)
        .prop_map(|values| ("", values.iter().map(ToString::to_string).collect::<Vec<_>>()));
    (fields, prop_oneof![compared, equal]).prop_map(|(field, (operator, values))| Item {
        field,
        operator,
        negated: false,
        values,
    })
}

fn keyword_item() -> impl Strategy<Value = Item> {
    let any = texts("[abAB?]{1,3}", 1..3).prop_map(|values| ("contains", values));
    let all = texts("[abAB]{1,2}", 2..3).prop_map(|values| ("all", values));
    let regex = Just(("re", vec!["^[aA]".to_owned(), "bb$".to_owned()]));
    prop_oneof![2 => any, 1 => all, 1 => regex].prop_map(|(operator, values)| Item {
        field: "",
        operator,
        negated: false,
        values,
    })
}

fn related_item() -> impl Strategy<Value = Item> {
    let item = |field, operator, negated, values: &[&str]| Item {
        field,
        operator,
        negated,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    prop::sample::select(vec![
        item("process_name", "fieldref", false, &["parent_process"]),
        item("process_name", "fieldref", true, &["parent_process"]),
        item("process_name", "fieldref|cased", false, &["parent_process", "model_line"]),
        item("process_name", "fieldref|contains", false, &["parent_process"]),
        item("parent_process", "fieldref|startswith", false, &["model_line"]),
        item("parent_process", "fieldref|endswith", false, &["process_name"]),
        item("user_id", "fieldref", false, &["count"]),
        item("voltage_v", "fieldref", false, &["user_id", "bus"]),
        item("event_time", "hour", false, &["23", "5"]),
        item("event_time", "hour", true, &["0"]),
        item("event_time", "minute|lt", false, &["59"]),
        item("event_time", "day", false, &["1", "2"]),
        item("event_time", "week", false, &["53"]),
        item("event_time", "month", false, &["1"]),
        item("event_time", "year|gte", false, &["2010"]),
    ])
}

fn other_item() -> impl Strategy<Value = Item> {
    let item = |field, operator, values: &[&str]| Item {
        field,
        operator,
        negated: false,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    prop::sample::select(vec![
        item("privileged", "", &["true"]),
        item("privileged", "", &["false"]),
        item("source_ip", "cidr", &["10.0.0.0/9", "fd00::/8"]),
        item("source_ip", "cidr", &["0.0.0.0/0"]),
        item("severity", "", &["high", "LOW"]),
        item("lane", "", &["critical"]),
        item("event_type", "startswith", &["host."]),
        item("event_type", "", &["fw.packet_blocked", "charge.*"]),
        item("vehicle_id", "", &["00000000000000000000000000000001"]),
        item("vehicle_id", "endswith", &["2"]),
        item("process_name", "exists", &["true"]),
        item("user_id", "exists", &["false"]),
        item("bus", "exists", &["true"]),
        item("bus", "", &["null", "1"]),
    ])
}

fn model_rule() -> impl Strategy<Value = ModelRule> {
    let item = prop_oneof![16 => text_item(), 8 => number_item(), 8 => other_item(), 4 => related_item(), 1 => keyword_item()];
    let items = prop::collection::vec(item, 1..3).prop_map(|mut items| {
        let mut keys = Vec::new();
        items.retain(|item| {
            let fresh = !keys.contains(&item.key());
            keys.push(item.key());
            fresh
        });
        items
    });
    let selection = prop::collection::vec(items, 1..3);
    (prop::collection::vec(selection, 3), 0..CONDITIONS.len())
        .prop_map(|(selections, condition)| ModelRule { selections, condition })
}

#[derive(Debug, Clone)]
struct Row {
    event_type: &'static str,
    vehicle: u8,
    lane: Lane,
    severity: Severity,
    count: u32,
    bus: Option<u8>,
    texts: [Option<String>; 2],
    model_line: Option<String>,
    user: Option<i64>,
    volts: Option<i64>,
    privileged: Option<bool>,
    source: Option<&'static str>,
    /// Microseconds.
    at: i64,
}

fn row() -> impl Strategy<Value = Row> {
    let types =
        vec!["host.process_unexpected", "fw.packet_blocked", "charge.parameter_out_of_range", "can.bus_off"];
    let some = |strategy| prop::option::weighted(0.7, strategy);
    let addresses = vec!["10.1.2.3", "10.200.0.1", "fd00::1", "fe80::1", "no address"];
    (
        (prop::sample::select(types), 1..4u8, prop::sample::select(Lane::ALL.to_vec())),
        (prop::sample::select(Severity::ALL.to_vec()), 1..4u32, prop::option::of(0..3u8)),
        (
            some(word().boxed()),
            some(word().boxed()),
            some(word().boxed()),
            prop::sample::select(TIMES.to_vec()),
        ),
        (prop::option::of(-1..4i64), prop::option::of(-1..4i64), prop::option::of(any::<bool>())),
        prop::option::of(prop::sample::select(addresses)),
    )
        .prop_map(|((event_type, vehicle, lane), (severity, count, bus), texts, numbers, source)| Row {
            event_type,
            vehicle,
            lane,
            severity,
            count,
            bus,
            texts: [texts.0, texts.1],
            model_line: texts.2,
            user: numbers.0,
            volts: numbers.1,
            privileged: numbers.2,
            source,
            at: texts.3.0,
        })
}

fn batch_of(rows: &[Row]) -> EventBatch {
    let mut batch = EventBatch::new();
    for (index, row) in rows.iter().enumerate() {
        let vehicle = VehicleId(u128::from(row.vehicle).to_be_bytes());
        let seq = Seq(index as u64 + 1);
        batch.push(&EventRow {
            tenant: TenantId(1),
            id: EventId { vehicle, epoch: BootEpoch(1), lane: row.lane, seq },
            event_type: event_type_by_name(row.event_type).expect("the generator knows the types").id,
            severity: row.severity,
            time: EventTime { best: UnixMicros(row.at), error_us: 0 },
            ingest: IngestTime(UnixMicros(0)),
            mono: VehicleMicros(0),
            count: row.count,
            span: (VehicleMicros(0), VehicleMicros(0)),
            bus: row.bus.map(BusId),
            context: &[],
        });
        if let Some(model_line) = &row.model_line {
            batch.model_line.pad_to(index);
            batch.model_line.push(Some(model_line));
        }
        let mut set = |name: &str, value: Option<FieldValue<'_>>| {
            if let Some(value) = value {
                let key = field_by_name(name).expect("the generator knows the fields").key;
                assert!(batch.set_field(key, value), "{name}");
            }
        };
        set("process_name", row.texts[0].as_deref().map(FieldValue::Text));
        set("parent_process", row.texts[1].as_deref().map(FieldValue::Text));
        set("user_id", row.user.map(FieldValue::Int));
        set("voltage_v", row.volts.map(FieldValue::Int));
        set("privileged", row.privileged.map(FieldValue::Bool));
        set("source_ip", row.source.map(FieldValue::Text));
    }
    batch.seal();
    batch
}

fn expected_rows(rule: &ModelRule, batch: &EventBatch, reach: &[u16]) -> Vec<u32> {
    (0..batch.rows())
        .filter(|row| reach.contains(&batch.event_type[*row]))
        .filter(|row| {
            let selections: Vec<bool> = rule
                .selections
                .iter()
                .map(|alternatives| {
                    alternatives.iter().any(|items| items.iter().all(|item| item.holds(batch, *row)))
                })
                .collect();
            condition(rule.condition, &selections)
        })
        .map(|row| u32::try_from(row).expect("few rows"))
        .collect()
}

#[test]
fn the_matcher_agrees_with_the_meaning_of_generated_rules() {
    let (loaded_rules, matched_rows, unmatched_rows) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let strategy = (prop::collection::vec(model_rule(), 1..12), prop::collection::vec(row(), 0..40));
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(rules, rows)| {
            let documents: Vec<String> =
                rules.iter().enumerate().map(|(index, rule)| yaml(index, rule)).collect();
            let text = documents.join("---\n");
            let loaded = load(&[RuleFile { name: "generated.yml", text: &text }]);
            for error in loaded.errors() {
                prop_assert_eq!(error.code, "rule.impossible", "{}\n{}", error, text);
            }
            let batch = batch_of(&rows);
            let mut matches = Matches::new();
            // The second run must not see anything of the first.
            loaded.rules.evaluate(&batch, &mut matches);
            loaded.rules.evaluate(&batch, &mut matches);
            let mut seen = Vec::new();
            for (position, rule) in loaded.rules.rules().iter().enumerate() {
                let number =
                    usize::from_str_radix(&rule.header.id.0[24..], 16).expect("the test gave the id");
                let reach: Vec<u16> = rule.event_types.iter().map(|id| id.0).collect();
                let expected = expected_rows(&rules[number], &batch, &reach);
                let index = RuleIndex(u32::try_from(position).expect("few rules"));
                prop_assert_eq!(matches.of(index), &expected[..], "{}", documents[number]);
                for row in 0..batch.rows() {
                    let listed = expected.contains(&u32::try_from(row).expect("few rows"));
                    prop_assert_eq!(rule.matches(&batch, row), listed, "{}", documents[number]);
                }
                seen.extend((!expected.is_empty()).then_some(index));
                loaded_rules.set(loaded_rules.get() + 1);
                matched_rows.set(matched_rows.get() + expected.len());
                unmatched_rows.set(unmatched_rows.get() + batch.rows() - expected.len());
            }
            prop_assert_eq!(matches.iter().map(|(rule, _)| rule).collect::<Vec<_>>(), seen);
            Ok(())
        })
        .expect("the matcher agrees");
    assert!(loaded_rules.get() > 500, "{} rules were compared", loaded_rules.get());
    assert!(matched_rows.get() > 1_000 && unmatched_rows.get() > 1_000, "both answers were seen often");
}
