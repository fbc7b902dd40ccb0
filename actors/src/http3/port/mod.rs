//! [`ExchangePort`]: a request and its response, between the application and the connection's actor.
//!
//! As at the edge of a stream ([`crate::port`]): two bounded queues and the wakers of who waits. What is received stays
//! charged to the peer until the application takes it; what is to be sent waits here while there is no room.

mod actor;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use codec::StreamId;
use http::{HeaderMap, Response};
use http3::Priority;
use http3::limits::INTERIM_RESPONSES;
use http3::message::interim_lines;
use parking_lot::Mutex;

use super::bell::{Bell, Source};
use super::error::Error;

/// Bytes that may wait to be sent before their writer waits: two full batches of datagrams.
pub(crate) const WRITE_BUFFER: usize = 128 * 1024;
/// Datagrams of one request that wait to be read; the oldest goes when there are more.
pub(crate) const DATAGRAMS: usize = 64;

/// What the application sends, in order.
#[derive(Debug)]
pub(crate) enum Part {
    /// A head before the final one.
    Interim(Response<()>),
    /// The final head; whether nothing follows.
    Head(Response<()>, bool),
    /// Content.
    Data(Bytes),
    /// The end, with trailers.
    Trailers(HeaderMap),
    /// The end.
    End,
    /// No end: it failed.
    Abort,
}

/// What came of the peer's message after its head.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// What the application did since the actor last looked.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Content bytes that were taken.
    pub(crate) consumed: u64,
    /// The rest of the peer's message is not wanted.
    pub(crate) stop: bool,
    /// All of it is not wanted.
    pub(crate) cancel: bool,
    /// The response is wanted sooner or later than was said.
    pub(crate) priority: Option<Priority>,
    /// Datagrams to send.
    pub(crate) datagrams: VecDeque<Bytes>,
    /// How many had to go for them.
    pub(crate) datagrams_dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ExchangePort {
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Known once it has one.
    stream: Option<StreamId>,
    /// It stands on the bell's list.
    listed: bool,
    interim: VecDeque<Response<()>>,
    head: Option<Response<()>>,
    incoming: VecDeque<Piece>,
    incoming_bytes: usize,
    /// The peer's message is complete, or will not be.
    end: Option<Result<(), Error>>,
    reader: Option<Waker>,
    datagrams: VecDeque<Bytes>,
    datagram_reader: Option<Waker>,
    outgoing: VecDeque<Part>,
    outgoing_bytes: usize,
    /// Interim heads that were taken for sending.
    interim_sent: u8,
    /// The final head was.
    answered: bool,
    /// Nothing more is taken.
    send_over: Option<Error>,
    /// Somebody wants the bytes of a CONNECT request.
    upgrade_wanted: bool,
    /// Whether it became a stream of bytes, once it was answered.
    upgraded: Option<bool>,
    writer: Option<Waker>,
    wishes: Wishes,
}

/// The actor's hold on a port: when it is gone, whatever became of the actor, nobody waits in vain.
#[derive(Debug)]
pub(crate) struct Held(pub(crate) Arc<ExchangePort>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.end_send(Error::Cancelled);
        self.0.end(Err(Error::Cancelled));
    }
}

impl ExchangePort {
    pub(crate) fn new(bell: Arc<Bell>, stream: Option<StreamId>) -> Arc<Self> {
        Arc::new(Self { bell, state: Mutex::new(State { stream, ..State::default() }) })
    }

    /// Has the actor look here, if it knows the exchange already.
    fn tell(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        if let Some(stream) = state.stream
            && !std::mem::replace(&mut state.listed, true)
        {
            drop(state);
            self.bell.ring(Source::Exchange(stream));
        }
    }

