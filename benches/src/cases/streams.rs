//! The two halves of streams: bytes back into order, and bytes into frames until they are acknowledged.

use bytes::Bytes;
use codec::cursor::Writer;
use codec::{Direction, Side, StreamId, Time};
use transport::Tokens;
use transport::stream::buffers::{BufferConfig, Streams};
use transport::stream::ledger::{Ledger, LocalLimits, PeerLimits};
use transport::stream::{StreamInput, StreamOutput};

use crate::wire::read_all;
use crate::{Case, Work};

const CHUNKS: u64 = 64;
const CHUNK: usize = 1_200;

const fn reassembly(name: &'static str, operation: &'static str, begin: fn() -> Work) -> Case {
    Case { parts: CHUNKS, bytes: CHUNKS * CHUNK as u64, ..Case::new(name, operation, 200, begin) }
}

pub(super) const CASES: &[Case] = &[
    reassembly("streams/receive/in_order", "64 chunks in order, read", || receive(|chunk| chunk)),
    reassembly("streams/receive/reversed", "64 chunks, the last one first, read", || {
        receive(|chunk| CHUNKS - 1 - chunk)
    }),
    reassembly("streams/receive/every_second", "64 chunks, every second one first, read", || {
        receive(|chunk| if chunk < CHUNKS / 2 { 2 * chunk + 1 } else { 2 * (chunk - CHUNKS / 2) })
    }),
    Case {
        parts: WRITTEN.div_ceil(PACKET) as u64,
        bytes: WRITTEN as u64,
        ..Case::new("streams/send", "64 KiB written, in packets, acknowledged", 100, send)
    },
];

fn receive(order: fn(u64) -> u64) -> Work {
    let id = StreamId::new(Side::Client, Direction::Unidirectional, 0);
    let mut streams = Streams::new(Side::Server, BufferConfig::default());
    streams.handle_input(StreamInput::Opened { id, credit: 0 });
    let chunk = Bytes::from(vec![0x5a; CHUNK]);
    let mut chunks = Vec::new();
    let mut begin = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            for number in (0..CHUNKS).map(order) {
                let offset = begin + number * CHUNK as u64;
                streams.handle_input(StreamInput::Data { id, offset, data: chunk.clone(), fin: false });
            }
            begin += CHUNKS * CHUNK as u64;
            while streams.poll_event().is_some() {}
            read_all(&mut streams, id, &mut chunks);
            while streams.poll_output().is_some() {}
        }
    })
}

const WRITTEN: usize = 64 * 1024;
/// What is left for frames in a datagram of 1,452 bytes.
const PACKET: usize = 1_425;

fn send() -> Work {
    let id = StreamId::new(Side::Client, Direction::Unidirectional, 0);
    let mut ledger = Ledger::new(Side::Client, LocalLimits::default());
    ledger.set_peer_limits(PeerLimits {
        initial_max_data: (1 << 62) - 1,
        initial_max_stream_data_uni: (1 << 62) - 1,
        initial_max_streams_uni: 1,
        ..PeerLimits::default()
    });
    let data = Bytes::from(vec![0x5a; WRITTEN]);
    let mut packet = vec![0; PACKET];
    let mut packets: Vec<Tokens> = Vec::new();
    Box::new(move |operations| {
        for _ in 0..operations {
            let write = StreamOutput::Write { id, data: data.clone(), fin: false };
            ledger.on_output(Time::ZERO, write).expect("there is credit");
            while ledger.wants_to_send() {
                let mut tokens = Tokens::new();
                ledger.write_streams(&mut Writer::new(&mut packet), &mut tokens);
                packets.push(tokens);
            }
            for token in packets.drain(..).flatten() {
                ledger.on_acknowledged(token);
            }
            while ledger.poll_input().is_some() {}
        }
    })
}
