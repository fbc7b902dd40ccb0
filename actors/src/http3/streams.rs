//! The transport's streams of an HTTP/3 connection, as its actor holds them.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use codec::StreamId;
use tokio::task::AbortHandle;

use super::port::Held;
use crate::api::recv_stream::RecvStream;
use crate::api::send_stream::SendStream;
use crate::port::{ReceiveEnd, SendEnd, WriteRefusal};

/// All of them.
pub(super) type Streams = HashMap<StreamId, Stream, foldhash::fast::FixedState>;

/// One of them.
#[derive(Debug)]
pub(super) struct Stream {
    waker: Waker,
    receive: Option<RecvStream>,
    send: Option<SendStream>,
    /// What the machine wrote and the stream has no room for. Bounded by what the machine writes ahead.
    unsent: VecDeque<(Bytes, bool)>,
    /// All that comes has come.
    ended: bool,
    pub(super) exchange: Option<Held>,
    /// The service that answers.
    pub(super) task: Option<AbortHandle>,
}

/// What was read of a stream.
pub(super) enum Read {
    Data(Bytes),
    End,
    Reset(u64),
}

/// How writing to a stream went.
#[derive(Default)]
pub(super) struct Wrote {
    /// Bytes that the stream took.
    pub(super) bytes: u64,
    /// The peer does not want any more.
    pub(super) stopped: Option<u64>,
}

impl Stream {
    pub(super) fn new(waker: Waker, send: Option<SendStream>, receive: Option<RecvStream>) -> Self {
        Self { waker, receive, send, unsent: VecDeque::new(), ended: false, exchange: None, task: None }
    }

    /// The next thing that came, if anything did. Whoever rings when more comes is set up.
    pub(super) fn read(&mut self) -> Option<Read> {
        let receive = self.receive.as_ref()?;
        let Poll::Ready(result) = receive.poll_take(&mut Context::from_waker(&self.waker)) else { return None };
        match result {
            Ok(Some(data)) => Some(Read::Data(data)),
            Ok(None) => {
                // The handle stays until all credit was given back.
                (!std::mem::replace(&mut self.ended, true)).then_some(Read::End)
            }
            Err(ReceiveEnd::Reset(code)) => {
                self.receive = None;
                Some(Read::Reset(code))
            }
            // Lost: the connection says so itself. Stopped: by us.
            Err(ReceiveEnd::Lost(_) | ReceiveEnd::Stopped | ReceiveEnd::Finished) => {
                self.receive = None;
                None
            }
        }
    }

    /// The peer said that it does not want what is sent here. Whoever rings when it does is set up.
    pub(super) fn stopped(&mut self) -> Option<u64> {
        let send = self.send.as_ref()?;
        match send.poll_end(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(SendEnd::Stopped(code)) => {
                self.drop_send();
                Some(code)
            }
            Poll::Ready(_) => {
                self.drop_send();
                None
            }
            Poll::Pending => None,
        }
    }

    fn drop_send(&mut self) {
        self.send = None;
        self.unsent.clear();
    }

    /// These bytes follow.
    pub(super) fn write(&mut self, data: Bytes, fin: bool) {
        self.unsent.push_back((data, fin));
    }

    /// Gives the stream what it has room for.
    pub(super) fn flush(&mut self) -> Wrote {
        let mut wrote = Wrote::default();
        while let Some((data, fin)) = self.unsent.pop_front() {
            let Some(send) = &mut self.send else { continue };
            let length = data.len() as u64;
            let mut data = Some(data);
            match send.poll_give(&mut Context::from_waker(&self.waker), &mut data) {
                Poll::Ready(Ok(())) => {
                    wrote.bytes += length;
                    if fin {
                        drop(send.finish());
                        self.send = None;
                    }
                }
                Poll::Ready(Err(refusal)) => {
                    if let WriteRefusal::End(SendEnd::Stopped(code)) = refusal {
                        wrote.stopped = Some(code);
                    }
                    self.drop_send();
                }
                Poll::Pending => {
                    self.unsent.push_front((data.unwrap_or_default(), fin));
                    return wrote;
                }
            }
        }
        wrote
    }

    /// It is needed to understand the others: it goes before them.
    pub(super) fn put_before_all(&self) {
        if let Some(send) = &self.send {
            send.put_before_all();
        }
    }

    /// How urgent it is from now on. Whether there is a handle left to say it with.
    pub(super) fn set_priority(&self, priority: http3::Priority) -> bool {
        let Some(send) = &self.send else { return false };
        // Over already: then there is nothing to send.
        let _over = send.set_priority(priority.urgency(), priority.is_incremental());
        true
    }

    pub(super) fn reset(&mut self, code: u64) {
        if let Some(send) = &mut self.send {
            // Over already: then there is nothing to reset.
            let _over = send.reset(code);
        }
        self.drop_send();
    }

    pub(super) fn stop(&mut self, code: u64) {
        if let Some(mut receive) = self.receive.take() {
            receive.stop(code);
        }
    }

    pub(super) fn consume(&mut self, bytes: u64) {
        if let Some(receive) = &self.receive {
            receive.consume(bytes);
        }
    }

    /// Whether both halves are over, and the application has all of what came.
    pub(super) fn is_over(&self) -> bool {
        self.send.is_none()
            && (self.ended || self.receive.is_none())
            && self.exchange.as_ref().is_none_or(|Held(exchange)| exchange.is_over())
    }
}
