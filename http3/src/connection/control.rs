//! Frames of the control stream (RFC 9114 §7.2, RFC 9218 §7).

use codec::{Side, StreamId};

use super::Connection;
use crate::error::{Code, ConnectionError};
use crate::frame::{Frame, FrameKind, FrameType, put_integer_frame, put_priority_update};
use crate::legality::{Place, judge};
use crate::limits::{self, Limit};
use crate::output::{EndReason, Event, RequestFailure};
use crate::priority::Priority;
use crate::settings::Settings;

/// The largest number of a request stream.
const LAST_REQUEST: u64 = (1 << 62) - 4;
/// The largest push ID.
const LAST_PUSH: u64 = (1 << 62) - 1;

impl Connection {
    /// A frame begins. Whether its payload is to be read.
    pub(super) fn on_control_begin(&mut self, frame_type: FrameType, length: u64) -> Result<bool, ConnectionError> {
        let kind = frame_type.kind();
        self.stats().on_frame_received(kind);
        let place = if self.incoming.settings_came { Place::Control } else { Place::ControlStart };
        if !judge(self.side, place, kind).is_read()? {
            self.on_glitch()?;
            return Ok(false);
        }
        match kind {
            FrameKind::Settings => {
                self.incoming.settings_came = true;
                if length > limits::SETTINGS_FRAME {
                    self.on_limit(Limit::SettingsFrame);
                }
            }
            FrameKind::MaxPushId => self.on_glitch()?,
            FrameKind::PriorityUpdate | FrameKind::PriorityUpdatePush => {
                self.on_glitch()?;
                if length > limits::PRIORITY_UPDATE_FRAME {
                    self.on_limit(Limit::PriorityUpdateFrame);
                    return Ok(false);
                }
            }
            _ => {}
        }
        Ok(true)
    }

    pub(super) fn on_control_frame(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        match frame {
            Frame::Settings(payload) => self.on_settings(&payload),
            Frame::Goaway(id) => self.on_goaway(id),
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3
            //# If a CANCEL_PUSH frame is received that references a push ID
            //# greater than currently allowed on the connection, this MUST be treated as a
            //# connection error of type H3_ID_ERROR.
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3
            //# If a
            //# server receives a CANCEL_PUSH frame for a push ID that has not yet been
            //# mentioned by a PUSH_PROMISE frame, this MUST be treated as a connection error of
            //# type H3_ID_ERROR.
            Frame::CancelPush(_) => Err(ConnectionError::new(Code::H3_ID_ERROR, "CANCEL_PUSH, and nothing is pushed")),
            Frame::MaxPushId(id) => self.on_max_push_id(id),
            //= https://www.rfc-editor.org/rfc/rfc9218#section-7.2
            //# If a server receives a PRIORITY_UPDATE (type=0xF0701) with
            //# a push ID that is greater than the maximum push ID or that has not yet been
            //# promised, this MUST be treated as a connection error of type H3_ID_ERROR.
            Frame::PriorityUpdate { push: true, .. } => {
                Err(ConnectionError::new(Code::H3_ID_ERROR, "PRIORITY_UPDATE of a push, and nothing is pushed"))
            }
            Frame::PriorityUpdate { push: false, element, value } => self.on_priority_update(element, &value),
            // Not permitted there, so it was refused when it began.
            Frame::Headers(_) => Ok(()),
        }
    }

    fn on_settings(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let settings = Settings::decode(payload).inspect_err(|error| {
            if error.code == Code::H3_EXCESSIVE_LOAD {
                self.on_limit(Limit::SettingsFrame);
            }
        })?;
        if let Some(remembered) = &self.config.remembered {
            remembered.permits_early_data_of(&settings)?;
        }
        self.encoder.peer_settings(settings.qpack_max_table_capacity, settings.qpack_blocked_streams);
        self.send_encoder_instructions();
        self.peer = Some(settings);
        self.push_event(Event::Settings(settings));
        Ok(())
    }

