//! YAML as a small tree with positions, within fixed caps.
//!
//! Rules need maps, lists and scalars. Anchors, aliases, tags and merge keys are refused, so that a document
//! can never grow beyond its own length.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::problem::Position;

/// Largest document; a rule of the Sigma collection has 1 to 8 KiB.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting; the deepest key of a rule needs five.
pub(crate) const DEPTH_MAX: usize = 16;
/// Most scalars, lists and maps of one document.
pub(crate) const NODES_MAX: usize = 8_192;

/// Text of a scalar, and whether it was written without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) plain: bool,
    /// Columns between the position and the first character of the text, or `None` if it spans lines.
    pub(crate) inset: Option<u32>,
}

impl Scalar {
    /// Returns whether the scalar is YAML's null.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// One value with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map and its value; keys are unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) value: Node,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) at: Position,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

/// Reads one document; `None` if it is empty. Positions are those in the file.
pub(crate) fn parse(chunk: Chunk<'_>) -> Result<Option<Node>, YamlError> {
    let Chunk { line, text } = chunk;
    let position = |mark: Marker| {
        let at = position(mark);
        Position { line: at.line.saturating_add(line - 1), column: at.column }
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        let at = Position { line, column: 1 };
        return Err(too_large(at, format!("document has {} bytes", text.len())));
    }
    let mut tree = Tree { open: Vec::new(), nodes: 0, root: None, documents: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            at: position(*error.marker()),
            code: "yaml.syntax",
            message: error.info().to_owned(),
            hint: "check indentation, quotes and brackets near this place",
        })?;
        let lines = span.end.line() - span.start.line();
        tree.receive(event, position(span.start), lines == 0)?;
    }
    Ok(tree.root.filter(|root| !matches!(&root.value, Value::Scalar(scalar) if scalar.is_null())))
}

fn position(mark: Marker) -> Position {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: number(mark.line().max(1)), column: number(mark.col() + 1) }
}

fn too_large(at: Position, message: String) -> YamlError {
    YamlError { at, code: "yaml.too_large", message, hint: "split the document or shorten its lists" }
}

/// A list or map that is being read.
enum Open {
    List { at: Position, items: Vec<Node> },
    Map { at: Position, entries: Vec<Entry>, key: Option<(String, Position)> },
}

struct Tree {
    open: Vec<Open>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
}

impl Tree {
    fn receive(&mut self, event: Event<'_>, at: Position, one_line: bool) -> Result<(), YamlError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let hint = "separate documents with a line that holds only ---";
                    return Err(refused(at, "a second document begins here", hint));
                }
                Ok(())
            }
            Event::Alias(_) => Err(refused(at, "aliases are not allowed", "write the value out")),
            Event::Scalar(text, style, anchor, tag) => {
                self.check(at, anchor, tag.is_some())?;
                let inset = match style {
                    ScalarStyle::Plain => one_line.then_some(0),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => one_line.then_some(1),
                    ScalarStyle::Literal | ScalarStyle::Folded => None,
                };
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain, inset };
                self.place(Node { at, value: Value::Scalar(scalar) })
            }
            Event::SequenceStart(anchor, tag) => {
                self.check(at, anchor, tag.is_some())?;
                self.push(Open::List { at, items: Vec::new() })
            }
            Event::MappingStart(anchor, tag) => {
                self.check(at, anchor, tag.is_some())?;
                self.push(Open::Map { at, entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, items }) => self.place(Node { at, value: Value::List(items) }),
                Some(Open::Map { at, entries, .. }) => self.place(Node { at, value: Value::Map(entries) }),
                None => Ok(()),
            },
        }
    }

    fn check(&mut self, at: Position, anchor: usize, tagged: bool) -> Result<(), YamlError> {
        if anchor != 0 {
            return Err(refused(at, "anchors are not allowed", "write the value out where it is used"));
        }
        if tagged {
            return Err(refused(at, "tags such as !!str are not allowed", "use quotes for text"));
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(too_large(at, format!("document has more than {NODES_MAX} values")));
        }
        Ok(())
    }

    fn push(&mut self, open: Open) -> Result<(), YamlError> {
        let (Open::List { at, .. } | Open::Map { at, .. }) = open;
        if self.open.len() >= DEPTH_MAX {
            return Err(too_large(at, format!("document is nested more than {DEPTH_MAX} levels deep")));
        }
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            return Err(refused(at, "a key must be text", "quote the key"));
        }
        self.open.push(open);
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), YamlError> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some((key, key_at)) => entries.push(Entry { key, key_at, value: node }),
                None => {
                    let Value::Scalar(scalar) = node.value else {
                        return Err(refused(node.at, "a key must be text", "quote the key"));
                    };
                    if entries.iter().any(|entry| entry.key == scalar.text) {
                        let message = format!("key `{}` appears twice", scalar.text);
                        let hint = "merge the two, or put them into two selections";
                        return Err(refused(node.at, &message, hint));
                    }
                    // The key's own first character, so that places inside it can be counted from there.
                    let column = node.at.column.saturating_add(scalar.inset.unwrap_or(0));
                    *key = Some((scalar.text, Position { line: node.at.line, column }));
                }
            },
        }
        Ok(())
    }
}

