#![doc = include_str!("../README.md")]

mod collection;
mod condition;
pub mod conformance;
mod correlation;
mod detection;
mod encoding;
mod explain;
mod expr;
mod field;
mod filter;
pub mod foreign;
mod header;
mod ir;
mod literals;
mod load;
mod logsource;
mod matcher;
mod modifier;
mod moment;
mod pattern;
mod pipeline;
mod placeholder;
mod plan;
mod predicate;
mod problem;
mod program;
mod rule;
pub mod sample;
mod suggest;
mod taxonomy;
mod text_index;
mod values;
mod view;
mod yaml;

pub use field::{CoreField, FieldRef, ValueKind};
pub use ir::{
    Correlation, CorrelationIndex, CorrelationKind, Header, Rule, RuleIndex, RuleSet, SourceText, Status,
    Threshold,
};
pub use load::{DOCUMENTS_MAX, FILE_BYTES_MAX, Loaded, RuleFile, load, load_with};
pub use matcher::Matches;
pub use problem::{Position, Problem, ProblemLevel};
pub use taxonomy::{ForeignFields, Taxonomy};
