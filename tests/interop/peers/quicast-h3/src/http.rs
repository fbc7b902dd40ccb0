//! Frames on streams (RFC 9114, section 7).

use bytes::{Buf as _, Bytes, BytesMut};
use quicast::{Connection, RecvStream, SendStream};

use crate::Failure;
use crate::qpack::{self, Field};

pub(crate) const NO_ERROR: u64 = 0x100;
const DATA: u64 = 0x00;
const HEADERS: u64 = 0x01;
const SETTINGS: u64 = 0x04;
const CONTROL_STREAM: u64 = 0x00;
/// Of a body, in a write to a stream.
const CHUNK: usize = 256 * 1024;

/// The control stream with empty settings, which must stay open (RFC 9114, section 6.2.1); and reads what the other side's
/// unidirectional streams have to say, until the connection ends.
pub(crate) async fn control(connection: Connection) -> Result<(), Failure> {
    let mut own = connection.open_uni().await?;
    let mut start = Vec::new();
    for number in [CONTROL_STREAM, SETTINGS, 0] {
        put_varint(&mut start, number);
    }
    own.write_all(&start).await?;
    while let Ok(mut receive) = connection.accept_uni().await {
        tokio::spawn(async move { while let Ok(Some(_)) = receive.read_chunk(CHUNK).await {} });
    }
    drop(own);
    Ok(())
}

/// Sends the fields, and the body if there is one, and says that nothing follows.
pub(crate) async fn send(send: &mut SendStream, fields: &[(&str, &str)], body: Option<Bytes>) -> Result<(), Failure> {
    let section = qpack::encode(fields);
    let mut head = Vec::new();
    put_varint(&mut head, HEADERS);
    put_varint(&mut head, section.len() as u64);
    head.extend_from_slice(&section);
    if let Some(body) = &body {
        put_varint(&mut head, DATA);
        put_varint(&mut head, body.len() as u64);
    }
    send.write_all(&head).await?;
    let mut body = body.unwrap_or_default();
    while !body.is_empty() {
        send.write_chunk(body.split_to(CHUNK.min(body.len()))).await?;
    }
    Ok(())
}

/// A message as it arrives.
pub(crate) struct Message {
    receive: RecvStream,
    waiting: BytesMut,
    /// Of the DATA frame that is being read.
    left: u64,
}

impl Message {
    pub(crate) fn new(receive: RecvStream) -> Self {
        Self { receive, waiting: BytesMut::new(), left: 0 }
    }

    pub(crate) async fn fields(&mut self) -> Result<Vec<Field>, Failure> {
        loop {
            let (kind, length) = self.head().await?.ok_or("the stream ended before the fields")?;
            let payload = self.payload(length).await?;
            match kind {
                HEADERS => return qpack::decode(&payload),
                DATA => return Err("a body before the fields".into()),
                _ => {}
            }
        }
    }

    /// The next bytes of the body; `None` is its end.
    pub(crate) async fn body(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.left == 0 {
            match self.head().await? {
                None => return Ok(None),
                Some((DATA, length)) => self.left = length,
                // Trailers, or something unknown.
                Some((_, length)) => _ = self.payload(length).await?,
            }
        }
        if self.waiting.is_empty() && !self.more().await? {
            return Err("the stream ended within a body".into());
        }
        let length = self.waiting.len().min(usize::try_from(self.left)?);
        self.left -= length as u64;
        Ok(Some(self.waiting.split_to(length).freeze()))
    }

    /// The type and length of the next frame.
    async fn head(&mut self) -> Result<Option<(u64, u64)>, Failure> {
        loop {
            let mut input = &self.waiting[..];
            if let (Some(kind), Some(length)) = (varint(&mut input), varint(&mut input)) {
                let read = self.waiting.len() - input.len();
                self.waiting.advance(read);
                return Ok(Some((kind, length)));
            }
            if !self.more().await? {
                return if self.waiting.is_empty() { Ok(None) } else { Err("the stream ended within a frame".into()) };
            }
        }
    }

    async fn payload(&mut self, length: u64) -> Result<BytesMut, Failure> {
        let length = usize::try_from(length)?;
        while self.waiting.len() < length {
            if !self.more().await? {
                return Err("the stream ended within a frame".into());
            }
        }
        Ok(self.waiting.split_to(length))
    }

    async fn more(&mut self) -> Result<bool, Failure> {
        let Some(chunk) = self.receive.read_chunk(CHUNK).await? else { return Ok(false) };
        self.waiting.extend_from_slice(&chunk);
        Ok(true)
    }
}

/// RFC 9000, section 16.
fn put_varint(out: &mut Vec<u8>, number: u64) {
    match number {
        0..0x40 => out.push(number as u8),
        0x40..0x4000 => out.extend_from_slice(&(number as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(number as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(number | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

fn varint(input: &mut &[u8]) -> Option<u64> {
    let length = 1 << (input.first()? >> 6);
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(number & (u64::MAX >> (66 - 8 * length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_appendix_a_1_are_written_and_read() {
        for number in [37, 15_293, 494_878_333, 151_288_809_941_952_652] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(varint(&mut out.as_slice()), Some(number));
        }
        assert_eq!(varint(&mut [0x7b, 0xbd].as_slice()), Some(15_293));
        assert_eq!(varint(&mut [0x7b].as_slice()), None);
    }
}
