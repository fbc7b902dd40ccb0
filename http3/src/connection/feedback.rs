//! When what our QPACK decoder says leaves: with other things of the connection if it can, and soon if it cannot.

use codec::Time;

use super::Connection;
use crate::limits;
use crate::output::Output;

/// What the decoder has to say, and may wait a moment to be said.
#[derive(Debug, Default)]
pub(super) struct Feedback {
    /// Something leaves in this turn: then it costs no datagram to say it with it.
    accompanied: bool,
    /// Until when it may wait.
    due: Option<Time>,
}

impl Feedback {
    /// By when it leaves by itself.
    pub(super) const fn due(&self) -> Option<Time> {
        self.due
    }

    /// This is about to leave.
    pub(super) const fn on_output(&mut self, output: &Output) {
        self.accompanied |= match output {
            Output::Write { .. } | Output::Reset { .. } | Output::Stop { .. } | Output::Datagram { .. } => true,
            // Credit leaves when the transport thinks it is worth it, most often later.
            Output::Open(_) | Output::Consumed { .. } | Output::Close { .. } => false,
        };
    }
}

impl Connection {
    /// Everything else has left that leaves in this turn: says what our decoder has to say, or lets it wait.
    ///
    /// A server that acknowledges a section as soon as it has read it sends a datagram for that alone, a moment before the
    /// response; and two datagrams have the client acknowledge them at once, in a third.
    pub(super) fn send_decoder_instructions(&mut self) {
        let accompanied = std::mem::take(&mut self.feedback.accompanied);
        let waiting = self.decoder.instruction_bytes();
        let Some(stream) = self.ours.decoder.filter(|_| waiting > 0 && !self.closed) else {
            self.feedback.due = None;
            return;
        };
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.3
        //# By delaying an Insert Count
        //# Increment instruction, the decoder might be able to coalesce multiple Insert
        //# Count Increment instructions or replace them entirely with Section
        //# Acknowledgments; see {{header-acknowledgment}}. However, delaying too long
        //# may lead to compression inefficiencies if the encoder waits for an entry to be
        //# acknowledged before using it.
        let due = *self.feedback.due.get_or_insert(self.now + limits::FEEDBACK_DELAY);
        let is_due = accompanied || waiting >= limits::FEEDBACK_BYTES || due <= self.now;
        if is_due && let Some(instructions) = self.decoder.poll_instructions() {
            self.feedback.due = None;
            self.outbox.write(stream, instructions, false);
        }
    }
}
