//! Frames into packets.

use codec::cursor::{BufferFull, Writer};
use codec::frame::{
    DataBlocked, Frame, MaxData, MaxStreamData, MaxStreams, ResetStream, StopSending, StreamDataBlocked,
    StreamsBlocked, stream,
};
use codec::{StreamId, VarInt};

use super::concurrency::{OurStreams, PeerStreams};
use super::sending::End;
use super::table::{Control, List, Slot};
use super::{DIRECTIONS, Ledger, index};
use crate::token::{Token, Tokens};

impl Ledger {
    /// Writes the control frames that wait, as many as fit.
    pub fn write_control(&mut self, w: &mut Writer<'_>, tokens: &mut Tokens) {
        if self.has_connection_control() {
            self.write_connection_control(w, tokens);
        }
        while let Some(slot) = self.table.first(List::Control) {
            for control in Control::ALL {
                if !self.table.get(slot).is_some_and(|stream| stream.wants(control)) {
                    continue;
                }
                if w.remaining() < LARGEST_CONTROL_FRAME {
                    return;
                }
                self.table.forget(slot, control);
                if let Some((frame, token)) = self.stream_control(slot, control) {
                    put(w, &frame, token, tokens);
                }
                if control == Control::StopSending {
                    self.finish(slot);
                }
            }
        }
    }

    /// Writes STREAM frames until the writer is full or nothing more may be sent: the most urgent streams first, and of
    /// those of one urgency what was lost first, then new data, the streams taking turns of a packet's worth or, if they
    /// are not to share, one after the other.
    ///
    /// The last frame may have no Length field, and then fills the writer: nothing can follow it in the packet.
    pub fn write_streams(&mut self, w: &mut Writer<'_>, tokens: &mut Tokens) {
        let mut first = true;
        //= https://www.rfc-editor.org/rfc/rfc9218#section-10
        //# It is RECOMMENDED that, when possible, servers respect the urgency parameter
        //# ({{urgency}}), sending higher-urgency responses before lower-urgency responses.
        let mut levels = self.table.levels.mask();
        while levels != 0 {
            let level = levels.trailing_zeros() as usize;
            levels &= levels - 1;
            //= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
            //# Endpoints SHOULD prioritize retransmission of data over sending new data, unless
            //# priorities specified by the application indicate otherwise; see
            //# {{stream-prioritization}}.
            while let Some(slot) = self.table.first_of(List::Retransmit, level) {
                if !self.write_lost(slot, w, tokens, first) {
                    return;
                }
                first = false;
            }
            while let Some(slot) = self.table.first_of(List::Bare, level) {
                if !self.write_bare(slot, w, tokens) {
                    return;
                }
                first = false;
            }
            while let Some(slot) = self.table.first_ready(level) {
                if self.write_new(slot, w, tokens, first) {
                    first = false;
                } else if self.credit.available() > 0 {
                    return;
                } else {
                    // Nobody has anything new to send now, but less urgent streams may have lost some.
                    break;
                }
            }
        }
    }

    /// Whether one stream alone fills a packet with `room` for frames now. That several do together is not foreseen.
    pub fn fills(&self, room: usize) -> bool {
        if self.table.levels.is_quiet() {
            let alone = |list| self.table.first(list).is_some_and(|slot| self.stream_fills(list, slot, room));
            return alone(List::Ready) || alone(List::Retransmit);
        }
        let any = |list| self.table.firsts(list).any(|slot| self.stream_fills(list, slot, room));
        any(List::Ready) || any(List::Retransmit)
    }

    #[inline]
    fn stream_fills(&self, list: List, slot: Slot, room: usize) -> bool {
        let Some(sending) = self.table.get(slot).and_then(|stream| stream.sending.as_ref()) else { return false };
        if list == List::Retransmit {
            return sending.lost_run(room).is_some_and(|(_, lost, _)| lost >= room);
        }
        sending.queued().min(self.credit.available()).min(sending.credit.available()) >= room as u64
    }

    pub(super) fn has_control_frames(&self) -> bool {
        self.table.first(List::Control).is_some() || self.has_connection_control()
    }

    /// Whether a control frame of the connection itself waits. Asked for every packet, and nearly always in vain.
    fn has_connection_control(&self) -> bool {
        self.window.is_announcement_due()
            || self.theirs.iter().any(PeerStreams::is_announcement_due)
            || self.ours.iter().any(OurStreams::is_report_due)
            || self.is_connection_blocked() && self.credit.is_report_due()
    }

