//! How many streams of one direction the peer may open (RFC 9000 §4.6), and how fast credit comes back.

use std::time::Duration;

use codec::Time;

use crate::flow::{Credit, Exhausted};

/// The streams that we open, of one direction: the peer's limit, and whether it keeps somebody waiting.
#[derive(Debug, Default)]
pub(super) struct OurStreams {
    credit: Credit,
    waits: bool,
    reported: Option<u64>,
}

impl OurStreams {
    /// How many the peer permits.
    pub(super) const fn limit(&self) -> u64 {
        self.credit.limit()
    }

    /// The index of the next stream that is not open yet.
    pub(super) const fn opened(&self) -> u64 {
        self.credit.used()
    }

    /// The peer permits `limit`. Returns whether these are more than before.
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
        //# MAX_STREAMS frames that do not
        //# increase the stream limit MUST be ignored.
        let raised = self.credit.raise(limit).is_some();
        if raised {
            self.waits = false;
        }
        raised
    }

    /// Counts one more as open.
    pub(super) const fn open(&mut self) -> Result<(), Exhausted> {
        self.credit.consume(1)
    }

    /// Somebody waits to open a stream.
    pub(super) const fn on_wanted(&mut self) {
        self.waits = true;
    }

    /// Whether the peer has to be told that somebody waits.
    pub(super) fn is_report_due(&self) -> bool {
        self.waits && self.reported != Some(self.limit())
    }

    /// The limit to name in a STREAMS_BLOCKED frame that is being written.
    pub(super) const fn report(&mut self) -> u64 {
        self.reported = Some(self.limit());
        self.limit()
    }

    /// The STREAMS_BLOCKED frame that named `limit` was lost.
    pub(super) fn on_report_lost(&mut self, limit: u64) {
        if self.reported == Some(limit) {
            self.reported = None;
        }
    }
}

/// The streams that the peer opens, of one direction.
///
/// The limit stays `at_once` ahead of the streams whose credit was returned. A stream that finished returns its credit
/// at once. One that was cancelled, by whichever end, returns it at most `at_once` times in a round trip: so opening
/// and cancelling streams ("rapid reset") is never faster than using them.
#[derive(Debug)]
pub(super) struct PeerStreams {
    at_once: u64,
    opened: u64,
    announced: u64,
    returned: u64,
    owed: u64,
    repeat: bool,
    // Whether a new limit is worth a frame: asked for every packet, and so kept from when it changes.
    due: bool,
    // A token bucket: credits of cancelled streams that may be returned now, as of `since`.
    level: u64,
    since: Time,
}

impl PeerStreams {
    pub(super) const fn new(at_once: u64) -> Self {
        let at_once = if at_once > MAXIMUM { MAXIMUM } else { at_once };
        Self {
            at_once,
            opened: 0,
            announced: at_once,
            returned: 0,
            owed: 0,
            repeat: false,
            due: false,
            level: at_once,
            since: Time::ZERO,
        }
    }

