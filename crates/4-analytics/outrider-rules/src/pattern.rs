//! Text patterns with wildcards.

use std::borrow::Cow;

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// These characters.
    Literal(String),
    /// `?`: one character.
    One,
    /// `*`: any characters, or none.
    Many,
    /// One of the characters that begin an option of a command ([`DASHES`]).
    Dash,
}

/// Characters that command lines take for the beginning of an option (Sigma 2.1, `windash`): hyphen, slash, en dash, em
/// dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// How a value must relate to the pattern's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Equal to it.
    Whole,
    /// Starts with it.
    Start,
    /// Ends with it.
    End,
    /// Contains it.
    Inside,
}

/// A pattern over a whole value; folded to lower case unless the rule says `cased`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
}

/// What an index can look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literal<'a> {
    /// The value equals the text.
    Equal(&'a str),
    /// The value contains the text; more must be checked unless `exact`.
    Contains {
        /// The text.
        text: &'a str,
        /// Where it must be, if that is all there is to check.
        exact: Option<Place>,
    },
}

impl Pattern {
    /// Reads a value as rules write it: `*` and `?` are wildcards, `\` escapes them and itself.
    ///
    /// A backslash before any other character stands for itself.
    pub(crate) fn new(text: &str, place: Place, cased: bool) -> Self {
        Self::read(text, place, cased, false)
    }

    /// Reads a value in which a hyphen or slash that begins a word stands for all of [`DASHES`].
    pub(crate) fn with_dashes(text: &str, place: Place, cased: bool) -> Self {
        Self::read(text, place, cased, true)
    }

    fn read(text: &str, place: Place, cased: bool, dashes: bool) -> Self {
        let text = if cased { Cow::Borrowed(text) } else { Cow::Owned(fold_case(text)) };
        let mut tokens = Vec::new();
        let mut literal = String::new();
        if matches!(place, Place::End | Place::Inside) {
            push(&mut tokens, &mut literal, Some(Token::Many));
        }
        let mut rest = text.chars().peekable();
        let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
        let mut follows_word = false;
        while let Some(character) = rest.next() {
            match character {
                '\\' if matches!(rest.peek(), Some('*' | '?' | '\\')) => literal.extend(rest.next()),
                '*' => push(&mut tokens, &mut literal, Some(Token::Many)),
                '?' => push(&mut tokens, &mut literal, Some(Token::One)),
                '-' | '/' if dashes && !follows_word && rest.peek().is_some_and(is_word) => {
                    push(&mut tokens, &mut literal, Some(Token::Dash));
                }
                other => literal.push(other),
            }
            follows_word = is_word(&character);
        }
        push(&mut tokens, &mut literal, None);
        if matches!(place, Place::Start | Place::Inside) {
            push(&mut tokens, &mut literal, Some(Token::Many));
        }
        Self { tokens }
    }

    /// Returns whether the pattern matches a value that is folded the way the pattern is.
    ///
    /// O(n · m) in the worst case, linear without wildcards inside.
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self.tokens.as_slice() {
            [] => value.is_empty(),
            [Token::Literal(text)] => value == text,
            [Token::Many] => true,
            [Token::Literal(text), Token::Many] => value.starts_with(text),
            [Token::Many, Token::Literal(text)] => value.ends_with(text),
            [Token::Many, Token::Literal(text), Token::Many] => value.contains(text),
            _ => self.matches_glob(value),
        }
    }

    /// Greedy match that, on failure, returns to the last `*` and gives it one character more.
    fn matches_glob(&self, value: &str) -> bool {
        let (mut rest, mut token) = (value, 0);
        let mut retry: Option<(&str, usize)> = None;
        loop {
            let step = match self.tokens.get(token) {
                None => rest.is_empty().then_some(rest),
                Some(Token::Many) => {
                    retry = Some((rest, token + 1));
                    Some(rest)
                }
                Some(Token::One) => rest.chars().next().map(|first| &rest[first.len_utf8()..]),
                Some(Token::Dash) => rest.strip_prefix(DASHES),
                Some(Token::Literal(text)) => rest.strip_prefix(text.as_str()),
            };
            match step {
                Some(_) if token >= self.tokens.len() => return true,
                Some(after) => {
                    rest = after;
                    token += 1;
                }
                None => {
                    let Some((from, at)) = retry else { return false };
                    let Some(first) = from.chars().next() else { return false };
                    let from = &from[first.len_utf8()..];
                    retry = Some((from, at));
                    (rest, token) = (from, at);
                }
            }
        }
    }

    /// Returns how many wildcards there are.
    pub(crate) fn wildcards(&self) -> usize {
        self.tokens.iter().filter(|token| !matches!(token, Token::Literal(_))).count()
    }

    /// Returns whether a match may have to be tried at every place of a value, with work for each.
    pub(crate) fn is_tried(&self) -> bool {
        !matches!(self.literal(), None | Some(Literal::Equal(_) | Literal::Contains { exact: Some(_), .. }))
    }

    /// Returns the text that every matching value has, or `None` if there is none.
    pub(crate) fn literal(&self) -> Option<Literal<'_>> {
        match self.tokens.as_slice() {
            [Token::Literal(text)] => Some(Literal::Equal(text)),
            [Token::Literal(text), Token::Many] => {
                Some(Literal::Contains { text, exact: Some(Place::Start) })
            }
            [Token::Many, Token::Literal(text)] => Some(Literal::Contains { text, exact: Some(Place::End) }),
            [Token::Many, Token::Literal(text), Token::Many] => {
                Some(Literal::Contains { text, exact: Some(Place::Inside) })
            }
            tokens => tokens
                .iter()
                .filter_map(|token| match token {
                    Token::Literal(text) => Some(text.as_str()),
                    Token::One | Token::Many | Token::Dash => None,
                })
                .max_by_key(|text| text.len())
                .map(|text| Literal::Contains { text, exact: None }),
        }
    }
}

