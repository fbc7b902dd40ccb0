//! Tests of the ledger: what the peer may not do, what is sent and how, and two ledgers joined by a lossy pipe.

mod concurrency;
mod errors;
mod flood;
mod model;
mod pair;
mod priority;
mod priority_model;
mod sending;
mod streams;

use bytes::Bytes;
use codec::cursor::Writer;
use codec::frame::{self, Frame};
use codec::{Direction, Side, StreamId, Time};

use super::{Ledger, LocalLimits, PeerLimits};
use crate::stream::{Priority, StreamInput, StreamOutput};
use crate::token::{Token, Tokens};

const NOW: Time = Time::from_nanos(1_000_000_000);

/// Small limits, so that tests reach them.
const LOCAL: LocalLimits = LocalLimits {
    initial_max_data: 3_000,
    initial_max_stream_data_bidi_local: 1_000,
    initial_max_stream_data_bidi_remote: 1_000,
    initial_max_stream_data_uni: 1_000,
    initial_max_streams_bidi: 10,
    initial_max_streams_uni: 5,
    maximum_window: 3_000,
};

/// Limits of a generous peer.
const PEER: PeerLimits = PeerLimits {
    initial_max_data: 1 << 30,
    initial_max_stream_data_bidi_local: 1 << 30,
    initial_max_stream_data_bidi_remote: 1 << 30,
    initial_max_stream_data_uni: 1 << 30,
    initial_max_streams_bidi: 1_000,
    initial_max_streams_uni: 1_000,
};

/// A server's ledger that has nothing to say.
fn server() -> Ledger {
    server_with(LOCAL, PEER)
}

fn server_with(local: LocalLimits, peer: PeerLimits) -> Ledger {
    let mut ledger = Ledger::new(Side::Server, local);
    ledger.set_peer_limits(peer);
    inputs(&mut ledger);
    ledger
}

fn bidi_of_client(index: u64) -> StreamId {
    StreamId::new(Side::Client, Direction::Bidirectional, index)
}

fn uni_of_client(index: u64) -> StreamId {
    StreamId::new(Side::Client, Direction::Unidirectional, index)
}

fn bidi_of_server(index: u64) -> StreamId {
    StreamId::new(Side::Server, Direction::Bidirectional, index)
}

fn uni_of_server(index: u64) -> StreamId {
    StreamId::new(Side::Server, Direction::Unidirectional, index)
}

/// Everything that comes out, as text that says enough.
fn inputs(ledger: &mut Ledger) -> Vec<String> {
    std::iter::from_fn(|| ledger.poll_input()).map(|input| describe(&input)).collect()
}

fn describe(input: &StreamInput) -> String {
    match input {
        StreamInput::Rest => "rest".to_owned(),
        StreamInput::Opened { id, credit } => format!("opened {id} credit {credit}"),
        StreamInput::Data { .. } => unreachable!("a ledger has no bytes to deliver"),
        StreamInput::Reset { id, code } => format!("reset {id} code {code}"),
        StreamInput::Stopped { id, code } => format!("stopped {id} code {code}"),
        StreamInput::Credit { id, until } => format!("credit {id} until {until}"),
        StreamInput::OpenLimit { direction, limit, credit } => {
            let direction = if *direction == Direction::Bidirectional { "bidi" } else { "uni" };
            format!("open limit {direction} {limit} credit {credit}")
        }
        StreamInput::Acknowledged { id } => format!("acknowledged {id}"),
    }
}

fn write(ledger: &mut Ledger, id: StreamId, length: usize, fin: bool) {
    let data = Bytes::from(vec![b'q'; length]);
    ledger.on_output(NOW, StreamOutput::Write { id, data, fin }).unwrap();
}

fn prioritize(ledger: &mut Ledger, id: StreamId, urgency: u8, incremental: bool) {
    output(ledger, StreamOutput::Prioritize { id, priority: Priority::new(urgency, incremental) });
}

fn output(ledger: &mut Ledger, output: StreamOutput) {
    ledger.on_output(NOW, output).unwrap();
}

/// The frames of one packet with `room` bytes, as text, and their tokens.
fn packet(ledger: &mut Ledger, room: usize) -> (Vec<String>, Tokens) {
    let mut buffer = vec![0; room];
    let mut w = Writer::new(&mut buffer);
    let mut tokens = Tokens::new();
    ledger.write_control(&mut w, &mut tokens);
    ledger.write_streams(&mut w, &mut tokens);
    let frames = frame::iter(w.written()).map(|frame| describe_frame(&frame.unwrap())).collect();
    (frames, tokens)
}

fn describe_frame(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Padding { length } => format!("padding {length}"),
        Frame::Stream(stream) => {
            let fin = if stream.fin { " fin" } else { "" };
            format!("stream {} {}+{}{fin}", stream.id, stream.offset, stream.data.len())
        }
        Frame::ResetStream(reset) => format!("reset {} code {} size {}", reset.id, reset.code, reset.final_size),
        Frame::StopSending(stop) => format!("stop {} code {}", stop.id, stop.code),
        Frame::MaxData(max) => format!("max data {}", max.maximum),
        Frame::MaxStreamData(max) => format!("max stream data {} {}", max.id, max.maximum),
        Frame::MaxStreams(max) => format!("max streams {:?} {}", max.direction, max.maximum),
        Frame::DataBlocked(blocked) => format!("data blocked {}", blocked.limit),
        Frame::StreamDataBlocked(blocked) => format!("stream data blocked {} {}", blocked.id, blocked.limit),
        Frame::StreamsBlocked(blocked) => format!("streams blocked {:?} {}", blocked.direction, blocked.limit),
        other => unreachable!("a ledger writes no {other:?}"),
    }
}

fn acknowledge(ledger: &mut Ledger, tokens: Tokens) {
    tokens.into_iter().for_each(|token| ledger.on_acknowledged(token));
}

fn lose(ledger: &mut Ledger, tokens: impl IntoIterator<Item = Token>) {
    tokens.into_iter().for_each(|token| ledger.on_lost(token));
}
