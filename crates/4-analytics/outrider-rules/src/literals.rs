//! Texts that a value must contain for a regular expression to find anything in it.

use regex::Regex;
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};

/// Most literals of one expression; more would cost more than they save.
const LITERALS_MAX: usize = 32;
/// Largest class that is written out: a letter in all its cases has up to three forms, a digit has ten.
const CLASS_MAX: usize = 3;
/// Shortest useful literal in bytes: shorter ones are in nearly every value.
const LITERAL_BYTES_MIN: usize = 2;

/// Returns texts of which a value contains at least one if one of the expressions matches it, or `None` if there
/// is no such list that is short and selective.
pub(crate) fn of_all(regexes: &[Regex]) -> Option<Vec<String>> {
    let mut literals = Vec::new();
    for regex in regexes {
        // The expression was compiled from the same text, so it parses.
        let hir = regex_syntax::parse(regex.as_str()).ok()?;
        let candidates = [of(&hir, ExtractKind::Prefix), of(&hir, ExtractKind::Suffix)];
        let shortest = |literals: &Vec<String>| literals.iter().map(String::len).min().unwrap_or(0);
        literals.extend(candidates.into_iter().flatten().max_by_key(shortest)?);
    }
    (literals.len() <= LITERALS_MAX).then_some(literals)
}

fn of(hir: &Hir, kind: ExtractKind) -> Option<Vec<String>> {
    let seq: Seq = Extractor::new().kind(kind).limit_class(CLASS_MAX).limit_total(LITERALS_MAX).extract(hir);
    let literals = seq.literals()?;
    let texts = literals.iter().map(|literal| String::from_utf8(literal.as_bytes().to_vec()).ok());
    let texts: Vec<String> = texts.collect::<Option<_>>()?;
    let useful = !texts.is_empty() && texts.iter().all(|text| text.len() >= LITERAL_BYTES_MIN);
    useful.then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(text: &str) -> Option<Vec<String>> {
        of_all(&[Regex::new(text).expect("the test writes expressions")])
    }

    #[test]
    fn the_more_selective_end_is_used() {
        assert_eq!(literals("^to+l[0-9]*42x$"), Some(vec!["42x".to_owned()]));
        assert_eq!(
            literals("^(sshd|su|login)$"),
            Some(vec!["sshd".to_owned(), "su".to_owned(), "login".to_owned()])
        );
        assert_eq!(literals("(?i)ab").map(|literals| literals.len()), Some(4));
    }

    #[test]
    fn expressions_without_a_useful_literal_have_none() {
        assert_eq!(literals("a.b"), None);
        assert_eq!(literals(".*"), None);
        assert_eq!(literals("x*"), None);
        assert_eq!(literals(""), None);
    }
}
