//! Why a rule fired, in words and numbers.

use super::dto::{Alert, Explanation, MatchedCondition, RuleKind, Timestamp, WindowExplanation};
use crate::rulebook::{Counting, Entry};
use crate::store::StoredFinding;

/// Explains an alert by its latest finding.
pub(crate) fn explain(alert: &Alert, entry: Option<&Entry>, finding: Option<&StoredFinding>) -> Explanation {
    let counting = entry.and_then(|entry| entry.counting.as_ref());
    let matched = finding.map(matched).unwrap_or_default();
    let (summary, below_threshold) = match (counting, finding) {
        (Some(counting), Some(finding)) => counted(alert, counting, finding),
        (None, Some(finding)) => {
            let events = plural(finding.event_count, "event");
            let vehicles = plural(finding.vehicle_count, "vehicle");
            let summary = format!(
                "{} of {vehicles} met every condition of \"{}\".",
                capital(&events),
                alert.rule_title
            );
            let count = matched.len();
            (
                summary,
                format!("An event that misses one of the {count} conditions above does not fire this rule."),
            )
        }
        (_, None) => ("The alert has no finding yet.".to_owned(), String::new()),
    };
    Explanation {
        summary,
        rule_yaml: entry.map(|entry| entry.header.source.yaml.to_string()).unwrap_or_default(),
        condition: entry.map(condition).unwrap_or_default(),
        matched,
        window: finding.and_then(|finding| window(counting?, finding)),
        below_threshold,
    }
}

/// Sentences about a counting rule.
fn counted(alert: &Alert, counting: &Counting, finding: &StoredFinding) -> (String, String) {
    let span = duration(counting.timespan_us);
    let threshold = finding.threshold.unwrap_or(counting.at_least);
    let observed = finding.value.unwrap_or(finding.event_count);
    let what = match (counting.kind, &counting.field) {
        (RuleKind::Temporal, _) => "of the rules matched".to_owned(),
        (RuleKind::TemporalOrdered, _) => "of the rules matched in their order".to_owned(),
        (RuleKind::Match | RuleKind::EventCount | RuleKind::ValueCount, Some(field)) => {
            format!("different values of {field}")
        }
        (RuleKind::Match | RuleKind::EventCount | RuleKind::ValueCount, None) => "events".to_owned(),
    };
    let group =
        alert.group.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    let of = if group.is_empty() { String::new() } else { format!(" for {group}") };
    let summary = format!("{observed} {what} within {span}{of}; the rule asks for {threshold}.");
    (
        summary,
        format!("With fewer than {threshold} {what} in every window of {span} it would not have fired."),
    )
}

/// Window beside the threshold.
fn window(counting: &Counting, finding: &StoredFinding) -> Option<WindowExplanation> {
    Some(WindowExplanation {
        from: Timestamp(finding.window_from),
        to: Timestamp(finding.window_to),
        threshold: finding.threshold.unwrap_or(counting.at_least),
        observed: finding.value?,
        field: counting.field.clone(),
        operator: "gte".to_owned(),
    })
}

/// Conditions beside what was seen.
fn matched(finding: &StoredFinding) -> Vec<MatchedCondition> {
    let condition = |matched: &outrider_model::Matched| MatchedCondition {
        field: matched.field.clone(),
        op: matched.operator.clone(),
        expected: matched.expected.clone(),
        observed: matched.observed.clone(),
    };
    finding.matched.iter().map(condition).collect()
}

/// Lines of the rule that state its condition.
fn condition(entry: &Entry) -> String {
    let mut lines =
        entry.header.source.yaml.lines().skip_while(|line| !line.trim_start().starts_with("condition:"));
    let Some(first) = lines.next() else { return String::new() };
    let indent = first.len() - first.trim_start().len();
    let deeper = lines.take_while(|line| line.len() - line.trim_start().len() > indent);
    std::iter::once(first)
        .chain(deeper)
        .map(|line| line.get(indent..).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Number with its noun.
fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("one {noun}") } else { format!("{count} {noun}s") }
}

/// The same text with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Time span in the largest unit that it is a whole number of.
fn duration(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let unit = units.iter().find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length));
    match unit {
        Some((length, noun)) => plural(seconds / length, noun),
        None => plural(seconds, "second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_in_their_largest_whole_unit() {
        let texts = [60_000_000, 90_000_000, 3_600_000_000, 172_800_000_000, 1_000_000].map(duration);
        assert_eq!(texts, ["one minute", "90 seconds", "one hour", "2 days", "one second"]);
    }
}
