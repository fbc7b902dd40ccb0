//! What became of packets: the tokens that come back.

use codec::StreamId;

use super::sending::Piece;
use super::table::{Control, List};
use super::{Ledger, index};
use crate::token::Token;

impl Ledger {
    /// What a token stands for arrived at the peer. Tokens of others are ignored.
    pub fn on_acknowledged(&mut self, token: Token) {
        match token {
            Token::Stream { id, offset, length, fin } => self.on_data_acknowledged(id, offset, length.into(), fin),
            Token::ResetStream { id } => {
                if let Some(slot) = self.table.find(id)
                    && self.table.sending(slot).is_some_and(|sending| sending.reset.is_some())
                {
                    self.end_sending(slot);
                }
            }
            _ => {}
        }
    }

    /// What a token stands for was lost, or is to be sent once more as a probe: it is sent again if that still makes
    /// sense. Tokens of others are ignored.
    pub fn on_lost(&mut self, token: Token) {
        match token {
            Token::Stream { id, offset, length, fin } => self.on_data_lost(id, Piece { offset, length, fin }),
            Token::ResetStream { id } => {
                if let Some(slot) = self.table.find(id)
                    && self.table.sending(slot).is_some_and(|sending| sending.reset.is_some())
                {
                    self.table.want(slot, Control::ResetStream);
                }
            }
            Token::StopSending { id } => self.on_stop_lost(id),
            Token::MaxData { maximum } => self.window.on_announcement_lost(maximum),
            Token::MaxStreamData { id, maximum } => {
                if let Some(slot) = self.table.find(id)
                    && let Some(receiving) = self.table.receiving(slot)
                {
                    receiving.window.on_announcement_lost(maximum);
                    if receiving.is_announcement_due() {
                        self.table.want(slot, Control::MaxStreamData);
                    }
                }
            }
            Token::MaxStreams { direction, maximum } => self.theirs[index(direction)].on_announcement_lost(maximum),
            Token::DataBlocked { limit } => self.credit.on_report_lost(limit),
            Token::StreamDataBlocked { id, limit } => {
                if let Some(slot) = self.table.find(id)
                    && let Some(sending) = self.table.sending(slot)
                {
                    sending.credit.on_report_lost(limit);
                    self.judge_blocked(slot);
                }
            }
            Token::StreamsBlocked { direction, limit } => self.ours[index(direction)].on_report_lost(limit),
            _ => {}
        }
    }

    fn on_data_acknowledged(&mut self, id: StreamId, offset: u64, length: u64, fin: bool) {
        self.send_buffered = self.send_buffered.saturating_sub(length);
        self.stats.bytes_acknowledged += length;
        let Some(slot) = self.table.find(id) else { return };
        let Some(sending) = self.table.sending(slot) else { return };
        sending.on_acknowledged(offset, length, fin);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.1
        //# Once all stream data has been successfully acknowledged, the sending part of the
        //# stream enters the "Data Recvd" state, which is a terminal state.
        if sending.is_acknowledged() {
            self.end_sending(slot);
        }
    }

    fn on_data_lost(&mut self, id: StreamId, piece: Piece) {
        let length = u64::from(piece.length);
        if let Some(slot) = self.table.find(id)
            && let Some(sending) = self.table.sending(slot)
            && sending.reset.is_none()
        {
            sending.on_lost(piece);
            self.table.enlist(List::Retransmit, slot);
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
        //# Once an endpoint
        //# sends a RESET_STREAM frame, no further STREAM frames are needed.
        self.send_buffered = self.send_buffered.saturating_sub(length);
    }

    fn on_stop_lost(&mut self, id: StreamId) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
        //# An endpoint is expected to send another STOP_SENDING frame if a packet
        //# containing a previous STOP_SENDING is lost.
        if let Some(slot) = self.table.find(id)
            && self.table.receiving(slot).is_some_and(|half| half.stopped.is_some() && half.final_size.is_none())
        {
            self.table.want(slot, Control::StopSending);
        }
    }
}
