//! WebSockets over a tunnel that stands for HTTP/3, and the handshakes of HTTP/1.1.

use std::io;

use axum::body::Body;
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt as _;

use super::*;
use crate::site::{Content, Counters, Site, SiteOptions, site};
use crate::stage::Director;

type Client = WebSocketStream<DuplexStream>;

fn play() -> (Site, Director) {
    let director = Director::new();
    let options = SiteOptions { content: Content::BuiltIn, cue: director.watch(), counters: Counters::default() };
    (site(options), director)
}

/// An extended CONNECT as whoever serves HTTP/3 makes it, and the client's end of its tunnel.
fn connect(protocol: &str, headers: &[(&str, &str)]) -> (Request, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let mut request = Request::builder().method("CONNECT").uri("/ws").version(Version::HTTP_3);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Tunnel::new(protocol, async { Ok(ours) }));
    (request, theirs)
}

const THIRTEEN: &[(&str, &str)] = &[("sec-websocket-version", "13")];

async fn open(site: &Site) -> Result<Client, StatusCode> {
    let (request, stream) = connect("websocket", THIRTEEN);
    let status = site.clone().oneshot(request).await.unwrap().status();
    if status != StatusCode::OK {
        return Err(status);
    }
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

async fn refused(site: &Site, request: Request, status: u16, word: &str) {
    let response = site.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), status, "{word}");
    let text = axum::body::to_bytes(Body::new(response.into_body()), 10_000).await.unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains(word), "no {word:?} in {text}");
}

