//! The built-in site, route by route, without a carrier.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::bytes::Bytes;
use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, Version};
use futures_util::{StreamExt as _, stream};
use telemetry::{Registry, Setup};
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::*;
use crate::stage::Director;

/// A site with what plays around it.
struct Play {
    site: Site,
    registry: Registry,
    _director: Director,
}

fn play() -> Play {
    let (director, counters, registry) = (Director::new(), Counters::default(), Registry::new(&Setup::default()));
    counters.count_in(&registry);
    let site = site(SiteOptions { content: Content::BuiltIn, cue: director.watch(), counters });
    Play { site, registry, _director: director }
}

impl Play {
    async fn send(&self, request: Request<Body>) -> Response {
        self.site.clone().oneshot(request).await.unwrap().map(Body::new)
    }

    async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[]).await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(request(method, path, headers, Body::empty())).await
    }

    #[track_caller]
    fn counted(&self, name: &str, labels: &[&str]) -> f64 {
        self.registry.value(name, labels).unwrap()
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

async fn all(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(all(response).await.to_vec()).unwrap()
}

#[track_caller]
fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.unwrap_or_else(|| panic!("no {name} in {:?}", response.headers())).to_str().unwrap()
}

/// A 4xx that says what is wrong in words.
async fn refused(response: Response, status: u16, words: &[&str]) {
    assert_eq!(response.status(), status);
    assert_eq!(header(&response, "content-type"), "text/plain; charset=utf-8");
    let text = text(response).await;
    assert!(text.starts_with(&format!("{status} ")) && text.ends_with('\n'), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[tokio::test]
async fn the_front_page_says_what_carried_it_and_its_links_lead_somewhere() {
    let play = play();
    for (version, name) in [
        (Version::HTTP_10, "HTTP/1.0"),
        (Version::HTTP_11, "HTTP/1.1"),
        (Version::HTTP_2, "HTTP/2"),
        (Version::HTTP_3, "HTTP/3"),
    ] {
        let mut request = request("GET", "/", &[], Body::empty());
        *request.version_mut() = version;
        let response = play.send(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert!(header(&response, "content-security-policy").starts_with("default-src 'none'"));
        let page = text(response).await;
        assert!(page.contains(&format!(
            "This page came over <span class=\"protocol\" id=\"protocol\" data-protocol=\"{name}\">{name}<"
        )));
        assert!(!page.contains("{{"), "{page}");
    }
    for page in
        [text(play.get("/").await).await, text(play.get("/none").await).await, text(play.get("/demo/tile").await).await]
    {
        let named = [" href=\"", " src=\""].map(|name| page.split(name).skip(1).collect::<Vec<_>>()).concat();
        let links: BTreeSet<String> =
            named.iter().filter_map(|rest| rest.split('"').next()).map(|link| link.replace("&amp;", "&")).collect();
        assert!(links.len() >= 3, "{links:?}");
        for link in links {
            let status = play.get(&link).await.status();
            let expected = match link.as_str() {
                "/status/418" => 418,
                "/echo" => 405,
                "/ws" => 426,
                _ => 200,
            };
            assert_eq!(status, expected, "{link}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let play = play();
    for path in [
        "/none",
        "/demo",
        "/bytes",
        "/bytes/1/2",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/a%00b",
        "/a%5cb",
        "//",
        "/%ff",
    ] {
        let response = play.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        let page = text(response).await;
        for route in ["/demo/tile", "/headers", "/bytes/{n}", "/drip", "/status/{code}", "/echo", "/ws"] {
            assert!(page.contains(route), "{path}: {route}");
        }
    }
    let page = text(play.get("/none%3Cscript%3E?%3Cscript%3E").await).await;
    assert!(page.contains("<code>/none%3Cscript%3E</code>") && !page.contains("<script>"), "{page}");
    let head = play.ask("HEAD", "/none", &[]).await;
    assert_eq!(head.status(), 404);
    assert_eq!(all(head).await.len(), 0);
    // Targets that are not paths do not reach a route.
    for (method, target) in [("CONNECT", "example.org:443"), ("OPTIONS", "*")] {
        assert_eq!(play.ask(method, target, &[]).await.status(), 404, "{method} {target}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_meant_is_refused_with_those_that_are() {
    let play = play();
    for path in ["/", "/demo/tile", "/demo/tile/0.png", "/bytes/1", "/drip", "/favicon.ico", "/site.css"] {
        let response = play.ask("POST", path, &[]).await;
        assert_eq!(header(&response, "allow"), "GET,HEAD", "{path}");
        refused(response, 405, &["POST is not for"]).await;
    }
}

#[tokio::test]
async fn pages_scripts_and_the_icon_have_their_types() {
    let play = play();
    for (path, kind) in [
        ("/site.css", "text/css; charset=utf-8"),
        ("/front.js", "text/javascript; charset=utf-8"),
        ("/tiles.js", "text/javascript; charset=utf-8"),
        ("/favicon.ico", "image/svg+xml"),
    ] {
        let response = play.get(path).await;
        assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, kind), "{path}");
        let head = play.ask("HEAD", path, &[]).await;
        assert_eq!(header(&head, "content-length"), all(response).await.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn a_picture_has_as_many_tiles_as_asked_for_within_bounds() {
    let play = play();
    assert!(
        text(play.get("/demo/tile").await)
            .await
            .contains("data-tiles=\"200\" data-delay=\"0\" data-columns=\"20\" data-rows=\"10\"")
    );
    assert!(text(play.get("/demo/tile?n=7&delay=30").await).await.contains("data-tiles=\"7\" data-delay=\"30\""));
    assert_eq!(play.get("/demo/tile?n=1000").await.status(), 200);
    for path in ["/demo/tile/0.png", "/demo/tile/199.png", "/demo/tile/999.png?n=1000&t=xyz"] {
        let response = play.get(path).await;
        assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, "image/png"), "{path}");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert!(all(response).await.starts_with(b"\x89PNG"), "{path}");
    }
    for (path, word) in [
        ("/demo/tile?n=0", "from 1 to 1000"),
        ("/demo/tile?n=1001", "?n=1001: give a whole number from 1 to 1000"),
        ("/demo/tile?n=many", "?n=many"),
        ("/demo/tile?delay=5001", "from 0 to 5000"),
        ("/demo/tile?n=1&n=2", "stands there twice"),
        ("/demo/tile?tiles=3", "?n=, ?delay="),
        ("/demo/tile/200.png", "0.png to 199.png"),
        ("/demo/tile/7.png?n=7", "0.png to 6.png"),
        ("/demo/tile/-1.png", "0.png"),
        ("/demo/tile/0.gif", "0.png"),
        ("/demo/tile/0", "0.png"),
        ("/demo/tile?n=%zz", "?n=%zz"),
    ] {
        refused(play.get(path).await, 400, &[word]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tile_is_held_back_as_long_as_asked_for() {
    let play = play();
    let began = Instant::now();
    assert_eq!(play.get("/demo/tile/0.png?delay=5000").await.status(), 200);
    assert!((Duration::from_secs(5)..Duration::from_millis(5_010)).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_body_comes_back_with_its_type() {
    let play = play();
    for method in ["POST", "PUT", "PATCH"] {
        let body = request(method, "/echo", &[("content-type", "text/x-test")], Body::from("hello"));
        let response = play.send(body).await;
        assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, "text/x-test"));
        assert_eq!(header(&response, "content-length"), "5");
        assert_eq!(header(&response, "content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(text(response).await, "hello");
    }
    let untyped = play.ask("POST", "/echo", &[]).await;
    assert_eq!(header(&untyped, "content-type"), "application/octet-stream");
    assert_eq!(all(untyped).await.len(), 0);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let response = play.ask(method, "/echo", &[]).await;
        assert_eq!((response.status().as_u16(), header(&response, "allow")), (405, "POST, PUT, PATCH"), "{method}");
    }
    refused(play.get("/echo").await, 405, &["curl -d hello"]).await;
}

#[tokio::test]
async fn an_upload_waits_for_whoever_reads_the_answer() {
    let play = play();
    let read = Arc::new(AtomicUsize::new(0));
    let counting = read.clone();
    // Endless: whoever collected it would never answer.
    let upload = stream::repeat_with(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_static(&[7; 1024]))
    });
    let response = play.send(request("POST", "/echo", &[], Body::from_stream(upload))).await;
    let mut answer = response.into_body().into_data_stream();
    for taken in 1..=100 {
        assert_eq!(answer.next().await.unwrap().unwrap().len(), 1024);
        assert!(read.load(Ordering::Relaxed) <= taken + 1, "{read:?} read, {taken} taken");
    }
}

#[tokio::test]
async fn bytes_are_as_many_as_asked_for_and_the_same_each_time() {
    let play = play();
    for (path, length) in [("/bytes/0", 0), ("/bytes/1", 1), ("/bytes/64K", 65_536), ("/bytes/3000000", 3_000_000)] {
        let response = play.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-length"), length.to_string());
        assert_eq!(
            (header(&response, "accept-ranges"), header(&response, "etag")),
            ("bytes", &*format!("\"quicast-{length}\""))
        );
        let body = all(response).await;
        assert_eq!(body.len(), length);
        assert_eq!(body, all(play.get(path).await).await);
        let head = play.ask("HEAD", path, &[]).await;
        assert_eq!(header(&head, "content-length"), length.to_string());
        assert_eq!(all(head).await.len(), 0);
    }
    let longest = limits::LONGEST_BYTES;
    assert_eq!(header(&play.ask("HEAD", "/bytes/1T", &[]).await, "content-length"), longest.to_string());
    for count in [&*(longest + 1).to_string(), "-1", "many", "1.5M", "99999999999999999999", "%00"] {
        refused(play.get(&format!("/bytes/{count}")).await, 400, &["/bytes/1G"]).await;
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_stopped() {
    let play = play();
    let whole = all(play.get("/bytes/2000000").await).await;
    let tag = "\"quicast-2000000\"";
    let ask = async |headers: &[(&str, &str)]| play.ask("GET", "/bytes/2000000", headers).await;
    for (range, part) in [
        ("bytes=1999990-", 1_999_990..2_000_000),
        ("bytes=0-0", 0..1),
        ("bytes=-100", 1_999_900..2_000_000),
        ("bytes=1000000-1100000", 1_000_000..1_100_001),
    ] {
        let response = ask(&[("range", range), ("if-range", tag)]).await;
        assert_eq!(response.status(), 206, "{range}");
        let named = format!("bytes {}-{}/2000000", part.start, part.end - 1);
        assert_eq!(
            (header(&response, "content-range"), header(&response, "content-length")),
            (&*named, &*part.len().to_string())
        );
        assert_eq!(all(response).await, whole[part], "{range}");
    }
    assert_eq!(ask(&[("range", "bytes=5-"), ("if-range", "\"other\"")]).await.status(), 200);
    assert_eq!(ask(&[("range", "bytes=0-1,4-5")]).await.status(), 200);
    let beyond = ask(&[("range", "bytes=2000000-")]).await;
    assert_eq!(header(&beyond, "content-range"), "bytes */2000000");
    refused(beyond, 416, &["0 to 1999999"]).await;
    let known = ask(&[("if-none-match", tag)]).await;
    assert_eq!((known.status().as_u16(), header(&known, "etag")), (304, tag));
    assert!(known.headers().get("content-length").is_none(), "{:?}", known.headers());
    refused(ask(&[("if-match", "\"other\"")]).await, 412, &[tag]).await;
}

#[tokio::test]
async fn a_slow_reader_holds_a_reference_and_no_copy() {
    let play = play();
    let pieces = async |path: &str| {
        let mut body = play.get(path).await.into_body().into_data_stream();
        [body.next().await.unwrap().unwrap(), body.next().await.unwrap().unwrap()]
    };
    let (one, other) = (pieces("/bytes/1G").await, pieces("/bytes/2G").await);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!((one.len(), one.as_ptr()), (limits::CHUNK, other.as_ptr()));
    }
}

#[tokio::test]
async fn drops_have_bounds() {
    let play = play();
    for query in ["", "?bytes=1&seconds=0", "?bytes=1048576&seconds=120", "?seconds=0.5"] {
        assert_eq!(play.ask("HEAD", &format!("/drip{query}"), &[]).await.status(), 200, "{query}");
    }
    assert_eq!(text(play.get("/drip?bytes=5&seconds=0").await).await, "....\n");
    for (query, word) in [
        ("?bytes=0", "from 1 to 1048576"),
        ("?bytes=1048577", "from 1 to 1048576"),
        ("?seconds=120.5", "from 0 to 120"),
        ("?seconds=-1", "?seconds=-1"),
        ("?seconds=NaN", "like 10 or 0.5"),
        ("?speed=1", "?bytes=, ?seconds="),
    ] {
        refused(play.get(&format!("/drip{query}")).await, 400, &[word]).await;
    }
}

#[tokio::test]
async fn a_request_is_described_as_it_arrived() {
    let play = play();
    let mut request = request("POST", "/headers?a=b", &[("x-twice", "one"), ("x-twice", "two")], Body::empty());
    *request.version_mut() = Version::HTTP_2;
    let peer: SocketAddr = "[::ffff:192.0.2.1]:1234".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request.headers_mut().insert("x-bytes", HeaderValue::from_bytes(b"\xff").unwrap());
    let response = play.send(request).await;
    assert_eq!(header(&response, "content-type"), "application/json");
    let told: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(told["version"], "HTTP/2");
    assert_eq!((&told["method"], &told["target"]), (&"POST".into(), &"/headers?a=b".into()));
    assert_eq!(told["peer"], "192.0.2.1:1234");
    assert_eq!(told["headers"]["x-twice"], serde_json::json!(["one", "two"]));
    assert_eq!(told["headers"]["x-bytes"], serde_json::json!(["\u{fffd}"]));
    let told: serde_json::Value = serde_json::from_str(&text(play.get("/headers").await).await).unwrap();
    assert_eq!(told["peer"], serde_json::Value::Null);
}

#[tokio::test]
async fn every_final_status_can_be_had() {
    let play = play();
    for code in 200..=599 {
        let response = play.get(&format!("/status/{code}")).await;
        assert_eq!(response.status(), code);
        let is_bare = [204, 205, 304].contains(&code);
        assert_eq!(response.headers().contains_key("content-type"), !is_bare, "{code}");
        assert_eq!(response.headers().contains_key("content-length"), !matches!(code, 204 | 304), "{code}");
        assert_eq!(all(response).await.is_empty(), is_bare, "{code}");
    }
    assert_eq!(header(&play.get("/status/302").await, "location"), "/");
    assert_eq!(header(&play.get("/status/401").await, "www-authenticate"), "Basic realm=\"/status/401\"");
    assert_eq!(play.ask("DELETE", "/status/200", &[]).await.status(), 200);
    for code in ["100", "101", "199"] {
        refused(play.get(&format!("/status/{code}")).await, 400, &["interim"]).await;
    }
    for code in ["0", "99", "600", "1000", "0200", "+200", "teapot", "-1", "%20200"] {
        refused(play.get(&format!("/status/{code}")).await, 400, &["200 to 599"]).await;
    }
}

#[tokio::test]
async fn requests_are_counted_by_what_they_were() {
    let play = play();
    let in_flight = |play: &Play| play.counted("quicast_http_requests_in_flight", &["h3"]);
    let mut asked = request("POST", "/echo", &[], Body::from("hello"));
    *asked.version_mut() = Version::HTTP_3;
    let response = play.send(asked).await;
    // It is not over before its answer is.
    assert!((in_flight(&play) - 1.0).abs() < 0.1);
    assert!(play.counted("quicast_http_requests_total", &["h3", "post", "2xx"]) < 0.1);
    assert_eq!(text(response).await, "hello");
    assert!(in_flight(&play) < 0.1);
    for (name, labels, expected) in [
        ("quicast_http_requests_total", &["h3", "post", "2xx"][..], 1.0),
        ("quicast_http_request_body_bytes_total", &["h3"], 5.0),
        ("quicast_http_response_body_bytes_total", &["h3"], 5.0),
    ] {
        assert!((play.counted(name, labels) - expected).abs() < 0.1, "{name}");
    }
    let lines = play.registry.render();
    for name in ["quicast_http_request_duration_seconds", "quicast_http_time_to_first_byte_seconds"] {
        assert!(lines.contains(&format!("{name}_count{{protocol=\"h3\"}} 1\n")), "{name}");
    }
    all(play.get("/none").await).await;
    all(play.ask("BREW", "/status/500", &[]).await).await;
    assert!((play.counted("quicast_http_requests_total", &["h1", "get", "4xx"]) - 1.0).abs() < 0.1);
    assert!((play.counted("quicast_http_requests_total", &["h1", "other", "5xx"]) - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_answer_is_counted_too() {
    let play = play();
    let impatient = tokio::time::timeout(Duration::from_secs(1), play.get("/demo/tile/0.png?delay=5000"));
    assert!(impatient.await.is_err());
    assert!((play.counted("quicast_http_requests_total", &["h1", "get", "none"]) - 1.0).abs() < 0.1);
    assert!(play.counted("quicast_http_requests_in_flight", &["h1"]) < 0.1);
}

#[tokio::test]
async fn an_answers_length_survives_being_counted() {
    let play = play();
    let hint = play.get("/bytes/1000").await.into_body().size_hint();
    assert_eq!(hint.exact(), Some(1000));
    assert!(play.ask("GET", "/status/204", &[]).await.into_body().is_end_stream());
}
