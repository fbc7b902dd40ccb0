//! [`RecvStream`]: the receiving half of a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use codec::StreamId;
use tokio::io::{AsyncRead, ReadBuf};

use super::error::{ReadError, ReadExactError, ReadToEndError};
use crate::port::{ReceiveEnd, StreamPort};

/// The receiving half of a stream.
///
/// What it holds stays charged to the peer until it is read: who does not read makes the peer wait. Dropping it before
/// the end stops the stream with code 0.
#[derive(Debug)]
pub struct RecvStream {
    port: Arc<StreamPort>,
}

impl RecvStream {
    pub(crate) fn new(port: Arc<StreamPort>) -> Self {
        port.connection().add_handle();
        Self { port }
    }

    /// Which stream it is.
    pub fn id(&self) -> StreamId {
        self.port.id()
    }

    /// The next bytes, at most `maximum`, as they came: a piece of the receive buffer, not a copy. `None` is the end.
    ///
    /// # Errors
    /// [`ReadError`] if the peer reset the stream, it was stopped here, or the connection is over.
    pub async fn read_chunk(&mut self, maximum: usize) -> Result<Option<Bytes>, ReadError> {
        poll_fn(|context| self.port.poll_read(context, maximum)).await.map_err(ReadError::from)
    }

    /// As [`read_chunk`](Self::read_chunk), for who writes futures by hand.
    ///
    /// # Errors
    /// [`ReadError`], likewise.
    pub fn poll_read_chunk(
        &mut self,
        context: &mut Context<'_>,
        maximum: usize,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        self.port.poll_read(context, maximum).map_err(ReadError::from)
    }

    /// Copies the next bytes into `buffer` and says how many; `None` is the end.
    ///
    /// # Errors
    /// As [`read_chunk`](Self::read_chunk).
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, ReadError> {
        if buffer.is_empty() {
            return Ok(Some(0));
        }
        let Some(chunk) = self.read_chunk(buffer.len()).await? else { return Ok(None) };
        for (to, from) in buffer.iter_mut().zip(&chunk) {
            *to = *from;
        }
        Ok(Some(chunk.len()))
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    /// [`ReadExactError`] if the stream ends before, or reading fails.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ReadExactError> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.read(rest).await? {
                Some(more) => read += more,
                None => return Err(ReadExactError::FinishedEarly { read }),
            }
        }
        Ok(())
    }

    /// Everything up to the end, at most `limit` bytes.
    ///
    /// # Errors
    /// [`ReadToEndError`] if the stream is longer (it is then stopped), or reading fails.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Bytes, ReadToEndError> {
        let mut whole = BytesMut::new();
        let mut only = None;
        while let Some(chunk) = self.read_chunk(usize::MAX).await? {
            if whole.len() + only.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
                self.stop(0);
                return Err(ReadToEndError::TooLong { limit });
            }
            // A stream of one piece is not copied.
            if whole.is_empty() && only.is_none() {
                only = Some(chunk);
                continue;
            }
            if let Some(first) = only.take() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(only.unwrap_or_else(|| whole.freeze()))
    }

    /// The next piece, which stays charged to the peer until [`Self::consume`].
    #[cfg(feature = "http3")]
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ReceiveEnd>> {
        self.port.poll_take(context)
    }

    /// Bytes that were taken are held no longer.
    #[cfg(feature = "http3")]
    pub(crate) fn consume(&self, bytes: u64) {
        self.port.consume(bytes);
    }

    /// Gives the stream an actor of its own: see [`SendStream::isolate`](super::SendStream::isolate).
    pub fn isolate(&self) {
        self.port.isolate();
    }

    /// Asks the peer to stop sending, with the application's code (RFC 9000 §19.5). What was not read is dropped.
    pub fn stop(&mut self, code: u64) {
        self.port.stop(code.min(codec::VarInt::MAX.into_inner()));
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        self.port.stop(0);
        self.port.connection().drop_handle();
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let chunk = ready!(self.port.poll_read(context, buffer.remaining())).map_err(ReadError::from)?;
        if let Some(chunk) = chunk {
            buffer.put_slice(&chunk);
        }
        Poll::Ready(Ok(()))
    }
}
