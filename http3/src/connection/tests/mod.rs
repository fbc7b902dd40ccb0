//! The machine alone against bytes written by hand, and two machines against each other.

mod control;
mod datagrams;
mod feedback;
mod load;
mod matrix;
mod messages;
mod orderings;
mod pair;
mod random;
mod refusals;
mod shutdown;
mod slow;
mod streams;
mod together;

use bytes::{Bytes, BytesMut};
use codec::{Direction, Side, StreamId, Time};

use super::*;
use crate::error::{Code, ConnectionError, StreamError};
use crate::frame::{FrameType, HeadersPlace, put_frame_header};
use crate::output::EndReason;
use crate::qpack::{Encoder, EncoderConfig, FieldRef};

/// A machine, and everything it wanted and told.
pub(super) struct Alone {
    pub(super) machine: Connection,
    pub(super) now: Time,
    pub(super) outputs: Vec<Output>,
    pub(super) events: Vec<Event>,
    /// Sections of the peer.
    encoder: Encoder,
}

pub(super) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")];
pub(super) const OK: [(&str, &str); 1] = [(":status", "200")];

/// The `index`-th unidirectional stream of this side.
pub(super) fn uni(side: Side, index: u64) -> StreamId {
    StreamId::new(side, Direction::Unidirectional, index)
}

/// The `index`-th request stream.
pub(super) fn bidi(index: u64) -> StreamId {
    StreamId::new(Side::Client, Direction::Bidirectional, index)
}

pub(super) fn frame(frame_type: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_frame_header(&mut out, FrameType(frame_type), payload.len() as u64);
    out.extend_from_slice(payload);
    out.to_vec()
}

pub(super) fn varint(number: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_varint(&mut out, number);
    out.to_vec()
}

/// Without elements that have no meaning, so that outputs can be compared.
pub(super) fn plain() -> Config {
    Config { grease: false, enable_connect_protocol: true, ..Config::default() }
}

impl Alone {
    /// With its own streams open, and the peer's control stream with empty SETTINGS.
    pub(super) fn new(side: Side) -> Self {
        let mut alone = Self::silent(side, plain());
        alone.control(&frame(0x04, &[]));
        alone.drain();
        alone.outputs.clear();
        alone.events.clear();
        alone
    }

    /// With its own streams open, and a peer that said nothing.
    pub(super) fn silent(side: Side, config: Config) -> Self {
        let machine = if side == Side::Client { Connection::client(config, 1) } else { Connection::server(config, 1) };
        let encoder = Encoder::new(EncoderConfig { max_table_capacity: 0, max_blocked_streams: 0 });
        let mut alone = Self { machine, now: Time::ZERO, outputs: Vec::new(), events: Vec::new(), encoder };
        for (index, opening) in [Opening::Control, Opening::QpackEncoder, Opening::QpackDecoder].into_iter().enumerate()
        {
            alone.machine.handle_opened(alone.now, opening, uni(side, index as u64));
        }
        alone.drain();
        alone.outputs.clear();
        alone
    }

    pub(super) fn side(&self) -> Side {
        self.machine.side()
    }

    pub(super) fn peer(&self) -> Side {
        self.machine.side().peer()
    }

    pub(super) fn drain(&mut self) {
        loop {
            let before = (self.outputs.len(), self.events.len());
            self.events.extend(std::iter::from_fn(|| self.machine.poll_event()));
            self.outputs.extend(std::iter::from_fn(|| self.machine.poll_output()));
            if before == (self.outputs.len(), self.events.len()) {
                return;
            }
        }
    }

    pub(super) fn feed(&mut self, stream: StreamId, bytes: &[u8], fin: bool) {
        self.machine.handle_data(self.now, stream, Bytes::copy_from_slice(bytes), fin);
        self.drain();
    }

    /// Bytes on the peer's control stream; the first of them with its type.
    pub(super) fn control(&mut self, bytes: &[u8]) {
        let stream = uni(self.peer(), 0);
        if self.machine.incoming.is_unknown(stream) {
            self.feed(stream, &varint(CONTROL), false);
        }
        self.feed(stream, bytes, false);
    }

    /// A HEADERS frame of the peer.
    pub(super) fn head(&mut self, lines: &[(&str, &str)]) -> Vec<u8> {
        let mut out = BytesMut::new();
        let place = HeadersPlace::begin(&mut out);
        let lines = lines.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
        self.encoder.encode(0, lines, &mut out);
        place.end(&mut out).unwrap();
        out.to_vec()
    }

