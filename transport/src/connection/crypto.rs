//! CRYPTO streams: the handshake's bytes in each packet number space (RFC 9000 §7.5, §19.6).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use codec::cursor::Writer;
use codec::frame::{Crypto, Frame};
use recovery::SpaceId;
use recovery::spaces::PerSpace;

use crate::error::TransportError;
use crate::limits;
use crate::token::{Token, Tokens};

/// One space's CRYPTO stream, both ways. There is no flow control on it, only [`limits`].
#[derive(Debug)]
pub(crate) struct CryptoStream {
    space: SpaceId,
    /// Bytes that TLS has read.
    read: u64,
    /// What came ahead of a gap, by offset; pieces may overlap.
    ahead: BTreeMap<u64, Bytes>,
    /// Bytes that TLS has written.
    written: u64,
    /// What is to be sent, new or again, in this order.
    pending: VecDeque<(u64, Bytes)>,
}

impl PerSpace for CryptoStream {
    const GONE: &'static Self = &Self::new(SpaceId::Handshake);

    fn new(space: SpaceId) -> Self {
        Self::new(space)
    }

    fn gone() -> Self {
        Self::new(SpaceId::Handshake)
    }
}

impl CryptoStream {
    pub(crate) const fn new(space: SpaceId) -> Self {
        Self { space, read: 0, ahead: BTreeMap::new(), written: 0, pending: VecDeque::new() }
    }

