//! The transport of the crate [`h3`] (its traits in [`h3::quic`]), on quicast's connections and streams.
//!
//! quicast has HTTP/3 of its own, `quicast::http3`. This is for who has written for `h3`, as `h3-quinn` is for quinn:
//!
//! ```no_run
//! # async fn example(connection: quicast::Connection) -> Result<(), Box<dyn std::error::Error>> {
//! let (mut driver, mut requests) = h3::client::new(quicast_h3::Connection::new(connection)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Bytes are not copied either way: what `h3` gives is sent as it is, and what it reads are pieces of the receive buffer.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quicast::{CloseReason, ReadError, WriteError};

/// A QUIC connection for `h3`.
#[derive(Clone, Debug)]
pub struct Connection(quicast::Connection);

impl Connection {
    /// Of a connection whose protocol is `h3`.
    pub const fn new(connection: quicast::Connection) -> Self {
        Self(connection)
    }
}

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = Self;

    fn poll_accept_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        self.0.poll_accept_uni(context).map_ok(RecvStream).map_err(connection_error)
    }

    fn poll_accept_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        self.0.poll_accept_bi(context).map_ok(BidiStream::from).map_err(connection_error)
    }

    fn opener(&self) -> Self {
        self.clone()
    }
}

impl<B: Buf> quic::OpenStreams<B> for Connection {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.0.poll_open_bi(context).map_ok(BidiStream::from).map_err(lost)
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.0.poll_open_uni(context).map_ok(SendStream::from).map_err(lost)
    }

    fn close(&mut self, code: h3::error::Code, reason: &[u8]) {
        self.0.close(code.value(), reason);
    }
}

/// Both halves of a stream.
#[derive(Debug)]
pub struct BidiStream {
    send: SendStream,
    receive: RecvStream,
}

impl From<(quicast::SendStream, quicast::RecvStream)> for BidiStream {
    fn from((send, receive): (quicast::SendStream, quicast::RecvStream)) -> Self {
        Self { send: send.into(), receive: RecvStream(receive) }
    }
}

impl<B: Buf> quic::BidiStream<B> for BidiStream {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream, RecvStream) {
        (self.send, self.receive)
    }
}

impl<B: Buf> quic::SendStream<B> for BidiStream {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        quic::SendStream::<B>::poll_ready(&mut self.send, context)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        quic::SendStream::<B>::poll_finish(&mut self.send, context)
    }

    fn reset(&mut self, code: u64) {
        quic::SendStream::<B>::reset(&mut self.send, code);
    }

    fn send_id(&self) -> StreamId {
        quic::SendStream::<B>::send_id(&self.send)
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(context)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

/// The sending half of a stream.
#[derive(Debug)]
pub struct SendStream {
    stream: quicast::SendStream,
    /// What waits for room, in order: a frame's header and its payload.
    waiting: [Option<Bytes>; 2],
}

impl From<quicast::SendStream> for SendStream {
    fn from(stream: quicast::SendStream) -> Self {
        Self { stream, waiting: [None, None] }
    }
}

impl<B: Buf> quic::SendStream<B> for SendStream {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        for piece in &mut self.waiting {
            if piece.is_some() {
                ready!(self.stream.poll_write_chunk(context, piece)).map_err(write_error)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.waiting.iter().any(Option::is_some) {
            return Err(StreamErrorIncoming::Unknown("data was sent before the stream was ready for it".into()));
        }
        let mut data = data.into();
        // The header stands on `h3`'s stack and is copied; the payload, if it is `Bytes`, is not.
        let header = data.copy_to_bytes(data.chunk().len());
        let payload = data.copy_to_bytes(data.remaining());
        self.waiting = [header, payload].map(|piece| Some(piece).filter(|piece| !piece.is_empty()));
        Ok(())
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(quic::SendStream::<B>::poll_ready(self, context))?;
        // The end is on its way; `h3` does not ask for its acknowledgement. Over already: the peer stopped it.
        drop(self.stream.finish());
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        self.waiting = [None, None];
        // Over already: then there is nothing to abandon.
        let _over = self.stream.reset(code);
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

/// The receiving half of a stream.
#[derive(Debug)]
pub struct RecvStream(quicast::RecvStream);

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.0.poll_read_chunk(context, usize::MAX).map_err(read_error)
    }

    fn stop_sending(&mut self, code: u64) {
        self.0.stop(code);
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.0.id())
    }
}

#[expect(clippy::expect_used, reason = "both kinds of numbers are below 2^62")]
fn stream_id(id: quicast::StreamId) -> StreamId {
    StreamId::try_from(id.as_u64()).expect("a stream's number is below 2^62")
}

fn connection_error(reason: CloseReason) -> ConnectionErrorIncoming {
    match reason {
        CloseReason::PeerApplication { code, .. } => ConnectionErrorIncoming::ApplicationClose { error_code: code },
        CloseReason::IdleTimeout | CloseReason::HandshakeTimeout => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn lost(reason: CloseReason) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(reason) }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(error_code) => StreamErrorIncoming::StreamTerminated { error_code },
        WriteError::ConnectionLost(reason) => lost(reason),
        WriteError::Finished => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(error_code) => StreamErrorIncoming::StreamTerminated { error_code },
        ReadError::ConnectionLost(reason) => lost(reason),
        ReadError::Stopped => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}
