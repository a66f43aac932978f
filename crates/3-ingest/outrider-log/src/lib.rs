//! The durable event log behind the EventLog port.
