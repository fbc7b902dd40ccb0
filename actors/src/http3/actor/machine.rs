//! From the machine: what it wants done, and what it tells.

use std::sync::Arc;

use codec::StreamId;
use http3::{Code, Event, Output};

use super::{State, index};
use crate::clock;
use crate::http3::bell::Source;
use crate::http3::error::Error;
use crate::http3::port::{ExchangePort, Held, Piece};
use crate::http3::server;
use crate::http3::streams::Stream;

impl State {
    /// Carries out what the machine wants, and tells what it says.
    pub(super) fn drain(&mut self) {
        loop {
            if let Some(event) = self.machine.poll_event() {
                self.on_event(event);
            } else if let Some(output) = self.machine.poll_output() {
                self.on_output(output);
            } else {
                return;
            }
        }
    }

    pub(super) fn on_output(&mut self, output: Output) {
        match output {
            Output::Open(opening) => {
                let direction = opening.direction();
                self.openings[index(direction)].push_back(opening);
                self.open(direction);
            }
            Output::Write { stream, data, fin } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.write(data, fin);
                    self.flush(stream);
                }
            }
            Output::Reset { stream, code } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.reset(code.0);
                }
                self.free_if_over(stream);
            }
            Output::Stop { stream, code } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.stop(code.0);
                }
                self.free_if_over(stream);
            }
            Output::Consumed { stream, bytes } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.consume(bytes);
                }
                self.free_if_over(stream);
            }
            Output::Datagram { prefix, payload } => {
                let datagram = [&prefix[..], &payload[..]].concat();
                // It may be too large, or the connection is over.
                let sent = self.connection.send_datagram(datagram.into());
                self.count.on_datagrams_dropped(u64::from(sent.is_err()));
            }
            Output::Close { code, reason } => self.connection.close(code.0, reason.as_bytes()),
        }
    }

    pub(super) fn flush(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let wrote = stream.flush();
        let now = clock::now();
        if wrote.bytes > 0 {
            self.machine.handle_sent(now, id, wrote.bytes);
        }
        match wrote.stopped {
            Some(code) => self.machine.handle_stop_sending(now, id, code),
            None => self.free_if_over(id),
        }
    }

    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Request { stream, head, priority } => self.on_request(stream, *head, priority),
            Event::RequestOpened { key, stream } => {
                if let Some(port) = self.requests.remove(&key) {
                    let waits = port.0.begin(stream);
                    if let Some(held) = self.streams.get_mut(&stream) {
                        held.exchange = Some(port);
                    }
                    if waits {
                        self.bell.ring(Source::Exchange(stream));
                    }
                }
            }
            Event::RequestFailed { key, reason } => {
                if let Some(Held(port)) = &self.requests.remove(&key) {
                    let error = Error::from(reason);
                    port.end_send(error.clone());
                    port.end(Err(error));
                }
            }
            Event::Informational { stream, head } => self.with_port(stream, |port| port.give_head(*head, true)),
            Event::Response { stream, head } => self.with_port(stream, |port| port.give_head(*head, false)),
            Event::Data { stream, data } => {
                let unwanted = match self.port(stream) {
                    Some(port) => port.give(Piece::Data(data)),
                    None => data.len() as u64,
                };
                if unwanted > 0 {
                    self.machine.data_consumed(clock::now(), stream, unwanted);
                }
            }
            Event::Trailers { stream, trailers } => {
                self.with_port(stream, |port| _ = port.give(Piece::Trailers(*trailers)));
            }
            Event::Finished { stream } => {
                self.with_port(stream, |port| port.end(Ok(())));
                self.free_if_over(stream);
            }
            Event::SendStopped { stream, code } => {
                self.with_port(stream, |port| port.end_send(Error::Stopped(code)));
                self.free_if_over(stream);
            }
            Event::Writable { stream } => {
                if let Some(port) = self.port(stream).cloned() {
                    self.send(stream, &port);
                }
            }
            Event::Ended { stream, reason } => self.forget(stream, &Error::from(reason)),
            Event::Datagram { stream, payload } => {
                let dropped = self.port(stream).is_none_or(|port| port.give_datagram(payload));
                self.count.on_datagrams_dropped(u64::from(dropped));
            }
            Event::PriorityChanged { stream, priority } => self.set_priority(stream, priority),
            Event::Settings(settings) => self.shared.on_settings(settings),
            Event::Goaway { .. } => self.shared.on_goaway(),
            Event::Drained => self.machine.close(Code::H3_NO_ERROR, ""),
            Event::Closed(error) => self.fail_all(&Error::Protocol(error)),
        }
    }

    pub(super) fn on_request(&mut self, stream: StreamId, head: http::Request<()>, priority: http3::Priority) {
        let Some(dispatch) = &self.dispatch else { return };
        let port = ExchangePort::new(self.bell.clone(), Some(stream));
        let mut request = server::with_body(head, &port);
        request.extensions_mut().insert(priority);
        let task = dispatch(request, port.clone());
        if let Some(held) = self.streams.get_mut(&stream) {
            held.set_priority(priority);
            held.exchange = Some(Held(port));
            held.task = Some(task);
        }
    }

    /// A response is wanted sooner or later than was said.
    pub(super) fn set_priority(&self, stream: StreamId, priority: http3::Priority) {
        let is_held = self.streams.get(&stream).is_some_and(|held| held.set_priority(priority));
        if !is_held {
            // All of it was written, and some of it may wait.
            self.connection.set_stream_priority(stream, priority.urgency(), priority.is_incremental());
        }
    }

    pub(super) fn port(&self, stream: StreamId) -> Option<&Arc<ExchangePort>> {
        self.streams.get(&stream)?.exchange.as_ref().map(|Held(port)| port)
    }

    pub(super) fn with_port(&self, stream: StreamId, work: impl FnOnce(&ExchangePort)) {
        if let Some(port) = self.port(stream) {
            work(port);
        }
    }

    pub(super) fn free_if_over(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(Stream::is_over) {
            self.streams.remove(&id);
        }
    }

    /// An exchange is over before its end. What the machine still has to say of its stream, it says.
    pub(super) fn forget(&mut self, id: StreamId, error: &Error) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(task) = stream.task.take() {
            task.abort();
        }
        if let Some(Held(port)) = &stream.exchange.take() {
            port.end_send(error.clone());
            port.end(Err(error.clone()));
        }
        self.free_if_over(id);
    }

    pub(super) fn fail_all(&mut self, error: &Error) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            self.forget(id, error);
        }
        let requests = std::mem::take(&mut self.requests);
        requests.into_values().for_each(|held| {
            held.0.end_send(error.clone());
            held.0.end(Err(error.clone()));
        });
    }
}
