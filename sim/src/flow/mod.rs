//! [`RunningFlow`]: a flow at work: its ends, what is on its way between them, and what is to happen to it.

mod application;
mod ledger;
mod receiver;
mod sender;
mod swap;

use std::collections::VecDeque;
use std::time::Duration;

use codec::Time;
use congestion::{Algorithm, Controller, Observed, Window, minimum_window};

use crate::bottleneck::{Bottleneck, Departed};
use crate::histogram::Histogram;
use crate::link::{BEGINNING, moment};
use crate::packet::Packet;
use crate::pipe::Pipe;
use crate::report::{Fault, FlowReport, Sample, StateChange, SwapReport};
use crate::scenario::Flow;
use receiver::{Acknowledgement, Receiver};
use sender::Sender;
use swap::AfterSwap;

/// Changes of state that are kept of a flow; the rest is only counted.
const STATE_CHANGES: usize = 100_000;
/// Moments of delivery that are kept to look back from a swap.
const DELIVERIES: usize = 256;

/// A turn in which a controller was told something.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The place of the flow among the flows.
    pub flow: usize,
    /// When, since the beginning.
    pub at: Duration,
    /// What it was told.
    pub observed: &'a Observed,
    /// The window before.
    pub before: Window,
    /// The window after.
    pub after: Window,
    /// The controller.
    pub controller: &'a dyn Controller,
}

/// What is to happen to a flow.
#[derive(Clone, Copy, Debug)]
enum Order {
    Start,
    Swap(Algorithm),
    Migrate,
    Stop,
}

