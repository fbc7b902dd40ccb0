//! `quicast get` as its users see it: against `quicast serve`, and against a server that does what no good one does.

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use quicast::http3::{self, EarlyHints};
use quicast::{Connection, Endpoint};
use support::{Ended, Folder, Server};
use tls::pki_types::UnixTime;

/// A server of ours, with what it does wrong.
struct Peer {
    url: String,
    endpoint: Endpoint,
    // The last to go: the requests run there.
    _runtime: tokio::runtime::Runtime,
}

impl Peer {
    /// Serves every connection like this. Its certificate is `peer.pem` in the folder.
    #[expect(clippy::unwrap_used, reason = "a test that cannot start its server has failed")]
    fn start<F>(folder: &Folder, serve: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
        std::fs::write(folder.path("peer.pem"), certificate.chain_pem()).unwrap();
        let config = tls::development::server_config(&certificate, &[http3::ALPN]).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let endpoint = Endpoint::server(Arc::new(config), "127.0.0.1:0".parse().unwrap()).unwrap();
        let accepting = endpoint.clone();
        runtime.spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let Ok(connecting) = incoming.accept() else { continue };
                let Ok(connection) = connecting.await else { continue };
                tokio::spawn(serve(connection));
            }
        });
        let url = format!("https://{}", endpoint.local_addr());
        drop(_entered);
        Self { url, endpoint, _runtime: runtime }
    }

    fn routes(folder: &Folder, router: Router) -> Self {
        Self::start(folder, move |connection| {
            let router = router.clone();
            async move { http3::serve_connection(connection, router).ended().await }
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Runs the command, which trusts this server.
    fn get(&self, folder: &Folder, path: &str, arguments: &[&str]) -> Ended {
        let (url, trusted) = (self.at(path), folder.text("peer.pem"));
        let mut all = vec!["get", &url, "--cacert", &trusted];
        all.extend(arguments);
        folder.run(&all, b"")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.endpoint.close(0, b"");
    }
}

/// A server of this program, and its URL.
fn site(folder: &Folder) -> (Server, String) {
    let server = Server::start(folder, &[]);
    let url = format!("https://{}", server.address());
    (server, url)
}

fn fetch(folder: &Folder, arguments: &[&str]) -> Ended {
    fetch_with(folder, arguments, b"")
}

fn fetch_with(folder: &Folder, arguments: &[&str], input: &[u8]) -> Ended {
    let all: Vec<&str> = ["get"].iter().chain(arguments).copied().collect();
    folder.run(&all, input)
}

/// It fails with this code, in one line with these words.
#[track_caller]
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("quicast: "), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}

/// What `/headers` says arrived.
#[expect(clippy::unwrap_used, reason = "a test that gets no answer has failed")]
fn arrived(ended: &Ended) -> (String, BTreeMap<String, Vec<String>>) {
    let told = ended.json();
    (told["method"].as_str().unwrap().to_owned(), serde_json::from_value(told["headers"].clone()).unwrap())
}

/// Bytes that nobody makes by accident.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn content_goes_where_it_is_wanted() {
    let folder = Folder::new();
    let (server, url) = site(&folder);
    let content = fetch(&folder, &[&format!("{url}/bytes/100000")]).done().to_vec();
    assert_eq!(content.len(), 100_000);
    let quiet = |arguments: &[&str]| {
        let ended = fetch(&folder, arguments);
        assert_eq!(ended.done(), b"");
        assert_eq!(ended.stderr, "", "no progress in a pipe");
    };
    quiet(&[&format!("{url}/bytes/100000"), "-o", &folder.text("one")]);
    assert_eq!(std::fs::read(folder.path("one")).unwrap(), content);
    // What was there is overwritten, all of it.
    quiet(&[&format!("{url}/bytes/10"), "-o", &folder.text("one")]);
    assert_eq!(std::fs::read(folder.path("one")).unwrap(), content[..10]);
    // No content is an empty file.
    quiet(&[&format!("{url}/bytes/0"), "-o", &folder.text("empty")]);
    assert_eq!(std::fs::read(folder.path("empty")).unwrap(), b"");
    // Each URL its own; https:// may be left out; -O takes the last name.
    let out = folder.text("new/deep");
    let (a, b) = (format!("{}/bytes/11?x=/y", server.address()), format!("{url}/bytes/12"));
    quiet(&[&a, &b, "-o", "a", "-O", "--output-dir", &out, "--create-dirs"]);
    assert_eq!(std::fs::read(folder.path("new/deep/a")).unwrap(), content[..11]);
    assert_eq!(std::fs::read(folder.path("new/deep/12")).unwrap(), content[..12]);
    refused(&fetch(&folder, &[&b, "-o", &folder.text("none/a")]), 23, &["none/a", "--create-dirs"]);
    refused(&fetch(&folder, &[&format!("{url}/"), "-O"]), 23, &["-o FILE"]);
    refused(&fetch(&folder, &[&format!("{url}/x/../.."), "-O"]), 23, &["-o FILE"]);
    refused(&fetch(&folder, &[&b, &b, "-O"]), 2, &["12", "-o FILE"]);
    refused(&fetch(&folder, &[&b, "-o", "a", "-o", "b"]), 2, &["more -o than URLs"]);
    // A server that says no empties nothing.
    assert_eq!(fetch(&folder, &[&format!("{url}/none"), "-f", "-o", &folder.text("one")]).code, Some(22));
    assert_eq!(std::fs::read(folder.path("one")).unwrap(), content[..10]);
    if Path::new("/dev/full").exists() {
        refused(&fetch(&folder, &[&b, "-o", "/dev/full"]), 23, &["/dev/full", "no space left"]);
    }
    let part = fetch(&folder, &[&format!("{url}/bytes/100"), "-r", "10-19"]);
    assert_eq!(part.done(), &content[10..20]);
}

