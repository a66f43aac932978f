//! Loads the rule files named on the command line and prints every problem.
#![expect(clippy::print_stdout, reason = "an example speaks to its user")]

use outrider_rules::{RuleFile, load};

fn main() -> std::io::Result<()> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let texts = paths.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let files: Vec<RuleFile<'_>> =
        paths.iter().zip(&texts).map(|(name, text)| RuleFile { name, text }).collect();
    let loaded = load(&files);
    loaded.problems.iter().for_each(|problem| println!("{problem}"));
    let (rules, correlations) = (loaded.rules.rules().len(), loaded.rules.correlations().len());
    println!("{rules} rules, {correlations} correlations, {} problems", loaded.problems.len());
    Ok(())
}
