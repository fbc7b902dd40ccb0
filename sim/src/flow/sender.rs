//! [`Sender`]: `recovery`, the controller and the pacer, joined as `transport` joins them.

use std::time::Duration;

use codec::frame::{self, Frame};
use codec::{Side, Time};
use congestion::{Controller, Delivery, InitialConditions, Marking, Observed, Pacer, RttView, Snapshot, Window};
use recovery::{Config, Ecn, Outcome, Recovery, SentPacket, SpaceId};
use smallvec::smallvec;

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

    /// An ACK frame arrived.
    pub(crate) fn on_acknowledgement(&mut self, now: Time, bytes: &[u8]) {
        let mut outcome = std::mem::take(&mut self.outcome);
        let prior_in_flight = self.recovery.bytes_in_flight();
        for frame in frame::iter(bytes) {
            if let Ok(Frame::Ack(ack)) = frame {
                let result = self.recovery.on_ack(SPACE, &ack, now, &mut outcome);
                debug_assert!(result.is_ok(), "the receiver is honest: {result:?}");
            }
        }
        let is_news = outcome.largest_newly_acknowledged.is_some();
        self.apply(now, prior_in_flight, outcome);
        if is_news && !self.established {
            self.established = true;
            self.application.begin(now);
        }
    }

    /// Time has passed.
    pub(crate) fn on_deadline(&mut self, now: Time) {
        if self.wanted.is_some_and(|at| at <= now) {
            self.wanted = None;
        }
        if self.recovery.deadline(now).is_some_and(|deadline| deadline.at <= now) {
            let mut outcome = std::mem::take(&mut self.outcome);
            let prior_in_flight = self.recovery.bytes_in_flight();
            self.recovery.on_deadline(now, &mut outcome);
            self.apply(now, prior_in_flight, outcome);
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

    /// What the turns so far add up to is told to the controller, unless it may wait. Returns it, if it was.
    pub(crate) fn take_turn(&mut self, now: Time) -> Option<Observed> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        if self.observed_turns < QUIET_TURNS && self.is_quiet() {
            self.observed_turns += 1;
            return None;
        }
        let mut observed = self.observed.take()?;
        observed.bytes_in_flight = self.recovery.bytes_in_flight();
        if std::mem::take(&mut self.observed_turns) > 0 {
            let gone = observed.acknowledged_bytes.saturating_add(observed.lost_bytes);
            observed.prior_in_flight = observed.bytes_in_flight.saturating_add(gone);
        }
        observed.application_limited = !self.window_was_full;
        self.window_was_full = false;
        let window = self.controller.on_observed(&observed);
        self.counts.turns += 1;
        self.set_window(now, window);
        Some(observed)
    }

    /// The next packet that may leave now. Ask until there is none.
    pub(crate) fn poll_transmit(&mut self, now: Time) -> Option<Outgoing> {
        if !self.started {
            return None;
        }
        self.wanted = None;
        self.fill_probes(now);
        let waiting = self.waiting(now);
        let is_probe = self.probes > 0;
        if waiting == 0 && !self.ping {
            self.on_window_unused(now);
            return None;
        }
        if !is_probe && !self.may_send(now, waiting) {
            return None;
        }
        self.probes = self.probes.saturating_sub(1);
        Some(self.build(now))
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

    /// When there is something to send again that nothing else would wake it for.
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

    /// Whether what was observed changes nothing now: see `transport`'s connection.
    fn is_quiet(&self) -> bool {
        !self.window_was_full
            && self.wanted.is_none()
            && self.observed.as_ref().is_some_and(|observed| {
                !observed.has_loss()
                    && observed.ecn_ce == 0
                    && observed.spurious == 0
                    && !observed.persistent_congestion
            })
    }

    /// Gives every token back and adds the rest up for the controller.
    fn apply(&mut self, now: Time, prior_in_flight: u64, mut outcome: Outcome<Token>) {
        let mut ecn_capable = 0;
        for token in outcome.acknowledged.drain(..) {
            ecn_capable += u64::from(token.ecn);
            if let Some(piece) = token.piece {
                self.ledger.on_acknowledged(piece.index);
            }
        }
        for token in outcome.lost.drain(..) {
            if let Some(piece) = token.piece {
                self.ledger.on_lost(piece);
            }
        }
        let lost_packets = outcome.lost_packets();
        self.counts.declared_lost_packets += lost_packets;
        self.counts.declared_lost_bytes += outcome.lost_bytes;
        self.counts.spurious += outcome.spurious;
        self.counts.persistent_congestion += u64::from(outcome.persistent_congestion);
        self.counts.ecn_ce += outcome.ecn_ce;
        if outcome.newly_acknowledged_packets > 0 {
            self.probes = 0;
        }
        let noteworthy = outcome.acknowledged_bytes > 0
            || outcome.lost_bytes > 0
            || outcome.ecn_ce > 0
            || outcome.persistent_congestion
            || outcome.spurious > 0;
        if noteworthy {
            self.observe(now, prior_in_flight, &outcome, ecn_capable);
        }
        self.rtt_sample = outcome.rtt_sample.or(self.rtt_sample);
        if let Some((_, count)) = outcome.probes {
            self.probes = count;
            self.counts.probe_timeouts += 1;
        }
        outcome.clear();
        self.outcome = outcome;
    }

    fn observe(&mut self, now: Time, prior_in_flight: u64, outcome: &Outcome<Token>, ecn_capable: u64) {
        let rtt = self.rtt();
        let datagram_size = self.datagram_size;
        let observed = self.observed.get_or_insert_with(|| Observed { now, prior_in_flight, ..Observed::default() });
        self.has_news = true;
        observed.now = now;
        observed.rtt = rtt;
        observed.datagram_size = datagram_size;
        observed.acknowledged_bytes += outcome.acknowledged_bytes;
        observed.acknowledged_packets += outcome.newly_acknowledged_packets;
        observed.ecn_capable_packets += ecn_capable;
        observed.lost_bytes += outcome.lost_bytes;
        observed.lost_packets += outcome.lost_packets();
        observed.ecn_ce += outcome.ecn_ce;
        observed.spurious += outcome.spurious;
        observed.persistent_congestion |= outcome.persistent_congestion;
        observed.largest_acknowledged_sent_at =
            observed.largest_acknowledged_sent_at.max(outcome.largest_acknowledged_sent_at);
        observed.largest_lost_sent_at = observed.largest_lost_sent_at.max(outcome.largest_lost_sent_at);
        observed.rtt_sample = outcome.rtt_sample.or(observed.rtt_sample);
        if let Some(sample) = &outcome.delivery {
            let rate = sample.rate();
            if self.observed_turns > 0 && observed.delivery.is_some_and(|before| before.rate > rate) {
                return;
            }
            observed.delivery = Some(Delivery {
                rate,
                delivered: sample.delivered,
                interval: sample.interval,
                application_limited: sample.application_limited,
                total_delivered: sample.total_delivered,
                prior_delivered: sample.prior_delivered,
                in_flight_when_sent: sample.in_flight_at_send,
                lost: sample.lost,
            });
        }
    }

    /// A probe carries what is waiting, or else what was sent first, or else nothing (RFC 9002 §6.2.4).
    fn fill_probes(&mut self, now: Time) {
        if self.probes == 0 {
            return;
        }
        while self.waiting(now) == 0 && !self.ping {
            let Some(tokens) = self.recovery.take_probe_tokens(SPACE) else {
                self.ping = true;
                return;
            };
            for token in tokens {
                if let Some(piece) = token.piece {
                    self.ledger.on_lost(piece);
                }
            }
        }
    }

    /// What window and pacer permit, as `transport` asks them.
    fn may_send(&mut self, now: Time, waiting: u64) -> bool {
        let size = u64::from(self.datagram_size);
        if self.recovery.bytes_in_flight().saturating_add(size) > self.window.congestion_window
            || self.recovery.is_full()
        {
            self.window_was_full = true;
            return false;
        }
        let room = self.window.congestion_window.saturating_sub(self.recovery.bytes_in_flight());
        let burst = self.burst(now, size, room, waiting);
        if burst < size {
            self.window_was_full = true;
            return false;
        }
        if self.pacer.available(now) < burst {
            let bytes = burst.max(room.min(2 * size));
            self.wanted = Some(self.pacer.next_release(now, bytes));
            return false;
        }
        true
    }

    /// How much must be allowed to leave so that a datagram does; 0 if the window has less room than is worth a burst.
    fn burst(&self, now: Time, size: u64, room: u64, waiting: u64) -> u64 {
        if self.pacer.is_bursting(now) {
            return size;
        }
        let portion = self.window.portion();
        if room < portion && waiting >= portion {
            return 0;
        }
        let whole = self.window.quantum.min(room).max(size);
        if waiting >= whole { whole } else { size }
    }

    /// There is nothing to send: if the window would let something out, it is not the window that holds it back.
    fn on_window_unused(&mut self, now: Time) {
        if self.established && self.waiting(now) == 0 && self.bytes_in_flight() < self.window.congestion_window {
            self.recovery.on_application_limited();
        }
    }

    fn build(&mut self, now: Time) -> Outgoing {
        let size = u64::from(self.datagram_size);
        let immediate = !self.established;
        let piece = if let Some(piece) = self.ledger.front() {
            self.counts.retransmitted_bytes += u64::from(piece.bytes);
            Some(piece)
        } else {
            let bytes = if self.established { self.application.waiting(now).min(size) } else { 0 };
            self.application.take(bytes);
            let index = self.ledger.next();
            (bytes > 0).then(|| Piece { index, bytes: u16::try_from(bytes).unwrap_or(u16::MAX) })
        };
        self.ping = false;
        if let Some(piece) = piece {
            self.ledger.on_sent(piece.index);
        }
        let bytes = piece.map_or(if immediate { self.datagram_size } else { PING }, |piece| piece.bytes);
        let ecn = self.recovery.marks_ecn();
        let number = self.recovery.next_number(SPACE);
        self.recovery.on_sent(
            SPACE,
            SentPacket {
                number,
                at: now,
                bytes,
                ack_eliciting: true,
                in_flight: true,
                ecn,
                mtu_probe: false,
                tokens: smallvec![Token { piece, ecn }],
            },
        );
        self.pacer.on_sent(now, u64::from(bytes));
        self.counts.sent_packets += 1;
        self.counts.sent_bytes += u64::from(bytes);
        let codepoint = match self.recovery.ecn_codepoint() {
            _ if !ecn => Codepoint::NotCapable,
            Ecn::Ect1 => Codepoint::Ect1,
            Ecn::Ect0 | Ecn::Ce => Codepoint::Ect0,
        };
        Outgoing { number, bytes, codepoint, piece: piece.map(|piece| piece.index), immediate }
    }
}
