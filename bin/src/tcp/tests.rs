//! The TCP side over the loopback: hyper as the client, and by hand where hyper would not do such a thing.

mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, Version};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use telemetry::{Registry, Setup};
use tls::pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::limits::{HEADER_BYTES, HEADER_LINES, Pace};
use super::*;
use crate::site::{Content, SiteOptions, site};
use crate::stage::Director;

/// So long is long enough for whatever should come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A served site.
struct Play {
    tcp: Tcp,
    director: Director,
    registry: Registry,
    certificate: Certificate,
}

fn play(limits: Limits) -> Play {
    play_of(limits, |cue, counters| site(SiteOptions { content: Content::BuiltIn, cue, counters }))
}

/// With another site.
fn play_of(limits: Limits, site: impl FnOnce(Cue, Counters) -> Site) -> Play {
    let (director, counters, registry) = (Director::new(), Counters::default(), Registry::new(&Setup::default()));
    counters.count_in(&registry);
    let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
    let settings = Settings {
        certificate: &certificate,
        key_log: None,
        site: site(director.watch(), counters.clone()),
        cue: director.watch(),
        counters,
        limits,
    };
    let tcp = bind(&mut ["127.0.0.1:0".parse().unwrap()]).unwrap().serve(settings).unwrap();
    Play { tcp, director, registry, certificate }
}

impl Play {
    fn address(&self) -> SocketAddr {
        self.tcp.addresses()[0]
    }

    /// A TLS connection that offers this protocol.
    async fn connect(&self, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let config = tls::development::client_config(self.certificate.chain(), &[protocol]).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(self.address()).await?;
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    async fn http1(&self) -> http1::SendRequest<Body> {
        let stream = self.connect(b"http/1.1").await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    async fn http2(&self) -> http2::SendRequest<Body> {
        let stream = self.connect(b"h2").await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    fn counted(&self, name: &str, labels: &[&str]) -> u64 {
        self.registry.value(name, labels).unwrap() as u64
    }

    /// Waits until something is so that a task of the server brings about.
    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !what(self) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("it never was so");
    }
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let uri = format!("https://localhost{path}");
    Request::builder().method(method).uri(uri).header("host", "localhost").body(body.into()).unwrap()
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::empty())
}

async fn all(response: Response<Incoming>) -> Result<Bytes, axum::Error> {
    axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await
}

#[track_caller]
fn is_advertised(response: &Response<Incoming>, port: u16) {
    assert_eq!(response.headers()["alt-svc"], format!("h3=\":{port}\"; ma=86400"));
}

#[tokio::test]
async fn the_protocol_is_agreed_on_and_every_answer_says_where_http3_is() {
    let play = play(Limits::SERVER);
    let port = play.address().port();
    let (mut one, mut two) = (play.http1().await, play.http2().await);
    for (path, status) in [("/", 200), ("/none", 404), ("/echo", 405), ("/status/500", 500), ("/bytes/x", 400)] {
        let response = one.send_request(get(path)).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (status, Version::HTTP_11), "{path}");
        is_advertised(&response, port);
        all(response).await.unwrap();
        let response = two.send_request(get(path)).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (status, Version::HTTP_2), "{path}");
        is_advertised(&response, port);
    }
    let told = all(two.send_request(get("/headers")).await.unwrap()).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["version"], "HTTP/2");
    assert!(told["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{told}");
    assert_eq!(play.tcp.connections(), 2);
    assert_eq!(play.counted("quicast_http_tcp_connections", &[]), 2);
    for outcome in ["h1", "h2"] {
        assert_eq!(play.counted("quicast_http_tcp_connections_total", &[outcome]), 1);
        assert_eq!(
            play.counted("quicast_http_requests_total", &[outcome, "get", "2xx"]),
            if outcome == "h1" { 1 } else { 2 }
        );
    }
    drop((one, two));
    play.until(|play| play.tcp.connections() == 0).await;
    assert_eq!(play.counted("quicast_http_tcp_connections", &[]), 0);
}

