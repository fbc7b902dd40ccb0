//! What became of the requests: counts and latencies.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use parking_lot::Mutex;
use quicast::http3::Error;

use crate::error::Failure;
use crate::perf::latency::Latency;

/// A request that is begun so much after it was due is late.
pub(super) const LATE: Duration = Duration::from_millis(1);

/// Why a request failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// It was answered, but with another status than expected.
    Status,
    /// No complete answer came in time.
    Timeout,
    /// The connection ended.
    Connection,
    /// The server reset or stopped the stream.
    Reset,
    /// The answer, or the server's part of the connection, breaks the rules.
    Protocol,
    /// It cannot be sent like this.
    Unsendable,
}

impl Fault {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Status, "failed_status"),
        (Self::Timeout, "failed_timeout"),
        (Self::Connection, "failed_connection_lost"),
        (Self::Reset, "failed_reset"),
        (Self::Protocol, "failed_protocol"),
        (Self::Unsendable, "failed_unsendable"),
    ];

    pub(super) const fn of(error: &Error) -> Self {
        match error {
            Error::Reset(_) | Error::Stopped(_) | Error::Blocked => Self::Reset,
            Error::Message(_) | Error::Protocol(_) => Self::Protocol,
            Error::Unsendable(_) | Error::Body(_) => Self::Unsendable,
            Error::Unprocessed | Error::Connection(_) | Error::Cancelled => Self::Connection,
        }
    }
}

/// A complete answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Of content.
    pub(super) bytes: u64,
    /// From when it was due, or began, to its head.
    pub(super) first: Duration,
    /// And to its end.
    pub(super) total: Duration,
}

/// What became of requests.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) first: Latency,
    pub(super) total: Latency,
    /// Begun, with or without an end so far.
    pub(super) begun: u64,
    pub(super) answered: u64,
    /// 1xx to 5xx. The first never happens: those are not final.
    pub(super) statuses: [u64; 5],
    pub(super) bytes: u64,
    pub(super) faults: [u64; Fault::ALL.len()],
    /// Made again on another connection, since the server had done nothing with them.
    pub(super) retried: u64,
    /// Begun more than [`LATE`] after they were due.
    pub(super) late: u64,
    /// How late the latest was begun.
    pub(super) latest: Duration,
}

impl Tally {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            first: Latency::new()?,
            total: Latency::new()?,
            begun: 0,
            answered: 0,
            statuses: [0; 5],
            bytes: 0,
            faults: [0; Fault::ALL.len()],
            retried: 0,
            late: 0,
            latest: Duration::ZERO,
        })
    }

    /// One more is begun, so long after it was due.
    pub(super) fn begin(&mut self, late: Duration) {
        self.begun += 1;
        self.late += u64::from(late > LATE);
        self.latest = self.latest.max(late);
    }

    /// It has its answer, which is the expected one or not.
    pub(super) fn answer(&mut self, answer: Answer, expected: bool) {
        self.answered += 1;
        self.bytes += answer.bytes;
        let class = usize::from(answer.status / 100).saturating_sub(1);
        if let Some(count) = self.statuses.get_mut(class) {
            *count += 1;
        }
        self.first.record(answer.first);
        self.total.record(answer.total);
        if !expected {
            self.faults[Fault::Status as usize] += 1;
        }
    }

    /// It has none.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// It will be begun once more.
    pub(super) fn retry(&mut self) {
        self.begun -= 1;
        self.retried += 1;
    }

    /// How many failed.
    pub(super) fn failed(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// How many have neither an answer nor failed.
    pub(super) fn unfinished(&self) -> u64 {
        let wrong_status = self.faults[Fault::Status as usize];
        self.begun.saturating_sub(self.answered + self.failed() - wrong_status)
    }

    fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.first.add(&other.first)?;
        self.total.add(&other.total)?;
        self.begun += other.begun;
        self.answered += other.answered;
        self.statuses.iter_mut().zip(other.statuses).for_each(|(sum, more)| *sum += more);
        self.bytes += other.bytes;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
        self.retried += other.retried;
        self.late += other.late;
        self.latest = self.latest.max(other.latest);
        Ok(())
    }
}

/// One tally for each thread that connections live on: who counts never waits, and histograms are as many as threads,
/// however many connections there are.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<HashMap<ThreadId, Arc<Mutex<Tally>>>>);

impl Tallies {
    /// This thread's.
    pub(super) fn here(&self) -> Result<Arc<Mutex<Tally>>, Failure> {
        let mut all = self.0.lock();
        if let Some(tally) = all.get(&std::thread::current().id()) {
            return Ok(tally.clone());
        }
        let tally = Arc::new(Mutex::new(Tally::new()?));
        all.insert(std::thread::current().id(), tally.clone());
        Ok(tally)
    }

    /// All together, now.
    pub(super) fn sum(&self) -> Result<Tally, Failure> {
        let mut sum = Tally::new()?;
        self.0.lock().values().try_for_each(|tally| sum.add(&tally.lock()))?;
        Ok(sum)
    }

    /// Answers and failures so far.
    pub(super) fn progress(&self) -> (u64, u64) {
        self.0.lock().values().fold((0, 0), |(answered, failed), tally| {
            let tally = tally.lock();
            (answered + tally.answered, failed + tally.failed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { status, bytes: 10, first: Duration::from_micros(5), total: Duration::from_micros(20) }
    }

    #[test]
    fn each_request_is_counted_once_whatever_became_of_it() {
        let mut tally = Tally::new().unwrap();
        for late in [0, 999, 1_000, 1_001, 5_000] {
            tally.begin(Duration::from_micros(late));
        }
        assert_eq!((tally.late, tally.latest, tally.unfinished()), (2, Duration::from_millis(5), 5));
        tally.answer(answer(200), true);
        tally.answer(answer(404), false);
        tally.fail(Fault::Timeout);
        tally.retry();
        assert_eq!((tally.begun, tally.answered, tally.failed(), tally.unfinished()), (4, 2, 2, 1));
        assert_eq!((tally.statuses, tally.bytes, tally.retried), ([0, 1, 0, 1, 0], 20, 1));
        assert_eq!((tally.total.count(), tally.first.percentile(100.0).unwrap().round()), (2, 5.0));
    }

    #[test]
    fn kinds_of_faults_stand_where_they_are_named() {
        for (place, (fault, _)) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place);
        }
    }

    #[test]
    fn threads_count_apart_and_are_told_together() {
        let tallies = Arc::new(Tallies::default());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let tallies = tallies.clone();
                std::thread::spawn(move || {
                    let mine = tallies.here().unwrap();
                    assert!(Arc::ptr_eq(&mine, &tallies.here().unwrap()));
                    mine.lock().begin(Duration::ZERO);
                    mine.lock().answer(answer(500), false);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let sum = tallies.sum().unwrap();
        assert_eq!((sum.begun, sum.statuses[4], sum.total.count()), (3, 3, 3));
        assert_eq!(tallies.progress(), (3, 3));
    }
}
