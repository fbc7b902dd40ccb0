//! `/bytes/{n}`: n bytes, always the same ones, from one block of memory without a copy.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::limits::{CHUNK, LONGEST_BYTES};
use super::range::{Wanted, wanted};
use super::refusal::{Quoted, Refusal};
use crate::echo::pattern::Pattern;
use crate::units::parse_bytes;

/// How many headers an answer has at most, with those of the site and of the carrier.
const HEADERS: usize = 8;

/// Answers with so many bytes, or with the part of them that is asked for.
pub(super) async fn bytes(Path(count): Path<String>, request: Request) -> Response {
    let Some(length) = parse_bytes(&count).ok().filter(|length| *length <= LONGEST_BYTES) else {
        return Refusal::bad(format_args!(
            "/bytes/{}: give a number of bytes from 0 to {LONGEST_BYTES}, like /bytes/1000000, /bytes/64K or /bytes/1G",
            Quoted(&count)
        ))
        .into_response();
    };
    let digits = HeaderValue::from(length);
    let tag = ["\"quicast-", digits.to_str().unwrap_or_default(), "\""].concat();
    let range = match wanted(request.method(), request.headers(), length, &tag) {
        Wanted::Whole => 0..length,
        Wanted::Part(range) => range,
        Wanted::NotModified => return (StatusCode::NOT_MODIFIED, about(length, tag)).into_response(),
        Wanted::PreconditionFailed => {
            let why = format_args!("/bytes/{length} has the entity tag {tag}, which If-Match does not name");
            return Refusal::new(StatusCode::PRECONDITION_FAILED, why).into_response();
        }
        Wanted::Unsatisfiable => {
            let why = format_args!("/bytes/{length} has the bytes 0 to {}; ask for some of those", length.max(1) - 1);
            return Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, why)
                .with(CONTENT_RANGE, text(format!("bytes */{length}")))
                .into_response();
        }
    };
    // Nothing is made twice here: this is what is asked for when it is measured what a request costs.
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    *headers = about(length, tag);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if range.end - range.start == length {
        headers.insert(CONTENT_LENGTH, digits);
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        headers.insert(CONTENT_RANGE, text(format!("bytes {}-{}/{length}", range.start, range.end - 1)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *response.body_mut() = Body::new(Generated::new(range));
    response
}

/// What is said with and without the bytes.
fn about(length: u64, tag: String) -> HeaderMap {
    debug_assert!(tag.contains(&length.to_string()), "the tag names the length, which is all that can differ");
    // Room for what comes later, too.
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, text(tag));
    // It may be kept, and is asked about each time: a measurement that is not one would be of no use.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers
}

/// Digits, quotes and letters are always a header's value.
fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

/// A part of the endless pattern as a body. It keeps two numbers; each piece is a reference.
#[derive(Debug)]
struct Generated {
    pattern: Pattern,
    rest: Range<u64>,
}

impl Generated {
    fn new(range: Range<u64>) -> Self {
        Self { pattern: Pattern::new(0), rest: range }
    }
}

impl hyper::body::Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.rest.end - self.rest.start).unwrap_or(CHUNK).min(CHUNK);
        let chunk = self.pattern.chunk(self.rest.start, most);
        self.rest.start += chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.end.saturating_sub(self.rest.start))
    }
}