    /// The next head before the final one, or the final one.
    pub(crate) fn poll_head(&self, context: &mut Context<'_>) -> Poll<Result<Response<()>, Error>> {
        let mut state = self.state.lock();
        if let Some(head) = state.interim.pop_front().or_else(|| state.head.take()) {
            return Poll::Ready(Ok(head));
        }
        match &state.end {
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            Some(Ok(())) => Poll::Ready(Err(Error::Cancelled)),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next piece of the peer's message; `None` is its end.
    pub(crate) fn poll_piece(&self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Error>>> {
        let mut state = self.state.lock();
        if let Some(piece) = state.incoming.pop_front() {
            if let Piece::Data(data) = &piece {
                state.incoming_bytes -= data.len();
                state.wishes.consumed += data.len() as u64;
                self.tell(state);
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether the peer's message is complete and all of it was taken.
    pub(crate) fn is_read(&self) -> bool {
        let state = self.state.lock();
        state.incoming.is_empty() && matches!(state.end, Some(Ok(())))
    }

    /// The rest of the peer's message is not wanted.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        let unread = std::mem::take(&mut state.incoming_bytes);
        state.incoming.clear();
        state.wishes.consumed += unread as u64;
        if state.end.is_none() {
            state.wishes.stop = true;
            state.end = Some(Err(Error::Cancelled));
        }
        if state.wishes.stop || unread > 0 {
            self.tell(state);
        }
    }

    /// The whole exchange is not wanted.
    pub(crate) fn cancel(&self) {
        let mut state = self.state.lock();
        state.wishes.cancel = true;
        self.tell(state);
    }

    /// The response is wanted sooner or later than was said.
    pub(crate) fn set_priority(&self, priority: Priority) {
        let mut state = self.state.lock();
        state.wishes.priority = Some(priority);
        self.tell(state);
    }

    /// Sends a part, as soon as there is room for content.
    pub(crate) fn poll_send(&self, context: &mut Context<'_>, part: &mut Option<Part>) -> Poll<Result<(), Error>> {
        let mut state = self.state.lock();
        if let Some(error) = &state.send_over {
            return Poll::Ready(Err(error.clone()));
        }
        if let Some(Part::Data(data)) = part {
            if state.outgoing_bytes >= WRITE_BUFFER {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            state.outgoing_bytes += data.len();
        }
        if let Some(part) = part.take() {
            state.outgoing.push_back(part);
            self.tell(state);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for room for content.
    pub(crate) fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.state.lock();
        if let Some(error) = &state.send_over {
            return Poll::Ready(Err(error.clone()));
        }
        if state.outgoing_bytes >= WRITE_BUFFER {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends content for which there was room.
    pub(crate) fn send_data(&self, data: Bytes) {
        let mut state = self.state.lock();
        if state.send_over.is_none() {
            state.outgoing_bytes += data.len();
            state.outgoing.push_back(Part::Data(data));
            self.tell(state);
        }
    }

    /// The bytes of this CONNECT request are wanted.
    pub(crate) fn want_upgrade(&self) {
        self.state.lock().upgrade_wanted = true;
    }

    /// A CONNECT request was answered: whether its bytes belong to who wanted them.
    pub(crate) fn answer_upgrade(&self, success: bool) -> bool {
        let mut state = self.state.lock();
        let upgraded = state.upgrade_wanted && success;
        state.upgraded = Some(upgraded);
        wake(state);
        upgraded
    }

    /// Waits until the request has become a stream of bytes.
    pub(crate) fn poll_upgrade(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.state.lock();
        match (state.upgraded, &state.end) {
            (Some(true), _) => Poll::Ready(Ok(())),
            (Some(false), _) => Poll::Ready(Err(Error::Unsendable("the request was not answered with 2xx"))),
            (None, Some(Err(error))) => Poll::Ready(Err(error.clone())),
            (None, _) => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Sends what needs no room.
    pub(crate) fn send(&self, part: Part) {
        let mut state = self.state.lock();
        if state.send_over.is_none() {
            state.answered |= matches!(part, Part::Head(..));
            state.outgoing.push_back(part);
            self.tell(state);
        }
    }

    /// Sends a head before the final one.
    ///
    /// # Errors
    /// If it is none, comes too late, or there were [`INTERIM_RESPONSES`] before it.
    pub(crate) fn send_interim(&self, head: Response<()>) -> Result<(), Error> {
        interim_lines(&head).map_err(|_| Error::Unsendable("an interim response has status 1xx, and not 101"))?;
        let mut state = self.state.lock();
        if let Some(error) = &state.send_over {
            return Err(error.clone());
        }
        if state.answered {
            return Err(Error::Unsendable("the request is answered already"));
        }
        if state.interim_sent == INTERIM_RESPONSES {
            return Err(Error::Unsendable("so many interim responses are too many"));
        }
        state.interim_sent += 1;
        state.outgoing.push_back(Part::Interim(head));
        self.tell(state);
        Ok(())
    }

    /// Sends a datagram; the oldest that waits goes when there are too many.
    pub(crate) fn send_datagram(&self, payload: Bytes) {
        let mut state = self.state.lock();
        if state.wishes.datagrams.len() >= DATAGRAMS {
            state.wishes.datagrams.pop_front();
            state.wishes.datagrams_dropped += 1;
        }
        state.wishes.datagrams.push_back(payload);
        self.tell(state);
    }

    /// The next received datagram; `None` once the exchange is over.
    pub(crate) fn poll_datagram(&self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state.lock();
        if let Some(datagram) = state.datagrams.pop_front() {
            return Poll::Ready(Some(datagram));
        }
        if state.end.is_some() {
            return Poll::Ready(None);
        }
        state.datagram_reader = Some(context.waker().clone());
        Poll::Pending
    }
}

fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_datagrams_wait_and_of_more_the_oldest_go_and_are_counted() {
        let port = ExchangePort::new(Arc::default(), None);
        let datagram = |number: usize| Bytes::from(number.to_string());
        for number in 0..DATAGRAMS {
            port.send_datagram(datagram(number));
            assert!(!port.give_datagram(datagram(number)));
        }
        assert_eq!(port.state.lock().wishes.datagrams_dropped, 0);
        port.send_datagram(datagram(DATAGRAMS));
        assert!(port.give_datagram(datagram(DATAGRAMS)));
        let wishes = port.take_wishes();
        assert_eq!((wishes.datagrams.len(), wishes.datagrams_dropped), (DATAGRAMS, 1));
        let expected: Vec<Bytes> = (1..=DATAGRAMS).map(datagram).collect();
        assert_eq!(Vec::from(wishes.datagrams), expected);
        assert_eq!(Vec::from(std::mem::take(&mut port.state.lock().datagrams)), expected);
    }

    #[test]
    fn so_many_interim_heads_are_taken_and_none_after_the_final_one() {
        let hint = || Response::builder().status(103).body(()).unwrap();
        let port = ExchangePort::new(Arc::default(), None);
        for _ in 0..INTERIM_RESPONSES {
            port.send_interim(hint()).unwrap();
        }
        assert!(matches!(port.send_interim(hint()), Err(Error::Unsendable(_))));
        assert_eq!(port.state.lock().outgoing.len(), usize::from(INTERIM_RESPONSES));
        let port = ExchangePort::new(Arc::default(), None);
        port.send(Part::Head(Response::new(()), true));
        assert!(matches!(port.send_interim(hint()), Err(Error::Unsendable(_))));
        let port = ExchangePort::new(Arc::default(), None);
        port.end_send(Error::Cancelled);
        assert!(matches!(port.send_interim(hint()), Err(Error::Cancelled)));
    }
}