    fn on_goaway(&mut self, id: u64) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.6
        //# A client MUST treat receipt of a
        //# GOAWAY frame containing a stream ID of any other type as a connection error of
        //# type H3_ID_ERROR.
        if self.side == Side::Client && !is_request(id) {
            return Err(ConnectionError::new(Code::H3_ID_ERROR, "GOAWAY names a stream that is no request's"));
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-5.2
        //# Receiving a GOAWAY containing a larger identifier than
        //# previously received MUST be treated as a connection error of type H3_ID_ERROR.
        if self.goaway_received.is_some_and(|earlier| id > earlier) {
            return Err(ConnectionError::new(Code::H3_ID_ERROR, "GOAWAY with a larger id than before"));
        }
        self.goaway_received = Some(id);
        self.push_event(Event::Goaway { id });
        if self.side == Side::Client {
            self.on_unprocessed_from(id);
        }
        self.on_exchange_over();
        Ok(())
    }

    /// The server will not process requests from this stream on.
    fn on_unprocessed_from(&mut self, id: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-5.2
        //# Upon receipt of a GOAWAY frame, if the client has already sent requests with
        //# a stream ID greater than or equal to the identifier contained in the GOAWAY
        //# frame, those requests will not be processed.  Clients can safely retry
        //# unprocessed requests on a different HTTP connection.
        let mut unprocessed: Vec<(StreamId, usize)> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.stream.as_u64() >= id)
            .map(|(key, exchange)| (exchange.stream, key))
            .collect();
        unprocessed.sort_unstable();
        for (_, key) in unprocessed {
            self.end_exchange(key, Code::H3_REQUEST_CANCELLED, EndReason::Unprocessed);
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-5.2
        //# Endpoints MUST NOT initiate new requests or promise new pushes on the connection
        //# after receipt of a GOAWAY frame from the peer.
        for key in self.pending.take_all() {
            self.push_event(Event::RequestFailed { key, reason: RequestFailure::GoingAway });
        }
    }

    fn on_max_push_id(&mut self, id: u64) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7
        //# A
        //# MAX_PUSH_ID frame cannot reduce the maximum push ID; receipt of a MAX_PUSH_ID
        //# frame that contains a smaller value than previously received MUST be treated as
        //# a connection error of type H3_ID_ERROR.
        if self.max_push_id.is_some_and(|earlier| id < earlier) {
            return Err(ConnectionError::new(Code::H3_ID_ERROR, "MAX_PUSH_ID with a smaller id than before"));
        }
        self.max_push_id = Some(id);
        Ok(())
    }

    fn on_priority_update(&mut self, element: u64, value: &[u8]) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9218#section-7.2
        //# If a server receives a PRIORITY_UPDATE (type=0xF0700) for a
        //# stream ID that is not a request stream, this MUST be treated as a connection
        //# error of type H3_ID_ERROR.
        if !is_request(element) {
            return Err(ConnectionError::new(Code::H3_ID_ERROR, "PRIORITY_UPDATE of a stream that is no request's"));
        }
        let stream = StreamId::from_u64(element);
        //= https://www.rfc-editor.org/rfc/rfc9218#section-7.2
        //# If a server receives a PRIORITY_UPDATE
        //# (type=0xF0700) with a stream ID that is beyond the stream limits, this SHOULD be
        //# treated as a connection error of type H3_ID_ERROR.
        if self.is_beyond_limit(stream) {
            return Err(ConnectionError::new(Code::H3_ID_ERROR, "PRIORITY_UPDATE of a stream beyond the limit"));
        }
        let priority = Priority::of_request(value);
        if let Some(key) = self.exchanges.find(stream) {
            if self.exchanges.get(key).is_some_and(|exchange| exchange.known) {
                self.set_priority(key, priority);
                return Ok(());
            }
        } else if stream.index() < self.next_request {
            // It is over here; but what was sent of the response may wait in the transport.
            self.push_event(Event::PriorityChanged { stream, priority });
            return Ok(());
        }
        self.keep_priority(stream, priority);
        Ok(())
    }

    /// Remembers a priority until the head of its request comes.
    fn keep_priority(&mut self, stream: StreamId, priority: Priority) {
        //= https://www.rfc-editor.org/rfc/rfc9218#section-7
        //# Servers
        //# SHOULD buffer the most recently received PRIORITY_UPDATE frame and apply it once
        //# the referenced stream is opened.
        self.early_priorities.retain(|(id, _)| *id != stream);
        if self.early_priorities.len() == limits::EARLY_PRIORITIES {
            self.early_priorities.pop_front();
            self.on_limit(Limit::EarlyPriorities);
        }
        self.early_priorities.push_back((stream, priority));
    }

    /// What was said of the stream before its head came.
    pub(super) fn take_priority(&mut self, stream: StreamId) -> Option<Priority> {
        let position = self.early_priorities.iter().position(|(id, _)| *id == stream)?;
        self.early_priorities.remove(position).map(|(_, priority)| priority)
    }

    /// Whether the peer could not have opened the stream, as far as we know.
    pub(super) fn is_beyond_limit(&self, stream: StreamId) -> bool {
        self.request_limit.is_some_and(|limit| stream.index() >= limit)
    }

    /// An element that is to be ignored.
    pub(super) fn on_glitch(&mut self) -> Result<(), ConnectionError> {
        self.stats().glitches += 1;
        if self.glitches.admit(self.now) {
            return Ok(());
        }
        self.on_limit(Limit::Glitches);
        //= https://www.rfc-editor.org/rfc/rfc9114#section-10.5
        //# An endpoint MAY treat activity that is
        //# suspicious as a connection error of type H3_EXCESSIVE_LOAD, but
        //# false positives will result in disrupting valid connections and requests.
        Err(ConnectionError::new(Code::H3_EXCESSIVE_LOAD, "too much that is to be ignored"))
    }
}

