//! How a request must come once its head has: its body at least at a rate, and all of it within a time.
//!
//! At the rate counts only how long the client lets us wait: a body that is not read, because the client does not take the
//! answer that depends on it, is not late. The age of a request counts whatever happens, until its body is complete and its
//! answer has begun. What follows may take as long as it likes: a download, or a WebSocket, whose bytes are no body.
//!
//! Who is late is answered 408 (RFC 9110 section 15.5.9), or, if there is an answer already, sees it end without its end.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::Pace;
use crate::site::Refusal;

/// Has a request answered as it comes.
pub(super) fn answer<B: HttpBody, F>(
    pace: Pace,
    request: Request<B>,
    answer: impl FnOnce(Request<Coming<B>>) -> F,
) -> Timely<F> {
    let version = request.version();
    let state = Arc::new(AtomicU8::new(if request.body().is_end_stream() { COMPLETE } else { COMING }));
    let began = Instant::now();
    let request = request.map(|body| Coming {
        body,
        pace,
        began,
        state: state.clone(),
        arrived: 0,
        waited: Duration::ZERO,
        waiting: None,
        timer: Timer::default(),
    });
    Timely { answer: answer(request), pace, began, version, state, timer: Timer::default() }
}

/// What has become of a request's body: some of it is still to come; it is complete, or not wanted; it came too slowly.
const COMING: u8 = 0;
const COMPLETE: u8 = 1;
const LATE: u8 = 2;

/// A sleep that is begun when it is needed.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(context)
    }
}

/// A request's body, while it comes.
#[derive(Debug)]
pub(super) struct Coming<B> {
    body: B,
    pace: Pace,
    began: Instant,
    state: Arc<AtomicU8>,
    /// Bytes, and for how long they were waited for.
    arrived: u64,
    waited: Duration,
    /// Since when the next ones are.
    waiting: Option<(Instant, Arc<Bell>)>,
    timer: Timer,
}

impl<B> Coming<B> {
    /// How long it may be waited for from now on.
    fn patience(&self, now: Instant) -> Duration {
        let earned = Duration::from_millis(self.arrived.saturating_mul(1_000) / self.pace.bytes_per_second.max(1));
        let for_rate = self.pace.grace.saturating_add(earned).saturating_sub(self.waited);
        for_rate.min((self.began + self.pace.age).saturating_duration_since(now))
    }

    fn too_late(&self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.state.store(LATE, Ordering::Relaxed);
        Poll::Ready(Some(Err(Late.into())))
    }
}

impl<B> HttpBody for Coming<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let now = Instant::now();
        if let Some((since, bell)) = this.waiting.take() {
            this.waited += bell.rang(since).unwrap_or(now).saturating_duration_since(since);
        }
        let bell = Bell::new(context.waker(), now);
        match Pin::new(&mut this.body).poll_frame(&mut Context::from_waker(&Waker::from(bell.clone()))) {
            Poll::Ready(Some(Ok(frame))) => {
                this.arrived += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.body.is_end_stream() {
                    this.state.store(COMPLETE, Ordering::Relaxed);
                } else if now >= this.began + this.pace.age {
                    return this.too_late();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => {
                this.state.store(COMPLETE, Ordering::Relaxed);
                Poll::Ready(ended.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let patience = this.patience(now);
                if patience.is_zero() || this.timer.poll(now + patience, context).is_ready() {
                    return this.too_late();
                }
                this.waiting = Some((now, bell));
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Coming<B> {
    fn drop(&mut self) {
        // Who does not want the rest does not wait for it.
        self.state.compare_exchange(COMING, COMPLETE, Ordering::Relaxed, Ordering::Relaxed).ok();
    }
}

/// Wakes who waits for a body, and knows when it did: who is woken may have something else to wait for first.
#[derive(Debug)]
struct Bell {
    waker: Waker,
    made: Instant,
    /// Nanoseconds after that, and one.
    rang: AtomicU64,
}

impl Bell {
    fn new(waker: &Waker, made: Instant) -> Arc<Self> {
        Arc::new(Self { waker: waker.clone(), made, rang: AtomicU64::new(0) })
    }

    /// When it rang first.
    fn rang(&self, since: Instant) -> Option<Instant> {
        let rang = self.rang.load(Ordering::Relaxed).checked_sub(1)?;
        Some((self.made + Duration::from_nanos(rang)).max(since))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let after = u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.rang.compare_exchange(0, after.saturating_add(1), Ordering::Relaxed, Ordering::Relaxed).ok();
        self.waker.wake_by_ref();
    }
}

/// Why a body that came too slowly has no end.
#[derive(Debug)]
struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request came too slowly")
    }
}

impl std::error::Error for Late {}

/// An answer, or the word that the request came too slowly for one.
#[derive(Debug)]
pub(super) struct Timely<F> {
    answer: F,
    pace: Pace,
    began: Instant,
    version: Version,
    state: Arc<AtomicU8>,
    timer: Timer,
}

impl<F, A> Future for Timely<F>
where
    F: Future<Output = Result<Response<A>, Infallible>> + Unpin,
    A: HttpBody<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(answer) = Pin::new(&mut this.answer).poll(context) {
            // Whatever was made of half a request is not what the client asked for.
            let is_late = this.state.load(Ordering::Relaxed) == LATE;
            return Poll::Ready(Ok(if is_late { this.refusal() } else { answer?.map(Body::new) }));
        }
        ready!(this.timer.poll(this.began + this.pace.age, context));
        Poll::Ready(Ok(this.refusal()))
    }
}

impl<F> Timely<F> {
    fn refusal(&self) -> Response<Body> {
        let Pace { grace, bytes_per_second, age } = self.pace;
        let (grace, age) = (grace.as_secs_f64(), age.as_secs_f64());
        let refusal = if self.state.load(Ordering::Relaxed) == COMPLETE {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format_args!("there was no answer within {age} s; try again"))
        } else {
            let pace = format_args!(
                "a request's content must come with at least {bytes_per_second} bytes a second after the first {grace} s, \
                 and within {age} s; send it faster, or less of it"
            );
            Refusal::new(StatusCode::REQUEST_TIMEOUT, pace)
        };
        let refusal = refusal.with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // The rest of the request is in the way of the next one.
        let refusal = match self.version {
            Version::HTTP_2 => refusal,
            _ => refusal.with(CONNECTION, HeaderValue::from_static("close")),
        };
        refusal.into_response()
    }
}

#[cfg(test)]
mod tests;