    /// The index of the next stream that is not open yet.
    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }

    /// Counts one more as open. The caller has compared with [`Self::announced`].
    pub(super) const fn open(&mut self) {
        self.opened += 1;
        self.judge();
    }

    /// The limit the peer was told: streams of a lower index may be opened.
    pub(super) const fn announced(&self) -> u64 {
        self.announced
    }

    /// A stream that finished is gone.
    pub(super) const fn on_finished(&mut self) {
        self.returned += 1;
        self.judge();
    }

    /// A stream that was cancelled is gone. Returns whether its credit has to wait.
    pub(super) fn on_cancelled(&mut self, now: Time, round_trip: Duration) -> bool {
        self.owed += 1;
        self.settle(now, round_trip);
        self.owed > 0
    }

    /// Returns what credit of cancelled streams may be returned by now.
    pub(super) fn settle(&mut self, now: Time, round_trip: Duration) {
        self.refill(now, round_trip);
        let paid = self.owed.min(self.level);
        self.owed -= paid;
        self.level -= paid;
        self.returned += paid;
        self.judge();
    }

    /// When enough of what is owed can be returned to be worth a frame.
    pub(super) fn deadline(&self, round_trip: Duration) -> Option<Time> {
        if self.owed == 0 || self.at_once == 0 {
            return None;
        }
        let wanted = self.owed.min((self.at_once / 8).max(1)).saturating_sub(self.level);
        let wait = u128::from(wanted) * interval(round_trip).as_nanos();
        let wait = wait.div_ceil(u128::from(self.at_once));
        Some(self.since + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Whether a new limit is worth a frame: the peer is about to run out, or a quarter of the limit came together.
    pub(super) const fn is_announcement_due(&self) -> bool {
        debug_assert!(self.due == self.is_worth_a_frame(), "judged after each change");
        self.due
    }

    /// The limit to name in a MAX_STREAMS frame that is being written.
    pub(super) fn announce(&mut self) -> u64 {
        self.repeat = false;
        self.announced = self.announced.max(self.target());
        self.judge();
        self.announced
    }

    /// The MAX_STREAMS frame that named `maximum` was lost.
    pub(super) fn on_announcement_lost(&mut self, maximum: u64) {
        self.repeat |= maximum == self.announced;
        self.judge();
    }

    /// After anything that [`Self::is_announcement_due`] depends on.
    const fn judge(&mut self) {
        self.due = self.is_worth_a_frame();
    }

    const fn is_worth_a_frame(&self) -> bool {
        let gain = self.target().saturating_sub(self.announced);
        let left = self.announced.saturating_sub(self.opened);
        self.repeat || (gain > 0 && (left < self.at_once.div_ceil(2) || gain >= self.at_once / 4))
    }

    const fn target(&self) -> u64 {
        let target = self.at_once.saturating_add(self.returned);
        if target > MAXIMUM { MAXIMUM } else { target }
    }

    fn refill(&mut self, now: Time, round_trip: Duration) {
        let interval = interval(round_trip).as_nanos();
        let limit = u128::from(self.at_once);
        let gained = now.saturating_since(self.since).as_nanos() * limit / interval;
        match u64::try_from(gained) {
            Ok(gained) if gained < self.at_once - self.level => {
                self.level += gained;
                // Only the time that made whole credits is used up.
                let used = u128::from(gained) * interval / limit.max(1);
                self.since += Duration::from_nanos(u64::try_from(used).unwrap_or(u64::MAX));
            }
            _ => {
                self.level = self.at_once;
                self.since = self.since.max(now);
            }
        }
    }
}

/// The time in which as many credits are returned as streams may be open: a round trip, but never so short that timers
/// would be set for less than they can measure.
fn interval(round_trip: Duration) -> Duration {
    round_trip.max(Duration::from_millis(1))
}

/// The largest number of streams (RFC 9000 §4.6).
pub(super) const MAXIMUM: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    fn exhausted(at_once: u64) -> PeerStreams {
        let mut streams = PeerStreams::new(at_once);
        for _ in 0..at_once {
            streams.open();
        }
        streams
    }

    #[test]
    fn finished_streams_return_their_credit_at_once() {
        let mut streams = exhausted(100);
        assert!(!streams.is_announcement_due());
        streams.on_finished();
        assert!(streams.is_announcement_due(), "the peer has none left");
        assert_eq!(streams.announce(), 101);
        assert!(!streams.is_announcement_due());
    }

    #[test]
    fn while_the_peer_has_plenty_credit_is_collected() {
        let mut streams = PeerStreams::new(100);
        streams.open();
        streams.on_finished();
        assert!(!streams.is_announcement_due());
        for _ in 1..25 {
            streams.open();
            streams.on_finished();
        }
        assert_eq!(streams.announce(), 125);
    }

    #[test]
    fn cancelled_streams_return_their_credit_once_per_round_trip() {
        let mut streams = exhausted(100);
        for _ in 0..100 {
            assert!(!streams.on_cancelled(at(1000), ROUND_TRIP), "the bucket was full");
        }
        assert_eq!(streams.announce(), 200);
        for _ in 0..100 {
            streams.open();
            assert!(streams.on_cancelled(at(1000), ROUND_TRIP));
        }
        assert!(!streams.is_announcement_due());
        assert_eq!(
            streams.deadline(ROUND_TRIP),
            Some(at(1012)),
            "an eighth of the limit, in an eighth of a round trip"
        );
        streams.settle(at(1012), ROUND_TRIP);
        assert_eq!(streams.announce(), 212);
        streams.settle(at(1050), ROUND_TRIP);
        assert_eq!(streams.announce(), 250);
        streams.settle(at(1100), ROUND_TRIP);
        assert_eq!((streams.announce(), streams.deadline(ROUND_TRIP)), (300, None));
    }

    #[test]
    fn fractions_of_credit_are_not_lost() {
        let mut streams = exhausted(3);
        for _ in 0..3 {
            streams.on_cancelled(at(0), ROUND_TRIP);
        }
        for _ in 0..3 {
            streams.open();
            streams.on_cancelled(at(0), ROUND_TRIP);
        }
        for millisecond in 0..=101 {
            streams.settle(at(millisecond), ROUND_TRIP);
        }
        assert_eq!(streams.announce(), 9);
    }

    #[test]
    fn a_lost_announcement_is_repeated_unless_a_newer_one_is_on_its_way() {
        let mut streams = exhausted(1);
        streams.on_finished();
        assert_eq!(streams.announce(), 2);
        streams.on_announcement_lost(2);
        assert!(streams.is_announcement_due());
        streams.open();
        streams.on_finished();
        assert_eq!(streams.announce(), 3);
        streams.on_announcement_lost(2);
        assert!(!streams.is_announcement_due());
    }

    #[test]
    fn somebody_waiting_is_reported_once_for_each_limit() {
        let mut streams = OurStreams::default();
        assert!(!streams.is_report_due());
        streams.on_wanted();
        assert!(streams.is_report_due());
        assert_eq!(streams.report(), 0);
        streams.on_wanted();
        assert!(!streams.is_report_due());
        streams.on_report_lost(0);
        assert!(streams.is_report_due());
        assert!(!streams.raise(0));
        assert!(streams.raise(1));
        assert!(!streams.is_report_due(), "whoever waited has its turn now");
        assert_eq!((streams.open(), streams.open()), (Ok(()), Err(Exhausted)));
    }

    #[test]
    fn no_streams_means_no_streams() {
        let mut streams = PeerStreams::new(0);
        streams.settle(at(5), ROUND_TRIP);
        assert!(!streams.is_announcement_due());
        assert_eq!(streams.deadline(ROUND_TRIP), None);
    }
}
