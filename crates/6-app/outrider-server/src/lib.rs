//! The async shell: vehicle listener, HTTP API, identity and dashboard.

pub mod api;
