//! The pages. They are whole: no other host is asked for anything, and without scripts they still say what there is.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};

use super::query::Query;
use super::refusal::Refusal;
use super::tile::{SIDE, Wishes};

/// How people call a version.
pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// `/`.
pub(super) async fn front(version: Version) -> Response {
    page(StatusCode::OK, include_str!("page/front.html"), version)
}

/// `/demo/tile`.
pub(super) async fn tiles(version: Version, query: Query) -> Result<Response, Refusal> {
    let wishes = Wishes::read(&query)?;
    let text = include_str!("page/tiles.html")
        .replace("{{tiles}}", &wishes.tiles.to_string())
        .replace("{{delay}}", &wishes.delay.as_millis().to_string())
        .replace("{{columns}}", &wishes.columns().to_string())
        .replace("{{rows}}", &wishes.rows().to_string())
        .replace("{{side}}", &SIDE.to_string());
    Ok(page(StatusCode::OK, &text, version))
}

/// What is not there, and what is.
pub(super) fn not_found(path: &str) -> Response {
    let text = include_str!("page/missing.html").replace("{{path}}", &escape(path));
    page(StatusCode::NOT_FOUND, &text, Version::HTTP_11)
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page/site.css"))
}

pub(super) async fn front_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page/front.js"))
}

pub(super) async fn tiles_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page/tiles.js"))
}

/// A drawing is an icon for every browser of today, whatever its name ends in.
pub(super) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("page/icon.svg"))
}

/// Only what this site serves itself; no frame may show it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A page may not be kept: it says what carried it this time.
fn page(status: StatusCode, text: &str, version: Version) -> Response {
    let text = text.replace("{{protocol}}", protocol(version)).replace("{{version}}", env!("CARGO_PKG_VERSION"));
    let headers: [(HeaderName, &str); 3] =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

/// A client's words as text in a page.
fn escape(words: &str) -> String {
    let short = super::refusal::Quoted(words).to_string();
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_words_are_text_and_no_markup() {
        assert_eq!(escape("/<script>\"&\n"), "/&lt;script&gt;&quot;&amp;\u{fffd}");
    }

    #[test]
    fn pages_ask_no_other_host_and_have_no_script_within() {
        for page in
            [include_str!("page/front.html"), include_str!("page/tiles.html"), include_str!("page/missing.html")]
        {
            assert!(!page.contains("//") && !page.contains(" style=") && !page.contains("<style"), "{page}");
            assert!(page.matches("<script").count() == page.matches("<script src=\"/").count(), "{page}");
        }
    }
}
