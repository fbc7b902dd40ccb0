//! Flow control, once for every kind of limit (RFC 9000 §4): [`Credit`] is what a sender may still use, [`Window`] is
//! what a receiver has promised to take.
//!
//! Both count upwards forever and are compared, never subtracted from each other across the wire: a limit is an
//! absolute number, so one that arrives late or twice does no harm. Neither knows whether it counts the bytes of a
//! stream, the bytes of a connection, or streams.

use std::fmt;
use std::time::Duration;

use codec::{Time, VarInt};

/// What the peer permits us: an absolute limit, and how much of it is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Credit {
    limit: u64,
    used: u64,
    reported: Option<u64>,
}

/// More was to be used than the limit permits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer's limit does not permit it")
    }
}

impl std::error::Error for Exhausted {}

impl Credit {
    /// Nothing used of `limit`.
    pub const fn new(limit: u64) -> Self {
        Self { limit, used: 0, reported: None }
    }

    /// Raises the limit. Returns how much may be used now, or `None` if nothing changed.
    pub const fn raise(&mut self, limit: u64) -> Option<u64> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
        //# A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do
        //# not increase flow control limits.
        if limit <= self.limit {
            return None;
        }
        self.limit = limit;
        Some(self.available())
    }

    /// Uses `amount` of what is available, all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if less is available.
    pub const fn consume(&mut self, amount: u64) -> Result<(), Exhausted> {
        if amount > self.available() {
            return Err(Exhausted);
        }
        self.used = self.used.saturating_add(amount);
        Ok(())
    }

    /// The highest limit the peer named.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// How much was used in all.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// How much may still be used.
    pub const fn available(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Whether nothing is available, and the peer was not told so at this limit.
    pub const fn is_report_due(&self) -> bool {
        let reported = match self.reported {
            Some(limit) => limit == self.limit,
            None => false,
        };
        self.available() == 0 && !reported
    }

    /// The limit to name in a *_BLOCKED frame. It is due once for each limit.
    pub const fn report(&mut self) -> u64 {
        self.reported = Some(self.limit);
        self.limit
    }

    /// The *_BLOCKED frame that named `limit` was lost: it is due again if that is still what blocks us.
    pub fn on_report_lost(&mut self, limit: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
        //# A new frame is sent if a packet containing
        //# the most recent frame for a scope is lost, but only while the endpoint is
        //# blocked on the corresponding limit.
        if self.reported == Some(limit) {
            self.reported = None;
        }
    }
}

/// What we permit the peer: a limit that moves on as the application consumes, and grows with its speed.
///
/// The limit stays `size` ahead of what was consumed. When half a window is consumed in less than two round trips, the
/// window is what holds the peer back, and it is doubled, up to a maximum. A new limit is announced when a quarter of
/// the window is consumed.
#[derive(Clone, Debug)]
pub struct Window {
    received: u64,
    consumed: u64,
    announced: u64,
    size: u64,
    size_maximum: u64,
    // When measuring how fast the application is began, and what was consumed then.
    since: Time,
    consumed_then: u64,
    // The newest announcement was lost.
    repeat: bool,
}

/// The peer sent more than was announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overrun;

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more was received than the announced limit permits")
    }
}

impl std::error::Error for Overrun {}

impl Window {
    /// A window of `size`, already announced (as transport parameters are), that may grow to `size_maximum`.
    pub const fn new(size: u64, size_maximum: u64) -> Self {
        let size_maximum = if size_maximum < size { size } else { size_maximum };
        Self {
            received: 0,
            consumed: 0,
            announced: size,
            size,
            size_maximum,
            since: Time::ZERO,
            consumed_then: 0,
            repeat: false,
        }
    }

    /// By how much receiving up to `end` would raise what was received; zero if it was already there.
    ///
    /// # Errors
    ///
    /// [`Overrun`] if `end` is beyond what was announced: FLOW_CONTROL_ERROR.
    pub const fn growth(&self, end: u64) -> Result<u64, Overrun> {
        if end > self.announced { Err(Overrun) } else { Ok(end.saturating_sub(self.received)) }
    }

    /// The peer used `growth` more, as permitted by [`Self::growth`].
    pub fn receive(&mut self, now: Time, growth: u64) {
        debug_assert!(growth <= self.announced.saturating_sub(self.received), "judged by growth() before");
        if self.received == 0 && growth > 0 {
            // A window that lay idle says nothing about the application's speed.
            self.since = now;
        }
        self.received = self.received.saturating_add(growth);
    }