#[test]
fn requests_are_what_the_flags_say() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/headers");
    let sent = |arguments: &[&str]| {
        let all: Vec<&str> = [url.as_str()].iter().chain(arguments).copied().collect();
        arrived(&fetch(&folder, &all))
    };
    let (method, headers) = sent(&[]);
    assert_eq!((method.as_str(), headers["accept"][0].as_str()), ("GET", "*/*"));
    assert!(headers["user-agent"][0].starts_with("quicast/"), "{headers:?}");
    let (method, headers) = sent(&[
        "-X",
        "PURGE",
        "-A",
        "me/1",
        "-e",
        "https://from/",
        "--priority",
        "u=1, i",
        "-u",
        "Aladdin:open sesame",
        "-r",
        "5-",
        "-H",
        "X-One: 1",
        "-H",
        "x-one: 2",
        "-H",
        "Accept:",
        "-H",
        "X-Empty;",
    ]);
    assert_eq!(method, "PURGE");
    for (name, value) in [
        ("user-agent", &["me/1"][..]),
        ("referer", &["https://from/"]),
        ("priority", &["u=1, i"]),
        ("authorization", &["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]),
        ("range", &["bytes=5-"]),
        ("x-one", &["1", "2"]),
        ("x-empty", &[""]),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(!headers.contains_key("accept"));
    let warned = fetch(&folder, &[&url, "-H", "Connection: close"]);
    assert!(warned.code == Some(0) && warned.stderr.contains("HTTP/3 has no header connection"), "{}", warned.stderr);
    let with_user = url.replace("https://", "https://u:p%40@");
    assert_eq!(arrived(&fetch(&folder, &[&with_user])).1["authorization"], ["Basic dTpwQA=="]);
    for (arguments, words) in [
        (&["-X", "a b"][..], &["-X a b"][..]),
        (&["-H", "no colon"], &["no colon"]),
        (&["--priority", "u=8"], &["u=8", "u=7"]),
        (&["--cc", "cubik"], &["did you mean \"cubic\""]),
        (&["-m", "0"], &["seconds"]),
        (&["-C", "x"], &["number of bytes"]),
        (&["-C", "-"], &["-o FILE"]),
        (&["-I", "-d", "x"], &["cannot be used with"]),
        (&["--resolve", "h:1"], &["HOST:PORT:ADDRESS"]),
        (&["--parallel-max", "0"], &["--parallel-max"]),
    ] {
        let all: Vec<&str> = [url.as_str()].iter().chain(arguments).copied().collect();
        refused(&fetch(&folder, &all), 2, words);
    }
}

#[test]
fn data_is_sent_as_curl_sends_it() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/echo");
    std::fs::write(folder.path("lines"), "one\r\ntwo\n\0").unwrap();
    let file = format!("@{}", folder.text("lines"));
    for (arguments, input, came) in [
        (&["-d", "a=1", "-d", "b=2"][..], "", "a=1&b=2"),
        (&["-d", &file, "-d", "x"], "", "onetwo&x"),
        (&["--data-binary", &file], "", "one\r\ntwo\n\0"),
        (&["--data-raw", "@x"], "", "@x"),
        (&["-d", "@-"], "from\nhere", "fromhere"),
        (&["--data-binary", "@-"], "from\nhere", "from\nhere"),
        (&["-T", "-"], "from\nhere", "from\nhere"),
        (&["-d", "", "-H", "Content-Type: a/b"], "", ""),
    ] {
        let all: Vec<&str> = [url.as_str()].iter().chain(arguments).copied().collect();
        assert_eq!(fetch_with(&folder, &all, input.as_bytes()).text(), came, "{arguments:?}");
    }
    let types = fetch(&folder, &[&url, "-d", "x", "-i"]);
    assert!(types.text().contains("content-type: application/x-www-form-urlencoded\r\n"), "{}", types.text());
    let none = folder.text("none");
    refused(&fetch(&folder, &[&url, "-T", &none]), 26, &[&none, "no such file"]);
    refused(&fetch(&folder, &[&url, "-d", &format!("@{none}")]), 26, &[&none, "no such file"]);
    refused(&fetch(&folder, &[&url, "-T", &folder.text("")]), 26, &["this is a folder"]);
    refused(&fetch(&folder, &[&url, &url, "-T", "-"]), 2, &["one URL only"]);
}

#[test]
fn uploads_come_back_whole() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let sent = noise(20_000_003);
    std::fs::write(folder.path("sent"), &sent).unwrap();
    let (echo, up, back) = (format!("{url}/echo"), folder.text("sent"), folder.text("back"));
    let told = fetch(&folder, &[&echo, "-T", &up, "-o", &back, "-w", "%{size_upload} %{size_download} %{method}"]);
    assert_eq!(told.text(), "20000003 20000003 PUT");
    assert!(std::fs::read(&back).unwrap() == sent);
    let ended = fetch_with(&folder, &[&echo, "-T", "-"], &sent);
    assert!(ended.done() == sent);
    // A folder's URL gets the name.
    let told = fetch(&folder, &[&format!("{url}/none/"), "-T", &up, "-s", "-o", "/dev/null", "-w", "%{url_effective}"]);
    assert_eq!(told.text(), format!("{url}/none/sent"));
}

