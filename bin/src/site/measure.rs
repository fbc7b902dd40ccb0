//! Counts requests, whichever protocol carries them: `quicast_http_*`.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, SizeHint};
use telemetry::Registry;
use telemetry::http::{HttpMetrics, Method, Protocol, Status};

/// Where requests are counted, once it is known. Cheap to clone.
///
/// The registry belongs to the endpoint, and the endpoint wants the router before it starts: so it is said afterwards.
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

/// Counts a request, its bodies and its time.
pub(super) async fn count(State(counters): State<Counters>, request: Request, next: Next) -> Response {
    let mut exchange = Exchange::begin(counters, &request);
    let (counters, protocol) = (exchange.counters.clone(), exchange.protocol);
    // Most requests have no body, and need no counting of it.
    let request = if request.body().is_end_stream() {
        request
    } else {
        request.map(|body| Body::new(Counted { body, to: CountTo::Request(counters, protocol) }))
    };
    let response = next.run(request).await;
    exchange.answered(response.status());
    let has_body = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    response.map(|body| Body::new(Counted { body, to: CountTo::Response { exchange, has_body } }))
}

/// A request from its headers to the end of its answer, or to the moment when nobody wants the answer any more.
#[derive(Debug)]
struct Exchange {
    counters: Counters,
    protocol: Protocol,
    method: Method,
    status: Status,
    began: Instant,
}

impl Exchange {
    fn begin(counters: Counters, request: &Request) -> Self {
        let protocol = match request.version() {
            Version::HTTP_3 => Protocol::Http3,
            Version::HTTP_2 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        if let Some(handles) = counters.handles() {
            handles.requests_in_flight[protocol].increment();
        }
        let method = Method::of(request.method().as_str());
        Self { counters, protocol, method, status: Status::None, began: Instant::now() }
    }

    fn answered(&mut self, status: StatusCode) {
        self.status = Status::of(status.as_u16());
        if let Some(handles) = self.counters.handles() {
            handles.time_to_first_byte[self.protocol].record_time(self.began.elapsed());
        }
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

/// A body that counts what passes.
#[derive(Debug)]
struct Counted {
    body: Body,
    to: CountTo,
}

#[derive(Debug)]
enum CountTo {
    Request(Counters, Protocol),
    /// The exchange ends with the answer's body. An answer that has none by its status has no length either, which
    /// otherwise would be said to be zero.
    Response {
        exchange: Exchange,
        has_body: bool,
    },
}

impl CountTo {
    fn add(&self, count: u64) {
        let (counters, protocol) = match self {
            Self::Request(counters, protocol) => (counters, *protocol),
            Self::Response { exchange, .. } => (&exchange.counters, exchange.protocol),
        };
        let Some(handles) = counters.handles() else { return };
        match self {
            Self::Request(..) => handles.request_body_bytes[protocol].add(count),
            Self::Response { .. } => handles.response_body_bytes[protocol].add(count),
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.to.add(frame.data_ref().map_or(0, |data| data.remaining() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.to {
            CountTo::Response { has_body: false, .. } => SizeHint::default(),
            _ => self.body.size_hint(),
        }
    }
}
