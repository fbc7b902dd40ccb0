//! Going on where a file ends: which version of a resource a partial file is of is kept next to it, so that the rest that
//! comes is of the same version.

use std::path::{Path, PathBuf};

use axum::http::header::{CONTENT_RANGE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::request::Resumed;
use super::save::Sink;
use super::verbose::text;
use crate::request::problem::{Problem, code};
use crate::request::url::Url;

/// The longest file that is read as one of ours, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What names a version: a strong entity tag, or else a date (RFC 9110 §13.1.5).
pub(super) fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    tag.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// Where it is kept.
fn place(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".quicast-resume");
    name.into()
}

/// Keeps which version the partial file is of. Without, it can be resumed all the same, but nobody checks the version.
pub(super) async fn keep(file: &Path, url: &Url, validator: &HeaderValue) {
    if let Ok(validator) = validator.to_str() {
        tokio::fs::write(place(file), format!("{url}\n{validator}\n")).await.ok();
    }
}

/// What was kept for this file, if it came from there.
pub(super) async fn kept(file: &Path, url: &Url) -> Option<HeaderValue> {
    let place = place(file);
    if tokio::fs::metadata(&place).await.ok()?.len() > LONGEST {
        return None;
    }
    let text = tokio::fs::read_to_string(place).await.ok()?;
    let (from, validator) = text.split_once('\n')?;
    (from == url.to_string()).then(|| validator.trim_end().parse().ok())?
}

/// The file is whole: nothing is left to be kept. What somebody else put there stays.
pub(super) async fn forget(file: &Path, url: &Url) {
    if kept(file, url).await.is_some() {
        tokio::fs::remove_file(place(file)).await.ok();
    }
}

/// Whether the file that was to be resumed needs nothing more. Fails if it cannot be resumed with this answer.
pub(super) fn is_whole<B>(response: &Response<B>, resumed: &Resumed, sink: &Sink) -> Result<bool, Problem> {
    let from = resumed.from;
    let file = sink.target().path().map_or_else(|| "the content".to_owned(), |file| file.display().to_string());
    let content_range = response.headers().get(CONTENT_RANGE).map(text);
    let refused = |why: &str| Err(Problem::new(code::RANGE, format_args!("{file}: {why}")));
    match response.status() {
        StatusCode::PARTIAL_CONTENT => match content_range.as_deref().and_then(first_byte) {
            Some(first) if first == from => Ok(false),
            _ => refused("the server sent another part than was asked for; try without -C"),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if content_range == Some(format!("bytes */{from}")) => Ok(true),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            refused("it is longer than what the server has: it is of another version; remove it, or fetch without -C")
        }
        StatusCode::OK => {
            let now = validator(response.headers());
            if resumed.version.is_some() && now != resumed.version {
                return refused("the server has another version by now; fetch without -C to get that");
            }
            refused("the server does not support ranges, so it cannot be resumed; fetch without -C")
        }
        status if status.as_u16() >= 400 => Err(Problem::status(status)),
        _ => refused("the server answered with something else; fetch without -C"),
    }
}

/// The first byte of `bytes 3-5/10`.
fn first_byte(content_range: &str) -> Option<u64> {
    content_range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        validator(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_what_names_one_version_is_a_validator() {
        assert_eq!(of("etag", "\"x\"").as_deref(), Some("\"x\""));
        assert_eq!(of("etag", "W/\"x\""), None);
        assert_eq!(
            of("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT").as_deref(),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
        );
        assert_eq!(of("content-length", "1"), None);
    }

    #[tokio::test]
    async fn a_version_is_kept_for_its_url_and_nobody_elses_file_is_removed() {
        let folder = std::env::temp_dir().join(format!("quicast-resume-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("part");
        let (url, other) = (Url::parse("https://h/part").unwrap(), Url::parse("https://h/other").unwrap());
        assert_eq!(kept(&file, &url).await, None);
        keep(&file, &url, &HeaderValue::from_static("\"v1\"")).await;
        assert_eq!(kept(&file, &url).await, Some(HeaderValue::from_static("\"v1\"")));
        assert_eq!(kept(&file, &other).await, None);
        forget(&file, &other).await;
        assert!(place(&file).exists());
        forget(&file, &url).await;
        assert!(!place(&file).exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_first_byte_of_a_range_is_read() {
        assert_eq!(first_byte("bytes 3-5/10"), Some(3));
        for wrong in ["bytes */10", "items 3-5/10", "bytes 3", "bytes x-5/10", ""] {
            assert_eq!(first_byte(wrong), None, "{wrong}");
        }
    }
}