/// Early hints, content, trailers.
async fn theatre(request: Request) -> Response {
    if let Some(hints) = request.extensions().get::<EarlyHints>() {
        let mut head = axum::http::Response::new(());
        *head.status_mut() = StatusCode::EARLY_HINTS;
        head.headers_mut().insert(header::LINK, HeaderValue::from_static("</a.css>; rel=preload"));
        hints.send(head);
    }
    ([("x-control", "a\u{80}b")], Body::new(WithTrailers(0))).into_response()
}

struct WithTrailers(u8);

impl axum::body::HttpBody for WithTrailers {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        self.0 += 1;
        std::task::Poll::Ready(match self.0 {
            1 => Some(Ok(hyper::body::Frame::data("content".into()))),
            2 => {
                let trailers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("\"sum\""))]);
                Some(Ok(hyper::body::Frame::trailers(trailers)))
            }
            _ => None,
        })
    }
}

#[test]
fn heads_are_shown_when_wanted() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let all = fetch(&folder, &[&format!("{url}/bytes/5"), "-i"]);
    let all = String::from_utf8_lossy(all.done()).into_owned();
    assert!(all.starts_with("HTTP/3 200 \r\naccept-ranges: bytes\r\n") && all.contains("\r\n\r\n"), "{all}");
    let head = fetch(&folder, &[&format!("{url}/bytes/5"), "-I"]);
    assert!(head.text().contains("content-length: 5\r\n") && head.text().ends_with("\r\n\r\n"), "{}", head.text());

    let peer = Peer::routes(&folder, Router::new().route("/", any(theatre)));
    let ended = peer.get(&folder, "/", &["-v", "-H", "X-Mine: yes"]);
    assert_eq!(ended.text(), "content");
    let mut rest = ended.stderr.as_str();
    for line in [
        "* trying 127.0.0.1:",
        "* connected to 127.0.0.1:",
        "* TLSv1.3, Aes",
        "* ALPN: the server chose h3",
        "* certificate for localhost",
        "* certificate SHA-256 ",
        "* QUIC: rtt ",
        "> GET / HTTP/3",
        "> Host: 127.0.0.1:",
        "> x-mine: yes",
        "> ",
        "< HTTP/3 103",
        "< link: </a.css>; rel=preload",
        "< ",
        "< HTTP/3 200",
        "< x-control: a b",
        "< ",
        "* trailers",
        "< etag: \"sum\"",
        "* connection to 127.0.0.1:",
    ] {
        let found = rest.lines().position(|said| said.starts_with(line));
        let found = found.unwrap_or_else(|| panic!("no {line:?} in its place: {}", ended.stderr));
        rest = rest.splitn(found + 2, '\n').last().unwrap();
    }
    assert!(ended.stderr.contains(" 0 of them lost"), "{}", ended.stderr);
    let included = peer.get(&folder, "/", &["-i"]);
    assert!(included.done().starts_with(b"HTTP/3 103 \r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/3 200 \r\n"));
}

