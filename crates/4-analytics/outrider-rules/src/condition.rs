//! The condition line: `selection and not 1 of filter_*`.

use crate::expr::Expr;
use crate::pattern::{Pattern, Place};
use crate::suggest;

/// Longest condition in characters; the longest of the Sigma collection has about 600.
pub(crate) const CONDITION_CHARS_MAX: usize = 2_048;

/// What is wrong at a character of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionError {
    /// Characters before the place.
    pub(crate) offset: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// A condition whose tests are positions of selections, and the selections it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) expr: Expr,
    pub(crate) used: Vec<bool>,
}

/// Reads a condition over the given selections.
pub(crate) fn parse(text: &str, selections: &[&str]) -> Result<Condition, ConditionError> {
    if text.chars().count() > CONDITION_CHARS_MAX {
        let message = format!("condition is longer than {CONDITION_CHARS_MAX} characters");
        return Err(error(0, message, "use `1 of prefix*` to name many selections"));
    }
    let tokens = scan(text)?;
    let mut reader = Reader {
        tokens: &tokens,
        next: 0,
        end: text.chars().count(),
        selections,
        used: vec![false; selections.len()],
        operands: Vec::new(),
        operators: Vec::new(),
    };
    let expr = reader.read()?;
    Ok(Condition { expr, used: reader.used })
}

fn error(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> ConditionError {
    ConditionError { offset, message: message.into(), hint: hint.into() }
}

struct Token<'a> {
    offset: usize,
    text: &'a str,
}

fn scan(text: &str) -> Result<Vec<Token<'_>>, ConditionError> {
    let mut tokens = Vec::new();
    let mut word: Option<(usize, usize)> = None;
    for (offset, (byte, character)) in text.char_indices().chain([(text.len(), ' ')]).enumerate() {
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '*' | '?' | '-' | '.') {
            word = word.or(Some((offset, byte)));
            continue;
        }
        if let Some((start, from)) = word.take() {
            tokens.push(Token { offset: start, text: &text[from..byte] });
        }
        match character {
            '(' | ')' => tokens.push(Token { offset, text: &text[byte..=byte] }),
            '|' => {
                let hint = "write a second document with a `correlation`";
                return Err(error(offset, "aggregations after `|` are not part of Sigma 2", hint));
            }
            blank if blank.is_whitespace() => {}
            other => return Err(error(offset, format!("unexpected character `{other}`"), "")),
        }
    }
    Ok(tokens)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Open(usize),
    Or,
    And,
    Not,
}

/// Reads operands and operators onto two stacks; nothing recurses.
struct Reader<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
    end: usize,
    selections: &'a [&'a str],
    used: Vec<bool>,
    operands: Vec<Expr>,
    operators: Vec<Operator>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<Expr, ConditionError> {
        loop {
            self.read_operand()?;
            while self.peek() == Some(")") {
                let offset = self.tokens[self.next].offset;
                self.next += 1;
                self.reduce_above(|operator| matches!(operator, Operator::Open(_)));
                if !matches!(self.operators.pop(), Some(Operator::Open(_))) {
                    return Err(error(offset, "`)` without `(`", ""));
                }
            }
            let Some(token) = self.tokens.get(self.next) else { break };
            let operator = match token.text {
                "and" | "AND" => Operator::And,
                "or" | "OR" => Operator::Or,
                other => {
                    let message = format!("expected `and`, `or` or the end, got `{other}`");
                    return Err(error(token.offset, message, ""));
                }
            };
            self.next += 1;
            self.reduce_above(|waiting| *waiting < operator || matches!(waiting, Operator::Open(_)));
            self.operators.push(operator);
        }
        self.reduce_above(|operator| matches!(operator, Operator::Open(_)));
        if let Some(Operator::Open(offset)) = self.operators.last() {
            return Err(error(*offset, "`(` is never closed", ""));
        }
        Ok(self.operands.pop().expect("read_operand pushed one and every operator took two and gave one"))
    }

    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.next).map(|token| token.text)
    }

    /// Reads any `not` and `(`, and then one selection or quantifier.
    fn read_operand(&mut self) -> Result<(), ConditionError> {
        loop {
            let Some(token) = self.tokens.get(self.next) else {
                let hint = if self.tokens.is_empty() { "name a selection" } else { "" };
                return Err(error(self.end, "condition ends where a selection is expected", hint));
            };
            self.next += 1;
            match token.text {
                "not" | "NOT" => self.operators.push(Operator::Not),
                "(" => self.operators.push(Operator::Open(token.offset)),
                ")" | "and" | "AND" | "or" | "OR" => {
                    let message = format!("expected a selection, got `{}`", token.text);
                    return Err(error(token.offset, message, ""));
                }
                word => {
                    let is_quantifier = matches!(self.peek(), Some("of" | "OF"));
                    let operand = if is_quantifier {
                        self.next += 1;
                        self.quantifier(word, token.offset)?
                    } else {
                        self.selection(word, token.offset)?
                    };
                    self.operands.push(operand);
                    return Ok(());
                }
            }
        }
    }

    fn selection(&mut self, word: &str, offset: usize) -> Result<Expr, ConditionError> {
        let Some(index) = self.selections.iter().position(|selection| *selection == word) else {
            let mut hint = suggest::nearest(word, self.selections.iter().copied());
            if hint.is_empty() {
                hint = format!("the rule has {}", self.selections.join(", "));
            }
            return Err(error(offset, format!("there is no selection `{word}`"), hint));
        };
        self.used[index] = true;
        Ok(Expr::Test(u32::try_from(index).expect("a document has fewer than 2^32 selections")))
    }

    fn quantifier(&mut self, quantity: &str, offset: usize) -> Result<Expr, ConditionError> {
        let Some(target) = self.tokens.get(self.next) else {
            return Err(error(self.end, "expected `them` or a pattern after `of`", ""));
        };
        self.next += 1;
        let pattern = Pattern::new(target.text, Place::Whole, true);
        let mut parts = Vec::new();
        for (index, selection) in self.selections.iter().enumerate() {
            // Names that begin with an underscore are left out of `them`, as the specification says.
            let chosen =
                if target.text == "them" { !selection.starts_with('_') } else { pattern.matches(selection) };
            if chosen {
                self.used[index] = true;
                parts.push(Expr::Test(
                    u32::try_from(index).expect("a document has fewer than 2^32 selections"),
                ));
            }
        }
        if parts.is_empty() {
            let hint = format!("the rule has {}", self.selections.join(", "));
            return Err(error(target.offset, format!("no selection matches `{}`", target.text), hint));
        }
        match quantity {
            "1" | "any" => Ok(Expr::Or(parts)),
            "all" => Ok(Expr::And(parts)),
            other => {
                let message = format!("`{other} of` is not part of Sigma");
                Err(error(offset, message, "use `1 of` or `all of`"))
            }
        }
    }

    /// Applies waiting operators from the top until one must wait.
    fn reduce_above(&mut self, waits: impl Fn(&Operator) -> bool) {
        while let Some(operator) = self.operators.last().copied().filter(|operator| !waits(operator)) {
            self.operators.pop();
            let last = self.operands.pop().expect("an operator follows its operand");
            let joined = match operator {
                Operator::Not => Expr::Not(Box::new(last)),
                Operator::And | Operator::Or => {
                    let first = self.operands.pop().expect("a binary operator has two operands");
                    join(operator == Operator::And, first, last)
                }
                Operator::Open(_) => last,
            };
            self.operands.push(joined);
        }
    }
}

