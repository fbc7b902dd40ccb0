//! HTTP/3 end to end: a service and a client over loopback.

#![cfg(feature = "http3")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use quicast::Endpoint;
use quicast::http3::{self, EarlyHints, Error, Interim, Protocol, RecvBody, RequestSender, Upgrade};
use support::http3::*;
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Body = UnsyncBoxBody<Bytes, Error>;

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn endless() -> Body {
    let piece = Bytes::from_static(&[7; 16 * 1024]);
    let frames = futures_util::stream::repeat_with(move || Ok(Frame::data(piece.clone())));
    StreamBody::new(frames).boxed_unsync()
}

async fn answer(request: Request<RecvBody>) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_3);
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/hello" => Response::new(whole("hello")),
        "/echo" => Response::new(request.into_body().boxed_unsync()),
        "/trailers" => {
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "5".parse().unwrap())]);
            let frames = [Ok(Frame::data(Bytes::from_static(b"12345"))), Ok(Frame::trailers(trailers))];
            Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
        }
        "/hints" => {
            let hint = Response::builder().status(StatusCode::EARLY_HINTS).header("link", "</a.css>; rel=preload");
            request.extensions().get::<EarlyHints>().unwrap().send(hint.body(()).unwrap()).unwrap();
            Response::new(whole("at last"))
        }
        "/endless" => Response::new(endless()),
        "/tunnel" => {
            let upgraded = request.extensions().get::<Upgrade>().unwrap().clone().upgraded();
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(upgraded.await.unwrap());
                let copied = tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.write_all(format!(" and {copied}").as_bytes()).await.unwrap();
                write.shutdown().await.unwrap();
            });
            Response::new(whole("not sent"))
        }
        "/never" => std::future::pending().await,
        "/panic" => panic!("a fault of the service"),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(whole("")).unwrap(),
    })
}

fn start_server() -> Endpoint {
    serve(answer)
}

#[tokio::test]
async fn all_requests_are_answered_however_many_wait_for_a_stream() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let many = (0..2 * ::http3::limits::PENDING_REQUESTS).map(|_| requests.send(get("/hello")));
        for response in futures_util::future::join_all(many).await {
            assert_eq!(response.unwrap().into_body().collect().await.unwrap().to_bytes(), "hello");
        }
    })
    .await;
}

#[tokio::test]
async fn requests_are_answered_with_content_trailers_and_hints() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let response = requests.send(get("/hello")).await.unwrap();
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_3));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(requests.send(get("/nothing")).await.unwrap().status(), StatusCode::NOT_FOUND);

        let collected = requests.send(get("/trailers")).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "5");
        assert_eq!(collected.to_bytes(), "12345");

        let response = requests.send(get("/hints")).await.unwrap();
        let Interim(interim) = response.extensions().get().unwrap();
        assert_eq!((interim.len(), interim[0].status()), (1, StatusCode::EARLY_HINTS));
        assert_eq!(interim[0].headers()["link"], "</a.css>; rel=preload");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "at last");

        let head = Request::builder().method(Method::HEAD).uri("https://localhost/hello").body(Empty::<Bytes>::new());
        let response = requests.send(head.unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
        assert!(requests.settings().await.unwrap().enable_connect_protocol);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_goes_both_ways_at_once_and_many_requests_share_a_connection() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let mut tasks = tokio::task::JoinSet::new();
        for length in [0, 1, 1_000, 100_000, 5_000_000].repeat(30) {
            let requests = requests.clone();
            tasks.spawn(async move {
                let sent = Bytes::from((0..length).map(|at| (at / 7) as u8).collect::<Vec<u8>>());
                let request = Request::post("https://localhost/echo").body(Full::new(sent.clone())).unwrap();
                let response = requests.send(request).await.unwrap();
                let back = response.into_body().collect().await.unwrap().to_bytes();
                assert!(back == sent, "{length} bytes went out, {} came back", back.len());
            });
        }
        tasks.join_all().await;
    })
    .await;
}

