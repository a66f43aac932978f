//! What a model says of the habits of a bus, for people and as JSON.

use outrider_ids::model::habits::{
    self, HABIT_NAMES, LineHabit, NumberHabit, PayloadHabit, PoolHabit, STEPS,
};
use outrider_ids::model::{BusModel, SectionKind};
use serde_json::{Value, json};

/// Step of what was just as much as ever.
const EVEN: usize = STEPS / 4;

/// Habits of one bus.
pub(super) struct Habits {
    payloads: Vec<PayloadHabit>,
    numbers: Vec<NumberHabit>,
    lines: Vec<LineHabit>,
    pools: Vec<PoolHabit>,
}

impl Habits {
    pub(super) fn of(bus: &BusModel<'_>) -> Self {
        let section = |kind| bus.section(kind).unwrap_or_default();
        let together = section(SectionKind::TOGETHER);
        Self {
            payloads: habits::payloads(section(SectionKind::PAYLOAD)).collect(),
            numbers: habits::numbers(together).collect(),
            lines: habits::lines(together).collect(),
            pools: habits::pools(section(SectionKind::CALIBRATION)).collect(),
        }
    }

    fn count(&self, has: impl Fn(&PayloadHabit) -> bool) -> usize {
        self.payloads.iter().filter(|payload| has(payload)).count()
    }

    /// Identifiers with counters, with a checksum, with numbers, and how many numbers and how many of these are noise.
    fn parts(&self) -> [usize; 5] {
        let fields = || self.payloads.iter().flat_map(|payload| payload.fields.iter().flatten());
        [
            self.count(|payload| payload.counters.is_some_and(|lanes| lanes != [0; 3])),
            self.count(|payload| payload.checks[0].is_some()),
            self.count(|payload| payload.fields[0].is_some()),
            fields().filter(|field| !field.rough).count(),
            fields().filter(|field| field.rough).count(),
        ]
    }

    /// Name of a number: identifier, first bit and bits as in a DBC file.
    fn name(&self, place: u8) -> String {
        let Some(number) = self.numbers.get(usize::from(place)) else { return "?".to_owned() };
        let payload = self.payloads.iter().find(|payload| payload.id == number.id);
        let field =
            payload.and_then(|payload| payload.fields.get(usize::from(number.field)).copied().flatten());
        let place = field.map_or_else(
            || format!("number {}", number.field),
            |field| format!("{}|{}@{}", field.start_bit(), field.width, u8::from(field.little)),
        );
        format!("{} {place}", number.id)
    }

    /// Lines of text; none if the model says nothing.
    pub(super) fn text(&self) -> Vec<String> {
        let mut text = Vec::new();
        if !self.payloads.is_empty() {
            let [counters, checks, numbers, smooth, rough] = self.parts();
            text.push(format!(
                "payloads of {} identifiers: {counters} with counters, {checks} with a checksum, {numbers} with {} numbers \
                 ({rough} of them noise)",
                self.payloads.len(),
                smooth + rough
            ));
        }
        if !self.numbers.is_empty() {
            text.push(format!(
                "{} numbers compared, {} lines between them",
                self.numbers.len(),
                self.lines.len()
            ));
        }
        for line in &self.lines {
            let (target, source) = (self.name(line.target), self.name(line.source));
            text.push(format!(
                "  {target} = {:.4} x {source} + {}, within {}, R² {:.3}",
                q16(line.slope_q16),
                line.offset,
                line.deviation_max,
                q16(line.quality_q16.into())
            ));
        }
        for pool in &self.pools {
            let name = pool_name(pool);
            text.push(format!(
                "calibration: {name}, {} s, {} of them with something new",
                pool.seconds,
                beyond(pool)
            ));
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let [counters, checks, with_numbers, smooth, rough] = self.parts();
        let lines = self.lines.iter().map(|line| {
            json!({
                "target": self.name(line.target),
                "source": self.name(line.source),
                "slope": q16(line.slope_q16),
                "offset": line.offset,
                "deviation_max": line.deviation_max,
                "quality": q16(line.quality_q16.into()),
            })
        });
        let pools = self.pools.iter().map(
            |pool| json!({ "habit": pool_name(pool), "seconds": pool.seconds, "seconds_new": beyond(pool) }),
        );
        let numbers = (0u8..).zip(&self.numbers).map(|(place, _)| self.name(place).into());
        json!({
            "payloads": {
                "ids": self.payloads.len(),
                "counters": counters,
                "checksums": checks,
                "with_numbers": with_numbers,
                "numbers": smooth + rough,
                "noise": rough,
            },
            "compared": numbers.collect::<Vec<Value>>(),
            "lines": lines.collect::<Vec<Value>>(),
            "calibration": pools.collect::<Vec<Value>>(),
        })
    }
}

fn pool_name(pool: &PoolHabit) -> String {
    let name = HABIT_NAMES.get(usize::from(pool.habit));
    name.map_or_else(|| format!("habit {}, passed over", pool.habit), |name| (*name).to_owned())
}

/// Seconds in which something was more than ever before.
fn beyond(pool: &PoolHabit) -> u32 {
    pool.counts.iter().skip(EVEN + 1).map(|count| u32::from(*count)).sum()
}

/// A number of 1/65536 as a float.
#[expect(clippy::cast_precision_loss, reason = "shown to people; slopes of a checked model stay below 2^48")]
fn q16(value: i64) -> f64 {
    value as f64 / 65_536.0
}
