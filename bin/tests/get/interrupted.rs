//! Downloads that are resumed, and what is given up.

use super::*;

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
fn an_upload_that_is_given_up_ends_at_once() {
    let folder = Folder::new();
    let (mut server, url) = site(&folder);
    let (echo, back) = (format!("{url}/echo"), folder.text("back"));
    let mut command = folder.command(&["get", &echo, "-T", "-", "-o", &back]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(100_000)).unwrap();
    while std::fs::metadata(&back).map_or(0, |found| found.len()) < 100_000 {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let began = Instant::now();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(stdin);
    // The server has nobody left to wait for, and nothing to say of a client that went as it should.
    server.signal("TERM");
    let mut said = Vec::new();
    while let line = server.next_line()
        && !line.is_empty()
    {
        said.push(line);
    }
    assert!(!said.iter().any(|line| line.starts_with("closed ")), "{said:?}");
    assert_eq!(server.wait(), Some(0));
}