#[tokio::test]
async fn who_reads_slowly_holds_his_window_and_no_more() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let mut response = requests.send(get("/endless")).await.unwrap();
        response.body_mut().chunk().await.unwrap().unwrap();
        quiet(&server).await;
        let received = requests.connection().stats().totals.bytes_received;
        assert!(received < 16 << 20, "{received} bytes came, and one piece was read");
        // Others are not held up.
        let hello = requests.send(get("/hello")).await.unwrap();
        assert_eq!(hello.into_body().collect().await.unwrap().to_bytes(), "hello");
        for _ in 0..500 {
            response.body_mut().chunk().await.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_given_up_ends_its_service_and_a_panic_ends_its_request() {
    in_time(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let counted = dropped.clone();
        let server = serve(move |request: Request<RecvBody>| {
            let counted = Counted(counted.clone());
            async move {
                let answer = answer(request).await;
                drop(counted);
                answer
            }
        });
        let client = http3_client();
        let requests = connect(&client, &server).await;
        let started = tokio::time::timeout(Duration::from_millis(100), requests.send(get("/never"))).await;
        assert!(started.is_err());
        until(|| dropped.load(Ordering::SeqCst) == 1).await;

        let error = requests.send(get("/panic")).await.unwrap_err();
        assert!(matches!(error, Error::Reset(http3::Code::H3_INTERNAL_ERROR)), "{error}");
        assert_eq!(requests.send(get("/hello")).await.unwrap().status(), StatusCode::OK);

        // A body that is dropped early ends the response.
        drop(requests.send(get("/endless")).await.unwrap());
        until(|| dropped.load(Ordering::SeqCst) == 4).await;
    })
    .await;
}

#[tokio::test]
async fn a_graceful_end_answers_what_is_under_way_and_refuses_the_rest() {
    in_time(async {
        let (server, client) = (http3_server().start().unwrap(), http3_client());
        let accepting = tokio::spawn({
            let server = server.clone();
            async move { serve_one(&server, http3::server_config(), answer).await }
        });
        let requests = connect(&client, &server).await;
        let (sender, body) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Error>>(1);
        let body = StreamBody::new(futures_util::stream::unfold(body, |mut body| async move {
            body.recv().await.map(|frame| (frame, body))
        }));
        let request = Request::post("https://localhost/echo").body(body.boxed_unsync()).unwrap();
        sender.send(Ok(Frame::data(Bytes::from_static(b"be")))).await.unwrap();
        let mut response = requests.send(request).await.unwrap();
        assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "be");
        let served = accepting.await.unwrap();
        let ending = tokio::spawn(async move { served.shut_down().await });
        until(|| requests.is_over()).await;
        assert!(requests.send(get("/hello")).await.unwrap_err().may_be_retried());
        sender.send(Ok(Frame::data(Bytes::from_static(b"fore")))).await.unwrap();
        drop(sender);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "fore");
        ending.await.unwrap();
        let reason = requests.connection().closed().await;
        assert!(format!("{reason:?}").contains("256"), "H3_NO_ERROR: {reason:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_leave_nothing_behind() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let requests = requests.clone();
            tasks.spawn(async move {
                for _ in 0..200 {
                    let response = requests.send(get("/hello")).await.unwrap();
                    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
                }
            });
        }
        tasks.join_all().await;
        quiet(&server).await;
        let open = server.metrics().sum("quicast_streams").unwrap();
        // The control stream and those of QPACK, of either side; the streams without meaning may be over.
        assert!(open <= 8.0, "{open} streams are left");
    })
    .await;
}

#[tokio::test]
async fn an_extended_connect_becomes_a_stream_of_bytes_both_ways() {
    in_time(async {
        let (server, client) = (start_server(), http3_client());
        let requests = connect(&client, &server).await;
        let ask = |path: &str| {
            let mut request = Request::connect(format!("https://localhost{path}")).body(()).unwrap();
            request.extensions_mut().insert(Protocol::WEBSOCKET);
            request
        };
        let (head, tunnel) = requests.upgrade(ask("/tunnel")).await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        let (mut read, mut write) = tokio::io::split(tunnel.unwrap());
        let sent: Vec<u8> = (0..1_000_000).map(|at| (at / 7) as u8).collect();
        let writing = async {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut back = Vec::new();
        let ((), read) = tokio::join!(writing, read.read_to_end(&mut back));
        read.unwrap();
        assert!(back == [&sent[..], b" and 1000000"].concat(), "{} bytes came back", back.len());
        // Refused: no stream of bytes, and the connection goes on.
        let (head, tunnel) = requests.upgrade(ask("/nothing")).await.unwrap();
        assert_eq!((head.status(), tunnel.is_none()), (StatusCode::NOT_FOUND, true));
        assert_eq!(requests.send(get("/hello")).await.unwrap().status(), StatusCode::OK);
    })
    .await;
}

/// A service whose answers are as long as their paths say, and a client with a window that is much smaller, so that what
/// is sent first is what is urgent.
async fn narrow_client(server: &Endpoint) -> (Endpoint, RequestSender) {
    let narrow = quicast::TransportConfig {
        receive_window: 64 * 1024,
        receive_window_maximum: 64 * 1024,
        ..quicast::TransportConfig::default()
    };
    let client = http3_client_with(narrow);
    let requests = connect(&client, server).await;
    (client, requests)
}

const LONG: usize = 300_000;

fn start_long_server() -> Endpoint {
    serve(|_: Request<RecvBody>| async { Ok(Response::new(whole(vec![7; LONG]))) })
}

/// Whose content has come whole, in that order.
#[derive(Clone, Default)]
struct Finish(Arc<std::sync::Mutex<Vec<usize>>>);

impl Finish {
    async fn read(&self, number: usize, response: Response<RecvBody>) {
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), LONG);
        self.0.lock().unwrap().push(number);
    }

    /// Makes a request and reads its response.
    fn ask(
        &self,
        number: usize,
        requests: &RequestSender,
        request: Request<Empty<Bytes>>,
    ) -> impl Future<Output = ()> + use<> {
        let (finish, requests) = (self.clone(), requests.clone());
        async move { finish.read(number, requests.send(request).await.unwrap()).await }
    }

    fn order(&self) -> Vec<usize> {
        self.0.lock().unwrap().clone()
    }
}

