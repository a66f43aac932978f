//! Uplink, acknowledgement and command frames between vehicle and cloud.
