//! Bodies, query strings and callers, refused as JSON where they do not fit.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::error::ApiFailure;
use crate::identity::Caller;

/// Time for a body: a peer that sends none must not hold a connection for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = ApiFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFailure> {
        match tokio::time::timeout(PATIENCE, Json::<T>::from_request(request, state)).await {
            Ok(Ok(Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(ApiFailure::new(rejection.status(), "body", rejection.body_text())),
            Err(_) => Err(ApiFailure::new(StatusCode::REQUEST_TIMEOUT, "body", "the body came too slowly")),
        }
    }
}

/// Time for a file: eight mebibytes at 1.2 Mbit/s.
const FILE_PATIENCE: Duration = Duration::from_secs(60);

/// Body of bytes; the route says how many at most.
pub(crate) struct Octets(pub(crate) Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Octets {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFailure> {
        match tokio::time::timeout(FILE_PATIENCE, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes.into())),
            Ok(Err(rejection)) => Err(ApiFailure::new(rejection.status(), "body", rejection.body_text())),
            Err(_) => Err(ApiFailure::new(StatusCode::REQUEST_TIMEOUT, "body", "the body came too slowly")),
        }
    }
}

/// Query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    Query<T>: FromRequestParts<S, Rejection = QueryRejection>,
    S: Send + Sync,
{
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                Err(ApiFailure::new(StatusCode::UNPROCESSABLE_ENTITY, "query", rejection.body_text()))
            }
        }
    }
}

/// Caller that the guard let through.
pub(crate) struct By(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFailure> {
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(ApiFailure::unauthenticated)
    }
}
