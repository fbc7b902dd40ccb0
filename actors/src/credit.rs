//! [`Credit`]: how many messages one actor may still send to another.
//!
//! A mailbox takes everything (its capacity is not back-pressure), so a sender spends credit before it sends, and the
//! receiver gives it back when the turn that the message belonged to is done. Both ends are on one shard and got the same
//! `Credit` at construction.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use telemetry::actor::Edge;

use crate::meter::Meter;

/// A window between two neighbours. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Credit(Rc<Window>);

#[derive(Debug)]
struct Window {
    meter: Rc<Meter>,
    edge: Edge,
    size: u32,
    free: Cell<u32>,
    waiting: RefCell<Option<Waker>>,
}

impl Credit {
    /// A window of this many messages, all free.
    pub(crate) fn new(meter: &Rc<Meter>, edge: Edge, size: u32) -> Self {
        meter.credit_freed(edge, size);
        let window = Window { meter: Rc::clone(meter), edge, size, free: Cell::new(size), waiting: RefCell::new(None) };
        Self(Rc::new(window))
    }

    /// Spends one. Without credit it is `false`, which is counted: do not send.
    pub(crate) fn try_take(&self) -> bool {
        let window = &*self.0;
        let Some(left) = window.free.get().checked_sub(1) else {
            window.meter.edge_full(window.edge);
            return false;
        };
        window.free.set(left);
        window.meter.credit_taken(window.edge, 1);
        true
    }

    /// Gives one back; whoever waits for it in [`Self::poll_available`] is woken.
    pub(crate) fn give_back(&self) {
        let window = &*self.0;
        debug_assert!(window.free.get() < window.size, "credit is given back once for each message");
        if window.free.get() < window.size {
            window.free.set(window.free.get() + 1);
            window.meter.credit_freed(window.edge, 1);
        }
        if let Some(waker) = window.waiting.take() {
            waker.wake();
        }
    }

    /// Ready while some is free. Having to wait is counted as a refusal, once a wait.
    pub(crate) fn poll_available(&self, cx: &Context<'_>) -> Poll<()> {
        let window = &*self.0;
        if window.free.get() > 0 {
            return Poll::Ready(());
        }
        if window.waiting.replace(Some(cx.waker().clone())).is_none() {
            window.meter.edge_full(window.edge);
        }
        Poll::Pending
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.meter.credit_taken(self.edge, self.free.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_free_again_when_it_is_given_back() {
        let meter = Meter::for_tests();
        let credit = Credit::new(&meter, Edge::SocketDispatcher, 2);
        let other = credit.clone();
        assert!(credit.try_take() && credit.try_take());
        assert!(!credit.try_take());
        assert_eq!(meter.value("quicast_edge_credit{edge=\"socket_dispatcher\"}"), 0.0);
        assert_eq!(meter.value("quicast_edge_full_total{edge=\"socket_dispatcher\"}"), 1.0);
        other.give_back();
        assert_eq!(meter.value("quicast_edge_credit{edge=\"socket_dispatcher\"}"), 1.0);
        assert!(credit.try_take());
    }

    #[test]
    fn a_waiting_sender_is_counted_once_and_woken() {
        let meter = Meter::for_tests();
        let credit = Credit::new(&meter, Edge::SocketDispatcher, 1);
        let cx = Context::from_waker(Waker::noop());
        assert!(credit.poll_available(&cx).is_ready());
        assert!(credit.try_take());
        assert!(credit.poll_available(&cx).is_pending());
        assert!(credit.poll_available(&cx).is_pending());
        assert_eq!(meter.value("quicast_edge_full_total{edge=\"socket_dispatcher\"}"), 1.0);
        credit.give_back();
        assert!(credit.poll_available(&cx).is_ready());
    }

    #[test]
    fn a_window_that_is_gone_leaves_no_credit_behind() {
        let meter = Meter::for_tests();
        let credit = Credit::new(&meter, Edge::DispatcherConnection, 4);
        assert!(credit.try_take());
        drop(credit);
        assert_eq!(meter.value("quicast_edge_credit{edge=\"dispatcher_connection\"}"), 0.0);
    }
}
