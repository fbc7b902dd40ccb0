//! The [`Controller`] trait: what every congestion-control algorithm is to the rest of the program.

use core::fmt::Debug;

use codec::Time;

use crate::{Observed, Snapshot, Window};

/// A congestion-control algorithm for one path.
///
/// It is told facts once a *turn* (one batch of received datagrams, or one timer) and answers with the [`Window`] that holds
/// until the next one. It never sees a packet and never decides what is lost. Growth must therefore be right for a batch: a
/// turn may acknowledge one packet or a whole window.
///
/// What every implementation promises, and [`conformance::check`](crate::conformance::check) tests:
///
/// * the window is never below two datagrams (RFC 9002 §7.2);
/// * a turn in which packets were only lost never raises it;
/// * a successor started from the [`Snapshot`] does not begin with a larger window;
/// * no [`Observed`], however absurd, makes it panic.
///
/// Bytes in flight, the RTT estimate and the decision what is lost belong to the connection and survive a change of
/// controller. Only what is in the [`Snapshot`] is handed over.
pub trait Controller: Debug + Send {
    /// The name it is asked for by; a metric label, so one of a closed set of lower-case words.
    fn name(&self) -> &'static str;

    /// What it is doing now; a metric label, so one of a closed set of lower-case words.
    ///
    /// The controllers here use `slow_start`, `conservative_slow_start`, `recovery` and `congestion_avoidance`.
    fn state(&self) -> &'static str;

    /// Takes in what one turn brought and answers with the window from now on.
    fn on_observed(&mut self, observed: &Observed) -> Window;

    /// The window as of the last turn.
    fn window(&self) -> Window;

    /// Everything a successor needs to go on from here without raising the window.
    fn snapshot(&self, now: Time) -> Snapshot;

    /// The path's maximum datagram size, in bytes, changed (RFC 9000 §14.3).
    ///
    /// Before anything was acknowledged the initial window is computed again (RFC 9002 §7.2); later only the minimum moves.
    fn on_datagram_size(&mut self, datagram_size: u16) -> Window;

    /// How packets are to be marked where the path carries ECN marks.
    fn marking(&self) -> Marking {
        Marking::Classic
    }

    /// How often each kind of event changed the window, since this controller started.
    fn events(&self) -> Events {
        Events::default()
    }
}

/// Which ECN-capable codepoint packets carry (RFC 3168, RFC 9331).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Marking {
    /// ECT(0): a mark means what a loss means.
    #[default]
    Classic,
    /// ECT(1): the sender answers to the share of packets that are marked, and may use the queue for low latency.
    Scalable,
}

/// How often each kind of congestion event changed the window; counts only ever grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Events {
    /// Reductions because packets were lost.
    pub loss: u64,
    /// Reductions because packets were marked Congestion Experienced.
    pub ecn_ce: u64,
    /// Collapses to the minimum window (RFC 9002 §7.6).
    pub persistent: u64,
    /// Reductions taken back, because everything believed lost had arrived after all.
    pub spurious_undo: u64,
}
