//! [`Validation`]: proving that the peer is reached on a path (RFC 9000 §8.2).

use std::time::Duration;

use codec::Time;
use smallvec::SmallVec;

/// The probe timeout of a path whose round trip was never measured: kInitialRtt and four times its variation
/// (RFC 9002 §6.2.1, §6.2.2).
pub const INITIAL_PTO: Duration = Duration::from_millis(999);

/// Challenges whose answers are recognised at once; more than one validation sends before it is given up, unless the
/// probe timeout is below a few milliseconds.
const CHALLENGES: usize = 8;

/// One attempt to validate a path: PATH_CHALLENGE, repeated with growing pauses, until an answer or the end.
#[derive(Clone, Debug)]
pub struct Validation {
    sent: SmallVec<[Challenge; CHALLENGES]>,
    next: Next,
    pause: Duration,
    gives_up: Time,
}

#[derive(Clone, Copy, Debug)]
struct Challenge {
    data: [u8; 8],
    expanded: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// A challenge is to be sent as soon as it may.
    Wanted,
    /// The next one is due then.
    At(Time),
}

/// The answer to a challenge came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answered {
    /// Whether the challenge was in a datagram of 1200 bytes, so that the path is known to carry those.
    pub expanded: bool,
}

impl Validation {
    /// A validation that begins now. `pto` is the connection's probe timeout.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.4
    //# A value of three times the larger of the
    //# current PTO or the PTO for the new path (using kInitialRtt, as defined
    //# in [QUIC-RECOVERY]) is RECOMMENDED.
    pub fn start(now: Time, pto: Duration) -> Self {
        let gives_up = now + pto.max(INITIAL_PTO).saturating_mul(3);
        // Never zero, so that the pauses grow.
        let pause = pto.max(Duration::from_millis(1));
        Self { sent: SmallVec::new(), next: Next::Wanted, pause, gives_up }
    }

    /// Whether a challenge is to be sent now.
    pub fn is_wanted(&self) -> bool {
        self.next == Next::Wanted
    }

    /// A challenge with this data leaves now, in a datagram of at least 1200 bytes or not.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.4
    //# If the
    //# timer fires before the PATH_RESPONSE is received, the endpoint might send a new
    //# PATH_CHALLENGE and restart the timer for a longer period of time.
    pub fn on_sent(&mut self, now: Time, data: [u8; 8], expanded: bool) {
        if self.sent.len() == CHALLENGES {
            self.sent.remove(0);
        }
        self.sent.push(Challenge { data, expanded });
        self.next = Next::At(now + self.pause);
        self.pause = self.pause.saturating_mul(2);
    }

    /// Whether this is the answer to one of the challenges.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3
    //# Path validation succeeds when a PATH_RESPONSE frame is received that contains
    //# the data that was sent in a previous PATH_CHALLENGE frame.
    pub fn answered(&self, data: [u8; 8]) -> Option<Answered> {
        let challenge = self.sent.iter().find(|challenge| challenge.data == data)?;
        Some(Answered { expanded: challenge.expanded })
    }

    /// When [`Self::on_deadline`] is to be called.
    pub fn deadline(&self) -> Time {
        match self.next {
            Next::Wanted => self.gives_up,
            Next::At(at) => at.min(self.gives_up),
        }
    }

    /// Time went by. Whether the validation is to be given up.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.4
    //# Endpoints SHOULD abandon path validation based on a timer.
    #[must_use]
    pub fn on_deadline(&mut self, now: Time) -> bool {
        if matches!(self.next, Next::At(at) if at <= now) {
            self.next = Next::Wanted;
        }
        self.gives_up <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn challenges_are_repeated_with_growing_pauses_and_end_after_three_timeouts() {
        let mut validation = Validation::start(at(0), Duration::from_millis(100));
        let mut sent = Vec::new();
        let mut now = at(0);
        loop {
            if validation.is_wanted() {
                sent.push(now.as_nanos() / 1_000_000);
                validation.on_sent(now, [sent.len() as u8; 8], true);
            }
            now = validation.deadline();
            if validation.on_deadline(now) {
                break;
            }
        }
        assert_eq!(sent, [0, 100, 300, 700, 1500]);
        assert_eq!(now, at(2997));
        assert_eq!(validation.answered([1; 8]), Some(Answered { expanded: true }), "late answers count");
        assert_eq!(validation.answered([9; 8]), None);
    }

    #[test]
    fn a_slow_path_gets_three_of_its_own_timeouts() {
        let validation = Validation::start(at(0), Duration::from_secs(5));
        assert_eq!(validation.deadline(), at(15_000));
    }

    #[test]
    fn a_challenge_that_may_not_leave_does_not_wake_anybody() {
        let mut validation = Validation::start(at(0), Duration::from_millis(100));
        assert!(validation.is_wanted());
        assert_eq!(validation.deadline(), at(2997));
        assert!(!validation.on_deadline(at(100)));
        assert!(validation.on_deadline(at(2997)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut validation = Validation::start(at(0), Duration::ZERO);
        for number in 0..100 {
            validation.on_sent(at(number), [number as u8; 8], true);
        }
        assert_eq!(validation.sent.len(), CHALLENGES);
        assert!(validation.answered([99; 8]).is_some());
        assert!(validation.answered([0; 8]).is_none());
    }
}
