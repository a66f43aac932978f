//! Server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};

use crate::api::app::Shared;
use crate::api::dto::StreamQuery;
use crate::api::error::ApiFailure;
use crate::api::extract::Params;
use crate::hub::{Hub, Resume};

/// Streams at the same time; a browser tab holds one.
const STREAMS_MAX: usize = 1000;
/// Life of a stream. The browser comes back by itself, and is let in only while its session lasts.
const STREAM_LIFE: Duration = Duration::from_secs(600);
/// Comments keep proxies from closing an idle stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams what changes, from where the client left off.
pub(crate) async fn stream(
    state: Shared,
    headers: HeaderMap,
    Params(query): Params<StreamQuery>,
) -> Result<Response, ApiFailure> {
    if state.hub.streams() >= STREAMS_MAX {
        let busy = axum::http::StatusCode::SERVICE_UNAVAILABLE;
        return Err(ApiFailure::new(busy, "busy", "too many streams are open"));
    }
    let named =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let last = named.or(query.last_event_id).unwrap_or_else(|| state.hub.latest());
    let events = follow(state.hub.clone(), last).map(Ok::<_, Infallible>);
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = sse.into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Messages after `last`, until the stream's life is over. The first thing sent is a comment, so that headers leave
/// at once.
fn follow(hub: Arc<Hub>, last: u64) -> impl Stream<Item = Event> + Send {
    let watch = hub.watch();
    let greeting = stream::once(async { Event::default().comment("hello") });
    let messages = stream::unfold((hub, watch, last), |(hub, mut watch, last)| async move {
        loop {
            watch.borrow_and_update();
            match hub.after(last) {
                Resume::Reset(latest) => {
                    let reset = Event::default().id(latest.to_string()).event("reset").data("{}");
                    return Some((vec![reset], (hub, watch, latest)));
                }
                Resume::Messages(messages) if !messages.is_empty() => {
                    let last = messages.last().map_or(last, |message| message.id);
                    let events = messages
                        .iter()
                        .map(|message| {
                            Event::default()
                                .id(message.id.to_string())
                                .event(message.event)
                                .data(&message.data)
                        })
                        .collect();
                    return Some((events, (hub, watch, last)));
                }
                Resume::Messages(_) => watch.changed().await.ok()?,
            }
        }
    });
    greeting.chain(messages.flat_map(stream::iter)).take_until(tokio::time::sleep(STREAM_LIFE))
}
