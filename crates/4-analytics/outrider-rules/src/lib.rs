//! Sigma rules: parse, check, compile and match over columns.

mod explain;
mod expr;
mod field;
mod ir;
mod matcher;
mod pattern;
mod predicate;

pub use field::{CoreField, FieldRef, ValueKind};
pub use ir::{
    Correlation, CorrelationIndex, CorrelationKind, Header, Rule, RuleIndex, RuleSet, SourceText, Status, Threshold,
};
pub use matcher::Matches;
