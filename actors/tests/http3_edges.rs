//! HTTP/3 where it gets tight: what waits has a bound, what is slow has an end, and CONNECT has answers of every kind.

#![cfg(feature = "http3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use quicast::http3::{self, Code, Config, EarlyHints, Error, Interim, Protocol, RecvBody, Upgrade};
use quicast::{Endpoint, TransportConfig};
use support::http3::*;
use support::*;
use tokio::io::AsyncReadExt as _;

fn hint(status: u16) -> Response<()> {
    Response::builder().status(status).header("link", "</a.css>; rel=preload").body(()).unwrap()
}

fn value(endpoint: &Endpoint, name: &str, labels: &[&str]) -> f64 {
    endpoint.metrics().value(name, labels).unwrap()
}

fn whole(bytes: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(bytes.as_bytes()))
}

#[tokio::test]
async fn eight_hints_are_sent_and_the_service_hears_why_no_more_are() {
    in_time(async {
        let (parts, body) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let body = Arc::new(Mutex::new(Some(body)));
        let (kept, mut hints) = tokio::sync::mpsc::unbounded_channel::<EarlyHints>();
        let server = serve(move |request: Request<RecvBody>| {
            let hints = request.extensions().get::<EarlyHints>().unwrap().clone();
            assert!(hints.send(hint(200)).is_err() && hints.send(hint(101)).is_err(), "they are no hints");
            for _ in 0..8 {
                hints.send(hint(103)).unwrap();
            }
            assert!(matches!(hints.send(hint(103)), Err(Error::Unsendable(_))), "one too many");
            kept.send(hints).unwrap();
            let body = body.lock().unwrap().take().unwrap();
            let pieces = futures_util::stream::unfold(body, |mut body| async move {
                body.recv().await.map(|piece| (Ok::<_, Infallible>(Frame::data(piece)), body))
            });
            async move { Ok(Response::new(StreamBody::new(pieces).boxed_unsync())) }
        });
        let client = http3_client();
        let requests = connect(&client, &server).await;
        let response = requests.send(get("/")).await.unwrap();
        let Interim(interim) = response.extensions().get().unwrap();
        assert_eq!(interim.len(), 8);
        // Too late is said, and does no harm to what is under way.
        assert!(matches!(hints.recv().await.unwrap().send(hint(103)), Err(Error::Unsendable(_))));
        parts.send(Bytes::from_static(b"unharmed")).unwrap();
        drop(parts);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "unharmed");
    })
    .await;
}

/// Has a future go on as far as it can. Whether it has to wait.
async fn waits(mut future: impl Future + Unpin) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut future).poll(context).is_pending())).await
}

/// A server that permits one request at a time, and answers none.
fn reluctant() -> Endpoint {
    let narrow = TransportConfig { max_concurrent_bidirectional_streams: 1, ..TransportConfig::default() };
    let server = http3_server().transport_config(narrow).start().unwrap();
    let never = |_: Request<RecvBody>| std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>();
    tokio::spawn(http3::serve(server.clone(), tower::service_fn(never)));
    server
}

#[tokio::test]
async fn so_many_requests_wait_and_an_end_overtakes_them() {
    in_time(async {
        const MORE: u32 = 10;
        let (server, client) = (reluctant(), http3_client());
        let requests = connect(&client, &server).await;
        // One has its stream before the others come, so that it is known which wait where.
        let mut sends = tokio::task::JoinSet::new();
        let ask = |sends: &mut tokio::task::JoinSet<_>| {
            let requests = requests.clone();
            sends.spawn(async move { requests.send(get("/")).await.map(drop) });
        };
        ask(&mut sends);
        until(|| server.metrics().value("quicast_http3_frames_total", &["received", "headers"]) == Some(1.0)).await;
        let credit = || value(&client, "quicast_edge_credit", &["application_http3"]);
        let full = || value(&client, "quicast_edge_full_total", &["application_http3"]);
        for _ in 0..::http3::limits::PENDING_REQUESTS {
            ask(&mut sends);
        }
        until(|| credit() == 256.0 && sends.len() == 1 + ::http3::limits::PENDING_REQUESTS).await;
        let before = full();
        // As many as may wait, and then some.
        for _ in 0..256 + MORE {
            ask(&mut sends);
        }
        until(|| credit() == 0.0 && full() == before + f64::from(MORE)).await;

        let mut ending = std::pin::pin!(requests.shut_down());
        assert!(waits(ending.as_mut()).await);
        assert!(requests.is_over());
        for _ in 0..256 + MORE {
            assert!(sends.join_next().await.unwrap().unwrap().unwrap_err().may_be_retried());
        }
        // Who was before them is still waited for.
        assert_eq!(sends.len(), 1 + ::http3::limits::PENDING_REQUESTS);
        assert!(requests.send(get("/")).await.unwrap_err().may_be_retried());
        assert!(waits(ending.as_mut()).await);
        server.close(0x100, b"");
        while let Some(result) = sends.join_next().await {
            assert!(result.unwrap().is_err());
        }
        ending.await;
        until(|| credit() == 0.0 && value(&client, "quicast_actors", &["http3"]) == 0.0).await;
    })
    .await;
}

