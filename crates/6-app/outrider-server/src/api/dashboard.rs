//! The dashboard's files, embedded in the program.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::app::App;
use super::error::ApiFailure;

#[derive(RustEmbed)]
#[folder = "../../../web/dist"]
#[allow_missing = true]
struct Dist;

/// Placeholder that `index.html` has wherever a nonce belongs.
const NONCE: &str = "__CSP_NONCE__";
/// Said where the dashboard was not built.
const UNBUILT: &str = "The dashboard is not in this program. Build it with `npm ci && npm run build` in the folder \
    `web`, then build the program again. The API is at /api/v1.\n";

/// Answers every path that is no route: a file of the dashboard, its shell, or 404.
pub(crate) async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return ApiFailure::not_found("there is no such route").into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let message = "only GET and HEAD are answered here";
        return ApiFailure::new(StatusCode::METHOD_NOT_ALLOWED, "method", message).into_response();
    }
    let name = path.trim_start_matches('/');
    if name.starts_with("assets/") || (name.contains('.') && name != "index.html") {
        return file(name, request.headers());
    }
    shell(&app)
}

/// Encodings in the order of their size, with the ending of their files.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Whether a request takes an encoding: named with a quality above 0.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| {
        let mut parts = part.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.any(|weight| {
            weight.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        });
        named && !refused
    })
}

/// Answers one file in the smallest encoding that the client takes.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let encoded = ENCODINGS
        .iter()
        .filter(|(encoding, _)| accepts(headers, encoding))
        .find_map(|(encoding, ending)| Some((*encoding, Dist::get(&format!("{name}{ending}"))?)));
    let (encoding, found) = match encoded {
        Some((encoding, found)) => (Some(encoding), found),
        None => match Dist::get(name) {
            Some(found) => (None, found),
            None => return (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
        },
    };
    let tag = etag(&found, encoding);
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|known| known.trim() == tag));
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::builder()
        .header(header::ETAG, tag)
        .header(header::VARY, "Accept-Encoding")
        .header(header::CACHE_CONTROL, cache);
    if is_known {
        response = response.status(StatusCode::NOT_MODIFIED);
        return response.body(Body::empty()).expect("the headers are valid");
    }
    if let Some(encoding) = encoding {
        response = response.header(header::CONTENT_ENCODING, encoding);
    }
    response
        .header(header::CONTENT_TYPE, media_type(name))
        .body(Body::from(found.data.into_owned()))
        .expect("the headers are valid")
}

/// Strong validator: the beginning of the SHA-256, and the encoding, because each is a representation of its own.
fn etag(found: &EmbeddedFile, encoding: Option<&str>) -> String {
    let hash = crate::hex(&found.metadata.sha256_hash()[..12]);
    match encoding {
        Some(encoding) => format!("\"{hash}-{encoding}\""),
        None => format!("\"{hash}\""),
    }
}

/// Media type of a file by its ending; only what the build writes.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Answers the shell with a fresh nonce.
fn shell(app: &App) -> Response {
    let Some(index) = Dist::get("index.html") else {
        return ([(header::CACHE_CONTROL, "no-store")], UNBUILT).into_response();
    };
    let nonce = crate::hex(&crate::port::draw::<16>(&*app.random));
    let html = String::from_utf8_lossy(&index.data).replace(NONCE, &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("a nonce is hexadecimal");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_with_quality_zero_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0, br;q=0.5"));
        assert!(accepts(&headers, "br"));
        assert!(!accepts(&headers, "gzip"));
        assert!(!accepts(&HeaderMap::new(), "br"));
    }
}
