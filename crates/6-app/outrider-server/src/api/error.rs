//! Refusals as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::dto::ApiError;
use crate::evidence::EvidenceError;
use crate::identity::IdentityError;
use crate::port::HistoryError;
use crate::store::StoreError;
use crate::update::UpdateError;
use crate::vehicle::ArtifactError;

/// Answer of a request that was refused.
#[derive(Debug)]
pub struct ApiFailure {
    status: StatusCode,
    body: ApiError,
}

impl ApiFailure {
    /// Creates a refusal.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: ApiError { code: code.to_owned(), message: message.into(), details: Vec::new() },
        }
    }

    /// 401.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "log in first")
    }

    /// 403.
    #[must_use]
    pub fn forbidden(code: &str, message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    #[must_use]
    pub fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 422.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// 500; what happened goes to the log, not to the caller.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log says why")
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<StoreError> for ApiFailure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, error.code(), error.to_string()),
            StoreError::Conflict(_) | StoreError::Fenced { .. } => {
                Self::new(StatusCode::CONFLICT, error.code(), error.to_string())
            }
            StoreError::Invalid(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string())
            }
            StoreError::Database(_) | StoreError::Damaged { .. } => Self::internal(&error),
        }
    }
}

impl From<IdentityError> for ApiFailure {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Refused => Self::new(StatusCode::UNAUTHORIZED, "refused", error.to_string()),
            IdentityError::Locked { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "locked", error.to_string())
            }
            IdentityError::Password(_) | IdentityError::Name => Self::invalid(error.to_string()),
            IdentityError::Store(error) => error.into(),
        }
    }
}

impl From<HistoryError> for ApiFailure {
    fn from(error: HistoryError) -> Self {
        match &error {
            HistoryError::Question(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "query", error.to_string())
            }
            HistoryError::Timeout { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", error.to_string())
            }
            HistoryError::Storage(_) => Self::internal(&error),
        }
    }
}

impl From<EvidenceError> for ApiFailure {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Invalid(message) => Self::invalid(message),
            EvidenceError::Store(error) => error.into(),
            EvidenceError::History(error) => error.into(),
            EvidenceError::Sign(_) => Self::internal(&error),
        }
    }
}

impl From<UpdateError> for ApiFailure {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Invalid(message) => Self::invalid(message),
            UpdateError::Store(error) => error.into(),
            UpdateError::Artifact(ArtifactError::TooLarge { .. }) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body", error.to_string())
            }
            UpdateError::Artifact(ArtifactError::Vault(ref failed)) => Self::internal(failed),
            UpdateError::Artifact(ref refused) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, refused.code(), error.to_string())
            }
            UpdateError::Sign(_) | UpdateError::Thread(_) => Self::internal(&error),
        }
    }
}
