//! The files of a folder, as they are asked for by friends and by others.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::HeaderName;

use super::*;
use crate::site::{Content, Counters, Site, SiteOptions, site};
use crate::stage::Director;

/// A folder with a site in it and a secret beside it.
struct Shown {
    base: PathBuf,
    site: Site,
}

impl Drop for Shown {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.base).ok();
    }
}

fn shown() -> Shown {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let base = std::env::temp_dir().join(format!("quicast-site-{}-{number}", std::process::id()));
    let root = base.join("root");
    for folder in ["below", "empty", ".git", ".well-known", "with space", "...", "back\\slash"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (name, contents) in [
        ("index.html", "<h1>index</h1>"),
        ("below/index.html", "<h1>below</h1>"),
        ("below/page.css", "0123456789"),
        ("below/page.css.br", "brotli"),
        ("below/page.css.gz", "gzip"),
        ("below/page.css.zst", "zstd"),
        (".git/config", "hidden"),
        (".env", "hidden"),
        (".well-known/known.txt", "known"),
        ("with space/file.txt", "space"),
        ("back\\slash/file.txt", "slash"),
        ("nothing", ""),
        ("../secret", "secret"),
    ] {
        fs::write(root.join(name), contents).unwrap();
    }
    symlink(base.join("secret"), root.join("leak")).unwrap();
    symlink(&base, root.join("up")).unwrap();
    symlink(root.join("below/page.css"), root.join("inside.css")).unwrap();
    symlink(base.join("secret"), root.join("below/page.js.gz")).unwrap();
    fs::write(root.join("below/page.js"), "script").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    let root = root.canonicalize().unwrap();
    let cue = Director::new().watch();
    let site = site(SiteOptions { content: Content::Folder(root), cue, counters: Counters::default() });
    Shown { base, site }
}

impl Shown {
    async fn ask(&self, method: &str, path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let response = self.site.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(Body::new(body), 100_000).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask("GET", path, &[]).await;
        (status.as_u16(), body)
    }
}

#[tokio::test]
async fn files_and_the_index_of_a_folder_are_served_with_their_types() {
    let site = shown();
    for (path, kind, contents) in [
        ("/", "text/html", "<h1>index</h1>"),
        ("/index.html", "text/html", "<h1>index</h1>"),
        ("/below/", "text/html", "<h1>below</h1>"),
        ("/below/page.css", "text/css", "0123456789"),
        ("/inside.css", "text/css", "0123456789"),
        ("/.well-known/known.txt", "text/plain", "known"),
        ("/with%20space/file.txt", "text/plain", "space"),
        ("/nothing", "application/octet-stream", ""),
    ] {
        let (status, headers, body) = site.ask("GET", path, &[]).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, contents), "{path}");
        assert_eq!(headers["content-type"], kind, "{path}");
        assert_eq!(headers["content-length"], contents.len().to_string(), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let (status, head, body) = site.ask("HEAD", path, &[]).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(head["content-length"], contents.len().to_string(), "{path}");
    }
    let (status, headers, _) = site.ask("GET", "/below", &[]).await;
    assert_eq!((status.as_u16(), &headers["location"]), (307, &HeaderValue::from_static("/below/")));
}

#[tokio::test]
async fn nothing_outside_and_nothing_hidden_is_there() {
    let site = shown();
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/below/../../secret",
        "/below/%2e%2e/%2e%2e/secret",
        "/below/..%2f..%2fsecret",
        "/..%5csecret",
        "/%2fetc/passwd",
        "//etc/passwd",
        "//below",
        "/leak",
        "/up/secret",
        "/up/root/.env",
        "/below/page.js.gz",
        "/pipe",
        "/empty/",
        "/none",
        "/index.html/",
        "/index.html/more",
        "/below/page.css%00.html",
        "/%00",
        "/%ff",
        "/.env",
        "/.git/config",
        "/.git/",
        "/below/../.env",
        "/.well-known/../.env",
        "/%2eenv",
    ] {
        for method in ["GET", "HEAD"] {
            let (status, _, body) = site.ask(method, path, &[]).await;
            assert_eq!(status, 404, "{method} {path}");
            assert!(body != "secret" && body != "hidden", "{path}: {body}");
        }
    }
    let (status, _, body) = site.ask("GET", &format!("/{}", "x".repeat(5_000)), &[]).await;
    assert!(status == 404 && body.len() < 500, "{status} {body}");
    // In a name, a backslash is a character like others here.
    assert_eq!(site.get("/back%5cslash/file.txt").await, (200, "slash".to_owned()));
}

