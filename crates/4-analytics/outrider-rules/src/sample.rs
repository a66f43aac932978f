//! Small event lists in TOML, for the tests of rules and correlations.
//!
//! ```toml
//! about = "three wrong keys within a minute"
//!
//! [[event]]
//! type = "diag.security_access_denied"
//! vehicle = 1            # number of a made-up vehicle, from 1
//! at_s = 0.5             # event time, seconds after the start of the sample
//! ecu = "brake"          # optional: ecu, model_line, platform, release, region, bus, severity, lane, count
//! repeat = 3             # optional: this many events …
//! step_s = 20.0          # … this far apart …
//! vehicle_step = 0       # … each with the vehicle this much further
//! fields = { uds_nrc = 0x35, attempts = 2 }
//! ```
//!
//! Identities follow from the order of the list: the same text gives the same batch.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use outrider_model::catalogue::{self, EventType};
use outrider_model::{Connectivity, EventBatch, EventRow, FieldValue, VehicleRecord};
use outrider_types::{
    BootEpoch, BusId, EventId, EventTime, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};
use serde::Deserialize;

use crate::ir::{Correlation, CorrelationKind, Rule, RuleSet};

/// Start of every sample: 2026-01-05T00:00:00Z, a Monday.
pub const START: UnixMicros = UnixMicros(1_767_571_200_000_000);
/// Most events of one sample after repetition.
pub const EVENTS_MAX: usize = 100_000;
/// Latest event time of a sample: ten years after its start.
const AT_S_MAX: f64 = 315_576_000.0;

/// Events of a sample, with what it shows.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What the sample shows.
    pub about: String,
    /// The events, sealed, in the order of the list.
    pub batch: EventBatch,
}

/// Why a sample cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The text is not TOML of the form that the module describes.
    #[error("sample is not valid TOML")]
    Toml(#[source] Box<toml::de::Error>),
    /// An event is not possible.
    #[error("event {index} of the sample: {reason}")]
    Event {
        /// Position in the list, from 1.
        index: usize,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    about: String,
    event: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "type")]
    event_type: String,
    vehicle: u64,
    at_s: f64,
    #[serde(default = "one")]
    repeat: usize,
    #[serde(default)]
    step_s: f64,
    #[serde(default)]
    vehicle_step: u64,
    ecu: Option<String>,
    model_line: Option<String>,
    platform: Option<String>,
    release: Option<String>,
    region: Option<String>,
    bus: Option<u8>,
    severity: Option<String>,
    lane: Option<String>,
    count: Option<u32>,
    #[serde(default)]
    fields: BTreeMap<String, toml::Value>,
}

const fn one() -> usize {
    1
}

/// Reads a sample.
///
/// # Errors
/// [`SampleError::Toml`] for text that is not such TOML; [`SampleError::Event`] for an unknown event type, field,
/// severity or lane, a field of another kind or of another event type, a time out of range, or too many events.
pub fn read(text: &str) -> Result<Sample, SampleError> {
    let document: Document = toml::from_str(text).map_err(|error| SampleError::Toml(Box::new(error)))?;
    let mut writer = Writer { batch: EventBatch::new(), next: BTreeMap::new() };
    for (index, entry) in document.event.iter().enumerate() {
        writer.write(entry).map_err(|reason| SampleError::Event { index: index + 1, reason })?;
    }
    writer.batch.seal();
    Ok(Sample { about: document.about, batch: writer.batch })
}

struct Writer {
    batch: EventBatch,
    next: BTreeMap<(VehicleId, Lane), u64>,
}

impl Writer {
    fn write(&mut self, entry: &Entry) -> Result<(), String> {
        let event_type = catalogue::event_type_by_name(&entry.event_type)
            .ok_or_else(|| format!("there is no event type `{}`", entry.event_type))?;
        if entry.repeat == 0 || entry.repeat > EVENTS_MAX.saturating_sub(self.batch.rows()) {
            return Err(format!("a sample has at most {EVENTS_MAX} events, and repeat is at least 1"));
        }
        for round in 0..entry.repeat {
            self.event(entry, event_type, round)?;
        }
        Ok(())
    }

