//! Datagrams that are sent without a connection: decided first, written when there is a buffer.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use codec::{ConnectionId, TransportErrorCode};
use smallvec::SmallVec;
use tls::InitialSuite;

use super::Endpoint;
use crate::accept::{Attempt, DropReason, answer};
use crate::output::Transmit;
use crate::reset::ResetKey;
use crate::version_negotiation;

/// Answers that wait to be written, at most; they are written after each read of the socket.
const WAITING_ANSWERS: usize = 64;

/// What to say.
#[derive(Debug)]
pub(super) enum Answer {
    Retry(Attempt),
    Refuse(Attempt),
    InvalidToken(Attempt),
    VersionNegotiation(Box<Ids>),
    Reset {
        destination: ConnectionId,
        received: usize,
    },
    /// The last word of a connection that is over.
    Farewell(Bytes),
}

/// The ids of a packet whose version is not known here, up to 255 bytes each.
#[derive(Debug)]
pub(super) struct Ids {
    destination: SmallVec<[u8; 20]>,
    source: SmallVec<[u8; 20]>,
}

impl Answer {
    pub(super) fn version_negotiation(destination: &[u8], source: &[u8]) -> Self {
        Self::VersionNegotiation(Box::new(Ids {
            destination: SmallVec::from_slice(destination),
            source: SmallVec::from_slice(source),
        }))
    }
}

#[derive(Debug)]
struct Addressed {
    answer: Answer,
    remote: SocketAddr,
    local: Option<IpAddr>,
}

#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<Addressed>);

impl Answers {
    /// Queues an answer; `false` if there are too many.
    pub(super) fn push(&mut self, answer: Answer, remote: SocketAddr, local: Option<IpAddr>) -> bool {
        let room = self.0.len() < WAITING_ANSWERS;
        if room {
            self.0.push_back(Addressed { answer, remote, local });
        }
        room
    }
}

impl Endpoint {
    /// Whether [`Self::poll_answer`] has something to write.
    pub fn wants_to_answer(&self) -> bool {
        !self.answers.0.is_empty()
    }

    /// Writes the next answer to `out`, of at least 1,500 bytes. `unix_time` is the time since 1970.
    pub fn poll_answer(&mut self, unix_time: Duration, out: &mut [u8]) -> Option<Transmit> {
        while let Some(Addressed { answer, remote, local }) = self.answers.0.pop_front() {
            // What cannot be written is not said: nobody waits for it.
            if let Some(length) = self.write(&answer, unix_time, out) {
                return Some(Transmit { remote, local, ecn: None, segment_size: length, length });
            }
        }
        None
    }

    /// Says nothing of what waits to be said: there are no buffers. Returns how much it was.
    pub fn drop_answers(&mut self) -> usize {
        let dropped = self.answers.0.len();
        self.answers.0.clear();
        for _ in 0..dropped {
            self.counts.drops[DropReason::RateLimited as usize] += 1;
        }
        dropped
    }

    pub(super) fn answer(&mut self, answer: Answer, remote: SocketAddr, local: Option<IpAddr>) {
        if self.answers.push(answer, remote, local) {
            self.counts.outcomes.stateless += 1;
        } else {
            self.drop_datagram(DropReason::RateLimited);
        }
    }

    fn write(&mut self, answer: &Answer, unix_time: Duration, out: &mut [u8]) -> Option<usize> {
        match answer {
            Answer::Retry(attempt) => {
                let source = self.generator.next_id();
                let nonce = self.random.bytes();
                let length = answer::retry(attempt, source, self.acceptor.tokens().keys(), unix_time, nonce, out)?;
                self.counts.retries += 1;
                Some(length)
            }
            Answer::Refuse(attempt) => self.write_close(attempt, TransportErrorCode::CONNECTION_REFUSED, out),
            Answer::InvalidToken(attempt) => self.write_close(attempt, TransportErrorCode::INVALID_TOKEN, out),
            Answer::VersionNegotiation(ids) => {
                let random = self.random.number();
                let versions = &self.settings.config.versions;
                let length = version_negotiation::write(&ids.destination, &ids.source, versions, random, out)?;
                self.counts.version_negotiations += 1;
                Some(length)
            }
            Answer::Reset { destination, received } => {
                let random: [u8; ResetKey::RANDOM] = self.random.bytes();
                let length = self.reset_key.write(destination, *received, &random, out)?;
                self.counts.resets_sent += 1;
                Some(length)
            }
            Answer::Farewell(datagram) => {
                out.get_mut(..datagram.len())?.copy_from_slice(datagram);
                Some(datagram.len())
            }
        }
    }

    fn write_close(&mut self, attempt: &Attempt, code: TransportErrorCode, out: &mut [u8]) -> Option<usize> {
        let suite = InitialSuite::of_server(self.settings.server.as_deref()?);
        let source = self.generator.next_id();
        let length = answer::close(attempt, source, suite, code, out)?;
        self.counts.refused += u64::from(code == TransportErrorCode::CONNECTION_REFUSED);
        Some(length)
    }
}
