//! The client: the workloads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::pattern::Check;
use common::request::{self, HEADER};
use common::{Client, Direction, Failure, Latencies, Stopwatch, Workload, outcome};
use serde_json::{Value, json};

use crate::buffers::Buffer;
use crate::endpoint::{Application, Endpoint, Quic, send_pattern};
use crate::{client_tls, config};

/// A handshake that takes longer than this has failed.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Does what it is told, and prints how it went.
pub(crate) fn run(client: &Client) -> Result<(), Failure> {
    let any = if client.server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let mut endpoint = Endpoint::bind(any.parse()?, config(client_tls()?, client.mtu, client.window, 0)?)?;
    match client.workload {
        Workload::Bulk { streams, bytes, direction, connections } => {
            let keys = connect_all(&mut endpoint, client, connections)?;
            let stopwatch = Stopwatch::new();
            for stream in 0..streams {
                let bytes = request::share(bytes, streams, stream);
                let (up, down) = if direction == Direction::Up { (bytes, 0) } else { (0, bytes) };
                let key = keys[usize::try_from(stream % connections)?];
                endpoint.get(key).ok_or("a connection is gone")?.application.plan(up, down);
            }
            wait_for_all(&mut endpoint, &keys)?;
            outcome::print(&stopwatch.stop("bulk", &json!({ "streams": streams, "bytes": bytes })))
        }
        Workload::Requests { outstanding, time, request, response } => {
            let keys = connect_all(&mut endpoint, client, 1)?;
            let stopwatch = Stopwatch::new();
            let asks = &mut endpoint.get(keys[0]).ok_or("the connection is gone")?.application;
            asks.repeat(Repeat {
                until: stopwatch.start() + time,
                request: request::small(request, response),
                response,
                outstanding,
                latencies: Latencies::new()?,
            });
            wait_for_all(&mut endpoint, &keys)?;
            let asks = &endpoint.get(keys[0]).ok_or("the connection is gone")?.application;
            let fields = asks.repeat.as_ref().map_or(Value::Null, |repeat| repeat.latencies.fields(outstanding));
            outcome::print(&stopwatch.stop("requests", &fields))
        }
        Workload::Handshakes { parallel, time, resumed } => {
            let stopwatch = Stopwatch::new();
            let count = handshakes(&mut endpoint, client, parallel, stopwatch.start() + time, resumed)?;
            let own = json!({ "parallel": parallel, "resumed": resumed, "count": count });
            outcome::print(&stopwatch.stop("handshakes", &own))
        }
        Workload::Idle { connections } => {
            let stopwatch = Stopwatch::new();
            connect_all(&mut endpoint, client, connections)?;
            outcome::print(&stopwatch.stop("idle", &json!({ "connections": connections })))?;
            std::thread::spawn(|| {
                let ended = outcome::wait_for_the_end_of_input();
                std::process::exit(i32::from(ended.is_err()));
            });
            loop {
                endpoint.step(None, None)?;
            }
        }
    }
}

fn connect_all(endpoint: &mut Endpoint<Asks>, client: &Client, connections: u64) -> Result<Vec<u64>, Failure> {
    let mut keys = Vec::new();
    for _ in 0..connections {
        let key = endpoint.connect(client.server, None, Asks::new(client.verify))?;
        let end = Instant::now() + HANDSHAKE;
        while !endpoint.peek(key).ok_or("the handshake failed")?.quic.is_established() {
            if Instant::now() > end {
                return Err("the handshake takes too long".into());
            }
            endpoint.step(Some(HANDSHAKE), None)?;
        }
        keys.push(key);
    }
    Ok(keys)
}

fn wait_for_all(endpoint: &mut Endpoint<Asks>, keys: &[u64]) -> Result<(), Failure> {
    for key in keys {
        loop {
            let connection = endpoint.peek(*key).ok_or("the connection is gone")?;
            if connection.application.is_done() {
                break;
            }
            endpoint.step(Some(Duration::from_millis(100)), None)?;
        }
    }
    Ok(())
}

fn handshakes(
    endpoint: &mut Endpoint<Asks>,
    client: &Client,
    parallel: u64,
    end: Instant,
    resumed: bool,
) -> Result<u64, Failure> {
    let mut session: Option<Vec<u8>> = None;
    let mut open = Vec::new();
    for _ in 0..if resumed { 1 } else { parallel } {
        open.push(endpoint.connect(client.server, None, Asks::new(false))?);
    }
    let mut count = 0;
    while !open.is_empty() {
        for key in endpoint.step(Some(HANDSHAKE), None)? {
            let Some(place) = open.iter().position(|one| *one == key) else { continue };
            let connection = endpoint.peek(key).ok_or("a handshake failed")?;
            if connection.quic.is_closed() || connection.quic.is_draining() {
                return Err("a handshake failed".into());
            }
            // For a resumption the next needs a ticket, which comes a little later.
            let ready = connection.quic.is_established() && (!resumed || connection.quic.session().is_some());
            if !ready {
                continue;
            }
            let first = resumed && session.is_none();
            if session.is_some() && !connection.quic.is_resumed() {
                return Err("a handshake was not resumed".into());
            }
            if resumed {
                session = connection.quic.session().map(<[u8]>::to_vec);
            }
            let connection = endpoint.get(key).ok_or("a handshake failed")?;
            connection.quic.close(true, 0, b"")?;
            open.swap_remove(place);
            // The first full handshake of a run of resumptions is not one of them.
            count += u64::from(!first);
            if Instant::now() < end {
                for _ in 0..if first { parallel } else { 1 } {
                    open.push(endpoint.connect(client.server, session.as_deref(), Asks::new(false))?);
                }
            }
        }
    }
    Ok(count)
}

