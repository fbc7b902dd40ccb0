//! [`Puppet`]: a peer that says whatever a test wants it to say, properly sealed.
//!
//! It has a TLS session and keys of its own but no connection machine: nothing is acknowledged, repeated, limited or
//! answered unless the test says so. Opposite stands a **victim**, a real node of either side.
//!
//! ```no_run
//! use codec::{Side, frame::{Frame, MaxData}};
//! use quicast_tests::{Puppet, Settings, puppet::Stage};
//! use recovery::SpaceId;
//!
//! let mut puppet = Puppet::at(&Settings::new(1), Side::Server, Stage::Established); // the victim is the server
//! puppet.say(SpaceId::Application, &[Frame::Ping, Frame::MaxData(MaxData { maximum: 5 })]);
//! assert_eq!(puppet.close_code(), None);
//! puppet.say_bytes(SpaceId::Application, &[0x1f]); // any bytes as a payload
//! assert_eq!(puppet.close_code().as_deref(), Some("FRAME_ENCODING_ERROR"));
//! ```
//!
//! | To | use |
//! |---|---|
//! | get somewhere | [`Puppet::at`] with a [`Stage`]; [`Puppet::with_parameters`] to change the transport parameters |
//! | say frames, bytes | [`Puppet::say`], [`Puppet::say_bytes`]; [`Puppet::forge`] for numbers, header bits, ids, versions |
//! | say a whole datagram | [`Puppet::seal`] any number of packets, then [`Puppet::send`] |
//! | hear | [`Puppet::heard`]: all packets that the victim sent, opened; [`Puppet::heard_frames`] |
//! | let time pass | [`Puppet::advance`]: the victim's deadlines are kept |
//! | acknowledge | [`Puppet::acknowledge`]; nothing is acknowledged by itself after the handshake |
//! | see what became of it | [`Puppet::close_code`], [`Puppet::victim`] |
//!
//! The first connection id that the puppet gives is eight bytes `0xc1`; [`Puppet::source`] and [`Puppet::destination`]
//! may be changed at any time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use codec::cursor::Writer;
use codec::frame::{self, Crypto, Frame, encode_ack};
use codec::packet::{self, Header, Packet, PacketKind};
use codec::parameters::TransportParameters;
use codec::{ConnectionId, Side, Time, Version};
use recovery::{Ranges, SpaceId};
use tls::{KeyRing, Level, Session, TAG_LENGTH};
use transport::output::CloseReason;

use crate::application::Application;
use crate::endpoint::{Datagram, Node};
use crate::host::{Host, Service};
use crate::pair::{CLIENT, SERVER};
use crate::settings::Settings;

/// How far the handshake goes by itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// A victim client has sent its first Initial; a victim server does not exist until something is said.
    Start,
    /// The victim has Handshake keys, and the handshake is not complete.
    Handshake,
    /// The handshake is complete; a victim client has not heard HANDSHAKE_DONE.
    Complete,
    /// It is confirmed at both ends, and what the victim said until then is acknowledged.
    Established,
}

/// A packet of the victim's, opened.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When.
    pub at: Time,
    /// In which space.
    pub space: SpaceId,
    /// Its number.
    pub number: u64,
    /// Its destination id.
    pub destination: ConnectionId,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Where the datagram went.
    pub to: SocketAddr,
    /// How large the datagram was.
    pub datagram: usize,
}

impl Heard {
    /// Its frames.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        frame::iter(&self.payload).map(|frame| frame.expect("the victim says nothing malformed"))
    }
}

/// A packet with anything in its header.
#[derive(Clone, Debug)]
pub struct Forged<'a> {
    /// Its space, which says its kind.
    pub space: SpaceId,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its number; the next one if none.
    pub number: Option<u64>,
    /// Bits to flip in the first byte before it is protected: 0x40 is the fixed bit, 0x0c or 0x18 are reserved ones.
    pub flip: u8,
    /// The destination id; [`Puppet::destination`] if none.
    pub destination: Option<ConnectionId>,
    /// The source id; [`Puppet::source`] if none.
    pub source: Option<ConnectionId>,
    /// The version of a long header; that of the connection if none.
    pub version: Option<Version>,
    /// The token of an Initial.
    pub token: &'a [u8],
    /// Bytes of the whole packet; the payload is followed by PADDING up to it.
    pub size: usize,
}

