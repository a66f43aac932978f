//! A small XML tree with places, caps and a mark on everything that was looked at.
//!
//! Refused: document type definitions (so no entity but the five of XML itself is ever expanded), more than
//! [`DEPTH_MAX`] levels, more than [`ELEMENTS_MAX`] elements, more than [`ATTRIBUTES_MAX`] attributes of one element.

use std::cell::Cell;
use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

use super::NAME_BYTES_MAX;
use super::error::DescriptionError;
use super::model::{Description, Place};

/// Deepest nesting; ARXML stays below 40.
pub(super) const DEPTH_MAX: usize = 128;
/// Most elements.
pub(super) const ELEMENTS_MAX: usize = 2_000_000;
/// Most attributes of one element.
pub(super) const ATTRIBUTES_MAX: usize = 64;
/// Most children looked at, so that a few elements that everything refers to cannot cost more than the file's size
/// allows: a second of work.
const STEPS_MAX: u64 = 100_000_000;
/// Longest text of one element that is kept, in bytes; the rest is left out.
const TEXT_BYTES_MAX: usize = 64 * 1024;

struct Node {
    name: u32,
    place: Place,
    text: String,
    attributes: Vec<(String, String)>,
    parent: Option<usize>,
    children: Vec<usize>,
    is_used: Cell<bool>,
}

/// A whole document.
pub(super) struct Tree {
    nodes: Vec<Node>,
    names: Vec<String>,
    steps: Cell<u64>,
}

/// One element of a tree.
#[derive(Clone, Copy)]
pub(super) struct Element<'t> {
    tree: &'t Tree,
    index: usize,
}

/// Counts lines and columns up to a position that only grows.
struct Places<'s> {
    text: &'s str,
    at: usize,
    place: Place,
}

impl Places<'_> {
    fn place(&mut self, position: u64) -> Place {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(self.text.len());
        for character in self.text.get(self.at..position).unwrap_or("").chars() {
            if character == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        self.at = self.at.max(position);
        self.place
    }
}

/// Builds a tree, event by event.
struct Builder {
    tree: Tree,
    ids: BTreeMap<String, u32>,
    open: Vec<usize>,
}

impl Tree {
    /// Parses a document.
    pub(super) fn parse(text: &str) -> Result<Self, DescriptionError> {
        let mut reader = Reader::from_str(text);
        let mut places = Places { text, at: 0, place: Place { line: 1, column: 1 } };
        let mut builder = Builder {
            tree: Self { nodes: Vec::new(), names: Vec::new(), steps: Cell::new(0) },
            ids: BTreeMap::new(),
            open: Vec::new(),
        };
        loop {
            let place = places.place(reader.buffer_position());
            let fault = |reason: String| DescriptionError::Xml { place, reason };
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let place = places.place(reader.error_position());
                    return Err(DescriptionError::Xml { place, reason: error.to_string() });
                }
            };
            if matches!(event, Event::Eof) {
                return builder.finish().map_err(fault);
            }
            builder.event(event, place).map_err(fault)?;
        }
    }

    /// Returns the root element.
    pub(super) fn root(&self) -> Element<'_> {
        Element { tree: self, index: 0 }
    }

    /// Returns every element in document order.
    pub(super) fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        (0..self.nodes.len()).map(|index| Element { tree: self, index })
    }

    /// Spends some of the work that one file may cost; returns whether there was any left.
    pub(super) fn spend(&self, steps: u64) -> bool {
        self.steps.set(self.steps.get().saturating_add(steps));
        self.steps.get() <= STEPS_MAX
    }

    /// Counts what was never looked at, by name; what is below such an element goes with it.
    pub(super) fn count_unused(&self, description: &mut Description, administrative: &[&str]) {
        if !self.spend(0) {
            let place = self.root().place();
            let what = "the file costs too much work; the rest was not read";
            description.problem(place, self.root().name(), super::model::Reason::Unsupported, what);
        }
        // A parent stands before its children, so one pass knows of each whether its parent was used.
        for element in self.elements() {
            let node = element.node();
            let is_parent_used = node
                .parent
                .is_none_or(|parent| self.nodes.get(parent).is_some_and(|parent| parent.is_used.get()));
            let is_counted = !administrative.contains(&element.name());
            if is_parent_used && !node.is_used.get() && node.parent.is_some() && is_counted {
                description.pass_over(element.name(), node.place);
            }
        }
    }
}

