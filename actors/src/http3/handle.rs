//! [`Shared`]: what the handles of an HTTP/3 connection share with its actor.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use http::Request;
use http3::Settings;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::bell::{Bell, Source};
use super::error::Error;
use super::port::ExchangePort;

/// Requests that may wait here until the machine takes them, for each connection; whoever makes one more waits. The machine
/// has room for [`http3::limits::PENDING_REQUESTS`] that wait for a stream.
pub(crate) const WAITING_REQUESTS: usize = 256;

/// A request on its way to the machine.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: Box<Request<()>>,
    /// It has no content.
    pub(crate) end: bool,
    pub(crate) port: Arc<ExchangePort>,
    /// One of [`WAITING_REQUESTS`], given back when the machine has it.
    pub(crate) place: Place,
}

/// Room for one request.
pub(crate) type Place = OwnedSemaphorePermit;

impl Asked {
    /// There is nobody to make it any more: it was not processed, and whoever sends its content need not wait.
    fn refuse(self) {
        self.port.end_send(Error::Unprocessed);
        self.port.end(Err(Error::Unprocessed));
    }
}

/// What an application wants of the connection. Overtakes requests that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The first step of the end (RFC 9114 §5.2).
    AnnounceGoaway,
    /// The second.
    Goaway,
    /// The actor is to panic, to show what that costs.
    #[cfg(feature = "fault-injection")]
    Panic,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    bell: Arc<Bell>,
    state: Mutex<State>,
    places: Arc<Semaphore>,
    /// How often somebody had to wait for a place, since it was last asked.
    full: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Asked>,
    orders: VecDeque<Order>,
    settings: Option<Settings>,
    /// The peer said that it takes no more requests.
    going_away: bool,
    /// The application said that it makes no more.
    shut_down: bool,
    ended: bool,
    watchers: Vec<Waker>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            bell: Arc::default(),
            state: Mutex::default(),
            places: Arc::new(Semaphore::new(WAITING_REQUESTS)),
            full: AtomicU64::new(0),
        }
    }
}

