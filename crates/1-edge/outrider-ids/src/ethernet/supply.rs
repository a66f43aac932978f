//! What a station says it gives, against what the car asked for.
//!
//! Physics decides: a station follows its car, a meter moves, limits hold. Nothing here depends on a make.

use outrider_bus::v2g::{Kind, Milli, Values};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::field;

use super::limits;
use crate::observation::{FieldValue, Fields};

/// Reason, severity and numbers of a finding.
pub(super) type Finding = (&'static str, Severity, Fields);

/// Voltage and current of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Supply {
    target_voltage: Option<Milli>,
    target_current: Option<Milli>,
    voltage_limit: Option<Milli>,
    /// The precharge has been answered once.
    is_precharging: bool,
    /// Since when the current is above what was asked.
    excess: Option<VehicleMicros>,
    /// Latest report, since when it is the same, and the span of requests since then.
    report: Option<Report>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    voltage: Milli,
    current: Milli,
    since: VehicleMicros,
    asked: (Milli, Milli),
    is_said: bool,
}

/// Returns a limit with its tolerance, the larger of two.
const fn with_tolerance(limit: Milli, permille: Milli, at_least: Milli) -> Milli {
    let share = limit.saturating_mul(permille) / 1000;
    limit.saturating_add(if share > at_least { share } else { at_least })
}

impl Supply {
    /// Takes the numbers of one message and returns what is wrong with them: what is worst.
    pub(super) fn receive(&mut self, at: VehicleMicros, kind: Kind, values: &Values) -> Option<Finding> {
        if kind != Kind::PreChargeReq && kind != Kind::PreChargeRes {
            self.is_precharging = false;
        }
        if kind == Kind::PreChargeReq || kind == Kind::CurrentDemandReq {
            return self.request(values);
        }
        if kind == Kind::PreChargeRes {
            return self.impossible(values).or_else(|| self.precharge(values));
        }
        if kind != Kind::CurrentDemandRes {
            self.excess = None;
            self.report = None;
            return None;
        }
        let (voltage, current) = (values.present_voltage?, values.present_current?);
        // Each keeps its own time, so that none is passed over.
        let excess = self.excess(at, current);
        let frozen = self.frozen(at, voltage, current);
        let limit = self.voltage_limit;
        let beyond = limit.is_some_and(|limit| {
            voltage > with_tolerance(limit, limits::VOLTAGE_EXCESS_PERMILLE, 0) && limit > 0
        });
        let beyond = beyond.then(|| ("voltage_beyond_limit", Severity::High, self.about(values)));
        self.impossible(values)
            .or(beyond)
            .or_else(|| excess.then(|| ("current_beyond_request", Severity::Medium, self.about(values))))
            .or_else(|| frozen.then(|| ("frozen_report", Severity::Low, self.about(values))))
    }

    fn request(&mut self, values: &Values) -> Option<Finding> {
        self.target_voltage = values.target_voltage.or(self.target_voltage);
        self.target_current = values.target_current.or(self.target_current);
        self.voltage_limit = values.voltage_limit.or(self.voltage_limit);
        if let (Some(report), Some(asked)) = (&mut self.report, values.target_current) {
            report.asked = (report.asked.0.min(asked), report.asked.1.max(asked));
        }
        let passes = |asked: Option<Milli>, limit: Option<Milli>| match (asked, limit) {
            (Some(asked), Some(limit)) => {
                asked > with_tolerance(limit, limits::VOLTAGE_EXCESS_PERMILLE, 1_000)
            }
            _ => false,
        };
        let is_beyond = passes(values.target_voltage, values.voltage_limit)
            || passes(values.target_current, values.current_limit);
        self.impossible(values)
            .or_else(|| is_beyond.then(|| ("request_beyond_limit", Severity::Medium, self.about(values))))
    }

    /// The first answer of a precharge: the station begins low and follows.
    fn precharge(&mut self, values: &Values) -> Option<Finding> {
        if core::mem::replace(&mut self.is_precharging, true) {
            return None;
        }
        let (voltage, target) = (values.present_voltage?, self.target_voltage?);
        let jumps = voltage > limits::PRECHARGE_START_MV && target > limits::PRECHARGE_START_MV;
        jumps.then(|| ("precharge_without_ramp", Severity::Low, self.about(values)))
    }

    fn excess(&mut self, at: VehicleMicros, current: Milli) -> bool {
        let Some(asked) = self.target_current else { return false };
        let limit = with_tolerance(asked, limits::CURRENT_EXCESS_PERMILLE, limits::CURRENT_EXCESS_MA);
        if current <= limit {
            self.excess = None;
            return false;
        }
        let since = *self.excess.get_or_insert(at);
        at.micros_since(since) >= limits::CURRENT_EXCESS_US
    }

    /// Returns whether a report has not moved while the request did.
    fn frozen(&mut self, at: VehicleMicros, voltage: Milli, current: Milli) -> bool {
        let asked = self.target_current.unwrap_or(0);
        let fresh = Report { voltage, current, since: at, asked: (asked, asked), is_said: false };
        let report = self.report.get_or_insert(fresh);
        if (report.voltage, report.current) != (voltage, current) {
            *report = fresh;
        }
        let moved = report.asked.1.saturating_sub(report.asked.0);
        let is_frozen =
            at.micros_since(report.since) >= limits::FROZEN_US && moved >= limits::FROZEN_ASKED_MA;
        is_frozen && !core::mem::replace(&mut report.is_said, true)
    }

