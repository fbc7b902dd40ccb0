//! What a connection counted in a turn, added to the metrics of its shard, and the facts that anyone may ask for.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codec::{Side, Time};
use telemetry::congestion::{SendLimit as SendLimitLabel, SwitchFailure, SwitchTrigger};
use telemetry::connection::{BlockedScope, CloseCause, DatagramDrop, ErrorCode, IdEvent, Version as VersionLabel};
use telemetry::labels::{Algorithm, Alpn, Direction, Initiator, Role, Space};
use telemetry::path::{MigrationKind, MigrationResult, ProbeResult, ValidationResult};
use telemetry::recovery::{EcnValidation, LossTrigger};
use telemetry::stream::{StreamOutcome, StreamType};
use telemetry::timer::Timer;
use telemetry::tls::{Alert, CipherSuite, CryptoOperation, EarlyData, Group, HandshakeResult, Resumption};
use telemetry::{Label as _, ShardMetrics, Share};
use transport::Connection;
use transport::connection::State;
use transport::output::{CloseReason, DeadlineReason};
use transport::stats::{PacketDrop, SendLimit, Stats};

use crate::api::congestion::SetCongestionError;
use crate::api::connection::ConnectionStats;
use crate::meter::Meter;
use crate::port::{ConnectionPort, Facts};

/// How often an open connection is sampled for the distributions "of connection-seconds".
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);
/// How fresh the facts are that anyone may ask for, while anything happens.
const FACTS_AGE: Duration = Duration::from_millis(100);
/// How long a turn's counts may wait for those of later turns, so that a turn does not pay for adding them up.
const COUNT_AGE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Count {
    meter: Rc<Meter>,
    port: Arc<ConnectionPort>,
    began: Time,
    added: Time,
    sampled: Time,
    told: Time,
    state: State,
    closed: bool,
    pub(crate) congestion: &'static str,
    pub(crate) congestion_state: &'static str,
    open: Option<Share>,
    /// While there is anything in them.
    levels: Option<Box<Levels>>,
}

/// What the connection adds to the gauges of streams.
#[derive(Debug)]
struct Levels {
    streams: [[Share; 2]; 2],
    send_buffered: Share,
}

impl Levels {
    fn new(metrics: &ShardMetrics) -> Box<Self> {
        let streams = [Initiator::Local, Initiator::Peer].map(|initiator| {
            [StreamType::Bidirectional, StreamType::Unidirectional]
                .map(|direction| metrics.stream.open[(direction, initiator)].share())
        });
        let send_buffered = metrics.connection.buffered[telemetry::connection::Buffer::PacketPool].share();
        Box::new(Self { streams, send_buffered })
    }
}

fn role(side: Side) -> Role {
    match side {
        Side::Client => Role::Client,
        Side::Server => Role::Server,
    }
}

impl Count {
    pub(crate) fn new(
        machine: &Connection,
        port: Arc<ConnectionPort>,
        congestion: (&'static str, &'static str),
        meter: Rc<Meter>,
        now: Time,
    ) -> Self {
        Self {
            port,
            began: now,
            added: now,
            sampled: now,
            told: Time::ZERO,
            state: machine.state(),
            closed: false,
            congestion: congestion.0,
            congestion_state: congestion.1,
            open: None,
            levels: None,
            meter,
        }
    }

    /// A turn is over.
    ///
    /// What was counted is added to the metrics now and then: the machine sees to it that there is a turn a moment after
    /// the last one with traffic.
    pub(crate) fn turn(&mut self, machine: &mut Connection, now: Time) {
        self.on_state(machine, now);
        if now.saturating_since(self.added) >= COUNT_AGE || self.closed {
            self.added = now;
            self.add_all(machine);
            if now.saturating_since(self.sampled) >= SAMPLE_PERIOD {
                self.sampled = now;
                self.sample(machine);
            }
        }
        if now.saturating_since(self.told) >= FACTS_AGE || self.closed {
            self.told = now;
            self.tell(machine);
        }
    }

    /// Adds everything that was counted.
    pub(crate) fn add_all(&mut self, machine: &mut Connection) {
        let stats = machine.take_stats();
        if !stats.is_untouched() {
            self.add(&stats, machine.side());
        }
        let (open, send_buffered) = (machine.ledger().open_streams(), machine.ledger().send_buffered());
        if send_buffered == 0 && open.iter().flatten().all(|count| *count == 0) {
            self.levels = None;
            return;
        }
        let levels = self.levels.get_or_insert_with(|| Levels::new(self.meter.metrics()));
        for (shares, counts) in levels.streams.iter().zip(open) {
            for (share, count) in shares.iter().zip(counts) {
                share.set(count);
            }
        }
        levels.send_buffered.set(send_buffered);
    }

