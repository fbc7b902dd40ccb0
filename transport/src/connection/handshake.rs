//! The handshake: CRYPTO bytes to TLS and back, keys as they come, completion and confirmation (RFC 9001 §4).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use codec::packet::Retry;
use codec::parameters::TransportParameters;
use codec::{ConnectionId, Side, Time, TransportErrorCode, Version};
use recovery::{Outcome, Received, Recovery, SpaceId, Spaces};
use tls::{KeyRing, Level, Session, SessionError};

use super::parameters;
use super::state::{State, Trigger};
use super::{Beginning, Connection};
use crate::error::TransportError;
use crate::lazy::Lazy;
use crate::output::Event;
use crate::path::Paths;
use crate::path::mtu::MtuConfig;
use crate::peer_ids::PeerIds;
use crate::random::Random;
use crate::stats::SendLimit;
use crate::stream::ledger::Ledger;
use crate::token::Token;

/// What must be remembered until the handshake is confirmed.
#[derive(Debug)]
pub(super) struct Handshake {
    /// The destination of the client's very first Initial.
    pub(super) original_destination: ConnectionId,
    /// The source of the Retry, if there was one: the destination of the Initials after it.
    pub(super) retry_source: Option<ConnectionId>,
    /// What the peer's packets came from first.
    pub(super) peer_source: Option<ConnectionId>,
    /// The Retry or NEW_TOKEN token that our Initials carry.
    pub(super) token: Bytes,
    /// The space that TLS writes into now.
    pub(super) write_space: SpaceId,
    /// The space that TLS reads from now.
    pub(super) read_space: SpaceId,
    /// The version that the client began with.
    pub(super) first_version: Version,
    /// Whether a Version Negotiation packet led to this attempt.
    pub(super) negotiated: bool,
    /// How often something was said again before its probe timeout.
    pub(super) hastened: u8,
}

/// What the handshake agreed on.
#[derive(Clone, Debug, Default)]
pub struct HandshakeData {
    /// The application protocol.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Whether a ticket of an earlier connection was used.
    pub resumed: bool,
    /// The cipher suite.
    pub cipher_suite: Option<tls::CipherSuite>,
    /// The key exchange group.
    pub group: Option<tls::KeyExchangeGroup>,
    /// The peer's certificates in DER, its own first.
    pub peer_certificates: Vec<Vec<u8>>,
}

/// What a client begins with.
#[derive(Debug)]
pub struct ClientBeginning {
    /// Who the server must prove to be.
    pub server_name: tls::pki_types::ServerName<'static>,
    /// The settings of TLS.
    pub tls: Arc<tls::ClientConfig>,
    /// The first version to try.
    pub version: Version,
    /// A token of an earlier connection (RFC 9000 §8.1.3), or nothing.
    pub token: Bytes,
    /// Unpredictable, at least eight bytes: the destination of the first Initial (RFC 9000 §7.2).
    pub original_destination: ConnectionId,
    /// Whether a Version Negotiation packet led to this attempt.
    pub negotiated: bool,
}

/// What a server begins with: facts about the client's first Initial.
#[derive(Debug)]
pub struct ServerBeginning {
    /// The settings of TLS.
    pub tls: Arc<tls::ServerConfig>,
    /// The version of the Initial.
    pub version: Version,
    /// The destination of the client's very first Initial, before any Retry.
    pub original_destination: ConnectionId,
    /// The source of our Retry, if the token shows that there was one.
    pub retry_source: Option<ConnectionId>,
    /// The source of the Initial.
    pub peer_source: ConnectionId,
    /// Whether a token showed that the client is at its address (RFC 9000 §8.1).
    pub validated: bool,
    /// The stateless reset token of our first id.
    pub reset_token: codec::ResetToken,
}

