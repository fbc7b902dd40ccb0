//! `echo`: everything comes back, and nothing faster than the client takes it.
//!
//! A bidirectional stream comes back on itself, a unidirectional stream on a unidirectional stream of the server, a
//! datagram as a datagram. What was reset or stopped is reset or stopped the other way with the same code. A
//! bidirectional stream whose whole content is `close CODE REASON` makes the server close the connection like that: with
//! it, a test or a user sees how a client takes a close.

use bytes::Bytes;
use quicast::{Connection, ReadError, RecvStream, SendStream, WriteError};

use super::CHUNK;

/// Serves until the connection ends.
pub(crate) async fn serve(connection: Connection) {
    tokio::join!(bidirectional(&connection), unidirectional(&connection), datagrams(&connection));
}

async fn bidirectional(connection: &Connection) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        let connection = connection.clone();
        tokio::spawn(async move {
            let mut command = Command::default();
            if let Some(mut send) = pump(send, receive, &mut command).await {
                if let Some((code, reason)) = command.close() {
                    connection.close(code, &reason);
                }
                send.finish().await.ok();
            }
        });
    }
}

async fn unidirectional(connection: &Connection) {
    while let Ok(receive) = connection.accept_uni().await {
        let connection = connection.clone();
        tokio::spawn(async move {
            let Ok(send) = connection.open_uni().await else { return };
            if let Some(mut send) = pump(send, receive, &mut Command::Other).await {
                send.finish().await.ok();
            }
        });
    }
}

async fn datagrams(connection: &Connection) {
    while let Ok(datagram) = connection.read_datagram().await {
        // They are unreliable: one that does not fit back, or finds no room, is lost.
        connection.send_datagram(datagram).ok();
    }
}

/// Sends back what comes, until its end. Nothing is read while the client takes nothing. Gives the sending half back if
/// it is still to be finished.
async fn pump(mut send: SendStream, mut receive: RecvStream, command: &mut Command) -> Option<SendStream> {
    loop {
        match receive.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => {
                command.add(&chunk);
                match send.write_chunk(chunk).await {
                    Ok(()) => {}
                    Err(WriteError::Stopped(code)) => {
                        receive.stop(code);
                        return None;
                    }
                    Err(WriteError::Finished | WriteError::ConnectionLost(_)) => return None,
                }
            }
            Ok(None) => return Some(send),
            Err(ReadError::Reset(code)) => {
                send.reset(code).ok();
                return None;
            }
            Err(ReadError::Stopped | ReadError::ConnectionLost(_)) => return None,
        }
    }
}

/// The longest command; a longer stream is none.
const LONGEST: usize = 600;
const BEGINNING: &[u8] = b"close ";

/// The beginning of a stream, as long as it may still be a command.
#[derive(Debug)]
enum Command {
    Maybe(Vec<u8>),
    Other,
}

impl Default for Command {
    fn default() -> Self {
        Self::Maybe(Vec::new())
    }
}

impl Command {
    fn add(&mut self, chunk: &[u8]) {
        let Self::Maybe(so_far) = self else { return };
        let compared = so_far.iter().chain(chunk).zip(BEGINNING);
        let fits = so_far.len() + chunk.len() <= LONGEST;
        if fits && compared.into_iter().all(|(found, wanted)| found == wanted) {
            so_far.extend_from_slice(chunk);
        } else {
            *self = Self::Other;
        }
    }

    /// The code and the reason, if the whole stream was the command. A line feed at its end (`echo close 7 | …`) is not
    /// part of the reason.
    fn close(&self) -> Option<(u64, Bytes)> {
        let Self::Maybe(whole) = self else { return None };
        let rest = std::str::from_utf8(whole.strip_prefix(BEGINNING)?).ok()?.trim_end_matches('\n');
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = code.parse().ok().filter(|code| *code < 1 << 62)?;
        Some((code, Bytes::copy_from_slice(reason.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&str]) -> Option<(u64, String)> {
        let mut command = Command::default();
        chunks.iter().for_each(|chunk| command.add(chunk.as_bytes()));
        command.close().map(|(code, reason)| (code, String::from_utf8(reason.to_vec()).unwrap()))
    }

    #[test]
    fn a_command_is_the_whole_stream() {
        assert_eq!(read(&["close 7 good bye"]), Some((7, "good bye".to_owned())));
        assert_eq!(read(&["cl", "", "ose 7", " good bye\n"]), Some((7, "good bye".to_owned())));
        assert_eq!(read(&["close 7"]), Some((7, String::new())));
        for other in [&["close"][..], &[""], &["close x y"], &["say", " close 7 x"], &["close 4611686018427387904 x"]] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_long_stream_is_not_remembered() {
        let mut command = Command::default();
        command.add(b"close 7 ");
        command.add(&[b'x'; LONGEST]);
        assert!(matches!(command, Command::Other));
    }
}
