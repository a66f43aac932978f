//! Tests of the detector as a whole: against a slow reference, in every order, through snapshots, at limits.

mod content;
mod corpus;
mod events;
mod figures;
mod fleet;
mod limits;
mod order;
mod reference;
mod saved;
mod stages;
mod temporal;
mod wire;
