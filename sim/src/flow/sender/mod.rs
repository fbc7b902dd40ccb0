//! [`Sender`]: `recovery`, the controller and the pacer, joined as `transport` joins them.

mod hear;
mod send;

use std::time::Duration;

use codec::{Side, Time};
use congestion::{Controller, InitialConditions, Marking, Observed, Pacer, RttView, Snapshot, Window};
use recovery::{Config, Outcome, Recovery, SpaceId};

use super::application::Application;
use super::ledger::{Ledger, Piece};
use crate::packet::Codepoint;
use crate::scenario::{Flow, Host};

const SPACE: SpaceId = SpaceId::Application;
/// So many quiet turns are told to the controller at once, as `transport` does it.
const QUIET_TURNS: u8 = 7;
/// A packet without data, in bytes.
const PING: u16 = 40;
/// The unit of the delay in an ACK frame: 2^3 µs.
pub(crate) const ACK_DELAY_EXPONENT: u8 = 3;

/// What a packet carried: its piece, and whether it was marked ECN-capable.
#[derive(Clone, Copy, Debug)]
struct Token {
    piece: Option<Piece>,
    ecn: bool,
}

/// A packet that is to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    pub(crate) bytes: u16,
    pub(crate) codepoint: Codepoint,
    pub(crate) piece: Option<u64>,
    pub(crate) immediate: bool,
}

/// What a sender counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent_packets: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) retransmitted_bytes: u64,
    pub(crate) declared_lost_packets: u64,
    pub(crate) declared_lost_bytes: u64,
    pub(crate) spurious: u64,
    pub(crate) probe_timeouts: u64,
    pub(crate) persistent_congestion: u64,
    pub(crate) ecn_ce: u64,
    pub(crate) turns: u64,
}

#[derive(Debug)]
pub(crate) struct Sender {
    recovery: Recovery<Token>,
    outcome: Outcome<Token>,
    controller: Box<dyn Controller>,
    pacer: Pacer,
    window: Window,
    observed: Option<Observed>,
    observed_turns: u8,
    has_news: bool,
    window_was_full: bool,
    /// When the pacer lets more out, if more is waiting.
    wanted: Option<Time>,
    probes: u8,
    ping: bool,
    /// The handshake's datagram was answered.
    established: bool,
    started: bool,
    ledger: Ledger,
    pub(crate) application: Application,
    datagram_size: u16,
    initial_window: Option<u64>,
    ecn: bool,
    seed: u64,
    timer: Duration,
    pub(crate) counts: Counts,
    /// The newest sample of the round trip, taken once.
    rtt_sample: Option<Duration>,
}

impl Sender {
    pub(crate) fn new(flow: &Flow, seed: u64, now: Time) -> Self {
        // As many packets as a path of 100 Gbit/s and a second keeps in flight.
        let config = Config { sent_packets: 1 << 24, ..Config::default() };
        let mut recovery = Recovery::new(Side::Server, config);
        recovery.on_handshake_confirmed();
        recovery.set_peer_ack_delay(flow.host.max_ack_delay, ACK_DELAY_EXPONENT);
        if !flow.ecn {
            recovery.disable_ecn();
        }
        let datagram_size = flow.datagram_size.max(congestion::MINIMUM_DATAGRAM_SIZE);
        let Flow { initial_window, ecn, .. } = *flow;
        let conditions = InitialConditions { datagram_size, initial_window, now, seed };
        let controller = flow.algorithm.start(&conditions);
        let Host { timer, handshake, .. } = flow.host;
        let mut sender = Self {
            recovery,
            outcome: Outcome::new(),
            pacer: Pacer::new(),
            window: controller.window(),
            controller,
            observed: None,
            observed_turns: 0,
            has_news: false,
            window_was_full: false,
            wanted: None,
            probes: 0,
            ping: false,
            established: !handshake,
            started: false,
            ledger: Ledger::default(),
            application: Application::new(flow),
            datagram_size,
            initial_window,
            ecn,
            seed,
            timer,
            counts: Counts::default(),
            rtt_sample: None,
        };
        sender.set_codepoint();
        sender.pacer.set_window(now, sender.window, datagram_size);
        sender
    }

