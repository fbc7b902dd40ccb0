//! What a client sends on a stream: how many bytes it wants back, in eight bytes, and a payload until the end.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::pattern::{self, Check, Mismatch};

/// Bytes of the number at the start.
pub const HEADER: u64 = 8;

/// A whole request of `length` bytes, its header included, that asks for `response` bytes.
#[must_use]
pub fn small(length: u64, response: u64) -> Bytes {
    let payload = pattern::chunk(0, length.saturating_sub(HEADER));
    let mut request = BytesMut::with_capacity(8 + payload.len());
    request.put_u64(response);
    request.extend_from_slice(&payload);
    request.freeze()
}

/// Reads what a client sends.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    header: [u8; 8],
    filled: usize,
    check: Check,
}

impl Reader {
    /// Nothing was read so far.
    #[must_use]
    pub fn new(every_byte: bool) -> Self {
        Self { header: [0; 8], filled: 0, check: Check::new(every_byte) }
    }

    /// The next bytes of the stream.
    ///
    /// # Errors
    /// The payload is not the pattern.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        let (header, payload) = bytes.split_at(bytes.len().min(self.header.len() - self.filled));
        self.header[self.filled..self.filled + header.len()].copy_from_slice(header);
        self.filled += header.len();
        self.check.read(payload)
    }

    /// How many bytes the client wants, as soon as it has said so.
    #[must_use]
    pub fn response(&self) -> Option<u64> {
        (self.filled == self.header.len()).then(|| u64::from_be_bytes(self.header))
    }
}

/// The share of one stream of all bytes; the first takes what is left over.
#[must_use]
pub fn share(bytes: u64, streams: u64, stream: u64) -> u64 {
    bytes / streams + if stream == 0 { bytes % streams } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_however_it_is_cut() {
        let request = small(64, 12_345);
        assert_eq!(request.len(), 64);
        for cut in 0..=request.len() {
            let mut reader = Reader::new(true);
            reader.read(&request[..cut]).unwrap();
            assert_eq!(reader.response().is_some(), cut >= 8);
            reader.read(&request[cut..]).unwrap();
            assert_eq!(reader.response(), Some(12_345));
        }
    }

    #[test]
    fn shares_add_up() {
        assert_eq!((0..8).map(|stream| share(1_000_003, 8, stream)).sum::<u64>(), 1_000_003);
    }
}
