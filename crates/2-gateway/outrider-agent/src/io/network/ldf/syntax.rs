//! Cuts an LDF file into statements and blocks, whatever they mean.

use super::super::error::DescriptionError;
use super::super::model::Place;

/// Deepest nesting of blocks; the language has three.
const DEPTH_MAX: usize = 8;
/// Longest file: the largest network has some hundred kilobytes.
pub(super) const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A word, a string, a number or one of the marks `, : =`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) is_string: bool,
}

/// Words up to a semicolon, or up to a block and the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    pub(super) place: Place,
    pub(super) words: Vec<Word<'a>>,
    pub(super) block: Option<Vec<Statement<'a>>>,
}

impl<'a> Statement<'a> {
    /// Returns the first word.
    pub(super) fn head(&self) -> &'a str {
        self.words.first().map_or("", |word| word.text)
    }

    /// Returns what stands behind the first mark, cut at commas; each part is the words of it.
    pub(super) fn parts(&self, mark: &str) -> Vec<&[Word<'a>]> {
        let at = self.words.iter().position(|word| !word.is_string && word.text == mark);
        let behind = at.and_then(|at| self.words.get(at + 1..)).unwrap_or_default();
        if behind.is_empty() {
            return Vec::new();
        }
        behind.split(|word| !word.is_string && word.text == ",").collect()
    }

    /// Returns the statements of the block.
    pub(super) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// One character group of the text.
enum Token<'a> {
    Word(Word<'a>),
    Open,
    Close,
    End,
}

struct Tokens<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Tokens<'a> {
    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for character in taken.chars() {
            if character == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    /// Steps over white space and comments.
    fn skip(&mut self) -> Result<(), DescriptionError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(end);
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").ok_or_else(|| fault(self.place, "comment has no end"))?;
                self.advance(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Token<'a>, Place)>, DescriptionError> {
        self.skip()?;
        let place = self.place;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            '{' | '}' | ';' => {
                self.advance(1);
                match first {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                }
            }
            '"' => {
                let end = self.rest.get(1..).and_then(|rest| rest.find('"'));
                let end = end.ok_or_else(|| fault(place, "string has no end"))?;
                let text = self.advance(end + 2).trim_matches('"');
                Token::Word(Word { text, is_string: true })
            }
            ',' | ':' | '=' => Token::Word(Word { text: self.advance(1), is_string: false }),
            _ => {
                let is_end = |character: char| character.is_whitespace() || "{};,:=\"".contains(character);
                let end = self.rest.find(is_end).unwrap_or(self.rest.len()).max(first.len_utf8());
                Token::Word(Word { text: self.advance(end), is_string: false })
            }
        };
        Ok(Some((token, place)))
    }
}

fn fault(place: Place, reason: &str) -> DescriptionError {
    DescriptionError::Ldf { place, reason: reason.to_owned() }
}

/// A block whose end has not come yet.
struct Open<'a> {
    statement: Statement<'a>,
    statements: Vec<Statement<'a>>,
}

/// Cuts a text into its statements.
pub(super) fn statements(text: &str) -> Result<Vec<Statement<'_>>, DescriptionError> {
    let mut tokens = Tokens { rest: text, place: Place { line: 1, column: 1 } };
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut top = Vec::new();
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut begin = tokens.place;
    while let Some((token, place)) = tokens.next()? {
        if words.is_empty() {
            begin = place;
        }
        match token {
            Token::Word(word) => words.push(word),
            Token::End => {
                if !words.is_empty() {
                    let statement =
                        Statement { place: begin, words: std::mem::take(&mut words), block: None };
                    open.last_mut().map_or(&mut top, |open| &mut open.statements).push(statement);
                }
            }
            // A list of initial values stands where a value would.
            Token::Open if words.last().is_some_and(|word| !word.is_string && word.text == ",") => {
                words.push(Word { text: "{}", is_string: false });
                array(&mut tokens, place)?;
            }
            Token::Open => {
                if open.len() >= DEPTH_MAX {
                    return Err(fault(place, "blocks are nested too deep"));
                }
                let statement = Statement { place: begin, words: std::mem::take(&mut words), block: None };
                open.push(Open { statement, statements: Vec::new() });
            }
            Token::Close => {
                let Some(mut closed) = open.pop() else { return Err(fault(place, "} without {")) };
                if !words.is_empty() && closed.statements.is_empty() {
                    // The arguments of a command, behind which its delay stands.
                    words = closed.statement.words;
                    words.push(Word { text: "{}", is_string: false });
                    begin = closed.statement.place;
                    continue;
                }
                if !words.is_empty() {
                    return Err(fault(begin, "statement has no semicolon"));
                }
                closed.statement.block = Some(closed.statements);
                open.last_mut().map_or(&mut top, |open| &mut open.statements).push(closed.statement);
            }
        }
    }
    match open.first() {
        Some(open) => Err(fault(open.statement.place, "block has no end")),
        None if words.is_empty() => Ok(top),
        None => Err(fault(begin, "statement has no semicolon")),
    }
}

/// Steps behind the end of a list of values.
fn array(tokens: &mut Tokens<'_>, place: Place) -> Result<(), DescriptionError> {
    loop {
        match tokens.next()? {
            Some((Token::Close, _)) => return Ok(()),
            Some((Token::Word(_), _)) => {}
            Some((Token::Open | Token::End, _)) | None => return Err(fault(place, "list has no end")),
        }
    }
}
