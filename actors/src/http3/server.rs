//! The server's side: a service answers requests.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use tokio::task::AbortHandle;
use tower_service::Service;

use super::body::RecvBody;
use super::error::Error;
use super::port::{ExchangePort, Part};
use super::upgrade::Upgrade;

/// Has a request answered through its port.
pub(crate) type Dispatch = Box<dyn Fn(Request<RecvBody>, Arc<ExchangePort>) -> AbortHandle>;

/// Has a service answer each request in a task of its own, on this thread.
pub(crate) fn dispatch<S, B>(service: S) -> Dispatch
where
    S: Service<Request<RecvBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    Box::new(move |mut request, port| {
        let service = service.clone();
        request.extensions_mut().insert(EarlyHints { port: port.clone() });
        tokio::task::spawn_local(async move {
            // Whatever happens to the service, the peer hears of it.
            let unanswered = Unanswered { port, armed: true };
            answer(service, request, unanswered).await;
        })
        .abort_handle()
    })
}

/// A request with its body, or with the way to its bytes if it is to become a stream of bytes.
pub(crate) fn with_body(head: Request<()>, port: &Arc<ExchangePort>) -> Request<RecvBody> {
    if head.method() == Method::CONNECT {
        let mut request = head.map(|()| RecvBody::none(port.clone()));
        request.extensions_mut().insert(Upgrade::new(port.clone()));
        return request;
    }
    let length = content_length(head.headers());
    head.map(|()| RecvBody::new(port.clone(), length))
}

/// How much content a valid message has, if it says so.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Resets the stream when the service is gone before its answer was.
struct Unanswered {
    port: Arc<ExchangePort>,
    armed: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.armed {
            self.port.send(Part::Abort);
        }
    }
}

async fn answer<S, B>(mut service: S, request: Request<RecvBody>, mut unanswered: Unanswered)
where
    S: Service<Request<RecvBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let is_connect = request.method() == Method::CONNECT;
    let answered = async {
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    };
    match answered.await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            if is_connect && unanswered.port.answer_upgrade(parts.status.is_success()) {
                unanswered.port.send(Part::Head(Response::from_parts(parts, ()), false));
                unanswered.armed = false;
                return;
            }
            let end = body.is_end_stream();
            unanswered.port.send(Part::Head(Response::from_parts(parts, ()), end));
            if end || send_body(&unanswered.port, body).await.is_ok() {
                unanswered.armed = false;
            }
        }
        Err(error) => {
            let error = error.into();
            tracing::warn!(error, "a service failed; its request is reset");
        }
    }
}

/// Sends content and trailers, as fast as there is room.
pub(crate) async fn send_body<B>(port: &ExchangePort, body: B) -> Result<(), Error>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            let error = error.into();
            tracing::debug!(error, "a body failed; its stream is reset");
            Error::Body(error.to_string())
        })?;
        match frame.into_data() {
            Ok(mut data) => {
                while data.has_remaining() {
                    // A `Bytes` is not copied here.
                    let piece = data.copy_to_bytes(data.remaining());
                    send(port, Part::Data(piece)).await?;
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return send(port, Part::Trailers(trailers)).await;
                }
            }
        }
    }
    send(port, Part::End).await
}

async fn send(port: &ExchangePort, part: Part) -> Result<(), Error> {
    let mut part = Some(part);
    poll_fn(|context| port.poll_send(context, &mut part)).await
}

/// Sends heads before the final one: 103 (Early Hints, RFC 8297), 100, 102. Every request has one among its extensions.
#[derive(Clone, Debug)]
pub struct EarlyHints {
    port: Arc<ExchangePort>,
}

impl EarlyHints {
    /// Sends an interim response. It is a hint: a client that does not take heads of its size gets the final one alone.
    ///
    /// # Errors
    /// [`Error::Unsendable`] if its status is not 1xx, or 101; if the request is answered already; or if there were 8 before
    /// it ([`http3::limits::INTERIM_RESPONSES`]). [`Error`] if the request is over.
    pub fn send(&self, head: Response<()>) -> Result<(), Error> {
        self.port.send_interim(head)
    }
}
