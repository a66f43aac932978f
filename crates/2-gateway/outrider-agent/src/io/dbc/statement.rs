//! Cuts a DBC file into statements.

use super::model::{DbcProblem, DbcReason};

/// Longest statement, in bytes; the longest real ones are tables of some hundred values.
const STATEMENT_BYTES_MAX: usize = 256 * 1024;

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Message,
    Signal,
    Nodes,
    Attribute,
    AttributeDefault,
    Transmitters,
    Values,
    ValueType,
    /// Says nothing about the network.
    Header,
    /// Checked against the grammar, and not used.
    Checked,
    /// Known by its keyword, and not used.
    Unused,
}

/// One statement.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) keyword: Keyword,
    /// The keyword as written.
    pub(super) word: &'a str,
    /// The whole statement without the line end behind it.
    pub(super) text: &'a str,
    /// Line it begins in, from 1.
    pub(super) line: u64,
}

/// How a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With its line.
    Line,
    /// With its line and the indented ones behind it.
    Indented,
    /// With a semicolon outside quotes.
    Semicolon,
}

fn keyword(word: &str) -> Option<(Keyword, Ending)> {
    Some(match word {
        "BO_" => (Keyword::Message, Ending::Line),
        "SG_" => (Keyword::Signal, Ending::Line),
        "BU_" => (Keyword::Nodes, Ending::Indented),
        "NS_" => (Keyword::Header, Ending::Indented),
        "VERSION" | "BS_" => (Keyword::Header, Ending::Line),
        "BA_" => (Keyword::Attribute, Ending::Semicolon),
        "BA_DEF_DEF_" => (Keyword::AttributeDefault, Ending::Semicolon),
        "BO_TX_BU_" => (Keyword::Transmitters, Ending::Semicolon),
        "VAL_" => (Keyword::Values, Ending::Semicolon),
        "SIG_VALTYPE_" => (Keyword::ValueType, Ending::Semicolon),
        "CM_" | "BA_DEF_" | "VAL_TABLE_" | "SIG_GROUP_" | "SG_MUL_VAL_" => {
            (Keyword::Checked, Ending::Semicolon)
        }
        "EV_" | "EV_DATA_" | "ENVVAR_DATA_" | "SGTYPE_" | "SGTYPE_VAL_" | "SIG_TYPE_REF_"
        | "SIGTYPE_VALTYPE_" | "BA_DEF_SGTYPE_" | "BA_SGTYPE_" | "BA_DEF_REL_" | "BA_REL_"
        | "BA_DEF_DEF_REL_" | "BU_SG_REL_" | "BU_EV_REL_" | "BU_BO_REL_" | "CAT_DEF_" | "CAT_" | "FILTER" => {
            (Keyword::Unused, Ending::Semicolon)
        }
        _ => return None,
    })
}

/// The statements of a text whose lines end in `\n`, in order, each once or as a problem.
pub(super) struct Statements<'a> {
    rest: &'a str,
    line: u64,
    /// Text and line behind the first line of the latest statement.
    retry: (&'a str, u64),
}

impl<'a> Statements<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, retry: (text, 1) }
    }

    /// Goes back behind the first line of the latest statement, which turned out to be malformed: a missing
    /// quote makes a statement swallow those behind it.
    pub(super) const fn retry_behind_first_line(&mut self) {
        (self.rest, self.line) = self.retry;
    }
}

impl<'a> Iterator for Statements<'a> {
    type Item = Result<Statement<'a>, DbcProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest;
            let (head, next) = rest.split_once('\n').unwrap_or((rest, ""));
            if rest.is_empty() {
                return None;
            }
            let trimmed = head.trim();
            if trimmed.is_empty() || trimmed.starts_with("//") || trimmed == ";" {
                (self.rest, self.line) = (next, self.line + 1);
                continue;
            }
            let (outcome, length) = one(rest, head, self.line);
            self.retry = (next, self.line + 1);
            // Whatever stands behind a semicolon in its line is read on from there.
            let (taken, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
            self.line += taken.matches('\n').count() as u64 + u64::from(behind.starts_with('\n'));
            self.rest = behind.strip_prefix('\n').unwrap_or(behind);
            return Some(outcome);
        }
    }
}

/// Reads the statement at the beginning of `rest` and says how long it is.
fn one<'a>(rest: &'a str, head: &'a str, line: u64) -> (Result<Statement<'a>, DbcProblem>, usize) {
    let start = head.len() - head.trim_start().len();
    let body = rest.get(start..).unwrap_or("");
    let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
    let word = body.get(..end).unwrap_or("");
    let problem = |reason| DbcProblem { line, reason, detail: word.chars().take(40).collect() };
    let Some((keyword, ending)) = keyword(word) else {
        return (Err(problem(DbcReason::Keyword)), head.len());
    };
    let length = match ending {
        Ending::Line => head.len(),
        Ending::Indented => {
            let mut length = head.len();
            let indented =
                |line: &str| line.starts_with([' ', '\t']) && !line.trim_start().starts_with("SG_ ");
            for next in rest.get(length + 1..).unwrap_or("").split('\n').take_while(|line| indented(line)) {
                length += 1 + next.len();
            }
            length
        }
        Ending::Semicolon => match semicolon(body) {
            Some(length) => start + length,
            None => return (Err(problem(DbcReason::Unterminated)), head.len()),
        },
    };
    let text = rest.get(start..length).unwrap_or("");
    (Ok(Statement { keyword, word, text, line }), length)
}

/// Returns the length up to and with the first semicolon outside quotes, within the bound.
fn semicolon(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().take(STATEMENT_BYTES_MAX) {
        match byte {
            b'"' if !is_escaped => is_quoted = !is_quoted,
            b';' if !is_quoted => return Some(at + 1),
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    None
}
