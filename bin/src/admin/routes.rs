//! The routes. Each answers from a snapshot; the metrics from one that is at most a second old.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use bytes::Bytes;
use serde::Serialize;
use telemetry::admin::Route;

use super::problem::Problem;
use super::{Shared, congestion, connections, guard};

/// How long a rendered text is good. It also keeps the peaks of an interval together.
const FRESH: Duration = Duration::from_secs(1);

/// The last rendered metrics.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Option<(Instant, Bytes)>>);

impl Cache {
    fn get(&self, render: impl FnOnce() -> String) -> Bytes {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some((at, text)) if at.elapsed() < FRESH => text.clone(),
            _ => {
                let text = Bytes::from(render());
                *kept = Some((Instant::now(), text.clone()));
                text
            }
        }
    }
}

/// Everything behind the guard.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/page.js", get(script))
        .route("/page.css", get(style))
        .route("/congestion.js", get(congestion_script))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/connections", get(all))
        .route("/api/v1/connections/{id}", get(one))
        .merge(congestion::router())
        .fallback(nothing)
        .layer(middleware::from_fn_with_state(shared.clone(), guard::check))
        .with_state(shared)
}

/// What a request is counted as.
pub(super) fn label(path: &str) -> Route {
    match path {
        "/" => Route::Dashboard,
        "/page.js" | "/page.css" | "/congestion.js" | "/api/v1/overview" => Route::Asset,
        "/metrics" => Route::Metrics,
        "/healthz" => Route::Healthz,
        "/readyz" => Route::Readyz,
        "/api/v1/connections" => Route::Connections,
        "/api/v1/congestion" => Route::Congestion,
        "/api/v1/congestion/algorithms" => Route::Algorithms,
        "/api/v1/congestion/changes" => Route::Changes,
        "/api/v1/congestion/rules" => Route::Rules,
        path => below(path),
    }
}

/// Routes with a number in them.
fn below(path: &str) -> Route {
    if let Some(rest) = path.strip_prefix("/api/v1/connections/") {
        return match rest.split_once('/') {
            None => Route::Connection,
            Some((_, "congestion")) => Route::ConnectionCongestion,
            Some((_, "congestion/shadow")) => Route::ConnectionShadow,
            Some(_) => Route::Other,
        };
    }
    match path.strip_prefix("/api/v1/congestion/changes/") {
        Some(number) if !number.contains('/') => Route::Change,
        _ => Route::Other,
    }
}

/// What a route can be asked with, and how the answer to anything else says it.
pub(super) fn methods(route: Route) -> (&'static [Method], &'static str) {
    match route {
        Route::Congestion | Route::ConnectionCongestion | Route::Rules => {
            (&[Method::GET, Method::HEAD, Method::PUT], "GET, HEAD, PUT")
        }
        Route::ConnectionShadow => (&[Method::PUT], "PUT"),
        Route::Change => (&[Method::GET, Method::HEAD, Method::DELETE], "GET, HEAD, DELETE"),
        _ => (&[Method::GET, Method::HEAD], "GET, HEAD"),
    }
}

/// Whether a request with this method wants a change.
pub(super) fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a change there is one of congestion controllers of connections.
pub(super) const fn swaps(route: Route) -> bool {
    matches!(route, Route::Congestion | Route::ConnectionCongestion)
}

/// How long a body may be, in bytes. A longer one is somebody's mistake or attack.
pub(super) const fn longest_body(route: Route) -> u64 {
    match route {
        // As many as there may be, of ordinary length; nothing is read of it before the token was shown.
        Route::Rules => 64 * 1024,
        _ => 4096,
    }
}

/// Only what this address serves itself; no frame may show it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn page() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, include_str!("page/page.html")).into_response()
}

async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page/page.js")).into_response()
}

async fn congestion_script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page/congestion.js")).into_response()
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page/page.css")).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = shared.cache.get(|| shared.endpoint.metrics().render());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    if shared.ready.load(Ordering::Relaxed) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining: no new connections\n").into_response()
    }
}

/// What the page shows above the table.
#[derive(Debug, Serialize)]
struct Overview {
    version: &'static str,
    uptime_seconds: f64,
    ready: bool,
    listening: Vec<String>,
    connections: usize,
    received_bytes: f64,
    sent_bytes: f64,
    received_datagrams: f64,
    sent_datagrams: f64,
}

async fn overview(State(shared): State<Arc<Shared>>) -> Response {
    let registry = shared.endpoint.metrics();
    let sum = |name| registry.sum(name).unwrap_or_default();
    let overview = Overview {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: shared.started.elapsed().as_secs_f64(),
        ready: shared.ready.load(Ordering::Relaxed),
        listening: shared.endpoint.local_addrs().iter().map(ToString::to_string).collect(),
        connections: shared.endpoint.connections().len(),
        received_bytes: sum("quicast_socket_received_bytes_total"),
        sent_bytes: sum("quicast_socket_sent_bytes_total"),
        received_datagrams: sum("quicast_socket_received_datagrams_total"),
        sent_datagrams: sum("quicast_socket_sent_datagrams_total"),
    };
    Json(overview).into_response()
}

async fn all(State(shared): State<Arc<Shared>>, query: Result<Query<connections::Query>, QueryRejection>) -> Response {
    match query {
        Ok(Query(query)) => Json(query.choose(shared.endpoint.connections())).into_response(),
        Err(rejection) => Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()).into_response(),
    }
}

async fn one(State(shared): State<Arc<Shared>>, id: Result<Path<u64>, PathRejection>) -> Response {
    let Ok(Path(id)) = id else {
        return Problem::new(StatusCode::BAD_REQUEST, "a connection's id is a number").into_response();
    };
    let found = shared.endpoint.connections().into_iter().find(|info| info.id == id);
    match found {
        Some(info) => Json(connections::Shown::new(&info)).into_response(),
        None => Problem::no_connection(id).into_response(),
    }
}

async fn nothing(_: Uri) -> Problem {
    let what = "there is nothing here; see /, /metrics, /healthz, /readyz, /api/v1/connections, /api/v1/congestion";
    Problem::new(StatusCode::NOT_FOUND, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_label_and_every_label_its_methods() {
        for (path, route, allow) in [
            ("/", Route::Dashboard, "GET, HEAD"),
            ("/congestion.js", Route::Asset, "GET, HEAD"),
            ("/api/v1/connections/7", Route::Connection, "GET, HEAD"),
            ("/api/v1/connections/7/congestion", Route::ConnectionCongestion, "GET, HEAD, PUT"),
            ("/api/v1/connections/7/congestion/shadow", Route::ConnectionShadow, "PUT"),
            ("/api/v1/connections/7/secrets", Route::Other, "GET, HEAD"),
            ("/api/v1/congestion", Route::Congestion, "GET, HEAD, PUT"),
            ("/api/v1/congestion/algorithms", Route::Algorithms, "GET, HEAD"),
            ("/api/v1/congestion/changes", Route::Changes, "GET, HEAD"),
            ("/api/v1/congestion/changes/7", Route::Change, "GET, HEAD, DELETE"),
            ("/api/v1/congestion/changes/7/8", Route::Other, "GET, HEAD"),
            ("/api/v1/congestion/rules", Route::Rules, "GET, HEAD, PUT"),
            ("/api/v1/congestion/", Route::Other, "GET, HEAD"),
        ] {
            assert_eq!((label(path), methods(route).1), (route, allow), "{path}");
            let listed: Vec<&str> = methods(route).0.iter().map(Method::as_str).collect();
            assert_eq!(listed.join(", "), allow);
        }
    }
}
