//! [`Connection`]: one QUIC connection, without sockets, clocks or threads.
//!
//! ```text
//! handle_datagrams ─▶ ┌────────────┐ ─▶ poll_transmit        sealed datagrams
//! handle_streams   ─▶ │            │ ─▶ take_stream_inputs   facts for the keeper of the streams' bytes
//! handle_window    ─▶ │ Connection │ ─▶ take_observed        facts for the congestion controller
//! handle_deadline  ─▶ │            │ ─▶ poll_route           ids that lead here
//! handle_granted   ─▶ └────────────┘ ─▶ poll_event, deadline, transmit_wanted
//! ```
//!
//! Call any number of `handle_*`, then [`Connection::end_turn`], then drain everything on the right side.
//! Read `receive.rs`, `effects.rs`, `handshake.rs`, `transmit.rs` in the order of the data.

mod close;
mod crypto;
mod deadlines;
mod effects;
mod handshake;
mod packet;
mod parameters;
mod receive;
mod state;
mod transmit;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use codec::{ConnectionId, Side, StreamId, Time, TransportErrorCode, Version};
use congestion::{Algorithm, Controller, Marking, Observed, Pacer, Window};
use recovery::{Outcome, Received, Recovery, SpaceId, Spaces};
use tls::{KeyRing, Session};

pub use self::close::CloseCode;
pub use self::handshake::{ClientBeginning, HandshakeData, ServerBeginning};
pub use self::state::State;

use self::close::Closing;
use self::crypto::CryptoStream;
use self::handshake::Handshake;
use self::parameters::PeerFacts;
use self::receive::OpenedPacket;
use crate::config::Config;
use crate::datagrams::{Datagrams, SendDatagramError};
use crate::error::TransportError;
use crate::lazy::Lazy;
use crate::local_ids::LocalIds;
use crate::output::{CloseReason, Event, RouteChange, TransmitWanted};
use crate::path::Paths;
use crate::peer_ids::PeerIds;
use crate::random::Random;
use crate::stats::{SendLimit, Stats};
use crate::stream::edge::{StreamInput, StreamOutput};
use crate::stream::ledger::Ledger;
use crate::token::Token;

/// What a connection begins with, whichever side it is.
#[derive(Debug)]
pub struct Beginning {
    /// Its settings.
    pub config: Arc<Config>,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Our address, where it is known.
    pub local: Option<IpAddr>,
    /// The ids that the peer may use, of which the first is announced in the handshake.
    pub local_ids: LocalIds,
    /// Makes the connection's random numbers unpredictable, or a test repeatable.
    pub seed: [u8; 32],
    /// Now.
    pub now: Time,
}

/// One QUIC connection of either side.
#[derive(Debug)]
pub struct Connection {
    side: Side,
    version: Version,
    config: Arc<Config>,
    state: State,
    random: Random,

    /// Until TLS is done with: on a server until the last ticket is sent.
    session: Option<Box<Session>>,
    /// Until the handshake is confirmed.
    handshake: Option<Box<Handshake>>,
    handshake_data: Option<Arc<HandshakeData>>,
    keys: KeyRing,
    crypto: Spaces<CryptoStream>,
    peer: Option<PeerFacts>,

    recovery: Recovery<Token>,
    /// Reused from one acknowledgement to the next, until the connection rests.
    outcome: Option<Box<Outcome<Token>>>,
    received: Spaces<Received>,

    ledger: Ledger,
    local_ids: LocalIds,
    peer_ids: PeerIds,
    paths: Paths,
    /// Which of our ids the peer's newest packet was sent to.
    peer_uses: ConnectionId,
    datagrams: Lazy<Datagrams>,
    /// Tokens for later connections, to be sent by a server.
    new_tokens: VecDeque<Bytes>,
    /// HANDSHAKE_DONE is to be sent.
    handshake_done: bool,
    /// A PING is to be sent, by space.
    ping: [bool; 3],

    window: Window,
    pacer: Pacer,
    observed: Option<Box<Observed>>,
    /// Whether this turn added to it.
    has_news: bool,
    /// For how many turns `observed` was kept to be told together with what follows.
    observed_turns: u8,
    /// The controller was told something and has not answered.
    awaiting_window: bool,
    /// Which algorithm the controller is of.
    algorithm: Algorithm,
    /// Whether the window was full at some time since the controller was last told something.
    window_was_full: bool,
    /// Whether the datagrams of this batch carry ECT(0): one mark for all of them.
    marking: bool,
    probes: [u8; 3],
    ack_only_packets: u32,
    /// The next packet number that is left out, to catch who acknowledges what was never sent.
    next_skipped: u64,
    limited_by: SendLimit,
    limited_since: Time,
    wanted: Option<TransmitWanted>,

