//! The HTTP site: what `quicast serve` and `quicast demo` show to a browser or to curl.
//!
//! [`router`] makes one `axum::Router` of it that knows neither TCP nor QUIC: whoever carries HTTP gives it requests. What
//! the carrier may put into a request's extensions, and what is missing without it:
//!
//! | Extension | For | Without it |
//! |---|---|---|
//! | `axum::extract::ConnectInfo<SocketAddr>` | `/headers` says who asks | the peer is `null` |
//! | [`upgrade::Tunnel`], or hyper's own | `/ws`: the bytes after the handshake | 501 |
//!
//! ```text
//! request ─▶ measure ─▶ headers that every answer has ─▶ a route ─▶ a body that is pulled, never pushed
//! ```
//! With `--root` the site is the files of that folder ([`files`]); without, it is the built-in one ([`pages`] and what
//! they link to). Every bound is in `limits.rs`.

mod bytes;
mod drip;
mod echo;
mod files;
mod headers;
mod limits;
mod measure;
mod pages;
mod png;
mod query;
mod range;
mod refusal;
mod status;
mod tile;
pub(crate) mod upgrade;
mod websocket;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use axum::Router;
use axum::extract::Request;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};

pub(crate) use self::measure::Counters;
use self::refusal::{Quoted, Refusal};
use crate::stage::Cue;

/// What is shown.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The files below this folder, whose path is canonical.
    Folder(PathBuf),
    /// The built-in site.
    BuiltIn,
}

/// What the site is made of.
#[derive(Debug)]
pub(crate) struct SiteOptions {
    pub(crate) content: Content,
    /// WebSockets say good-bye when the server drains.
    pub(crate) cue: Cue,
    /// Where requests are counted.
    pub(crate) counters: Counters,
}

/// The site.
pub(crate) fn router(options: SiteOptions) -> Router {
    let routes = match options.content {
        Content::Folder(folder) => files::router(&folder),
        Content::BuiltIn => built_in(options.cue),
    };
    routes.layer(from_fn(for_every_answer)).layer(from_fn_with_state(options.counters, measure::count))
}

fn built_in(cue: Cue) -> Router {
    Router::new()
        .route("/", get(pages::front))
        .route("/demo/tile", get(pages::tiles))
        .route("/demo/tile/{name}", get(tile::picture))
        .route("/site.css", get(pages::style))
        .route("/front.js", get(pages::front_script))
        .route("/tiles.js", get(pages::tiles_script))
        .route("/favicon.ico", get(pages::icon))
        .route("/echo", any(echo::echo))
        .route("/bytes/{count}", get(bytes::bytes))
        .route("/drip", get(drip::drip))
        .route("/headers", any(headers::headers))
        .route("/status/{code}", any(status::status))
        .route("/ws", any(websocket::echo))
        .with_state(websocket::Sockets::new(cue))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(nothing)
}

/// A browser takes each answer for what it says it is, and for nothing else.
async fn for_every_answer(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn method_not_allowed(request: Request) -> Response {
    let (method, path) = (request.method().as_str(), request.uri().path());
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format_args!("{} is not for {}; GET and HEAD are", Quoted(method), Quoted(path)),
    )
    .into_response()
}

async fn nothing(uri: Uri) -> Response {
    pages::not_found(uri.path())
}
