//! `perf`: the QUIC performance protocol (draft-banks-quic-performance).
//!
//! The first 8 bytes of a bidirectional stream are a number, big-endian: so many bytes come back on it. What follows them
//! is read and thrown away, but for a look at both ends of each piece. A small answer waits for the end of its request, a
//! large one sets out at once. Ours are two extensions: the number 2^64-1 is answered with the [`Statistics`] of this
//! process as JSON, and datagrams come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quicast::{Connection, RecvStream, SendStream};
use telemetry::Registry;

use crate::perf::pattern::{self, Checker, Depth};
use crate::perf::statistics::{self, Statistics};

/// The length of the number in front, in bytes.
const NUMBER: usize = 8;
/// Answers of up to so many bytes wait for the end of their request.
const SMALL: u64 = 64 * 1024;

/// What the service knows of itself. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Perf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    depth: Depth,
    registry: OnceLock<Registry>,
    payload_bytes: AtomicU64,
    payload_wrong: AtomicU64,
}

impl Perf {
    /// A service that compares as much as this of what clients send.
    pub(crate) fn new(depth: Depth) -> Self {
        let inner = Inner {
            depth,
            registry: OnceLock::new(),
            payload_bytes: AtomicU64::new(0),
            payload_wrong: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// From now on it can say what this endpoint has counted.
    pub(crate) fn watch(&self, registry: &Registry) {
        self.inner.registry.get_or_init(|| registry.clone());
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            payload_bytes: self.inner.payload_bytes.load(Ordering::Relaxed),
            payload_wrong: self.inner.payload_wrong.load(Ordering::Relaxed),
            payload_verified: self.inner.depth == Depth::Everything,
            ..Statistics::now(self.inner.registry.get())
        }
    }
}

/// Serves until the connection ends, on its own thread.
pub(crate) async fn serve(connection: Connection, perf: Perf) {
    tokio::join!(streams(&connection, &perf), datagrams(&connection));
}

async fn streams(connection: &Connection, perf: &Perf) {
    // Whoever asks for nothing is not to cost the room for what serves a stream.
    let Ok((send, receive)) = connection.accept_bi().await else { return };
    // Not a task each: what they are for is short, and a task costs more than a stream.
    let mut open = FuturesUnordered::new();
    open.push(stream(send, receive, perf));
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept_bi() => {
                let Ok((send, receive)) = accepted else { break };
                // Whatever a stream lacks, its halves are dropped, which tells the client.
                open.push(stream(send, receive, perf));
            }
            Some(_) = open.next(), if !open.is_empty() => {}
        }
    }
    // What was accepted before the end goes on to its own.
    while open.next().await.is_some() {}
}

async fn datagrams(connection: &Connection) {
    while let Ok(datagram) = connection.read_datagram().await {
        // They are unreliable: one that does not fit back, or finds no room, is lost.
        connection.send_datagram(datagram).ok();
    }
}

async fn stream(mut send: SendStream, mut receive: RecvStream, perf: &Perf) -> Option<()> {
    let (number, rest) = beginning(&mut receive).await?;
    let payload = drain(receive, rest, perf);
    if number == statistics::WANTED {
        payload.await?;
        statistics::settled().await;
        let answer = serde_json::to_vec(&perf.statistics()).ok()?;
        send.write_chunk(Bytes::from(answer)).await.ok()?;
    } else if number <= SMALL {
        payload.await?;
        pattern::send(&mut send, number, |_| ()).await.ok()?;
    } else {
        let answer = pattern::send(&mut send, number, |_| ());
        let (payload, answer) = tokio::join!(payload, answer);
        payload?;
        answer.ok()?;
    }
    // On its way; whether it arrives is for the connection to see to.
    drop(send.finish());
    Some(())
}

/// The number, and what came with it.
async fn beginning(receive: &mut RecvStream) -> Option<(u64, Bytes)> {
    let mut first = receive.read_chunk(usize::MAX).await.ok()??;
    while first.len() < NUMBER {
        let next = receive.read_chunk(usize::MAX).await.ok()??;
        let mut both = BytesMut::with_capacity(first.len() + next.len());
        both.extend_from_slice(&first);
        both.extend_from_slice(&next);
        first = both.freeze();
    }
    let number = u64::from_be_bytes(*first.first_chunk()?);
    Some((number, first.split_off(NUMBER)))
}

/// Reads to the end of the stream. Nothing if there is no end.
async fn drain(mut receive: RecvStream, first: Bytes, perf: &Perf) -> Option<()> {
    let mut checker = Checker::new(perf.inner.depth);
    let mut as_sent = checker.add(&first).is_ok();
    let ended = loop {
        match receive.read_chunk(usize::MAX).await {
            Ok(Some(piece)) => as_sent &= checker.add(&piece).is_ok(),
            Ok(None) => break Some(()),
            Err(_) => break None,
        }
    };
    if checker.count() > 0 {
        perf.inner.payload_bytes.fetch_add(checker.count(), Ordering::Relaxed);
    }
    if !as_sent {
        perf.inner.payload_wrong.fetch_add(1, Ordering::Relaxed);
    }
    ended
}
