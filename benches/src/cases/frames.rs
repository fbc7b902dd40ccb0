//! Frames: bytes to values and back.

use std::hint::black_box;

use codec::cursor::Writer;
use codec::frame::{self, Frame, Stream, encode_ack};
use codec::{Direction, Side, StreamId};

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case::new("frames/read/stream", "a packet of one STREAM frame", 10_000, || read(full)),
    Case::new("frames/read/many", "a packet of an ACK of 32 ranges and 10 STREAM frames", 2_000, || read(many)),
    Case::new("frames/write/stream", "a packet of one STREAM frame", 10_000, || write(full)),
    Case::new("frames/write/many", "a packet of an ACK of 32 ranges and 10 STREAM frames", 2_000, || write(many)),
];

const PAYLOAD: usize = 1_425;
static DATA: [u8; 1_400] = [0x5a; 1_400];

fn read(fill: fn(&mut [u8]) -> usize) -> Work {
    let mut payload = vec![0; PAYLOAD];
    let length = fill(&mut payload);
    payload.truncate(length);
    Box::new(move |operations| {
        for _ in 0..operations {
            for frame in frame::iter(black_box(&payload)) {
                match frame.expect("they were written well") {
                    Frame::Stream(stream) => _ = black_box(stream),
                    Frame::Ack(ack) => ack.ranges().for_each(|range| _ = black_box(range)),
                    other => _ = black_box(other),
                }
            }
        }
    })
}

fn write(fill: fn(&mut [u8]) -> usize) -> Work {
    let mut payload = vec![0; PAYLOAD];
    Box::new(move |operations| {
        for _ in 0..operations {
            black_box(fill(black_box(&mut payload)));
        }
    })
}

fn full(payload: &mut [u8]) -> usize {
    let mut writer = Writer::new(payload);
    put(&mut writer, 0, 1_000_000, &DATA);
    writer.position()
}

fn many(payload: &mut [u8]) -> usize {
    let mut writer = Writer::new(payload);
    let ranges = (0..32).map(|range: u64| {
        let largest = 10_000 - range * 10;
        largest - 5..=largest
    });
    let written = encode_ack(&mut writer, 100, ranges, None);
    assert_eq!(written, Ok(32), "all ranges fit");
    for stream in 0..10 {
        put(&mut writer, stream, 0, &DATA[..64]);
    }
    writer.position()
}

fn put(writer: &mut Writer<'_>, stream: u64, offset: u64, data: &[u8]) {
    let id = StreamId::new(Side::Client, Direction::Bidirectional, stream);
    Frame::Stream(Stream { id, offset, fin: false, data }).encode(writer).expect("there is room");
}