#[tokio::test]
async fn datagrams_that_nobody_takes_are_dropped_and_counted() {
    in_time(async {
        let (kept, mut tunnels) = tokio::sync::mpsc::unbounded_channel();
        let server = serve(move |request: Request<RecvBody>| {
            let upgraded = request.extensions().get::<Upgrade>().unwrap().clone().upgraded();
            let kept = kept.clone();
            tokio::spawn(async move { kept.send(upgraded.await.unwrap()).unwrap() });
            async move { Ok(Response::new(whole(""))) }
        });
        let client = http3_client();
        let requests = connect(&client, &server).await;
        let mut request = Request::connect("https://localhost/udp").body(()).unwrap();
        request.extensions_mut().insert(Protocol::CONNECT_UDP);
        let tunnel = requests.upgrade(request).await.unwrap().1.unwrap();
        let theirs = tunnels.recv().await.unwrap();
        let came = || value(&server, "quicast_http3_datagrams_total", &["received"]);
        let dropped = |endpoint| value(endpoint, "quicast_http3_datagrams_total", &["dropped"]);
        for number in 0..100_u8 {
            tunnel.send_datagram(Bytes::from(vec![number]));
            // Each by itself, so that none is dropped on the way.
            until(|| value(&client, "quicast_http3_datagrams_total", &["sent"]) >= f64::from(number / 20) * 20.0).await;
        }
        until(|| came() == 100.0).await;
        until(|| dropped(&server) == 36.0).await;
        // The newest are there.
        for number in 36..100 {
            assert_eq!(theirs.read_datagram().await.unwrap(), [number][..]);
        }
        assert_eq!(dropped(&client), 0.0);
        // Too large for a packet: the transport refuses it.
        tunnel.send_datagram(Bytes::from(vec![7; 60_000]));
        until(|| dropped(&client) == 1.0).await;
        drop(theirs);
    })
    .await;
}

#[tokio::test]
async fn a_connect_can_be_refused_with_a_body_and_accepted_by_who_knows_no_tunnels() {
    in_time(async {
        let server = serve(|request: Request<RecvBody>| async move {
            Ok(match request.uri().authority().unwrap().port_u16() {
                Some(1) => Response::builder().status(StatusCode::FORBIDDEN).body(whole("not there")).unwrap(),
                _ => Response::new(whole("all that there is")),
            })
        });
        let client = http3_client();
        let requests = connect(&client, &server).await;
        let ask = |port: u16| Request::connect(format!("localhost:{port}")).body(()).unwrap();
        // Asked for as a tunnel, and as any request, whose body says why not.
        let (head, tunnel) = requests.upgrade(ask(1)).await.unwrap();
        assert_eq!((head.status(), tunnel.is_none()), (StatusCode::FORBIDDEN, true));
        let response = requests.send(ask(1).map(|()| http3::Empty)).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "not there");
        // A service that answers 2xx and takes no bytes: what it sends is what the tunnel carries.
        let (head, tunnel) = requests.upgrade(ask(2)).await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        let mut carried = String::new();
        tunnel.unwrap().read_to_string(&mut carried).await.unwrap();
        assert_eq!(carried, "all that there is");
        let answers = |result| value(&server, "quicast_http3_connect_requests_total", &["connect_tcp", result]);
        until(|| (answers("accepted"), answers("refused")) == (1.0, 2.0)).await;
    })
    .await;
}

/// What a service heard of its request's content.
type Heard = Arc<Mutex<Option<Error>>>;

#[tokio::test]
async fn requests_that_do_not_come_in_time_are_ended_and_the_service_hears_of_it() {
    in_time(async {
        let (server, client) = (http3_server().start().unwrap(), http3_client());
        let heard = Heard::default();
        let hearing = heard.clone();
        let answer = move |request: Request<RecvBody>| {
            let heard = hearing.clone();
            // In a task of its own: the one that answers is dropped when the request is over.
            let reading = tokio::spawn(async move {
                let mut body = request.into_body();
                loop {
                    match body.chunk().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => {
                            *heard.lock().unwrap() = Some(error);
                            break;
                        }
                    }
                }
            });
            async move {
                reading.await.unwrap();
                Ok(Response::new(whole("")))
            }
        };
        let moment = Duration::from_millis(50);
        let config = Config { headers_time: moment, content_grace: moment, ..http3::server_config() };
        let (served, (connection, _control)) =
            tokio::join!(serve_one(&server, config, answer), by_hand(&client, &server));
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&headers("/")[..1]).await.unwrap();
        let error = receive.read_to_end(1).await.unwrap_err();
        assert!(format!("{error:?}").contains(&Code::H3_REQUEST_REJECTED.0.to_string()), "{error:?}");

        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&headers("/")).await.unwrap();
        send.write_all(b"\x00\x04dro").await.unwrap();
        let error = receive.read_to_end(1).await.unwrap_err();
        assert!(format!("{error:?}").contains(&Code::H3_REQUEST_CANCELLED.0.to_string()), "{error:?}");
        for limit in ["http3_headers_time", "http3_content_rate"] {
            until(|| value(&server, "quicast_limit_hits_total", &[limit]) == 1.0).await;
        }
        until(|| matches!(*heard.lock().unwrap(), Some(Error::Blocked))).await;
        // The connection goes on.
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&headers("/")).await.unwrap();
        drop(send.finish());
        assert!(!receive.read_to_end(1_000).await.unwrap().is_empty());
        assert_eq!(connection.close_reason(), None);
        drop(served);
    })
    .await;
}
