//! Messages behind one another in a datagram or segment.

/// Reads the message at the beginning of bytes and returns it with what is behind it.
pub(crate) type First<'a, M> = fn(&'a [u8]) -> Option<(M, &'a [u8])>;

/// Messages of one datagram or segment, in order; ends at the first that is none.
///
/// Each takes at least a byte, in practice its header, so the walk ends. [`Self::rest`] tells what is left.
#[derive(Debug, Clone)]
pub struct Messages<'a, M> {
    rest: &'a [u8],
    first: First<'a, M>,
}

impl<'a, M> Messages<'a, M> {
    /// Begins with the first byte.
    pub(crate) const fn with(bytes: &'a [u8], first: First<'a, M>) -> Self {
        Self { rest: bytes, first }
    }

    /// Returns what was not a whole message, as far as the walk has come.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<M> Iterator for Messages<'_, M> {
    type Item = M;

    fn next(&mut self) -> Option<M> {
        let (message, rest) = (self.first)(self.rest)?;
        if rest.len() >= self.rest.len() {
            return None;
        }
        self.rest = rest;
        Some(message)
    }
}
