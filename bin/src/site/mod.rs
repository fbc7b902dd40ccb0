//! The HTTP site: what `quicast serve` and `quicast demo` show to a browser or to curl.
//!
//! [`site`] makes one service of it that knows neither TCP nor QUIC: whoever carries HTTP gives it requests. What the
//! carrier may put into a request's extensions, and what is missing without it:
//!
//! | Extension | For | Without it |
//! |---|---|---|
//! | `axum::extract::ConnectInfo<SocketAddr>` | `/headers` says who asks | the peer is `null` |
//! | [`upgrade::Tunnel`], or hyper's own | `/ws`: the bytes after the handshake | 501 |
//!
//! ```text
//! request ─▶ service (counts it) ─▶ a route ─▶ headers that every answer has ─▶ a body that is pulled, never pushed
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
mod service;
mod status;
mod tile;
pub(crate) mod upgrade;
mod websocket;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};

pub(crate) use self::measure::{Answer, Counters};
use self::refusal::Quoted;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::service::{Answering, Site};
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
pub(crate) fn site(options: SiteOptions) -> Site {
    let routes = match options.content {
        Content::Folder(folder) => files::router(&folder),
        Content::BuiltIn => built_in(options.cue),
    };
    Site::new(routes, options.counters)
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
