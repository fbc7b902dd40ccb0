//! From the application: what it does with its exchanges, requests, and the end it wishes.

use std::sync::Arc;

use codec::StreamId;

use super::State;
use crate::clock;
use crate::http3::error::Error;
use crate::http3::handle::{Asked, Order};
use crate::http3::port::{ExchangePort, Held, Part};

impl State {
    pub(super) fn on_exchange(&mut self, id: StreamId) {
        let Some(port) = self.port(id).cloned() else { return };
        let wishes = port.take_wishes();
        if wishes.consumed > 0 {
            self.machine.data_consumed(clock::now(), id, wishes.consumed);
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
        self.count.on_datagrams_dropped(wishes.datagrams_dropped);
        for payload in wishes.datagrams {
            // What is not accepted by the peer, or of no use any more, is dropped; the machine counts it.
            let _dropped = self.machine.send_datagram(id, payload);
        }
        self.send(id, &port);
    }

    /// Gives the machine what it has room for.
    pub(super) fn send(&mut self, id: StreamId, port: &Arc<ExchangePort>) {
        let now = clock::now();
        while let Some(part) = port.next_part() {
            let sent = match part {
                Part::Interim(head) => {
                    // It is only a hint: the response goes on without it.
                    let _not_sent = self.machine.send_informational(now, id, &head);
                    Ok(())
                }
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
                Part::Abort => {
                    self.machine.abort(id);
                    port.end_send(Error::Cancelled);
                    return;
                }
            };
            if let Err(error) = sent {
                tracing::debug!(%error, stream = id.as_u64(), "the rest of a message is not sent");
                self.machine.conclude(now, id, error);
                port.end_send(error.into());
                return;
            }
        }
    }

    /// Makes the requests that the machine takes, and then does what overtakes the others.
    pub(super) fn on_wishes(&mut self) {
        while self.machine.may_request()
            && let Some(request) = self.shared.next_request()
        {
            self.request(request);
            self.drain();
        }
        self.held_back = !self.machine.may_request();
        while let Some(order) = self.shared.next_order() {
            match order {
                Order::AnnounceGoaway => self.machine.announce_goaway(),
                Order::Goaway => {
                    self.shared.refuse_waiting();
                    self.machine.goaway();
                }
                #[cfg(feature = "fault-injection")]
                Order::Panic => panic!("injected"),
            }
            self.drain();
        }
    }

    fn request(&mut self, Asked { head, end, port, place }: Asked) {
        match self.machine.request(*head, end) {
            Ok(key) => _ = self.requests.insert(key, Held(port)),
            Err(error) => {
                let error = Error::from(error);
                port.end_send(error.clone());
                port.end(Err(error));
            }
        }
        drop(place);
    }
}
