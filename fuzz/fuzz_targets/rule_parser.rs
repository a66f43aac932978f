//! Rule files: any text loads or is refused, and what loads says of events what its tests say one by one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_rules::{Matches, RuleFile, RuleIndex, load, sample};

fuzz_target!(|text: &str| {
    let loaded = load(&[RuleFile { name: "fuzz.yml", text }]);
    assert!(loaded.problems.iter().all(|problem| problem.at.line >= 1 && problem.at.column >= 1));
    let batch = sample::read(include_str!("../corpus/rule_parser.toml")).expect("it is valid").batch;
    let mut matches = Matches::new();
    loaded.rules.evaluate(&batch, &mut matches);
    for (index, rule) in (0..).zip(loaded.rules.rules()) {
        let rows = (0..).take(batch.rows()).filter(|row| rule.matches(&batch, *row as usize));
        assert_eq!(matches.of(RuleIndex(index)), rows.collect::<Vec<u32>>());
    }
});
