//! HTTP/3 against peers that mean harm, or vanish, and under weight: what is written by hand here, no client of ours says.

#![cfg(feature = "http3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use quicast::Endpoint;
use quicast::http3::{Code, Error, RecvBody, RequestSender};
use support::http3::*;
use support::*;
use tokio::net::UdpSocket;

/// So many bytes, in pieces of a static one.
struct Zeros(u64);

static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.min(PIECE.len() as u64);
        self.0 -= length;
        let piece = Bytes::from_static(&PIECE[..length as usize]);
        Poll::Ready((length > 0).then_some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }
}

/// Services that run now.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `/N`: N bytes. `/count`: the number of bytes that came. `/never`: no answer.
async fn answer(request: Request<RecvBody>) -> Result<Response<Zeros>, Infallible> {
    let _running = Running::new();
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if path == "never" {
        std::future::pending::<()>().await;
    }
    if path == "count" {
        let (mut body, mut count) = (request.into_body(), 0);
        while let Ok(Some(bytes)) = body.chunk().await {
            count += bytes.len() as u64;
        }
        return Ok(Response::builder().header("x-count", count).body(Zeros(0)).unwrap());
    }
    Ok(Response::new(Zeros(path.parse().unwrap_or(0))))
}

fn start_server() -> Endpoint {
    serve(answer)
}

/// The response to a request.
async fn fetch(requests: &RequestSender, path: &str) -> Response<RecvBody> {
    requests.send(get(path)).await.unwrap()
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_goes_down_and_up_in_little_memory() {
    const BYTES: u64 = 1 << 30;
    // What a connection's windows and queues may hold at both ends, and much less than what is moved.
    const ROOM: u64 = 128 << 20;
    let (server, client) = (start_server(), http3_client());
    let requests = connect(&client, &server).await;
    let before = resident();
    let mut body = fetch(&requests, &format!("/{BYTES}")).await.into_body();
    let mut count = 0;
    while let Some(bytes) = body.chunk().await.unwrap() {
        count += bytes.len() as u64;
        if count % (64 << 20) < bytes.len() as u64 {
            assert!(resident() < before + ROOM, "{} bytes more after {count}", resident() - before);
        }
    }
    assert_eq!(count, BYTES);
    let request = Request::post("https://localhost/count").body(Zeros(BYTES)).unwrap();
    let response = requests.send(request).await.unwrap();
    assert_eq!(response.headers()["x-count"], BYTES.to_string());
    assert!(resident() < before + ROOM, "{} bytes more", resident() - before);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let mut bodies = Vec::new();
        // As many as the connection's window has room for: who does not read holds it.
        for _ in 0..2 {
            let mut response = fetch(&requests, "/1000000000").await;
            response.body_mut().chunk().await.unwrap();
            bodies.push(response);
        }
        requests.connection().close(0x10c, b"gone");
        server.wait_idle().await;
        assert_eq!(server.connections().len(), 0);
        until(|| server.metrics().sum("quicast_streams") == Some(0.0)).await;
        until(|| server.metrics().sum("quicast_connection_buffered_bytes") == Some(0.0)).await;
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_cancelled_as_fast_as_they_are_made_end_the_connection_and_no_other() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let witness = connect(&client, &server).await;
        let (connection, _control) = by_hand(&client, &server).await;
        let cancelled = Code::H3_REQUEST_CANCELLED.0;
        for _ in 0..1_000 {
            let Ok((mut send, mut receive)) = connection.open_bi().await else { break };
            if send.write_all(&headers("/never")).await.is_err() {
                break;
            }
            let _over = send.reset(cancelled);
            receive.stop(cancelled);
            assert_eq!(fetch(&witness, "/10").await.into_body().collect().await.unwrap().to_bytes().len(), 10);
        }
        assert_eq!(closed_with(&connection).await, Code::H3_EXCESSIVE_LOAD);
        until(|| RUNNING.load(Ordering::SeqCst) == 0).await;
        assert_eq!(fetch(&witness, "/10").await.into_body().collect().await.unwrap().to_bytes().len(), 10);
    })
    .await;
}

#[tokio::test]
async fn empty_frames_without_end_are_too_much() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let (connection, _control) = by_hand(&client, &server).await;
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&headers("/count")).await.unwrap();
        // DATA without content.
        let flood = [0x00, 0x00].repeat(5_000);
        let _closed_meanwhile = send.write_all(&flood).await;
        assert_eq!(closed_with(&connection).await, Code::H3_EXCESSIVE_LOAD);
    })
    .await;
}

#[tokio::test]
async fn a_section_that_unfolds_to_too_much_is_refused_and_the_connection_goes_on() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let (connection, _control) = by_hand(&client, &server).await;
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        // Ten thousand times the static table's `accept-encoding: gzip, deflate, br`, a byte each.
        let section = [&b"\x00\x00\xd1\xd7\xc1"[..], &[0xdf; 10_000]].concat();
        let length = (0x4000 | section.len() as u16).to_be_bytes();
        send.write_all(&[&[0x01][..], &length, &section].concat()).await.unwrap();
        drop(send.finish());
        // 431 (Request Header Fields Too Large), a literal: RFC 9204's table has none.
        let answer = receive.read_to_end(1_000).await.unwrap();
        assert_eq!(answer.first(), Some(&0x01), "HEADERS");
        // Huffman has no shorter form of three digits than "431" itself, or has: either way the machine's tests know.
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&headers("/10")).await.unwrap();
        drop(send.finish());
        assert!(receive.read_to_end(1_000).await.unwrap().ends_with(&[0; 10]));
    })
    .await;
}

