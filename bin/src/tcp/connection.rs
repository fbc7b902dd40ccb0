//! One TCP connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::header::ALT_SVC;
use axum::http::{HeaderValue, Method, Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use telemetry::http::TcpOutcome;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::limits::{
    BUFFER, CONNECTION_WINDOW, HEADER_BYTES, HEADER_LINES, Limits, Pace, SEND_BUFFER, STREAM_WINDOW, STREAMS,
};
use super::pace::{self, Timely};
use super::place::Place;
use super::requests::{Requests, Underway};
use crate::site::upgrade::Tunnel;
use crate::site::{Answering, Counters, Site};
use crate::stage::{Cue, Stage};

/// What all connections share.
pub(super) struct Shared {
    pub(super) tls: TlsAcceptor,
    pub(super) site: Site,
    pub(super) counters: Counters,
    pub(super) limits: Limits,
}

impl Shared {
    fn count(&self, outcome: TcpOutcome) {
        if let Some(handles) = self.counters.handles() {
            handles.tcp_outcomes[outcome].add(1);
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    port: u16,
    place: Place,
    shared: Arc<Shared>,
    mut cue: Cue,
) {
    // An answer of two writes does not wait for the acknowledgement of the first.
    stream.set_nodelay(true).ok();
    let began = tokio::select! {
        biased;
        // Who has not asked for anything yet is owed nothing.
        () = cue.reached(Stage::Draining) => Err(TcpOutcome::Draining),
        began = timeout(shared.limits.handshake, begin(stream, port, &shared.tls)) => {
            began.unwrap_or(Err(TcpOutcome::TlsTimeout))
        }
    };
    let stream = match began {
        Ok(stream) => stream,
        Err(outcome) => return shared.count(outcome),
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    shared.count(if is_http2 { TcpOutcome::Http2 } else { TcpOutcome::Http1 });
    let (stream, activity) = Kept::new(stream, place);
    let limits = shared.limits;
    let requests = Requests::new();
    let service = Visited {
        site: shared.site.clone(),
        pace: limits.pace,
        requests: requests.clone(),
        peer,
        advertisement: advertisement(port),
    };
    let idle = activity.silent_for(limits.idle);
    // An error here is the client's, and the client has heard of it as far as it could be told.
    if is_http2 {
        let connection = http2().serve_connection(TokioIo::new(stream), service);
        let (unused, over) = (requests.none_for(limits.headers, limits.requestless), async {
            // Time for it to hear of it, and then as for a first request: it should not begin another.
            sleep(limits.headers).await;
            requests.none_for(limits.headers, limits.headers).await;
        });
        conduct(connection, |connection| connection.graceful_shutdown(), idle, unused, over, cue).await.ok();
    } else {
        let connection = http1(&limits).serve_connection(TokioIo::new(stream), service).with_upgrades();
        let (unused, over) = (pending(), pending());
        conduct(connection, |connection| connection.graceful_shutdown(), idle, unused, over, cue).await.ok();
    }
}

/// Drives a connection until it ends, is silent for too long, or must stop; when it has been unused for too long, or the
/// server drains, it finishes what has been asked, and `over` says how long that may take.
async fn conduct<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    graceful_shutdown: impl FnOnce(Pin<&mut C>),
    idle: impl Future<Output = ()>,
    unused: impl Future<Output = ()>,
    over: impl Future<Output = ()>,
    mut cue: Cue,
) -> hyper::Result<()> {
    let (mut connection, mut idle) = (pin!(connection), pin!(idle));
    tokio::select! {
        ended = &mut connection => return ended,
        () = &mut idle => return Ok(()),
        () = unused => graceful_shutdown(connection.as_mut()),
        () = cue.reached(Stage::Draining) => graceful_shutdown(connection.as_mut()),
    }
    tokio::select! {
        ended = connection => ended,
        () = idle => Ok(()),
        () = over => Ok(()),
        () = cue.reached(Stage::Stopping) => Ok(()),
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(limits.headers);
    http1.max_headers(HEADER_LINES).max_header_size(HEADER_BYTES as usize).max_buf_size(BUFFER);
    http1
}

/// What hyper and h2 bound by themselves stays: streams that are opened and reset at once (CVE-2023-44487), resets that
/// we are made to send, CONTINUATION frames without end.
fn http2() -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2.timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES).max_concurrent_streams(STREAMS);
    http2.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    http2.max_send_buf_size(SEND_BUFFER);
    // RFC 8441: so that a WebSocket can be had.
    http2.enable_connect_protocol();
    http2
}

/// Where HTTP/3 is: on the same port number of UDP, for a day (RFC 7838 section 3).
fn advertisement(port: u16) -> HeaderValue {
    HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).unwrap_or(HeaderValue::from_static("clear"))
}

/// The first byte of a TLS record that begins a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// Does the TLS handshake, unless the client means something else.
async fn begin(mut stream: TcpStream, port: u16, tls: &TlsAcceptor) -> Result<TlsStream<TcpStream>, TcpOutcome> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) if first == [HANDSHAKE] => tls.accept(stream).await.map_err(|_| TcpOutcome::TlsFailed),
        Ok(1..) if first[0].is_ascii_uppercase() => {
            refuse_plain(&mut stream, port).await.ok();
            Err(TcpOutcome::NotTls)
        }
        Ok(1..) => Err(TcpOutcome::NotTls),
        Ok(0) | Err(_) => Err(TcpOutcome::TlsFailed),
    }
}