fn refused(at: Position, message: &str, hint: &'static str) -> YamlError {
    YamlError { at, code: "yaml.refused", message: message.to_owned(), hint }
}

/// One document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    /// Number of the first line in the file, from 1.
    pub(crate) line: u32,
    /// The text.
    pub(crate) text: &'a str,
}

/// Splits a file at lines that begin a document, so that one broken document leaves the others readable.
pub(crate) fn split(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut offset, mut line) = (0, 1, 0, 1u32);
    for row in text.split_inclusive('\n') {
        let marker = row.trim_end();
        let is_marker = marker == "---" || marker.starts_with("--- ");
        offset += row.len();
        if is_marker {
            chunks.push(Chunk { line: start_line, text: &text[start..offset - row.len()] });
            start = offset;
            start_line = line.saturating_add(1);
        }
        line = line.saturating_add(1);
    }
    chunks.push(Chunk { line: start_line, text: &text[start..] });
    chunks.retain(|chunk| {
        chunk.text.lines().any(|row| !row.trim().is_empty() && !row.trim_start().starts_with('#'))
    });
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Node>, YamlError> {
        super::parse(Chunk { line: 1, text })
    }

    fn code(text: &str) -> &'static str {
        parse(text).expect_err("the document is refused").code
    }

    #[test]
    fn values_know_where_they_are() {
        let root = parse("a: 1\nb:\n  - 'x'\n").expect("it is YAML").expect("it is not empty");
        let Value::Map(entries) = root.value else { panic!("a map") };
        assert_eq!(entries[1].key_at, Position { line: 2, column: 1 });
        let Value::List(items) = &entries[1].value.value else { panic!("a list") };
        assert_eq!(items[0].at, Position { line: 3, column: 5 });
        assert!(matches!(&items[0].value, Value::Scalar(scalar) if !scalar.plain && scalar.inset == Some(1)));
    }

    #[test]
    fn what_could_grow_is_refused() {
        assert_eq!(code("a: &x 1\nb: *x\n"), "yaml.refused");
        assert_eq!(code("a: !!str 1\n"), "yaml.refused");
        assert_eq!(code("a: 1\na: 2\n"), "yaml.refused");
        assert_eq!(code("? [a]\n: 1\n"), "yaml.refused");
        assert_eq!(code(&"[".repeat(DEPTH_MAX + 1)), "yaml.too_large");
        assert_eq!(code(&format!("[{}]", "1,".repeat(NODES_MAX))), "yaml.too_large");
        assert_eq!(code(&" ".repeat(DOCUMENT_BYTES_MAX + 1)), "yaml.too_large");
        assert_eq!(code("a: [1\nb: }"), "yaml.syntax");
    }

    #[test]
    fn the_deepest_and_longest_legal_documents_pass() {
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(parse(&deep).is_ok());
        assert!(parse(&format!("[{}]", "1,".repeat(NODES_MAX - 1))).is_ok());
        assert_eq!(parse("# nothing\n"), Ok(None));
    }

    #[test]
    fn files_split_at_document_lines() {
        let chunks = split("a: 1\n---\nb: |\n  ---x\n--- # next\nc: 1\n---\n# only words\n");
        let lines: Vec<_> = chunks.iter().map(|chunk| (chunk.line, chunk.text)).collect();
        assert_eq!(lines, [(1, "a: 1\n"), (3, "b: |\n  ---x\n"), (6, "c: 1\n")]);
    }
}