/// Says what it was asked, as the answer.
async fn mirror(request: Request) -> String {
    let mut told = format!("{} {}", request.method(), request.uri().path());
    for name in [header::AUTHORIZATION, header::COOKIE, header::CONTENT_TYPE] {
        if request.headers().contains_key(&name) {
            told.push_str(&format!(" {name}"));
        }
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    format!("{told} {}", String::from_utf8_lossy(&body))
}

fn to(status: u16, location: &str) -> axum::routing::MethodRouter {
    let location = location.to_owned();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
    any(move || {
        let location = location.clone();
        async move { (status, [(header::LOCATION, location)], "moved") }
    })
}

#[test]
fn redirects_are_followed_as_far_as_they_may() {
    let folder = Folder::new();
    let other = Peer::routes(&folder, Router::new().fallback(any(mirror)));
    let trusted = std::fs::read_to_string(folder.path("peer.pem")).unwrap();
    let router = Router::new()
        .route("/a/one", to(302, "../two"))
        .route("/two", to(301, "/three"))
        .route("/see", to(303, "/three"))
        .route("/same", to(307, "/three"))
        .route("/loop", to(302, "loop"))
        .route("/away", to(302, &other.at("/there")))
        .route("/down", to(302, "http://127.0.0.1/"))
        .route("/bad", to(302, "https://[x]/"))
        .fallback(any(mirror));
    let peer = Peer::routes(&folder, router);
    let both = trusted + &std::fs::read_to_string(folder.path("peer.pem")).unwrap();
    std::fs::write(folder.path("peer.pem"), both).unwrap();
    let follow = |path: &str, arguments: &[&str]| {
        let all: Vec<&str> = ["-L"].iter().chain(arguments).copied().collect();
        peer.get(&folder, path, &all)
    };
    assert_eq!(peer.get(&folder, "/a/one", &[]).text(), "moved");
    let told = peer.get(&folder, "/a/one", &["-o", "/dev/null", "-w", "%{http_code} %{redirect_url} %{num_redirects}"]);
    assert_eq!(told.text(), format!("302 {} 0", peer.at("/two")));
    assert_eq!(follow("/a/one", &[]).text(), "GET /three ");
    let told =
        follow("/a/one", &["-o", "/dev/null", "-w", "%{http_code} %{url_effective} %{num_redirects} %{num_connects}"]);
    assert_eq!(told.text(), format!("200 {} 2 1", peer.at("/three")));
    let heads = follow("/a/one", &["-i"]);
    assert_eq!(heads.text().matches("HTTP/3 ").count(), 3, "{}", heads.text());
    // What is sent goes along, or not.
    assert_eq!(follow("/two", &["-d", "x"]).text(), "GET /three ");
    assert_eq!(follow("/see", &["-d", "x"]).text(), "GET /three ");
    assert_eq!(follow("/same", &["-d", "x"]).text(), "POST /three content-type x");
    refused(&follow("/same", &["-T", "-"]), 65, &["standard input"]);
    // Secrets are for the server that they were meant for.
    let secrets = ["-u", "a:b", "-H", "Cookie: c"];
    assert_eq!(follow("/two", &secrets).text(), "GET /three authorization cookie ");
    assert_eq!(follow("/away", &secrets).text(), "GET /there ");
    refused(&follow("/loop", &[]), 47, &["more than 50 redirects"]);
    refused(&follow("/a/one", &["--max-redirs", "1"]), 47, &["more than 1 redirects"]);
    assert_eq!(follow("/a/one", &["--max-redirs", "2"]).text(), "GET /three ");
    refused(&follow("/down", &[]), 1, &["http://127.0.0.1/"]);
    refused(&follow("/bad", &[]), 3, &["[x]"]);
}

#[test]
fn a_download_goes_on_where_it_ended() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let (url, file) = (format!("{url}/bytes/300000"), folder.text("file"));
    let whole = fetch(&folder, &[&url]).done().to_vec();
    let resume = |from: &[u8], arguments: &[&str]| {
        std::fs::write(&file, from).unwrap();
        let all: Vec<&str> = [url.as_str(), "-o", &file].iter().chain(arguments).copied().collect();
        fetch(&folder, &all)
    };
    let told = resume(&whole[..100_001], &["-C", "-", "-w", "%{http_code} %{size_download}"]);
    assert_eq!(told.text(), "206 199999");
    assert!(std::fs::read(&file).unwrap() == whole);
    // Nothing is missing: that is no failure.
    assert_eq!(resume(&whole, &["-C", "-", "-w", "%{http_code}"]).text(), "416");
    assert!(std::fs::read(&file).unwrap() == whole);
    // The user says from where.
    resume(&whole[..7], &["-C", "5"]).done();
    assert!(std::fs::read(&file).unwrap() == whole);
    // To standard output only the rest.
    assert!(fetch(&folder, &[&url, "-C", "299990"]).done() == &whole[299_990..]);
    // Nothing is there yet.
    std::fs::remove_file(&file).unwrap();
    fetch(&folder, &[&url, "-o", &file, "-C", "-"]).done();
    assert!(std::fs::read(&file).unwrap() == whole);
    // It is longer than it can be.
    refused(&resume(&[0; 300_001], &["-C", "-"]), 33, &["another version"]);
    // What cannot be resumed stays as it was.
    let none = url.replace("bytes", "none");
    refused(&fetch(&folder, &[&none, "-o", &file, "-C", "-"]), 22, &["404"]);
    let peer = Peer::routes(&folder, Router::new().route("/", get(|| async { "whole" })));
    std::fs::write(&file, "wh").unwrap();
    refused(&peer.get(&folder, "/", &["-o", &file, "-C", "-"]), 33, &["does not support ranges"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"wh");
}

/// Says a little, and then nothing; the rest, of the version that is now, on request.
fn halting(version: Arc<AtomicUsize>) -> Router {
    let answer = move |headers: HeaderMap| {
        let tag = format!("\"v{}\"", version.load(Ordering::SeqCst));
        async move {
            let same = headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() == tag.as_bytes());
            let tagged = [(header::ETAG, tag)];
            if same {
                let range = headers[header::RANGE].to_str().unwrap_or_default().to_owned();
                let about = [(header::CONTENT_RANGE, "bytes 5-9/10".to_owned()), (header::SERVER, range)];
                return (StatusCode::PARTIAL_CONTENT, tagged, about, "56789").into_response();
            }
            use futures_util::StreamExt as _;
            let begun = futures_util::stream::iter([Ok::<_, std::io::Error>("01234")]);
            (tagged, Body::from_stream(begun.chain(futures_util::stream::pending()))).into_response()
        }
    };
    Router::new().route("/", get(answer))
}

