//! What detectors by habit used of their budgets, over all buses and captures.

use std::collections::BTreeMap;

use outrider_ids::gates::Kind;
use serde_json::{Value, json};

use crate::edge::Edge;

/// Sums of the accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Alarms said and withheld, and time alarmed in microseconds, by detector.
    used: BTreeMap<Kind, (u64, u64, u64)>,
    /// Strikes that operating modes lowered or left out.
    pub gated: u64,
}

impl Accounts {
    /// Adds what the detectors of a vehicle have used since they were made.
    pub fn add(&mut self, edge: &Edge) {
        for operation in edge.operations() {
            self.gated += operation.gated;
            for (kind, used) in operation.used {
                let sum = self.used.entry(kind).or_default();
                sum.0 += u64::from(used.alarms);
                sum.1 += u64::from(used.withheld);
                sum.2 += used.alarmed_us;
            }
        }
    }

    /// Adds other accounts.
    pub fn join(&mut self, other: &Self) {
        self.gated += other.gated;
        for (kind, used) in &other.used {
            let sum = self.used.entry(*kind).or_default();
            (sum.0, sum.1, sum.2) = (sum.0 + used.0, sum.1 + used.1, sum.2 + used.2);
        }
    }

    /// Returns the accounts as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let detectors: serde_json::Map<String, Value> = self
            .used
            .iter()
            .map(|(kind, (alarms, withheld, alarmed_us))| {
                let seconds = std::time::Duration::from_micros(*alarmed_us).as_secs_f64();
                let account = json!({"alarms": alarms, "withheld": withheld, "alarmed_seconds": seconds});
                (kind.word().to_owned(), account)
            })
            .collect();
        json!({"detectors": detectors, "gated": self.gated})
    }
}
