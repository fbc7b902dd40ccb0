//! [`SendStream`]: the sending half of a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use codec::StreamId;
use tokio::io::AsyncWrite;
use transport::stream::Priority;

use super::error::WriteError;
#[cfg(feature = "http3")]
use crate::port::WriteRefusal;
use crate::port::{SendEnd, StreamPort};

/// The sending half of a stream.
///
/// Dropping it before [`finish`](Self::finish) resets the stream with code 0: a half-written message must not look whole.
/// Dropping it afterwards loses nothing.
#[derive(Debug)]
pub struct SendStream {
    port: Arc<StreamPort>,
}

impl SendStream {
    pub(crate) fn new(port: Arc<StreamPort>) -> Self {
        port.connection().add_handle();
        Self { port }
    }

    /// Which stream it is.
    pub fn id(&self) -> StreamId {
        self.port.id()
    }

    /// Sends these bytes, without copying them. Waits while too much is waiting to be sent already.
    ///
    /// # Errors
    /// [`WriteError`] if the stream or the connection is over.
    pub async fn write_chunk(&mut self, data: Bytes) -> Result<(), WriteError> {
        let mut data = Some(data);
        poll_fn(|context| self.port.poll_write(context, &mut data)).await.map_err(WriteError::from)
    }

    /// Sends the chunks in order, without copying them.
    ///
    /// # Errors
    /// As [`write_chunk`](Self::write_chunk); earlier chunks may have been sent.
    pub async fn write_chunks(&mut self, chunks: impl IntoIterator<Item = Bytes>) -> Result<(), WriteError> {
        for chunk in chunks {
            self.write_chunk(chunk).await?;
        }
        Ok(())
    }

    /// Sends a copy of the first bytes of `data`, as many as there is room for, and says how many.
    ///
    /// # Errors
    /// [`WriteError`] if the stream or the connection is over.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        poll_fn(|context| self.poll_write_copy(context, data)).await
    }

    /// Sends a copy of all of `data`.
    ///
    /// # Errors
    /// [`WriteError`] if the stream or the connection is over; some bytes may have been sent.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<(), WriteError> {
        while !data.is_empty() {
            let written = self.write(data).await?;
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// As [`write_chunk`](Self::write_chunk), for who writes futures by hand: takes the chunk out of `data` once there is room
    /// for it.
    ///
    /// # Errors
    /// [`WriteError`] if the stream or the connection is over.
    pub fn poll_write_chunk(
        &mut self,
        context: &mut Context<'_>,
        data: &mut Option<Bytes>,
    ) -> Poll<Result<(), WriteError>> {
        self.port.poll_write(context, data).map_err(WriteError::from)
    }

    /// Gives bytes to send, if there is room.
    #[cfg(feature = "http3")]
    pub(crate) fn poll_give(
        &self,
        context: &mut Context<'_>,
        data: &mut Option<Bytes>,
    ) -> Poll<Result<(), WriteRefusal>> {
        self.port.poll_write(context, data)
    }

    /// The end of this half, once there is one.
    #[cfg(feature = "http3")]
    pub(crate) fn poll_end(&self, context: &mut Context<'_>) -> Poll<SendEnd> {
        self.port.poll_send_end(context)
    }

    /// Says that nothing follows, and waits until the peer has acknowledged everything.
    ///
    /// The end is on its way even if the returned future is dropped.
    ///
    /// # Errors
    /// [`WriteError`] if the stream was over already, or the peer stopped it, or the connection ended first.
    pub fn finish(&mut self) -> impl Future<Output = Result<(), WriteError>> + Send + 'static {
        let said = self.port.finish();
        let port = self.port.clone();
        async move {
            said?;
            match poll_fn(|context| port.poll_send_end(context)).await {
                SendEnd::Acknowledged => Ok(()),
                SendEnd::Stopped(code) => Err(WriteError::Stopped(code)),
                SendEnd::Lost(reason) => Err(WriteError::ConnectionLost(reason)),
            }
        }
    }

    /// Abandons the stream with the application's code: what was not acknowledged may never arrive (RFC 9000 §19.4).
    ///
    /// # Errors
    /// [`WriteError`] if the stream is over already.
    pub fn reset(&mut self, code: u64) -> Result<(), WriteError> {
        self.port.reset(code.min(codec::VarInt::MAX.into_inner())).map_err(WriteError::from)
    }

    /// Says when this stream's bytes are sent, compared with those of the connection's other streams; also those that were
    /// written and have not left, or are lost.
    ///
    /// `urgency` is 0, the most urgent, to 7; what is above is taken for 7. All that can be sent of a more urgent stream is
    /// sent before anything of a less urgent one. Streams of one urgency are sent one after the other, in the order of
    /// their ids, or share, a packet's worth each in turn, if they are `incremental`; where there are both, each kind has
    /// half. It is the scale of RFC 9218 §4.
    ///
    /// Streams of which nothing is said have urgency 3 and are incremental. Flow control and loss are as ever: a stream that
    /// may not send gives way. It may be called as often as wanted; a less urgent stream waits as long as more urgent ones
    /// have something to send.
    ///
    /// # Errors
    /// [`WriteError`] if the stream or the connection is over.
    pub fn set_priority(&self, urgency: u8, incremental: bool) -> Result<(), WriteError> {
        self.port.set_priority(Priority::new(urgency, incremental)).map_err(WriteError::from)
    }

    /// Before all streams that an application can have.
    #[cfg(feature = "http3")]
    pub(crate) fn put_before_all(&self) {
        // Over already: then there is nothing to send.
        let _over = self.port.set_priority(Priority::BEFORE_ALL);
    }

    /// Gives the stream an actor of its own, as streams get that move much: a busy stream then holds up none of its
    /// connection's others. To be called when it was just opened; later it changes nothing for what has passed.
    pub fn isolate(&self) {
        self.port.isolate();
    }

    /// Waits until the peer stops the stream, with its code; `None` if everything was acknowledged instead.
    ///
    /// # Errors
    /// [`WriteError::ConnectionLost`] if the connection ends first.
    pub async fn stopped(&mut self) -> Result<Option<u64>, WriteError> {
        match poll_fn(|context| self.port.poll_send_end(context)).await {
            SendEnd::Acknowledged => Ok(None),
            SendEnd::Stopped(code) => Ok(Some(code)),
            SendEnd::Lost(reason) => Err(WriteError::ConnectionLost(reason)),
        }
    }

    fn poll_write_copy(&self, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, WriteError>> {
        // No bytes first: is there room at all, or an error to report?
        ready!(self.port.poll_write(context, &mut None))?;
        let length = data.len().min(self.port.write_room().max(1));
        let mut chunk = Some(Bytes::copy_from_slice(data.get(..length).unwrap_or(data)));
        ready!(self.port.poll_write(context, &mut chunk))?;
        Poll::Ready(Ok(length))
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.port.drop_send();
        self.port.connection().drop_handle();
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        self.poll_write_copy(context, data).map_err(std::io::Error::from)
    }

    /// Bytes leave by themselves: there is nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says that nothing follows. Does not wait for the peer: see [`SendStream::finish`].
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.port.finish().map_err(WriteError::from) {
            Ok(()) | Err(WriteError::Finished) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}