    /// The application consumed `amount` of what was received; `round_trip` is the smoothed RTT.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if less than that was received and not consumed: a fault of ours.
    pub fn consume(&mut self, now: Time, amount: u64, round_trip: Duration) -> Result<(), Exhausted> {
        if amount > self.charged() {
            return Err(Exhausted);
        }
        self.consumed = self.consumed.saturating_add(amount);
        if self.consumed.saturating_sub(self.consumed_then) >= self.size / 2 {
            if now.saturating_since(self.since) < round_trip.saturating_mul(2) {
                self.size = self.size.saturating_mul(2).min(self.size_maximum);
            }
            self.since = now;
            self.consumed_then = self.consumed;
        }
        Ok(())
    }

    /// The peer used `growth` more, as permitted by [`Self::growth`], and nobody has to take it: it is consumed as it
    /// comes. It says nothing about the application's speed.
    pub fn discard(&mut self, growth: u64) {
        debug_assert!(growth <= self.announced.saturating_sub(self.received), "judged by growth() before");
        self.received = self.received.saturating_add(growth);
        self.consumed = self.consumed.saturating_add(growth);
        self.consumed_then = self.consumed_then.saturating_add(growth);
    }

    /// Nobody will take `amount` of what was received any more: it is consumed, and says nothing about the application's
    /// speed.
    ///
    /// # Errors
    ///
    /// As [`Self::consume`].
    pub const fn forgive(&mut self, amount: u64) -> Result<(), Exhausted> {
        if amount > self.charged() {
            return Err(Exhausted);
        }
        self.consumed = self.consumed.saturating_add(amount);
        self.consumed_then = self.consumed_then.saturating_add(amount);
        Ok(())
    }

    /// Whether a limit is worth a frame: a quarter of the window lies between it and what was announced, or the last
    /// announcement was lost.
    pub const fn is_announcement_due(&self) -> bool {
        let gain = self.target().saturating_sub(self.announced);
        self.repeat || (gain > 0 && gain >= self.size / 4)
    }

    /// The limit to name in a MAX_* frame that is being written. From now on the peer may use it.
    pub fn announce(&mut self) -> u64 {
        self.repeat = false;
        self.announced = self.announced.max(self.target());
        self.announced
    }

    /// The MAX_* frame that named `maximum` was lost: unless a newer one is on its way, one is due with the limit as it
    /// is then.
    pub fn on_announcement_lost(&mut self, maximum: u64) {
        self.repeat |= maximum == self.announced;
    }

    /// Bounds the size that auto-tuning may reach; a window that is already larger stays as it is.
    pub fn set_size_maximum(&mut self, size_maximum: u64) {
        self.size_maximum = size_maximum.max(self.size);
    }

    /// The most that was received.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// How much of it was consumed.
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// What was received and not consumed: at least as much as anyone holds.
    pub const fn charged(&self) -> u64 {
        self.received.saturating_sub(self.consumed)
    }

    /// The limit the peer was told.
    pub const fn announced(&self) -> u64 {
        self.announced
    }

    /// How far the limit stays ahead of what was consumed.
    pub const fn size(&self) -> u64 {
        self.size
    }