#[test]
fn an_interrupted_download_can_be_resumed_if_it_is_the_same() {
    let folder = Folder::new();
    let version = Arc::new(AtomicUsize::new(1));
    let peer = Peer::routes(&folder, halting(version.clone()));
    let (file, url) = (folder.text("file"), peer.at("/"));
    let interrupted = || {
        let trusted = folder.text("peer.pem");
        let mut child =
            folder.command(&["get", &url, "--cacert", &trusted, "-o", &file]).stderr(Stdio::piped()).spawn().unwrap();
        while std::fs::metadata(&file).map_or(0, |found| found.len()) < 5 {
            std::thread::yield_now();
        }
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        let ended = child.wait().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((ended.code(), said.as_str()), (Some(130), ""));
        assert_eq!(std::fs::read(&file).unwrap(), b"01234");
    };
    interrupted();
    let kept = std::fs::read_to_string(folder.path("file.quicast-resume")).unwrap();
    assert_eq!(kept, format!("{url}\n\"v1\"\n"));
    let told = peer.get(&folder, "/", &["-o", &file, "-C", "-", "-w", "%{http_code} %header{server}"]);
    assert_eq!(told.text(), "206 bytes=5-");
    assert_eq!(std::fs::read(&file).unwrap(), b"0123456789");
    assert!(!folder.path("file.quicast-resume").exists());
    // Another version is not put behind the first part of this one.
    std::fs::remove_file(&file).unwrap();
    interrupted();
    version.store(2, Ordering::SeqCst);
    refused(&peer.get(&folder, "/", &["-o", &file, "-C", "-"]), 33, &["another version by now"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"01234");
}

#[test]
fn giving_up_tells_the_server() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let folder = Folder::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = dropped.clone();
    let never = move || {
        let counted = Counted(counted.clone());
        async move {
            std::future::pending::<()>().await;
            drop(counted);
        }
    };
    let peer = Peer::routes(&folder, Router::new().route("/", any(never)));
    let ended = peer.get(&folder, "/", &["-m", "0.3"]);
    refused(&ended, 28, &["time is up after 0.3 s"]);
    let began = Instant::now();
    // The closure's own, and each request's: the connection's idle timeout is far away.
    while dropped.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "the server's request goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_hundred_requests_share_a_connection() {
    let folder = Folder::new();
    let (server, url) = site(&folder);
    let urls: Vec<String> = (0..100).map(|number| format!("{url}/bytes/{}", 1000 + number)).collect();
    let out = folder.text("out");
    let mut all: Vec<&str> = urls.iter().map(String::as_str).collect();
    all.extend(["-Z", "--parallel-max", "40", "-O", "--output-dir", &out, "--create-dirs", "--json"]);
    let ended = fetch(&folder, &all);
    let lines: Vec<serde_json::Value> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 100);
    assert_eq!(lines.iter().filter(|line| line["reused"] == false).count(), 1);
    for line in &lines {
        assert_eq!((line["status"].as_u64(), line["exit_code"].as_u64()), (Some(200), Some(0)), "{line}");
        assert!(line["rtt"].as_f64().unwrap() > 0.0 && line["time_total"].as_f64().unwrap() > 0.0, "{line}");
    }
    for length in 1000..1100 {
        assert_eq!(std::fs::metadata(folder.path(&format!("out/{length}"))).unwrap().len(), length);
    }
    // Another name of the same server has a connection of its own; one failure does not stop the others.
    let port = server.address().rsplit_once(':').unwrap().1;
    let other = format!("https://localhost:{port}/bytes/3");
    let given = format!("localhost:{port}:127.0.0.1");
    let one = format!("{url}/bytes/3");
    let ended =
        fetch(&folder, &[&one, "https://[", &other, &one, "--resolve", &given, "-w", " %{num_connects} %{exitcode}\n"]);
    assert_eq!(ended.code, Some(3));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let ends: Vec<&str> = said.lines().filter_map(|line| line.split_once(' ')).map(|(_, end)| end).collect();
    assert_eq!(ends, ["1 0", "0 3", "1 0", "0 0"], "{said}");
}