impl Connection {
    /// A client's connection that has sent nothing yet.
    pub fn client(beginning: Beginning, client: ClientBeginning) -> Result<Box<Self>, SessionError> {
        let source = beginning.local_ids.first();
        let own = parameters::ours(&beginning.config, source);
        let own = parameters::with_versions(own, Side::Client, client.version, &beginning.config);
        let mut random = Random::new(&beginning.seed);
        let grease = beginning.config.grease.then(|| codec::parameters::Grease { seed: random.number() });
        let encoded = own.encode(Side::Client, grease);
        let suite = tls::InitialSuite::of_client(&client.tls);
        let session = Session::client(client.tls, client.version, client.server_name, encoded)?;
        let keys = KeyRing::with_suite(suite, Side::Client, client.version, &client.original_destination);
        let handshake = Handshake {
            original_destination: client.original_destination,
            retry_source: None,
            peer_source: None,
            token: client.token,
            write_space: SpaceId::Initial,
            read_space: SpaceId::Initial,
            first_version: client.version,
            negotiated: client.negotiated,
            hastened: 0,
        };
        let peer_ids = PeerIds::new(client.original_destination);
        let mut connection =
            Self::new(beginning, Side::Client, client.version, session, keys, handshake, peer_ids, random);
        connection.paths.validate_current();
        let now = connection.now;
        // What TLS has to say by itself cannot break a rule of the peer's.
        if let Err(error) = connection.drive_handshake(now) {
            connection.fail(now, error, None);
        }
        Ok(connection)
    }

