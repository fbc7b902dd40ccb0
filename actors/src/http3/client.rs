//! The client's side: requests on a connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http3::priority::PRIORITY;
use http3::{Config, Priority, Settings};
use parking_lot::Mutex;

use super::actor::Http3Actor;
use super::body::RecvBody;
use super::error::Error;
use super::handle::{Asked, Shared};
use super::port::{ExchangePort, Part};
use super::server::{content_length, send_body};
use super::upgrade::Upgraded;
use crate::api::connection::Connection;

/// Makes a QUIC connection one of HTTP/3, as its client. The connection has agreed on [`ALPN`](super::ALPN).
///
/// # Errors
/// [`Error::Cancelled`] if the connection is over.
pub fn connect(connection: Connection) -> Result<RequestSender, Error> {
    connect_with(connection, Config::default())
}

/// Likewise, with settings.
///
/// # Errors
/// [`Error::Cancelled`] if the connection is over.
pub fn connect_with(connection: Connection, config: Config) -> Result<RequestSender, Error> {
    let shared = Arc::new(Shared::default());
    let (actors, handle) = (shared.clone(), connection.clone());
    let started = connection.start_on_shard(move |meter| {
        let machine = http3::Connection::client(config, handle.stable_id());
        Http3Actor::start(machine, handle, actors, None, meter.clone());
    });
    started.map_err(|_| Error::Cancelled)?;
    Ok(RequestSender { connection, shared })
}

/// Makes requests on a connection. Cheap to clone; works from any thread and any runtime; requests may be made at the
/// same time.
#[derive(Clone, Debug)]
pub struct RequestSender {
    connection: Connection,
    shared: Arc<Shared>,
}

/// Interim responses (1xx) that came before the final one: among the extensions of a response that had some.
#[derive(Clone, Debug)]
pub struct Interim(pub Vec<Arc<Response<()>>>);

/// Hears of interim responses (1xx) at the moment when they come: to be put among the extensions of a request. What it does
/// holds up the response.
#[derive(Clone)]
pub struct OnInterim(Arc<Hear>);

type Hear = dyn Fn(&Response<()>) + Send + Sync;

impl OnInterim {
    /// Hears of them like this.
    pub fn new(hear: impl Fn(&Response<()>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }
}

impl fmt::Debug for OnInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnInterim").finish_non_exhaustive()
    }
}

