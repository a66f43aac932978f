//! What is wrong with a rule, where, and what to do.

use std::fmt;
use std::sync::Arc;

/// Position in a file; both numbers count from 1, columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Position {
    /// Start of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Whether a problem disables its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemLevel {
    /// The rule is not used.
    Error,
    /// The rule is used; its author should look.
    Warning,
}

impl ProblemLevel {
    /// Returns the word in messages and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem of one rule file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File name as it was given to the loader.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Position,
    /// Whether the rule is disabled.
    pub level: ProblemLevel,
    /// Stable code from a closed list, such as `rule.unknown_field`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, level, code, message, hint } = self;
        write!(f, "{file}:{}:{}: {} [{code}] {message}", at.line, at.column, level.word())?;
        if hint.is_empty() { Ok(()) } else { write!(f, " ({hint})") }
    }
}

/// Collects the problems of one document.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    file: Arc<str>,
    problems: &'a mut Vec<Problem>,
    errors: usize,
}

impl<'a> Report<'a> {
    /// Errors listed of one document. Whoever repairs a pack wants all of them at once; a document of 64 KiB
    /// that has more is not a rule.
    const PER_DOCUMENT_MAX: usize = 1_000;
    /// Problems listed of a load.
    const ALL_MAX: usize = 100_000;

    /// Begins a document of a file.
    pub(crate) fn new(file: Arc<str>, problems: &'a mut Vec<Problem>) -> Self {
        Self { file, problems, errors: 0 }
    }

    /// Adds an error; the document will not be used.
    pub(crate) fn error(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.errors += 1;
        if self.errors <= Self::PER_DOCUMENT_MAX {
            self.add(at, ProblemLevel::Error, code, message.into(), hint.into());
        } else if self.errors == Self::PER_DOCUMENT_MAX + 1 {
            let message = format!("the document has more than {} errors", Self::PER_DOCUMENT_MAX);
            self.add(at, ProblemLevel::Error, "rule.too_many", message, "the rest is not listed".to_owned());
        }
    }

    /// Adds a warning.
    pub(crate) fn warning(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(at, ProblemLevel::Warning, code, message.into(), hint.into());
    }

    fn add(&mut self, at: Position, level: ProblemLevel, code: &'static str, message: String, hint: String) {
        let (level, code, message, hint) = match self.problems.len() {
            listed if listed < Self::ALL_MAX => (level, code, message, hint),
            Self::ALL_MAX => {
                let message = format!("the files have more than {} problems", Self::ALL_MAX);
                (ProblemLevel::Error, "rule.too_many", message, "the rest is not listed".to_owned())
            }
            _ => return,
        };
        self.problems.push(Problem { file: Arc::clone(&self.file), at, level, code, message, hint });
    }

    /// Returns whether the document has no error so far.
    pub(crate) const fn is_clean(&self) -> bool {
        self.errors == 0
    }
}