impl Shared {
    pub(crate) const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Waits for room for a request.
    ///
    /// # Errors
    /// [`Error::Unprocessed`] if no more requests are made.
    pub(crate) async fn place(&self) -> Result<Place, Error> {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Ok(place),
            Err(TryAcquireError::Closed) => Err(Error::Unprocessed),
            Err(TryAcquireError::NoPermits) => {
                self.full.fetch_add(1, Ordering::Relaxed);
                // Who counts has to look.
                self.bell.ring(Source::Wishes);
                self.places.clone().acquire_owned().await.map_err(|_| Error::Unprocessed)
            }
        }
    }

    /// Makes a request.
    pub(crate) fn ask(&self, request: Asked) {
        let mut state = self.state.lock();
        if state.ended || state.shut_down {
            // Nobody will look any more.
            drop(state);
            request.refuse();
            return;
        }
        state.requests.push_back(request);
        drop(state);
        self.bell.ring(Source::Wishes);
    }

    pub(crate) fn order(&self, order: Order) {
        self.state.lock().orders.push_back(order);
        self.bell.ring(Source::Wishes);
    }

    /// No more requests are made, and those that were are the last.
    pub(crate) fn shut_down(&self) {
        self.places.close();
        self.state.lock().shut_down = true;
        self.order(Order::Goaway);
    }

    pub(crate) fn next_request(&self) -> Option<Asked> {
        self.state.lock().requests.pop_front()
    }

    pub(crate) fn next_order(&self) -> Option<Order> {
        self.state.lock().orders.pop_front()
    }

    /// Requests that wait are not made.
    pub(crate) fn refuse_waiting(&self) {
        let waiting = std::mem::take(&mut self.state.lock().requests);
        waiting.into_iter().for_each(Asked::refuse);
    }

    /// How many more requests may wait.
    pub(crate) fn free_places(&self) -> usize {
        self.places.available_permits()
    }

    /// How often somebody had to wait for a place, since the last call.
    pub(crate) fn take_full(&self) -> u64 {
        self.full.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn on_settings(&self, settings: Settings) {
        self.change(|state| state.settings = Some(settings));
    }

    pub(crate) fn on_goaway(&self) {
        self.change(|state| state.going_away = true);
    }

    /// The actor is over.
    pub(crate) fn end(&self) {
        self.places.close();
        self.change(|state| {
            state.ended = true;
            state.orders.clear();
        });
        self.refuse_waiting();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Whether no further request is taken.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.ended || state.going_away || state.shut_down
    }

    /// Waits until the actor is over.
    pub(crate) async fn ended(&self) {
        poll_fn(|context| self.poll(context, |state| state.ended.then_some(()))).await;
    }

    /// The peer's settings, as soon as they came; `None` if the connection ends first.
    pub(crate) async fn settings(&self) -> Option<Settings> {
        poll_fn(|context| {
            self.poll(context, |state| match state.settings {
                Some(settings) => Some(Some(settings)),
                None => state.ended.then_some(None),
            })
        })
        .await
    }

    fn poll<T>(&self, context: &mut Context<'_>, look: impl FnOnce(&State) -> Option<T>) -> Poll<T> {
        let mut state = self.state.lock();
        if let Some(found) = look(&state) {
            return Poll::Ready(found);
        }
        let waker = context.waker();
        if !state.watchers.iter().any(|known| known.will_wake(waker)) {
            state.watchers.push(waker.clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::http3::port::Part;

    fn asked(shared: &Shared, place: Place) -> Asked {
        let port = ExchangePort::new(shared.bell().clone(), None);
        Asked { head: Box::default(), end: false, port, place }
    }

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn assert_refused(port: &ExchangePort) {
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(port.poll_head(&mut context), Poll::Ready(Err(Error::Unprocessed))));
        assert!(matches!(port.poll_send(&mut context, &mut Some(Part::End)), Poll::Ready(Err(Error::Unprocessed))));
    }

    #[test]
    fn a_request_that_comes_when_the_actor_is_over_is_refused_and_so_is_its_content() {
        let shared = Shared::default();
        let place = now(shared.place()).unwrap().unwrap();
        let request = asked(&shared, place);
        let port = request.port.clone();
        shared.end();
        shared.ask(request);
        assert_refused(&port);
        assert!(matches!(now(shared.place()), Some(Err(Error::Unprocessed))));
    }

    #[test]
    fn so_many_requests_wait_and_whoever_makes_one_more_waits() {
        let shared = Shared::default();
        for waiting in 0..WAITING_REQUESTS {
            assert_eq!(shared.free_places(), WAITING_REQUESTS - waiting);
            let place = now(shared.place()).unwrap().unwrap();
            shared.ask(asked(&shared, place));
        }
        assert_eq!((shared.free_places(), shared.take_full()), (0, 0));
        let mut one_more = pin!(shared.place());
        let mut context = Context::from_waker(Waker::noop());
        assert!(one_more.as_mut().poll(&mut context).is_pending());
        assert!(one_more.as_mut().poll(&mut context).is_pending());
        assert_eq!((shared.take_full(), shared.take_full()), (1, 0), "counted once");
        // The machine takes one.
        drop(shared.next_request());
        assert!(matches!(one_more.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }

    #[test]
    fn an_end_overtakes_requests_and_whoever_waits_to_make_one() {
        let shared = Shared::default();
        let mut ports = Vec::new();
        for _ in 0..WAITING_REQUESTS {
            let request = asked(&shared, now(shared.place()).unwrap().unwrap());
            ports.push(request.port.clone());
            shared.ask(request);
        }
        let mut one_more = pin!(shared.place());
        let mut context = Context::from_waker(Waker::noop());
        assert!(one_more.as_mut().poll(&mut context).is_pending());
        assert!(!shared.is_over());
        shared.shut_down();
        assert!(shared.is_over());
        assert!(matches!(one_more.as_mut().poll(&mut context), Poll::Ready(Err(Error::Unprocessed))));
        assert!(matches!(shared.next_order(), Some(Order::Goaway)));
        shared.refuse_waiting();
        ports.iter().for_each(|port| assert_refused(port));
        assert!(shared.next_request().is_none());
    }
}
