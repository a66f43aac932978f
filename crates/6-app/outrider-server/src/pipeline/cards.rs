//! What the queue shows of each rule.

use std::collections::BTreeMap;

use outrider_model::RuleId;
use outrider_rules::RuleSet;

use crate::store::RuleCard;

/// Returns how long a rule's group must be quiet before its next finding is a new alert: a correlation's timespan,
/// and for a plain rule one day (guess), so that a fault on each day's drive is one alert.
fn quiet_us(rules: &RuleSet, rule: &RuleId) -> i64 {
    const DAY_US: i64 = 86_400_000_000;
    let correlation = rules.correlations().iter().find(|correlation| correlation.header.id == *rule);
    correlation.map_or(DAY_US, |it| i64::try_from(it.timespan_us).unwrap_or(i64::MAX))
}

/// Returns what the queue shows of each rule.
pub(super) fn cards(rules: &RuleSet) -> BTreeMap<RuleId, RuleCard> {
    let headers = rules
        .rules()
        .iter()
        .map(|rule| &rule.header)
        .chain(rules.correlations().iter().map(|correlation| &correlation.header));
    headers
        .map(|header| {
            let card = RuleCard {
                id: header.id.clone(),
                title: header.title.clone(),
                tags: header.tags.clone(),
                quiet_us: quiet_us(rules, &header.id),
            };
            (header.id.clone(), card)
        })
        .collect()
}
