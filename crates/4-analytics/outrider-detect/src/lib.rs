//! Event-time correlation over a fleet, findings and alert grouping.
