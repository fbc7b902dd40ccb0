//! QPACK: the fields of a browser's request to bytes and back.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use http3::qpack::{Decoder, DecoderConfig, Encoder, EncoderConfig, FieldRef};

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case::new("qpack/encode", "a request of 13 lines with a warm table, and its acknowledgement", 10_000, encode),
    Case::new("qpack/encode_first", "the first request of a connection, with a new encoder", 2_000, encode_first),
    Case::new("qpack/decode", "a request of 13 lines with a warm table, and its acknowledgement", 10_000, decode),
    Case::new("qpack/decode_first", "the first request of a connection, with a new decoder", 2_000, decode_first),
];

const STREAM: u64 = 400;

fn request(path: &str) -> impl Iterator<Item = FieldRef<'_>> {
    [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "www.example.com"),
        (":path", path),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://www.example.com/articles/2026/"),
        ("cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
    ]
    .into_iter()
    .map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()))
}

/// Both ends after three requests, each with a path of its own.
fn warm() -> (Encoder, Decoder) {
    let mut encoder = Encoder::new(EncoderConfig::default());
    encoder.peer_settings(4096, 16);
    let mut decoder = Decoder::new(DecoderConfig::default());
    for path in ["/", "/style.css", "/script.js"] {
        let mut section = BytesMut::new();
        encoder.encode(STREAM, request(path), &mut section);
        if let Some(instructions) = encoder.poll_instructions() {
            decoder.receive(&instructions).expect("they are right");
        }
        _ = decoder.decode(STREAM, section.freeze()).expect("it is right");
        if let Some(instructions) = decoder.poll_instructions() {
            encoder.receive(&instructions).expect("they are right");
        }
    }
    (encoder, decoder)
}

/// A path. Those that do not come back soon are literal, as most are.
const PATH: &str = "/images/2026/photograph-0017.jpeg";
/// How many different ones are asked for before the first comes back.
const PATHS: usize = 512;

fn encode() -> Work {
    let (mut encoder, _) = warm();
    let paths: Vec<String> = (0..PATHS).map(|path| format!("/images/2026/photograph-{path:0>4}.jpeg")).collect();
    let mut next = 0;
    let mut section = BytesMut::with_capacity(1 << 16);
    Box::new(move |operations| {
        for _ in 0..operations {
            section.clear();
            next = (next + 1) % PATHS;
            encoder.encode(STREAM, black_box(request(&paths[next])), &mut section);
            black_box(&section);
            // Section Acknowledgment of stream 400.
            encoder.receive(&[0xff, 0x91, 0x02]).expect("it is outstanding");
        }
    })
}

fn encode_first() -> Work {
    let mut section = BytesMut::with_capacity(1 << 16);
    Box::new(move |operations| {
        for _ in 0..operations {
            section.clear();
            let mut encoder = Encoder::new(EncoderConfig::default());
            encoder.peer_settings(4096, 16);
            encoder.encode(STREAM, black_box(request(PATH)), &mut section);
            black_box((&section, encoder.poll_instructions()));
        }
    })
}

fn decode() -> Work {
    let (mut encoder, mut decoder) = warm();
    let mut section = BytesMut::new();
    encoder.encode(STREAM, request(PATH), &mut section);
    let section = section.freeze();
    Box::new(move |operations| {
        for _ in 0..operations {
            black_box(decoder.decode(STREAM, black_box(section.clone())).expect("it is right"));
            black_box(decoder.poll_instructions());
        }
    })
}

fn decode_first() -> Work {
    let mut encoder = Encoder::new(EncoderConfig::default());
    encoder.peer_settings(4096, 16);
    let mut section = BytesMut::new();
    encoder.encode(STREAM, request(PATH), &mut section);
    let (section, instructions): (Bytes, Option<Bytes>) = (section.freeze(), encoder.poll_instructions());
    Box::new(move |operations| {
        for _ in 0..operations {
            let mut decoder = Decoder::new(DecoderConfig::default());
            if let Some(instructions) = &instructions {
                decoder.receive(black_box(instructions)).expect("they are right");
            }
            black_box(decoder.decode(STREAM, black_box(section.clone())).expect("it is right"));
            black_box(decoder.poll_instructions());
        }
    })
}
