//! Which statements of the cloud show that an attack was detected.

use std::collections::BTreeSet;

use outrider_types::{UnixMicros, VehicleId};

use crate::script::{Attack, AttackKind};

/// Rules, by name, of which at least one must have fired for an attack.
#[must_use]
pub const fn rules_of(kind: AttackKind) -> &'static [&'static str] {
    match kind {
        AttackKind::CanInjection => &["can_injection", "can_injection_kinds", "can_attack_confirmed"],
        AttackKind::DiagnosticBruteForce => &["security_access_brute_force", "security_access_repeated"],
        AttackKind::SecocKeyCompromise => &["secoc_key_compromise"],
    }
}

/// One alert or finding, as far as it says what it is about.
#[derive(Debug, Clone)]
pub struct Stated<'a> {
    /// Name of the rule.
    pub rule: &'a str,
    /// Vehicles that it names.
    pub vehicles: &'a BTreeSet<VehicleId>,
    /// Model line that it names.
    pub model_line: Option<&'a str>,
    /// First event time.
    pub from: UnixMicros,
    /// Last event time.
    pub to: UnixMicros,
}

/// What became of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Kind.
    pub kind: AttackKind,
    /// Names of the rules that fired for it.
    pub rules: BTreeSet<String>,
}

impl Detected {
    /// Looks for statements about the attack: of one of its rules, about one of its vehicles and its model line, with
    /// a span that meets the attack.
    #[must_use]
    pub fn of(attack: &Attack, stated: &[Stated<'_>]) -> Self {
        let wanted = rules_of(attack.kind);
        let rules = stated
            .iter()
            .filter(|one| one.from <= attack.to && one.to >= attack.from && wanted.contains(&one.rule))
            .filter(|one| one.vehicles.iter().any(|vehicle| attack.vehicles.contains(vehicle)))
            .filter(|one| attack.model_line.is_none() || attack.model_line.as_deref() == one.model_line)
            .map(|one| one.rule.to_owned())
            .collect();
        Self { kind: attack.kind, rules }
    }

    /// Returns whether the attack was detected.
    #[must_use]
    pub fn is_detected(&self) -> bool {
        !self.rules.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_rule_about_the_right_vehicle_at_the_right_time_counts() {
        let (hit, other) = (BTreeSet::from([VehicleId([1; 16])]), BTreeSet::from([VehicleId([2; 16])]));
        let attack = Attack {
            kind: AttackKind::CanInjection,
            vehicles: hit.clone(),
            model_line: None,
            from: UnixMicros(100),
            to: UnixMicros(200),
        };
        let stated = |rule, vehicles, from, to| Stated {
            rule,
            vehicles,
            model_line: None,
            from: UnixMicros(from),
            to: UnixMicros(to),
        };
        let is = |one| Detected::of(&attack, &[one]).is_detected();
        assert!(is(stated("can_injection", &hit, 150, 160)));
        assert!(!is(stated("can_injection", &other, 150, 160)));
        assert!(!is(stated("can_injection", &hit, 201, 260)));
        assert!(!is(stated("log_cleared", &hit, 150, 160)));
    }
}