/// Joins two parts; chains of one operator stay flat.
fn join(and: bool, first: Expr, last: Expr) -> Expr {
    match (and, first) {
        (true, Expr::And(mut parts)) => {
            parts.push(last);
            Expr::And(parts)
        }
        (false, Expr::Or(mut parts)) => {
            parts.push(last);
            Expr::Or(parts)
        }
        (true, first) => Expr::And(vec![first, last]),
        (false, first) => Expr::Or(vec![first, last]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["selection", "filter_a", "filter_b", "_hidden", "z"];

    fn show(expr: &Expr) -> String {
        let list = |parts: &[Expr], word: &str| parts.iter().map(show).collect::<Vec<_>>().join(word);
        match expr {
            Expr::And(parts) => format!("({})", list(parts, " & ")),
            Expr::Or(parts) => format!("({})", list(parts, " | ")),
            Expr::Not(part) => format!("!{}", show(part)),
            Expr::Test(index) => NAMES[*index as usize].to_owned(),
        }
    }

    fn read(text: &str) -> String {
        match parse(text, &NAMES) {
            Ok(condition) => show(&condition.expr),
            Err(error) => format!("{}: {} ({})", error.offset, error.message, error.hint),
        }
    }

    #[test]
    fn not_binds_before_and_and_and_before_or() {
        assert_eq!(read("selection or z and not filter_a"), "(selection | (z & !filter_a))");
        assert_eq!(read("(selection or z) and not (filter_a)"), "((selection | z) & !filter_a)");
        assert_eq!(read("z and z and z or z"), "((z & z & z) | z)");
        assert_eq!(read("not not z"), "!!z");
        assert_eq!(read("not (z or z) and z"), "(!(z | z) & z)");
    }

    #[test]
    fn quantifiers_expand_and_them_leaves_out_underscores() {
        assert_eq!(read("selection and not 1 of filter_*"), "(selection & !(filter_a | filter_b))");
        assert_eq!(read("all of them"), "(selection & filter_a & filter_b & z)");
        assert_eq!(read("1 of _*"), "(_hidden)");
    }

    #[test]
    fn errors_name_the_place_and_a_way_out() {
        assert_eq!(read("selektion"), "0: there is no selection `selektion` (did you mean `selection`?)");
        assert_eq!(read("z and"), "5: condition ends where a selection is expected ()");
        assert_eq!(read(""), "0: condition ends where a selection is expected (name a selection)");
        assert_eq!(read("z z"), "2: expected `and`, `or` or the end, got `z` ()");
        assert_eq!(read("(z"), "0: `(` is never closed ()");
        assert_eq!(read("z)"), "1: `)` without `(` ()");
        assert_eq!(read("2 of them"), "0: `2 of` is not part of Sigma (use `1 of` or `all of`)");
        assert!(read("1 of y*").starts_with("5: no selection matches `y*` (the rule has selection"));
        assert!(read("z | count() > 5").starts_with("2: aggregations after `|`"));
        assert!(read("z and ä").starts_with("6: unexpected character `ä`"));
    }
}
