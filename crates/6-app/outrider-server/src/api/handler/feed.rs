//! Feeds of foreign events.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use outrider_decode::{Package, Release};

use super::text;
use crate::api::app::{App, Shared};
use crate::api::dto::{
    CreateFeedRequest, CreatedFeed, Decoder, Feed, FeedReceipt, FeedStateRequest, StageBalance, Timestamp,
};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By, Octets};
use crate::feeds::{Admitted, FeedRefusal};
use crate::store::{FeedSetup, StoredFeed};

/// Takes a body of a feed; answers when it is durable. The guard has let the feed in.
pub(crate) async fn receive(
    state: Shared,
    Extension(admitted): Extension<Admitted>,
    headers: HeaderMap,
    Octets(body): Octets,
) -> Result<(StatusCode, Json<FeedReceipt>), ApiFailure> {
    let word = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (content_type, encoding) = (word(header::CONTENT_TYPE), word(header::CONTENT_ENCODING));
    let feeds = state.feeds.clone();
    // Decompressing computes, and appending waits for the disk.
    let accepted =
        tokio::task::spawn_blocking(move || feeds.accept(&admitted, &content_type, &encoding, body)).await;
    let receipt = accepted.map_err(|error| ApiFailure::internal(&error))??;
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}

/// Lists feeds.
pub(crate) async fn list(state: Shared) -> Result<Json<Vec<Feed>>, ApiFailure> {
    let feeds = state.store.feeds(state.scope()).await?;
    Ok(Json(feeds.into_iter().map(|feed| shown(&state, feed)).collect()))
}

/// Lists decoders.
pub(crate) async fn decoders(state: Shared) -> Result<Json<Vec<Decoder>>, ApiFailure> {
    let feeds = state.store.feeds(state.scope()).await?;
    let shown = |package: &Arc<Package>| {
        let manifest = package.manifest();
        let release = |bound: &Option<Release>| bound.as_ref().map(|release| release.0.clone());
        let mut feeds: Vec<String> = feeds
            .iter()
            .filter(|feed| feed.setup.format == manifest.format)
            .map(|feed| feed.setup.name.clone())
            .collect();
        feeds.sort_unstable();
        Decoder {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            format: manifest.format.clone(),
            platforms: manifest.platforms.clone(),
            release_from: release(&manifest.releases.from),
            release_to: release(&manifest.releases.to),
            namespace: manifest.namespace.clone(),
            owner: manifest.owner.clone(),
            licence: manifest.licence.clone(),
            description: manifest.description.clone(),
            samples: package.samples() as u64,
            feeds,
        }
    };
    Ok(Json(state.feeds.decoders().packages().map(shown).collect()))
}

/// Registers a feed.
pub(crate) async fn create(
    state: Shared,
    By(caller): By,
    Body(request): Body<CreateFeedRequest>,
) -> Result<Json<CreatedFeed>, ApiFailure> {
    let setup = FeedSetup::try_from(request).map_err(ApiFailure::invalid)?;
    let (feed, token) = state.feeds.create(&setup, &caller.user.name).await?;
    Ok(Json(CreatedFeed { feed: shown(&state, feed), token }))
}

/// Enables or disables a feed.
pub(crate) async fn change(
    state: Shared,
    By(caller): By,
    Path(name): Path<String>,
    Body(request): Body<FeedStateRequest>,
) -> Result<Json<Feed>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    let (scope, by) = (state.scope(), &caller.user.name);
    let changed = state.store.enable_feed(scope, &name, request.enabled, by, request.reason.trim()).await?;
    state.feeds.refresh().await?;
    Ok(Json(shown(&state, changed)))
}

/// Gives a feed another credential.
pub(crate) async fn rotate(
    state: Shared,
    By(caller): By,
    Path(name): Path<String>,
) -> Result<Json<CreatedFeed>, ApiFailure> {
    let (feed, token) = state.feeds.rotate(&name, &caller.user.name).await?;
    Ok(Json(CreatedFeed { feed: shown(&state, feed), token }))
}

fn shown(app: &App, feed: StoredFeed) -> Feed {
    let id = outrider_ingest::FeedId(feed.number);
    let counts =
        app.pipeline.with_ingest(|worker| worker.feed_counts().get(&id).cloned()).unwrap_or_default();
    let StoredFeed { setup, enabled, created_by, created_at, changed_by, changed_at, reason, .. } = feed;
    Feed {
        name: setup.name,
        format: setup.format,
        platform: setup.platform,
        release: setup.release,
        enabled,
        body_bytes_max: setup.body_bytes_max,
        requests_per_minute_max: setup.requests_per_minute_max,
        clock_error_s: setup.clock_error_s,
        takes_unregistered: setup.takes_unregistered,
        created_by,
        created_at: Timestamp(created_at),
        changed_by,
        changed_at: Timestamp(changed_at),
        reason,
        requests: StageBalance::of("feed_requests", "requests", &app.feeds.requests(id)),
        documents: StageBalance::of("feed_documents", "documents", &counts.documents),
    }
}

impl From<FeedRefusal> for ApiFailure {
    fn from(refusal: FeedRefusal) -> Self {
        let status = match refusal {
            FeedRefusal::Disabled => StatusCode::FORBIDDEN,
            FeedRefusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
            FeedRefusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            FeedRefusal::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            FeedRefusal::Compressed | FeedRefusal::Empty => StatusCode::UNPROCESSABLE_ENTITY,
            FeedRefusal::Log(error) => {
                tracing::error!(%error, "feed's body not stored");
                return Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "storage",
                    "nothing was stored; try again later",
                );
            }
        };
        Self::new(status, refusal.code(), refusal.to_string())
    }
}