    /// The request (at a server) or the response (at a client) with these lines on a request stream.
    pub(super) fn message(&mut self, index: u64, lines: &[(&str, &str)], fin: bool) {
        if self.side() == Side::Client && self.machine.exchanges.find(bidi(index)).is_none() {
            self.ask(index, http::Request::get("https://a.example/").body(()).unwrap());
        }
        let head = self.head(lines);
        self.feed(bidi(index), &head, fin);
    }

    /// A request of a client on this stream.
    pub(super) fn ask(&mut self, index: u64, head: http::Request<()>) {
        let end = head.method() != http::Method::CONNECT && head.method() != http::Method::POST;
        let key = self.machine.request(head, end).unwrap();
        self.machine.handle_opened(self.now, Opening::Request(key), bidi(index));
        self.drain();
        self.take_writes();
    }

    /// Everything that was written is sent.
    pub(super) fn take_writes(&mut self) {
        for output in std::mem::take(&mut self.outputs) {
            if let Output::Write { stream, data, .. } = &output {
                self.machine.handle_sent(self.now, *stream, data.len() as u64);
            }
            self.outputs.push(output);
        }
        self.drain();
    }

    /// The code with which the connection was closed.
    pub(super) fn closed(&self) -> Option<Code> {
        let told = self.events.iter().find_map(|event| match event {
            Event::Closed(ConnectionError { code, .. }) => Some(*code),
            _ => None,
        });
        let said = self.outputs.iter().find_map(|output| match output {
            Output::Close { code, .. } => Some(*code),
            _ => None,
        });
        assert_eq!(told, said, "{:?} {:?}", self.outputs, self.events);
        assert_eq!(told.is_some(), self.machine.is_closed());
        told
    }

    /// The codes of the reset and of the stop of a stream.
    pub(super) fn given_up(&self, stream: StreamId) -> (Option<Code>, Option<Code>) {
        let mut found = (None, None);
        for output in &self.outputs {
            match output {
                Output::Reset { stream: id, code } if *id == stream => assert_eq!(found.0.replace(*code), None),
                Output::Stop { stream: id, code } if *id == stream => assert_eq!(found.1.replace(*code), None),
                _ => {}
            }
        }
        found
    }

    /// The error of the peer's that ended a request.
    pub(super) fn error(&self) -> Option<StreamError> {
        self.events.iter().find_map(|event| match event {
            Event::Ended { reason: EndReason::Error(error), .. } => Some(*error),
            _ => None,
        })
    }

    /// How many received bytes of the stream were reported as consumed.
    pub(super) fn consumed(&self, stream: StreamId) -> u64 {
        let of = |output: &Output| match output {
            Output::Consumed { stream: id, bytes } if *id == stream => *bytes,
            _ => 0,
        };
        self.outputs.iter().map(of).sum()
    }

    /// What was written to a stream, and whether its end was.
    pub(super) fn written(&self, stream: StreamId) -> (Vec<u8>, bool) {
        let mut all = (Vec::new(), false);
        for output in &self.outputs {
            if let Output::Write { stream: id, data, fin } = output
                && *id == stream
            {
                all.0.extend_from_slice(data);
                all.1 |= fin;
            }
        }
        all
    }

    /// The names of what was told.
    pub(super) fn told(&self) -> Vec<&'static str> {
        self.events.iter().map(name).collect()
    }
}

pub(super) fn name(event: &Event) -> &'static str {
    match event {
        Event::RequestOpened { .. } => "opened",
        Event::RequestFailed { .. } => "failed",
        Event::Request { .. } => "request",
        Event::Informational { .. } => "informational",
        Event::Response { .. } => "response",
        Event::Data { .. } => "data",
        Event::Trailers { .. } => "trailers",
        Event::Finished { .. } => "finished",
        Event::SendStopped { .. } => "stopped",
        Event::Writable { .. } => "writable",
        Event::Ended { .. } => "ended",
        Event::PriorityChanged { .. } => "priority",
        Event::Datagram { .. } => "datagram",
        Event::Settings(_) => "settings",
        Event::Goaway { .. } => "goaway",
        Event::Drained => "drained",
        Event::Closed(_) => "closed",
    }
}
