//! One document with a list of events in it: a document for each.

use crate::doc::{Doc, ReadError};

/// Most bytes of copies of what stands beside a list, in one input.
const COPIES_BYTES_MAX: usize = 64 << 20;

/// Makes a document of each element of a list: what stands beside the list, with the element under `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Each {
    /// Name of the list in the document.
    pub(super) list: String,
    /// Name of the element in the documents made.
    pub(super) name: String,
}

impl Each {
    /// Returns the documents; one without the list is no document of this format.
    pub(super) fn expand(
        &self,
        doc: Doc,
        copied: &mut usize,
    ) -> Result<impl ExactSizeIterator<Item = Doc> + use<>, ReadError> {
        let Doc::Map(mut entries) = doc else {
            return Err(ReadError::new("each.list", "the document is no object"));
        };
        let place = entries.iter().position(|(name, _)| *name == self.list);
        let list = place.map(|place| entries.remove(place).1);
        let Some(Doc::List(elements)) = list else {
            return Err(ReadError::new("each.list", format!("no list `{}`", self.list)));
        };
        let beside = Doc::Map(entries);
        *copied = copied.saturating_add(beside.weight().saturating_mul(elements.len()));
        if *copied > COPIES_BYTES_MAX {
            return Err(ReadError::new("each.too_large", "the elements times what stands beside them"));
        }
        let name = self.name.clone();
        Ok(elements.into_iter().map(move |element| {
            let mut whole = beside.clone();
            if let Doc::Map(entries) = &mut whole {
                entries.push((name.clone(), element));
            }
            whole
        }))
    }
}
