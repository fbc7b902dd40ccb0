//! Two connections in one memory: what all the machines together cost, without actors and without a kernel.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use codec::{Direction, Side, StreamId};
use quicast_tests::{Node, Pair, Settings};
use transport::stream::buffers::{StreamEvent, Streams};

use crate::wire::{Wire, read_all};
use crate::{Case, Work};

/// Bytes of a bulk transfer.
const BULK: u64 = 1 << 20;
/// STREAM bytes that a full datagram of 1,452 bytes carries, nearly: so many datagrams a transfer has.
const BULK_PACKETS: u64 = BULK.div_ceil(1_418);
/// Bytes of a request, and of its response.
const REQUEST: usize = 64;

pub(super) const CASES: &[Case] = &[
    Case { bytes: BULK, parts: BULK_PACKETS, ..Case::new("pair/bulk", "1 MiB one way", 8, bulk) },
    Case {
        bytes: BULK,
        parts: BULK_PACKETS,
        counted_in: "client_turn",
        ..Case::new("pair/bulk_sender", "1 MiB, the sending end", 8, bulk)
    },
    Case {
        bytes: BULK,
        parts: BULK_PACKETS,
        counted_in: "server_turn",
        ..Case::new("pair/bulk_receiver", "1 MiB, the receiving end", 8, bulk)
    },
    Case::new("pair/request", "64 B there and back on a new stream", 2_000, request),
    Case {
        counted_in: "client_turn",
        ..Case::new("pair/request_client", "the same, the client's end", 2_000, request)
    },
    Case {
        counted_in: "server_turn",
        ..Case::new("pair/request_server", "the same, the server's end", 2_000, request)
    },
    Case { parts: 100, ..Case::new("pair/requests_100", "100 such requests at once", 20, requests_100) },
    Case::new("pair/handshake", "a full handshake, until confirmed", 5, handshake),
];

fn bulk() -> Work {
    let mut wire = Wire::new();
    let mut service = Bulk { piece: Bytes::from(vec![0x5a; 64 * 1024]), ..Bulk::default() };
    // The window opens, and the datagrams reach their size.
    for _ in 0..8 {
        service.transfer(&mut wire);
    }
    assert_eq!(wire.end(Side::Client).connection.datagram_size(), 1452, "the path was searched");
    Box::new(move |operations| {
        for _ in 0..operations {
            service.transfer(&mut wire);
        }
    })
}

#[derive(Debug, Default)]
struct Bulk {
    piece: Bytes,
    written: u64,
    acknowledged: bool,
    chunks: Vec<Bytes>,
    ended: bool,
}

impl Bulk {
    fn transfer(&mut self, wire: &mut Wire) {
        (self.written, self.acknowledged, self.ended) = (0, false, false);
        let streams = &mut wire.end(Side::Client).streams;
        let id = streams.open(Direction::Unidirectional).expect("one stream at a time is permitted");
        self.write(streams, id);
        wire.run(self, |service| service.acknowledged && service.ended);
    }

    fn write(&mut self, streams: &mut Streams, id: StreamId) {
        while self.written < BULK && streams.writable(id) > 0 && streams.write(id, self.piece.clone()).is_ok() {
            self.written += self.piece.len() as u64;
            if self.written == BULK {
                streams.finish(id).expect("the stream is open");
            }
        }
    }
}

impl crate::wire::Service for Bulk {
    fn on_event(&mut self, _: Side, streams: &mut Streams, event: StreamEvent) {
        match event {
            StreamEvent::Writable { id } => self.write(streams, id),
            StreamEvent::Readable { id } => self.ended |= read_all(streams, id, &mut self.chunks),
            StreamEvent::Finished { .. } => self.acknowledged = true,
            _ => {}
        }
    }
}

fn request() -> Work {
    requests(1)
}

fn requests_100() -> Work {
    requests(100)
}

fn requests(at_once: usize) -> Work {
    let mut wire = Wire::new();
    let mut service = Requests { payload: Bytes::from(vec![0x5a; REQUEST]), ..Requests::default() };
    for _ in 0..100 {
        service.ask(&mut wire, at_once);
    }
    Box::new(move |operations| {
        for _ in 0..operations {
            service.ask(&mut wire, at_once);
        }
    })
}

#[derive(Debug, Default)]
struct Requests {
    payload: Bytes,
    chunks: Vec<Bytes>,
    to_ask: usize,
    answered: usize,
}

impl Requests {
    fn ask(&mut self, wire: &mut Wire, at_once: usize) {
        (self.to_ask, self.answered) = (at_once, 0);
        self.open(&mut wire.end(Side::Client).streams);
        wire.run(self, |service| service.answered == at_once);
    }

    /// As many as the server permits; the rest when it permits more.
    fn open(&mut self, streams: &mut Streams) {
        while self.to_ask > 0
            && let Some(id) = streams.open(Direction::Bidirectional)
        {
            self.to_ask -= 1;
            self.say(streams, id);
        }
    }

    fn say(&self, streams: &mut Streams, id: StreamId) {
        streams.write(id, self.payload.clone()).expect("there is room");
        streams.finish(id).expect("the stream is open");
    }
}

impl crate::wire::Service for Requests {
    fn on_event(&mut self, side: Side, streams: &mut Streams, event: StreamEvent) {
        match event {
            StreamEvent::Readable { id } if read_all(streams, id, &mut self.chunks) => match side {
                Side::Client => self.answered += 1,
                Side::Server => self.say(streams, id),
            },
            StreamEvent::OpenPermitted { .. } if side.is_client() => self.open(streams),
            _ => {}
        }
    }
}

fn handshake() -> Work {
    let mut settings = Settings::new(11);
    let certificate = certificate();
    let mut client =
        tls::development::client_config(certificate.chain(), &[quicast_tests::settings::PROTOCOL]).expect("it is ours");
    // Every handshake is a full one.
    client.resumption = rustls::client::Resumption::disabled();
    let server =
        tls::development::server_config(&certificate, &[quicast_tests::settings::PROTOCOL]).expect("it is ours");
    settings.client_tls = Arc::new(client);
    settings.server_tls = Arc::new(server);
    let settings = Rc::new(RefCell::new(settings));
    Box::new(move |operations| {
        for _ in 0..operations {
            settings.borrow_mut().seed += 1;
            let mut pair = Pair::new(&settings.borrow());
            let confirmed = |pair: &Pair| {
                pair.client.nodes[0].was_confirmed() && pair.server.nodes.first().is_some_and(Node::was_confirmed)
            };
            assert!(pair.run(Duration::from_secs(5), confirmed), "{}", pair.describe());
        }
    })
}

/// ECDSA P-256, as most servers have.
fn certificate() -> tls::Certificate {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = tls::pki_types::UnixTime::since_unix_epoch(now);
    tls::development::certificate(&[], now).expect("the names are good")
}
