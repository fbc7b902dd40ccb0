//! [`Wire`]: a client's and a server's connection in one memory, driven as the actors drive them: a buffer of datagrams
//! is one turn, the congestion controller answers before more is sent, and what was counted is taken once a turn.
//!
//! The pairs of the tests check promises and copy each datagram; here nothing is done that a shell would not do, so
//! that what is counted is the machines'.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use codec::{Side, StreamId, Time};
use congestion::Controller;
use quicast_tests::pair::{CLIENT, SERVER};
use quicast_tests::{Application, Node, Pair, Settings};
use transport::Connection;
use transport::output::{Event, ReceivedDatagrams, Transmit};
use transport::stream::buffers::{StreamEvent, Streams};
use transport::stream::{StreamInput, StreamOutput};

/// One end of a [`Wire`].
#[derive(Debug)]
pub struct End {
    /// The connection.
    pub connection: Box<Connection>,
    /// The bytes of its streams.
    pub streams: Streams,
    controller: Box<dyn Controller>,
    inputs: Vec<StreamInput>,
    outputs: Vec<StreamOutput>,
    events: Vec<StreamEvent>,
    buffer: Vec<u8>,
}

/// Two connections whose handshake is over, and the way between them.
#[derive(Debug)]
pub struct Wire {
    /// The client, then the server.
    pub ends: [End; 2],
    /// Now.
    pub now: Time,
}

/// What runs on an end: hears of each event of its streams.
pub trait Service {
    /// A turn brought this event to the end of this side.
    fn on_event(&mut self, side: Side, streams: &mut Streams, event: StreamEvent);
}

/// The room for one batch of datagrams.
const BUFFER: usize = 64 * 1024;
/// How long a batch is on its way.
const DELAY: Duration = Duration::from_micros(20);

impl End {
    fn new(node: Node) -> Self {
        let Node { mut connection, streams, .. } = node;
        Self {
            controller: connection.fresh_controller(),
            connection,
            streams,
            inputs: Vec::new(),
            outputs: Vec::new(),
            events: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Passes on what the connection has for the streams and for the controller, and what the streams have for it.
    fn pass(&mut self, now: Time, side: Side, service: &mut impl Service) {
        self.connection.end_turn(now);
        self.connection.take_stream_inputs(&mut self.inputs);
        for input in self.inputs.drain(..) {
            self.streams.handle_input(input);
        }
        while self.connection.poll_route().is_some() {}
        while let Some(event) = self.connection.poll_event() {
            if let Event::DatagramSize(size) = event {
                let window = self.controller.on_datagram_size(size);
                self.connection.handle_window(now, window);
            }
        }
        if let Some(observed) = self.connection.take_observed() {
            let window = self.controller.on_observed(&observed);
            self.connection.handle_window(now, window);
        }
        self.pass_streams(now, side, service);
        let _stats = self.connection.take_stats();
    }

    fn pass_streams(&mut self, now: Time, side: Side, service: &mut impl Service) {
        loop {
            while let Some(event) = self.streams.poll_event() {
                self.events.push(event);
            }
            for event in self.events.drain(..) {
                service.on_event(side, &mut self.streams, event);
            }
            while let Some(output) = self.streams.poll_output() {
                self.outputs.push(output);
            }
            if self.outputs.is_empty() {
                break;
            }
            self.connection.handle_streams(now, &mut self.outputs);
        }
    }

    /// When the end wants to be called, if nothing comes.
    fn deadline(&self) -> Option<Time> {
        let wanted = self.connection.transmit_wanted().map(|wanted| wanted.at);
        self.connection.deadline().map(|(at, _)| at).into_iter().chain(wanted).min()
    }

    fn handle_time(&mut self, now: Time) {
        if self.connection.deadline().is_some_and(|(at, _)| at <= now) {
            self.connection.handle_deadline(now);
        }
        if self.connection.transmit_wanted().is_some_and(|wanted| wanted.at <= now) {
            self.connection.handle_granted(now);
        }
    }
}

impl Wire {
    /// Two connections whose handshake is confirmed and whose datagrams have grown to what the path carries.
    pub fn new() -> Self {
        let settings = Settings::new(7);
        let mut pair = Pair::with(&settings, Application::passive(Side::Client));
        pair.server.service = Some(quicast_tests::host::Service::Passive);
        pair.confirm();
        pair.run(Duration::from_secs(5), |_| false);
        let ends = [pair.client.nodes.remove(0), pair.server.nodes.remove(0)].map(End::new);
        Self { ends, now: pair.now }
    }

    /// The end of this side.
    pub fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[index(side)]
    }

    /// Carries batches to and fro until `done` and nothing is on its way any more.
    pub fn run<S: Service>(&mut self, service: &mut S, done: impl Fn(&S) -> bool) {
        let mut to_server = client_turn(&mut self.ends[0], self.now, None, service).map(|batch| self.carry(0, &batch));
        loop {
            self.now += DELAY;
            let batch = server_turn(&mut self.ends[1], self.now, to_server.take(), service);
            let to_client = batch.map(|batch| self.carry(1, &batch));
            self.now += DELAY;
            let batch = client_turn(&mut self.ends[0], self.now, to_client, service);
            to_server = batch.map(|batch| self.carry(0, &batch));
            if to_server.is_none() {
                if done(service) {
                    return;
                }
                let due = self.ends.iter().filter_map(End::deadline).min();
                self.now = self.now.max(due.unwrap_or(self.now));
            }
        }
    }

    /// The kernel's part, outside the turns that are counted: one copy.
    fn carry(&self, from: usize, transmit: &Transmit) -> ReceivedDatagrams {
        let sent = self.ends[from].buffer.get(..transmit.length).unwrap_or_default();
        ReceivedDatagrams {
            remote: if from == 0 { CLIENT } else { SERVER },
            local: None,
            ecn: transmit.ecn,
            segment_size: transmit.segment_size,
            buffer: BytesMut::from(sent),
        }
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// A turn of the client: not inlined, so that its instructions can be counted apart.
#[inline(never)]
pub fn client_turn(
    end: &mut End,
    now: Time,
    arrived: Option<ReceivedDatagrams>,
    service: &mut impl Service,
) -> Option<Transmit> {
    // Hidden, or the compiler finds that both functions are the same and makes one of them.
    turn(black_box(Side::Client), end, now, arrived, service)
}

/// A turn of the server: not inlined, so that its instructions can be counted apart.
#[inline(never)]
pub fn server_turn(
    end: &mut End,
    now: Time,
    arrived: Option<ReceivedDatagrams>,
    service: &mut impl Service,
) -> Option<Transmit> {
    turn(black_box(Side::Server), end, now, arrived, service)
}

/// One batch a turn, so that the ends take turns as they do on two cores.
fn turn(
    side: Side,
    end: &mut End,
    now: Time,
    arrived: Option<ReceivedDatagrams>,
    service: &mut impl Service,
) -> Option<Transmit> {
    match arrived {
        Some(arrived) => end.connection.handle_datagrams(now, arrived),
        None => end.handle_time(now),
    }
    end.pass(now, side, service);
    if !end.connection.may_transmit(now) {
        return None;
    }
    end.connection.poll_transmit(now, &mut end.buffer)
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// Reads all there is and gives credit for it; says whether the stream's end was reached.
pub fn read_all(streams: &mut Streams, id: StreamId, chunks: &mut Vec<Bytes>) -> bool {
    let finished = streams.take_readable(id, chunks);
    let bytes: usize = chunks.drain(..).map(|chunk| chunk.len()).sum();
    streams.consume(id, bytes as u64);
    if finished {
        streams.release(id);
    }
    finished
}
