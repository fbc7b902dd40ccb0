//! `--root`: the files of a folder, by `tower_http::services::ServeDir`.
//!
//! Ranges, conditions, `index.html`, and what lies beside a file compressed (`a.css.br`, `a.css.zst`, `a.css.gz`) are its
//! work. What may be opened at all is decided here:
//!
//! * nothing outside the folder: what counts is where the file is once all symbolic links have been followed, so a link
//!   out of the folder leads nowhere, and one to a place inside is followed;
//! * only regular files: to open a pipe would wait for its writer;
//! * no name in a path that begins with a dot (`.git`, `.env`), but `.well-known` (RFC 8615).
//!
//! What may not be opened is not there: 404, as for what really is not. Folders are not listed.

use std::future::Future;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, File};

use super::refusal::{Quoted, Refusal};
use crate::services::hq;

type Files = ServeDir<tower_http::services::fs::DefaultServeDirFallback, Below>;

/// The files below this folder, whose path is canonical.
pub(super) fn router(folder: &Path) -> Router {
    let files: Files = ServeDir::with_backend(folder, Below(Arc::from(folder)))
        .precompressed_br()
        .precompressed_zstd()
        .precompressed_gzip()
        .ignore_multi_range_requests(true);
    Router::new().fallback(serve).with_state(files)
}

async fn serve(State(files): State<Files>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("//") {
        // The slash that is added to a folder's name would make it the address of another host.
        return not_found(&path);
    }
    let again = under_if_range(&request);
    let mut response = answer(&files, request).await;
    if let Some((condition, again)) = again
        && response.status() == StatusCode::PARTIAL_CONTENT
        && !is_same(response.headers(), &condition)
    {
        response = answer(&files, again).await;
    }
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => not_found(&path),
        StatusCode::METHOD_NOT_ALLOWED => {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "files are for GET and HEAD alone")
                .with(ALLOW, HeaderValue::from_static("GET, HEAD"))
                .into_response()
        }
        _ => response,
    }
}

fn not_found(path: &str) -> Response {
    let why = format_args!("{} is not among the files that are served here", Quoted(path));
    Refusal::new(StatusCode::NOT_FOUND, why).into_response()
}

async fn answer(files: &Files, request: Request) -> Response {
    match files.clone().oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// The condition of a request that wants a range of the very same file or else the whole (RFC 9110 section 13.1.5), and
/// the request for the whole. `ServeDir` does not know it.
fn under_if_range(request: &Request) -> Option<(HeaderValue, Request)> {
    let condition = request.headers().get(IF_RANGE).filter(|_| request.headers().contains_key(RANGE))?;
    let mut whole = Request::new(Body::empty());
    *whole.method_mut() = request.method().clone();
    *whole.uri_mut() = request.uri().clone();
    *whole.headers_mut() = request.headers().clone();
    whole.headers_mut().remove(RANGE);
    Some((condition.clone(), whole))
}

/// A weak tag never fits, for ours are strong; a date fits only to the letter.
fn is_same(headers: &HeaderMap, condition: &HeaderValue) -> bool {
    [ETAG, LAST_MODIFIED].iter().any(|name| headers.get(name) == Some(condition))
}

/// What lies below a folder.
#[derive(Clone, Debug)]
struct Below(Arc<Path>);

impl Below {
    /// The path below the folder, if it may be named at all.
    fn named(&self, path: &Path) -> io::Result<String> {
        let below = path.strip_prefix(&self.0).map_err(|_| not_there())?;
        let hidden = |component: Component<'_>| match component {
            Component::Normal(name) => name.as_encoded_bytes().starts_with(b".") && name != ".well-known",
            _ => false,
        };
        let text = below.to_str().filter(|_| !below.components().any(hidden)).ok_or_else(not_there)?;
        Ok(format!("/{text}"))
    }
}

fn not_there() -> io::Error {
    io::ErrorKind::NotFound.into()
}

type Pending<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Asks the file system, which may take its time, on a thread for that.
fn ask<T: Send + 'static>(question: impl FnOnce() -> io::Result<T> + Send + 'static) -> Pending<T> {
    Box::pin(async move { tokio::task::spawn_blocking(question).await.map_err(io::Error::other)? })
}

impl Backend for Below {
    type File = Opened;
    type Metadata = std::fs::Metadata;
    type OpenFuture = Pending<Opened>;
    type MetadataFuture = Pending<std::fs::Metadata>;

    fn open(&self, path: PathBuf) -> Pending<Opened> {
        let below = self.clone();
        ask(move || {
            let file = hq::open(&below.0, &below.named(&path)?).ok_or_else(not_there)?;
            Ok(Opened(file.into()))
        })
    }

    fn metadata(&self, path: PathBuf) -> Pending<std::fs::Metadata> {
        let below = self.clone();
        ask(move || {
            below.named(&path)?;
            // Whatever is wrong with a name (a NUL in it, its length), there is no such file.
            let canonical = path.canonicalize().map_err(|_| not_there())?;
            let metadata = canonical.metadata().map_err(|_| not_there())?;
            let may_be_seen = canonical.starts_with(&below.0) && (metadata.is_dir() || metadata.is_file());
            may_be_seen.then_some(metadata).ok_or_else(not_there)
        })
    }
}

/// A file that has been opened.
#[derive(Debug)]
struct Opened(tokio::fs::File);

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncSeek for Opened {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(context)
    }
}

impl File for Opened {
    type Metadata = std::fs::Metadata;
    type MetadataFuture<'a> = Pin<Box<dyn Future<Output = io::Result<std::fs::Metadata>> + Send + 'a>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

#[cfg(test)]
mod tests;
