//! Sessions, deduplication, gaps, time correction, decoding and quarantine.
