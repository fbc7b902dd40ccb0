//! [`Amplification`]: how much may be sent to an address that has not proven to be the peer's (RFC 9000 §8).

use crate::limits::AMPLIFICATION_FACTOR;

/// The account of one path: bytes of UDP payload that came and went, of every kind.
#[derive(Clone, Copy, Debug)]
pub struct Amplification {
    received: u64,
    sent: u64,
    validated: bool,
}

impl Amplification {
    /// An empty account; a validated one is never overdrawn.
    pub const fn new(validated: bool) -> Self {
        Self { received: 0, sent: 0, validated }
    }

    /// A datagram of so many bytes came from there, whatever became of its packets.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1
    //# For the purposes of avoiding amplification prior to address
    //# validation, servers MUST count all of the payload bytes received in datagrams
    //# that are uniquely attributed to a single connection.
    pub fn on_received(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    /// So many bytes were sent there, in whatever they were.
    pub fn on_sent(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.allowance(), "{bytes} bytes were sent where {} may be", self.allowance());
        self.sent = self.sent.saturating_add(bytes);
    }

    /// The address is the peer's.
    pub fn validate(&mut self) {
        self.validated = true;
    }

    /// Whether the address is the peer's.
    pub const fn is_validated(&self) -> bool {
        self.validated
    }

    /// How many bytes may be sent there now; `u64::MAX` once the address is validated.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8
    //# Therefore,
    //# after receiving packets from an address that is not yet validated, an endpoint
    //# MUST limit the amount of data it sends to the unvalidated address to three times
    //# the amount of data received from that address.
    pub const fn allowance(&self) -> u64 {
        if self.validated {
            return u64::MAX;
        }
        self.received.saturating_mul(AMPLIFICATION_FACTOR).saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc9000#section-8
    //= type=test
    //# Therefore,
    //# after receiving packets from an address that is not yet validated, an endpoint
    //# MUST limit the amount of data it sends to the unvalidated address to three times
    //# the amount of data received from that address.
    #[test]
    fn three_times_what_came_may_go() {
        let mut account = Amplification::new(false);
        assert_eq!(account.allowance(), 0);
        account.on_received(1200);
        assert_eq!(account.allowance(), 3600);
        account.on_sent(3600);
        assert_eq!(account.allowance(), 0);
        account.on_received(1);
        assert_eq!(account.allowance(), 3);
        account.validate();
        assert_eq!(account.allowance(), u64::MAX);
    }

    #[test]
    fn absurd_numbers_saturate() {
        let mut account = Amplification::new(false);
        account.on_received(u64::MAX);
        account.on_received(u64::MAX);
        assert_eq!(account.allowance(), u64::MAX);
    }
}