    const fn target(&self) -> u64 {
        let target = self.consumed.saturating_add(self.size);
        if target > VarInt::MAX.into_inner() { VarInt::MAX.into_inner() } else { target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
    //= type=test
    //# A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do
    //# not increase flow control limits.
    #[test]
    fn a_lower_limit_changes_nothing() {
        let mut credit = Credit::new(100);
        credit.consume(30).unwrap();
        assert_eq!(credit.raise(50), None);
        assert_eq!(credit.raise(100), None);
        assert_eq!(credit.available(), 70);
        assert_eq!(credit.raise(101), Some(71));
    }

    #[test]
    fn no_more_is_used_than_is_available() {
        let mut credit = Credit::new(10);
        assert_eq!(credit.consume(11), Err(Exhausted));
        assert_eq!(credit.used(), 0);
        credit.consume(10).unwrap();
        assert_eq!((credit.available(), credit.used()), (0, 10));
    }

    #[test]
    fn being_blocked_is_reported_once_for_each_limit_and_again_when_the_report_is_lost() {
        let mut credit = Credit::new(10);
        assert!(!credit.is_report_due());
        credit.consume(10).unwrap();
        assert!(credit.is_report_due());
        assert_eq!(credit.report(), 10);
        assert!(!credit.is_report_due());
        credit.on_report_lost(10);
        assert!(credit.is_report_due());
        credit.report();
        credit.raise(11);
        assert!(!credit.is_report_due());
        credit.consume(1).unwrap();
        assert!(credit.is_report_due());
        credit.report();
        credit.on_report_lost(10);
        assert!(!credit.is_report_due(), "a newer report is on its way");
    }

    #[test]
    fn a_window_permits_exactly_what_was_announced() {
        let mut window = Window::new(100, 100);
        assert_eq!(window.growth(100), Ok(100));
        assert_eq!(window.growth(101), Err(Overrun));
        window.receive(at(0), 60);
        assert_eq!(window.growth(40), Ok(0));
        assert_eq!(window.growth(61), Ok(1));
    }

    #[test]
    fn a_new_limit_is_due_when_a_quarter_is_consumed_and_counts_only_once_announced() {
        let mut window = Window::new(100, 100);
        window.receive(at(0), 100);
        window.consume(at(0), 24, ROUND_TRIP).unwrap();
        assert!(!window.is_announcement_due());
        window.consume(at(0), 1, ROUND_TRIP).unwrap();
        assert!(window.is_announcement_due());
        assert_eq!(window.growth(101), Err(Overrun));
        assert_eq!(window.announce(), 125);
        assert_eq!(window.growth(125), Ok(25));
        assert!(!window.is_announcement_due());
    }

    #[test]
    fn a_lost_announcement_is_repeated_with_the_current_value_unless_a_newer_one_left() {
        let mut window = Window::new(100, 100);
        window.receive(at(0), 100);
        window.consume(at(0), 25, ROUND_TRIP).unwrap();
        assert_eq!(window.announce(), 125);
        window.consume(at(0), 1, ROUND_TRIP).unwrap();
        window.on_announcement_lost(125);
        assert!(window.is_announcement_due());
        assert_eq!(window.announce(), 126);
        window.on_announcement_lost(125);
        assert!(!window.is_announcement_due());
    }

    #[test]
    fn a_window_doubles_when_half_of_it_goes_in_less_than_two_round_trips() {
        let mut window = Window::new(100, 300);
        window.receive(at(5_000), 100);
        window.consume(at(5_199), 50, ROUND_TRIP).unwrap();
        assert_eq!(window.size(), 200);
        window.consume(at(5_200), 49, ROUND_TRIP).unwrap();
        assert_eq!(window.announce(), 299);
        window.receive(at(5_200), 199);
        window.consume(at(5_300), 60, ROUND_TRIP).unwrap();
        assert_eq!(window.size(), 300, "not beyond the maximum");
    }

    #[test]
    fn a_slow_reader_keeps_its_window() {
        let mut window = Window::new(100, 1000);
        window.receive(at(0), 100);
        window.consume(at(200), 50, ROUND_TRIP).unwrap();
        window.consume(at(400), 50, ROUND_TRIP).unwrap();
        assert_eq!(window.size(), 100);
    }

    #[test]
    fn discarding_moves_the_limit_and_does_not_grow_the_window() {
        let mut window = Window::new(100, 1000);
        for _ in 0..10 {
            window.discard(50);
            window.receive(at(0), 50);
            window.forgive(50).unwrap();
            assert!(window.is_announcement_due());
            window.announce();
        }
        window.receive(at(0), 100);
        window.consume(at(1), 49, ROUND_TRIP).unwrap();
        assert_eq!((window.size(), window.charged()), (100, 51));
    }

    #[test]
    fn nothing_is_consumed_that_was_not_received() {
        let mut window = Window::new(100, 100);
        window.receive(at(0), 10);
        assert_eq!(window.consume(at(0), 11, ROUND_TRIP), Err(Exhausted));
        assert_eq!(window.consume(at(0), 10, ROUND_TRIP), Ok(()));
        assert_eq!(window.charged(), 0);
    }

    #[test]
    fn an_empty_window_announces_nothing_and_a_huge_one_stays_encodable() {
        assert!(!Window::new(0, 0).is_announcement_due());
        let mut window = Window::new(u64::MAX >> 2, u64::MAX);
        window.receive(at(0), 1000);
        window.consume(at(0), 1000, ROUND_TRIP).unwrap();
        assert!(window.announce() <= VarInt::MAX.into_inner());
    }
}
