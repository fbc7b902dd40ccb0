//! [`Application`]: when a flow has how much to send.

use std::time::Duration;

use codec::Time;

use crate::scenario::{Flow, Source};

/// What writes the data of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    source: Source,
    datagram_size: u64,
    /// When it began to write; `None` before.
    began: Option<Time>,
    /// Bytes that it will write at most.
    limit: u64,
    /// Bytes that were taken from it.
    taken: u64,
}

impl Application {
    pub(crate) fn new(flow: &Flow) -> Self {
        Self {
            source: flow.source,
            datagram_size: u64::from(flow.datagram_size.max(1)),
            began: None,
            limit: flow.bytes.unwrap_or(u64::MAX),
            taken: 0,
        }
    }

    pub(crate) fn begin(&mut self, now: Time) {
        self.began.get_or_insert(now);
    }

    /// It has nothing more to say.
    pub(crate) fn stop(&mut self) {
        self.limit = self.limit.min(self.taken);
    }

    /// Bytes that were written and not taken.
    pub(crate) fn waiting(&self, now: Time) -> u64 {
        let Some(began) = self.began else { return 0 };
        let elapsed = now.saturating_since(began);
        let written = match self.source {
            Source::Bulk => u64::MAX,
            Source::Rate(rate) => {
                let bytes = u128::from(rate) * elapsed.as_nanos() / 1_000_000_000;
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                bytes - bytes % self.datagram_size
            }
            Source::Messages { bytes, every } => bytes.saturating_mul(times(elapsed, every) + 1),
            Source::OnOff { on, off } => {
                if remainder(elapsed, on + off) < on {
                    u64::MAX
                } else {
                    self.taken
                }
            }
        };
        written.min(self.limit).saturating_sub(self.taken)
    }

    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) const fn take(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_add(bytes);
    }

    /// Whether all that it will ever write was taken.
    pub(crate) const fn is_done(&self) -> bool {
        self.taken >= self.limit
    }

    /// When it writes next, if nothing waits; [`Time::MAX`] if never again.
    pub(crate) fn next_at(&self, now: Time) -> Time {
        let Some(began) = self.began.filter(|_| !self.is_done()) else { return Time::MAX };
        let elapsed = now.saturating_since(began);
        match self.source {
            Source::Bulk | Source::Rate(0) => Time::MAX,
            Source::Rate(rate) => {
                let wanted = u128::from(self.taken - self.taken % self.datagram_size + self.datagram_size);
                let nanoseconds = (wanted * 1_000_000_000).div_ceil(u128::from(rate));
                began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
            }
            Source::Messages { every, .. } => began + every.max(NANOSECOND) * count(times(elapsed, every) + 1),
            Source::OnOff { on, off } => {
                let period = (on + off).max(NANOSECOND);
                let inside = remainder(elapsed, period);
                let next = if inside < on { on } else { period };
                now + (next - inside)
            }
        }
    }
}

const NANOSECOND: Duration = Duration::from_nanos(1);

fn times(elapsed: Duration, period: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos() / period.max(NANOSECOND).as_nanos()).unwrap_or(u64::MAX)
}

fn remainder(elapsed: Duration, period: Duration) -> Duration {
    let nanoseconds = elapsed.as_nanos() % period.max(NANOSECOND).as_nanos();
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

fn count(times: u64) -> u32 {
    u32::try_from(times).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use congestion::Algorithm;

    use super::*;

    fn application(source: Source, bytes: Option<u64>) -> Application {
        let flow = Flow { bytes, datagram_size: 1000, ..Flow::new(Algorithm::CUBIC).with_source(source) };
        let mut application = Application::new(&flow);
        assert_eq!(application.waiting(at(0)), 0, "before it begins");
        application.begin(at(100));
        application
    }

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn bulk_is_as_much_as_goes_up_to_its_limit() {
        let mut bulk = application(Source::Bulk, Some(1500));
        assert_eq!(bulk.waiting(at(100)), 1500);
        bulk.take(1000);
        assert_eq!((bulk.waiting(at(101)), bulk.is_done()), (500, false));
        bulk.stop();
        assert_eq!((bulk.waiting(at(101)), bulk.is_done(), bulk.next_at(at(101))), (0, true, Time::MAX));
    }

    #[test]
    fn a_rate_is_written_by_datagrams() {
        // 100,000 bytes a second are a datagram each 10 ms.
        let mut rate = application(Source::Rate(100_000), None);
        assert_eq!((rate.waiting(at(109)), rate.next_at(at(100))), (0, at(110)));
        assert_eq!(rate.waiting(at(125)), 2000);
        rate.take(2000);
        assert_eq!((rate.waiting(at(125)), rate.next_at(at(125))), (0, at(130)));
    }

    #[test]
    fn messages_come_at_their_times() {
        let mut messages = application(Source::Messages { bytes: 3000, every: Duration::from_millis(50) }, None);
        assert_eq!((messages.waiting(at(100)), messages.next_at(at(100))), (3000, at(150)));
        messages.take(3000);
        assert_eq!(
            (messages.waiting(at(149)), messages.waiting(at(150)), messages.next_at(at(150))),
            (0, 3000, at(200))
        );
    }

    #[test]
    fn on_and_off_alternate() {
        let (on, off) = (Duration::from_millis(30), Duration::from_millis(70));
        let mut source = application(Source::OnOff { on, off }, None);
        assert!(source.waiting(at(129)) > 1 << 60);
        assert_eq!(source.next_at(at(110)), at(130));
        source.take(5000);
        assert_eq!((source.waiting(at(130)), source.next_at(at(130))), (0, at(200)));
        assert!(source.waiting(at(200)) > 1 << 60);
    }
}
