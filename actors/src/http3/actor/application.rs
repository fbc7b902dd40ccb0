//! From the application: what it does with its exchanges, requests, and the end it wishes.

use std::sync::Arc;

use codec::StreamId;
use http3::Code;
use http3::connection::SendError;

use super::State;
use crate::clock;
use crate::http3::error::Error;
use crate::http3::handle::Wish;
use crate::http3::port::{ExchangePort, Held, Part};

impl State {
    pub(super) fn on_exchange(&mut self, id: StreamId) {
        let Some(port) = self.port(id).cloned() else { return };
        let wishes = port.take_wishes();
        if wishes.consumed > 0 {
            self.machine.data_consumed(id, wishes.consumed);
        }
        if wishes.cancel {
            self.machine.cancel(id);
            self.forget(id, &Error::Cancelled);
            return;
        }
        if wishes.stop {
            self.machine.stop_reading(id);
        }
        if let Some(priority) = wishes.priority {
            // Over meanwhile: then there is nothing to hurry.
            let _over = self.machine.priority_update(id, priority);
        }
        for payload in wishes.datagrams {
            // It may be dropped: too large, or not accepted by the peer.
            let _dropped = self.machine.send_datagram(id, payload);
        }
        self.send(id, &port);
    }

    /// Gives the machine what it has room for.
    pub(super) fn send(&mut self, id: StreamId, port: &Arc<ExchangePort>) {
        let now = clock::now();
        while let Some(part) = port.next_part() {
            let sent = match part {
                Part::Interim(head) => self.machine.send_informational(now, id, &head),
                Part::Head(head, end) => self.machine.send_response(now, id, &head, end),
                Part::Data(mut data) => {
                    let sent = self.machine.send_data(now, id, &mut data, false);
                    if sent.is_ok() && !data.is_empty() {
                        port.put_back(data);
                        return;
                    }
                    sent
                }
                Part::Trailers(trailers) => self.machine.send_trailers(now, id, &trailers),
                Part::End => self.machine.finish(now, id),
                Part::Reset(code) => {
                    self.machine.reset(id, code);
                    port.end_send(Error::Cancelled);
                    return;
                }
            };
            match sent {
                Ok(()) => {}
                // A response to HEAD, say: the head is the whole of it.
                Err(SendError::NoContent) => {
                    let _finished = self.machine.finish(now, id);
                    port.end_send(Error::Unsendable("this response has no content"));
                    return;
                }
                Err(SendError::Gone | SendError::Finished) => {
                    port.end_send(Error::Cancelled);
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, stream = id.as_u64(), "a message cannot be sent");
                    self.machine.reset(id, Code::H3_INTERNAL_ERROR);
                    port.end_send(Error::Unsendable("the message breaks the rules of HTTP"));
                    return;
                }
            }
        }
    }

    pub(super) fn on_wishes(&mut self) {
        while let Some(wish) = self.shared.next_wish(self.machine.may_request()) {
            match wish {
                Wish::Request { head, end, port } => match self.machine.request(*head, end) {
                    Ok(key) => _ = self.requests.insert(key, Held(port)),
                    Err(error) => {
                        use http3::connection::RequestError;
                        let error = match error {
                            RequestError::GoingAway => Error::Unprocessed,
                            RequestError::Closed => Error::Cancelled,
                            RequestError::TooMany => Error::Unsendable("too many requests wait for a stream"),
                            RequestError::Head(_) => Error::Unsendable("the request breaks the rules of HTTP"),
                            RequestError::ContentLength => Error::Unsendable("Content-Length, and no content"),
                        };
                        port.end_send(error.clone());
                        port.end(Err(error));
                    }
                },
                Wish::AnnounceGoaway => self.machine.announce_goaway(),
                Wish::Goaway => self.machine.goaway(),
                #[cfg(feature = "fault-injection")]
                Wish::Panic => panic!("injected"),
            }
            self.drain();
        }
        self.held_back = !self.machine.may_request();
    }
}
