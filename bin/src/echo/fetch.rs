//! `--get`: a file with `hq-interop`.

use bytes::Bytes;
use quicast::{Connection, ReadError, RecvStream, WriteError};

use super::report::Counted;
use super::sink::Sink;
use crate::cli::Echo;
use crate::error::Failure;
use crate::progress::Progress;
use crate::services::hq::refusal;

/// Fetches into the file of `--output`, or to standard output. What was counted, if there is room to say it.
pub(crate) async fn run(connection: &Connection, path: &str, arguments: &Echo) -> Result<Option<Counted>, Failure> {
    let receive = request(connection, path).await?;
    let mut sink = Sink::new(arguments.output.as_deref());
    let copied = copy(connection, receive, path, &mut sink, arguments).await;
    match copied {
        Ok(received) => {
            // What goes to standard output must be the file alone.
            let counted = Counted { bytes_returned: received, fetched: true, streams: 1, ..Counted::default() };
            Ok(sink.is_file().then_some(counted))
        }
        Err(failure) => {
            sink.abandon().await;
            Err(failure)
        }
    }
}

async fn request(connection: &Connection, path: &str) -> Result<RecvStream, Failure> {
    let (mut send, receive) = connection.open_bi().await.map_err(|reason| super::ended(&reason))?;
    let written = send.write_chunk(Bytes::from(format!("GET {path}\r\n"))).await;
    match written {
        Ok(()) => drop(send.finish()),
        Err(WriteError::ConnectionLost(reason)) => return Err(super::ended(&reason)),
        // The answer says why nobody wants to hear the request.
        Err(WriteError::Stopped(_) | WriteError::Finished) => {}
    }
    Ok(receive)
}

async fn copy(
    connection: &Connection,
    mut receive: RecvStream,
    path: &str,
    sink: &mut Sink<'_>,
    arguments: &Echo,
) -> Result<u64, Failure> {
    let progress = Progress::bytes(0, arguments.quiet);
    let mut received = 0;
    loop {
        match receive.read_chunk(usize::MAX).await {
            Ok(Some(chunk)) => {
                sink.write(&chunk).await?;
                received += chunk.len() as u64;
                progress.show(received, &connection.stats());
            }
            Ok(None) => break,
            Err(ReadError::Reset(refusal::NOT_FOUND)) => {
                return Err(Failure::failed(format_args!("{path}: the server has no such file")));
            }
            Err(ReadError::Reset(code)) => {
                return Err(Failure::failed(format_args!("{path}: the server reset the stream with code {code}")));
            }
            Err(ReadError::ConnectionLost(reason)) => return Err(super::ended(&reason)),
            Err(error @ ReadError::Stopped) => return Err(Failure::failed(error)),
        }
    }
    progress.clear();
    sink.finish().await?;
    Ok(received)
}
