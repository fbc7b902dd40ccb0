//! Which version of a resource a partial file is of: kept next to it, so that the rest that comes is of the same version.

use std::path::{Path, PathBuf};

use axum::http::header::{ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue};

use super::url::Url;

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
}
