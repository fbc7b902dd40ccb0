//! Standard input on one stream, and what comes back on standard output.

use quicast::{Connection, ReadError, RecvStream, SendStream, WriteError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::address::plain;
use crate::error::Failure;

const CHUNK: usize = 64 * 1024;

/// Ends when both ways have.
pub(crate) async fn run(connection: &Connection) -> Result<(), Failure> {
    let (send, receive) = connection.open_bi().await.map_err(|reason| super::ended(&reason))?;
    let input = tokio::spawn(input(send));
    let output = output(receive).await;
    // Once nothing comes back any more, nobody waits for what might still be typed.
    input.abort();
    output?;
    // A server that closed right after its last words meant the close.
    match connection.close_reason() {
        Some(reason) => Err(super::ended(&reason)),
        None => Ok(()),
    }
}

async fn input(mut send: SendStream) {
    let mut stdin = tokio::io::stdin();
    loop {
        let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
        match stdin.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => {}
            // Half of an input must not look like the whole.
            Err(_) => {
                send.reset(0).ok();
                return;
            }
        }
        match send.write_chunk(buffer.freeze()).await {
            Ok(()) => {}
            // The other half says why.
            Err(WriteError::Stopped(_) | WriteError::Finished | WriteError::ConnectionLost(_)) => return,
        }
    }
    send.finish().await.ok();
}

async fn output(mut receive: RecvStream) -> Result<(), Failure> {
    let mut stdout = tokio::io::stdout();
    loop {
        match receive.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => {
                let written = stdout.write_all(&chunk).await;
                match match written {
                    Ok(()) => stdout.flush().await,
                    error => error,
                } {
                    Ok(()) => {}
                    // `| head` has seen enough.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                    Err(error) => return Err(Failure::failed(format_args!("standard output: {}", plain(&error)))),
                }
            }
            Ok(None) => return Ok(()),
            Err(ReadError::Reset(code)) => {
                return Err(Failure::failed(format_args!("the server reset the stream with code {code}")));
            }
            Err(ReadError::ConnectionLost(reason)) => return Err(super::ended(&reason)),
            Err(error @ ReadError::Stopped) => return Err(Failure::failed(error)),
        }
    }
}