/// Orders of the application.
impl Connection {
    /// Begins to shut the connection down: the peer makes no more requests, and those that are on their way are still
    /// processed. A round trip later, say [`Self::goaway`].
    pub fn announce_goaway(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-5.2
        //# An endpoint that is attempting to gracefully shut down a connection can send a
        //# GOAWAY frame with a value set to the maximum possible value (2<sup>62</sup>-4
        //# for servers, 2<sup>62</sup>-1 for clients).
        self.send_goaway(if self.side == Side::Server { LAST_REQUEST } else { LAST_PUSH });
    }

    /// Shuts the connection down. A server says the last request that it processes, and rejects all later ones; a
    /// client says that it takes no pushes. [`Event::Drained`] tells when the last request is over.
    pub fn goaway(&mut self) {
        let id = match self.side {
            Side::Server => self.next_request.saturating_mul(4).min(LAST_REQUEST),
            Side::Client => 0,
        };
        self.send_goaway(id);
        self.on_exchange_over();
    }

    fn send_goaway(&mut self, id: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-5.2
        //# An endpoint MAY send multiple GOAWAY frames indicating different identifiers,
        //# but the identifier in each frame MUST NOT be greater than the identifier in any
        //# previous frame, since clients might already have retried unprocessed requests on
        //# another HTTP connection.
        if self.closed || self.goaway_sent.is_some_and(|earlier| id >= earlier) {
            return;
        }
        self.goaway_sent = Some(id);
        put_integer_frame(self.control_room(), FrameType::GOAWAY, id);
        self.stats().on_frame_sent(FrameType::GOAWAY);
    }

    /// Tells the server how urgent the response to this request of ours is now (RFC 9218 §7). Whether the request is
    /// still open and of ours.
    pub fn priority_update(&mut self, stream: StreamId, priority: Priority) -> bool {
        if self.side == Side::Server || self.exchanges.find(stream).is_none() {
            return false;
        }
        put_priority_update(self.control_room(), stream.as_u64(), priority.as_str().as_bytes());
        self.stats().on_frame_sent(FrameType::PRIORITY_UPDATE);
        true
    }

    /// Whether no further request is processed: we said so, or the peer did.
    pub const fn is_going_away(&self) -> bool {
        self.goaway_sent.is_some() || self.goaway_received.is_some()
    }
}

/// Whether it is the number of a request stream: bidirectional, and opened by a client.
const fn is_request(id: u64) -> bool {
    id.is_multiple_of(4)
}