fn push(tokens: &mut Vec<Token>, literal: &mut String, token: Option<Token>) {
    if !literal.is_empty() {
        tokens.push(Token::Literal(std::mem::take(literal)));
    }
    // Two stars in a row mean the same as one.
    if let Some(token) = token
        && !(token == Token::Many && tokens.last() == Some(&Token::Many))
    {
        tokens.push(token);
    }
}

/// Folds text so that values that differ only in case become equal.
pub(crate) fn fold_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::new(pattern, Place::Whole, true).matches(value)
    }

    #[test]
    fn wildcards_match_whole_values() {
        assert!(matches("a*c", "abbc") && matches("a*c", "ac") && !matches("a*c", "acd"));
        assert!(matches("a?c", "aéc") && !matches("a?c", "ac"));
        assert!(matches("*ab*ab", "ababab") && !matches("*ab*ab", "ab"));
        assert!(matches("", "") && !matches("", "a") && matches("**", ""));
        assert!(matches("*?b", "ab") && !matches("*?b", "b"));
    }

    #[test]
    fn a_backslash_escapes_wildcards_and_itself_and_nothing_else() {
        assert!(matches(r"a\*", "a*") && !matches(r"a\*", "ab"));
        assert!(matches(r"C:\tmp\*", r"C:\tmp*"), "the backslash escapes the star");
        assert!(matches(r"C:\tmp\\*", r"C:\tmp\x") && matches(r"a\b", r"a\b"));
    }

    #[test]
    fn case_folds_unless_asked_not_to() {
        let folded = Pattern::new("ÄBc", Place::Inside, false);
        assert!(folded.matches(&fold_case("xäbCx")));
        assert!(!Pattern::new("ABC", Place::Whole, true).matches("abc"));
    }

    #[test]
    fn a_dash_that_begins_a_word_stands_for_every_dash() {
        let pattern = Pattern::with_dashes("cmd -a x-y", Place::Inside, true);
        for dash in DASHES {
            assert!(pattern.matches(&format!("cmd {dash}a x-y")), "{dash}");
        }
        assert!(!pattern.matches("cmd a x-y") && !pattern.matches("cmd _a x-y"));
        assert!(!pattern.matches("cmd -a x/y"), "inside of a word it is a hyphen");
        let first = Pattern::with_dashes("/f*", Place::Whole, true);
        assert!(first.matches("-force") && first.matches("/f") && !first.matches("f"));
        assert!(!Pattern::with_dashes("a - b", Place::Whole, true).matches("a / b"), "no word follows");
        assert!(!Pattern::new("-a", Place::Whole, true).matches("/a"));
    }

    #[test]
    fn places_add_stars_and_offer_a_literal() {
        let start = Pattern::new("ab", Place::Start, true);
        assert!(start.matches("abc") && !start.matches("xab"));
        assert_eq!(start.literal(), Some(Literal::Contains { text: "ab", exact: Some(Place::Start) }));
        let glob = Pattern::new("a*longer?b", Place::Whole, true);
        assert_eq!(glob.literal(), Some(Literal::Contains { text: "longer", exact: None }));
        assert_eq!(Pattern::new("*", Place::Whole, true).literal(), None);
        assert_eq!(Pattern::new("*ab*", Place::Inside, true).literal(), {
            Some(Literal::Contains { text: "ab", exact: Some(Place::Inside) })
        });
    }
}
