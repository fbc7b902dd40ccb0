//! Stateless resets: a datagram that looks like a 1-RTT packet and ends in a token (RFC 9000 §10.3).

use super::{FIXED_BIT, LONG_FORM};
use crate::cursor::{BufferFull, Writer};
use crate::ids::ResetToken;

/// The smallest stateless reset: 5 unpredictable bytes and the token (RFC 9000 §10.3).
pub const MINIMUM_LENGTH: usize = 5 + ResetToken::LENGTH;

/// The longest one sent here, in answer to packets of 44 bytes or more. From 41 bytes on an observer cannot tell it from
/// a packet with the longest connection id (RFC 9000 §10.3.3).
pub const MAXIMUM_LENGTH: usize = 43;

/// How long a reset in answer to a packet of `received` bytes is, or `None` if there must be no answer.
pub const fn length_in_answer_to(received: usize) -> Option<usize> {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.3
    //# An endpoint MUST ensure that every Stateless Reset that it sends is smaller than
    //# the packet that triggered it, unless it maintains state sufficient to prevent
    //# looping.
    let length = received.saturating_sub(1);
    if length < MINIMUM_LENGTH {
        None
    } else if length > MAXIMUM_LENGTH {
        Some(MAXIMUM_LENGTH)
    } else {
        Some(length)
    }
}

/// Writes a stateless reset of `length` bytes. `random` must be unpredictable; its first `length - 16` bytes are used.
/// All or nothing: fails also if `length` is below [`MINIMUM_LENGTH`] or `random` is too short for it.
pub fn encode(w: &mut Writer<'_>, random: &[u8], token: ResetToken, length: usize) -> Result<(), BufferFull> {
    let unpredictable = length.saturating_sub(ResetToken::LENGTH);
    if length < MINIMUM_LENGTH || random.len() < unpredictable {
        return Err(BufferFull);
    }
    let datagram = w.take(length)?;
    for (byte, random) in datagram.iter_mut().zip(random) {
        *byte = *random;
    }
    if let Some(first) = datagram.first_mut() {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3
        //# Endpoints MUST send Stateless Resets formatted as a packet with a short header.
        *first = *first & !LONG_FORM | FIXED_BIT;
    }
    if let Some(end) = datagram.last_chunk_mut() {
        *end = token.0;
    }
    Ok(())
}

/// The token that `datagram` ends in, if it is long enough to be a stateless reset. Whether it is one is for those to
/// say who know the tokens.
//= https://www.rfc-editor.org/rfc/rfc9000#section-10.3
//# However, endpoints MUST treat any packet ending in a valid stateless reset token
//# as a Stateless Reset, as other QUIC versions might allow the use of a long
//# header.
#[inline]
pub fn trailing_token(datagram: &[u8]) -> Option<ResetToken> {
    if datagram.len() < MINIMUM_LENGTH {
        return None;
    }
    datagram.last_chunk().copied().map(ResetToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_shorter_than_its_cause() {
        assert_eq!(length_in_answer_to(0), None);
        assert_eq!(length_in_answer_to(21), None);
        assert_eq!(length_in_answer_to(22), Some(21));
        assert_eq!(length_in_answer_to(43), Some(42));
        assert_eq!(length_in_answer_to(1200), Some(43));
    }

    #[test]
    fn a_reset_looks_like_a_short_header_and_ends_in_its_token() {
        let mut buffer = [0; 64];
        for (length, random) in [(21, 0xff), (43, 0x00)] {
            let mut writer = Writer::new(&mut buffer);
            encode(&mut writer, &[random; 48], ResetToken([7; 16]), length).unwrap();
            let datagram = writer.written();
            assert_eq!(datagram.len(), length);
            assert_eq!(datagram[0], if random == 0 { 0x40 } else { 0x7f });
            assert!(datagram[1..length - 16].iter().all(|byte| *byte == random));
            assert_eq!(trailing_token(datagram).unwrap().0, [7; 16]);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut buffer = [0; 30];
        let mut writer = Writer::new(&mut buffer);
        for (random, length) in [(40, 20), (4, 21), (40, 31)] {
            assert_eq!(encode(&mut writer, &[1; 40][..random], ResetToken([7; 16]), length), Err(BufferFull));
        }
        assert_eq!(writer.position(), 0);
    }

    #[test]
    fn twenty_bytes_are_no_reset() {
        assert!(trailing_token(&[0x40; 20]).is_none());
        assert!(trailing_token(&[0xc0; 21]).is_some());
    }
}
