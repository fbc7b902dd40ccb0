//! [`StreamPort`]: the two queues of one stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use actix::Recipient;
use bytes::Bytes;
use codec::StreamId;
use parking_lot::Mutex;
use transport::output::CloseReason;
use transport::stream::Priority;

use super::connection::ConnectionPort;
use crate::stream::messages::StreamWork;

/// Bytes that an application may have written to a stream before its writes wait.
pub(crate) const WRITE_BUFFER: usize = 256 * 1024;

/// How the receiving half came to its end.
#[derive(Clone, Debug)]
pub(crate) enum ReceiveEnd {
    /// All bytes were there.
    Finished,
    /// The peer reset it with this code.
    Reset(u64),
    /// We stopped it.
    Stopped,
    /// The connection ended first.
    Lost(CloseReason),
}

/// How the sending half came to its end.
#[derive(Clone, Debug)]
pub(crate) enum SendEnd {
    /// The peer has everything, the end included; or knows of the reset.
    Acknowledged,
    /// The peer does not want any more, and gave this code.
    Stopped(u64),
    /// The connection ended first.
    Lost(CloseReason),
}

/// What an application wants of a stream since the actor last asked.
#[derive(Debug, Default)]
pub(crate) struct StreamWishes {
    /// Bytes that were taken: credit for the peer.
    pub(crate) consumed: u64,
    /// The receiving half's handle is gone, or it asked to stop with this code.
    pub(crate) stop: Option<u64>,
    /// The sending half is to be reset with this code.
    pub(crate) reset: Option<u64>,
    /// Nothing follows what was written.
    pub(crate) finish: bool,
    /// The application has seen the receiving half's end.
    pub(crate) released: bool,
    /// The stream is to have an actor of its own.
    pub(crate) isolate: bool,
    /// Before what is written, its priority is to change.
    pub(crate) priority: Option<Priority>,
    /// Writes that found no room and wait.
    pub(crate) waits: u64,
}

/// One stream between application and actor.
#[derive(Debug)]
pub(crate) struct StreamPort {
    id: StreamId,
    connection: Arc<ConnectionPort>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    incoming: VecDeque<Bytes>,
    receive_end: Option<ReceiveEnd>,
    /// The end was seen, and the actor was told.
    released: bool,
    /// Bytes that were taken and stay charged to the peer.
    held: u64,
    reader: Option<Waker>,
    outgoing: VecDeque<Bytes>,
    outgoing_bytes: usize,
    /// The application wrote something, or said that nothing follows.
    written: bool,
    /// The application finished or reset the sending half.
    ended: bool,
    send_end: Option<SendEnd>,
    writer: Option<Waker>,
    /// Who waits for the sending half's end.
    waiting: Vec<Waker>,
    wishes: StreamWishes,
    /// The end was wished for, but not everything before it was taken.
    finishing: bool,
    /// Whether the stream stands in the connection's list of work.
    listed: bool,
    /// A promoted stream's own actor.
    actor: Option<Arc<Recipient<StreamWork>>>,
    /// Whether the actor, of the stream or of all of them, has been told of work here.
    told: bool,
}

impl State {
    /// Whether the end follows what was taken, and who waits for the room that was made.
    fn take_written(&mut self, room: usize, written: &mut Vec<Bytes>) -> (bool, Option<Waker>) {
        let mut taken = 0;
        while taken < room
            && let Some(data) = self.outgoing.pop_front()
        {
            taken += data.len();
            self.outgoing_bytes -= data.len();
            written.push(data);
        }
        let finished = self.finishing && self.outgoing.is_empty();
        self.finishing &= !finished;
        let writer = if self.outgoing_bytes < WRITE_BUFFER { self.writer.take() } else { None };
        (finished, writer)
    }
}

/// Why nothing could be written.
#[derive(Clone, Debug)]
pub(crate) enum WriteRefusal {
    /// The application itself finished or reset the stream.
    Ended,
    /// The peer stopped it, or the connection ended.
    End(SendEnd),
}

impl StreamPort {
    pub(crate) fn new(id: StreamId, connection: Arc<ConnectionPort>) -> Self {
        Self { id, connection, state: Mutex::default() }
    }

