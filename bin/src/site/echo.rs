//! `/echo`: the request's body is the answer's body.
//!
//! The body is passed on as it is, not collected: a piece is read when the one before it has been taken, so a client that
//! does not read stops its own upload, and the server keeps no more than the carrier's windows.

use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::refusal::Refusal;

/// Sends back what comes, with the type that it came with.
pub(super) async fn echo(request: Request) -> Response {
    if !matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        let why = "/echo sends a request's body back, and this request has none; use POST, PUT or PATCH: curl -d hello …/echo";
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why)
            .with(ALLOW, HeaderValue::from_static("POST, PUT, PATCH"))
            .into_response();
    }
    let (parts, body) = request.into_parts();
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Whatever is sent here is shown by nobody as a page of this site.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}
