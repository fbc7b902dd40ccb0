//! [`Site`]: the router with what every answer has, as a service.
//!
//! It stands around the router and not in it: axum keeps a layer for each route, behind a box, and calls it through two
//! more.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use tower::Service;

use super::measure::{Answer, Asked, Counters, Exchange};

/// The site. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    router: Router,
    counters: Counters,
}

impl Site {
    /// This router's answers, counted there.
    pub(crate) fn new(router: Router, counters: Counters) -> Self {
        Self { router, counters }
    }

    /// Answers a request.
    pub(crate) fn answer<B>(&self, request: Request<B>) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let exchange = Exchange::begin(self.counters.clone(), &request);
        let mut router = self.router.clone();
        // Most requests have no body: nothing is counted then, and nothing allocated.
        let answer = if request.body().is_end_stream() {
            router.call(request.map(|_| Body::empty()))
        } else {
            router.call(request.map(|body| Asked::new(body, &exchange)))
        };
        Answering { answer, exchange: Some(exchange) }
    }
}

impl<B> Service<Request<B>> for Site
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.answer(request)
    }
}

/// A request that is being answered.
pub(crate) struct Answering {
    answer: RouteFuture<Infallible>,
    /// Until it goes with the answer's body.
    exchange: Option<Exchange>,
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.answer).poll(context))?;
        let headers = response.headers_mut();
        // A browser takes each answer for what it says it is, and for nothing else.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // axum says that it is zero. Of 204 it may not be said (RFC 9110 section 8.6), and of 304 it is not true.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let exchange = self.exchange.take().map(|exchange| exchange.answered(response.status()));
        Poll::Ready(Ok(response.map(|body| Answer::new(body, exchange))))
    }
}
