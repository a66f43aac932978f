//! The event batch, its catalogue, findings and the ports between layers.
