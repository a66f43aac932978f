//! Rule files: any text loads or is refused, and what loads can be evaluated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_model::EventBatch;
use outrider_rules::{Matches, RuleFile, load};

fuzz_target!(|text: &str| {
    let loaded = load(&[RuleFile { name: "fuzz.yml", text }]);
    assert!(loaded.problems.iter().all(|problem| problem.at.line >= 1 && problem.at.column >= 1));
    loaded.rules.evaluate(&EventBatch::new(), &mut Matches::new());
});