    pub(crate) const fn id(&self) -> StreamId {
        self.id
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionPort> {
        &self.connection
    }

    // ── The application's side ───────────────────────────────────────────────────────────────────────────────────

    /// Takes the next bytes, at most `maximum`. `Ok(None)` is the end.
    pub(crate) fn poll_read(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        maximum: usize,
    ) -> Poll<Result<Option<Bytes>, ReceiveEnd>> {
        let mut state = self.state.lock();
        let Some(chunk) = state.incoming.front_mut() else {
            return match &state.receive_end {
                None => {
                    state.reader = Some(context.waker().clone());
                    if state.actor.is_some() && state.wishes.consumed > 0 {
                        // Many such streams could together keep the connection's window to themselves, a little each.
                        self.tell(state, true, 0);
                    }
                    Poll::Pending
                }
                Some(ReceiveEnd::Finished) => {
                    if !std::mem::replace(&mut state.released, true) {
                        state.wishes.released = true;
                        self.tell(state, true, 0);
                    }
                    Poll::Ready(Ok(None))
                }
                Some(end) => Poll::Ready(Err(end.clone())),
            };
        };
        let data = if chunk.len() > maximum {
            chunk.split_to(maximum)
        } else {
            // The front is there: it was just looked at.
            state.incoming.pop_front().unwrap_or_default()
        };
        let bytes = data.len() as u64;
        state.wishes.consumed += bytes;
        // The end is known when its last bytes are taken: it goes along with their credit.
        let over = state.incoming.is_empty() && matches!(state.receive_end, Some(ReceiveEnd::Finished));
        if over {
            state.released = true;
            state.wishes.released = true;
        }
        self.tell(state, over, bytes);
        Poll::Ready(Ok(Some(data)))
    }

    /// Takes the next piece, which stays charged to the peer until [`Self::consume`]. `Ok(None)` is the end.
    pub(crate) fn poll_take(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ReceiveEnd>> {
        let mut state = self.state.lock();
        if let Some(data) = state.incoming.pop_front() {
            state.held += data.len() as u64;
            return Poll::Ready(Ok(Some(data)));
        }
        match &state.receive_end {
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Some(ReceiveEnd::Finished) => {
                // What is still held is consumed later, and with the last of it the stream is let go.
                if state.held == 0 && !std::mem::replace(&mut state.released, true) {
                    state.wishes.released = true;
                    self.tell(state, true, 0);
                }
                Poll::Ready(Ok(None))
            }
            Some(end) => Poll::Ready(Err(end.clone())),
        }
    }

    /// Bytes that were taken are held no longer.
    pub(crate) fn consume(self: &Arc<Self>, bytes: u64) {
        let mut state = self.state.lock();
        let bytes = bytes.min(state.held);
        state.held -= bytes;
        if state.released {
            // Stopped: they were given back then.
            return;
        }
        state.wishes.consumed += bytes;
        let over =
            state.held == 0 && state.incoming.is_empty() && matches!(state.receive_end, Some(ReceiveEnd::Finished));
        if over {
            state.released = true;
            state.wishes.released = true;
        }
        self.tell(state, over, bytes);
    }

    /// Gives bytes to send, whole, if there is any room.
    pub(crate) fn poll_write(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        data: &mut Option<Bytes>,
    ) -> Poll<Result<(), WriteRefusal>> {
        let mut state = self.state.lock();
        if let Some(end) = &state.send_end {
            return Poll::Ready(Err(WriteRefusal::End(end.clone())));
        }
        if state.ended {
            return Poll::Ready(Err(WriteRefusal::Ended));
        }
        if state.outgoing_bytes >= WRITE_BUFFER {
            if state.writer.replace(context.waker().clone()).is_none() {
                state.wishes.waits += 1;
            }
            return Poll::Pending;
        }
        if let Some(data) = data.take()
            && !data.is_empty()
        {
            state.written = true;
            state.outgoing_bytes += data.len();
            state.outgoing.push_back(data);
            self.tell(state, true, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Room for bytes before a write waits.
    pub(crate) fn write_room(&self) -> usize {
        WRITE_BUFFER.saturating_sub(self.state.lock().outgoing_bytes)
    }

    /// Says that nothing follows. Fails if the sending half is over already.
    pub(crate) fn finish(self: &Arc<Self>) -> Result<(), WriteRefusal> {
        let mut state = self.state.lock();
        if let Some(end @ (SendEnd::Stopped(_) | SendEnd::Lost(_))) = &state.send_end {
            return Err(WriteRefusal::End(end.clone()));
        }
        if state.ended {
            return Err(WriteRefusal::Ended);
        }
        state.ended = true;
        state.written = true;
        state.wishes.finish = true;
        self.tell(state, true, 0);
        Ok(())
    }

    /// What was written and not sent, and all that follows, is sent in this order. Fails if the sending half is over.
    pub(crate) fn set_priority(self: &Arc<Self>, priority: Priority) -> Result<(), WriteRefusal> {
        let mut state = self.state.lock();
        if let Some(end) = &state.send_end {
            return Err(WriteRefusal::End(end.clone()));
        }
        state.wishes.priority = Some(priority);
        // Before there is anything to send it changes nothing: then it goes along with the first bytes.
        if state.written {
            self.tell(state, true, 0);
        }
        Ok(())
    }

    /// Abandons the sending half.
    pub(crate) fn reset(self: &Arc<Self>, code: u64) -> Result<(), WriteRefusal> {
        let mut state = self.state.lock();
        if let Some(end) = &state.send_end {
            return Err(WriteRefusal::End(end.clone()));
        }
        state.ended = true;
        state.outgoing.clear();
        state.outgoing_bytes = 0;
        state.wishes.finish = false;
        state.wishes.reset = Some(code);
        self.tell(state, true, 0);
        Ok(())
    }

    /// The stream is to have an actor of its own.
    pub(crate) fn isolate(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.actor.is_none() {
            state.wishes.isolate = true;
            self.tell(state, true, 0);
        }
    }

    /// The sending half's end, once there is one.
    pub(crate) fn poll_send_end(&self, context: &mut Context<'_>) -> Poll<SendEnd> {
        let mut state = self.state.lock();
        if let Some(end) = &state.send_end {
            return Poll::Ready(end.clone());
        }
        let waker = context.waker();
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Poll::Pending
    }

    /// The application no longer wants the receiving half.
    pub(crate) fn stop(self: &Arc<Self>, code: u64) {
        let mut state = self.state.lock();
        let known = matches!(state.receive_end, Some(ReceiveEnd::Stopped | ReceiveEnd::Reset(_) | ReceiveEnd::Lost(_)));
        if known || state.released {
            return;
        }
        let unread: usize = state.incoming.drain(..).map(|chunk| chunk.len()).sum();
        let unread = unread as u64 + std::mem::take(&mut state.held);
        state.wishes.consumed += unread;
        if state.receive_end.is_none() {
            state.wishes.stop = Some(code);
            state.receive_end = Some(ReceiveEnd::Stopped);
        }
        state.released = true;
        state.wishes.released = true;
        self.tell(state, true, unread);
    }

    /// The sending handle is gone: what was written but not finished is cut off (RFC 9000 §3.1 has no other way).
    pub(crate) fn drop_send(self: &Arc<Self>) {
        let ended = self.state.lock().ended;
        if !ended {
            let _over_already = self.reset(0);
        }
    }

    /// Lists the stream as having work, and tells the actor if it should hear of it now.
    fn tell(self: &Arc<Self>, mut state: parking_lot::MutexGuard<'_, State>, urgent: bool, consumed: u64) {
        if let Some(actor) = &state.actor {
            // A stream with an actor of its own: credit may wait until there is enough of it.
            let enough = urgent || state.wishes.consumed >= self.connection.report_from();
            if enough && !state.told {
                let actor = actor.clone();
                state.told = true;
                drop(state);
                actor.do_send(StreamWork);
            }
            return;
        }
        if state.told {
            // It is listed, and the actor is about to look.
            return;
        }
        let list = !state.listed;
        state.listed = true;
        state.told = urgent;
        drop(state);
        self.connection.add_work(list.then(|| self.clone()), urgent, consumed);
    }

    // ── The actor's side ─────────────────────────────────────────────────────────────────────────────────────────

    /// The actor looks at the stream: what the application wants, and what it wrote, whole pieces until there is no `room`
    /// for more. It will be told of anything later again.
    pub(crate) fn take_work(&self, room: usize, written: &mut Vec<Bytes>) -> StreamWishes {
        let mut state = self.state.lock();
        state.listed = false;
        state.told = false;
        let mut wishes = std::mem::take(&mut state.wishes);
        state.finishing |= wishes.finish;
        let writer;
        (wishes.finish, writer) = state.take_written(room, written);
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        wishes
    }

    /// The next pieces that the application wrote, likewise. Says, once, when they are the last ones.
    pub(crate) fn take_written(&self, room: usize, written: &mut Vec<Bytes>) -> bool {
        let (finished, writer) = self.state.lock().take_written(room, written);
        if let Some(writer) = writer {
            writer.wake();
        }
        finished
    }

    /// Gives received bytes to the application, and the end if it is known.
    pub(crate) fn deliver(&self, chunks: &mut Vec<Bytes>, end: Option<ReceiveEnd>) {
        let mut state = self.state.lock();
        if matches!(state.receive_end, Some(ReceiveEnd::Stopped)) {
            let unread: usize = chunks.drain(..).map(|chunk| chunk.len()).sum();
            state.wishes.consumed += unread as u64;
            return;
        }
        state.incoming.extend(chunks.drain(..));
        if let Some(end) = end {
            if matches!(end, ReceiveEnd::Reset(_)) {
                // RFC 9000 §3.2: what was not read may be dropped. Whoever tells of the reset releases the half.
                state.incoming.clear();
            }
            state.receive_end = Some(end);
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The sending half is over.
    pub(crate) fn end_send(&self, end: SendEnd) {
        let mut state = self.state.lock();
        if state.send_end.is_none() {
            state.send_end = Some(end);
        }
        state.outgoing.clear();
        state.outgoing_bytes = 0;
        let writer = state.writer.take();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for waker in writer.into_iter().chain(waiting) {
            waker.wake();
        }
    }

    /// The connection is over.
    pub(crate) fn lose(&self, reason: &CloseReason) {
        {
            let mut state = self.state.lock();
            if state.receive_end.is_none() {
                state.receive_end = Some(ReceiveEnd::Lost(reason.clone()));
            }
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        self.end_send(SendEnd::Lost(reason.clone()));
    }

    /// From now on the stream's work goes to its own actor.
    pub(crate) fn move_to(&self, actor: Recipient<StreamWork>) {
        let mut state = self.state.lock();
        // Whatever was wished meanwhile is looked at when the actor starts.
        state.told = true;
        state.listed = false;
        state.actor = Some(Arc::new(actor));
    }
}