#[tokio::test]
async fn bodies_go_both_ways_at_once_and_are_whole() {
    let play = play(Limits::SERVER);
    let body: Bytes = (0..8_000_000_u32).map(|number| (number % 251) as u8).collect::<Vec<u8>>().into();
    let (mut one, mut two) = (play.http1().await, play.http2().await);
    let echoed = one.send_request(request(Method::POST, "/echo", body.clone())).await.unwrap();
    assert_eq!(all(echoed).await.unwrap(), body);
    // All are read at once: what is not read of one takes from the window of all.
    let echoes = (0..4).map(|_| {
        let echoed = two.send_request(request(Method::POST, "/echo", body.clone()));
        async { all(echoed.await.unwrap()).await.unwrap() }
    });
    for echoed in futures_util::future::join_all(echoes.collect::<Vec<_>>()).await {
        assert_eq!(echoed, body);
    }
    let part = Request::builder().uri("https://localhost/bytes/1G").header("range", "bytes=1000000000-1000000099");
    let part = two.send_request(part.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(all(part).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_client_without_tls_is_told_to_use_it() {
    let play = play(Limits::SERVER);
    let long = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n{}", "x".repeat(50_000));
    for ask in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", long.as_str()] {
        let mut stream = TcpStream::connect(play.address()).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("write https:// instead"),
            "{answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    }
    // What is neither gets nothing.
    for junk in [&b"\0\0\0\0"[..], b"\x16\x03\x01\x00\x05hello", b"get /"] {
        let mut stream = TcpStream::connect(play.address()).await.unwrap();
        stream.write_all(junk).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().ok();
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    play.until(|play| play.counted("quicast_http_tcp_connections_total", &["tls_failed"]) == 1).await;
    play.until(|play| play.counted("quicast_http_tcp_connections_total", &["not_tls"]) == 5).await;
    // A client that speaks neither protocol is refused by TLS.
    assert!(play.connect(b"echo").await.is_err());
}

#[tokio::test]
async fn there_are_so_many_connections_and_the_next_one_waits() {
    let play = play(Limits { connections: 2, ..Limits::SERVER });
    let (mut one, mut two) = (play.http1().await, play.http2().await);
    let (address, certificate) = (play.address(), play.certificate.chain()[0].clone());
    let third = tokio::spawn(async move {
        let config = tls::development::client_config([&certificate], &[b"h2"]).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    });
    play.until(|play| play.counted("quicast_http_tcp_full_total", &[]) > 0).await;
    // Those that are there are served meanwhile.
    for _ in 0..50 {
        assert_eq!(one.send_request(get("/status/200")).await.unwrap().status(), 200);
        assert_eq!(two.send_request(get("/status/200")).await.unwrap().status(), 200);
    }
    assert!(!third.is_finished());
    assert_eq!(play.tcp.connections(), 2);
    drop(one);
    let mut third = timeout(PATIENCE, third).await.unwrap().unwrap();
    third.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(third.read_u8().await.is_ok());
}

#[tokio::test]
async fn headers_have_bounds() {
    let play = play(Limits::SERVER);
    let lines = |count: usize, length: usize| {
        let mut asked = get("/status/200");
        // hyper adds none; `host` is one of them.
        for number in 1..count {
            asked.headers_mut().insert(
                axum::http::HeaderName::try_from(format!("x-{number}")).unwrap(),
                axum::http::HeaderValue::try_from("x".repeat(length)).unwrap(),
            );
        }
        asked
    };
    let status = async |asked| play.http1().await.send_request(asked).await.unwrap().status();
    assert_eq!(status(lines(HEADER_LINES, 1)).await, 200);
    assert_eq!(status(lines(HEADER_LINES + 1, 1)).await, 431);
    assert_eq!(status(lines(2, HEADER_BYTES as usize - 200)).await, 200);
    assert_eq!(status(lines(2, HEADER_BYTES as usize)).await, 431);
    let mut two = play.http2().await;
    assert_eq!(two.send_request(lines(2, HEADER_BYTES as usize - 300)).await.unwrap().status(), 200);
    let refused = two.send_request(lines(2, HEADER_BYTES as usize)).await;
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 431));
}

/// Reads until the server closes.
async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the server does not close").ok();
    rest
}

#[tokio::test]
async fn a_server_that_drains_finishes_what_was_asked_and_takes_nothing_new() {
    let play = play(Limits::SERVER);
    let (mut one, mut two, idle) = (play.http1().await, play.http2().await, play.http2().await);
    let slow = "/drip?bytes=4&seconds=0.4";
    let (from_one, from_two) = (one.send_request(get(slow)).await.unwrap(), two.send_request(get(slow)).await.unwrap());
    // It is in the middle of its handshake, and owed nothing.
    let mut beginner = TcpStream::connect(play.address()).await.unwrap();
    play.until(|play| play.tcp.connections() == 4).await;
    play.director.advance(Stage::Draining);
    assert_eq!(closed(&mut beginner).await, b"");
    assert_eq!(all(from_one).await.unwrap().len(), 4);
    assert_eq!(all(from_two).await.unwrap().len(), 4);
    timeout(PATIENCE, play.tcp.ended()).await.unwrap();
    assert_eq!(play.tcp.connections(), 0);
    assert!(one.ready().await.is_err() || one.send_request(get("/")).await.is_err());
    assert!(two.send_request(get("/")).await.is_err());
    assert!(idle.is_closed());
    assert!(TcpStream::connect(play.address()).await.is_err());
}

#[tokio::test]
async fn a_server_that_stops_waits_for_nobody() {
    let play = play(Limits::SERVER);
    let (mut one, mut two) = (play.http1().await, play.http2().await);
    let endless = "/drip?bytes=2&seconds=100";
    let (from_one, from_two) =
        (one.send_request(get(endless)).await.unwrap(), two.send_request(get(endless)).await.unwrap());
    play.director.advance(Stage::Draining);
    play.director.advance(Stage::Stopping);
    timeout(PATIENCE, play.tcp.ended()).await.unwrap();
    assert!(all(from_one).await.is_err() && all(from_two).await.is_err());
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn websocket_over_http1(play: &Play) -> Socket {
    let mut asked = get("/ws");
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        asked.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = play.http1().await.send_request(asked).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

async fn websocket_over_http2(play: &Play) -> Socket {
    let mut asked = request(Method::CONNECT, "/ws", Body::empty());
    asked.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    asked.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let mut sender = play.http2().await;
    // The peer's settings have come with the first answer: it must allow an extended CONNECT.
    assert_eq!(sender.send_request(get("/status/200")).await.unwrap().status(), 200);
    let response = sender.send_request(asked).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

#[tokio::test]
async fn websockets_echo_over_both_and_keep_their_place_until_they_have_said_good_bye() {
    let play = play(Limits::SERVER);
    let (mut one, mut two) = (websocket_over_http1(&play).await, websocket_over_http2(&play).await);
    for socket in [&mut one, &mut two] {
        for message in [Message::text("to be"), Message::binary(vec![7; 100_000])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap(), message);
        }
    }
    assert_eq!(play.tcp.connections(), 2);
    play.director.advance(Stage::Draining);
    for socket in [&mut one, &mut two] {
        let told = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        assert!(
            matches!(&told, Message::Close(Some(CloseFrame { reason, .. })) if *reason == "the server stops"),
            "{told}"
        );
        while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.unwrap() {}
    }
    drop((one, two));
    timeout(PATIENCE, play.tcp.ended()).await.unwrap();
}

/// A client that opens a stream and resets it, again and again, and never waits (CVE-2023-44487).
#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_and_no_other() {
    let play = play(Limits::SERVER);
    let mut bystander = play.http2().await;
    let mut stream = play.connect(b"h2").await.unwrap();
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for number in 0..20_000_u32 {
        let id = (2 * number + 1).to_be_bytes();
        // HEADERS with END_STREAM and END_HEADERS: GET, https, path /drip, authority from the static table's name.
        let block = b"\x82\x87\x44\x05/drip\x41\x01x";
        flood.extend([0, 0, block.len() as u8, 1, 5]);
        flood.extend(id);
        flood.extend(block);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(id);
        flood.extend([0, 0, 0, 8]);
    }
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let (answer, _) = tokio::join!(closed(&mut reader), writer.write_all(&flood));
    // GOAWAY (type 7) with ENHANCE_YOUR_CALM (11) is how it ends.
    let mut frames = answer.as_slice();
    let mut calm = false;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        calm |= *kind == 7 && rest.get(4..8) == Some(&[0, 0, 0, 11]);
        frames = rest.get(length..).unwrap_or_default();
    }
    assert!(calm, "{} bytes of answer without ENHANCE_YOUR_CALM", answer.len());
    assert_eq!(bystander.send_request(get("/status/200")).await.unwrap().status(), 200);
}
