//! Bodies that come as they like, under paused time.

use futures_util::stream;
use tokio::time::sleep;

use super::*;

const PACE: Pace = Pace { grace: Duration::from_secs(10), bytes_per_second: 1024, age: Duration::from_secs(300) };

/// A piece of so many bytes every so often, so many times; without an end if that is zero.
fn dripping(piece: usize, every: Duration, times: usize) -> Body {
    Body::from_stream(stream::unfold(0, move |number| async move {
        if times > 0 && number == times {
            return None;
        }
        sleep(every).await;
        Some((Ok::<_, Infallible>(Bytes::from(vec![7; piece])), number + 1))
    }))
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Answers once it has all of it.
fn collecting(request: Request<Coming<Body>>) -> Answered {
    Box::pin(async move {
        let body = axum::body::to_bytes(Body::new(request.into_body()), usize::MAX).await;
        Ok(match body {
            Ok(body) => Response::new(Body::from(body.len().to_string())),
            Err(_) => Refusal::new(StatusCode::BAD_REQUEST, "what came was not whole").into_response(),
        })
    })
}

/// Answers with what comes, as it comes.
fn echoing(request: Request<Coming<Body>>) -> Answered {
    Box::pin(async move { Ok(Response::new(Body::new(request.into_body()))) })
}

fn post(body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.version_mut() = Version::HTTP_11;
    request
}

/// The answer, and after how many seconds it came.
async fn asked(body: Body, answering: fn(Request<Coming<Body>>) -> Answered) -> (Response<Body>, f64) {
    let began = Instant::now();
    let response = answer(PACE, post(body), answering).await.unwrap();
    (response, began.elapsed().as_secs_f64())
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(axum::body::to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_slowly_is_told_so_and_when_is_exact() {
    for (piece, every, after) in [
        // Nothing at all; half the rate, which the grace makes good for almost twenty seconds.
        (0, 1_000.0, 10.0),
        (512, 1.0, 19.5),
        // One byte a second: five of them are worth 4.9 ms.
        (1, 2.0, 10.005),
    ] {
        let (response, took) = asked(dripping(piece, seconds(every), 0), collecting).await;
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT, "{piece}");
        assert_eq!(response.headers()[CONNECTION], "close");
        assert!((took - after).abs() < 0.01, "{piece}: {took} s");
        let words = text(response).await;
        assert!(words.starts_with("408 ") && words.contains("1024 bytes a second after the first 10 s"), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_at_the_rate_is_waited_for() {
    for (piece, every, times) in [(1024, 1.0, 250), (10, 9.9, 1), (1 << 20, 9.9, 20)] {
        let (response, _) = asked(dripping(piece, seconds(every), times), collecting).await;
        assert_eq!(response.status(), StatusCode::OK, "{piece}");
        assert_eq!(text(response).await, (piece * times).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_has_an_age() {
    let (whole, took) = asked(dripping(4096, seconds(1.0), 299), collecting).await;
    assert_eq!((whole.status(), took.round()), (StatusCode::OK, 299.0));
    let (late, took) = asked(dripping(4096, seconds(1.0), 302), collecting).await;
    assert_eq!((late.status(), took.round()), (StatusCode::REQUEST_TIMEOUT, 300.0));
    // Also if there is always more to read at once: it is said with the next piece.
    let busy = Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"more"))));
    let slowly = |request: Request<Coming<Body>>| -> Answered {
        Box::pin(async move {
            let mut body = request.into_body();
            loop {
                let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
                if frame.is_none_or(|frame| frame.is_err()) {
                    return Ok(Response::new(Body::empty()));
                }
                sleep(seconds(7.0)).await;
            }
        })
    };
    let (late, took) = asked(busy, slowly).await;
    assert_eq!((late.status(), took.round()), (StatusCode::REQUEST_TIMEOUT, 300.0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_is_not_the_clients_fault() {
    // Each piece is there a second after it is waited for, and taken half a minute later.
    let body = dripping(1, seconds(1.0), 8);
    let idly = |request: Request<Coming<Body>>| -> Answered {
        Box::pin(async move {
            let mut body = request.into_body();
            let mut pieces = 0;
            loop {
                let waiting = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context)));
                match waiting.await {
                    Poll::Ready(Some(Ok(_))) => pieces += 1,
                    Poll::Ready(None) => return Ok(Response::new(Body::from(pieces.to_string()))),
                    Poll::Ready(Some(Err(error))) => {
                        return Ok(Refusal::new(StatusCode::BAD_REQUEST, format_args!("{error} after {pieces}"))
                            .into_response());
                    }
                    Poll::Pending => sleep(seconds(30.0)).await,
                }
            }
        })
    };
    let (response, took) = asked(body, idly).await;
    assert_eq!((text(response).await.as_str(), took.round()), ("8", 240.0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_ends_without_its_end() {
    let (response, took) = asked(dripping(100, seconds(1.0), 0), echoing).await;
    assert_eq!((response.status(), took), (StatusCode::OK, 0.0));
    let began = Instant::now();
    let error = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_err();
    assert!(error.to_string().contains("too slowly"), "{error}");
    assert!((began.elapsed().as_secs_f64() - 11.0).abs() < 0.2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_as_long_as_it_likes_to_be_read() {
    let download = |_: Request<Coming<Body>>| -> Answered {
        Box::pin(async { Ok(Response::new(dripping(1, seconds(100.0), 10))) })
    };
    let (response, _) = asked(Body::empty(), download).await;
    assert_eq!(text(response).await.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn whose_fault_it_is_is_told_apart() {
    let never = |request: Request<Coming<Body>>| -> Answered {
        Box::pin(async move {
            let _kept = request;
            std::future::pending().await
        })
    };
    // The request is whole, and it is the server that has no answer.
    let (response, took) = asked(Body::empty(), never).await;
    assert_eq!((response.status(), took.round()), (StatusCode::SERVICE_UNAVAILABLE, 300.0));
    let (response, took) = asked(dripping(1, seconds(1.0), 0), never).await;
    assert_eq!((response.status(), took.round()), (StatusCode::REQUEST_TIMEOUT, 300.0));
    // What HTTP/1.1 says of its connection is nothing for HTTP/2.
    let mut request = post(dripping(1, seconds(1.0), 0));
    *request.version_mut() = Version::HTTP_2;
    let response = answer(PACE, request, collecting).await.unwrap();
    assert_eq!((response.status(), response.headers().get(CONNECTION)), (StatusCode::REQUEST_TIMEOUT, None));
}
