//! `/headers`: what arrived, as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// The answer. A header that came several times has several values, in their order.
#[derive(Debug, Serialize)]
struct Arrived {
    version: &'static str,
    method: String,
    target: String,
    peer: Option<SocketAddr>,
    headers: BTreeMap<String, Vec<String>>,
}

/// Says how the request looks from here.
pub(super) async fn headers(request: Request) -> Response {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_default().push(value);
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let arrived = Arrived {
        version: super::pages::protocol(request.version()),
        method: request.method().to_string(),
        target: request.uri().to_string(),
        // A socket of both families says ::ffff:192.0.2.1.
        peer: peer.map(|ConnectInfo(peer)| SocketAddr::new(peer.ip().to_canonical(), peer.port())),
        headers,
    };
    // A person will read it. Texts and numbers can always be written.
    let mut text = serde_json::to_string_pretty(&arrived).unwrap_or_default();
    text.push('\n');
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], text).into_response()
}