    /// The connection begins.
    pub(crate) fn start(&mut self, now: Time) {
        self.started = true;
        self.ping = !self.established;
        if self.established {
            self.application.begin(now);
        }
    }

    /// When time alone brings something about.
    pub(crate) fn next_at(&self, now: Time) -> Time {
        if !self.started {
            return Time::MAX;
        }
        let deadline = self.recovery.deadline(now).map_or(Time::MAX, |deadline| deadline.at);
        let next = self.wanted.map_or(deadline, |wanted| wanted.min(deadline));
        if next == Time::MAX {
            return self.next_written(now);
        }
        self.on_tick(next).min(self.next_written(now))
    }

    /// Another controller goes on from the snapshot of this one, as `actors` do it.
    pub(crate) fn swap(&mut self, now: Time, algorithm: &congestion::Algorithm) -> Snapshot {
        let snapshot = self.controller.snapshot(now);
        self.controller = algorithm.start_from(&snapshot, now);
        self.set_codepoint();
        let window = self.controller.window();
        self.set_window(now, window);
        snapshot
    }

    /// The connection goes on over another path (RFC 9000 §9.4).
    pub(crate) fn migrate(&mut self, now: Time, algorithm: &congestion::Algorithm) {
        self.recovery.restart_path(now, false);
        if !self.ecn {
            self.recovery.disable_ecn();
        }
        let Self { datagram_size, initial_window, seed, .. } = *self;
        self.controller = algorithm.start(&InitialConditions { datagram_size, initial_window, now, seed });
        self.set_codepoint();
        self.observed = None;
        self.observed_turns = 0;
        self.has_news = false;
        let window = self.controller.window();
        self.set_window(now, window);
    }

    pub(crate) fn controller(&self) -> &dyn Controller {
        &*self.controller
    }

    pub(crate) const fn window(&self) -> Window {
        self.window
    }

    pub(crate) fn bytes_in_flight(&self) -> u64 {
        self.recovery.bytes_in_flight()
    }

    pub(crate) fn rtt(&self) -> RttView {
        let rtt = self.recovery.rtt();
        RttView { latest: rtt.latest(), smoothed: rtt.smoothed(), variation: rtt.variation(), minimum: rtt.minimum() }
    }

    pub(crate) fn has_rtt_sample(&self) -> bool {
        self.recovery.rtt().has_sample()
    }

    pub(crate) const fn take_rtt_sample(&mut self) -> Option<Duration> {
        self.rtt_sample.take()
    }

    /// What of its own is acknowledged: packets up to this number need not be reported to it again.
    pub(crate) fn largest_acknowledged(&self) -> Option<u64> {
        self.recovery.largest_acknowledged(SPACE)
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether all that it will ever have to send was acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.application.is_done() && self.ledger.is_settled()
    }

    /// Bytes that wait to be sent, again or for the first time.
    pub(crate) fn waiting(&self, now: Time) -> u64 {
        if !self.established {
            return 0;
        }
        self.ledger.waiting().saturating_add(self.application.waiting(now))
    }

    /// When the application writes next, if it has to be waited for.
    fn next_written(&self, now: Time) -> Time {
        if self.application.waiting(now) == 0 { self.application.next_at(now) } else { Time::MAX }
    }

    fn on_tick(&self, at: Time) -> Time {
        let granularity = u64::try_from(self.timer.as_nanos()).unwrap_or(u64::MAX);
        if granularity == 0 {
            at
        } else {
            Time::from_nanos(at.as_nanos().div_ceil(granularity).saturating_mul(granularity))
        }
    }

    fn set_codepoint(&mut self) {
        self.recovery.set_ecn_scalable(self.controller.marking() == Marking::Scalable);
    }

    fn set_window(&mut self, now: Time, window: Window) {
        self.window = window;
        self.pacer.set_window(now, window, self.datagram_size);
    }
}
