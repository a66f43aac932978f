//! Seeded fleet simulator, red team and checkers.