/// A flow at work.
#[derive(Debug)]
pub(crate) struct RunningFlow {
    index: usize,
    name: String,
    algorithm: Algorithm,
    first_algorithm: Algorithm,
    bytes: Option<u64>,
    start: Duration,
    orders: VecDeque<(Time, Order)>,
    extra_round_trip: Duration,
    coalescing: Duration,
    datagram_size: u16,
    sender: Sender,
    receiver: Receiver,
    forward: Pipe<Packet>,
    back: Pipe<Acknowledgement>,
    /// When time alone brings something about at the sender.
    sender_at: Time,
    completed_at: Option<Time>,
    rtt: Histogram,
    /// How much had arrived when, not long ago.
    deliveries: VecDeque<(Time, u64)>,
    samples: Vec<Sample>,
    states: Vec<StateChange>,
    state_times: Vec<(&'static str, Duration)>,
    state: (&'static str, Time),
    swaps: Vec<SwapReport>,
    /// What is still to be measured after a swap: until when, and how much had arrived and left by then.
    after_swap: Option<AfterSwap>,
    faults: Vec<Fault>,
}

impl RunningFlow {
    pub(crate) fn new(index: usize, flow: &Flow, seed: u64) -> Self {
        let swaps = flow.swaps.iter().map(|swap| (moment(swap.at), Order::Swap(swap.to)));
        let migrations = flow.migrations.iter().map(|at| (moment(*at), Order::Migrate));
        let stop = flow.stop.map(|at| (moment(at), Order::Stop));
        let mut orders: Vec<_> = swaps.chain(migrations).chain(stop).collect();
        orders.sort_by_key(|(at, _)| *at);
        let mut orders = VecDeque::from(orders);
        let starts_at = moment(flow.start);
        orders.retain(|(at, _)| *at >= starts_at);
        orders.push_front((starts_at, Order::Start));
        let sender = Sender::new(flow, seed, starts_at);
        let state = sender.controller().state();
        Self {
            index,
            name: flow.name.clone(),
            algorithm: flow.algorithm,
            first_algorithm: flow.algorithm,
            bytes: flow.bytes,
            start: flow.start,
            orders,
            extra_round_trip: flow.extra_round_trip,
            coalescing: flow.host.coalescing,
            datagram_size: flow.datagram_size,
            sender,
            receiver: Receiver::new(flow.host),
            forward: Pipe::new(),
            back: Pipe::new(),
            sender_at: Time::MAX,
            completed_at: None,
            rtt: Histogram::default(),
            deliveries: VecDeque::new(),
            samples: Vec::new(),
            states: vec![StateChange { at: flow.start, controller: flow.algorithm.name(), state }],
            state_times: Vec::new(),
            state: (state, starts_at),
            swaps: Vec::new(),
            after_swap: None,
            faults: Vec::new(),
        }
    }

    /// When it has something to do.
    pub(crate) fn next_at(&self) -> Time {
        let order = self.orders.front().map_or(Time::MAX, |(at, _)| *at);
        let measured = self.after_swap.map_or(Time::MAX, |after| after.round_ends.min(after.ends));
        order
            .min(measured)
            .min(self.sender_at)
            .min(self.receiver.due_at())
            .min(self.after_coalescing(self.forward.next_at()))
            .min(self.after_coalescing(self.back.next_at()))
    }

    /// A packet of it left the link.
    pub(crate) fn on_departed(&mut self, now: Time, departed: Departed, reorders: bool) {
        let mut at = now + departed.delay + self.extra_round_trip / 2;
        if !reorders && let Some(last) = self.forward.last_at() {
            at = at.max(last);
        }
        self.forward.push(at, departed.packet);
    }

    /// Does what is due now.
    pub(crate) fn act(&mut self, now: Time, bottleneck: &mut Bottleneck, hear: &mut dyn FnMut(&Turn<'_>)) {
        self.measure_swap(now);
        let mut is_turn = self.sender_at <= now;
        while let Some((at, order)) = self.orders.front().copied()
            && at <= now
        {
            self.orders.pop_front();
            self.obey(now, order);
            is_turn = true;
        }
        self.receive(now, bottleneck);
        if self.after_coalescing(self.back.next_at()) <= now {
            is_turn = true;
            while let Some(acknowledgement) = self.back.pop(now) {
                self.sender.on_acknowledgement(now, &acknowledgement);
                if let Some(sample) = self.sender.take_rtt_sample() {
                    self.rtt.record(sample);
                }
            }
        }
        // What only concerned the receiver is no turn of the sender, which is elsewhere.
        if !is_turn {
            return;
        }
        if self.sender_at <= now {
            self.sender.on_deadline(now);
        }
        self.tell_controller(now, hear);
        self.transmit(now, bottleneck);
        self.sender_at = self.sender.next_at(now);
        if self.completed_at.is_none() && self.sender.is_done() {
            self.completed_at = Some(now);
        }
    }

    pub(crate) fn sample(&mut self, now: Time) {
        let rtt = self.sender.rtt();
        let window = self.sender.window();
        self.samples.push(Sample {
            at: now.saturating_since(BEGINNING),
            congestion_window: window.congestion_window,
            pacing_rate: window.pacing_rate,
            bytes_in_flight: self.sender.bytes_in_flight(),
            smoothed_rtt: if self.sender.has_rtt_sample() { rtt.smoothed } else { Duration::ZERO },
            latest_rtt: rtt.latest,
            delivered_bytes: self.receiver.delivered,
            declared_lost_bytes: self.sender.counts.declared_lost_bytes,
            controller: self.sender.controller().name(),
            state: self.sender.controller().state(),
        });
    }

    pub(crate) fn controller(&self) -> &dyn Controller {
        self.sender.controller()
    }

    pub(crate) const fn delivered_bytes(&self) -> u64 {
        self.receiver.delivered
    }

    pub(crate) fn bytes_in_flight(&self) -> u64 {
        self.sender.bytes_in_flight()
    }

    /// What it came to, as of now.
    pub(crate) fn report(&self, now: Time, bottleneck: &Bottleneck) -> FlowReport {
        let fate = bottleneck.fates.get(self.index).copied().unwrap_or_default();
        let counts = self.sender.counts;
        let mut state_times = self.state_times.clone();
        add_time(&mut state_times, self.state.0, now.saturating_since(self.state.1));
        let name = if self.name.is_empty() { self.first_algorithm.to_string() } else { self.name.clone() };
        FlowReport {
            name,
            algorithm: self.algorithm,
            start: self.start,
            completed: self.completed_at.map(|at| at.saturating_since(BEGINNING)),
            delivered_bytes: self.receiver.delivered,
            repeated_bytes: self.receiver.repeated,
            sent_packets: counts.sent_packets,
            sent_bytes: counts.sent_bytes,
            retransmitted_bytes: counts.retransmitted_bytes,
            dropped_packets: fate.dropped_packets,
            dropped_bytes: fate.dropped_bytes,
            lost_packets: fate.lost_packets,
            lost_bytes: fate.lost_bytes,
            marked_packets: fate.marked_packets,
            reported_marks: counts.ecn_ce,
            declared_lost_packets: counts.declared_lost_packets,
            declared_lost_bytes: counts.declared_lost_bytes,
            spurious_losses: counts.spurious,
            probe_timeouts: counts.probe_timeouts,
            persistent_congestion: counts.persistent_congestion,
            turns: counts.turns,
            events: self.sender.controller().events(),
            rtt: self.rtt.clone(),
            samples: self.samples.clone(),
            states: self.states.clone(),
            state_times,
            swaps: self.swaps.clone(),
            faults: self.faults_now(now),
        }
    }

    fn after_coalescing(&self, at: Time) -> Time {
        if at == Time::MAX { at } else { at + self.coalescing }
    }

    fn obey(&mut self, now: Time, order: Order) {
        match order {
            Order::Start => self.sender.start(now),
            Order::Stop => self.sender.application.stop(),
            Order::Migrate => {
                self.sender.migrate(now, &self.algorithm);
                self.note_state(now);
            }
            Order::Swap(to) => self.swap(now, to),
        }
    }

    fn receive(&mut self, now: Time, bottleneck: &mut Bottleneck) {
        if self.after_coalescing(self.forward.next_at()) <= now {
            let rtt = self.sender.rtt().smoothed;
            while let Some(packet) = self.forward.pop(now) {
                self.receiver.on_packet(now, &packet);
            }
            let spacing = rtt / 64;
            if self.deliveries.back().is_none_or(|(last, _)| *last + spacing <= now) {
                if self.deliveries.len() >= DELIVERIES {
                    self.deliveries.pop_front();
                }
                self.deliveries.push_back((now, self.receiver.delivered));
            }
        }
        if let Some(acknowledgement) = self.receiver.poll_acknowledgement(now)
            && let Some(way) = bottleneck.way_back()
        {
            let way = way + (self.extra_round_trip - self.extra_round_trip / 2);
            self.back.push(now + way, acknowledgement);
        }
    }

    fn tell_controller(&mut self, now: Time, hear: &mut dyn FnMut(&Turn<'_>)) {
        let before = self.sender.window();
        let Some(observed) = self.sender.take_turn(now) else { return };
        let after = self.sender.window();
        if after.congestion_window < minimum_window(self.datagram_size) {
            self.faults.push(Fault::WindowBelowMinimum {
                at: now.saturating_since(BEGINNING),
                window: after.congestion_window,
            });
        }
        self.note_state(now);
        hear(&Turn {
            flow: self.index,
            at: now.saturating_since(BEGINNING),
            observed: &observed,
            before,
            after,
            controller: self.sender.controller(),
        });
    }

    fn transmit(&mut self, now: Time, bottleneck: &mut Bottleneck) {
        let heard_up_to = self.sender.largest_acknowledged();
        while let Some(outgoing) = self.sender.poll_transmit(now) {
            let packet = Packet {
                flow: self.index as u32,
                bytes: outgoing.bytes,
                codepoint: outgoing.codepoint,
                scalable: outgoing.codepoint == crate::packet::Codepoint::Ect1,
                immediate: outgoing.immediate,
                number: outgoing.number,
                piece: outgoing.piece,
                heard_up_to,
                queued_at: now,
            };
            bottleneck.push(now, packet);
        }
    }

    fn note_state(&mut self, now: Time) {
        let controller = self.sender.controller();
        let (name, state) = (controller.name(), controller.state());
        let (previous, since) = self.state;
        let same = self.states.last().is_some_and(|last| last.controller == name && last.state == state);
        if same {
            return;
        }
        add_time(&mut self.state_times, previous, now.saturating_since(since));
        self.state = (state, now);
        if self.states.len() < STATE_CHANGES {
            self.states.push(StateChange { at: now.saturating_since(BEGINNING), controller: name, state });
        }
    }

    fn faults_now(&self, now: Time) -> Vec<Fault> {
        let mut faults = self.faults.clone();
        if let Some(piece) = self.sender.ledger().forgotten() {
            faults.push(Fault::Forgotten { piece });
        }
        if self.completed_at.is_some()
            && let Some(bytes) = self.bytes
            && self.receiver.delivered < bytes
            && self.sender.application.is_done()
            && !self.was_stopped()
        {
            faults.push(Fault::Missing { bytes: bytes - self.receiver.delivered });
        }
        let waits = self.sender.waiting(now);
        if waits > 0 && self.sender.bytes_in_flight() == 0 && self.next_at() == Time::MAX {
            faults.push(Fault::Stalled { bytes: waits });
        }
        faults
    }

    fn was_stopped(&self) -> bool {
        self.sender.application.taken() < self.bytes.unwrap_or(u64::MAX)
    }
}

fn add_time(times: &mut Vec<(&'static str, Duration)>, state: &'static str, lasted: Duration) {
    match times.iter_mut().find(|(known, _)| *known == state) {
        Some((_, time)) => *time += lasted,
        None => times.push((state, lasted)),
    }
}
