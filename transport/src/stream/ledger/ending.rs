//! When a half is over, when a stream is gone, and what is counted then.

use super::stats::Outcome;
use super::table::{Control, Epitaph, Slot, Table, initiator};
use super::{Ledger, index};
use crate::stream::StreamInput;

impl Ledger {
    /// The connection is over: all streams end with it, and nothing more comes out.
    pub fn on_connection_closed(&mut self) {
        for slot in self.table.slots() {
            if let Some(stream) = self.table.get_mut(slot) {
                stream.ends_by(Outcome::ConnectionClosed);
            }
            if let Some(stream) = self.table.remove(self.side, slot) {
                self.count(stream);
            }
        }
        self.table = Table::default();
        self.inputs.clear();
        self.send_buffered = 0;
        self.blocked_streams = 0;
    }

    /// Everything sent on the stream has arrived, or its reset has.
    pub(super) fn end_sending(&mut self, slot: Slot) {
        self.leave_queues(slot);
        self.table.forget(slot, Control::ResetStream);
        if let Some(stream) = self.table.get_mut(slot) {
            if let Some(sending) = &mut stream.sending {
                self.send_buffered = self.send_buffered.saturating_sub(sending.abandon(0));
            }
            stream.sending = None;
            let id = stream.id;
            self.judge_blocked(slot);
            self.inputs.push_back(StreamInput::Acknowledged { id });
        }
        self.finish(slot);
    }

    /// Ends the receiving half if it is over, and removes the stream if both are.
    pub(super) fn finish(&mut self, slot: Slot) {
        let Some(stream) = self.table.get(slot) else { return };
        let stop_waits = stream.wants(Control::StopSending);
        // Without the final size the connection's window could not be accounted for (RFC 9000 §4.5).
        let is_over =
            stream.receiving.as_ref().is_some_and(|half| half.released && half.final_size.is_some() && !stop_waits);
        if is_over {
            self.table.forget(slot, Control::MaxStreamData);
            if let Some(stream) = self.table.get_mut(slot) {
                stream.receiving = None;
            }
        }
        let is_gone = self.table.get(slot).is_some_and(|stream| stream.sending.is_none() && stream.receiving.is_none());
        if is_gone && let Some(stream) = self.table.remove(self.side, slot) {
            self.count(stream);
            self.return_credit(stream);
        }
    }

    fn return_credit(&mut self, stream: Epitaph) {
        if stream.id.initiator() == self.side {
            return;
        }
        let streams = &mut self.theirs[index(stream.id.direction())];
        if stream.outcome == Outcome::Finished {
            streams.on_finished();
        } else if streams.on_cancelled(self.now, self.round_trip) {
            self.stats.credit_delayed += 1;
        }
    }

    fn count(&mut self, stream: Epitaph) {
        let by_kind = &mut self.stats.closed[stream.outcome as usize];
        by_kind[initiator(self.side, stream.id)][index(stream.id.direction())] += 1;
        self.stats.durations.add(stream.id.direction(), self.now.saturating_since(stream.since));
    }
}
