//! [`Requests`]: how many requests of a connection are under way, and for how long none was.
//!
//! HTTP/1.1 needs none of this: hyper's clock for a request's head runs between requests too. Of HTTP/2, where a client may
//! keep a connection busy with frames that ask for nothing (PING, or a head that never ends), hyper bounds no time. Its
//! `keep_alive` would only add to what moves, and a client that is gone without a word is found out by silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The requests of a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Requests(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    begun: AtomicU64,
    underway: AtomicUsize,
    /// When the last one ended, in microseconds.
    ended: AtomicU64,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            begun: AtomicU64::new(0),
            underway: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
        }))
    }

    /// One more, until this is dropped.
    pub(super) fn begin(&self) -> Underway {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.underway.fetch_add(1, Ordering::Relaxed);
        Underway(self.0.clone())
    }

    /// Waits until there was none for so long: not a first one, or none since the last.
    pub(super) async fn none_for(&self, first: Duration, next: Duration) {
        let state = &self.0;
        loop {
            let patience = if state.begun.load(Ordering::Relaxed) == 0 { first } else { next };
            let now = Instant::now();
            let end = if state.underway.load(Ordering::Relaxed) == 0 {
                state.began + Duration::from_micros(state.ended.load(Ordering::Relaxed)) + patience
            } else {
                now + patience
            };
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Underway(Arc<State>);

impl Drop for Underway {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.ended.fetch_max(now, Ordering::Relaxed);
        self.0.underway.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(10);
    const NEXT: Duration = Duration::from_secs(60);

    async fn seconds_without(requests: &Requests) -> f64 {
        let began = Instant::now();
        requests.none_for(FIRST, NEXT).await;
        (began.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_is_waited_for_less_than_the_next() {
        assert_eq!(seconds_without(&Requests::new()).await, 10.0);
        let requests = Requests::new();
        drop(requests.begin());
        assert_eq!(seconds_without(&requests).await, 60.0);
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_is_under_way_there_is_no_end() {
        let requests = Requests::new();
        let (one, other) = (requests.begin(), requests.begin());
        drop(one);
        let waiting = tokio::spawn({
            let requests = requests.clone();
            async move { seconds_without(&requests).await }
        });
        tokio::time::sleep(Duration::from_secs(1_000)).await;
        assert!(!waiting.is_finished());
        drop(other);
        assert_eq!(waiting.await.unwrap(), 1_060.0);
    }
}
