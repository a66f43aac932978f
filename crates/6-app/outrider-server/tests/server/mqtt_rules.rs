//! MQTT rules.