    closing: Option<Box<Closing>>,
    idle_deadline: Option<Time>,
    /// When the idle timer was last set anew.
    idle_since: Option<Time>,
    /// When to look whether it is quiet here; none once it has been found so.
    rest_deadline: Option<Time>,
    keep_alive_deadline: Option<Time>,
    handshake_deadline: Option<Time>,
    /// Whether something ack-eliciting was sent since a packet was last received (RFC 9000 §10.1).
    sent_since_received: bool,

    stream_inputs: Vec<StreamInput>,
    events: VecDeque<Event>,
    routes: Vec<RouteChange>,
    opened: Vec<OpenedPacket>,
    /// Packets that came before their keys.
    early: Vec<receive::EarlyPacket>,
    now: Time,
    /// What TLS said about the failure that is being reported.
    tls_failure: Option<String>,
    /// Searches for larger datagrams that were counted already.
    mtu_searches: u64,
    /// Key updates, ours and the peer's, that were counted already.
    key_updates: (u64, u64),
    stats: Lazy<Stats>,
}

/// So many quiet turns are told to the congestion controller at once: see [`Connection::take_observed`].
const QUIET_TURNS: u8 = 7;

impl Connection {
    // ── What happened ────────────────────────────────────────────────────────────────────────────────────────────
    // handle_datagrams is in receive.rs, handle_deadline in deadlines.rs, handle_stateless_reset and close in close.rs.

    /// Wishes of the keeper of the streams' bytes. Leaves `outputs` empty.
    pub fn handle_streams(&mut self, now: Time, outputs: &mut Vec<StreamOutput>) {
        self.now = now;
        if !self.state.is_open() {
            outputs.clear();
            return;
        }
        for output in outputs.drain(..) {
            if let Err(error) = self.ledger.on_output(now, output) {
                self.fail(now, error, None);
                return;
            }
        }
    }

    /// The congestion controller's answer to what it was told. Says whether it lets anything out, which takes a turn; a
    /// connection with nothing to send needs none.
    pub fn handle_window(&mut self, now: Time, window: Window) -> bool {
        self.now = now;
        self.awaiting_window = false;
        self.window = window;
        self.pacer.set_window(now, window, self.paths.current().datagram_size());
        let waits = self.waits_for_window(now);
        if !waits {
            self.on_window_unused(now);
        }
        waits
    }

    /// The moment that was asked for with [`Self::transmit_wanted`] has come, or there are buffers again.
    pub fn handle_granted(&mut self, now: Time) {
        self.now = now;
        self.wanted = None;
    }

    /// There is no buffer to send with: the next turns send nothing until [`Self::handle_granted`].
    pub fn handle_no_buffer(&mut self, now: Time) {
        self.limit_by(now, SendLimit::Socket);
    }

    /// Queues a DATAGRAM frame; the oldest waiting one is dropped when there are too many (RFC 9221).
    pub fn send_datagram(&mut self, data: Bytes) -> Result<(), SendDatagramError> {
        let maximum = self.max_datagram_length().ok_or(SendDatagramError::Unsupported)?;
        if data.len() > maximum {
            return Err(SendDatagramError::TooLarge(maximum));
        }
        self.stats.datagrams_dropped[0] += self.datagrams.send(data);
        Ok(())
    }

    /// The oldest received DATAGRAM frame.
    pub fn read_datagram(&mut self) -> Option<Bytes> {
        if self.datagrams.is_untouched() { None } else { self.datagrams.read() }
    }

    /// The most bytes that a DATAGRAM frame may carry now, or `None` if the peer accepts none.
    pub fn max_datagram_length(&self) -> Option<usize> {
        let permitted = usize::try_from(self.peer.as_ref()?.max_datagram_frame_size?).unwrap_or(usize::MAX);
        // Type and length in the frame; first byte, id, packet number and tag in the packet.
        let overhead = 3 + 1 + self.peer_ids.current().len() + 4 + tls::TAG_LENGTH;
        let fits = usize::from(self.paths.current().datagram_size()).saturating_sub(overhead);
        Some(permitted.saturating_sub(3).min(fits))
    }

    /// Begins a key update (RFC 9001 §6.1), unless one is under way or the handshake is not confirmed.
    pub fn update_keys(&mut self, now: Time) -> Result<(), tls::KeyUpdateError> {
        self.keys.initiate_key_update(now)
    }