    /// Takes what a CRYPTO frame carried. Says whether it was new: what TLS has read already was sent again.
    pub(crate) fn insert(&mut self, offset: u64, data: &[u8]) -> Result<bool, TransportError> {
        let end = offset.saturating_add(data.len() as u64);
        if end <= self.read {
            return Ok(data.is_empty());
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-7.5
        //# If an endpoint does not expand its buffer, it MUST
        //# close the connection with a CRYPTO_BUFFER_EXCEEDED error code.
        if end - self.read > self.limit() {
            return Err(TransportError::crypto_buffer_exceeded("more handshake data than is kept"));
        }
        let longer_than = |kept: &Bytes| kept.len() >= data.len();
        if !self.ahead.get(&offset).is_some_and(longer_than) {
            self.ahead.insert(offset, Bytes::copy_from_slice(data));
        }
        if self.ahead.len() > limits::CRYPTO_GAPS {
            return Err(TransportError::crypto_buffer_exceeded("handshake data in too many pieces"));
        }
        Ok(true)
    }

    /// The next bytes in order, if they are there.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        loop {
            let entry = self.ahead.first_entry()?;
            let offset = *entry.key();
            if offset > self.read {
                return None;
            }
            let mut data = entry.remove();
            let known = usize::try_from(self.read - offset).unwrap_or(usize::MAX);
            if known >= data.len() {
                continue;
            }
            let data = data.split_off(known);
            self.read += data.len() as u64;
            return Some(data);
        }
    }

    /// Whether anything has come that was not read, be it behind a gap.
    pub(crate) fn has_unread(&self) -> bool {
        self.ahead.iter().any(|(offset, data)| offset.saturating_add(data.len() as u64) > self.read)
    }

    /// Queues what TLS wrote.
    pub(crate) fn write(&mut self, data: &[u8]) {
        self.pending.push_back((self.written, Bytes::copy_from_slice(data)));
        self.written += data.len() as u64;
    }

    /// Queues what was lost, ahead of what is new.
    pub(crate) fn on_lost(&mut self, (offset, data): (u64, Bytes)) {
        let position = self.pending.partition_point(|(other, _)| *other < offset);
        self.pending.insert(position, (offset, data));
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes that are to be sent.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(|(_, data)| data.len()).sum()
    }

    /// Writes as much of what is pending as fits.
    pub(crate) fn write_frames(&mut self, writer: &mut Writer<'_>, tokens: &mut Tokens) {
        while let Some((offset, mut data)) = self.pending.pop_front() {
            let header = 1 + codec::VarInt::size_of(offset) + 2;
            let room = writer.remaining().saturating_sub(header).min(0x3fff);
            let now = data.split_to(room.min(data.len()));
            let frame = Frame::Crypto(Crypto { offset, data: &now });
            if now.is_empty() || frame.encode(writer).is_err() {
                let mut whole = now.to_vec();
                whole.extend_from_slice(&data);
                self.pending.push_front((offset, whole.into()));
                return;
            }
            let rest = offset + now.len() as u64;
            tokens.push(Token::Crypto { space: self.space, piece: Box::new((offset, now)) });
            if !data.is_empty() {
                self.pending.push_front((rest, data));
                return;
            }
        }
    }

    /// Forgets everything: the space's keys are gone.
    pub(crate) fn discard(&mut self) {
        self.ahead = BTreeMap::new();
        self.pending = VecDeque::new();
    }

    /// Gives back room that nothing is in.
    pub(crate) fn shrink(&mut self) {
        self.pending.shrink_to_fit();
    }

    const fn limit(&self) -> u64 {
        match self.space {
            SpaceId::Initial => limits::CRYPTO_BUFFER_INITIAL,
            SpaceId::Handshake => limits::CRYPTO_BUFFER_HANDSHAKE,
            SpaceId::Application => limits::CRYPTO_BUFFER_APPLICATION,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::TransportErrorCode;

    #[test]
    fn pieces_come_out_in_order_and_once() {
        let mut stream = CryptoStream::new(SpaceId::Initial);
        stream.insert(3, b"def").unwrap();
        assert!(stream.next().is_none());
        stream.insert(0, b"abcd").unwrap();
        stream.insert(0, b"ab").unwrap();
        let mut whole = Vec::new();
        while let Some(data) = stream.next() {
            whole.extend_from_slice(&data);
        }
        assert_eq!(whole, b"abcdef");
        assert!(stream.ahead.is_empty());
    }

    #[test]
    fn what_lies_behind_a_gap_is_unread_and_what_was_read_before_is_not() {
        let mut stream = CryptoStream::new(SpaceId::Initial);
        assert!(stream.insert(0, b"abc").unwrap());
        stream.insert(1, b"b").unwrap();
        assert!(stream.has_unread());
        assert_eq!(stream.next().as_deref(), Some(b"abc".as_slice()));
        assert!(!stream.has_unread());
        assert!(!stream.insert(0, b"abc").unwrap(), "said again");
        stream.insert(9, b"x").unwrap();
        assert!(stream.has_unread() && stream.next().is_none());
    }

    #[test]
    fn the_buffer_has_an_exact_end() {
        for (space, limit) in [
            (SpaceId::Initial, limits::CRYPTO_BUFFER_INITIAL),
            (SpaceId::Handshake, limits::CRYPTO_BUFFER_HANDSHAKE),
            (SpaceId::Application, limits::CRYPTO_BUFFER_APPLICATION),
        ] {
            let mut stream = CryptoStream::new(space);
            stream.insert(limit - 1, b"x").unwrap();
            let error = stream.insert(limit, b"x").unwrap_err();
            assert_eq!(error.code, TransportErrorCode::CRYPTO_BUFFER_EXCEEDED);
        }
    }

    #[test]
    fn gaps_are_bounded() {
        let mut stream = CryptoStream::new(SpaceId::Handshake);
        for gap in 0..limits::CRYPTO_GAPS as u64 {
            stream.insert(1 + 2 * gap, b"x").unwrap();
        }
        assert_eq!(
            stream.insert(1 + 2 * limits::CRYPTO_GAPS as u64, b"x").unwrap_err().code,
            TransportErrorCode::CRYPTO_BUFFER_EXCEEDED
        );
    }

    #[test]
    fn what_does_not_fit_stays_and_what_is_lost_goes_first() {
        let mut stream = CryptoStream::new(SpaceId::Initial);
        stream.write(&[1; 100]);
        let mut buffer = [0; 64];
        let mut tokens = Tokens::new();
        stream.write_frames(&mut Writer::new(&mut buffer), &mut tokens);
        assert!(stream.has_pending());
        let Some(Token::Crypto { piece, .. }) = tokens.pop() else { panic!("one CRYPTO token") };
        assert_eq!(piece.0, 0);
        stream.on_lost(*piece.clone());
        let mut large = [0; 256];
        stream.write_frames(&mut Writer::new(&mut large), &mut tokens);
        assert!(!stream.has_pending());
        let offsets: Vec<u64> = tokens
            .iter()
            .map(|token| match token {
                Token::Crypto { piece, .. } => piece.0,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(offsets, [0, piece.1.len() as u64]);
    }

    #[test]
    fn a_full_packet_changes_nothing() {
        let mut stream = CryptoStream::new(SpaceId::Initial);
        stream.write(b"hello");
        let mut tokens = Tokens::new();
        stream.write_frames(&mut Writer::new(&mut [0; 4]), &mut tokens);
        assert!(tokens.is_empty() && stream.has_pending());
    }
}
