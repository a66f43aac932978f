//! Packages: those that ship, and hostile ones.

mod content;
mod corpus;
mod hold;
