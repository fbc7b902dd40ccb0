//! Bytes on streams, there and back, checked as they come: memory does not grow with their number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quicast::{Connection, ReadError, RecvStream, SendStream, WriteError};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::pattern::{Checker, Pattern};
use crate::error::Failure;

/// How much is written at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// How far all streams together are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    returned: AtomicU64,
    moved: Notify,
}

impl Meter {
    /// Bytes that came back.
    pub(crate) fn returned(&self) -> u64 {
        self.inner.returned.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.inner.returned.fetch_add(bytes as u64, Ordering::Relaxed);
        self.inner.moved.notify_waiters();
    }

    /// Waits until so many bytes came back.
    pub(crate) async fn reached(&self, bytes: u64) {
        loop {
            let moved = self.inner.moved.notified();
            if self.returned() >= bytes {
                return;
            }
            moved.await;
        }
    }
}

/// Sends `bytes` bytes over `streams` streams and checks what comes back.
///
/// # Errors
/// What came back wrong, or why it did not.
pub(crate) async fn run(connection: &Connection, bytes: u64, streams: u32, meter: &Meter) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    let share = bytes / u64::from(streams);
    for stream in 0..u64::from(streams) {
        // The first stream takes what does not divide.
        let count = if stream == 0 { bytes - share * (u64::from(streams) - 1) } else { share };
        let (connection, meter) = (connection.clone(), meter.clone());
        tasks.spawn(async move { one(&connection, stream, count, &meter).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(Failure::failed)??;
    }
    Ok(())
}

async fn one(connection: &Connection, stream: u64, count: u64, meter: &Meter) -> Result<(), Failure> {
    let (send, receive) = connection.open_bi().await.map_err(|reason| super::ended(&reason))?;
    // Both at once: the server reads no more than it can send back. Whichever fails first ends the other.
    tokio::try_join!(write(send, stream, count), read(receive, stream, count, meter))?;
    Ok(())
}

/// Sends `bytes` bytes over `streams` unidirectional streams and checks what comes back on streams of the server.
///
/// They come back in any order, so all of them carry the same, and what does not divide goes with none.
///
/// # Errors
/// What came back wrong, or why it did not.
pub(crate) async fn run_unidirectional(
    connection: &Connection,
    bytes: u64,
    streams: u32,
    meter: &Meter,
) -> Result<(), Failure> {
    let share = bytes / u64::from(streams);
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let sending = connection.clone();
        tasks.spawn(async move {
            let send = sending.open_uni().await.map_err(|reason| super::ended(&reason))?;
            write(send, 0, share).await
        });
        let (connection, meter) = (connection.clone(), meter.clone());
        tasks.spawn(async move {
            let receive = connection.accept_uni().await.map_err(|reason| super::ended(&reason))?;
            read(receive, 0, share, &meter).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(Failure::failed)??;
    }
    Ok(())
}

async fn write(mut send: SendStream, stream: u64, count: u64) -> Result<(), Failure> {
    let pattern = Pattern::new(stream);
    let failed = |error: WriteError| match error {
        WriteError::ConnectionLost(reason) => super::ended(&reason),
        WriteError::Stopped(code) => {
            Failure::failed(format_args!("the server stopped stream {stream} with code {code}"))
        }
        WriteError::Finished => Failure::failed(format_args!("stream {stream}: {error}")),
    };
    let mut offset = 0;
    while offset < count {
        let maximum = CHUNK.min(usize::try_from(count - offset).unwrap_or(CHUNK));
        let chunk = pattern.chunk(offset, maximum);
        offset += chunk.len() as u64;
        send.write_chunk(chunk).await.map_err(failed)?;
    }
    // The end is on its way; what comes back says more than its acknowledgement, so that is not awaited.
    drop(send.finish());
    Ok(())
}

async fn read(mut receive: RecvStream, stream: u64, count: u64, meter: &Meter) -> Result<(), Failure> {
    let mut checker = Checker::new(stream);
    loop {
        match receive.read_chunk(usize::MAX).await {
            Ok(Some(chunk)) => {
                checker.add(&chunk).map_err(|offset| {
                    Failure::failed(format_args!(
                        "stream {stream}: byte {offset} came back wrong; is it an echo server?"
                    ))
                })?;
                meter.add(chunk.len());
            }
            Ok(None) if checker.count() == count => return Ok(()),
            Ok(None) => {
                let back = checker.count();
                return Err(Failure::failed(format_args!("stream {stream}: {back} of {count} bytes came back")));
            }
            Err(ReadError::Reset(code)) => {
                return Err(Failure::failed(format_args!("the server reset stream {stream} with code {code}")));
            }
            Err(ReadError::ConnectionLost(reason)) => return Err(super::ended(&reason)),
            Err(error @ ReadError::Stopped) => return Err(Failure::failed(format_args!("stream {stream}: {error}"))),
        }
    }
}
