//! Counts requests, whichever protocol carries them: `quicast_http_*`.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::http::{Request, StatusCode, Version};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use telemetry::Registry;
use telemetry::http::{HttpMetrics, Method, Protocol, Status};

/// Where requests are counted, once it is known. Cheap to clone.
///
/// The registry belongs to the endpoint, and the endpoint wants the site before it starts: so it is said afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<OnceLock<HttpMetrics>>);

impl Counters {
    /// From now on requests are counted there.
    pub(crate) fn count_in(&self, registry: &Registry) {
        self.0.get_or_init(|| HttpMetrics::new(registry, 0));
    }

    /// The handles, if there are any yet.
    pub(crate) fn handles(&self) -> Option<&HttpMetrics> {
        self.0.get()
    }
}

/// A request from its headers to the end of its answer, or to the moment when nobody wants the answer any more.
#[derive(Debug)]
pub(super) struct Exchange {
    counters: Counters,
    began: Instant,
    protocol: Protocol,
    method: Method,
    status: Status,
}

impl Exchange {
    pub(super) fn begin<B>(counters: Counters, request: &Request<B>) -> Self {
        let protocol = match request.version() {
            Version::HTTP_3 => Protocol::Http3,
            Version::HTTP_2 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        if let Some(handles) = counters.handles() {
            handles.requests_in_flight[protocol].increment();
        }
        let method = Method::of(request.method().as_str());
        Self { counters, began: Instant::now(), protocol, method, status: Status::None }
    }

    /// Its answer has begun.
    pub(super) fn answered(mut self, status: StatusCode) -> Self {
        self.status = Status::of(status.as_u16());
        if let Some(handles) = self.counters.handles() {
            handles.time_to_first_byte[self.protocol].record_time(self.began.elapsed());
        }
        self
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(handles) = self.counters.handles() else { return };
        handles.requests_in_flight[self.protocol].decrement();
        handles.requests[(self.protocol, self.method, self.status)].add(1);
        handles.request_duration[self.protocol].record_time(self.began.elapsed());
    }
}

/// A request's body, which counts what passes.
#[derive(Debug)]
pub(super) struct Asked<B> {
    body: B,
    counters: Counters,
    protocol: Protocol,
}

impl<B> Asked<B> {
    pub(super) fn new(body: B, exchange: &Exchange) -> Self {
        Self { body, counters: exchange.counters.clone(), protocol: exchange.protocol }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Asked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(handles) = self.counters.handles() {
            handles.request_body_bytes[self.protocol].add(data_length(&frame));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, which counts what passes. The exchange ends with it.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    exchange: Option<Exchange>,
}

impl Answer {
    pub(super) fn new(body: Body, exchange: Option<Exchange>) -> Self {
        Self { body, exchange }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(exchange) = &self.exchange
            && let Some(handles) = exchange.counters.handles()
        {
            handles.response_body_bytes[exchange.protocol].add(data_length(&frame));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn data_length<E>(frame: &Option<Result<Frame<Bytes>, E>>) -> u64 {
    match frame {
        Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
        _ => 0,
    }
}
