//! [`Shared`]: what the handles of an HTTP/3 connection share with its actor.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::Request;
use http3::Settings;
use parking_lot::Mutex;

use super::bell::{Bell, Source};
use super::error::Error;
use super::port::ExchangePort;

/// What an application wants of the connection.
#[derive(Debug)]
pub(crate) enum Wish {
    /// A request; `end`: it has no content.
    Request { head: Box<Request<()>>, end: bool, port: Arc<ExchangePort> },
    /// The first step of the end (RFC 9114 §5.2).
    AnnounceGoaway,
    /// The second.
    Goaway,
    /// The actor is to panic, to show what that costs.
    #[cfg(feature = "fault-injection")]
    Panic,
}

impl Wish {
    /// There is no actor to fulfil it: a request was not processed, and whoever sends its content need not wait.
    fn refuse(self) {
        if let Self::Request { port, .. } = self {
            port.end_send(Error::Unprocessed);
            port.end(Err(Error::Unprocessed));
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wishes: VecDeque<Wish>,
    settings: Option<Settings>,
    going_away: bool,
    ended: bool,
    watchers: Vec<Waker>,
}

impl Shared {
    pub(crate) const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(crate) fn wish(&self, wish: Wish) {
        let mut state = self.state.lock();
        if state.ended {
            // Nobody will look any more.
            drop(state);
            wish.refuse();
            return;
        }
        state.wishes.push_back(wish);
        drop(state);
        self.bell.ring(Source::Wishes);
    }

    /// The next wish. A request waits here, and what comes after it, until the machine takes one.
    pub(crate) fn next_wish(&self, may_request: bool) -> Option<Wish> {
        let mut state = self.state.lock();
        match state.wishes.front() {
            Some(Wish::Request { .. }) if !may_request => None,
            _ => state.wishes.pop_front(),
        }
    }

    pub(crate) fn on_settings(&self, settings: Settings) {
        self.change(|state| state.settings = Some(settings));
    }

    pub(crate) fn on_goaway(&self) {
        self.change(|state| state.going_away = true);
    }

    /// The actor is over.
    pub(crate) fn end(&self) {
        let mut left = VecDeque::new();
        self.change(|state| {
            state.ended = true;
            left = std::mem::take(&mut state.wishes);
        });
        left.into_iter().for_each(Wish::refuse);
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
        state.ended || state.going_away
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
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::http3::port::Part;

    #[test]
    fn a_request_that_comes_when_the_actor_is_over_is_refused_and_so_is_its_content() {
        let shared = Shared::default();
        let port = ExchangePort::new(shared.bell().clone(), None);
        shared.end();
        shared.wish(Wish::Request { head: Box::default(), end: false, port: port.clone() });
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(port.poll_head(&mut context), Poll::Ready(Err(Error::Unprocessed))));
        assert!(matches!(port.poll_send(&mut context, &mut Some(Part::End)), Poll::Ready(Err(Error::Unprocessed))));
    }
}
