//! Who may ask at all, before any route is looked for.
//!
//! Loopback alone is not enough: a page in the user's browser can send requests to it. So the request must be addressed
//! to one of the names of this address (no DNS rebinding), and come from no other site's page; nothing allows CORS.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use telemetry::admin::{Route, Status};

use super::{Shared, Token};

/// Nothing here is sent anything: a longer body is somebody's mistake or attack.
const LONGEST_BODY: u64 = 4096;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses, or lets the request through; counts either way, and says in each answer what a browser must not do with it.
pub(super) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = super::routes::label(request.uri().path());
    let refusal = refusal(request.method(), request.uri(), request.headers(), &shared);
    let mut response = match refusal {
        Some((status, why)) => refused(status, why),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    count(&shared, route, response.status());
    response
}

fn count(shared: &Shared, route: Route, status: StatusCode) {
    shared.metrics.requests[(route, Status::of(status.as_u16()))].add(1);
}

fn refused(status: StatusCode, why: &'static str) -> Response {
    let mut response = (status, format!("{why}\n")).into_response();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // What was announced is not read.
        *response.body_mut() = Body::from(format!("{why}\n"));
        response.headers_mut().insert(axum::http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap, shared: &Shared) -> Option<(StatusCode, &'static str)> {
    let port = shared.address.port();
    if !is_addressed_to_us(uri, headers, port) {
        return Some((StatusCode::MISDIRECTED_REQUEST, "this address has another name"));
    }
    if !is_from_here(headers, port) {
        return Some((StatusCode::FORBIDDEN, "pages of other sites may not ask"));
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if headers.contains_key(TRANSFER_ENCODING) || announced.is_some_and(|length| length > LONGEST_BODY) {
        return Some((StatusCode::PAYLOAD_TOO_LARGE, "nothing is to be sent here"));
    }
    let credential = headers.get(AUTHORIZATION)?;
    (!is_token(credential, shared.token.as_ref())).then_some((StatusCode::UNAUTHORIZED, "this is not the token"))
}

/// One `Host`, and it is a name of a loopback address with our port.
fn is_addressed_to_us(uri: &Uri, headers: &HeaderMap, port: u16) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let is_ours = |name: &str| is_name(name, port);
    host.to_str().is_ok_and(is_ours) && uri.authority().is_none_or(|authority| is_ours(authority.as_str()))
}

fn is_name(host: &str, port: u16) -> bool {
    let Some((name, given)) = host.rsplit_once(':') else { return false };
    given.parse() == Ok(port) && ["127.0.0.1", "[::1]", "localhost"].contains(&name)
}

/// Not from a page, or from ours.
fn is_from_here(headers: &HeaderMap, port: u16) -> bool {
    let ours = |origin: &HeaderValue| {
        origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).is_some_and(|host| is_name(host, port))
    };
    let allowed = |site: &HeaderValue| site == "none" || site == "same-origin";
    headers.get_all(ORIGIN).iter().all(ours) && headers.get_all(FETCH_SITE).iter().all(allowed)
}

/// Nothing that is served needs the token; but who shows one means to be known by it.
fn is_token(credential: &HeaderValue, token: Option<&Token>) -> bool {
    let shown = credential.as_bytes().strip_prefix(b"Bearer ");
    shown.zip(token).is_some_and(|(shown, token)| token.is(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_address_have_its_port() {
        for host in ["127.0.0.1:9440", "[::1]:9440", "localhost:9440"] {
            assert!(is_name(host, 9440), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:9441",
            "localhost.:9440",
            "evil.example:9440",
            "127.0.0.1.nip.io:9440",
            "127.0.0.1:9440:9440",
            "user@127.0.0.1:9440",
        ] {
            assert!(!is_name(host, 9440), "{host}");
        }
    }

    #[test]
    fn only_our_own_page_may_ask_from_a_browser() {
        let with = |name: HeaderName, value: &'static str| {
            is_from_here(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]), 9440)
        };
        assert!(is_from_here(&HeaderMap::new(), 9440));
        assert!(with(ORIGIN, "http://localhost:9440"));
        for origin in ["null", "https://localhost:9440", "http://localhost:9441", "http://evil.example", ""] {
            assert!(!with(ORIGIN, origin), "{origin}");
        }
        assert!(with(FETCH_SITE, "none") && with(FETCH_SITE, "same-origin"));
        assert!(!with(FETCH_SITE, "cross-site") && !with(FETCH_SITE, "same-site"));
    }

    #[test]
    fn there_is_one_host_and_the_request_line_agrees() {
        let one = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost:1"))]);
        assert!(is_addressed_to_us(&Uri::from_static("/"), &one, 1));
        assert!(!is_addressed_to_us(&Uri::from_static("http://evil.example:1/"), &one, 1));
        assert!(!is_addressed_to_us(&Uri::from_static("/"), &HeaderMap::new(), 1));
        let mut two = one;
        two.append(HOST, HeaderValue::from_static("localhost:1"));
        assert!(!is_addressed_to_us(&Uri::from_static("/"), &two, 1));
    }
}
