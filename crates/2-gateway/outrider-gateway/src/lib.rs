//! Lanes, aggregation, spool and the uplink state machine of the vehicle.