impl RequestSender {
    /// Makes a request, and waits for the head of its response. The rest of the request's content is sent meanwhile and
    /// afterwards; that of the response is read from its body.
    ///
    /// A [`Priority`] among the request's extensions says how urgent the response is, unless a `priority` field does; it can
    /// be changed later with [`RecvBody::set_priority`], or, before there is a response, with a [`PriorityHandle`]. An
    /// [`OnInterim`] there hears of interim responses.
    ///
    /// Dropping the future gives the request up (H3_REQUEST_CANCELLED).
    ///
    /// As many requests as the server permits are under way at once, and 1280 more may wait; who makes further ones waits
    /// here until there is room.
    ///
    /// # Errors
    /// [`Error`]; [`Error::may_be_retried`] says whether nothing was done with it.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<RecvBody>, Error>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if self.shared.is_over() {
            return Err(Error::Unprocessed);
        }
        let place = self.shared.place().await?;
        let (parts, body) = request.into_parts();
        let end = body.is_end_stream();
        let port = ExchangePort::new(self.shared.bell().clone(), None);
        let on_interim = parts.extensions.get::<OnInterim>().cloned();
        let mut head = Box::new(Request::from_parts(parts, ()));
        say_priority(&mut head, &port);
        self.shared.ask(Asked { head, end, port: port.clone(), place });
        if !end {
            let port = port.clone();
            let send = move |_: &_| {
                tokio::task::spawn_local(async move {
                    if send_body(&port, body).await.is_err() {
                        port.send(Part::Abort);
                    }
                });
            };
            self.connection.start_on_shard(send).map_err(|_| Error::Cancelled)?;
        }
        let mut pending = Pending { port, answered: false };
        let mut interim = Vec::new();
        loop {
            let head = poll_fn(|context| pending.port.poll_head(context)).await?;
            if head.status().is_informational() {
                if let Some(OnInterim(hear)) = &on_interim {
                    hear(&head);
                }
                interim.push(Arc::new(head));
                continue;
            }
            pending.answered = true;
            let port = pending.port.clone();
            let length = content_length(head.headers());
            let mut response = head.map(|()| RecvBody::new(port, length));
            if !interim.is_empty() {
                response.extensions_mut().insert(Interim(interim));
            }
            return Ok(response);
        }
    }

    /// Makes a CONNECT request, plain or extended (with a [`Protocol`](super::Protocol) among its extensions), and waits for
    /// its answer: a stream of bytes, if that is 2xx. The body of another answer is not read.
    ///
    /// # Errors
    /// [`Error`], also if the server has not said that it takes extended CONNECT (RFC 9220 §3).
    pub async fn upgrade(&self, mut request: Request<()>) -> Result<(Response<()>, Option<Upgraded>), Error> {
        // Not before the server has said that it may be used.
        if request.extensions().get::<super::Protocol>().is_some() {
            let settings = self.settings().await.ok_or(Error::Cancelled)?;
            if !settings.enable_connect_protocol {
                return Err(Error::Unsendable("the server does not take extended CONNECT (RFC 9220)"));
            }
        }
        let place = self.shared.place().await?;
        let port = ExchangePort::new(self.shared.bell().clone(), None);
        say_priority(&mut request, &port);
        self.shared.ask(Asked { head: Box::new(request), end: false, port: port.clone(), place });
        let mut pending = Pending { port, answered: false };
        loop {
            let head = poll_fn(|context| pending.port.poll_head(context)).await?;
            if head.status().is_informational() {
                continue;
            }
            if !head.status().is_success() {
                return Ok((head, None));
            }
            pending.answered = true;
            return Ok((head, Some(Upgraded::new(pending.port.clone()))));
        }
    }

    /// The server's settings, as soon as they came; `None` if the connection ends first.
    pub async fn settings(&self) -> Option<Settings> {
        self.shared.settings().await
    }

    /// Whether no more requests can be made here: the server, or we, said so, or the connection is over.
    pub fn is_over(&self) -> bool {
        self.shared.is_over()
    }

    /// The connection.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Closes the connection once all requests have their answers. Those that still wait behind the ones for which the
    /// server's streams have no room are not made ([`Error::Unprocessed`]), and no further ones are.
    pub async fn shut_down(&self) {
        self.shared.shut_down();
        self.shared.ended().await;
    }
}

/// Puts the priority that stands among the extensions into a field, unless there is one, and lets it be changed.
fn say_priority(head: &mut Request<()>, port: &Arc<ExchangePort>) {
    if let Some(priority) = head.extensions().get::<Priority>().copied()
        && !priority.as_str().is_empty()
        && !head.headers().contains_key(PRIORITY)
    {
        head.headers_mut().insert(PRIORITY, HeaderValue::from_static(priority.as_str()));
    }
    if let Some(handle) = head.extensions().get::<PriorityHandle>() {
        handle.bind(port);
    }
}

/// Changes how urgent a response is that may not have begun (PRIORITY_UPDATE, RFC 9218 §7): to be put among the extensions
/// of its request, and kept.
#[derive(Clone, Debug, Default)]
pub struct PriorityHandle {
    shared: Arc<Handled>,
}

#[derive(Debug, Default)]
struct Handled {
    state: Mutex<HandledState>,
}

#[derive(Debug, Default)]
struct HandledState {
    port: Weak<ExchangePort>,
    /// What was said before there was a request.
    said: Option<Priority>,
}

impl PriorityHandle {
    /// Tells the server how urgent the response is now, and whether parts of it are of use. Only a suggestion; when the
    /// response is over, it means nothing.
    pub fn set(&self, priority: Priority) {
        let mut handled = self.shared.state.lock();
        match handled.port.upgrade() {
            Some(port) => port.set_priority(priority),
            None => handled.said = Some(priority),
        }
    }

    fn bind(&self, port: &Arc<ExchangePort>) {
        let mut handled = self.shared.state.lock();
        handled.port = Arc::downgrade(port);
        if let Some(priority) = handled.said.take() {
            port.set_priority(priority);
        }
    }
}

/// A request whose response has not come: dropped, it is given up.
struct Pending {
    port: Arc<ExchangePort>,
    answered: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered {
            self.port.cancel();
        }
    }
}

/// No content.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl Body for Empty {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
