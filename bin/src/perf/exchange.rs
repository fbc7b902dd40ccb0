//! One stream of the performance protocol, as a client has it.

use bytes::Bytes;
use quicast::{Connection, ReadError, RecvStream, SendStream, WriteError};

use super::pattern::{Checker, Depth};
use crate::echo::ended;
use crate::error::Failure;

/// Opens a stream. Waits while the server permits no more of them.
pub(crate) async fn open(connection: &Connection) -> Result<(SendStream, RecvStream), Failure> {
    connection.open_bi().await.map_err(|reason| ended(&reason))
}

/// The beginning of a stream that asks for so many bytes.
pub(crate) fn number(wanted: u64) -> Bytes {
    Bytes::copy_from_slice(&wanted.to_be_bytes())
}

/// Reads the whole answer, which must be the pattern and so long, and says of each piece that it came.
pub(crate) async fn answer(
    receive: &mut RecvStream,
    length: u64,
    depth: Depth,
    mut came: impl FnMut(u64),
) -> Result<(), Failure> {
    let mut checker = Checker::new(depth);
    loop {
        match receive.read_chunk(usize::MAX).await {
            Ok(Some(piece)) => {
                checker.add(&piece).map_err(|wrong| {
                    Failure::failed(format_args!("stream {}: {wrong}: the answer is not as sent", receive.id()))
                })?;
                came(piece.len() as u64);
                if checker.count() > length {
                    return Err(not_so_long(receive, checker.count(), "or more", length));
                }
            }
            Ok(None) if checker.count() == length => return Ok(()),
            Ok(None) => return Err(not_so_long(receive, checker.count(), "in all", length)),
            Err(error) => return Err(not_read(receive, &error)),
        }
    }
}

fn not_so_long(receive: &RecvStream, came: u64, more: &str, length: u64) -> Failure {
    Failure::failed(format_args!(
        "stream {}: the answer has {came} bytes {more} and should have {length}; is it a perf server?",
        receive.id()
    ))
}

fn not_read(receive: &RecvStream, error: &ReadError) -> Failure {
    match error {
        ReadError::ConnectionLost(reason) => ended(reason),
        ReadError::Reset(code) => {
            Failure::failed(format_args!("the server reset stream {} with code {code}", receive.id()))
        }
        ReadError::Stopped => Failure::failed(format_args!("stream {}: {error}", receive.id())),
    }
}

/// Why a stream takes no more.
pub(crate) fn not_written(send: &SendStream, error: &WriteError) -> Failure {
    match error {
        WriteError::ConnectionLost(reason) => ended(reason),
        WriteError::Stopped(code) => {
            Failure::failed(format_args!("the server stopped stream {} with code {code}", send.id()))
        }
        WriteError::Finished => Failure::failed(format_args!("stream {}: {error}", send.id())),
    }
}
