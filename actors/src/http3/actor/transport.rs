//! From the transport: streams, their bytes and ends, datagrams, the end of the connection.

use std::task::{Context as TaskContext, Poll};

use codec::{Direction, StreamId};

use super::{State, index};
use crate::api::recv_stream::RecvStream;
use crate::api::send_stream::SendStream;
use crate::clock;
use crate::http3::bell::Source;
use crate::http3::error::Error;
use crate::http3::streams::{Read, Stream};

impl State {
    pub(super) fn accept(&mut self, direction: Direction) {
        loop {
            let mut context = TaskContext::from_waker(&self.wakers.accept[index(direction)]);
            let Poll::Ready(Ok(port)) = self.connection.poll_accept(&mut context, direction) else { return };
            let id = port.id();
            let send = (direction == Direction::Bidirectional).then(|| SendStream::new(port.clone()));
            let stream = Stream::new(self.bell.waker(Source::Stream(id)), send, Some(RecvStream::new(port)));
            self.streams.insert(id, stream);
            self.machine.handle_stream_opened(clock::now(), id);
            self.on_stream(id);
            self.drain();
        }
    }

    pub(super) fn open(&mut self, direction: Direction) {
        while !self.openings[index(direction)].is_empty() {
            let mut context = TaskContext::from_waker(&self.wakers.open[index(direction)]);
            let Poll::Ready(Ok(port)) = self.connection.poll_open(&mut context, direction) else { return };
            let Some(opening) = self.openings[index(direction)].pop_front() else { return };
            let id = port.id();
            let receive = (direction == Direction::Bidirectional).then(|| RecvStream::new(port.clone()));
            let stream = Stream::new(self.bell.waker(Source::Stream(id)), Some(SendStream::new(port)), receive);
            if opening.goes_first() {
                stream.put_before_all();
            }
            self.streams.insert(id, stream);
            self.machine.handle_opened(clock::now(), opening, id);
            // Nothing has come yet: whoever rings when it does is set up.
            self.on_stream(id);
        }
    }

    pub(super) fn on_stream(&mut self, id: StreamId) {
        let now = clock::now();
        while let Some(read) = self.streams.get_mut(&id).and_then(Stream::read) {
            match read {
                Read::Data(data) => self.machine.handle_data(now, id, data, false),
                Read::End => {
                    self.machine.handle_data(now, id, bytes::Bytes::new(), true);
                    break;
                }
                Read::Reset(code) => {
                    self.machine.handle_reset(now, id, code);
                    break;
                }
            }
        }
        match self.streams.get_mut(&id).and_then(Stream::stopped) {
            // What comes of it, the machine says: until then the exchange is known.
            Some(code) => self.machine.handle_stop_sending(now, id, code),
            None => self.flush(id),
        }
    }

    pub(super) fn read_datagrams(&mut self) {
        loop {
            let mut context = TaskContext::from_waker(&self.wakers.datagrams);
            let Poll::Ready(Ok(datagram)) = self.connection.poll_datagram(&mut context) else { return };
            self.machine.handle_datagram(clock::now(), datagram);
        }
    }

    pub(super) fn on_closed(&mut self) {
        let Poll::Ready(reason) = self.connection.poll_closed(&mut TaskContext::from_waker(&self.wakers.closed)) else {
            return;
        };
        self.machine.handle_closed();
        self.fail_all(&Error::Connection(reason));
        self.over = true;
    }
}