    fn event(&mut self, entry: &Entry, event_type: &EventType, round: usize) -> Result<(), String> {
        let vehicle_number = entry.vehicle.wrapping_add(entry.vehicle_step.wrapping_mul(round as u64));
        let vehicle = VehicleId(u128::from(vehicle_number).to_be_bytes());
        let lane = match &entry.lane {
            Some(word) => Lane::from_word(word).ok_or_else(|| format!("there is no lane `{word}`"))?,
            None => event_type.lane,
        };
        let severity = match &entry.severity {
            Some(word) => {
                Severity::from_word(word).ok_or_else(|| format!("there is no severity `{word}`"))?
            }
            None => event_type.severity,
        };
        let seq = self.next.entry((vehicle, lane)).or_insert(1);
        let id = EventId { vehicle, epoch: BootEpoch(1), lane, seq: Seq(*seq) };
        *seq += 1;
        let offset_us = offset_us(entry, round)?;
        let at = UnixMicros(START.0 + offset_us);
        let mono = VehicleMicros(u64::try_from(offset_us).unwrap_or(0));
        self.batch.push(&EventRow {
            tenant: TenantId(1),
            id,
            event_type: event_type.id,
            severity,
            time: EventTime { best: at, error_us: 0 },
            ingest: IngestTime(at),
            mono,
            count: entry.count.unwrap_or(1),
            span: (mono, mono),
            bus: entry.bus.map(BusId),
            context: &[],
        });
        self.batch.enrich_last(record(entry, vehicle).as_ref(), entry.ecu.as_deref());
        entry.fields.iter().try_for_each(|(name, value)| self.field(event_type, name, value))
    }

    fn field(&mut self, event_type: &EventType, name: &str, value: &toml::Value) -> Result<(), String> {
        let field = catalogue::field_by_name(name).ok_or_else(|| format!("there is no field `{name}`"))?;
        if !event_type.fields.contains(&field.key) {
            return Err(format!("`{}` does not carry `{name}`", event_type.name));
        }
        let value = match value {
            toml::Value::String(text) => FieldValue::Text(text),
            toml::Value::Integer(number) => FieldValue::Int(*number),
            toml::Value::Float(number) => FieldValue::Float(*number),
            toml::Value::Boolean(truth) => FieldValue::Bool(*truth),
            toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                return Err(format!("`{name}` is not a single value"));
            }
        };
        let stored = self.batch.set_field(field.key, value);
        stored.then_some(()).ok_or_else(|| format!("`{name}` is {}", field.kind.word()))
    }
}

