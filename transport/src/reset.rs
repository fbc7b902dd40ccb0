//! Stateless resets: telling a peer that its connection is gone, and hearing of it (RFC 9000 §10.3).

use std::fmt;
use std::hint::black_box;

use codec::cursor::Writer;
use codec::packet::stateless_reset;
use codec::{ConnectionId, ResetToken};
use ring::hmac;
use smallvec::SmallVec;

use crate::limits;
use crate::router::RouteChange;

/// The key from which the reset token of every id is made.
///
/// All shards share it, and so does the process that takes over after a restart: only then can a reset be sent for a
/// connection whose state is lost.
pub struct ResetKey(hmac::Key);

impl ResetKey {
    /// Unpredictable bytes that [`Self::write`] needs.
    pub const RANDOM: usize = stateless_reset::MAXIMUM_LENGTH - ResetToken::LENGTH;

    /// The key made of this secret, which must be unpredictable and used for nothing else.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The token that belongs to `id`: the first 16 bytes of its HMAC-SHA256.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2
    //# The stateless reset token MUST be difficult to guess.
    pub fn token(&self, id: &ConnectionId) -> ResetToken {
        let tag = hmac::sign(&self.0, id.as_bytes());
        let mut token = [0; ResetToken::LENGTH];
        for (byte, tag) in token.iter_mut().zip(tag.as_ref()) {
            *byte = *tag;
        }
        ResetToken(token)
    }

    /// Writes the reset in answer to a datagram of `received` bytes that was sent to `destination`, and returns its
    /// length; `None` if the datagram is too small to be answered or `out` too small for the answer.
    ///
    /// Whether resets may be sent at all now is for [`accept`](crate::accept) to say.
    pub fn write(
        &self,
        destination: &ConnectionId,
        received: usize,
        random: &[u8; Self::RANDOM],
        out: &mut [u8],
    ) -> Option<usize> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3
        //# An endpoint MUST NOT send a Stateless Reset that is three times or more larger
        //# than the packet it receives to avoid being used for amplification.
        let length = stateless_reset::length_in_answer_to(received)?;
        let mut writer = Writer::new(out);
        stateless_reset::encode(&mut writer, random, self.token(destination), length).ok()?;
        Some(length)
    }
}

impl fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetKey(..)")
    }
}

/// Whether two tokens are the same, in a time that does not depend on where they differ.
//= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
//# When comparing a datagram to stateless reset token values, endpoints MUST
//# perform the comparison without leaking information about the value of the token.
pub fn is_same_token(one: &ResetToken, other: &ResetToken) -> bool {
    // One subtraction-like operation over all 16 bytes, and a result the compiler cannot look through.
    black_box(u128::from_ne_bytes(one.0) ^ u128::from_ne_bytes(other.0)) == 0
}

/// The reset tokens of the peer's ids that a connection sends to now.
///
/// What changes is told to the shard's [`Router`](crate::router::Router), which recognises resets that name no
/// connection.
#[derive(Debug, Default)]
pub struct TokensInUse {
    tokens: SmallVec<[ResetToken; limits::PATHS]>,
}

impl TokensInUse {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `now` the tokens in use, and pushes what the router has to learn to `changes`.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
    //# An endpoint MUST NOT check for any stateless reset tokens associated with
    //# connection IDs it has not used or for connection IDs that have been retired.
    pub fn update(&mut self, now: impl IntoIterator<Item = ResetToken>, changes: &mut impl Extend<RouteChange>) {
        let mut unique: SmallVec<[ResetToken; limits::PATHS]> = SmallVec::new();
        for token in now {
            if !holds(&unique, &token) {
                unique.push(token);
            }
        }
        let gone = self.tokens.iter().filter(|token| !holds(&unique, token));
        changes.extend(gone.map(|token| RouteChange::RemoveResetToken(*token)));
        let new = unique.iter().filter(|token| !holds(&self.tokens, token));
        changes.extend(new.map(|token| RouteChange::AddResetToken(*token)));
        self.tokens = unique;
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = ResetToken> + '_ {
        self.tokens.iter().copied()
    }

