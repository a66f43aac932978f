//! A rule and events of others, apart by a NUL: both load or are refused, and the compiled matcher says what the tests
//! say one by one, on the events and on what is derived from them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_rules::{RuleFile, conformance, foreign};

fuzz_target!(|text: &str| {
    let Some((rule, events)) = text.split_once('\0') else { return };
    let Ok(events) = foreign::parse(events) else { return };
    if let Ok(case) = conformance::check(&[RuleFile { name: "fuzz.yml", text: rule }], &events) {
        assert_eq!(case.negatives_fired, [""; 0]);
        assert_eq!(case.positives_silent, [""; 0]);
    }
});