/// How the server says good-bye.
async fn last_words(client: &mut Client) -> (CloseCode, String) {
    loop {
        match client.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code, frame.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("no close but {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_said_comes_back_and_a_ping_is_answered() {
    let (site, _director) = play();
    let mut client = open(&site).await.unwrap();
    for message in [
        Message::text("to be, or not to be"),
        Message::binary(vec![7; 200_000]),
        Message::text(""),
        Message::text("x".repeat(LONGEST_MESSAGE)),
    ] {
        let (mut sender, mut receiver) = client.split();
        // A long one does not fit into the stream at once: it is read while it is written.
        let (sent, returned) = tokio::join!(sender.send(message.clone()), receiver.next());
        sent.unwrap();
        assert_eq!(returned.unwrap().unwrap(), message);
        client = sender.reunite(receiver).unwrap();
    }
    client.send(Message::Ping("still there?".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("still there?".into()));
    client.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).await.unwrap();
    assert_eq!(last_words(&mut client).await, (CloseCode::Normal, "done".to_owned()));
}

#[tokio::test]
async fn after_both_closes_the_clients_end_of_the_stream_is_awaited() {
    let (site, _director) = play();
    let (request, mut stream) = connect("websocket", THIRTEEN);
    assert_eq!(site.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    // A masked close without a code; its answer, and the end.
    stream.write_all(&[0x88, 0x80, 1, 2, 3, 4]).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [0x88, 0x00]);
    // Whoever was told to stop sending could not end its half of the stream.
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_it_with_the_code_for_that() {
    let (site, _director) = play();
    let mut client = open(&site).await.unwrap();
    let longer = Message::binary(vec![0; LONGEST_MESSAGE + 1]);
    let (mut sender, mut receiver) = (&mut client).split();
    let words = async {
        loop {
            match receiver.next().await {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code,
                Some(Ok(_)) => {}
                other => panic!("no close but {other:?}"),
            }
        }
    };
    // The rest of it is not read by anybody.
    tokio::select! {
        code = timeout(Duration::from_secs(10), words) => assert_eq!(code.unwrap(), CloseCode::Size),
        _ = async { sender.send(longer).await.ok(); std::future::pending::<()>().await } => {}
    }
}

#[tokio::test]
async fn a_server_that_stops_says_good_bye() {
    let (site, director) = play();
    let mut client = open(&site).await.unwrap();
    director.advance(Stage::Draining);
    assert_eq!(last_words(&mut client).await, (CloseCode::Away, "the server stops".to_owned()));
    let mut late = open(&site).await.unwrap();
    assert_eq!(last_words(&mut late).await.0, CloseCode::Away);
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_for_too_long_is_let_go() {
    let (site, _director) = play();
    let mut client = open(&site).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(last_words(&mut client).await.0, CloseCode::Away);
    let waited = began.elapsed();
    assert!(waited >= WEBSOCKET_IDLE && waited < WEBSOCKET_IDLE + Duration::from_secs(1), "{waited:?}");
}

#[tokio::test]
async fn there_are_so_many_and_not_one_more() {
    let (site, _director) = play();
    let mut clients = Vec::new();
    for _ in 0..WEBSOCKETS {
        clients.push(open(&site).await.unwrap());
    }
    assert_eq!(open(&site).await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    // Whoever leaves makes room.
    let mut one = clients.pop().unwrap();
    one.close(None).await.unwrap();
    while let Some(Ok(_)) = one.next().await {}
    drop(one);
    let again = async {
        loop {
            if let Ok(client) = open(&site).await {
                return client;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut again = timeout(Duration::from_secs(10), again).await.unwrap();
    again.send(Message::text("here")).await.unwrap();
    assert_eq!(again.next().await.unwrap().unwrap(), Message::text("here"));
}

#[tokio::test]
async fn a_tunnel_that_does_not_open_is_nobodys_failure() {
    let (site, _director) = play();
    let (mut request, _) = connect("websocket", THIRTEEN);
    request
        .extensions_mut()
        .insert(Tunnel::new("websocket", async { Err::<DuplexStream, _>(io::Error::other("gone")) }));
    assert_eq!(site.clone().oneshot(request).await.unwrap().status(), 200);
    assert!(open(&site).await.is_ok());
    let tunnel = Tunnel::new("websocket", async { Ok(tokio::io::duplex(1).0) });
    assert!(tunnel.clone().open().await.is_ok());
    assert!(tunnel.open().await.is_err(), "it is opened once");
}

#[tokio::test]
async fn what_is_no_handshake_is_told_why() {
    let (site, _director) = play();
    let ask = |version: Version, headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri("/ws").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    };
    let upgrade = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let thirteen = THIRTEEN[0];
    let with = |more: &[(&'static str, &'static str)]| [&upgrade[..], more].concat();
    refused(&site, ask(Version::HTTP_11, &[]), 426, "new WebSocket").await;
    refused(&site, ask(Version::HTTP_2, &[]), 400, "new WebSocket").await;
    refused(&site, ask(Version::HTTP_11, &with(&[key])), 400, "Sec-WebSocket-Version").await;
    refused(&site, ask(Version::HTTP_11, &with(&[key, ("sec-websocket-version", "8")])), 400, "13").await;
    refused(&site, ask(Version::HTTP_11, &with(&[thirteen])), 400, "Sec-WebSocket-Key").await;
    refused(&site, ask(Version::HTTP_11, &with(&[thirteen, ("sec-websocket-key", "short")])), 400, "24").await;
    refused(&site, ask(Version::HTTP_10, &with(&[thirteen, key])), 400, "HTTP/1.1").await;
    refused(&site, ask(Version::HTTP_11, &[upgrade[1], thirteen, key]), 400, "Connection: upgrade").await;
    // All is right, but nobody carries it.
    refused(&site, ask(Version::HTTP_11, &with(&[thirteen, key])), 501, "cannot be carried").await;
    let (mut bare, _) = connect("websocket", THIRTEEN);
    bare.extensions_mut().clear();
    refused(&site, bare, 501, "cannot be carried").await;
    refused(&site, connect("webtransport", THIRTEEN).0, 501, "not webtransport").await;
    refused(&site, connect("websocket", &[]).0, 400, "Sec-WebSocket-Version").await;
}

#[test]
fn a_key_is_answered_as_the_rfc_says() {
    // RFC 6455 section 1.3.
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    assert!(is_key(key.as_bytes()));
    assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for wrong in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25j!Q=="] {
        assert!(!is_key(wrong.as_bytes()), "{wrong}");
    }
}

#[test]
fn base64_is_that_of_the_rfc() {
    for (bytes, text) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
    {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
}
