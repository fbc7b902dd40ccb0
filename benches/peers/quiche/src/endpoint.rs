//! Connections on one socket: datagrams to them, time to them, datagrams from them.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Failure, SERVER_NAME, pattern};
use mio::{Events, Interest, Poll, Token};
use quiche::{ConnectionId, Header, RecvInfo, Type};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::buffers::{Buffer, Shared};

/// A connection of quiche.
pub(crate) type Quic = quiche::Connection<Shared>;

/// Length of our connection ids.
const ID: usize = 16;

/// What one call sends at most.
const CALL: usize = 65_507;

/// How many receives before the connections have a turn.
const RECEIVES: usize = 16;

/// What is done with a connection.
pub(crate) trait Application {
    /// Something may have come in, or may be sent now. The buffer is for what is read.
    fn turn(&mut self, quic: &mut Quic, buffer: &mut [u8]) -> Result<(), Failure>;
}

/// A connection and what is done with it.
pub(crate) struct Connection<A> {
    pub(crate) quic: Quic,
    pub(crate) application: A,
    ids: Vec<Vec<u8>>,
    deadline: Option<Instant>,
    touched: bool,
}

/// The socket and all connections on it.
pub(crate) struct Endpoint<A> {
    udp: mio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    poll: Poll,
    events: Events,
    config: quiche::Config,
    connections: HashMap<u64, Connection<A>>,
    next: u64,
    by_id: HashMap<Vec<u8>, u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    touched: Vec<u64>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    scratch: Vec<u8>,
    random: SystemRandom,
}