fn prioritized(urgency: u8) -> Request<Empty<Bytes>> {
    let mut request = get("/long");
    request.extensions_mut().insert(http3::Priority::new(urgency, false));
    request
}

#[tokio::test]
async fn urgent_responses_are_complete_before_lazy_ones() {
    in_time(async {
        let server = start_long_server();
        let (_client, requests) = narrow_client(&server).await;
        let finish = Finish::default();
        let ask = |number, urgency| finish.ask(number, &requests, prioritized(urgency));
        tokio::join!(ask(0, 7), ask(1, 5), ask(2, 6), ask(3, 0), ask(4, 5));
        assert_eq!(finish.order(), [3, 1, 4, 2, 0]);
    })
    .await;
}

#[tokio::test]
async fn an_actor_that_panics_takes_its_connection_along_and_nobody_else() {
    in_time(async {
        let server = http3_server().start().unwrap();
        let (served, mut connections) = tokio::sync::mpsc::unbounded_channel();
        let accepting = server.clone();
        tokio::spawn(async move {
            for _ in 0..2 {
                served.send(serve_one(&accepting, http3::server_config(), answer).await).unwrap();
            }
        });
        let client = http3_client();
        let (victim, witness) = (connect(&client, &server).await, connect(&client, &server).await);
        let mut endless = [victim.send(get("/endless")).await.unwrap(), witness.send(get("/endless")).await.unwrap()];
        for response in &mut endless {
            response.body_mut().chunk().await.unwrap().unwrap();
        }
        let fallen = connections.recv().await.unwrap();
        fallen.inject_panic();
        fallen.ended().await;
        let [mut lost, mut unharmed] = endless;
        while let Ok(Some(_)) = lost.body_mut().chunk().await {}
        let reason = victim.connection().closed().await;
        assert!(format!("{reason:?}").contains("258"), "H3_INTERNAL_ERROR: {reason:?}");
        for _ in 0..500 {
            unharmed.body_mut().chunk().await.unwrap().unwrap();
        }
        assert_eq!(witness.send(get("/hello")).await.unwrap().status(), StatusCode::OK);
        until(|| server.metrics().value("quicast_actor_stops_total", &["http3", "panic"]) == Some(1.0)).await;
    })
    .await;
}

#[tokio::test]
async fn a_priority_update_changes_the_order_of_what_is_under_way() {
    in_time(async {
        let server = start_long_server();
        let (client, requests) = narrow_client(&server).await;
        let frames = |endpoint: &Endpoint, direction, frame, least| {
            let value = endpoint.metrics().value("quicast_http3_frames_total", &[direction, frame]);
            value.is_some_and(|value| value >= least)
        };
        // Nobody reads it, so that it keeps the window, and the heads of the others wait behind it.
        let first = requests.send(prioritized(5)).await.unwrap();
        let finish = Finish::default();
        let handle = http3::PriorityHandle::default();
        let mut third = prioritized(5);
        third.extensions_mut().insert(handle.clone());
        let others = [finish.ask(1, &requests, prioritized(5)), finish.ask(2, &requests, third)].map(tokio::spawn);
        until(|| frames(&server, "received", "headers", 3.0)).await;
        handle.set(http3::Priority::new(1, false));
        first.body().set_priority(http3::Priority::new(7, false));
        until(|| frames(&server, "received", "priority_update", 2.0)).await;
        finish.read(0, first).await;
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(finish.order(), [2, 1, 0]);
        until(|| frames(&client, "sent", "priority_update", 2.0)).await;
    })
    .await;
}
