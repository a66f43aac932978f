//! What the lines of one input look like: names and places, learnt as they are met.
//!
//! Lines of one source repeat each other's members, in the same order. A member that follows the one that it followed
//! before costs one comparison; its path, whether a table reads it, and the name under which it is kept otherwise are known.

use outrider_types::FieldKey;

use crate::map::{FieldMap, Kept, Step, push_index, push_name};

/// Most members and places that are learnt: as many as a document may have values. A line beyond is read the other way.
const NODES_MAX: usize = 4_096;
/// Places for names, four times as many as there may be.
const PLACES: usize = 4 * NODES_MAX;
/// Places that are looked at for one name; a name that finds none is not learnt. With at most a quarter of all places
/// taken this does not happen, unless somebody makes such names.
const STEPS_MAX: usize = 16;
/// Most bytes of a name, with the quotation mark and the colon behind it, that are compared as two numbers.
const SHORT_BYTES_MAX: usize = 16;

/// Number of a node; 0 is the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(u32);

impl NodeId {
    pub(super) const ROOT: Self = Self(0);

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What becomes of a member's value, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays a foreign field.
    Kept,
    /// It stays none.
    Dropped,
    /// It stays one, unless a field of its own path takes it.
    Own,
    /// It stays one, unless one of several fields takes it.
    Asked,
}

/// A member of a document, as every line needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Name, quotation mark and colon as numbers, with masks for what is behind them; the masks are zero for long names.
    words: [u64; 2],
    masks: [u64; 2],
    /// Number of the line that had it last.
    seen: u64,
    /// Member that followed it last in its map; 0 for none.
    next: NodeId,
    /// Member that came first in it last; 0 for none.
    first: NodeId,
    /// Bytes of the name.
    length: u32,
    /// Path of the table that ends here; `u32::MAX` for none.
    pub(super) slot: u32,
    /// Whether more paths of the table end here.
    pub(super) has_more: bool,
    pub(super) fate: Fate,
}

impl Node {
    /// Returns whether anything is done with a value.
    pub(super) const fn is_read(&self) -> bool {
        self.slot != u32::MAX || !matches!(self.fate, Fate::Dropped)
    }
}

/// The rest of what is known of a member.
#[derive(Debug)]
struct Known {
    parent: NodeId,
    /// Name in its map, as it stands between the quotation marks; empty for places of lists.
    name: Box<str>,
    /// Path in the words of foreign fields.
    path: Box<str>,
    /// Places of a list, ascending.
    places: Vec<NodeId>,
    /// Paths of the table that end here.
    slots: Box<[u32]>,
    /// Paths of the table that go on from here, and how many of their steps were gone.
    ways: Vec<(usize, usize)>,
    kept: Kept,
    /// Name of the foreign field.
    extension: Box<str>,
}

/// Where in a map or list the next member is expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    node: NodeId,
    /// Member before; 0 at the beginning.
    last: NodeId,
    place: usize,
}

impl Cursor {
    pub(super) const fn new(node: NodeId) -> Self {
        Self { node, last: NodeId::ROOT, place: 0 }
    }
}

/// What was learnt of the lines of one input.
#[derive(Debug)]
pub(super) struct Shape<'m> {
    map: &'m FieldMap,
    nodes: Vec<Node>,
    known: Vec<Known>,
    /// Nodes by parent and name; 0 for a free place.
    places: Vec<u32>,
    /// Number of the line that is read, from 1.
    line: u64,
    /// Bytes of the longest name of a foreign field.
    longest: usize,
}

impl<'m> Shape<'m> {
    pub(super) fn new(map: &'m FieldMap) -> Self {
        let mut shape =
            Self { map, nodes: Vec::new(), known: Vec::new(), places: vec![0; PLACES], line: 0, longest: 0 };
        let ways = (0..map.paths().len()).map(|path| (path, 0)).collect();
        shape.push(Known {
            parent: NodeId::ROOT,
            name: Box::default(),
            path: Box::default(),
            places: Vec::new(),
            slots: Box::default(),
            ways,
            kept: map.kept(""),
            extension: Box::default(),
        });
        shape
    }

    /// Begins the next line.
    pub(super) fn begin(&mut self) {
        self.line += 1;
    }

    /// Returns the bytes of the longest name of a foreign field.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Returns all paths of the table that end at a node.
    pub(super) fn slots(&self, id: NodeId) -> &[u32] {
        &self.known[id.index()].slots
    }

    /// Returns the name under which a value of the node stays.
    pub(super) fn extension(&self, id: NodeId) -> &str {
        &self.known[id.index()].extension
    }

    /// Compares the text behind a quotation mark with the expected member. Returns it with the length of name, quotation
    /// mark and colon, if it is that one; `None` inside if it is another, outside if the line has the member already.
    pub(super) fn expected(&mut self, cursor: &mut Cursor, rest: &[u8]) -> Option<Option<(NodeId, usize)>> {
        let id = if cursor.last == NodeId::ROOT {
            self.nodes[cursor.node.index()].first
        } else {
            self.nodes[cursor.last.index()].next
        };
        if id == NodeId::ROOT {
            return Some(None);
        }
        let node = &mut self.nodes[id.index()];
        let length = node.length as usize;
        let is_it = match rest.first_chunk::<SHORT_BYTES_MAX>() {
            Some(chunk) if node.masks[0] != 0 => {
                let [one, two] = words(chunk);
                (one & node.masks[0]) == node.words[0] && (two & node.masks[1]) == node.words[1]
            }
            Some(_) | None => {
                rest.starts_with(self.known[id.index()].name.as_bytes())
                    && rest.get(length..length + 2) == Some(b"\":")
            }
        };
        if !is_it {
            return Some(None);
        }
        cursor.last = id;
        (std::mem::replace(&mut node.seen, self.line) != self.line).then_some(Some((id, length + 2)))
    }

