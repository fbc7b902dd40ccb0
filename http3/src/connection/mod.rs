//! [`Connection`]: an HTTP/3 connection of either role (RFC 9114).
//!
//! ```text
//! the transport ─ handle_opened, handle_data, handle_reset … ─▶ ┌────────────┐ ─ poll_output ─▶ Output  the transport
//! the application ─ request, send_response, send_data … ──────▶ │ Connection │ ─ poll_event ──▶ Event   the application
//! time ─ handle_deadline ─────────────────────────────────────▶ └────────────┘ ─ deadline ────▶ when to come back
//! ```
//!
//! Call a `handle_*` method or give an order, then drain [`Connection::poll_event`] and [`Connection::poll_output`] until
//! both return `None`. Polling an event may make more outputs and events.
//!
//! | File | What |
//! |---|---|
//! | `incoming.rs` | what the transport says, and the peer's unidirectional streams |
//! | `control.rs` | frames of the control stream |
//! | `receive.rs` | the peer's half of a request stream |
//! | `send.rs` | our half of a request stream |
//! | `requests.rs` | requests of ours that wait for their stream |
//! | `ending.rs` | how requests and the connection end |
//! | `deadlines.rs` | what takes too long |
//! | `datagrams.rs` | HTTP datagrams |
//! | `feedback.rs` | when what our QPACK decoder says leaves |
//! | `exchange.rs` | a request and its response, and the table of those that are open |
//!
//! **Whose bytes are where.** Bytes of DATA are handed out as slices and stay charged to the peer until
//! [`Connection::data_consumed`]. Bytes of a field section that is not decoded yet, and what came behind it on its
//! stream, are held here and not reported as consumed; so a stream's flow-control window has to be larger than a field
//! section may be, and bounds what is held. Bytes to be sent go straight out as [`Output::Write`]; of a stream whose bytes
//! the transport does not take, no more than [`limits::BLOCKED_STREAM`] beyond what it took so far.
//!
//! **Streams that are gone** are normal: what the transport or the application still says of them is ignored, or
//! [`SendError::Gone`]. Streams of a kind must be reported in the order of their numbers.

mod control;
mod datagrams;
mod deadlines;
mod ending;
mod exchange;
mod feedback;
mod incoming;
mod receive;
mod requests;
mod send;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::BytesMut;
use codec::{Side, StreamId, Time};

use crate::config::Config;
use crate::frame::{FrameType, put_frame_header, put_varint};
use crate::grease::Grease;
use crate::limits::{self, Limit};
use crate::load::{Glitches, RapidResets};
use crate::outbox::Outbox;
use crate::output::{Event, Opening, Output};
use crate::priority::Priority;
use crate::qpack;
use crate::settings::Settings;
use crate::stats::{QpackLevels, Stats};

use exchange::Exchanges;
use feedback::Feedback;
use incoming::Incoming;
use requests::Pending;

pub use datagrams::SendDatagramError;
pub use requests::RequestError;
pub use send::SendError;

/// RFC 9114 §6.2.1.
const CONTROL: u64 = 0x00;
/// RFC 9114 §6.2.2.
const PUSH: u64 = 0x01;
/// RFC 9204 §4.2.
const QPACK_ENCODER: u64 = 0x02;
/// RFC 9204 §4.2.
const QPACK_DECODER: u64 = 0x03;

/// One connection, from its first stream on.
#[derive(Debug)]
pub struct Connection {
    side: Side,
    config: Config,
    closed: bool,
    grease: Grease,
    /// Whether a frame without meaning is still to be sent on a request stream.
    grease_exchange: bool,
    now: Time,
    outbox: Outbox,
    events: VecDeque<Queued>,
    /// Bytes of field sections among the events.
    undispatched: usize,
    exchanges: Exchanges,
    /// Streams whose section waits until earlier ones are polled.
    stalled: VecDeque<StreamId>,
    incoming: Incoming,
    ours: Ours,
    encoder: qpack::Encoder,
    decoder: qpack::Decoder,
    feedback: Feedback,
    local: Settings,
    /// `None` until they arrive.
    peer: Option<Settings>,
    pending: Pending,
    /// The index of the next request stream of the peer.
    next_request: u64,
    /// The number of request streams that the peer may open, if we were told.
    request_limit: Option<u64>,
    goaway_sent: Option<u64>,
    goaway_received: Option<u64>,
    max_push_id: Option<u64>,
    drained: bool,
    glitches: Glitches,
    resets: RapidResets,
    early_priorities: VecDeque<(StreamId, Priority)>,
    /// Nothing is given up for taking too long before that.
    next_check: Option<Time>,
    stats: Option<Box<Stats>>,
}

