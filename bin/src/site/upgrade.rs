//! [`Tunnel`]: the bytes of a request that becomes something else than HTTP.
//!
//! HTTP/1.1 calls it an upgrade (RFC 9110 section 7.8), HTTP/2 and HTTP/3 an extended CONNECT (RFC 8441, RFC 9220); for
//! who serves `/ws` it is one thing. What hyper carries is found by itself. **Whoever serves HTTP/3** puts a [`Tunnel`] into
//! the extensions of a request with `:protocol`, made of that protocol's name and a future that gives the stream once the
//! 2xx answer has been sent; if the answer is another one, or nobody takes the tunnel, the future is dropped and the
//! request is like any other.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::http::{HeaderMap, Method, Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of bytes in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// A request's way to become a stream of bytes. Of its clones, the first that opens it has it.
#[derive(Clone)]
pub(crate) struct Tunnel {
    protocol: String,
    opening: Arc<Mutex<Option<Opening>>>,
}

impl Tunnel {
    /// A tunnel for this protocol (`websocket`), which `opening` gives once the request has been answered.
    pub(crate) fn new<S: Stream + 'static>(
        protocol: impl Into<String>,
        opening: impl Future<Output = io::Result<S>> + Send + 'static,
    ) -> Self {
        let opening: Opening = Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn Stream>) });
        Self { protocol: protocol.into(), opening: Arc::new(Mutex::new(Some(opening))) }
    }

    /// What the request asks to become, if it asks for that; it is taken out of the request's extensions.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Option<Self> {
        if let Some(tunnel) = request.extensions_mut().remove::<Self>() {
            return Some(tunnel);
        }
        let protocol = if request.version() == Version::HTTP_2 {
            let protocol = request.extensions().get::<hyper::ext::Protocol>()?;
            (*request.method() == Method::CONNECT).then(|| protocol.as_str().to_owned())?
        } else {
            names(request.headers(), "connection", "upgrade").then_some(())?;
            request.headers().get("upgrade")?.to_str().ok()?.to_owned()
        };
        let upgrade = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>()?;
        Some(Self::new(protocol, async move { upgrade.await.map(TokioIo::new).map_err(io::Error::other) }))
    }

    /// Likewise, and `kept` is kept until nobody wants the stream any more.
    pub(crate) fn keeping(self, kept: impl Send + Unpin + 'static) -> Self {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opening = async move {
            match opening {
                Some(opening) => Ok(Keeping { stream: opening.await?, _kept: kept }),
                None => Err(opened_already()),
            }
        };
        Self::new(self.protocol, opening)
    }

    /// What it is for.
    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Waits for the stream.
    ///
    /// # Errors
    /// The request was not answered as it should have been, its client is gone, or somebody else has the stream.
    pub(crate) async fn open(self) -> io::Result<Box<dyn Stream>> {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        match opening {
            Some(opening) => opening.await,
            None => Err(opened_already()),
        }
    }
}

fn opened_already() -> io::Error {
    io::Error::other("the tunnel has been opened already")
}

/// A stream, and what is kept as long as it is there.
struct Keeping<K> {
    stream: Box<dyn Stream>,
    _kept: K,
}

impl<K: Unpin> AsyncRead for Keeping<K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<K: Unpin> AsyncWrite for Keeping<K> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// Whether a header that is a list of words has this word.
pub(super) fn names(headers: &HeaderMap, header: &str, word: &str) -> bool {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
}
