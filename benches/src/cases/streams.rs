//! The two halves of streams: bytes back into order, and bytes into frames until they are acknowledged.

use bytes::Bytes;
use codec::cursor::Writer;
use codec::{Direction, Side, StreamId, Time};
use transport::Tokens;
use transport::stream::buffers::{BufferConfig, Streams};
use transport::stream::ledger::{Ledger, LocalLimits, PeerLimits};
use transport::stream::{Priority, StreamInput, StreamOutput};

use crate::wire::read_all;
use crate::{Case, Work};

const CHUNKS: u64 = 64;
const CHUNK: usize = 1_200;

const fn reassembly(name: &'static str, operation: &'static str, begin: fn() -> Work) -> Case {
    Case { parts: CHUNKS, bytes: CHUNKS * CHUNK as u64, ..Case::new(name, operation, 200, begin) }
}

const fn many(name: &'static str, operation: &'static str, begin: fn() -> Work) -> Case {
    let bytes = MANY * MANY_WRITTEN as u64;
    Case { parts: bytes.div_ceil(PACKET as u64), bytes, ..Case::new(name, operation, 20, begin) }
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
    many("streams/send_100/turns", "100 streams of 3,500 bytes that take turns", || send_many(|_, _| ())),
    many("streams/send_100/in_order", "100 streams of 3,500 bytes, one after the other", || {
        send_many(|ledger, id| {
            let priority = Priority::new(3, false);
            let said = ledger.on_output(Time::ZERO, StreamOutput::Prioritize { id, priority });
            said.expect("it may be opened");
        })
    }),
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

/// Streams that send at the same time.
const MANY: u64 = 100;
/// What each of them sends: two packets and a half, so that they take turns.
const MANY_WRITTEN: usize = 3_500;

/// Many streams at once: written, in packets, acknowledged, gone. `order` is told of each before anything is written.
fn send_many(order: fn(&mut Ledger, StreamId)) -> Work {
    let mut ledger = Ledger::new(Side::Client, LocalLimits::default());
    ledger.set_peer_limits(PeerLimits {
        initial_max_data: (1 << 62) - 1,
        initial_max_stream_data_uni: (1 << 62) - 1,
        initial_max_streams_uni: 1 << 60,
        ..PeerLimits::default()
    });
    let data = Bytes::from(vec![0x5a; MANY_WRITTEN]);
    let mut packet = vec![0; PACKET];
    let mut packets: Vec<Tokens> = Vec::new();
    let mut next = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            for _ in 0..MANY {
                let id = StreamId::new(Side::Client, Direction::Unidirectional, next);
                next += 1;
                order(&mut ledger, id);
                let write = StreamOutput::Write { id, data: data.clone(), fin: true };
                ledger.on_output(Time::ZERO, write).expect("there is credit");
            }
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
