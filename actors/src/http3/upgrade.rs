//! [`Upgrade`] and [`Upgraded`]: CONNECT, plain and extended (RFC 9114 §4.4, RFC 9220): a request that becomes a stream of bytes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::Error;
use super::port::{ExchangePort, Part, Piece};

/// The most bytes that one write copies.
const COPIED: usize = 64 * 1024;

/// The way to the bytes of a CONNECT request: a server finds it among the extensions of each.
///
/// Who calls [`Self::upgraded`] before the request is answered has the stream, if the answer is 2xx; its body is not sent
/// then. With any other answer, or if nobody calls it, the request is one like others.
#[derive(Clone, Debug)]
pub struct Upgrade {
    port: Arc<ExchangePort>,
}

impl Upgrade {
    pub(crate) const fn new(port: Arc<ExchangePort>) -> Self {
        Self { port }
    }

    /// The stream, once the 2xx answer is on its way.
    ///
    /// # Errors
    /// [`Error`] if the answer was another one, or the request ended before.
    pub fn upgraded(self) -> impl Future<Output = Result<Upgraded, Error>> + Send + 'static {
        self.port.want_upgrade();
        async move {
            poll_fn(|context| self.port.poll_upgrade(context)).await?;
            Ok(Upgraded::new(self.port))
        }
    }
}

/// A stream of bytes both ways, over one request.
///
/// Its end is that of the stream: shut down, or dropped, it sends FIN. What is not read stays charged to the peer.
#[derive(Debug)]
pub struct Upgraded {
    port: Arc<ExchangePort>,
    unread: Bytes,
    shut_down: bool,
}

impl Upgraded {
    pub(crate) const fn new(port: Arc<ExchangePort>) -> Self {
        Self { port, unread: Bytes::new(), shut_down: false }
    }

    /// Sends an HTTP datagram of this request (RFC 9297). It may be dropped.
    pub fn send_datagram(&self, payload: Bytes) {
        self.port.send_datagram(payload);
    }

    /// The next HTTP datagram of this request; `None` once it is over. When too many wait, the oldest is dropped.
    pub async fn read_datagram(&self) -> Option<Bytes> {
        poll_fn(|context| self.port.poll_datagram(context)).await
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            match ready!(self.port.poll_piece(context)) {
                Some(Ok(Piece::Data(data))) => self.unread = data,
                // Trailers have no place in a tunnel.
                Some(Ok(Piece::Trailers(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let data = data.get(..COPIED).unwrap_or(data);
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Room is asked for with nothing, so that nothing is copied in vain.
        ready!(self.port.poll_room(context)).map_err(broken)?;
        self.port.send_data(Bytes::copy_from_slice(data));
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.shut_down, true) {
            self.port.send(Part::End);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        if !self.shut_down {
            self.port.send(Part::End);
        }
        self.port.stop();
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
