//! The actor's side of an [`ExchangePort`].

use bytes::Bytes;
use codec::StreamId;
use http::Response;

use super::{DATAGRAMS, ExchangePort, Part, Piece, WRITE_BUFFER, Wishes, wake};
use crate::http3::error::Error;

impl ExchangePort {
    /// The exchange has its stream. Says whether the application did something before.
    pub(crate) fn begin(&self, stream: StreamId) -> bool {
        let mut state = self.state.lock();
        state.stream = Some(stream);
        !state.outgoing.is_empty() || state.wishes.cancel || state.wishes.stop || state.wishes.priority.is_some()
    }

    /// Whether nothing more comes, and all that came was taken.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.end.is_some() && state.incoming.is_empty()
    }

    /// The actor looks: it will be told of anything later again.
    pub(crate) fn take_wishes(&self) -> Wishes {
        let mut state = self.state.lock();
        state.listed = false;
        std::mem::take(&mut state.wishes)
    }

    /// The next part to send.
    pub(crate) fn next_part(&self) -> Option<Part> {
        let mut state = self.state.lock();
        let part = state.outgoing.pop_front()?;
        if let Part::Data(data) = &part {
            state.outgoing_bytes -= data.len();
            let writer = if state.outgoing_bytes < WRITE_BUFFER { state.writer.take() } else { None };
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
        }
        Some(part)
    }

    /// What there was no room for: it goes first next time.
    pub(crate) fn put_back(&self, data: Bytes) {
        let mut state = self.state.lock();
        state.outgoing_bytes += data.len();
        state.outgoing.push_front(Part::Data(data));
    }

    /// A head came.
    pub(crate) fn give_head(&self, head: Response<()>, interim: bool) {
        let mut state = self.state.lock();
        if interim {
            state.interim.push_back(head);
        } else {
            state.head = Some(head);
        }
        wake(state);
    }

    /// Something of the message came. Returns the bytes that nobody wants.
    pub(crate) fn give(&self, piece: Piece) -> u64 {
        let mut state = self.state.lock();
        let bytes = if let Piece::Data(data) = &piece { data.len() } else { 0 };
        if state.end.is_some() {
            return bytes as u64;
        }
        state.incoming_bytes += bytes;
        state.incoming.push_back(piece);
        wake(state);
        0
    }

    /// A datagram came. Says whether an older one had to go for it.
    pub(crate) fn give_datagram(&self, payload: Bytes) -> bool {
        let mut state = self.state.lock();
        let full = state.datagrams.len() >= DATAGRAMS;
        if full {
            state.datagrams.pop_front();
        }
        state.datagrams.push_back(payload);
        let reader = state.datagram_reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        full
    }

    /// The peer's message is over: complete, or not.
    pub(crate) fn end(&self, end: Result<(), Error>) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        let reader = state.datagram_reader.take();
        wake(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Nothing more is taken for sending.
    pub(crate) fn end_send(&self, error: Error) {
        let mut state = self.state.lock();
        state.outgoing.clear();
        state.outgoing_bytes = 0;
        state.send_over.get_or_insert(error);
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
