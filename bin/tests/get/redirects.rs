//! Redirects, further tries, and servers that go away.

use super::*;

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