/// What is asked on one connection.
pub(crate) struct Asks {
    streams: HashMap<u64, Ask>,
    planned: Vec<(u64, u64)>,
    repeat: Option<Repeat>,
    next_stream: u64,
    every_byte: bool,
}

struct Ask {
    check: Check,
    down: u64,
    up: u64,
    sent: u64,
    start: Instant,
}

/// One small request after another.
struct Repeat {
    until: Instant,
    request: Bytes,
    response: u64,
    outstanding: u64,
    latencies: Latencies,
}

impl Asks {
    fn new(every_byte: bool) -> Self {
        Self { streams: HashMap::new(), planned: Vec::new(), repeat: None, next_stream: 0, every_byte }
    }

    fn plan(&mut self, up: u64, down: u64) {
        self.planned.push((up, down));
    }

    fn repeat(&mut self, repeat: Repeat) {
        self.repeat = Some(repeat);
    }

    fn is_done(&self) -> bool {
        let over = self.repeat.as_ref().is_none_or(|repeat| Instant::now() >= repeat.until);
        self.streams.is_empty() && self.planned.is_empty() && over
    }

    /// Opens what is planned, as far as the server permits.
    fn open(&mut self, quic: &mut Quic) -> Result<(), Failure> {
        while let Some((up, down)) = self.planned.last().copied() {
            let Some(stream) = self.begin(quic, request::small(HEADER, down), up == 0)? else { return Ok(()) };
            self.planned.pop();
            self.started(stream, up, down, Instant::now());
            self.send(quic, stream)?;
        }
        let Some(repeat) = &self.repeat else { return Ok(()) };
        let (request, response, outstanding, until) =
            (repeat.request.clone(), repeat.response, repeat.outstanding, repeat.until);
        while (self.streams.len() as u64) < outstanding {
            let start = Instant::now();
            if start >= until {
                return Ok(());
            }
            let Some(stream) = self.begin(quic, request.clone(), true)? else { return Ok(()) };
            self.started(stream, 0, response, start);
        }
        Ok(())
    }

    /// Opens a stream with its first bytes, unless the server does not permit one yet.
    fn begin(&mut self, quic: &mut Quic, bytes: Bytes, end: bool) -> Result<Option<u64>, Failure> {
        let length = bytes.len();
        if quic.peer_streams_left_bidi() == 0 {
            return Ok(None);
        }
        match quic.stream_send_zc(self.next_stream, Buffer(bytes), end) {
            Ok((written, _)) if written == length => {
                self.next_stream += 4;
                Ok(Some(self.next_stream - 4))
            }
            Ok(_) => Err("a request was cut".into()),
            Err(quiche::Error::Done | quiche::Error::StreamLimit) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn started(&mut self, stream: u64, up: u64, down: u64, start: Instant) {
        self.streams.insert(stream, Ask { check: Check::new(self.every_byte), down, up, sent: 0, start });
    }

    fn send(&mut self, quic: &mut Quic, stream: u64) -> Result<(), Failure> {
        if let Some(ask) = self.streams.get_mut(&stream).filter(|ask| ask.sent < ask.up) {
            ask.sent = send_pattern(quic, stream, ask.sent, ask.up)?;
        }
        Ok(())
    }

    fn read(&mut self, quic: &mut Quic, stream: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        let Some(ask) = self.streams.get_mut(&stream) else { return Ok(()) };
        loop {
            let (length, end) = match quic.stream_recv(stream, buffer) {
                Ok(read) => read,
                Err(quiche::Error::Done) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            ask.check.read(&buffer[..length])?;
            if end {
                ask.check.end(ask.down)?;
                if let Some(repeat) = &mut self.repeat {
                    repeat.latencies.add(ask.start.elapsed());
                }
                self.streams.remove(&stream);
                return Ok(());
            }
        }
    }
}

impl Application for Asks {
    fn turn(&mut self, quic: &mut Quic, buffer: &mut [u8]) -> Result<(), Failure> {
        for stream in quic.readable() {
            self.read(quic, stream, buffer)?;
        }
        if quic.is_established() {
            self.open(quic)?;
            for stream in quic.writable() {
                self.send(quic, stream)?;
            }
        }
        Ok(())
    }
}
