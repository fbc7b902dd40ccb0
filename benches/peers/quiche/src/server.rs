//! The server: reads each stream to its end, and sends what was asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use common::request::Reader;
use common::{Failure, Server, pattern};

use crate::endpoint::{Application, Endpoint, Quic, send_pattern};
use crate::{config, server_tls};

/// Whether every byte is compared: what makes connections has no other way to know.
static EVERY_BYTE: AtomicBool = AtomicBool::new(false);

/// Serves until it is ended.
pub(crate) fn serve(server: &Server) -> Result<(), Failure> {
    EVERY_BYTE.store(server.verify, Ordering::Relaxed);
    let config = config(server_tls()?, server.mtu, server.window, server.streams_allowed)?;
    let mut endpoint = Endpoint::<Answers>::bind(server.listen, config)?;
    common::announce(endpoint.local())?;
    loop {
        endpoint.step(None, Some(Answers::default))?;
    }
}

/// The streams of one connection.
#[derive(Default)]
struct Answers(HashMap<u64, Answer>);

enum Answer {
    Reading(Reader),
    Sending { position: u64, length: u64 },
}

impl Application for Answers {
    fn turn(&mut self, quic: &mut Quic, buffer: &mut [u8]) -> Result<(), Failure> {
        for stream in quic.readable() {
            if let Err(failure) = self.read(quic, stream, buffer) {
                // A stream that the client gave up is no reason to stop; wrong data is.
                if failure.is::<pattern::Mismatch>() {
                    return Err(failure);
                }
                self.0.remove(&stream);
            }
        }
        for stream in quic.writable() {
            self.send(quic, stream)?;
        }
        Ok(())
    }
}

impl Answers {
    fn read(&mut self, quic: &mut Quic, stream: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        let answer =
            self.0.entry(stream).or_insert_with(|| Answer::Reading(Reader::new(EVERY_BYTE.load(Ordering::Relaxed))));
        let Answer::Reading(reader) = answer else { return Ok(()) };
        loop {
            let (length, end) = match quic.stream_recv(stream, buffer) {
                Ok(read) => read,
                Err(quiche::Error::Done) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            reader.read(&buffer[..length])?;
            if end {
                let length = reader.response().ok_or("a stream ended before it said how much it wants")?;
                *answer = Answer::Sending { position: 0, length };
                return self.send(quic, stream);
            }
        }
    }

    fn send(&mut self, quic: &mut Quic, stream: u64) -> Result<(), Failure> {
        let Some(Answer::Sending { position, length }) = self.0.get_mut(&stream) else { return Ok(()) };
        match send_pattern(quic, stream, *position, *length) {
            Ok(now) if now < *length => *position = now,
            // Sent to the end, or the client wants no more.
            Ok(_) | Err(_) => drop(self.0.remove(&stream)),
        }
        Ok(())
    }
}
