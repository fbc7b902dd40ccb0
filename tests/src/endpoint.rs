//! [`Node`]: a connection, the bytes of its streams, its congestion controller and an application, joined by calls
//! where quicast joins them by messages, in the same order.

use std::collections::VecDeque;
use std::net::SocketAddr;

use codec::packet::{self, PacketKind, Peek};
use codec::{Side, Time};
use congestion::chronicle::RateMeter;
use congestion::{Cause, Chronicle, Controller, InitialConditions, Order, Verdict};
use recovery::Ecn;
use transport::config::Config;
use transport::connection::{Connection, State};
use transport::output::{CloseReason, Event, RouteChange, Transmit};
use transport::router::LOCAL_ID_LENGTH;
use transport::stats::Stats;
use transport::stream::buffers::{BufferConfig, Streams};
use transport::stream::{StreamInput, StreamOutput};

use crate::application::Application;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sent it, as the receiver sees it.
    pub from: SocketAddr,
    /// Who is to receive it.
    pub to: SocketAddr,
    /// Its ECN mark.
    pub ecn: Option<Ecn>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Node {
    /// The connection.
    pub connection: Box<Connection>,
    /// The bytes of its streams.
    pub streams: Streams,
    /// What runs on it.
    pub application: Application,
    /// Its events so far, but for those of DATAGRAM frames.
    pub events: Vec<Event>,
    /// Everything that was counted so far.
    pub stats: Totals,
    /// The largest UDP payload that the settings permit.
    pub maximum_datagram: usize,
    /// What its controller was told, if the test wants to see it.
    pub observed: Option<Vec<congestion::Observed>>,
    /// Which controllers it had, and how they did.
    pub chronicle: Chronicle,
    controller: Box<dyn Controller>,
    buffer: Vec<u8>,
    inputs: Vec<StreamInput>,
    outputs: Vec<StreamOutput>,
    last_turn: Time,
    turns_at_once: u32,
}

/// Sums over the life of a node.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Batches of datagrams, each of which is one call of the kernel.
    pub batches: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
    /// Packets declared lost.
    pub lost: u64,
    /// Losses that were none.
    pub spurious: u64,
    /// Packets forgotten, by `PacketDrop`.
    pub dropped: [u64; transport::stats::PacketDrop::COUNT],
    /// Bounds hit, by `Limit`.
    pub limit_hits: Vec<u64>,
    /// Key updates: ours, the peer's.
    pub key_updates: (u64, u64),
    /// Frames received, by `FrameType::index`.
    pub frames_received: Vec<u64>,
    /// Frames sent, by `FrameType::index`.
    pub frames_sent: Vec<u64>,
    /// Migrations of the peer.
    pub migrations: u64,
    /// Paths validated.
    pub paths_validated: u64,
    /// Times ECN was found to work, and not to.
    pub ecn: (u64, u64),
    /// Probes for a larger datagram that arrived.
    pub mtu_probes_acknowledged: u64,
    /// Times large datagrams stopped arriving.
    pub mtu_black_holes: u64,
}

impl Totals {
    fn add(&mut self, stats: &Stats) {
        self.datagrams_sent += stats.datagrams_sent;
        self.bytes_sent += stats.bytes_sent;
        self.probe_timeouts += stats.probe_timeouts.iter().sum::<u64>();
        self.lost += stats.packets_lost_by_packet_threshold.iter().sum::<u64>();
        self.lost += stats.packets_lost_by_time_threshold.iter().sum::<u64>();
        self.spurious += stats.spurious_losses;
        for (sum, dropped) in self.dropped.iter_mut().zip(stats.packets_dropped) {
            *sum += dropped;
        }
        add_each(&mut self.limit_hits, &stats.limit_hits);
        add_each(&mut self.frames_received, &stats.frames_received);
        add_each(&mut self.frames_sent, &stats.frames_sent);
        self.key_updates.0 += stats.key_updates_local;
        self.key_updates.1 += stats.key_updates_peer;
        self.migrations += stats.migrations.iter().sum::<u64>();
        self.paths_validated += stats.paths_validated;
        self.ecn.0 += stats.ecn_capable;
        self.ecn.1 += stats.ecn_failed;
        self.mtu_probes_acknowledged += stats.mtu_probes_acknowledged;
        self.mtu_black_holes += stats.mtu_black_holes;
    }
}

fn add_each(sums: &mut Vec<u64>, numbers: &[u64]) {
    sums.resize(numbers.len(), 0);
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum += number;
    }
}

