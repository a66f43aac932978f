//! Readers: golden samples, properties, the fuzz corpus.

mod corpus;
mod golden;
mod hold;
mod properties;
mod render;
