//! Who may ask at all, before any route is looked for.
//!
//! Loopback alone is not enough: a page in the user's browser can send requests to it. So the request must be addressed
//! to one of the names of this address (no DNS rebinding), and come from no other site's page; nothing allows CORS. Who
//! wants a change must show the token too, on loopback as well, and nothing of the body is read before that.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use telemetry::admin::{Route, Status};
use telemetry::congestion::SwitchFailure;

use super::problem::Problem;
use super::{Shared, Token, routes};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses, or lets the request through; counts either way, and says in each answer what a browser must not do with it.
pub(super) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = routes::label(request.uri().path());
    let is_change = routes::is_change(request.method());
    let asked = is_change.then(|| (request.method().clone(), request.uri().path().to_owned()));
    let refusal = refusal(request.method(), request.uri(), request.headers(), route, &shared);
    let mut response = match refusal {
        Some(problem) => {
            let forbids = matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if is_change && forbids && routes::swaps(route) {
                shared.congestion.switch_failures[SwitchFailure::Forbidden].add(1);
            }
            problem.into_response()
        }
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((method, path)) = asked {
        tracing::info!(%method, %path, status = response.status().as_u16(), "a change was asked for");
    }
    shared.metrics.requests[(route, Status::of(response.status().as_u16()))].add(1);
    response
}

fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap, route: Route, shared: &Shared) -> Option<Problem> {
    let port = shared.address.port();
    if !is_addressed_to_us(uri, headers, port) {
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, "this address has another name"));
    }
    if !is_from_here(headers, port) {
        return Some(Problem::new(StatusCode::FORBIDDEN, "pages of other sites may not ask"));
    }
    let (methods, allow) = routes::methods(route);
    if !methods.contains(method) {
        return Some(Problem::not_allowed(allow));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let longest = routes::longest_body(route);
    let is_change = routes::is_change(method);
    if (!is_change && headers.contains_key(TRANSFER_ENCODING)) || announced.is_some_and(|length| length > longest) {
        let what = format_args!("the body is too long: at most {longest} bytes, and none to GET anything");
        return Some(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what));
    }
    match headers.get(AUTHORIZATION) {
        Some(credential) if !is_token(credential, shared.token()) => {
            return Some(Problem::new(StatusCode::UNAUTHORIZED, "this is not the token"));
        }
        None if is_change => return Some(Problem::new(StatusCode::UNAUTHORIZED, shared.how_to_get_the_token())),
        _ => {}
    }
    if !is_change {
        return None;
    }
    if *method != Method::DELETE && !headers.get(CONTENT_TYPE).is_some_and(is_json) {
        let what = "only JSON is taken here: say `Content-Type: application/json`";
        return Some(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    (!shared.quota.take(Instant::now())).then(|| {
        let what = format_args!("more than {} changes a second: wait a second", super::quota::CHANGES);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, what)
    })
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
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

/// Who shows a token means to be known by it, even where none is needed.
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
