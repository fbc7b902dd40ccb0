//! What is not waited for for ever, and what is.

use axum::Router;
use tokio::sync::mpsc;

use super::*;

type Piece = Result<Bytes, std::convert::Infallible>;

/// A body that has a beginning, and an end when the sender is gone.
fn unfinished() -> (mpsc::Sender<Piece>, Body) {
    let (sender, receiver) = mpsc::channel::<Piece>(1);
    sender.try_send(Ok(Bytes::from_static(b"hello"))).unwrap();
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    (sender, Body::from_stream(pieces))
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let play = play(Limits { handshake: Duration::from_millis(50), ..Limits::SERVER });
    // Not a byte; half a handshake.
    let mut silent = TcpStream::connect(play.address()).await.unwrap();
    assert_eq!(closed(&mut silent).await, b"");
    let mut slow = TcpStream::connect(play.address()).await.unwrap();
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    closed(&mut slow).await;
    play.until(|play| play.counted("quicast_http_tcp_connections_total", &["tls_timeout"]) == 2).await;
    play.until(|play| play.tcp.connections() == 0).await;
}

#[tokio::test]
async fn a_request_is_not_waited_for_for_ever() {
    // So much that a busy machine is not taken for a slow client.
    let play = play(Limits { headers: Duration::from_millis(700), ..Limits::SERVER });
    let mut half = play.connect(b"http/1.1").await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
    // And one that is asked, and asks nothing more.
    let mut one = play.connect(b"http/1.1").await.unwrap();
    one.write_all(b"HEAD /status/200 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = closed(&mut half).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    assert!(closed(&mut one).await.starts_with(b"HTTP/1.1 200 OK\r\n"));
    play.until(|play| play.tcp.connections() == 0).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_closed() {
    let play = play(Limits { idle: Duration::from_secs(1), ..Limits::SERVER });
    let (one, mut two) = (play.http1().await, play.http2().await);
    assert_eq!(two.send_request(get("/status/200")).await.unwrap().status(), 200);
    let gone = async {
        while !(one.is_closed() && two.is_closed()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    play.until(|play| play.tcp.connections() == 0).await;
}

#[tokio::test]
async fn what_moves_is_not_idle() {
    let play = play(Limits { idle: Duration::from_secs(1), ..Limits::SERVER });
    let mut two = play.http2().await;
    let slow = two.send_request(get("/drip?bytes=24&seconds=2.4")).await.unwrap();
    assert_eq!(all(slow).await.unwrap().len(), 24);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let pace = Pace { grace: Duration::from_millis(700), ..Limits::SERVER.pace };
    let play = play(Limits { pace, ..Limits::SERVER });
    let mut one = play.connect(b"http/1.1").await.unwrap();
    one.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhello").await.unwrap();
    let answer = String::from_utf8(closed(&mut one).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("hello"), "{answer}");
    // It is a matter of its request alone.
    let mut two = play.http2().await;
    let (sender, slow) = unfinished();
    let echoed = two.send_request(request(Method::POST, "/echo", slow)).await.unwrap();
    assert!(timeout(PATIENCE, all(echoed)).await.unwrap().is_err());
    assert_eq!(two.send_request(get("/status/200")).await.unwrap().status(), 200);
    drop((one, two, sender));
    play.until(|play| play.tcp.connections() == 0).await;
}

#[tokio::test]
async fn who_sends_too_slowly_is_told_so_where_there_is_no_answer_yet() {
    let pace = Pace { grace: Duration::from_millis(700), ..Limits::SERVER.pace };
    // The built-in site answers while it reads; this one cannot.
    let collecting = Router::new().fallback(async |body: Bytes| body.len().to_string());
    let play = play_of(Limits { pace, ..Limits::SERVER }, |_, counters| Site::new(collecting, counters));
    let mut one = play.connect(b"http/1.1").await.unwrap();
    one.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhello").await.unwrap();
    let answer = String::from_utf8(closed(&mut one).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n") && answer.contains("1024 bytes a second"), "{answer}");
    let (_sender, slow) = unfinished();
    let mut two = play.http2().await;
    let late = timeout(PATIENCE, two.send_request(request(Method::POST, "/", slow))).await.unwrap().unwrap();
    assert_eq!(late.status(), StatusCode::REQUEST_TIMEOUT);
    is_advertised(&late, play.address().port());
    let soon = two.send_request(request(Method::POST, "/", "hello")).await.unwrap();
    assert_eq!(all(soon).await.unwrap(), "5");
}

#[tokio::test]
async fn a_connection_of_http2_without_requests_is_closed_but_not_its_websockets() {
    // So much that a busy machine is not taken for a silent client.
    let (headers, requestless) = (Duration::from_millis(1_500), Duration::from_millis(1_500));
    let play = play(Limits { headers, requestless, ..Limits::SERVER });
    let mut socket = websocket_over_http2(&play).await;
    // It never asks, and never stops talking: each PING is answered.
    let mut pinging = play.connect(b"h2").await.unwrap();
    pinging.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let talked = async {
        let mut answer = [0; 1024];
        while pinging.write_all(b"\0\0\x08\x06\0\0\0\0\x0012345678").await.is_ok() {
            if !matches!(pinging.read(&mut answer).await, Ok(1..)) {
                return;
            }
        }
    };
    timeout(PATIENCE, talked).await.expect("it may talk for ever");
    // And one that asked once, and behaves.
    let mut once = play.http2().await;
    assert_eq!(once.send_request(get("/status/200")).await.unwrap().status(), 200);
    let gone = async {
        while !once.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap(), Message::text("still here"));
    drop(socket);
    // Nothing is under way on its connection any more.
    play.until(|play| play.tcp.connections() == 0).await;
}