    /// Gives the peer a token for its later connections (servers only; RFC 9000 §8.1.3).
    pub fn send_new_token(&mut self, token: Bytes) {
        if self.side.is_server() && self.new_tokens.len() < 4 {
            self.new_tokens.push_back(token);
        }
    }

    /// Says all routes again: whoever keeps them may have missed some. Repetitions change nothing.
    pub fn announce_routes(&mut self) {
        if self.state.is_open() {
            self.routes.extend(self.local_ids.active().map(|id| RouteChange::Add(*id)));
            self.routes.extend(self.peer_ids.reset_tokens().map(RouteChange::AddResetToken));
        }
    }

    /// Ends a turn: decides what the inputs since the last one add up to. Everything may be drained afterwards.
    pub fn end_turn(&mut self, now: Time) {
        self.now = now;
        for received in self.received.iter_mut() {
            received.end_of_turn(now, self.config.max_ack_delay);
        }
        while let Some(input) = self.ledger.poll_input() {
            self.stream_inputs.push(input);
        }
        self.drain_ids();
        if self.keys.should_update() {
            self.renew_keys(now);
        }
        self.shrink_if_unused();
    }

    // ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────
    // poll_transmit is in transmit.rs, deadline in deadlines.rs.

    /// Moves the facts for the keeper of the streams' bytes to the end of `inputs`.
    pub fn take_stream_inputs(&mut self, inputs: &mut Vec<StreamInput>) {
        if inputs.is_empty() {
            // With their room: whoever takes them has none, and an idle connection keeps none.
            *inputs = std::mem::take(&mut self.stream_inputs);
        } else {
            inputs.append(&mut self.stream_inputs);
        }
    }

