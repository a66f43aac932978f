//! Tests of the crate's public face.

mod agree;
mod content;
mod corpus;
mod encoded;
mod modifiers;
mod packs;
mod problems;
