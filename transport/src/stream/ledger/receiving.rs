//! The receiving half of one stream (RFC 9000 §3.2), as far as numbers go.

use crate::error::TransportError;
use crate::flow::Window;

/// How far a stream was received and consumed, and how it ends.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) window: Window,
    /// Known from FIN or RESET_STREAM.
    pub(super) final_size: Option<u64>,
    /// The peer sent RESET_STREAM.
    pub(super) reset: bool,
    /// We want no more: the code of our STOP_SENDING.
    pub(super) stopped: Option<u64>,
    /// The application is done with it.
    pub(super) released: bool,
}

impl Receiving {
    pub(super) const fn new(window: Window) -> Self {
        Self { window, final_size: None, reset: false, stopped: None, released: false }
    }

    /// Whether bytes that still arrive go nowhere.
    pub(super) const fn discards(&self) -> bool {
        self.reset || self.stopped.is_some() || self.released
    }

    /// Whether the peer has to be told of more credit.
    pub(super) const fn is_announcement_due(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
        //# An
        //# endpoint SHOULD stop sending MAX_STREAM_DATA frames when the receiving part of
        //# the stream enters a "Size Known" or "Reset Recvd" state.
        self.final_size.is_none() && !self.discards() && self.window.is_announcement_due()
    }

    /// Judges an end that a frame names: `last` when nothing may come after it.
    pub(super) fn judge_size(&self, end: u64, last: bool) -> Result<(), TransportError> {
        match self.final_size {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
            //# A receiver SHOULD treat
            //# receipt of data at or beyond the final size as an error of type
            //# FINAL_SIZE_ERROR, even after a stream is closed.
            Some(size) if end > size => Err(TransportError::final_size("data beyond the stream's final size")),
            //= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
            //# Once a final size for a stream is known, it cannot change.
            Some(size) if last && end != size => Err(TransportError::final_size("the stream's final size changed")),
            None if last && end < self.window.received() => {
                Err(TransportError::final_size("a final size below what was received"))
            }
            _ => Ok(()),
        }
    }
}