    /// Finds or learns the member of a name that was not expected; `None` if the line has it already, or too much would
    /// have to be learnt.
    pub(super) fn other(&mut self, cursor: &mut Cursor, name: &str) -> Option<NodeId> {
        let parent = cursor.node;
        let (mut id, mut free) = (None, None);
        for place in steps(parent, name) {
            let found = NodeId(self.places[place]);
            if found == NodeId::ROOT {
                free = Some(place);
                break;
            }
            let known = &self.known[found.index()];
            if known.parent == parent && *known.name == *name {
                id = Some(found);
                break;
            }
        }
        let id = match id {
            Some(id) => id,
            None => {
                let free = free?;
                let id = self.learn(parent, Step::Name(name.to_owned()))?;
                self.places[free] = id.0;
                id
            }
        };
        let before = if cursor.last == NodeId::ROOT {
            &mut self.nodes[parent.index()].first
        } else {
            &mut self.nodes[cursor.last.index()].next
        };
        *before = id;
        cursor.last = id;
        let node = &mut self.nodes[id.index()];
        (std::mem::replace(&mut node.seen, self.line) != self.line).then_some(id)
    }

    /// Finds or learns the next place of a list.
    pub(super) fn place(&mut self, cursor: &mut Cursor) -> Option<NodeId> {
        let index = cursor.place;
        cursor.place += 1;
        if let Some(id) = self.known[cursor.node.index()].places.get(index) {
            return Some(*id);
        }
        let id = self.learn(cursor.node, Step::Index(index))?;
        self.known[cursor.node.index()].places.push(id);
        Some(id)
    }

    fn learn(&mut self, parent: NodeId, step: Step) -> Option<NodeId> {
        if self.nodes.len() == NODES_MAX {
            return None;
        }
        let above = &self.known[parent.index()];
        let (mut slots, mut ways) = (Vec::new(), Vec::new());
        for (path, gone) in &above.ways {
            let steps = self.map.paths()[*path].steps();
            if steps.get(*gone) == Some(&step) {
                if steps.len() == gone + 1 {
                    slots.push(u32::try_from(*path).ok()?);
                } else {
                    ways.push((*path, gone + 1));
                }
            }
        }
        let mut path = above.path.to_string();
        let name = match step {
            Step::Name(name) => {
                push_name(&mut path, &name);
                name
            }
            Step::Index(index) => {
                push_index(&mut path, index);
                String::new()
            }
        };
        let kept = if matches!(above.kept, Kept::Never) { Kept::Never } else { self.map.kept(&path) };
        let extension = match kept {
            Kept::Never => Box::default(),
            Kept::Always | Kept::Unless(_) => self.map.extension(&path).into_boxed_str(),
        };
        Some(self.push(Known {
            parent,
            name: name.into_boxed_str(),
            path: path.into_boxed_str(),
            places: Vec::new(),
            slots: slots.into_boxed_slice(),
            ways,
            kept,
            extension,
        }))
    }

    fn push(&mut self, known: Known) -> NodeId {
        let length = known.name.len();
        let (mut text, mut mask) = ([0; SHORT_BYTES_MAX], [0; SHORT_BYTES_MAX]);
        if length + 2 <= SHORT_BYTES_MAX {
            text[..length].copy_from_slice(known.name.as_bytes());
            text[length..length + 2].copy_from_slice(b"\":");
            mask[..length + 2].fill(0xff);
        }
        let fate = match &known.kept {
            Kept::Always => Fate::Kept,
            Kept::Never => Fate::Dropped,
            Kept::Unless(keys) => {
                let is_own =
                    |slot: &u32| self.map.field_at(*slot as usize).is_some_and(|key| keys.contains(&key));
                if known.slots.iter().any(is_own) { Fate::Own } else { Fate::Asked }
            }
        };
        if matches!(fate, Fate::Kept | Fate::Asked) {
            self.longest = self.longest.max(known.extension.len());
        }
        self.nodes.push(Node {
            words: words(&text),
            masks: words(&mask),
            seen: 0,
            next: NodeId::ROOT,
            first: NodeId::ROOT,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            slot: known.slots.first().copied().unwrap_or(u32::MAX),
            has_more: known.slots.len() > 1,
            fate,
        });
        self.known.push(known);
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap_or(0))
    }

    /// Returns whether a value of a member stays a foreign field, if these catalogue fields were filled.
    pub(super) fn is_kept(&self, id: NodeId, is_given: impl Fn(FieldKey) -> bool) -> bool {
        match &self.known[id.index()].kept {
            Kept::Always => true,
            Kept::Never => false,
            Kept::Unless(keys) => !keys.iter().any(|key| is_given(*key)),
        }
    }
}

/// Returns sixteen bytes as two numbers.
fn words(bytes: &[u8; SHORT_BYTES_MAX]) -> [u64; 2] {
    let (words, _) = bytes.as_chunks::<8>();
    [words[0], words[1]].map(u64::from_le_bytes)
}

/// Returns the places of a name.
fn steps(parent: NodeId, name: &str) -> impl Iterator<Item = usize> {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let hash = words.iter().fold(u64::from(parent.0), |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = mix(hash, rest.iter().fold(1, |last, byte| last << 8 | u64::from(*byte)));
    let first = (hash >> 40) as usize;
    (0..STEPS_MAX).map(move |step| (first + step) % PLACES)
}