/// An event, and the size of the field section in it.
#[derive(Debug)]
struct Queued {
    event: Event,
    fields: usize,
}

/// Our unidirectional streams, once they are open.
#[derive(Debug, Default)]
struct Ours {
    control: Option<StreamId>,
    encoder: Option<StreamId>,
    decoder: Option<StreamId>,
    /// Frames for the control stream, until it is open.
    early_control: BytesMut,
}

impl Connection {
    /// The connection of a client. What is sent without meaning follows from `seed`.
    pub fn client(config: Config, seed: u64) -> Self {
        Self::new(Side::Client, config, seed)
    }

    /// The connection of a server. What is sent without meaning follows from `seed`.
    pub fn server(config: Config, seed: u64) -> Self {
        Self::new(Side::Server, config, seed)
    }

    fn new(side: Side, config: Config, seed: u64) -> Self {
        let mut outbox = Outbox::default();
        //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2
        //# Endpoints SHOULD create the HTTP
        //# control stream as well as the unidirectional streams required by mandatory
        //# extensions (such as the QPACK encoder and decoder streams) first, and then
        //# create additional streams as allowed by their peer.
        for opening in [Opening::Control, Opening::QpackEncoder, Opening::QpackDecoder] {
            outbox.push(Output::Open(opening));
        }
        if config.grease {
            outbox.push(Output::Open(Opening::Grease));
        }
        Self {
            side,
            closed: false,
            grease: Grease::new(seed),
            grease_exchange: config.grease,
            now: Time::ZERO,
            outbox,
            events: VecDeque::new(),
            undispatched: 0,
            exchanges: Exchanges::default(),
            stalled: VecDeque::new(),
            incoming: Incoming::default(),
            ours: Ours::default(),
            encoder: qpack::Encoder::new(config.encoder()),
            decoder: qpack::Decoder::new(config.decoder()),
            feedback: Feedback::default(),
            local: config.settings(side == Side::Server),
            peer: None,
            pending: Pending::default(),
            next_request: 0,
            request_limit: None,
            goaway_sent: None,
            goaway_received: None,
            max_push_id: None,
            drained: false,
            glitches: Glitches::default(),
            resets: RapidResets::default(),
            early_priorities: VecDeque::new(),
            next_check: None,
            stats: None,
            config,
        }
    }

    /// A stream that was asked for with [`Output::Open`] has this number. It may be reported late, or never.
    pub fn handle_opened(&mut self, now: Time, opening: Opening, stream: StreamId) {
        if self.closed {
            return;
        }
        self.now = now;
        match opening {
            Opening::Control => self.begin_control(stream),
            Opening::QpackEncoder => {
                self.ours.encoder = Some(stream);
                put_varint(self.outbox.room(stream), QPACK_ENCODER);
                self.send_encoder_instructions();
            }
            Opening::QpackDecoder => {
                self.ours.decoder = Some(stream);
                put_varint(self.outbox.room(stream), QPACK_DECODER);
            }
            Opening::Grease => {
                let kind = self.grease.number();
                put_varint(self.outbox.room(stream), kind);
                self.outbox.finish(stream);
            }
            Opening::Request(key) => self.begin_request(key, stream),
        }
    }