#[tokio::test]
async fn only_reading_is_for_files() {
    let site = shown();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (status, headers, body) = site.ask(method, "/index.html", &[]).await;
        assert_eq!((status.as_u16(), &headers["allow"]), (405, &HeaderValue::from_static("GET, HEAD")));
        assert!(body.starts_with("405 "), "{body}");
    }
}

#[tokio::test]
async fn a_part_is_answered_and_one_that_is_not_there_refused() {
    let site = shown();
    let ask = async |range: &str| site.ask("GET", "/below/page.css", &[(RANGE, range)]).await;
    for (range, named, part) in
        [("bytes=0-3", "bytes 0-3/10", "0123"), ("bytes=7-", "bytes 7-9/10", "789"), ("bytes=-2", "bytes 8-9/10", "89")]
    {
        let (status, headers, body) = ask(range).await;
        assert_eq!(
            (status.as_u16(), body.as_str(), &headers["content-range"]),
            (206, part, &HeaderValue::from_static(named))
        );
    }
    let (status, headers, _) = ask("bytes=10-").await;
    assert_eq!((status.as_u16(), &headers["content-range"]), (416, &HeaderValue::from_static("bytes */10")));
    assert_eq!(ask("bytes=0-1,5-6").await.2, "0123456789");
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let site = shown();
    let ask = async |headers: &[(HeaderName, &str)]| site.ask("GET", "/below/page.css", headers).await;
    let (_, headers, _) = ask(&[]).await;
    let (tag, date) = (headers[ETAG].to_str().unwrap(), headers[LAST_MODIFIED].to_str().unwrap());
    let none_match = axum::http::header::IF_NONE_MATCH;
    for condition in [(none_match, tag), (axum::http::header::IF_MODIFIED_SINCE, date)] {
        let (status, headers, body) = ask(std::slice::from_ref(&condition)).await;
        assert_eq!((status.as_u16(), body.as_str()), (304, ""), "{condition:?}");
        assert!(!headers.contains_key("content-length"), "{headers:?}");
    }
    assert_eq!(ask(&[(axum::http::header::IF_MATCH, "\"other\"")]).await.0, 412);
    // A part of the same file, or else the whole of the new one.
    for (condition, status, body) in [
        (tag, 206, "56789"),
        (date, 206, "56789"),
        ("\"other\"", 200, "0123456789"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200, "0123456789"),
    ] {
        let (found, _, part) = ask(&[(RANGE, "bytes=5-"), (IF_RANGE, condition)]).await;
        assert_eq!((found.as_u16(), part.as_str()), (status, body), "{condition}");
    }
}

#[tokio::test]
async fn what_lies_beside_it_compressed_is_taken_by_who_can_read_it() {
    let site = shown();
    let accept = axum::http::header::ACCEPT_ENCODING;
    let ask = async |path: &str, accepted: &str| site.ask("GET", path, &[(accept.clone(), accepted)]).await;
    for (accepted, encoding, body) in [
        ("br", Some("br"), "brotli"),
        ("gzip", Some("gzip"), "gzip"),
        ("zstd", Some("zstd"), "zstd"),
        ("gzip;q=0.5, br;q=0.8", Some("br"), "brotli"),
        ("identity", None, "0123456789"),
        ("br;q=0", None, "0123456789"),
        ("", None, "0123456789"),
    ] {
        let (status, headers, found) = ask("/below/page.css", accepted).await;
        let found_encoding = headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!((status.as_u16(), found_encoding, found.as_str()), (200, encoding, body), "{accepted}");
        assert_eq!(headers["content-type"], "text/css");
        assert_eq!(headers["vary"], "accept-encoding");
    }
    // A link out of the folder is not there, and what it would stand for is.
    assert_eq!(ask("/below/page.js", "gzip").await.2, "script");
}
