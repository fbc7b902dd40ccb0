//! What is sent, and where the answer goes.

use super::*;

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
        assert!(hints.send(head).is_ok());
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

#[test]
fn an_interim_head_is_shown_the_moment_it_comes() {
    let folder = Folder::new();
    let seen = Arc::new(tokio::sync::Notify::new());
    let waits = seen.clone();
    // The answer does not come before the test has seen the hint.
    let hinting = any(async move |request: Request| {
        theatre(request).await;
        match tokio::time::timeout(Duration::from_secs(20), waits.notified()).await {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    });
    let peer = Peer::routes(&folder, Router::new().route("/", hinting));
    let mut command = folder.command(&["get", &peer.at("/"), "--cacert", &folder.text("peer.pem"), "-v"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.starts_with(wanted) {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "no {wanted}");
        }
    };
    until("< HTTP/3 103");
    seen.notify_one();
    until("< link: </a.css>; rel=preload");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    // And only then, not with the final head once more.
    assert!(rest.contains("< HTTP/3 200") && !rest.contains("103"), "{rest}");
}