    fn sample(&self, machine: &Connection) {
        if machine.rtt().has_sample() {
            let smoothed = machine.rtt().smoothed();
            self.meter.metrics().recovery.smoothed_rtt[role(machine.side())].record_time(smoothed);
        }
    }

    fn tell(&self, machine: &Connection) {
        let (rtt, window) = (machine.rtt(), machine.window());
        let facts = Facts {
            remote: machine.remote(),
            state: state_name(machine.state()),
            congestion: self.congestion,
            congestion_state: self.congestion_state,
            congestion_window: window.congestion_window,
            pacing_rate: window.pacing_rate,
            bytes_in_flight: machine.bytes_in_flight(),
            smoothed_rtt: rtt.smoothed(),
            minimum_rtt: rtt.minimum(),
            latest_rtt: rtt.latest(),
            datagram_size: machine.datagram_size(),
            max_datagram: machine.max_datagram_length(),
            limited_by: machine.limited_by().as_str(),
            counters: ConnectionStats::default(),
        };
        self.port.update_facts(|known| *known = Facts { counters: known.counters, ..facts });
    }

    fn on_state(&mut self, machine: &Connection, now: Time) {
        let state = machine.state();
        if state == self.state {
            return;
        }
        let before = std::mem::replace(&mut self.state, state);
        self.added = Time::ZERO;
        if before == State::Handshaking && state.is_established() {
            self.on_connected(machine, now);
        }
        if !state.is_open() && !self.closed {
            self.closed = true;
            self.on_closed(machine, before, now);
        }
    }

    fn on_connected(&mut self, machine: &Connection, now: Time) {
        let metrics = self.meter.metrics();
        let role = role(machine.side());
        let Some(data) = machine.handshake_data() else { return };
        let alpn = Alpn::of(data.alpn.as_deref().unwrap_or_default());
        let version = if machine.version() == codec::Version::V2 { VersionLabel::V2 } else { VersionLabel::V1 };
        let resumption = if data.resumed { Resumption::Resumed } else { Resumption::Full };
        metrics.connection.established[(role, version, alpn)].add(1);
        let share = metrics.connection.open[(role, alpn)].share();
        share.set(1);
        self.open = Some(share);
        metrics.tls.handshakes[(role, resumption, HandshakeResult::Ok)].add(1);
        metrics.tls.handshake_duration[(role, resumption)].record_time(now.saturating_since(self.began));
        metrics.tls.early_data[EarlyData::NotOffered].add(1);
        let suite = data.cipher_suite.and_then(|suite| CipherSuite::named(suite.as_str()));
        let group = data.group.and_then(|group| Group::named(group.as_str())).unwrap_or(Group::Other);
        if let Some(suite) = suite {
            metrics.tls.connections[(suite, group)].add(1);
        }
        self.told = Time::ZERO;
    }

    fn on_closed(&mut self, machine: &Connection, before: State, now: Time) {
        let metrics = self.meter.metrics();
        let role = role(machine.side());
        let Some(reason) = machine.close_reason() else { return };
        if let Some(cause) = CloseCause::named(reason.as_str()) {
            metrics.connection.closed[(role, cause)].add(1);
        }
        let transport_code = match reason {
            CloseReason::LocalTransport { error, .. } => Some((Direction::Sent, error.code)),
            CloseReason::PeerTransport { code, .. } => Some((Direction::Received, *code)),
            _ => None,
        };
        if let Some((direction, code)) = transport_code {
            metrics.connection.errors[(direction, ErrorCode::of(code.0))].add(1);
            if let Some(alert) = code.alert() {
                metrics.tls.alerts[(direction, Alert::of(alert))].add(1);
            }
        }
        if before == State::Handshaking {
            let result = match (reason, transport_code.and_then(|(_, code)| code.alert())) {
                (CloseReason::HandshakeTimeout | CloseReason::IdleTimeout, _) => HandshakeResult::Timeout,
                (_, Some(120)) => HandshakeResult::NoAlpn,
                (_, Some(42..=48)) => HandshakeResult::Certificate,
                (_, Some(_)) => HandshakeResult::Alert,
                (CloseReason::PeerTransport { code: codec::TransportErrorCode::CONNECTION_REFUSED, .. }, _) => {
                    HandshakeResult::Refused
                }
                _ => HandshakeResult::Internal,
            };
            metrics.tls.handshakes[(role, Resumption::Full, result)].add(1);
        }
        metrics.connection.duration[role].record_time(now.saturating_since(self.began));
        if machine.rtt().has_sample() {
            metrics.recovery.min_rtt[role].record_time(machine.rtt().minimum());
        }
        self.open = None;
    }