    /// The type of the control stream, SETTINGS, and what was to be said meanwhile.
    fn begin_control(&mut self, stream: StreamId) {
        self.ours.control = Some(stream);
        let grease = self.config.grease.then_some(&mut self.grease);
        let room = self.outbox.room(stream);
        put_varint(room, CONTROL);
        //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1
        //# Each side MUST initiate a single control stream at the beginning of the
        //# connection and send its SETTINGS frame as the first frame on this stream.
        self.local.encode(grease, room);
        let early = std::mem::take(&mut self.ours.early_control);
        room.extend_from_slice(&early);
        let reserved = self.config.grease.then(|| put_grease_frame(&mut self.grease, room));
        self.stats().on_frame_sent(FrameType::SETTINGS);
        if let Some(reserved) = reserved {
            self.stats().on_frame_sent(reserved);
        }
    }

    /// Where frames for the control stream go.
    fn control_room(&mut self) -> &mut BytesMut {
        match self.ours.control {
            Some(stream) => self.outbox.room(stream),
            None => &mut self.ours.early_control,
        }
    }

    /// The next order to the transport.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outbox.poll() {
            self.feedback.on_output(&output);
            return Some(output);
        }
        // Once a turn, so that what is said of several sections goes together.
        self.send_decoder_instructions();
        self.outbox.poll()
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        let Queued { event, fields } = self.events.pop_front()?;
        if fields > 0 {
            self.undispatched = self.undispatched.saturating_sub(fields);
            if self.undispatched < limits::UNDISPATCHED_FIELDS {
                self.resume();
            }
        }
        Some(event)
    }

    /// The peer's settings, once they came; before that, those that were remembered.
    pub const fn peer_settings(&self) -> Option<&Settings> {
        match &self.peer {
            Some(settings) => Some(settings),
            None => self.config.remembered.as_ref(),
        }
    }

    /// Our role.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Requests that are not over, those that wait for their stream included.
    pub fn open_requests(&self) -> usize {
        self.exchanges.len() + self.pending.len()
    }

    /// Whether the connection was closed, by either side.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Received bytes that are held here: parts of frames, sections that wait, and what came behind them. None of them
    /// was reported as consumed. Bytes of [`Event::Data`] are not among them.
    pub fn held_bytes(&self) -> u64 {
        let exchanges: u64 = self.exchanges.iter().map(|(_, exchange)| exchange.charged).sum();
        exchanges + self.incoming.held_bytes()
    }

    /// What was counted since the last call; `None` if nothing was.
    pub fn take_stats(&mut self) -> Option<Box<Stats>> {
        self.stats.take()
    }

    /// What QPACK counted since the connection began.
    pub fn qpack_stats(&self) -> (qpack::EncoderStats, qpack::DecoderStats) {
        (self.encoder.stats(), self.decoder.stats())
    }

    /// What QPACK holds now.
    pub fn qpack_levels(&self) -> QpackLevels {
        QpackLevels {
            encoder_table_bytes: self.encoder.table_bytes(),
            decoder_table_bytes: self.decoder.table_bytes(),
            blocked_streams: self.decoder.blocked_streams(),
        }
    }

    fn stats(&mut self) -> &mut Stats {
        self.stats.get_or_insert_default()
    }

    fn on_limit(&mut self, limit: Limit) {
        self.stats().on_limit(limit);
    }

    fn push_event(&mut self, event: Event) {
        self.events.push_back(Queued { event, fields: 0 });
    }

    /// An event with a field section of this size.
    fn push_fields(&mut self, event: Event, fields: usize) {
        self.undispatched = self.undispatched.saturating_add(fields);
        self.events.push_back(Queued { event, fields });
    }

    /// What our encoder has to say, as soon as it can be said.
    fn send_encoder_instructions(&mut self) {
        if let Some(stream) = self.ours.encoder
            && let Some(instructions) = self.encoder.poll_instructions()
        {
            self.outbox.write(stream, instructions, false);
        }
    }
}

/// A frame without meaning (RFC 9114 §7.2.8). Says its type.
fn put_grease_frame(grease: &mut Grease, out: &mut BytesMut) -> FrameType {
    let frame_type = FrameType(grease.number());
    let payload = grease.next().to_be_bytes();
    let length = usize::from(payload[0] % 8);
    put_frame_header(out, frame_type, length as u64);
    out.extend_from_slice(payload.get(..length).unwrap_or_default());
    frame_type
}