#[test]
fn retries_are_made_as_often_as_wanted() {
    let folder = Folder::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let busy = move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")], "busy").into_response(),
                _ => "at last".into_response(),
            }
        }
    };
    let peer = Peer::routes(&folder, Router::new().route("/", any(busy)).fallback(any(mirror)));
    let ended = peer.get(&folder, "/", &["--retry", "5", "-w", " %{num_retries}"]);
    assert_eq!(ended.text(), "at last 2");
    assert!(ended.stderr.lines().count() == 2 && ended.stderr.contains("503"), "{}", ended.stderr);
    asked.store(0, Ordering::SeqCst);
    // The last answer is an answer like any other.
    assert_eq!(peer.get(&folder, "/", &["--retry", "1", "-s"]).text(), "busy");
    asked.store(0, Ordering::SeqCst);
    assert_eq!(peer.get(&folder, "/", &[]).text(), "busy");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    asked.store(0, Ordering::SeqCst);
    refused(&peer.get(&folder, "/", &["-f"]), 22, &["503", "Service Unavailable"]);
    asked.store(0, Ordering::SeqCst);
    let shown = peer.get(&folder, "/", &["--fail-with-body"]);
    assert_eq!((shown.code, shown.stdout.as_slice()), (Some(22), &b"busy"[..]));
    asked.store(0, Ordering::SeqCst);
    let silent = peer.get(&folder, "/", &["-f", "-s"]);
    assert_eq!((silent.code, silent.stderr.as_str()), (Some(22), ""));
    asked.store(0, Ordering::SeqCst);
    refused(&peer.get(&folder, "/", &["-f", "-s", "-S"]), 22, &["503"]);
}

#[test]
fn a_server_that_goes_away_is_asked_again_on_a_new_connection() {
    let folder = Folder::new();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let peer = Peer::start(&folder, move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let asked = Arc::new(tokio::sync::Notify::new());
            let told = asked.clone();
            let answer = move |request: Request| {
                told.notify_one();
                mirror(request)
            };
            let served = http3::serve_connection(connection, Router::new().fallback(any(answer)));
            asked.notified().await;
            served.shut_down().await;
        }
    });
    let urls: Vec<String> = (0..5).map(|number| peer.at(&format!("/{number}"))).collect();
    let trusted = folder.text("peer.pem");
    let mut all: Vec<&str> = urls.iter().map(String::as_str).collect();
    all.extend(["--cacert", &trusted]);
    let ended = fetch(&folder, &all);
    assert_eq!(ended.text(), "GET /0 GET /1 GET /2 GET /3 GET /4 ");
    assert!(connections.load(Ordering::SeqCst) > 1);
}