    /// A server's connection; the client's first Initial is given to it next.
    pub fn server(beginning: Beginning, server: ServerBeginning) -> Result<Box<Self>, SessionError> {
        let source = beginning.local_ids.first();
        let own = TransportParameters {
            original_destination_connection_id: Some(server.original_destination),
            retry_source_connection_id: server.retry_source,
            stateless_reset_token: Some(server.reset_token),
            ..parameters::ours(&beginning.config, source)
        };
        let own = parameters::with_versions(own, Side::Server, server.version, &beginning.config);
        let mut random = Random::new(&beginning.seed);
        let grease = beginning.config.grease.then(|| codec::parameters::Grease { seed: random.number() });
        let suite = tls::InitialSuite::of_server(&server.tls);
        let session = Session::server(server.tls, server.version, own.encode(Side::Server, grease))?;
        let initial = server.retry_source.unwrap_or(server.original_destination);
        let keys = KeyRing::with_suite(suite, Side::Server, server.version, &initial);
        let handshake = Handshake {
            original_destination: server.original_destination,
            retry_source: server.retry_source,
            // Nothing is authenticated yet: the header that said it may have been spoiled on its way.
            peer_source: None,
            token: Bytes::new(),
            write_space: SpaceId::Initial,
            read_space: SpaceId::Initial,
            first_version: server.version,
            negotiated: false,
            hastened: 0,
        };
        let peer_ids = PeerIds::new(server.peer_source);
        let mut connection =
            Self::new(beginning, Side::Server, server.version, session, keys, handshake, peer_ids, random);
        if server.validated {
            connection.paths.validate_current();
        }
        Ok(connection)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts in which the two sides differ, each once")]
    fn new(
        beginning: Beginning,
        side: Side,
        version: Version,
        session: Session,
        keys: KeyRing,
        handshake: Handshake,
        peer_ids: PeerIds,
        mut random: Random,
    ) -> Box<Self> {
        let Beginning { config, remote, local, local_ids, now, .. } = beginning;
        let paths = Paths::new(side, remote, local, mtu_of(&config));
        let recovery_config = recovery::Config { initial_rtt: config.initial_rtt, ..recovery::Config::default() };
        let mut recovery = Recovery::new(side, recovery_config);
        // A client is never held to the amplification limit, so to it the server's address counts as validated
        // only once the server has shown that it validated ours (RFC 9002 §6.2.2.1).
        recovery.set_peer_completed_address_validation(side.is_server());
        let initial = congestion::InitialConditions {
            datagram_size: config.initial_datagram_size,
            initial_window: config.initial_window,
            now,
            seed: random.number(),
        };
        // The window of before the first answer of the controller: what the same controller begins with.
        let controller = config.congestion.start(&initial);
        let window = controller.window();
        recovery.set_ecn_scalable(controller.marking() == congestion::Marking::Scalable);
        let mut pacer = congestion::Pacer::new();
        pacer.set_window(now, window, config.initial_datagram_size);
        let next_skipped = 64 + random.number() % 512;
        let ledger = Ledger::new(side, parameters::local_limits(&config));
        // It is large, and goes through many hands before it has found its place: they pass a pointer.
        Box::new(Self {
            side,
            version,
            state: State::Handshaking,
            session: Some(Box::new(session)),
            handshake: Some(Box::new(handshake)),
            handshake_data: None,
            keys,
            crypto: Spaces::new(),
            peer: None,
            recovery,
            outcome: None,
            received: Spaces::new(),
            ledger,
            local_ids,
            peer_ids,
            paths,
            peer_uses: ConnectionId::EMPTY,
            datagrams: Lazy::new(),
            new_tokens: std::collections::VecDeque::new(),
            handshake_done: false,
            ping: [false; 3],
            window,
            pacer,
            observed: None,
            has_news: false,
            observed_turns: 0,
            awaiting_window: false,
            algorithm: config.congestion,
            window_was_full: false,
            marking: false,
            probes: [0; 3],
            ack_only_packets: 0,
            next_skipped,
            limited_by: SendLimit::Application,
            limited_since: now,
            wanted: None,
            closing: None,
            idle_deadline: Some(now + config.handshake_timeout.max(config.max_idle_timeout)),
            idle_since: None,
            rest_deadline: None,
            keep_alive_deadline: None,
            handshake_deadline: Some(now + config.handshake_timeout),
            sent_since_received: false,
            stream_inputs: Vec::new(),
            events: std::collections::VecDeque::new(),
            routes: Vec::new(),
            opened: Vec::new(),
            early: Vec::new(),
            now,
            tls_failure: None,
            mtu_searches: 0,
            key_updates: (0, 0),
            stats: Lazy::new(),
            random,
            config,
        })
    }

    /// Takes CRYPTO bytes that a packet of `space` carried.
    pub(super) fn on_crypto(
        &mut self,
        now: Time,
        space: SpaceId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), TransportError> {
        if !self.crypto(space).insert(offset, data)? {
            //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.3
            //# When a server receives an Initial packet containing duplicate CRYPTO data,
            //# it can assume the client did not receive all of the server's CRYPTO data sent
            //# in Initial packets, or the client's estimated RTT is too small.
            // In the Handshake space the same holds for either side.
            self.hasten_handshake();
        }
        loop {
            let read_space = self.handshake.as_ref().map_or(SpaceId::Application, |handshake| handshake.read_space);
            //= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3
            //# If the packet is from a previously installed encryption level,
            //# it MUST NOT contain data that extends past the end of previously
            //# received data in that flow.
            //
            //= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3
            //# When TLS provides keys for a higher encryption level,
            //# if there is data from a previous encryption level that TLS has not consumed,
            //# this MUST be treated as a connection error of type PROTOCOL_VIOLATION.
            // Behind a gap or not: a gap at an earlier level is never filled.
            if space < read_space {
                return if self.crypto[space].has_unread() {
                    Err(TransportError::protocol_violation("handshake data continued at an earlier encryption level"))
                } else {
                    Ok(())
                };
            }
            let Some(data) = self.crypto(read_space).next() else { return Ok(()) };
            let Some(session) = &mut self.session else {
                // Only a server drops its session, and nothing may follow a client's Finished.
                return Err(TransportError::new(
                    TransportErrorCode::crypto(UNEXPECTED_MESSAGE),
                    "a TLS message after the handshake",
                ));
            };
            if let Err(error) = session.read(&data) {
                self.tls_failure = Some(error.reason);
                return Err(TransportError::new(error.code, "TLS"));
            }
            self.drive_handshake(now)?;
        }
    }

    /// Collects what TLS wants to say and the keys it has made.
    pub(super) fn drive_handshake(&mut self, now: Time) -> Result<(), TransportError> {
        let mut bytes = Vec::new();
        while let Some(session) = &mut self.session {
            bytes.clear();
            let change = session.write(&mut bytes);
            let space = self.handshake.as_ref().map_or(SpaceId::Application, |handshake| handshake.write_space);
            if !bytes.is_empty() {
                self.crypto(space).write(&bytes);
            }
            let Some(change) = change else {
                if bytes.is_empty() {
                    break;
                }
                continue;
            };
            let next = match change.level() {
                Level::Initial => SpaceId::Initial,
                Level::Handshake => SpaceId::Handshake,
                Level::ZeroRtt | Level::OneRtt => SpaceId::Application,
            };
            self.keys.install(change);
            if let Some(handshake) = &mut self.handshake {
                handshake.write_space = next;
                if next == SpaceId::Handshake {
                    handshake.read_space = SpaceId::Handshake;
                    self.recovery.on_handshake_keys();
                }
            }
        }
        self.read_peer_parameters()?;
        let complete = self.session.as_ref().is_some_and(|session| !session.is_handshaking());
        if complete && self.state == State::Handshaking {
            self.on_handshake_complete(now)?;
        }
        Ok(())
    }

    fn read_peer_parameters(&mut self) -> Result<(), TransportError> {
        if self.peer.is_some() {
            return Ok(());
        }
        let Some(encoded) = self.session.as_ref().and_then(|session| session.peer_parameters()) else { return Ok(()) };
        let peer = TransportParameters::decode(encoded, self.side.peer())
            .map_err(|error| TransportError::transport_parameter(error.reason))?;
        if let Some(handshake) = &self.handshake {
            parameters::check(&peer, self.side, handshake)?;
            parameters::check_versions(&peer, self.side, self.version, handshake, &self.config)?;
        }
        self.apply_peer_parameters(&peer);
        Ok(())
    }

    fn on_handshake_complete(&mut self, now: Time) -> Result<(), TransportError> {
        if self.peer.is_none() {
            return Err(TransportError::new(
                TransportErrorCode::crypto(MISSING_EXTENSION),
                "no transport parameters in the handshake",
            ));
        }
        let Some(session) = &self.session else { return Ok(()) };
        self.handshake_data = Some(Arc::new(HandshakeData {
            alpn: session.alpn().map(<[u8]>::to_vec),
            server_name: session.server_name().map(str::to_owned),
            resumed: session.is_resumed(),
            cipher_suite: session.cipher_suite(),
            group: session.key_exchange_group(),
            peer_certificates: session.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect(),
        }));
        if let Some(handshake) = &mut self.handshake {
            handshake.read_space = SpaceId::Application;
        }
        self.move_on(Trigger::HandshakeComplete);
        self.handshake_deadline = None;
        // The peer's timeout is known now.
        self.idle_since = None;
        self.restart_idle(now);
        self.events.push_back(Event::Connected);
        if self.side.is_server() {
            //= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.2
            //# In this document, the TLS handshake is considered confirmed at the
            //# server when the handshake completes.  The server MUST send a HANDSHAKE_DONE
            //# frame as soon as the handshake is complete.
            self.handshake_done = true;
            self.paths.validate_current();
            // The tickets are written by now; what stays of TLS is keys.
            if self.session.as_ref().is_some_and(|session| session.is_spent()) {
                self.session = None;
            }
            self.on_handshake_confirmed();
        }
        Ok(())
    }

    /// Both ends know that the handshake is complete.
    pub(super) fn on_handshake_confirmed(&mut self) {
        if !self.move_on(Trigger::HandshakeConfirmed) {
            return;
        }
        self.keys.on_handshake_confirmed();
        self.recovery.on_handshake_confirmed();
        self.recovery.set_peer_completed_address_validation(true);
        //= https://www.rfc-editor.org/rfc/rfc9001#section-4.9.2
        //# An endpoint MUST discard its Handshake keys when the TLS handshake is
        //# confirmed
        self.discard_space(SpaceId::Initial);
        self.discard_space(SpaceId::Handshake);
        self.received.leave_handshake();
        self.crypto.leave_handshake();
        self.handshake = None;
        // A server is confirmed before it has read what came ahead of the client's Finished.
        self.early.retain(|packet| packet.is_one_rtt());
        self.paths.on_handshake_confirmed();
        self.events.push_back(Event::Confirmed);
    }

    /// Lowers the limits on the use of keys (RFC 9001 §6.6), which nobody reaches in a test otherwise.
    pub fn set_key_limits(&mut self, limits: tls::Limits) {
        self.keys.set_limits(limits);
    }

    /// Forgets a space: its keys, what was in flight in it, what was to be sent in it.
    pub(super) fn discard_space(&mut self, space: SpaceId) {
        let level = match space {
            SpaceId::Initial => Level::Initial,
            SpaceId::Handshake => Level::Handshake,
            SpaceId::Application => return,
        };
        if !self.keys.can_open(level) && !self.keys.can_seal(level) {
            return;
        }
        self.keys.discard(level);
        self.crypto(space).discard();
        self.recovery.discard(space, &mut Outcome::default());
        *self.received(space) = Received::new(space);
        self.probes[space.index()] = 0;
        self.ping[space.index()] = false;
    }

    /// A Retry packet (clients only; RFC 9000 §17.2.5.2). `packet` is all of it. Says whether it was obeyed.
    pub(super) fn on_retry(&mut self, retry: &Retry<'_>, from: SocketAddr) -> bool {
        let heard = self.recovery.largest_acknowledged(SpaceId::Initial).is_some()
            || self.received[SpaceId::Initial].largest().is_some();
        let source = self.local_ids.first();
        let Some(handshake) = &mut self.handshake else { return false };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
        //# A client MUST accept and process at most one Retry packet for each connection
        //# attempt.
        let first = self.side.is_client() && !heard && handshake.retry_source.is_none();
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
        //# A client MUST discard a Retry packet with a zero-length Retry Token field.
        let sound = !retry.token.is_empty()
            && retry.version == self.version
            && retry.destination == source
            && retry.source != handshake.original_destination
            && from == self.paths.current().remote()
            && tls::retry::verify(retry.version, &handshake.original_destination, retry.covered, &retry.integrity_tag);
        if !first || !sound {
            return false;
        }
        handshake.retry_source = Some(retry.source);
        handshake.token = Bytes::copy_from_slice(retry.token);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1
        //# The client MUST use the value from the Source Connection ID field of the
        //# Retry packet in the Destination Connection ID field of subsequent
        //# packets that it sends.
        self.peer_ids.replace_initial(retry.source);
        self.keys.set_initial(&retry.source);
        // What was sent before is read by nobody; packet numbers go on (RFC 9000 §17.2.5.3).
        let mut outcome = Outcome::default();
        self.recovery.forget(SpaceId::Initial, &mut outcome);
        for token in outcome.discarded {
            if let Token::Crypto { piece, .. } = token {
                self.crypto(SpaceId::Initial).on_lost(*piece);
            }
        }
        true
    }

    /// Moves the state on; says whether it moved.
    pub(super) fn move_on(&mut self, trigger: Trigger) -> bool {
        let Some(next) = self.state.after(trigger) else { return false };
        self.state = next;
        true
    }
}

/// TLS alerts that QUIC itself raises (RFC 8446 §6.2).
const UNEXPECTED_MESSAGE: u8 = 10;
const MISSING_EXTENSION: u8 = 109;

/// What sizes of datagrams are tried.
fn mtu_of(config: &crate::Config) -> MtuConfig {
    MtuConfig {
        initial: config.initial_datagram_size,
        maximum: config.maximum_datagram_size,
        search: config.maximum_datagram_size > config.initial_datagram_size,
    }
}
