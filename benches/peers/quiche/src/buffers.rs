//! How quiche is given stream data without a copy: its buffers are ours.

use bytes::Bytes;
use quiche::{BufFactory, BufSplit};

/// Makes buffers that are [`Bytes`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared;

/// Bytes that can be split.
#[derive(Clone, Debug)]
pub(crate) struct Buffer(pub(crate) Bytes);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl BufSplit for Buffer {
    fn split_at(&mut self, at: usize) -> Self {
        Self(self.0.split_off(at))
    }
}

impl BufFactory for Shared {
    type Buf = Buffer;
    type DgramBuf = Vec<u8>;

    fn buf_from_slice(bytes: &[u8]) -> Buffer {
        Buffer(Bytes::copy_from_slice(bytes))
    }

    fn dgram_buf_from_slice(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}