#[test]
fn certificates_are_checked_unless_told_otherwise() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/bytes/5");
    let peer = Peer::routes(&folder, Router::new().fallback(any(mirror)));
    let (other, none) = (folder.text("peer.pem"), folder.text("none"));
    refused(&fetch(&folder, &[&url, "--cacert", &other]), 60, &["not trusted", "--cacert", "-k"]);
    refused(&fetch(&folder, &[&peer.at("/")]), 60, &["not trusted"]);
    assert_eq!(fetch(&folder, &[&peer.at("/x"), "-k"]).text(), "GET /x ");
    assert_eq!(peer.get(&folder, "/x", &[]).text(), "GET /x ");
    refused(&fetch(&folder, &[&url, "--cacert", &none]), 77, &["--cacert", &none, "no such file"]);
    // The name is what is proven, wherever the server is.
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap();
    let (named, given) = (format!("https://example.test:{port}/headers"), format!("example.test:{port}:127.0.0.1"));
    refused(&fetch(&folder, &[&named, "--resolve", &given]), 60, &["another name"]);
    let told = fetch(&folder, &[&named, "--resolve", &given, "-k"]).json();
    assert_eq!(told["target"], named);
}

#[test]
fn a_silent_address_costs_a_quarter_of_a_second() {
    let folder = Folder::new();
    let (server, _) = site(&folder);
    let port = server.address().rsplit_once(':').unwrap().1;
    // The same port of the machine's other address, where nobody answers.
    let _silent = UdpSocket::bind(format!("127.0.0.2:{port}")).unwrap();
    let url = format!("https://localhost:{port}/bytes/5");
    let given = format!("localhost:{port}:127.0.0.2,127.0.0.1");
    let told = fetch(&folder, &[&url, "--resolve", &given, "-o", "/dev/null", "-w", "%{remote_ip} %{time_connect}"]);
    let (remote, took) = told.text().split_once(' ').unwrap();
    assert_eq!(remote, "127.0.0.1");
    assert!((0.25..5.0).contains(&took.parse::<f64>().unwrap()), "{took}");
    let given = format!("localhost:{port}:127.0.0.2");
    let limited = fetch(&folder, &[&url, "--resolve", &given, "--connect-timeout", "0.5"]);
    refused(&limited, 28, &["--connect-timeout"]);
    refused(&fetch(&folder, &[&url, "--resolve", &given]), 7, &["127.0.0.2", "did not answer", "UDP"]);
    refused(&fetch(&folder, &[&url, "-6", "--resolve", &given]), 6, &["of IPv6"]);
}

#[test]
fn what_is_wrong_is_said_with_curls_codes() {
    let folder = Folder::new();
    for (arguments, code, words) in [
        (&["http://localhost/x"][..], 1, &["always encrypted", "https://localhost/x"][..]),
        (&["ftp://localhost/"], 1, &["https://"]),
        (&["https://[::1"], 3, &["https://[::1"]),
        (&["https://localhost:x/"], 3, &["port"]),
        (&["https://host.invalid/"], 6, &["host.invalid", "--resolve"]),
        (&["https://localhost:1/", "--keylog", "/none/keys"], 23, &["/none/keys"]),
        (&["https://localhost:1/", "-w", "@/none/format"], 26, &["/none/format"]),
        (&["https://localhost:1/", "-o"], 2, &["--output"]),
        (&[], 2, &["URL"]),
    ] {
        refused(&fetch(&folder, arguments), code, words);
    }
    // Somebody who speaks QUIC, but not HTTP/3.
    let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
    let config = tls::development::server_config(&certificate, &[b"something-else"]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = runtime.block_on(async {
        let endpoint = Endpoint::server(Arc::new(config), "127.0.0.1:0".parse().unwrap()).unwrap();
        let accepting = endpoint.clone();
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                incoming.accept().map(tokio::spawn).ok();
            }
        });
        endpoint
    });
    let url = format!("https://{}", endpoint.local_addr());
    refused(&fetch(&folder, &[&url, "-k"]), 35, &["not HTTP/3"]);
    // A stream that breaks off is none of HTTP's ends.
    let broken = || async {
        use futures_util::StreamExt as _;
        let pieces = futures_util::stream::iter([Ok("some"), Err(std::io::Error::other("broken"))]);
        Body::from_stream(pieces.then(|piece| async {
            tokio::task::yield_now().await;
            piece
        }))
    };
    let peer = Peer::routes(&folder, Router::new().route("/", get(broken)));
    refused(&peer.get(&folder, "/", &["-o", "/dev/null"]), 95, &["the peer ended the request", "H3_INTERNAL_ERROR"]);
}