    /// What the congestion controller must hear. Until it answers ([`Self::handle_window`]), nothing is sent that it
    /// would have to permit. Small news of a window that nobody waits for is told together with what follows it.
    pub fn take_observed(&mut self) -> Option<Box<Observed>> {
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
            // So that less the last one's `bytes_in_flight` it is what was sent meanwhile.
            let gone = observed.acknowledged_bytes.saturating_add(observed.lost_bytes);
            observed.prior_in_flight = observed.bytes_in_flight.saturating_add(gone);
        }
        observed.application_limited = !self.window_was_full;
        self.window_was_full = false;
        self.awaiting_window = true;
        Some(observed)
    }

    /// Whether what was observed changes nothing now: acknowledgements of less than the window, nothing lost or marked,
    /// nothing waiting for the pacer. A window that is not used does not grow (RFC 9002 §7.8).
    fn is_quiet(&self) -> bool {
        self.state == State::Confirmed
            && !self.window_was_full
            && self.wanted.is_none()
            && self.observed.as_ref().is_some_and(|observed| {
                !observed.has_loss()
                    && observed.ecn_ce == 0
                    && observed.spurious == 0
                    && !observed.persistent_congestion
            })
    }

    /// Another controller takes the place of the one before, which will not answer any more.
    pub fn handle_successor(&mut self, now: Time, algorithm: Algorithm, controller: &dyn Controller) {
        self.algorithm = algorithm;
        self.recovery.set_ecn_scalable(controller.marking() == Marking::Scalable);
        let _a_turn_follows = self.handle_window(now, controller.window());
    }

    /// The next change of which ids lead here. To be made known before any datagram of the same turn is sent.
    pub fn poll_route(&mut self) -> Option<RouteChange> {
        crate::router::next_change(&mut self.routes)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When the pacer lets more out, if more is waiting.
    pub const fn transmit_wanted(&self) -> Option<TransmitWanted> {
        self.wanted
    }

    /// Measures from now on what packet protection costs, on one packet in 64: see [`KeyRing::measure`].
    pub fn measure_crypto(&mut self, clock: tls::NanosecondClock) {
        // As random as the phase should be, and nothing is learned from what is timed.
        self.keys.measure(clock, self.next_skipped);
    }

    /// What was counted since the last call.
    pub fn take_stats(&mut self) -> Lazy<Stats> {
        let streams = self.ledger.take_stats();
        if !streams.is_untouched() {
            self.stats.streams = streams;
        }
        let mtu = self.paths.current().mtu().counters();
        if mtu.searches_ended != self.mtu_searches {
            self.mtu_searches = mtu.searches_ended;
            self.stats.mtu_found = (mtu.searches_ended > 0).then_some(mtu.ended_with);
        }
        let (local, peer) = self.keys.key_updates();
        if (local, peer) != self.key_updates {
            self.stats.key_updates_local = local - self.key_updates.0;
            self.stats.key_updates_peer = peer - self.key_updates.1;
            self.key_updates = (local, peer);
        }
        let crypto_time = self.keys.take_crypto_time();
        if crypto_time != tls::CryptoTime::default() {
            self.stats.crypto_time = crypto_time;
        }
        self.stats.take()
    }

    // ── Questions ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Where the connection stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Which side we are.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The version in use.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The peer's current address.
    pub fn remote(&self) -> SocketAddr {
        self.paths.current().remote()
    }

    /// The peer's id that packets are sent to now.
    pub fn current_destination(&self) -> ConnectionId {
        self.peer_ids.current()
    }

    /// The first id of ours, which long headers carry.
    pub const fn first_id(&self) -> ConnectionId {
        self.local_ids.first()
    }

    /// What the handshake agreed on, once it is complete.
    pub fn handshake_data(&self) -> Option<&Arc<HandshakeData>> {
        self.handshake_data.as_ref()
    }

    /// The first connection id that the client chose: the key of logs, and of qlog's file names.
    pub fn original_destination(&self) -> Option<ConnectionId> {
        self.handshake.as_ref().map(|handshake| handshake.original_destination)
    }

    /// Why it is over, once it is.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.closing.as_ref().map(|closing| &closing.reason)
    }

    /// The window that the controller gave.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The round trip estimate.
    pub fn rtt(&self) -> &recovery::Rtt {
        self.recovery.rtt()
    }

    /// Bytes sent and neither acknowledged nor lost.
    pub fn bytes_in_flight(&self) -> u64 {
        self.recovery.bytes_in_flight()
    }

    /// Packets that are remembered because the peer has neither acknowledged nor lost them: at most
    /// [`limits::SENT_PACKETS`](crate::limits::SENT_PACKETS) and a few probes.
    pub fn sent_packets(&self) -> usize {
        self.recovery.sent_packets()
    }

    /// Bytes of the largest datagrams that fit the path.
    pub fn datagram_size(&self) -> u16 {
        self.paths.current().datagram_size()
    }

    /// The connection's half of the streams, for its gauges.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Which algorithm the controller is of.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What a rule for controllers may ask of the connection.
    pub fn congestion_facts(&self) -> congestion::Facts<'_> {
        let handshake = self.handshake_data();
        congestion::Facts {
            alpn: handshake.and_then(|data| data.alpn.as_deref()).unwrap_or_default(),
            server_name: handshake.and_then(|data| data.server_name.as_deref()),
            remote: self.paths.current().remote().ip(),
            side: self.side,
            smoothed_rtt: self.recovery.rtt().has_sample().then(|| self.recovery.rtt().smoothed()),
            algorithm: self.algorithm.name(),
        }
    }

    /// A controller of the kind in use, for a path of which nothing is known.
    pub fn fresh_controller(&mut self) -> Box<dyn Controller> {
        self.algorithm.start(&congestion::InitialConditions {
            datagram_size: self.paths.current().datagram_size(),
            initial_window: self.config.initial_window,
            now: self.now,
            seed: self.random.number(),
        })
    }

    /// What keeps the sender from sending more.
    pub const fn limited_by(&self) -> SendLimit {
        self.limited_by
    }

    /// Probe timeouts in a row.
    pub fn probe_timeouts(&self) -> u32 {
        self.recovery.pto_count()
    }

    /// Whether `id` is one that the peer may open or that we opened: for questions of the application only.
    pub fn is_stream_known(&self, id: StreamId) -> bool {
        self.ledger.is_open(id)
    }

    // ── Shared by the files of this folder ───────────────────────────────────────────────────────────────────────

    /// Replaces keys that have protected many packets, before they have protected too many.
    fn renew_keys(&mut self, now: Time) {
        if self.keys.initiate_key_update(now).is_err() && self.keys.is_nearly_exhausted() {
            //= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
            //# If a key update is not possible or integrity limits are reached,
            //# the endpoint MUST stop using the connection and only send stateless
            //# resets in response to receiving packets.
            let error = TransportError::new(TransportErrorCode::AEAD_LIMIT_REACHED, "no other keys can be had");
            self.fail(now, error, None);
        }
    }

    fn limit_by(&mut self, now: Time, limit: SendLimit) {
        if limit == self.limited_by {
            return;
        }
        let lasted = now.saturating_since(self.limited_since).as_nanos();
        self.stats.limited_nanoseconds[self.limited_by as usize] += u64::try_from(lasted).unwrap_or(u64::MAX);
        self.limited_by = limit;
        self.limited_since = now;
    }

    fn received(&mut self, space: SpaceId) -> &mut Received {
        &mut self.received[space]
    }

    fn crypto(&mut self, space: SpaceId) -> &mut CryptoStream {
        &mut self.crypto[space]
    }
}