impl<'a> Forged<'a> {
    /// An ordinary packet.
    pub const fn new(space: SpaceId, payload: &'a [u8]) -> Self {
        Self {
            space,
            payload,
            number: None,
            flip: 0,
            destination: None,
            source: None,
            version: None,
            token: &[],
            // Datagrams with an Initial are of 1200 bytes at least (RFC 9000 §14.1).
            size: if matches!(space, SpaceId::Initial) { 1200 } else { 0 },
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Puppet {
    /// The victim's host.
    pub victim_host: Host,
    /// Now.
    pub now: Time,
    /// The puppet's keys; a test may update or discard them.
    pub keys: KeyRing,
    /// The id that the puppet sends from.
    pub source: ConnectionId,
    /// The id that the puppet sends to.
    pub destination: ConnectionId,
    /// The next packet number of each space.
    pub next_numbers: [u64; 3],
    /// Where the puppet's datagrams come from.
    pub address: SocketAddr,
    /// All packets of the victim so far.
    pub heard: Vec<Heard>,
    /// Datagrams of the victim that hold nothing that opens: Retry, Version Negotiation, stateless resets.
    pub unopened: Vec<Datagram>,
    side: Side,
    version: Version,
    settings: Settings,
    session: Option<Session>,
    parameters: fn(&mut TransportParameters),
    expected: [u64; 3],
    numbers: [Ranges; 3],
    crypto_heard: [BTreeMap<u64, Vec<u8>>; 3],
    crypto_read: [u64; 3],
    crypto_said: [u64; 3],
    write_space: SpaceId,
    to_say: Vec<(SpaceId, Vec<u8>)>,
}

impl Puppet {
    /// A puppet opposite a victim of this side, with a handshake up to this stage.
    pub fn at(settings: &Settings, victim: Side, stage: Stage) -> Self {
        Self::with_parameters(settings, victim, stage, |_| {})
    }

    /// The same, with its transport parameters changed.
    ///
    /// # Panics
    /// If the stage is not reached, unless it is [`Stage::Start`] or [`Stage::Handshake`].
    pub fn with_parameters(
        settings: &Settings,
        victim: Side,
        stage: Stage,
        parameters: fn(&mut TransportParameters),
    ) -> Self {
        let mut puppet = Self::begin(settings, victim, parameters);
        if victim.is_server() {
            puppet.begin_session();
        }
        if stage >= Stage::Handshake {
            puppet.write_tls();
            if victim.is_client() {
                // ServerHello alone.
                puppet.say_tls(SpaceId::Initial);
            } else {
                puppet.say_tls(SpaceId::Initial);
                puppet.hear_tls();
            }
        }
        if stage >= Stage::Complete {
            puppet.finish_handshake();
            assert!(puppet.victim().was_connected(), "no handshake: {}", puppet.victim().ending());
        }
        if stage >= Stage::Established {
            if victim.is_client() {
                puppet.say(SpaceId::Application, &[Frame::HandshakeDone]);
            }
            puppet.acknowledge_all();
            assert!(puppet.victim().was_confirmed(), "not confirmed: {}", puppet.victim().ending());
            let in_flight = puppet.victim().connection.bytes_in_flight();
            let deadline = puppet.victim().connection.deadline();
            assert_eq!(in_flight, 0, "{:?} {deadline:?}", puppet.heard.last());
        }
        puppet
    }

    fn begin(settings: &Settings, victim: Side, parameters: fn(&mut TransportParameters)) -> Self {
        let now = Time::ZERO + Duration::from_secs(1);
        let version = settings.client.versions[0];
        let (address, at) = if victim.is_client() { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        let original = ConnectionId::new(&[0xd1; 8]).unwrap();
        let mut puppet = Self {
            victim_host: Host::new(victim, at, settings.clone()),
            now,
            keys: KeyRing::new(victim.peer(), version, &original),
            source: ConnectionId::new(&[0xc1; 8]).unwrap(),
            destination: original,
            next_numbers: [0; 3],
            address,
            heard: Vec::new(),
            unopened: Vec::new(),
            side: victim.peer(),
            version,
            settings: settings.clone(),
            session: None,
            parameters,
            expected: [0; 3],
            numbers: std::array::from_fn(|_| Ranges::new(10_000)),
            crypto_heard: Default::default(),
            crypto_read: [0; 3],
            crypto_said: [0; 3],
            write_space: SpaceId::Initial,
            to_say: Vec::new(),
        };
        if victim.is_client() {
            puppet.victim_host.connect(now, SERVER, Application::passive(Side::Client));
            let first = puppet.victim_host.outbox.front().expect("a first Initial").bytes.clone();
            let Ok(Packet::Protected(header)) = packet::decode(&first, 8) else { panic!("not an Initial") };
            puppet.destination = header.source;
            puppet.keys = KeyRing::new(Side::Server, version, &header.destination);
            puppet.begin_server_session(header.destination);
            puppet.listen();
            puppet.hear_tls();
        } else {
            puppet.victim_host.service = Some(Service::Passive);
        }
        puppet
    }

    fn own_parameters(&self) -> TransportParameters {
        TransportParameters {
            max_idle_timeout: 30_000,
            initial_max_data: 1 << 20,
            initial_max_stream_data_bidi_local: 1 << 18,
            initial_max_stream_data_bidi_remote: 1 << 18,
            initial_max_stream_data_uni: 1 << 18,
            initial_max_streams_bidi: 100,
            initial_max_streams_uni: 100,
            active_connection_id_limit: 4,
            initial_source_connection_id: Some(self.source),
            max_datagram_frame_size: Some(65_535),
            ..TransportParameters::default()
        }
    }

    fn begin_session(&mut self) {
        let mut own = self.own_parameters();
        (self.parameters)(&mut own);
        let name = tls::pki_types::ServerName::try_from("localhost").unwrap();
        let config = Arc::clone(&self.settings.client_tls);
        self.session = Some(Session::client(config, self.version, name, own.encode(Side::Client, None)).unwrap());
    }

    fn begin_server_session(&mut self, original: ConnectionId) {
        let mut own = self.own_parameters();
        own.original_destination_connection_id = Some(original);
        (self.parameters)(&mut own);
        let config = Arc::clone(&self.settings.server_tls);
        self.session = Some(Session::server(config, self.version, own.encode(Side::Server, None)).unwrap());
    }

    /// Says the rest of the handshake, and lets the victim answer, until nobody has more to say.
    pub fn finish_handshake(&mut self) {
        for _ in 0..10 {
            self.hear_tls();
            self.write_tls();
            for space in SpaceId::ALL {
                self.say_tls(space);
            }
        }
        self.acknowledge(SpaceId::Handshake);
    }

    /// Reads from TLS what it wants to say, and takes the keys it makes.
    fn write_tls(&mut self) {
        let Some(session) = &mut self.session else { return };
        loop {
            let mut bytes = Vec::new();
            let change = session.write(&mut bytes);
            let nothing = bytes.is_empty() && change.is_none();
            if !bytes.is_empty() {
                self.to_say.push((self.write_space, bytes));
            }
            if let Some(change) = change {
                self.write_space = match change.level() {
                    Level::Initial => SpaceId::Initial,
                    Level::Handshake => SpaceId::Handshake,
                    Level::ZeroRtt | Level::OneRtt => SpaceId::Application,
                };
                self.keys.install(change);
            }
            if nothing {
                if !session.is_handshaking() {
                    self.keys.on_handshake_confirmed();
                }
                return;
            }
        }
    }

    /// Takes what TLS wants to say in this space, to be said by the test itself: each piece follows the one before.
    pub fn take_tls(&mut self, space: SpaceId) -> Vec<u8> {
        self.write_tls();
        let mut all = Vec::new();
        self.to_say.retain(|(of, bytes)| {
            if *of == space {
                all.extend_from_slice(bytes);
            }
            *of != space
        });
        all
    }

    /// Says what TLS wants to say in this space.
    fn say_tls(&mut self, space: SpaceId) {
        for piece in self.take_tls(space).chunks(1000) {
            let offset = self.crypto_said[space.index()];
            self.crypto_said[space.index()] += piece.len() as u64;
            self.say(space, &[Frame::Crypto(Crypto { offset, data: piece })]);
        }
    }

    /// Gives TLS what the victim said.
    fn hear_tls(&mut self) {
        for space in SpaceId::ALL {
            let index = space.index();
            while let Some((offset, data)) = self.crypto_heard[index].pop_first() {
                let known = self.crypto_read[index].saturating_sub(offset) as usize;
                let Some(new) = data.get(known..).filter(|new| !new.is_empty()) else { continue };
                assert!(offset <= self.crypto_read[index], "the victim's CRYPTO bytes have a gap");
                self.crypto_read[index] += new.len() as u64;
                if let Some(session) = &mut self.session {
                    session.read(new).expect("the victim's TLS messages are sound");
                }
            }
            self.write_tls();
        }
    }

    /// How many CRYPTO bytes were said in a space: where the next ones belong.
    pub const fn crypto_offset(&self, space: SpaceId) -> u64 {
        self.crypto_said[space.index()]
    }

    /// Says frames in one packet, in a datagram of its own, and lets the victim answer at once.
    pub fn say(&mut self, space: SpaceId, frames: &[Frame<'_>]) {
        let mut payload = vec![0; 64 * 1024];
        let mut writer = Writer::new(&mut payload);
        for frame in frames {
            frame.encode(&mut writer).unwrap();
        }
        let length = writer.position();
        self.say_bytes(space, &payload[..length]);
    }

    /// Says any bytes as a packet's payload.
    pub fn say_bytes(&mut self, space: SpaceId, payload: &[u8]) {
        self.forge(&Forged::new(space, payload));
    }

    /// Says a packet with anything in its header.
    pub fn forge(&mut self, forged: &Forged<'_>) {
        let packet = self.seal(forged);
        self.send(packet);
    }

    /// Seals a packet, to be sent alone or with others.
    pub fn seal(&mut self, forged: &Forged<'_>) -> Vec<u8> {
        let number = forged.number.unwrap_or(self.next_numbers[forged.space.index()]);
        let next = &mut self.next_numbers[forged.space.index()];
        *next = (*next).max(number + 1);
        let (version, source) = (forged.version.unwrap_or(self.version), forged.source.unwrap_or(self.source));
        let destination = forged.destination.unwrap_or(self.destination);
        let token = forged.token;
        let (level, header) = match forged.space {
            SpaceId::Initial => (Level::Initial, Header::Initial { version, destination, source, token }),
            SpaceId::Handshake => (Level::Handshake, Header::Handshake { version, destination, source }),
            SpaceId::Application => {
                (Level::OneRtt, Header::OneRtt { destination, spin: false, key_phase: self.keys.key_phase() })
            }
        };
        let mut packet = vec![0; (forged.payload.len() + 256 + token.len()).max(forged.size)];
        let mut writer = Writer::new(&mut packet);
        let written = header.encode(&mut writer, number, 4).unwrap();
        writer.bytes(forged.payload).unwrap();
        let end = (writer.position() + TAG_LENGTH).max(forged.size);
        packet[0] ^= forged.flip;
        packet.truncate(end);
        written.finish(&mut packet, end);
        self.keys.seal(level, number, &mut packet, written.packet_number_offset(), written.payload_offset()).unwrap();
        packet
    }

    /// Sends a datagram and hears the victim's answer.
    pub fn send(&mut self, bytes: Vec<u8>) {
        let datagram = Datagram { from: self.address, to: self.victim_host.address, ecn: None, bytes };
        self.victim_host.receive(self.now, [datagram]);
        self.listen();
    }

    /// Ends a turn of the victim after the test did something to it, and hears what it says.
    pub fn turn(&mut self) {
        self.victim_host.turn(self.now, 0);
        self.listen();
    }

    /// Acknowledges all packets of a space that were heard.
    pub fn acknowledge(&mut self, space: SpaceId) {
        let ranges = &self.numbers[space.index()];
        if ranges.is_empty() {
            return;
        }
        let mut payload = vec![0; 4096];
        let mut writer = Writer::new(&mut payload);
        encode_ack(&mut writer, 0, ranges.iter().rev(), None).unwrap();
        let length = writer.position();
        self.say_bytes(space, &payload[..length]);
    }

    /// Acknowledges what the victim says in the Application space until it is silent.
    pub fn acknowledge_all(&mut self) {
        for _ in 0..100 {
            let before = self.heard.len();
            self.acknowledge(SpaceId::Application);
            self.advance(Duration::from_millis(30));
            if self.heard.len() == before {
                return;
            }
        }
    }

    /// Lets time pass: the victim does what is due.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.victim_host.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.victim_host.handle_time(self.now);
            self.listen();
        }
        self.now = end;
    }

    /// The victim.
    pub fn victim(&mut self) -> &mut Node {
        &mut self.victim_host.nodes[0]
    }

    /// The name of the code that the victim closed the connection with, or `None` if it is open; other endings are in
    /// parentheses.
    pub fn close_code(&mut self) -> Option<String> {
        Some(match self.victim_host.nodes.first()?.close_reason()? {
            CloseReason::LocalTransport { error, .. } => error.code.to_string(),
            other => format!("({other})"),
        })
    }

    /// The packet number that the victim uses next, unless it leaves one out.
    pub const fn victim_next_number(&self, space: SpaceId) -> u64 {
        self.expected[space.index()]
    }

    /// All frames of a space that were heard.
    pub fn heard_frames(&self, space: SpaceId) -> impl Iterator<Item = Frame<'_>> {
        self.heard.iter().filter(move |heard| heard.space == space).flat_map(Heard::frames)
    }

    /// Takes what the victim sent out of its host and opens it.
    pub fn listen(&mut self) {
        while let Some(datagram) = self.victim_host.outbox.pop_front() {
            if !self.open(&datagram) {
                self.unopened.push(datagram);
            }
        }
    }

    fn open(&mut self, datagram: &Datagram) -> bool {
        let mut bytes = datagram.bytes.clone();
        let mut rest = &mut bytes[..];
        let mut any = false;
        while !rest.is_empty() {
            let Ok(Packet::Protected(header)) = packet::decode(rest, self.source.len()) else { return any };
            let (packet, later) = std::mem::take(&mut rest).split_at_mut(header.end);
            rest = later;
            let (level, space) = match header.kind {
                PacketKind::Initial => (Level::Initial, SpaceId::Initial),
                PacketKind::Handshake => (Level::Handshake, SpaceId::Handshake),
                _ => (Level::OneRtt, SpaceId::Application),
            };
            if header.kind != PacketKind::OneRtt {
                self.destination = header.source;
            }
            let expected = self.expected[space.index()];
            let opened = self.keys.open(level, packet, header.packet_number_offset, expected, self.now);
            let Ok(opened) = opened else { continue };
            any = true;
            self.expected[space.index()] = expected.max(opened.number + 1);
            self.numbers[space.index()].insert(opened.number);
            let heard = Heard {
                at: self.now,
                space,
                number: opened.number,
                destination: header.destination,
                payload: packet[opened.payload()].to_vec(),
                to: datagram.to,
                datagram: datagram.bytes.len(),
            };
            for frame in heard.frames() {
                if let (Frame::Ack(ack), SpaceId::Application) = (&frame, space) {
                    self.keys.on_acknowledged(ack.largest);
                }
                if let Frame::Crypto(crypto) = frame {
                    self.crypto_heard[space.index()].insert(crypto.offset, crypto.data.to_vec());
                }
            }
            self.heard.push(heard);
            // The keys of what follows in the datagram come from here.
            self.hear_tls();
        }
        any
    }

    /// Which side the puppet plays.
    pub const fn side(&self) -> Side {
        self.side
    }
}