    /// Adds what the machine counted, by layer.
    fn add(&mut self, stats: &Stats, side: Side) {
        let metrics = self.meter.metrics();
        add_codec(metrics, stats);
        add_recovery(metrics, stats);
        add_paths(metrics, stats);
        add_streams(metrics, stats, side);
        metrics.tls.key_updates[Initiator::Local].add(stats.key_updates_local);
        metrics.tls.key_updates[Initiator::Peer].add(stats.key_updates_peer);
        for (operation, nanoseconds) in [
            (CryptoOperation::Seal, stats.crypto_time.seal),
            (CryptoOperation::Open, stats.crypto_time.open),
            (CryptoOperation::HeaderProtection, stats.crypto_time.header_protection),
        ] {
            metrics.tls.crypto_time[operation].add(Duration::from_nanos(nanoseconds));
        }
        metrics.tls.decrypt_failures.add_all(&stats.decrypt_failures);
        metrics.dispatcher.amplification_blocked.add(stats.amplification_blocked);
        metrics.connection.ids[IdEvent::Issued].add(stats.connection_ids_issued);
        metrics.connection.ids[IdEvent::Retired].add(stats.connection_ids_retired);
        for (hits, count) in metrics.connection.limit_hits.iter().zip(stats.limit_hits) {
            hits.add(count);
        }
        for (limit, nanoseconds) in SendLimit::ALL.into_iter().zip(stats.limited_nanoseconds) {
            if nanoseconds > 0
                && let Some(label) = SendLimitLabel::named(limit.as_str())
            {
                metrics.congestion.send_limited[label].add(Duration::from_nanos(nanoseconds));
            }
        }
        for (direction, count) in [Direction::Sent, Direction::Received].into_iter().zip(stats.datagrams_dropped) {
            metrics.connection.datagrams_dropped[(direction, DatagramDrop::QueueFull)].add(count);
        }
        self.port.update_facts(|known| known.counters.add(stats));
    }

    /// A deadline was reached.
    pub(crate) fn expired(&self, reason: DeadlineReason) {
        if let Some(timer) = Timer::named(reason.as_str()) {
            self.meter.metrics().timer.expirations[timer].add(1);
        }
    }

    /// The pacer let more out.
    pub(crate) fn granted(&self) {
        self.meter.metrics().timer.expirations[Timer::Pacing].add(1);
    }

    /// Another controller goes on, so long after it was ordered.
    pub(crate) fn switched(&mut self, change: &congestion::Change, waited: Option<Duration>) {
        let [from, to] = [change.from, change.to].map(|algorithm| Algorithm::of(algorithm.name()));
        let metrics = &self.meter.metrics().congestion;
        metrics.switches[(from, to, SwitchTrigger::of(change.trigger.name()))].add(1);
        if let Some(waited) = waited {
            metrics.switch_duration.record_time(waited);
        }
        self.congestion = change.to.name();
    }

    /// The application wanted another controller and does not get it.
    pub(crate) fn switch_refused(&self, error: SetCongestionError) {
        let reason = match error {
            SetCongestionError::Closed => SwitchFailure::Closing,
            SetCongestionError::Busy => SwitchFailure::Busy,
            SetCongestionError::Failed => SwitchFailure::Failed,
        };
        self.meter.metrics().congestion.switch_failures[reason].add(1);
    }

    /// A datagram no longer fits the path.
    pub(crate) fn datagram_too_large(&self) {
        let dropped = &self.meter.metrics().connection.datagrams_dropped;
        dropped[(Direction::Sent, DatagramDrop::TooLarge)].add(1);
    }

    /// Gives received DATAGRAM frames to the application.
    pub(crate) fn receive_datagrams(&self, machine: &mut Connection) {
        while let Some(datagram) = machine.read_datagram() {
            let dropped = self.port.offer_datagram(datagram);
            let metric = &self.meter.metrics().connection.datagrams_dropped;
            metric[(Direction::Received, DatagramDrop::QueueFull)].add(dropped);
        }
    }
}

fn add_codec(metrics: &ShardMetrics, stats: &Stats) {
    metrics.codec.packets_received.add_all(&stats.packets_received);
    metrics.codec.packets_sent.add_all(&stats.packets_sent);
    metrics.codec.frames_received.add_all(&stats.frames_received);
    metrics.codec.frames_sent.add_all(&stats.frames_sent);
    for (reason, count) in PacketDrop::ALL.into_iter().zip(stats.packets_dropped) {
        if count > 0
            && let Some(label) = telemetry::codec::PacketDrop::named(reason.as_str())
        {
            metrics.codec.packets_dropped[label].add(count);
        }
    }
}

