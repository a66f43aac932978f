//! HTTP API: routes, what they say and hear, and the document that tells others.

pub mod dto;
mod openapi;
pub mod route;

pub use openapi::openapi_json;

/// Cookie that carries the session's token.
pub const SESSION_COOKIE: &str = "outrider_session";