    /// How many control frames of the connection itself wait.
    pub(super) fn connection_control_frames(&self) -> usize {
        usize::from(self.window.is_announcement_due())
            + self.theirs.iter().filter(|streams| streams.is_announcement_due()).count()
            + self.ours.iter().filter(|streams| streams.is_report_due()).count()
            + usize::from(self.is_connection_blocked() && self.credit.is_report_due())
    }

    fn write_connection_control(&mut self, w: &mut Writer<'_>, tokens: &mut Tokens) {
        if self.window.is_announcement_due() && w.remaining() >= LARGEST_CONTROL_FRAME {
            let maximum = self.window.announce();
            put(w, &Frame::MaxData(MaxData { maximum }), Token::MaxData { maximum }, tokens);
        }
        for direction in DIRECTIONS {
            let streams = &mut self.theirs[index(direction)];
            if streams.is_announcement_due() && w.remaining() >= LARGEST_CONTROL_FRAME {
                let maximum = streams.announce();
                let frame = Frame::MaxStreams(MaxStreams { direction, maximum });
                put(w, &frame, Token::MaxStreams { direction, maximum }, tokens);
            }
            let streams = &mut self.ours[index(direction)];
            if streams.is_report_due() && w.remaining() >= LARGEST_CONTROL_FRAME {
                let limit = streams.report();
                let frame = Frame::StreamsBlocked(StreamsBlocked { direction, limit });
                put(w, &frame, Token::StreamsBlocked { direction, limit }, tokens);
                self.stats.streams_blocked_sent[index(direction)] += 1;
            }
        }
        if self.is_connection_blocked() && self.credit.is_report_due() && w.remaining() >= LARGEST_CONTROL_FRAME {
            let limit = self.credit.report();
            put(w, &Frame::DataBlocked(DataBlocked { limit }), Token::DataBlocked { limit }, tokens);
            self.stats.data_blocked_sent += 1;
        }
    }

    /// The frame, with the values of this moment; `None` if it is no longer needed.
    fn stream_control(&mut self, slot: Slot, control: Control) -> Option<(Frame<'static>, Token)> {
        let stream = self.table.get_mut(slot)?;
        let id = stream.id;
        Some(match control {
            Control::ResetStream => {
                let sending = stream.sending.as_ref()?;
                //= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
                //# The content of a RESET_STREAM frame MUST NOT
                //# change when it is sent again.
                // Neither does: nothing is sent after the reset, so what was used of the credit stays.
                let (code, final_size) = (sending.reset?, sending.credit.used());
                (Frame::ResetStream(ResetStream { id, code, final_size }), Token::ResetStream { id })
            }
            Control::StopSending => {
                let code = stream.receiving.as_ref()?.stopped?;
                (Frame::StopSending(StopSending { id, code }), Token::StopSending { id })
            }
            Control::MaxStreamData => {
                let maximum = stream.receiving.as_mut()?.window.announce();
                (Frame::MaxStreamData(MaxStreamData { id, maximum }), Token::MaxStreamData { id, maximum })
            }
            Control::StreamDataBlocked => {
                let limit = stream.sending.as_mut()?.credit.report();
                self.stats.stream_data_blocked_sent += 1;
                (Frame::StreamDataBlocked(StreamDataBlocked { id, limit }), Token::StreamDataBlocked { id, limit })
            }
        })
    }

    /// Sends again what was lost. Returns whether something was written.
    fn write_lost(&mut self, slot: Slot, w: &mut Writer<'_>, tokens: &mut Tokens, first: bool) -> bool {
        let Some(stream) = self.table.get_mut(slot) else { return false };
        let id = stream.id;
        let Some(sending) = &mut stream.sending else { return false };
        let Some((offset, available, ends)) = sending.lost_run(w.remaining()) else { return false };
        let Some(plan) = Plan::new(w.remaining(), id, offset, available, first) else { return false };
        let fin = ends && plan.data == available;
        if plan.begin(w, id, offset, fin).is_err() {
            return false;
        }
        sending.send_again(plan.data, fin, |part| copy(w, part));
        tokens.push(Token::Stream { id, offset, length: plan.data as u32, fin });
        let has_lost = sending.has_lost();
        self.stats.bytes_retransmitted += plan.data as u64;
        if !has_lost {
            self.table.unlist(List::Retransmit, slot);
        }
        true
    }

