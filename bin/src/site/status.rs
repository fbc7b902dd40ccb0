//! `/status/{code}`: an answer with that status.

use axum::extract::{Path, Request};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, LOCATION, PROXY_AUTHENTICATE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::refusal::{Quoted, Refusal};

/// Answers with the code of the path.
pub(super) async fn status(Path(code): Path<String>, _: Request) -> Response {
    match read(&code) {
        Ok(code) => answer(code),
        Err(refusal) => refusal.into_response(),
    }
}

fn read(code: &str) -> Result<StatusCode, Refusal> {
    let number = code.parse::<u16>().ok().filter(|_| code.len() == 3);
    match number {
        Some(100..=199) => Err(Refusal::bad(format_args!(
            "/status/{code}: 1xx are interim answers, and the one that must follow has another code; try 200 to 599"
        ))),
        Some(number @ 200..=599) => StatusCode::from_u16(number).map_err(Refusal::bad),
        _ => Err(Refusal::bad(format_args!(
            "/status/{}: a status is a number from 200 to 599; try /status/418",
            Quoted(code)
        ))),
    }
}

/// The code, with the header that it may not be without (RFC 9110 section 15).
fn answer(code: StatusCode) -> Response {
    let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
    if let Some((name, value)) = required(code) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if matches!(code, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
        return (code, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let words = code.canonical_reason().unwrap_or("a code without a name");
    (code, headers, format!("{} {words}\n", code.as_u16())).into_response()
}

fn required(code: StatusCode) -> Option<(HeaderName, &'static str)> {
    Some(match code {
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => (LOCATION, "/"),
        StatusCode::UNAUTHORIZED => (WWW_AUTHENTICATE, "Basic realm=\"/status/401\""),
        StatusCode::METHOD_NOT_ALLOWED => (ALLOW, ""),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => (PROXY_AUTHENTICATE, "Basic realm=\"/status/407\""),
        StatusCode::RANGE_NOT_SATISFIABLE => (CONTENT_RANGE, "bytes */0"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (RETRY_AFTER, "1"),
        _ => return None,
    })
}
