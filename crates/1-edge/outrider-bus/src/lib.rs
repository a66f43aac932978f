//! Vehicle bus protocols: zero-copy views and checked values.