#[tokio::test]
async fn more_streams_that_wait_for_the_table_than_permitted_end_the_connection() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let witness = connect(&client, &server).await;
        let (connection, _control) = by_hand(&client, &server).await;
        // A required insert count of one, and an encoder stream that never inserts (RFC 9204 §4.5.1).
        let blocked = b"\x01\x03\x02\x00\x80";
        let mut streams = Vec::new();
        for _ in 0..17 {
            let Ok((mut send, receive)) = connection.open_bi().await else { break };
            let _closed_meanwhile = send.write_all(blocked).await;
            streams.push((send, receive));
        }
        assert_eq!(closed_with(&connection).await, Code::QPACK_DECOMPRESSION_FAILED);
        assert_eq!(fetch(&witness, "/10").await.into_body().collect().await.unwrap().to_bytes().len(), 10);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_waits_for_the_table_stays_charged_to_the_peer() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let (connection, _control) = by_hand(&client, &server).await;
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(b"\x01\x03\x02\x00\x80").await.unwrap();
        // What follows is held unread: no credit comes back for it, so writing comes to an end before this much.
        let piece = Bytes::from_static(&PIECE);
        let mut written = 0;
        while let Ok(result) =
            tokio::time::timeout(std::time::Duration::from_millis(500), send.write_chunk(piece.clone())).await
        {
            result.unwrap();
            written += piece.len();
            assert!(written < 64 << 20, "credit is returned for what is held");
        }
        assert_eq!(connection.close_reason(), None);
    })
    .await;
}

/// Datagrams between a client and a server, until it is dropped: then neither hears of the other any more.
struct Relay {
    task: tokio::task::JoinHandle<()>,
    address: std::net::SocketAddr,
}

impl Relay {
    async fn to(server: std::net::SocketAddr) -> Self {
        let (front, back) = (UdpSocket::bind(LOCALHOST).await.unwrap(), UdpSocket::bind(LOCALHOST).await.unwrap());
        back.connect(server).await.unwrap();
        let address = front.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut there, mut here, mut client) = ([0; 65_535], [0; 65_535], None);
            loop {
                // What is lost on the way is sent again.
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut there) => {
                        client = Some(from);
                        let _lost = back.send(&there[..length]).await;
                    }
                    Ok(length) = back.recv(&mut here) => if let Some(client) = client {
                        let _lost = front.send_to(&here[..length], client).await;
                    },
                }
            }
        });
        Self { task, address }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Content of which some is sent, and the rest never.
struct Endless(u32);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Pending;
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE)))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_without_a_word_leaves_nothing_behind() {
    in_time(async {
        let hasty = quicast::TransportConfig {
            max_idle_timeout: std::time::Duration::from_millis(300),
            ..quicast::TransportConfig::default()
        };
        let server = http3_server().transport_config(hasty.clone()).start().unwrap();
        let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let service = tower::service_fn(move |request: Request<RecvBody>| {
            let tell = tell.clone();
            async move {
                if request.uri().path() == "/down" {
                    return Ok::<_, Infallible>(Response::new(Zeros(1 << 40)));
                }
                let _running = Running::new();
                // In a task of its own: the one that answers is dropped when the request is over.
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let error = loop {
                        match body.chunk().await {
                            Ok(Some(_)) => tell.send(None).unwrap(),
                            Ok(None) => panic!("the request has no end"),
                            Err(error) => break error,
                        }
                    };
                    tell.send(Some(error)).unwrap();
                });
                std::future::pending().await
            }
        });
        tokio::spawn(quicast::http3::serve(server.clone(), service));
        let client = http3_client_with(hasty);
        let relay = Relay::to(server.local_addr()).await;
        let connection = client.connect(relay.address, "localhost").await.unwrap();
        let requests = quicast::http3::connect(connection).unwrap();
        let mut down = fetch(&requests, "/down").await;
        down.body_mut().chunk().await.unwrap().unwrap();
        let upload = Request::post("https://localhost/up").body(Endless(8)).unwrap();
        let mut uploading = std::pin::pin!(requests.send(upload));
        // Both are under way.
        tokio::select! {
            answer = &mut uploading => panic!("{answer:?}"),
            first = heard.recv() => assert!(first.unwrap().is_none()),
        }
        drop(relay);

        // The service hears of it, and so does the client, of both requests.
        let error = loop {
            if let Some(error) = heard.recv().await.unwrap() {
                break error;
            }
        };
        assert!(matches!(error, Error::Connection(_)), "{error}");
        assert!(matches!(uploading.await, Err(Error::Connection(_))));
        let error = loop {
            match down.body_mut().chunk().await {
                Ok(piece) => assert!(piece.is_some()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Connection(_)), "{error}");
        until(|| RUNNING.load(Ordering::SeqCst) == 0).await;
        for endpoint in [&server, &client] {
            endpoint.wait_idle().await;
            for gauge in ["quicast_streams", "quicast_connection_buffered_bytes", "quicast_qpack_dynamic_table_bytes"] {
                until(|| endpoint.metrics().sum(gauge) == Some(0.0)).await;
            }
            for actor in ["http3", "connection", "streams", "stream"] {
                until(|| endpoint.metrics().value("quicast_actors", &[actor]) == Some(0.0)).await;
            }
        }
    })
    .await;
}
