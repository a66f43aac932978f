//! Sigma rules: parse, check, compile and match over columns.
