//! Intrusion detectors for vehicle buses over fixed tables.