impl Builder {
    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), String> {
        match event {
            Event::Start(start) => {
                let index = self.element(&start, place)?;
                if self.open.len() >= DEPTH_MAX {
                    return Err(format!("more than {DEPTH_MAX} levels"));
                }
                self.open.push(index);
            }
            Event::Empty(start) => {
                self.element(&start, place)?;
            }
            Event::End(_) => {
                self.open.pop();
            }
            Event::Text(text) => self.text(&text.decode().map_err(|error| error.to_string())?),
            Event::CData(text) => self.text(&text.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                if let Some(character) = character {
                    self.text(character.encode_utf8(&mut [0; 4]));
                } else {
                    let name = reference.decode().map_err(|error| error.to_string())?;
                    let known = resolve_xml_entity(&name);
                    self.text(known.ok_or_else(|| format!("entity {name:?} is not one of XML's own"))?);
                }
            }
            Event::DocType(_) => return Err("document type definitions are refused".to_owned()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn element(&mut self, start: &BytesStart<'_>, place: Place) -> Result<usize, String> {
        let index = self.tree.nodes.len();
        if index >= ELEMENTS_MAX {
            return Err(format!("more than {ELEMENTS_MAX} elements"));
        }
        if index > 0 && self.open.is_empty() {
            return Err("a second root element".to_owned());
        }
        let name = local(start.local_name().as_ref());
        let name = match self.ids.get(&name) {
            Some(&id) => id,
            None => {
                let id = u32::try_from(self.tree.names.len()).map_err(|_| "too many names".to_owned())?;
                self.ids.insert(name.clone(), id);
                self.tree.names.push(name);
                id
            }
        };
        let mut attributes = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            if attributes.len() >= ATTRIBUTES_MAX {
                return Err(format!("more than {ATTRIBUTES_MAX} attributes"));
            }
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.unescape_value().map_err(|error| error.to_string())?;
            attributes.push((local(attribute.key.local_name().as_ref()), cut(&value, NAME_BYTES_MAX)));
        }
        let parent = self.open.last().copied();
        self.tree.nodes.push(Node {
            name,
            place,
            text: String::new(),
            attributes,
            parent,
            children: Vec::new(),
            is_used: Cell::new(index == 0),
        });
        if let Some(parent) = parent.and_then(|parent| self.tree.nodes.get_mut(parent)) {
            parent.children.push(index);
        }
        Ok(index)
    }

    fn text(&mut self, text: &str) {
        let Some(node) = self.open.last().and_then(|&open| self.tree.nodes.get_mut(open)) else { return };
        if text.trim().is_empty() && (node.text.is_empty() || !node.children.is_empty()) {
            return;
        }
        let room = TEXT_BYTES_MAX.saturating_sub(node.text.len());
        node.text.push_str(&cut(text, room));
    }

    fn finish(self) -> Result<Tree, String> {
        if let Some(node) = self.open.last().and_then(|&open| self.tree.nodes.get(open)) {
            let name = self.tree.names.get(node.name as usize).map_or("", String::as_str);
            return Err(format!("element {name} of {} has no end", node.place));
        }
        if self.tree.nodes.is_empty() { Err("there is no element".to_owned()) } else { Ok(self.tree) }
    }
}

/// Cuts a text at a character boundary.
fn cut(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("").to_owned()
}

fn local(name: &[u8]) -> String {
    cut(&String::from_utf8_lossy(name), NAME_BYTES_MAX)
}

impl<'t> Element<'t> {
    fn node(self) -> &'t Node {
        // Indices are made by the builder only and never leave their tree.
        &self.tree.nodes[self.index]
    }

    /// Returns the index in the document's order.
    pub(super) const fn index(self) -> usize {
        self.index
    }

    /// Returns the name without its prefix.
    pub(super) fn name(self) -> &'t str {
        self.tree.names.get(self.node().name as usize).map_or("", String::as_str)
    }

    /// Returns where it begins.
    pub(super) fn place(self) -> Place {
        self.node().place
    }

    /// Returns the text without white space around it.
    pub(super) fn text(self) -> &'t str {
        self.node().text.trim()
    }

    /// Returns an attribute by its name without prefix.
    pub(super) fn attribute(self, name: &str) -> Option<&'t str> {
        self.node().attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Spends some of the work that the file may cost.
    pub(super) fn spend(self, steps: u64) -> bool {
        self.tree.spend(steps)
    }

    /// Returns the parent.
    pub(super) fn parent(self) -> Option<Self> {
        self.node().parent.map(|index| Self { tree: self.tree, index })
    }

    /// Marks it and everything above it as looked at.
    pub(super) fn mark(self) -> Self {
        let mut next = Some(self);
        while let Some(element) = next {
            if element.node().is_used.replace(true) && element.index != self.index {
                break;
            }
            next = element.parent();
        }
        self
    }

    /// Returns the children without marking them.
    pub(super) fn peek(self) -> impl Iterator<Item = Self> {
        let children = self.node().children.iter().map(move |&index| Self { tree: self.tree, index });
        children.take_while(move |_| self.tree.spend(1))
    }

    /// Returns the children of a name, marked.
    pub(super) fn all(self, name: &'static str) -> impl Iterator<Item = Self> {
        self.peek().filter(move |child| child.name() == name).map(Self::mark)
    }

    /// Returns the first child of a name, marked.
    pub(super) fn child(self, name: &'static str) -> Option<Self> {
        self.all(name).next()
    }

    /// Goes down by the first child of each name.
    pub(super) fn down(self, names: &[&'static str]) -> Option<Self> {
        names.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Returns the text of the child at a path, `None` if it is not there or empty.
    pub(super) fn value(self, names: &[&'static str]) -> Option<&'t str> {
        self.down(names).map(Self::text).filter(|text| !text.is_empty())
    }

    /// Returns all descendants of a name, marked with everything above them.
    pub(super) fn descendants(self, name: &'static str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut waiting = vec![self];
        while let Some(element) = waiting.pop() {
            if element.index != self.index && element.name() == name {
                found.push(element.mark());
            }
            waiting.extend(element.peek());
        }
        found.sort_by_key(|element| element.index);
        found
    }
}