impl<A: Application> Endpoint<A> {
    pub(crate) fn bind(address: SocketAddr, config: quiche::Config) -> Result<Self, Failure> {
        let mut udp = mio::net::UdpSocket::bind(address)?;
        let state = UdpSocketState::new((&udp).into())?;
        let poll = Poll::new()?;
        poll.registry().register(&mut udp, Token(0), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            local: udp.local_addr()?,
            udp,
            state,
            poll,
            events: Events::with_capacity(16),
            config,
            connections: HashMap::new(),
            next: 0,
            by_id: HashMap::new(),
            deadlines: BTreeSet::new(),
            touched: Vec::new(),
            incoming: vec![0; 1 << 16],
            outgoing: vec![0; CALL],
            scratch: vec![0; pattern::CHUNK],
            random: SystemRandom::new(),
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// A connection, to look at and to change; it has a turn in the next step.
    pub(crate) fn get(&mut self, key: u64) -> Option<&mut Connection<A>> {
        let connection = self.connections.get_mut(&key)?;
        touch(&mut self.touched, key, connection);
        Some(connection)
    }

    /// A connection, to look at.
    pub(crate) fn peek(&self, key: u64) -> Option<&Connection<A>> {
        self.connections.get(&key)
    }

    /// Begins a connection.
    pub(crate) fn connect(
        &mut self,
        server: SocketAddr,
        session: Option<&[u8]>,
        application: A,
    ) -> Result<u64, Failure> {
        let id = self.fresh_id()?;
        let scid = ConnectionId::from_ref(&id);
        let mut quic =
            quiche::connect_with_buffer_factory(Some(SERVER_NAME), &scid, self.local, server, &mut self.config)?;
        if let Some(session) = session {
            quic.set_session(session)?;
        }
        Ok(self.insert(quic, application, vec![id]))
    }

    fn fresh_id(&self) -> Result<Vec<u8>, Failure> {
        let mut id = vec![0; ID];
        self.random.fill(&mut id).map_err(|_| "the system gives no chance")?;
        Ok(id)
    }

    fn insert(&mut self, quic: Quic, application: A, ids: Vec<Vec<u8>>) -> u64 {
        let key = self.next;
        self.next += 1;
        for id in &ids {
            self.by_id.insert(id.clone(), key);
        }
        let mut connection = Connection { quic, application, ids, deadline: None, touched: false };
        touch(&mut self.touched, key, &mut connection);
        self.connections.insert(key, connection);
        key
    }

    /// Waits until something happens, at most so long, and lets every connection that it concerns have its turn.
    /// `accept` makes what is done with a connection that a client begins. Says which had a turn.
    pub(crate) fn step(&mut self, patience: Option<Duration>, accept: Option<fn() -> A>) -> Result<Vec<u64>, Failure> {
        if self.touched.is_empty() {
            let now = Instant::now();
            let timer = self.deadlines.first().map(|(deadline, _)| deadline.saturating_duration_since(now));
            let wait = timer.into_iter().chain(patience).min();
            match self.poll.poll(&mut self.events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
        }
        for _ in 0..RECEIVES {
            if !self.receive(accept)? {
                break;
            }
        }
        self.expire();
        let touched = std::mem::take(&mut self.touched);
        for key in &touched {
            self.turn(*key)?;
        }
        Ok(touched)
    }

    /// One call, which may bring many datagrams; says whether there may be more.
    fn receive(&mut self, accept: Option<fn() -> A>) -> Result<bool, Failure> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut meta = [RecvMeta::default()];
        let received = self.state.recv((&self.udp).into(), &mut [IoSliceMut::new(&mut incoming)], &mut meta);
        let more = match received {
            Ok(_) => {
                let info = RecvInfo { from: meta[0].addr, to: self.local };
                for datagram in incoming[..meta[0].len].chunks_mut(meta[0].stride.max(1)) {
                    self.datagram(datagram, info, accept)?;
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => return Err(error.into()),
        };
        self.incoming = incoming;
        Ok(more)
    }

    fn datagram(&mut self, datagram: &mut [u8], info: RecvInfo, accept: Option<fn() -> A>) -> Result<(), Failure> {
        // Most are of a short header, whose id is at a known place.
        let short = datagram.first().is_some_and(|first| first & 0x80 == 0);
        let known = if short { datagram.get(1..=ID).and_then(|id| self.by_id.get(id)).copied() } else { None };
        let key = match known {
            Some(key) => key,
            None if short => return Ok(()),
            None => {
                let Ok(header) = Header::from_slice(datagram, ID) else { return Ok(()) };
                match (self.by_id.get(header.dcid.as_ref()), accept) {
                    (Some(key), _) => *key,
                    (None, Some(accept)) if header.ty == Type::Initial => self.accept(&header, info.from, accept())?,
                    (None, _) => return Ok(()),
                }
            }
        };
        if let Some(connection) = self.connections.get_mut(&key) {
            // What it refuses, it answers itself.
            let _refused = connection.quic.recv(datagram, info);
            touch(&mut self.touched, key, connection);
        }
        Ok(())
    }

    /// Without a retry, as the others have it; the client's first id stays known for what it repeats.
    fn accept(&mut self, header: &Header<'_>, from: SocketAddr, application: A) -> Result<u64, Failure> {
        let id = self.fresh_id()?;
        let scid = ConnectionId::from_ref(&id);
        let quic = quiche::accept_with_buf_factory(&scid, None, self.local, from, &mut self.config)?;
        Ok(self.insert(quic, application, vec![id, header.dcid.to_vec()]))
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((deadline, key)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, key));
            if let Some(connection) = self.connections.get_mut(&key) {
                connection.deadline = None;
                connection.quic.on_timeout();
                touch(&mut self.touched, key, connection);
            }
        }
    }

    fn turn(&mut self, key: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        connection.touched = false;
        connection.application.turn(&mut connection.quic, &mut self.scratch)?;
        while flush(&self.udp, &self.state, &mut connection.quic, &mut self.outgoing)? {
            // What was sent made room for more.
            connection.application.turn(&mut connection.quic, &mut self.scratch)?;
        }
        let deadline = connection.quic.timeout_instant();
        if deadline != connection.deadline {
            if let Some(old) = connection.deadline {
                self.deadlines.remove(&(old, key));
            }
            connection.deadline = deadline;
            self.deadlines.extend(deadline.map(|deadline| (deadline, key)));
        }
        if connection.quic.is_closed()
            && let Some(connection) = self.connections.remove(&key)
        {
            if let Some(old) = connection.deadline {
                self.deadlines.remove(&(old, key));
            }
            for id in &connection.ids {
                self.by_id.remove(id);
            }
        }
        Ok(())
    }
}

/// Notes once that a connection needs a turn.
fn touch<A>(touched: &mut Vec<u64>, key: u64, connection: &mut Connection<A>) {
    if !connection.touched {
        connection.touched = true;
        touched.push(key);
    }
}

/// Sends one batch; says whether there may be more.
fn flush(
    udp: &mio::net::UdpSocket,
    state: &UdpSocketState,
    quic: &mut Quic,
    buffer: &mut [u8],
) -> Result<bool, Failure> {
    let mtu = quic.max_send_udp_payload_size();
    let most = (CALL / mtu).min(state.max_gso_segments()).max(1) * mtu;
    let (mut filled, mut size, mut destination) = (0, mtu, None);
    let more = loop {
        if filled + mtu > most {
            break true;
        }
        match quic.send(&mut buffer[filled..filled + mtu]) {
            Ok((length, info)) => {
                if filled == 0 {
                    size = length;
                }
                filled += length;
                destination = Some(info.to);
                // Only the last of a batch may be shorter, and none longer.
                if length < size || size < mtu {
                    break true;
                }
            }
            Err(quiche::Error::Done) => break false,
            Err(error) => return Err(error.into()),
        }
    };
    let Some(destination) = destination else { return Ok(false) };
    let transmit =
        Transmit { destination, ecn: None, contents: &buffer[..filled], segment_size: Some(size), src_ip: None };
    loop {
        match state.try_send(udp.into(), &transmit) {
            Ok(()) => return Ok(more),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends the pattern on a stream as far as there is room; says how far it is now.
pub(crate) fn send_pattern(quic: &mut Quic, stream: u64, mut position: u64, length: u64) -> Result<u64, Failure> {
    loop {
        let chunk = pattern::chunk(position, length - position);
        let end = position + chunk.len() as u64 == length;
        let whole = chunk.len();
        let written = match quic.stream_send_zc(stream, Buffer(chunk), end) {
            Ok((written, _)) => written,
            Err(quiche::Error::Done) => return Ok(position),
            Err(error) => return Err(error.into()),
        };
        position += written as u64;
        if written < whole || position == length {
            return Ok(position);
        }
    }
}
