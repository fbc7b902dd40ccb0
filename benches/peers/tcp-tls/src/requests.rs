//! Requests and responses, in order on one connection, each written by itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use common::pattern::{self, Check};
use common::{Failure, Latencies, Stopwatch, outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use crate::BUFFER;

/// How much is wanted, how long the request is.
const HEADER: usize = 16;

/// Answers requests until the client goes away.
pub(crate) async fn serve(mut connection: server::TlsStream<TcpStream>, every_byte: bool) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        match connection.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            length => filled += length,
        }
        let mut start = 0;
        while let Some((response, length)) = header(&buffer[start..filled]) {
            if length > BUFFER {
                return Err("a request of more than 64 KiB".into());
            }
            if filled - start < length {
                break;
            }
            Check::new(every_byte).read(&buffer[start + HEADER..start + length])?;
            start += length;
            connection.write_all(pattern::slice(0, response)).await?;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}

fn header(bytes: &[u8]) -> Option<(u64, usize)> {
    let (response, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?;
    Some((u64::from_be_bytes(*response), length.max(HEADER)))
}

/// Keeps so many requests under way for a time.
pub(crate) async fn run(
    mut connection: client::TlsStream<TcpStream>,
    outstanding: u64,
    time: Duration,
    request: u64,
    response: u64,
) -> Result<(), Failure> {
    if request > BUFFER as u64 || response == 0 || response > BUFFER as u64 {
        return Err("requests up to 64 KiB, responses from 1 byte to 64 KiB".into());
    }
    let mut message = response.to_be_bytes().to_vec();
    message.extend_from_slice(&request.to_be_bytes());
    message.extend_from_slice(pattern::slice(0, request.saturating_sub(HEADER as u64)));
    let stopwatch = Stopwatch::new();
    let end = stopwatch.start() + time;
    let mut latencies = Latencies::new()?;
    let mut starts = VecDeque::new();
    let mut buffer = vec![0; BUFFER];
    let mut check = Check::new(false);
    for _ in 0..outstanding {
        starts.push_back(Instant::now());
        connection.write_all(&message).await?;
    }
    while !starts.is_empty() {
        let filled = match connection.read(&mut buffer).await? {
            0 => return Err("the server went away".into()),
            length => length,
        };
        let mut bytes = &buffer[..filled];
        while !bytes.is_empty() {
            let missing = usize::try_from(response - check.position())?;
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            check.read(part)?;
            bytes = rest;
            if check.position() < response {
                break;
            }
            check = Check::new(false);
            let now = Instant::now();
            let Some(start) = starts.pop_front() else { return Err("more responses than requests".into()) };
            latencies.add(now - start);
            if now < end {
                starts.push_back(now);
                connection.write_all(&message).await?;
            }
        }
    }
    outcome::print(&stopwatch.stop("requests", &latencies.fields(outstanding)))
}
