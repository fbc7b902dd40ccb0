//! [`Outbox`]: what is to be done, in order, with small pieces of one stream put together.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use codec::StreamId;

use crate::output::Output;

/// How much room is made at once for frame headers and field sections.
const BLOCK: usize = 1024;

/// Orders that wait to be polled.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    /// Bytes that are being written, of the stream `open`.
    scratch: BytesMut,
    open: Option<StreamId>,
}

impl Outbox {
    /// Room behind all earlier bytes of the stream, for headers and sections.
    pub(crate) fn room(&mut self, stream: StreamId) -> &mut BytesMut {
        if self.open != Some(stream) {
            self.close(false);
            self.open = Some(stream);
        }
        // Blocks whose bytes are all gone are used again.
        if self.scratch.capacity() - self.scratch.len() < 64 {
            self.scratch.reserve(BLOCK);
        }
        &mut self.scratch
    }

    /// Bytes behind all earlier ones of the stream, and possibly its end.
    pub(crate) fn write(&mut self, stream: StreamId, data: Bytes, fin: bool) {
        if !data.is_empty() {
            self.close(false);
            self.queue.push_back(Output::Write { stream, data, fin });
        } else if fin {
            self.finish(stream);
        }
    }

    /// Bytes of a stream, before those that are being written on another one.
    pub(crate) fn write_first(&mut self, stream: StreamId, data: Bytes) {
        debug_assert_ne!(self.open, Some(stream), "its bytes would change places");
        self.queue.push_back(Output::Write { stream, data, fin: false });
    }

    /// The end of the stream.
    pub(crate) fn finish(&mut self, stream: StreamId) {
        if self.open == Some(stream) {
            self.close(true);
            return;
        }
        self.close(false);
        match self.queue.back_mut() {
            Some(Output::Write { stream: last, fin, .. }) if *last == stream => *fin = true,
            _ => self.queue.push_back(Output::Write { stream, data: Bytes::new(), fin: true }),
        }
    }

    /// Bytes were consumed.
    pub(crate) fn consumed(&mut self, stream: StreamId, bytes: u64) {
        match self.queue.back_mut() {
            _ if bytes == 0 => {}
            Some(Output::Consumed { stream: last, bytes: earlier }) if *last == stream => *earlier += bytes,
            // It says nothing of what is written, so it may overtake that.
            _ => self.queue.push_back(Output::Consumed { stream, bytes }),
        }
    }

    /// Anything else.
    pub(crate) fn push(&mut self, output: Output) {
        self.close(false);
        self.queue.push_back(output);
    }

    /// A few bytes that belong to no stream.
    pub(crate) fn piece(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        self.close(false);
        write(&mut self.scratch);
        self.scratch.split().freeze()
    }

    /// The next order.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        if self.queue.is_empty() {
            self.close(false);
        }
        self.queue.pop_front()
    }

    /// Forgets everything that was not polled, and gives back the room.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is being written is complete.
    fn close(&mut self, fin: bool) {
        if let Some(stream) = self.open.take() {
            let data = self.scratch.split().freeze();
            if !data.is_empty() || fin {
                self.queue.push_back(Output::Write { stream, data, fin });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox) -> Vec<Output> {
        std::iter::from_fn(|| outbox.poll()).collect()
    }

    fn write(stream: u64, data: &'static [u8], fin: bool) -> Output {
        Output::Write { stream: StreamId::from_u64(stream), data: Bytes::from_static(data), fin }
    }

    #[test]
    fn headers_of_one_stream_are_put_together_and_stay_in_order() {
        let mut outbox = Outbox::default();
        let [one, two] = [0, 4].map(StreamId::from_u64);
        outbox.room(one).extend_from_slice(b"head");
        outbox.room(one).extend_from_slice(b"+");
        outbox.write(one, Bytes::from_static(b"payload"), false);
        outbox.room(one).extend_from_slice(b"more");
        outbox.room(two).extend_from_slice(b"other");
        outbox.finish(one);
        outbox.finish(two);
        outbox.room(two);
        let expected = [
            write(0, b"head+", false),
            write(0, b"payload", false),
            write(0, b"more", false),
            write(4, b"other", false),
            write(0, b"", true),
            write(4, b"", true),
        ];
        assert_eq!(drain(&mut outbox), expected);
    }

    #[test]
    fn an_end_goes_with_the_bytes_before_it() {
        let mut outbox = Outbox::default();
        let one = StreamId::from_u64(0);
        outbox.room(one).extend_from_slice(b"head");
        outbox.finish(one);
        outbox.write(one, Bytes::from_static(b"x"), true);
        outbox.write(one, Bytes::from_static(b"y"), false);
        outbox.write(one, Bytes::new(), true);
        outbox.write(one, Bytes::new(), false);
        assert_eq!(drain(&mut outbox), [write(0, b"head", true), write(0, b"x", true), write(0, b"y", true)]);
    }

    #[test]
    fn reports_of_one_stream_are_added_up() {
        let mut outbox = Outbox::default();
        let [one, two] = [0, 4].map(StreamId::from_u64);
        outbox.consumed(one, 1);
        outbox.consumed(one, 2);
        outbox.consumed(two, 0);
        outbox.consumed(two, 4);
        let expected = [Output::Consumed { stream: one, bytes: 3 }, Output::Consumed { stream: two, bytes: 4 }];
        assert_eq!(drain(&mut outbox), expected);
    }
}