    /// Numbers that no charging system has.
    fn impossible(&self, values: &Values) -> Option<Finding> {
        let above = |value: Option<Milli>, limit| value.is_some_and(|value| value.saturating_abs() > limit);
        let is_impossible = above(values.present_voltage, limits::VOLTAGE_MAX_MV)
            || above(values.target_voltage, limits::VOLTAGE_MAX_MV)
            || above(values.present_current, limits::CURRENT_MAX_MA)
            || above(values.target_current, limits::CURRENT_MAX_MA);
        is_impossible.then(|| ("impossible_value", Severity::Medium, self.about(values)))
    }

    fn about(&self, values: &Values) -> Fields {
        let numbers = [
            (field::CHARGE_VOLTAGE_MV, values.present_voltage),
            (field::CHARGE_CURRENT_MA, values.present_current),
            (field::CHARGE_VOLTAGE_ASKED_MV, values.target_voltage.or(self.target_voltage)),
            (field::CHARGE_CURRENT_ASKED_MA, values.target_current.or(self.target_current)),
        ];
        numbers.into_iter().fold(Fields::new(), |fields, (key, value)| match value {
            Some(value) => fields.with(key, FieldValue::Int(value)),
            None => fields,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn asks(voltage: Milli, current: Milli) -> (Kind, Values) {
        let values = Values {
            target_voltage: Some(voltage),
            target_current: Some(current),
            voltage_limit: Some(420_000),
            current_limit: Some(200_000),
            ..Values::default()
        };
        (Kind::CurrentDemandReq, values)
    }

    fn gives(voltage: Milli, current: Milli) -> (Kind, Values) {
        let values =
            Values { present_voltage: Some(voltage), present_current: Some(current), ..Values::default() };
        (Kind::CurrentDemandRes, values)
    }

    /// Takes messages at their seconds and returns the reasons of what was found.
    fn found(messages: &[(u64, (Kind, Values))]) -> impl Iterator<Item = &'static str> {
        let mut supply = Supply::default();
        let reasons = messages.iter().filter_map(move |&(second, (kind, values))| {
            supply.receive(VehicleMicros(second * SECOND), kind, &values).map(|(reason, ..)| reason)
        });
        let mut all = [None; 16];
        all.iter_mut().zip(reasons).for_each(|(slot, reason)| *slot = Some(reason));
        all.into_iter().flatten()
    }

    #[test]
    fn more_current_than_asked_is_an_event_once_it_stays() {
        let late = [(0, asks(400_000, 50_000)), (1, gives(390_000, 50_000)), (2, asks(400_000, 10_000))];
        let short = [(2, gives(390_000, 50_000)), (3, gives(390_000, 15_000)), (9, gives(390_000, 15_000))];
        let all = [late[0], late[1], late[2], short[0], short[1], short[2]];
        assert_eq!(found(&all).count(), 0, "the station follows");
        let long = [(2, gives(390_000, 50_000)), (4, gives(390_000, 50_001))];
        let all = [late[0], late[1], late[2], long[0], long[1]];
        assert!(found(&all).eq(["current_beyond_request"]));
        assert_eq!(found(&[(0, asks(400_000, 0)), (1, gives(390_000, -90_000))]).count(), 0, "it takes");
    }

    #[test]
    fn voltages_keep_to_the_cars_limit() {
        let near = [(0, asks(400_000, 10_000)), (1, gives(428_400, 10_000))];
        assert_eq!(found(&near).count(), 0, "two meters");
        let far = [(0, asks(400_000, 10_000)), (1, gives(428_401, 10_000))];
        assert!(found(&far).eq(["voltage_beyond_limit"]));
        assert!(found(&[(0, asks(430_000, 10_000))]).eq(["request_beyond_limit"]));
        assert_eq!(found(&[(0, asks(428_000, 200_000))]).count(), 0);
        assert!(found(&[(0, gives(1_500_001, 0))]).eq(["impossible_value"]));
    }

    #[test]
    fn a_precharge_rises_and_a_report_moves() {
        let precharge = |voltage| {
            let asked = Values { target_voltage: Some(350_000), ..Values::default() };
            let given = Values { present_voltage: Some(voltage), ..Values::default() };
            [(0, (Kind::PreChargeReq, asked)), (1, (Kind::PreChargeRes, given))]
        };
        assert_eq!(found(&precharge(60_000)).count(), 0);
        assert!(found(&precharge(350_000)).eq(["precharge_without_ramp"]));
        let frozen = |current, last| {
            [
                (0, asks(400_000, 1_000)),
                (1, gives(350_000, 1_000)),
                (2, asks(400_000, current)),
                (21, gives(350_000, last)),
            ]
        };
        assert!(found(&frozen(6_000, 1_000)).eq(["frozen_report"]));
        assert_eq!(found(&frozen(5_999, 1_000)).count(), 0, "nothing else was asked");
        assert_eq!(found(&frozen(6_000, 1_001)).count(), 0, "a digit moved");
    }
}
