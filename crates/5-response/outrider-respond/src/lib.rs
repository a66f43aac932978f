//! Alert dispositions, cases, the safety gate, permits and commands.
