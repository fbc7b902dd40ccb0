//! [`RecvBody`]: the content of a message that arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http3::Priority;

use super::error::Error;
use super::port::{ExchangePort, Piece};

/// The content of a request or response, as it arrives: pieces of the receive buffer, not copies, and the trailers.
///
/// What is not read stays charged to the peer, so that a slow reader makes the peer wait. Dropped before its end, it tells
/// the peer to stop sending (H3_NO_ERROR at a server, H3_REQUEST_CANCELLED at a client).
#[derive(Debug)]
pub struct RecvBody {
    port: Arc<ExchangePort>,
    hint: SizeHint,
    over: bool,
}

impl RecvBody {
    pub(crate) fn new(port: Arc<ExchangePort>, length: Option<u64>) -> Self {
        let hint = length.map_or_else(SizeHint::default, SizeHint::with_exact);
        Self { port, hint, over: false }
    }

    /// That of a CONNECT request, whose bytes are not content.
    pub(crate) fn none(port: Arc<ExchangePort>) -> Self {
        Self { port, hint: SizeHint::with_exact(0), over: true }
    }

    /// Tells the server how urgent the rest of this response is now (PRIORITY_UPDATE, RFC 9218 §7), and whether parts of it
    /// are of use. Only a suggestion.
    ///
    /// At the beginning a request says it with a [`Priority`] among its extensions, or a `priority` field. A server's
    /// service does not ask here: its response's `priority` field says how it is to be sent (RFC 9218 §8).
    pub fn set_priority(&self, priority: Priority) {
        if !self.over {
            self.port.set_priority(priority);
        }
    }

    /// The next bytes; `None` at the end, or where the trailers begin.
    ///
    /// # Errors
    /// [`Error`] if the peer, or the connection, ended before the message did.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *self).poll_frame(context)).await;
        match frame {
            None => Ok(None),
            Some(frame) => Ok(frame?.into_data().ok()),
        }
    }
}

impl Body for RecvBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let polled = std::task::ready!(this.port.poll_piece(context));
        Poll::Ready(match polled {
            Some(Ok(Piece::Data(data))) => {
                if let Some(exact) = this.hint.exact() {
                    this.hint = SizeHint::with_exact(exact.saturating_sub(data.len() as u64));
                }
                Some(Ok(Frame::data(data)))
            }
            Some(Ok(Piece::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Some(Err(error)) => {
                this.over = true;
                Some(Err(error))
            }
            None => {
                this.over = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.port.is_read()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for RecvBody {
    fn drop(&mut self) {
        if !self.over {
            self.port.stop();
        }
    }
}