fn add_recovery(metrics: &ShardMetrics, stats: &Stats) {
    let recovery = &metrics.recovery;
    recovery.packets_acked.add_all(&stats.packets_acknowledged);
    recovery.pto_expirations.add_all(&stats.probe_timeouts);
    for (index, space) in Space::ALL.iter().enumerate() {
        recovery.packets_lost[(*space, LossTrigger::PacketThreshold)]
            .add(stats.packets_lost_by_packet_threshold[index]);
        recovery.packets_lost[(*space, LossTrigger::TimeThreshold)].add(stats.packets_lost_by_time_threshold[index]);
    }
    recovery.lost_bytes.add(stats.lost_bytes);
    recovery.packets_spuriously_lost.add(stats.spurious_losses);
    recovery.persistent_congestion.add(stats.persistent_congestion);
    recovery.stream_retransmitted_bytes.add(stats.streams.bytes_retransmitted);
    for (direction, delay) in [Direction::Sent, Direction::Received].into_iter().zip(stats.ack_delays) {
        if let Some(delay) = delay {
            recovery.ack_delay[direction].record_time(delay);
        }
    }
    recovery.ecn_validation[EcnValidation::Capable].add(stats.ecn_capable);
    recovery.ecn_validation[EcnValidation::Failed].add(stats.ecn_failed);
}

fn add_paths(metrics: &ShardMetrics, stats: &Stats) {
    let path = &metrics.path;
    path.validations[ValidationResult::Ok].add(stats.paths_validated);
    path.validations[ValidationResult::Failed].add(stats.paths_failed);
    for (kind, count) in MigrationKind::ALL.iter().zip(stats.migrations) {
        path.migrations[(*kind, MigrationResult::Ok)].add(count);
    }
    path.mtu_probes[ProbeResult::Acked].add(stats.mtu_probes_acknowledged);
    path.mtu_probes[ProbeResult::Lost].add(stats.mtu_probes_lost);
    path.mtu_black_holes.add(stats.mtu_black_holes);
    if let Some(size) = stats.mtu_found {
        path.mtu.record_size(u64::from(size));
    }
}

fn add_streams(metrics: &ShardMetrics, stats: &Stats, _side: Side) {
    let streams = &stats.streams;
    for (initiator, opened) in [Initiator::Local, Initiator::Peer].into_iter().zip(streams.opened) {
        for (direction, count) in StreamType::ALL.iter().zip(opened) {
            metrics.stream.opened[(*direction, initiator)].add(count);
        }
    }
    for (outcome, closed) in StreamOutcome::ALL.iter().zip(streams.closed) {
        metrics.stream.closed[*outcome].add(closed.iter().flatten().sum());
    }
    for (direction, lasted, count) in streams.durations.iter() {
        let kind = match direction {
            codec::Direction::Bidirectional => StreamType::Bidirectional,
            codec::Direction::Unidirectional => StreamType::Unidirectional,
        };
        metrics.stream.duration[kind].record_many(lasted.as_secs_f64(), count);
    }
    metrics.stream.received_bytes.add(streams.bytes_consumed);
    metrics.stream.sent_bytes.add(streams.bytes_acknowledged);
    let blocked = &metrics.connection.flow_control_blocked;
    for (direction, connection, stream, opening) in [
        (Direction::Sent, streams.data_blocked_sent, streams.stream_data_blocked_sent, streams.streams_blocked_sent),
        (
            Direction::Received,
            streams.data_blocked_received,
            streams.stream_data_blocked_received,
            streams.streams_blocked_received,
        ),
    ] {
        blocked[(direction, BlockedScope::Connection)].add(connection);
        blocked[(direction, BlockedScope::Stream)].add(stream);
        blocked[(direction, BlockedScope::StreamsBidi)].add(opening[0]);
        blocked[(direction, BlockedScope::StreamsUni)].add(opening[1]);
    }
    for (limit, hits) in streams.limit_hits() {
        if let Some(label) = telemetry::connection::Limit::named(limit.as_str()) {
            metrics.connection.limit_hits[label].add(hits);
        }
    }
}

pub(crate) const fn state_name(state: State) -> &'static str {
    match state {
        State::Handshaking => "handshaking",
        State::Connected => "connected",
        State::Confirmed => "confirmed",
        State::Closing => "closing",
        State::Draining => "draining",
        State::Drained => "drained",
    }
}