#[test]
fn results_are_told_to_people_and_programs() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/bytes/5");
    let file = folder.text("file");
    let told = fetch(&folder, &[&url, "-o", &file, "--json"]).json();
    for (name, value) in
        [("status", 200), ("bytes_down", 5), ("bytes_up", 0), ("retries", 0), ("exit_code", 0), ("packets_lost", 0)]
    {
        assert_eq!(told[name].as_u64(), Some(value), "{name}: {told}");
    }
    assert_eq!(
        (&told["version"], &told["reused"], &told["error"]),
        (&"3".into(), &false.into(), &serde_json::Value::Null)
    );
    let [dns, handshake, first, total] =
        ["time_dns", "time_handshake", "time_first_byte", "time_total"].map(|name| told[name].as_f64().unwrap());
    assert!(handshake > 0.0 && dns + handshake < first && first <= total, "{told}");
    // Where the content goes to standard output, the line does not.
    let mixed = fetch(&folder, &[&url, "--json"]);
    assert_eq!(mixed.done().len(), 5);
    assert!(serde_json::from_str::<serde_json::Value>(&mixed.stderr).is_ok(), "{}", mixed.stderr);
    let failed = fetch(&folder, &["https://[", "--json", "-s"]);
    let told: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
    assert!(told["exit_code"] == 3 && told["error"].as_str().unwrap().contains("]"), "{told}");
    std::fs::write(folder.path("format"), "%{http_code}\\t%{content_type}\\n%{stderr}%{scheme}").unwrap();
    let out = fetch(&folder, &[&url, "-o", &file, "-w", &format!("@{}", folder.text("format"))]);
    assert_eq!((out.text(), out.stderr.as_str()), ("200\tapplication/octet-stream\n", "https"));
    // The controller and the secrets are those of other commands.
    let keys = folder.text("keys");
    let out = fetch(&folder, &[&url, "-o", &file, "-v", "--cc", "newreno", "--keylog", &keys]);
    assert!(out.code == Some(0) && out.stderr.contains("congestion control newreno"), "{}", out.stderr);
    assert!(std::fs::read_to_string(&keys).unwrap().contains("CLIENT_TRAFFIC_SECRET_0 "));
    assert_eq!(out.stderr.matches("TLS secrets").count(), 1, "{}", out.stderr);
}

/// The most memory that a process has used so far, in KiB.
#[cfg(target_os = "linux")]
fn peak(child: &std::process::Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    high.and_then(|high| high.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_what_is_moved() {
    /// Some windows and buffers, in KiB; far less than what is moved.
    const BOUND: u64 = 64 * 1024;
    const MOVED: usize = 256 << 20;
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let down = format!("{url}/bytes/256M");
    let mut child = folder.command(&["get", &down]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut piece, mut came, mut peak_down) = (vec![0; 1 << 20], 0, 0);
    while let Ok(read @ 1..) = stdout.read(&mut piece) {
        came += read;
        peak_down = peak(&child).max(peak_down);
    }
    assert_eq!((child.wait().unwrap().code(), came), (Some(0), MOVED));
    assert!(peak_down > 0 && peak_down < BOUND, "{peak_down} KiB for a download");
    let swallow = |request: Request| async move {
        use futures_util::StreamExt as _;
        let mut pieces = request.into_body().into_data_stream();
        let mut sum = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            sum += piece.len();
        }
        format!("{sum}")
    };
    let peer = Peer::routes(&folder, Router::new().fallback(any(swallow)));
    let (up, trusted) = (peer.at("/"), folder.text("peer.pem"));
    let mut command = folder.command(&["get", &up, "--cacert", &trusted, "-T", "-", "-o", "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut peak_up) = (child.stdin.take().unwrap(), 0);
    for _ in 0..MOVED / piece.len() {
        stdin.write_all(&piece).unwrap();
        peak_up = peak(&child).max(peak_up);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(peak_up > 0 && peak_up < BOUND, "{peak_up} KiB for an upload");
    println!("peaks: {peak_down} KiB down, {peak_up} KiB up");
}
