//! `--get`: a file with `hq-interop`.

use std::path::Path;

use bytes::Bytes;
use quicast::{Connection, ReadError, RecvStream, WriteError};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::report::Counted;
use crate::address::plain;
use crate::cli::Echo;
use crate::error::Failure;
use crate::progress::Progress;
use crate::services::hq::refusal;

/// Fetches into the file of `--output`, or to standard output. A file appears only when it is whole. What was counted, if
/// there is room to say it.
pub(crate) async fn run(connection: &Connection, path: &str, arguments: &Echo) -> Result<Option<Counted>, Failure> {
    let receive = request(connection, path).await?;
    let file = arguments.output.as_deref().filter(|file| *file != Path::new("-"));
    let received = match file {
        None => copy(connection, receive, path, &mut tokio::io::stdout(), arguments, "standard output").await?,
        Some(file) => {
            let name = file.display().to_string();
            let partial = file.with_added_extension("part");
            let failed = |error: std::io::Error| Failure::failed(format_args!("{name}: {}", plain(&error)));
            let mut sink = tokio::fs::File::create(&partial).await.map_err(failed)?;
            let copied = copy(connection, receive, path, &mut sink, arguments, &name).await;
            let Ok(received) = copied else {
                tokio::fs::remove_file(&partial).await.ok();
                return copied.map(|_| None);
            };
            tokio::fs::rename(&partial, file).await.map_err(failed)?;
            received
        }
    };
    // What goes to standard output must be the file alone.
    Ok(file.map(|_| Counted { bytes_returned: received, fetched: true, streams: 1, ..Counted::default() }))
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
    sink: &mut (impl AsyncWrite + Unpin),
    arguments: &Echo,
    name: &str,
) -> Result<u64, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format_args!("{name}: {}", plain(&error)));
    let progress = Progress::bytes(0, arguments.quiet);
    let mut received = 0;
    loop {
        match receive.read_chunk(usize::MAX).await {
            Ok(Some(chunk)) => {
                sink.write_all(&chunk).await.map_err(failed)?;
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
    sink.flush().await.map_err(failed)?;
    Ok(received)
}