/// Turns that one moment may have: more is a machine that wants to be called forever.
const TURNS_AT_ONCE: u32 = 20_000;
/// Room for one batch of datagrams, as the socket's buffers have it.
const BUFFER: usize = 64 * 1024;

impl Node {
    /// A node around a connection that has done nothing yet.
    pub fn new(connection: Box<Connection>, config: &Config, application: Application, now: Time) -> Self {
        let conditions = InitialConditions {
            datagram_size: config.initial_datagram_size,
            initial_window: config.initial_window,
            now,
            seed: 1,
        };
        Self {
            streams: Streams::new(connection.side(), BufferConfig::default()),
            application,
            events: Vec::new(),
            stats: Totals::default(),
            observed: None,
            maximum_datagram: usize::from(config.maximum_datagram_size.max(config.initial_datagram_size)),
            chronicle: Chronicle::new(config.congestion, RateMeter::new(now)),
            controller: config.congestion.start(&conditions),
            buffer: vec![0; BUFFER],
            inputs: Vec::new(),
            outputs: Vec::new(),
            last_turn: now,
            turns_at_once: 0,
            connection,
        }
    }

    /// Another controller goes on from what the present one knows, as the actors do it.
    pub fn swap(&mut self, now: Time, order: impl Into<Order>) {
        self.succeed(now, Cause::Ordered(order.into()));
    }

    fn succeed(&mut self, now: Time, cause: Cause) {
        let snapshot = self.controller.snapshot(now);
        let (controller, change) = self.chronicle.succeed(cause, &snapshot, now);
        self.controller = controller;
        self.connection.handle_successor(now, change.to, self.controller.as_ref());
    }

    /// When the node wants to be called, if nothing comes.
    pub fn deadline(&self) -> Option<Time> {
        let wanted = self.connection.transmit_wanted().map(|wanted| wanted.at);
        self.connection.deadline().map(|(at, _)| at).into_iter().chain(wanted).min()
    }

    /// Does what is due at `now`.
    pub fn handle_time(&mut self, now: Time) {
        if self.connection.deadline().is_some_and(|(at, _)| at <= now) {
            self.connection.handle_deadline(now);
        }
        if self.connection.transmit_wanted().is_some_and(|wanted| wanted.at <= now) {
            self.connection.handle_granted(now);
        }
    }

    /// Ends a turn: everything is passed on until nobody has anything to say. Datagrams go to `out`, in order; `route`
    /// hears which ids lead here, always before a datagram tells the peer.
    pub fn turn(
        &mut self,
        now: Time,
        local: SocketAddr,
        route: &mut dyn FnMut(RouteChange),
        out: &mut VecDeque<Datagram>,
    ) {
        self.count_turn(now);
        loop {
            self.connection.end_turn(now);
            let mut busy = false;
            while let Some(change) = self.connection.poll_route() {
                route(change);
            }
            busy |= self.pass_events(now);
            self.connection.take_stream_inputs(&mut self.inputs);
            busy |= !self.inputs.is_empty();
            for input in self.inputs.drain(..) {
                self.streams.handle_input(input);
            }
            self.check_promises();
            busy |= self.pass_streams(now);
            if let Some(observed) = self.connection.take_observed() {
                busy = true;
                let window = self.controller.on_observed(&observed);
                self.connection.handle_window(now, window);
                if self.chronicle.observe(&observed).is_some_and(Verdict::is_rollback) {
                    self.succeed(now, Cause::TrialFailed);
                }
                if let Some(kept) = &mut self.observed {
                    kept.push(*observed);
                }
            }
            busy |= self.transmit(now, local, out);
            let stats = self.connection.take_stats();
            self.stats.add(&stats);
            if !busy {
                return;
            }
        }
    }

    fn count_turn(&mut self, now: Time) {
        assert!(now >= self.last_turn, "time went back");
        if now > self.last_turn {
            self.last_turn = now;
            self.turns_at_once = 0;
        }
        self.turns_at_once += 1;
        assert!(
            self.turns_at_once < TURNS_AT_ONCE,
            "the connection wants to be called forever at {now:?}: deadline {:?}, wanted {:?}, {:?}",
            self.connection.deadline(),
            self.connection.transmit_wanted(),
            self.connection.state(),
        );
    }