/// What a client may still be sending while it is told no.
const LEFTOVER: u64 = 64 * 1024;
/// How long it may take to hear it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers HTTP without TLS.
async fn refuse_plain(stream: &mut TcpStream, port: u16) -> io::Result<()> {
    let text = format!("400 port {port} speaks HTTPS; write https:// instead of http://\n");
    let head =
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{text}", text.len()).as_bytes()).await?;
    stream.shutdown().await?;
    // What is not read before the end would make the kernel say "reset", and the answer might be lost.
    let (mut rest, mut nowhere) = (stream.take(LEFTOVER), tokio::io::sink());
    timeout(PATIENCE, tokio::io::copy(&mut rest, &mut nowhere)).await.ok();
    Ok(())
}

/// The site as one connection asks it.
#[derive(Clone)]
struct Visited {
    site: Site,
    pace: Pace,
    requests: Requests,
    peer: SocketAddr,
    advertisement: HeaderValue,
}

impl hyper::service::Service<Request<Incoming>> for Visited {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Advertising;

    fn call(&self, mut request: Request<Incoming>) -> Advertising {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        if request.method() == Method::CONNECT
            && let Some(tunnel) = Tunnel::of(&mut request)
        {
            // Its stream is under way for longer than its request.
            request.extensions_mut().insert(tunnel.keeping(self.requests.begin()));
        }
        Advertising {
            answer: pace::answer(self.pace, request, |request| self.site.answer(request)),
            advertisement: self.advertisement.clone(),
            underway: Some(self.requests.begin()),
        }
    }
}

/// An answer that will say where HTTP/3 is.
struct Advertising {
    answer: Timely<Answering>,
    advertisement: HeaderValue,
    /// Until it goes with the answer's body.
    underway: Option<Underway>,
}

impl Future for Advertising {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.answer).poll(context))?;
        response.headers_mut().insert(ALT_SVC, self.advertisement.clone());
        let underway = self.underway.take();
        Poll::Ready(Ok(response.map(|body| Answer { body, _underway: underway })))
    }
}

/// An answer's body. The request is under way until it is gone.
struct Answer {
    body: Body,
    _underway: Option<Underway>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's socket with its place, which it keeps as long as it lives; and when it last moved a byte.
struct Kept {
    stream: TlsStream<TcpStream>,
    activity: Activity,
    _place: Place,
}

/// When a connection last moved a byte.
#[derive(Clone)]
struct Activity {
    began: Instant,
    /// Milliseconds since then.
    last: Arc<AtomicU64>,
}

impl Activity {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until no byte has moved for so long.
    async fn silent_for(self, patience: Duration) {
        loop {
            let end = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + patience;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

impl Kept {
    fn new(stream: TlsStream<TcpStream>, place: Place) -> (Self, Activity) {
        let activity = Activity { began: Instant::now(), last: Arc::default() };
        (Self { stream, activity: activity.clone(), _place: place }, activity)
    }

    fn note(&self) {
        self.activity.last.store(self.activity.now(), Ordering::Relaxed);
    }
}

impl AsyncRead for Kept {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.note();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Kept {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, data));
        self.note();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, data));
        self.note();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