fn offset_us(entry: &Entry, round: usize) -> Result<i64, String> {
    #[expect(clippy::cast_precision_loss, reason = "a sample has at most EVENTS_MAX rounds")]
    let at_s = entry.at_s + entry.step_s * round as f64;
    if !(0.0..=AT_S_MAX).contains(&at_s) {
        return Err(format!("time {at_s} s is not within ten years after the start"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    Ok((at_s * 1e6).round() as i64)
}

/// Makes a registry entry if the sample says anything about the vehicle.
fn record(entry: &Entry, vehicle: VehicleId) -> Option<VehicleRecord> {
    let Entry { model_line, platform, release, region, .. } = entry;
    if [model_line, platform, release, region].iter().all(|value| value.is_none()) {
        return None;
    }
    let word = |value: &Option<String>| value.clone().unwrap_or_default();
    Some(VehicleRecord {
        vehicle,
        tenant: TenantId(1),
        model_line: word(model_line),
        platform: word(platform),
        model_year: 2026,
        release: word(release),
        region: word(region),
        h3: None,
        connectivity: Connectivity::Cellular,
        ..VehicleRecord::default()
    })
}

/// Groups in which a correlation holds somewhere in a batch, with the values of the group's fields.
///
/// The plain meaning of a correlation, O(n²): for every event, the events from it to the end of the timespan
/// are counted. Detectors are compared with it.
#[must_use]
pub fn groups_that_fire(rules: &RuleSet, correlation: &Correlation, batch: &EventBatch) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<Vec<String>, Vec<(i64, usize)>> = BTreeMap::new();
    let members: Vec<&Rule> = correlation.rules.iter().filter_map(|index| rules.rule(*index)).collect();
    for row in (0..batch.rows()).filter(|row| members.iter().any(|rule| rule.matches(batch, *row))) {
        let group = correlation.group_by.iter().map(|field| field.text_of(batch, row).map(Cow::into_owned));
        if let Some(group) = group.collect::<Option<Vec<String>>>() {
            groups.entry(group).or_default().push((batch.event_time[row], row));
        }
    }
    let steps = |inside: &[(i64, usize)]| {
        members.iter().filter(|rule| inside.iter().any(|(_, row)| rule.matches(batch, *row))).count()
    };
    let fires = |events: &[(i64, usize)]| {
        events.iter().any(|(from, _)| {
            let within = |at: i64| at >= *from && at.abs_diff(*from) <= correlation.timespan_us;
            let inside: Vec<(i64, usize)> = events.iter().filter(|(at, _)| within(*at)).copied().collect();
            let value = match &correlation.kind {
                CorrelationKind::EventCount => inside.len(),
                CorrelationKind::ValueCount { fields } => {
                    let tuple = |row: usize| -> Option<Vec<_>> {
                        fields.iter().map(|field| field.text_of(batch, row)).collect()
                    };
                    inside.iter().filter_map(|(_, row)| tuple(*row)).collect::<BTreeSet<_>>().len()
                }
                CorrelationKind::Temporal => steps(&inside),
                CorrelationKind::TemporalOrdered => {
                    let first = |rule: &Rule, from: i64| {
                        let later =
                            inside.iter().filter(|(at, row)| *at >= from && rule.matches(batch, *row));
                        later.map(|(at, _)| *at).min()
                    };
                    let end = members.iter().try_fold(*from, |at, rule| first(rule, at));
                    if end.is_some() { members.len() } else { 0 }
                }
            };
            correlation.condition.holds(value as u64)
        })
    };
    groups.into_iter().filter(|(_, events)| fires(events)).map(|(group, _)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_events_differ_in_time_vehicle_and_number() {
        let sample = read(
            "about = 'x'\n[[event]]\ntype = 'secoc.mac_failure'\nvehicle = 7\nat_s = 1.5\nrepeat = 3\nstep_s = 2.0\n\
             vehicle_step = 1\nmodel_line = 'aster'\nfields = { secoc_data_id = 9 }\n",
        )
        .expect("the sample is right");
        let batch = sample.batch;
        assert_eq!(batch.rows(), 3);
        assert_eq!(
            batch.event_time.iter().map(|at| at - START.0).collect::<Vec<_>>(),
            [1_500_000, 3_500_000, 5_500_000]
        );
        assert_eq!(batch.vehicle.iter().map(|vehicle| vehicle.0[15]).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(batch.model_line.get(2), Some("aster"));
    }

    #[test]
    fn impossible_events_are_refused_with_their_place() {
        let event = |line: &str| {
            let text = format!("about = 'x'\n[[event]]\nvehicle = 1\n{line}\n");
            read(&text).map(|_| ()).expect_err("the event is impossible").to_string()
        };
        assert_eq!(
            event("type = 'no.such'\nat_s = 0.0"),
            "event 1 of the sample: there is no event type `no.such`"
        );
        let can = "type = 'can.bus_off'\nat_s = 0.0";
        assert!(
            event(&format!("{can}\nfields = {{ campaign = 'x' }}")).ends_with("does not carry `campaign`")
        );
        assert!(event(&format!("{can}\nfields = {{ tx_errors = 'x' }}")).ends_with("`tx_errors` is int"));
        assert!(event(&format!("{can}\nrepeat = 100001")).contains("at most 100000 events"));
        assert!(event("type = 'can.bus_off'\nat_s = -1.0").contains("ten years"));
        assert_eq!(event("colour = 1"), "sample is not valid TOML");
    }
}
