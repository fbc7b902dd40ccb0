//! HTTP/3: a request and its response through the machines of both ends, and content.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use codec::{Direction, Side, StreamId, Time};
use http3::{Config, Connection, Event, Opening, Output};

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case::new("http3/exchange", "a browser's request and a response of 1 KiB, both ends", 2_000, exchange),
    Case::new("http3/content", "64 KiB of content in pieces of 1,200 bytes, received", 500, content),
];

const NOW: Time = Time::ZERO;

/// Two machines, and what is on its way between them.
struct Pair {
    ends: [Connection; 2],
    opened: [[u64; 2]; 2],
    answer: Bytes,
}

impl Pair {
    fn new() -> Self {
        let config = || Config { grease: false, ..Config::default() };
        let mut pair = Self {
            ends: [Connection::client(config(), 1), Connection::server(config(), 2)],
            opened: [[0; 2]; 2],
            answer: Bytes::from(vec![7; 1024]),
        };
        pair.settle();
        pair
    }

    /// Carries out everything at once, until nothing is left.
    fn settle(&mut self) {
        let mut outputs = VecDeque::new();
        loop {
            for side in 0..2 {
                while let Some(event) = self.ends[side].poll_event() {
                    self.on_event(side, event);
                }
                while let Some(output) = self.ends[side].poll_output() {
                    outputs.push_back((side, output));
                }
            }
            if outputs.is_empty() {
                return;
            }
            while let Some((side, output)) = outputs.pop_front() {
                self.carry_out(side, output);
            }
        }
    }

    fn carry_out(&mut self, side: usize, output: Output) {
        match output {
            Output::Open(opening) => {
                let own = if side == 0 { Side::Client } else { Side::Server };
                let direction = opening.direction();
                let next = &mut self.opened[side][usize::from(direction == Direction::Unidirectional)];
                let stream = StreamId::new(own, direction, *next);
                *next += 1;
                self.ends[side].handle_opened(NOW, opening, stream);
            }
            Output::Write { stream, data, fin } => {
                self.ends[side].handle_sent(NOW, stream, data.len() as u64);
                self.ends[1 - side].handle_data(NOW, stream, data, fin);
            }
            other => {
                black_box(other);
            }
        }
    }

    fn on_event(&mut self, side: usize, event: Event) {
        let machine = &mut self.ends[side];
        match event {
            Event::Request { stream, .. } => {
                let response = http::Response::builder()
                    .header("content-type", "text/html; charset=utf-8")
                    .header("content-length", "1024")
                    .header("cache-control", "max-age=3600")
                    .header("server", "quicast");
                let response = response.body(()).expect("it is right");
                machine.send_response(NOW, stream, &response, false).expect("it is open");
                machine.send_data(NOW, stream, &mut self.answer.clone(), true).expect("it is open");
            }
            Event::Data { stream, data } => machine.data_consumed(NOW, stream, data.len() as u64),
            other => {
                black_box(other);
            }
        }
    }
}

fn request(index: u64) -> http::Request<()> {
    http::Request::get(format!("https://www.example.com/images/{index}.jpeg"))
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "en-US,en;q=0.5")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("referer", "https://www.example.com/articles/2026/")
        .header("cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin")
        .body(())
        .expect("it is right")
}

fn exchange() -> Work {
    let mut pair = Pair::new();
    let mut index = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            index += 1;
            pair.ends[0].request(request(index), true).expect("it is open");
            pair.settle();
            assert_eq!((pair.ends[0].open_requests(), pair.ends[1].open_requests()), (0, 0));
        }
    })
}

fn content() -> Work {
    let mut pair = Pair::new();
    let post = http::Request::post("https://www.example.com/").body(()).expect("it is right");
    let key = pair.ends[0].request(post, false).expect("it is open");
    let stream = StreamId::new(Side::Client, Direction::Bidirectional, 0);
    pair.ends[0].handle_opened(NOW, Opening::Request(key), stream);
    while let Some(output) = pair.ends[0].poll_output() {
        if !matches!(output, Output::Open(_)) {
            pair.carry_out(0, output);
        }
    }
    // A DATA frame of 64 KiB: its type, and its length in four bytes.
    let mut frame = vec![0x00, 0x80, 0x01, 0x00, 0x00];
    frame.resize(5 + 65_536, 7);
    let frame = Bytes::from(frame);
    let [_, mut server] = pair.ends;
    Box::new(move |operations| {
        for _ in 0..operations {
            let mut rest = frame.clone();
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(1200));
                server.handle_data(NOW, stream, piece, false);
            }
            while let Some(event) = server.poll_event() {
                if let Event::Data { stream, data } = event {
                    server.data_consumed(NOW, stream, data.len() as u64);
                }
            }
            while let Some(output) = server.poll_output() {
                black_box(output);
            }
        }
    })
}
