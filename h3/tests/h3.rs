//! `h3` over quicast, against itself and against quicast's own HTTP/3, in both roles.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use quicast::Endpoint;
use quicast::http3::{self, RecvBody};
use quicast::tls::{Certificate, development, pki_types::UnixTime};
use tower::service_fn;

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Stage {
    server: Endpoint,
    client: Endpoint,
}

impl Stage {
    fn new() -> Self {
        let certificate: Certificate = development::certificate(&["localhost"], UnixTime::now()).unwrap();
        let tls = Arc::new(development::server_config(&certificate, &[http3::ALPN]).unwrap());
        let server = Endpoint::builder().listen(LOCALHOST).server_config(tls).shards(1).start().unwrap();
        let tls = Arc::new(development::client_config(certificate.chain(), &[http3::ALPN]).unwrap());
        let client = Endpoint::builder().listen(LOCALHOST).client_config(tls).start().unwrap();
        Self { server, client }
    }

    async fn connect(&self) -> quicast::Connection {
        self.client.connect(self.server.local_addr(), "localhost").await.unwrap()
    }
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at / 7) as u8).collect::<Vec<u8>>().into()
}

/// A server of `h3` that sends back what comes, with a trailer.
async fn serve(server: Endpoint) {
    while let Some(incoming) = server.accept().await {
        let connection = incoming.accept().unwrap().await.unwrap();
        tokio::spawn(async move {
            let transport = quicast_h3::Connection::new(connection);
            let mut connection = h3::server::Connection::new(transport).await.unwrap();
            while let Ok(Some(resolver)) = connection.accept().await {
                tokio::spawn(async move {
                    let (request, stream) = resolver.resolve_request().await.unwrap();
                    assert_eq!(request.uri().path(), "/echo");
                    let (mut send, mut receive) = stream.split();
                    send.send_response(Response::new(())).await.unwrap();
                    while let Some(mut data) = receive.recv_data().await.unwrap() {
                        send.send_data(data.copy_to_bytes(data.remaining())).await.unwrap();
                    }
                    let trailers = HeaderMap::from_iter([("x-end".parse().unwrap(), "yes".parse().unwrap())]);
                    send.send_trailers(trailers).await.unwrap();
                    send.finish().await.unwrap();
                });
            }
        });
    }
}

/// The same by quicast.
async fn echo(request: Request<RecvBody>) -> Result<Response<RecvBody>, Infallible> {
    assert_eq!(request.uri().path(), "/echo");
    Ok(Response::new(request.into_body()))
}

/// Sends 3 MB by a client of `h3`; what comes back, and the trailers.
async fn ask(connection: quicast::Connection) -> (Bytes, Option<HeaderMap>) {
    let (mut driver, mut requests) = h3::client::new(quicast_h3::Connection::new(connection)).await.unwrap();
    let driving = tokio::spawn(async move { poll_fn(|context| driver.poll_close(context)).await });
    let request = Request::post("https://localhost/echo").body(()).unwrap();
    let (mut send, mut receive) = requests.send_request(request).await.unwrap().split();
    let sending = tokio::spawn(async move {
        let all = pattern(3_000_000);
        for piece in all.chunks(50_000) {
            send.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        send.finish().await.unwrap();
    });
    assert_eq!(receive.recv_response().await.unwrap().status(), StatusCode::OK);
    let mut back = Vec::new();
    while let Some(mut data) = receive.recv_data().await.unwrap() {
        back.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    let trailers = receive.recv_trailers().await.unwrap();
    sending.await.unwrap();
    drop(requests);
    let _ended = driving.await.unwrap();
    (back.into(), trailers)
}

async fn in_time<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes too long")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_and_a_server_of_h3() {
    in_time(async {
        let stage = Stage::new();
        tokio::spawn(serve(stage.server.clone()));
        for _ in 0..3 {
            let (back, trailers) = ask(stage.connect().await).await;
            assert!(back == pattern(3_000_000), "{} bytes", back.len());
            assert_eq!(trailers.unwrap()["x-end"], "yes");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_h3_asks_quicast() {
    in_time(async {
        let stage = Stage::new();
        tokio::spawn(http3::serve(stage.server.clone(), service_fn(echo)));
        let (back, trailers) = ask(stage.connect().await).await;
        assert!(back == pattern(3_000_000), "{} bytes", back.len());
        assert!(trailers.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quicast_asks_a_server_of_h3() {
    in_time(async {
        let stage = Stage::new();
        tokio::spawn(serve(stage.server.clone()));
        let requests = http3::connect(stage.connect().await).unwrap();
        let asks = (0..20).map(|index| {
            let requests = requests.clone();
            tokio::spawn(async move {
                let sent = pattern(index * 20_000);
                let request = Request::post("https://localhost/echo").body(Full::new(sent.clone())).unwrap();
                let response = requests.send(request).await.unwrap();
                let collected = response.into_body().collect().await.unwrap();
                assert_eq!(collected.trailers().unwrap()["x-end"], "yes");
                assert!(collected.to_bytes() == sent);
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            ask.await.unwrap();
        }
    })
    .await;
}