    /// Sends an end (or an opening) that has no bytes. Returns whether it was written.
    fn write_bare(&mut self, slot: Slot, w: &mut Writer<'_>, tokens: &mut Tokens) -> bool {
        let Some(stream) = self.table.get_mut(slot) else { return false };
        let id = stream.id;
        let Some(sending) = &mut stream.sending else { return false };
        let (offset, fin) = (sending.credit.used(), sending.end == End::Queued);
        let Some(plan) = Plan::new(w.remaining(), id, offset, 0, true) else { return false };
        if plan.begin(w, id, offset, fin).is_err() {
            return false;
        }
        if fin {
            sending.end = End::Sent;
        }
        tokens.push(Token::Stream { id, offset, length: 0, fin });
        self.table.unlist(List::Bare, slot);
        true
    }

    /// Sends new data. Returns whether something was written.
    fn write_new(&mut self, slot: Slot, w: &mut Writer<'_>, tokens: &mut Tokens, first: bool) -> bool {
        let Some(stream) = self.table.get_mut(slot) else { return false };
        let (id, priority) = (stream.id, stream.priority);
        let Some(sending) = &mut stream.sending else { return false };
        let offset = sending.credit.used();
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
        //# Senders MUST NOT send data in excess of either limit.
        let available = sending.queued().min(self.credit.available()).min(sending.credit.available());
        let available = usize::try_from(available).unwrap_or(usize::MAX);
        if available == 0 {
            return false;
        }
        let Some(plan) = Plan::new(w.remaining(), id, offset, available, first) else { return false };
        let length = plan.data as u64;
        let fin = sending.end == End::Queued && length == sending.queued();
        if plan.begin(w, id, offset, fin).is_err() {
            return false;
        }
        let consumed = self.credit.consume(length).and(sending.credit.consume(length));
        debug_assert!(consumed.is_ok(), "the plan stays within what is available");
        sending.send(plan.data, |part| copy(w, part));
        tokens.push(Token::Stream { id, offset, length: plan.data as u32, fin });
        if fin {
            sending.end = End::Sent;
        }
        let is_empty = sending.queued() == 0;
        self.stats.bytes_sent += length;
        self.table.take_turn(slot, priority, length, is_empty);
        self.grant(slot, false);
        self.judge_blocked(slot);
        true
    }
}

/// How one STREAM frame fills what is left of a packet.
struct Plan {
    padding: usize,
    length: Option<u64>,
    data: usize,
}

impl Plan {
    /// For `available` bytes at `offset` with `room` left. `None` if too little is left to be worth a frame; a packet's
    /// `first` frame is always worth it.
    fn new(room: usize, id: StreamId, offset: u64, available: usize, first: bool) -> Option<Self> {
        let space = room.checked_sub(stream::header_size(id, offset, None))?;
        if available >= space {
            let least = if first { 1 } else { LEAST_DATA };
            return (space >= available.min(least)).then_some(Self { padding: 0, length: None, data: space });
        }
        if available + VarInt::size_of(available as u64) <= space {
            return Some(Self { padding: 0, length: Some(available as u64), data: available });
        }
        // All of it fits, but not its length: then it ends the packet, and the few bytes too many go before it.
        Some(Self { padding: space - available, length: None, data: available })
    }

    fn begin(&self, w: &mut Writer<'_>, id: StreamId, offset: u64, fin: bool) -> Result<(), BufferFull> {
        w.zeros(self.padding)?;
        stream::encode_header(w, id, offset, self.length, fin)
    }
}

fn copy(w: &mut Writer<'_>, data: &[u8]) {
    let copied = w.bytes(data);
    debug_assert!(copied.is_ok(), "the plan stays within the room");
}

fn put(w: &mut Writer<'_>, frame: &Frame<'_>, token: Token, tokens: &mut Tokens) {
    let written = frame.encode(w);
    debug_assert!(written.is_ok(), "room was made sure of, and all numbers fit");
    tokens.push(token);
}

/// Room that is enough for any control frame: RESET_STREAM with its three numbers.
const LARGEST_CONTROL_FRAME: usize = 1 + 3 * 8;

/// A frame with less data than this does not follow another one, unless it is all there is.
const LEAST_DATA: usize = 32;