    fn pass_events(&mut self, now: Time) -> bool {
        let mut busy = false;
        while let Some(event) = self.connection.poll_event() {
            busy = true;
            match &event {
                Event::DatagramSize(size) => {
                    let window = self.controller.on_datagram_size(*size);
                    self.connection.handle_window(now, window);
                }
                Event::PathChanged { restart: true, .. } => {
                    self.controller = self.connection.fresh_controller();
                    self.chronicle.restart(now);
                    self.connection.handle_window(now, self.controller.window());
                }
                Event::Datagrams => continue,
                _ => {}
            }
            self.events.push(event);
        }
        busy
    }

    fn pass_streams(&mut self, now: Time) -> bool {
        let mut busy = false;
        loop {
            let worked = self.application.turn(&mut self.streams);
            while let Some(output) = self.streams.poll_output() {
                self.outputs.push(output);
            }
            busy |= worked || !self.outputs.is_empty();
            let more = !self.outputs.is_empty();
            self.connection.handle_streams(now, &mut self.outputs);
            if !worked && !more {
                return busy;
            }
        }
    }

    fn transmit(&mut self, now: Time, local: SocketAddr, out: &mut VecDeque<Datagram>) -> bool {
        let mut busy = false;
        loop {
            let before = self.connection.bytes_in_flight();
            let may_transmit = self.connection.may_transmit(now);
            let Some(transmit) = self.connection.poll_transmit(now, &mut self.buffer) else { break };
            assert!(may_transmit, "it said that there was nothing to send");
            busy = true;
            self.stats.batches += 1;
            self.check_transmit(&transmit);
            self.check_window(before);
            for segment in self.buffer[..transmit.length].chunks(transmit.segment_size) {
                self.check_size(segment, self.connection.bytes_in_flight() > before);
                let (to, ecn) = (transmit.remote, transmit.ecn);
                out.push_back(Datagram { from: local, to, ecn, bytes: segment.to_vec() });
            }
        }
        busy
    }

    fn check_transmit(&self, transmit: &Transmit) {
        assert!(transmit.length > 0 && transmit.segment_size > 0, "an empty batch");
        assert!(transmit.length <= BUFFER && transmit.datagrams() <= 64, "a batch beyond what the kernel takes");
        assert!(
            transmit.segment_size <= self.maximum_datagram,
            "a datagram of {} bytes where at most {} are permitted",
            transmit.segment_size,
            self.maximum_datagram
        );
    }

    /// Nothing goes beyond the window but probes, and one packet after a loss (RFC 9002 §7).
    fn check_window(&self, before: u64) {
        let (after, window) = (self.connection.bytes_in_flight(), self.connection.window().congestion_window);
        let size = u64::from(self.connection.datagram_size());
        let may_exceed = if self.connection.probe_timeouts() > 0 {
            2 * size
        } else if self.connection.state() == State::Confirmed {
            0
        } else {
            size
        };
        assert!(
            after <= before || after <= window.max(before) + may_exceed,
            "{after} bytes are in flight, {before} were, and the window is {window}"
        );
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-14.1
    //= type=test
    //# A client MUST expand the payload of all UDP datagrams carrying Initial packets to at
    //# least the smallest allowed maximum datagram size of 1200 bytes
    fn check_size(&self, datagram: &[u8], in_flight: bool) {
        // A server's only if they are ack-eliciting, and so in flight.
        if self.connection.state() != State::Handshaking || !in_flight && self.side().is_server() {
            return;
        }
        if let Ok(Peek::Long { kind: Some(PacketKind::Initial), .. }) = packet::peek(datagram, LOCAL_ID_LENGTH) {
            assert!(datagram.len() >= 1200, "a datagram with an Initial is of {} bytes", datagram.len());
        }
    }

    /// What must hold between any two turns.
    fn check_promises(&self) {
        let held = self.streams.counters().buffered_receive;
        let charged = self.connection.ledger().receive_charged();
        if self.connection.state().is_open() {
            assert!(charged >= held, "{held} received bytes are held, and only {charged} are charged");
        }
    }

    /// Why the connection is over, if it is.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.connection.close_reason()
    }

    /// Whether the connection can be dropped.
    pub fn is_drained(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Drained))
    }

    /// Whether the handshake was completed at some time.
    pub fn was_connected(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Connected))
    }

    /// Whether the handshake was confirmed at some time.
    pub fn was_confirmed(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Confirmed))
    }

    /// The code and the cause with which the connection ended, in one word each; for assertions.
    pub fn ending(&self) -> String {
        match self.close_reason() {
            None => "open".to_owned(),
            Some(reason) => reason.to_string(),
        }
    }

    /// Which side it is.
    pub const fn side(&self) -> Side {
        self.connection.side()
    }
}