    /// Whether this is the token of an id in use. All tokens are compared, whether or not one of them was right before.
    pub fn contains(&self, token: &ResetToken) -> bool {
        holds(&self.tokens, token)
    }

    /// Whether this datagram ends the connection: its last 16 bytes are the token of an id in use.
    ///
    /// To be asked of a datagram whose first packet cannot be opened.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
    //# An endpoint detects a potential Stateless Reset using the trailing 16 bytes of
    //# the UDP datagram.
    pub fn is_reset(&self, datagram: &[u8]) -> bool {
        stateless_reset::trailing_token(datagram).is_some_and(|token| self.contains(&token))
    }
}

fn holds(tokens: &[ResetToken], token: &ResetToken) -> bool {
    tokens.iter().fold(false, |found, known| found | is_same_token(known, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_id_and_one_key() {
        let (one, other) = (ConnectionId::new(&[1; 8]).unwrap(), ConnectionId::new(&[2; 8]).unwrap());
        let key = ResetKey::new(&[7; 32]);
        assert!(is_same_token(&key.token(&one), &ResetKey::new(&[7; 32]).token(&one)));
        assert!(!is_same_token(&key.token(&one), &key.token(&other)));
        assert!(!is_same_token(&key.token(&one), &ResetKey::new(&[8; 32]).token(&one)));
    }

    #[test]
    fn a_token_that_differs_in_one_bit_is_another() {
        for bit in 0..128 {
            let other = ResetToken((5_u128 ^ 1 << bit).to_ne_bytes());
            assert!(!is_same_token(&ResetToken(5_u128.to_ne_bytes()), &other));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.3
    //= type=test
    //# An endpoint MUST ensure that every Stateless Reset that it sends is smaller than
    //# the packet that triggered it, unless it maintains state sufficient to prevent
    //# looping.
    #[test]
    fn a_reset_is_smaller_than_its_cause_so_that_two_endpoints_fall_silent() {
        let key = ResetKey::new(&[7; 32]);
        let id = ConnectionId::new(&[1; 8]).unwrap();
        let mut out = [0; 64];
        let mut length = 1500;
        let mut answers = 0;
        while let Some(answer) = key.write(&id, length, &[0xff; ResetKey::RANDOM], &mut out) {
            assert!(answer < length);
            assert_eq!(out[0] & 0xc0, 0x40, "it looks like a short header");
            assert!(is_same_token(&stateless_reset::trailing_token(&out[..answer]).unwrap(), &key.token(&id)));
            length = answer;
            answers += 1;
        }
        assert!(length <= 21 && answers <= 23);
    }

    #[test]
    fn only_tokens_in_use_end_the_connection() {
        let (first, second) = (ResetToken([1; 16]), ResetToken([2; 16]));
        let mut tokens = TokensInUse::new();
        let mut changes = Vec::new();
        tokens.update([first, first], &mut changes);
        assert!(matches!(changes[..], [RouteChange::AddResetToken(_)]), "two paths may share an id");

        let mut datagram = [0x40; 43];
        datagram[27..].copy_from_slice(&first.0);
        assert!(tokens.is_reset(&datagram));
        assert!(!tokens.is_reset(&datagram[23..]), "too short");

        changes.clear();
        tokens.update([second], &mut changes);
        assert!(matches!(changes[..], [RouteChange::RemoveResetToken(_), RouteChange::AddResetToken(_)]));
        assert!(!tokens.is_reset(&datagram), "retired");
        changes.clear();
        tokens.update([second], &mut changes);
        assert!(changes.is_empty());
        tokens.update([], &mut changes);
        assert!(matches!(changes[..], [RouteChange::RemoveResetToken(_)]));
    }

    proptest::proptest! {
        #[test]
        fn noise_is_no_reset(datagram: Vec<u8>) {
            let mut tokens = TokensInUse::new();
            tokens.update([ResetToken([0xa5; 16])], &mut Vec::new());
            let expected = datagram.len() >= 21 && datagram.ends_with(&[0xa5; 16]);
            proptest::prop_assert_eq!(tokens.is_reset(&datagram), expected);
        }
    }
}
