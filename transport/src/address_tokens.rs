//! Tokens that prove a client's address: in Retry packets and in NEW_TOKEN frames (RFC 9000 §8.1).
//!
//! A token is sealed, so that only its maker can read or make one. [`TokenKeys`] make them, everywhere in the process
//! and after a restart; [`AddressTokens`] judge them, one a shard, and remember which were used.
//!
//! ```text
//! kind (1)  epoch (1)  nonce (12)  sealed { issued (8)  version (4)  address (16)  [port (2)  three ids (21 each)] }  tag (16)
//! ```
//! Retry tokens have what is in brackets. Keys change with each epoch: every 5 seconds for Retry tokens, every day for
//! the others; those of the epoch before are still accepted.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use codec::cursor::{BufferFull, Reader, UnexpectedEnd, Writer};
use codec::{ConnectionId, Version};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::limits::{NEW_TOKEN_LIFETIME, RETRY_TOKEN_LIFETIME, USED_TOKENS};
use crate::router::KeyedHash;

/// How a token came to the client, which its first byte says.
//= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.1
//# A token sent in a NEW_TOKEN frame or a Retry packet MUST be constructed in a
//# way that allows the server to identify how it was provided to a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TokenKind {
    /// In a Retry packet: to be used at once, from the same address and port.
    Retry,
    /// In a NEW_TOKEN frame of an earlier connection.
    NewToken,
}

impl TokenKind {
    const HEADER: usize = 2 + NONCE_LEN;
    const TAG: usize = 16;
    const ID: usize = 1 + ConnectionId::MAX_LENGTH;

    /// The label of `quicast_dispatcher_tokens_total{kind}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::NewToken => "new_token",
        }
    }

    /// The kind that these bytes claim to be; `None` if they are not from here.
    pub fn of(token: &[u8]) -> Option<Self> {
        let claimed = [Self::Retry, Self::NewToken].into_iter().find(|kind| token.first() == Some(&kind.byte()))?;
        (token.len() == claimed.length()).then_some(claimed)
    }

    /// How many bytes every token of this kind has.
    pub const fn length(self) -> usize {
        Self::HEADER + self.sealed_length() + Self::TAG
    }

    const fn sealed_length(self) -> usize {
        match self {
            Self::Retry => 8 + 4 + 16 + 2 + 3 * Self::ID,
            Self::NewToken => 8 + 4 + 16,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Retry => 0x52,
            Self::NewToken => 0x4e,
        }
    }

    const fn lifetime(self) -> Duration {
        match self {
            Self::Retry => RETRY_TOKEN_LIFETIME,
            Self::NewToken => NEW_TOKEN_LIFETIME,
        }
    }

    /// The epoch at a time since 1970. An epoch is as long as a token lives, so that no live token is older than the
    /// epoch before.
    fn epoch(self, unix_time: Duration) -> u64 {
        unix_time.as_secs() / self.lifetime().as_secs().max(1)
    }
}

/// Random bytes that sealing a token needs; never the same twice.
pub type TokenNonce = [u8; NONCE_LEN];

/// What a Retry token remembers of the attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryContext {
    /// The version of the client's Initial.
    pub version: Version,
    /// The client's address.
    pub remote: SocketAddr,
    /// Where the client's first Initial went.
    pub original_destination: ConnectionId,
    /// The source id of the Retry, to which the client's next Initial goes.
    pub retry_source: ConnectionId,
    /// The source id of the client, which it may not change.
    pub client_source: ConnectionId,
}

/// The secret that tokens are made with. All shards share it, and the process that takes over after a restart.
#[derive(Clone)]
pub struct TokenKeys(hmac::Key);

impl TokenKeys {
    /// The keys made of this secret, which must be unpredictable and used for nothing else.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A token for a Retry packet. `unix_time` is the time since 1970.
    pub fn retry_token(&self, context: &RetryContext, unix_time: Duration, nonce: TokenNonce) -> Vec<u8> {
        self.seal(TokenKind::Retry, unix_time, nonce, |w| {
            write_common(w, unix_time, context.version, context.remote.ip())?;
            w.u16(context.remote.port())?;
            write_id(w, &context.original_destination)?;
            write_id(w, &context.retry_source)?;
            write_id(w, &context.client_source)
        })
    }

    /// A token for a NEW_TOKEN frame to a client at `remote`, for later connections of the same version. `unix_time` is
    /// the time since 1970.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3
    //# A server MUST ensure that
    //# every NEW_TOKEN frame it sends is unique across all clients, with the exception
    //# of those sent to repair losses of previously sent NEW_TOKEN frames.
    pub fn new_token(&self, version: Version, remote: IpAddr, unix_time: Duration, nonce: TokenNonce) -> Vec<u8> {
        self.seal(TokenKind::NewToken, unix_time, nonce, |w| write_common(w, unix_time, version, remote))
    }

    fn seal(
        &self,
        kind: TokenKind,
        unix_time: Duration,
        nonce: TokenNonce,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), BufferFull>,
    ) -> Vec<u8> {
        let epoch = kind.epoch(unix_time);
        let mut token = vec![0; TokenKind::HEADER + kind.sealed_length()];
        let mut writer = Writer::new(&mut token);
        // The lowest byte tells neighbouring epochs apart.
        let written = writer
            .bytes(&[kind.byte(), epoch.to_le_bytes()[0]])
            .and_then(|()| writer.bytes(&nonce))
            .and_then(|()| write(&mut writer));
        debug_assert!(written.is_ok() && writer.remaining() == 0, "a token is as long as its kind says");
        let sealed = self.key(kind, epoch).and_then(|key| {
            let (header, plain) = token.split_at_mut(TokenKind::HEADER);
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_separate_tag(nonce, Aad::from([header[0], header[1]]), plain).ok()
        });
        // Sealing some bytes with a key of the right length cannot fail. If it did, no token is better than a plain one.
        match sealed {
            Some(tag) => token.extend_from_slice(tag.as_ref()),
            None => token.clear(),
        }
        token
    }

    fn key(&self, kind: TokenKind, epoch: u64) -> Option<LessSafeKey> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"quicast address token");
        context.update(&[kind.byte()]);
        context.update(&epoch.to_be_bytes());
        let derived = context.sign();
        let key = UnboundKey::new(&AES_128_GCM, derived.as_ref().get(..AES_128_GCM.key_len())?).ok()?;
        Some(LessSafeKey::new(key))
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(..)")
    }
}

/// The Initial packet that a token came in.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    /// Where it came from.
    pub remote: SocketAddr,
    /// Its version.
    pub version: Version,
    /// Where it went.
    pub destination: ConnectionId,
    /// Whom it is from.
    pub source: ConnectionId,
}

/// What a valid token proves: the client's address, and more if it came from a Retry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Valid {
    /// The client obeyed a Retry.
    Retry {
        /// Where its first Initial went.
        original_destination: ConnectionId,
    },
    /// The client was here before.
    NewToken,
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TokenFault {
    /// It is too old.
    Expired,
    /// It was given to another address.
    WrongAddress,
    /// It was used before, or so many were that no more are taken in this epoch.
    Reused,
    /// It was not made here, was changed, or was made for another attempt.
    Malformed,
}

impl TokenFault {
    /// The label of `quicast_dispatcher_tokens_total{result}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::WrongAddress => "wrong_address",
            Self::Reused => "reused",
            Self::Malformed => "malformed",
        }
    }
}

/// Judges the tokens that clients bring to one shard.
///
/// A token is taken once by each shard: the shards do not ask each other, so a token can be replayed at most once a
/// shard (RFC 9000 §8.1.4 asks that replay is prevented or limited).
#[derive(Debug)]
pub struct AddressTokens {
    keys: TokenKeys,
    retry: Epochs,
    new_token: Epochs,
    full: u64,
}

impl AddressTokens {
    /// The judge of tokens that these keys made. `seeds` must be unpredictable.
    pub fn new(keys: TokenKeys, seeds: [u64; 2]) -> Self {
        let epochs = |kind| Epochs { kind, known: [None, None], hash: KeyedHash::new(seeds) };
        Self { keys, retry: epochs(TokenKind::Retry), new_token: epochs(TokenKind::NewToken), full: 0 }
    }

    /// The keys.
    pub const fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// How often a token was refused because too many had been used in its epoch.
    pub const fn times_full(&self) -> u64 {
        self.full
    }

    /// Judges a token; a valid one is used up by this. `unix_time` is the time since 1970.
    ///
    /// # Errors
    /// Why it proves nothing, and of which kind it claims to be; `None` if it is not from here at all.
    pub fn verify(
        &mut self,
        token: &[u8],
        presented: &Presented,
        unix_time: Duration,
    ) -> Result<Valid, (Option<TokenKind>, TokenFault)> {
        let kind = TokenKind::of(token).ok_or((None, TokenFault::Malformed))?;
        let epochs = match kind {
            TokenKind::Retry => &mut self.retry,
            TokenKind::NewToken => &mut self.new_token,
        };
        let opened = epochs.find(&self.keys, token, unix_time).and_then(|epoch| {
            let content = epoch.open(token).ok_or(TokenFault::Malformed)?;
            let valid = content.check(presented, unix_time)?;
            Ok((epoch, valid))
        });
        let (epoch, valid) = opened.map_err(|fault| (Some(kind), fault))?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4
        //# To
        //# protect against such attacks, servers MUST ensure that replay of tokens is
        //# prevented or limited.
        if epoch.used.len() >= USED_TOKENS {
            self.full = self.full.saturating_add(1);
            return Err((Some(kind), TokenFault::Reused));
        }
        if !epoch.used.insert(tag_of(token)) {
            return Err((Some(kind), TokenFault::Reused));
        }
        Ok(valid)
    }
}

/// The two epochs of one kind whose tokens may still be alive.
#[derive(Debug)]
struct Epochs {
    kind: TokenKind,
    known: [Option<Epoch>; 2],
    hash: KeyedHash,
}

struct Epoch {
    kind: TokenKind,
    number: u64,
    key: LessSafeKey,
    used: HashSet<[u8; TokenKind::TAG], KeyedHash>,
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch").field("number", &self.number).field("used", &self.used.len()).finish_non_exhaustive()
    }
}

impl Epochs {
    /// The epoch that a token says it is from, if it is the present one or the one before.
    fn find(&mut self, keys: &TokenKeys, token: &[u8], unix_time: Duration) -> Result<&mut Epoch, TokenFault> {
        let now = self.kind.epoch(unix_time);
        let number = [now, now.saturating_sub(1)]
            .into_iter()
            .find(|epoch| token.get(1) == epoch.to_le_bytes().first())
            .ok_or(TokenFault::Expired)?;
        // Neighbouring epochs have places of their own, so the newer takes the place of the one before the last.
        let place = usize::from(number % 2 == 1);
        let slot = self.known.get_mut(place).ok_or(TokenFault::Malformed)?;
        if slot.as_ref().is_none_or(|epoch| epoch.number != number) {
            let key = keys.key(self.kind, number).ok_or(TokenFault::Malformed)?;
            *slot = Some(Epoch { kind: self.kind, number, key, used: HashSet::with_hasher(self.hash.clone()) });
        }
        slot.as_mut().ok_or(TokenFault::Malformed)
    }
}

impl Epoch {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4
    //# For this design to work, the token MUST be covered by
    //# integrity protection against modification or falsification by clients.
    fn open(&self, token: &[u8]) -> Option<Content> {
        let (header, sealed) = token.split_at_checked(TokenKind::HEADER)?;
        let (aad, nonce) = header.split_first_chunk::<2>()?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = [0; TokenKind::Retry.length()];
        let plain = plain.get_mut(..sealed.len())?;
        plain.copy_from_slice(sealed);
        let plain = self.key.open_in_place(nonce, Aad::from(*aad), plain).ok()?;
        Content::read(self.kind, plain).ok()
    }
}

/// What is sealed in a token.
struct Content {
    kind: TokenKind,
    issued: Duration,
    version: Version,
    address: u128,
    retry: Option<RetryContent>,
}

struct RetryContent {
    port: u16,
    original_destination: ConnectionId,
    retry_source: ConnectionId,
    client_source: ConnectionId,
}

impl Content {
    fn read(kind: TokenKind, plain: &[u8]) -> Result<Self, UnexpectedEnd> {
        let mut reader = Reader::new(plain);
        let issued = Duration::from_millis(u64::from_be_bytes(reader.array()?));
        let version = Version(reader.u32()?);
        let address = u128::from_be_bytes(reader.array()?);
        let retry = match kind {
            TokenKind::NewToken => None,
            TokenKind::Retry => Some(RetryContent {
                port: reader.u16()?,
                original_destination: read_id(&mut reader)?,
                retry_source: read_id(&mut reader)?,
                client_source: read_id(&mut reader)?,
            }),
        };
        Ok(Self { kind, issued, version, address, retry })
    }

    fn check(&self, presented: &Presented, unix_time: Duration) -> Result<Valid, TokenFault> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4
        //# Servers SHOULD ensure that tokens sent in Retry packets
        //# are only accepted for a short time, as they are returned immediately by clients.
        if unix_time.saturating_sub(self.issued) > self.kind.lifetime() {
            return Err(TokenFault::Expired);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4
        //# Tokens sent in NEW_TOKEN frames MUST include information that allows the server
        //# to verify that the client IP address has not changed from when the token was
        //# issued.
        if self.address != address_bits(presented.remote.ip()) {
            return Err(TokenFault::WrongAddress);
        }
        if self.version != presented.version {
            return Err(TokenFault::Malformed);
        }
        let Some(retry) = &self.retry else { return Ok(Valid::NewToken) };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4
        //# Tokens sent in Retry packets
        //# SHOULD include information that allows the server to verify that the source IP
        //# address and port in client packets remain constant.
        if retry.port != presented.remote.port() {
            return Err(TokenFault::WrongAddress);
        }
        if retry.retry_source != presented.destination || retry.client_source != presented.source {
            return Err(TokenFault::Malformed);
        }
        Ok(Valid::Retry { original_destination: retry.original_destination })
    }
}

fn write_common(w: &mut Writer<'_>, unix_time: Duration, version: Version, address: IpAddr) -> Result<(), BufferFull> {
    let milliseconds = u64::try_from(unix_time.as_millis()).unwrap_or(u64::MAX);
    w.bytes(&milliseconds.to_be_bytes())?;
    w.u32(version.0)?;
    w.bytes(&address_bits(address).to_be_bytes())
}

/// An id in as many bytes as the longest has.
fn write_id(w: &mut Writer<'_>, id: &ConnectionId) -> Result<(), BufferFull> {
    // At most 20.
    w.u8(id.len() as u8)?;
    w.bytes(id.as_bytes())?;
    w.zeros(ConnectionId::MAX_LENGTH - id.len())
}

fn read_id(reader: &mut Reader<'_>) -> Result<ConnectionId, UnexpectedEnd> {
    let length = usize::from(reader.u8()?);
    let bytes = reader.bytes(ConnectionId::MAX_LENGTH)?;
    bytes.get(..length).and_then(ConnectionId::new).ok_or(UnexpectedEnd)
}

/// An address in one form, whichever family the socket speaks.
fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn tag_of(token: &[u8]) -> [u8; TokenKind::TAG] {
    token.last_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_001);

    fn id(byte: u8, length: usize) -> ConnectionId {
        ConnectionId::new(&vec![byte; length]).unwrap()
    }

    fn context() -> RetryContext {
        RetryContext {
            version: Version::V1,
            remote: SocketAddr::from(([192, 0, 2, 1], 50_000)),
            original_destination: id(1, 18),
            retry_source: id(2, 8),
            client_source: id(3, 0),
        }
    }

    fn presented() -> Presented {
        let RetryContext { version, remote, retry_source, client_source, .. } = context();
        Presented { remote, version, destination: retry_source, source: client_source }
    }

    fn judge() -> AddressTokens {
        AddressTokens::new(TokenKeys::new(&[7; 32]), [1, 2])
    }

    fn retry_token(number: u64) -> Vec<u8> {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        TokenKeys::new(&[7; 32]).retry_token(&context(), NOW, nonce)
    }

    fn new_token() -> Vec<u8> {
        TokenKeys::new(&[7; 32]).new_token(Version::V1, context().remote.ip(), NOW, [9; 12])
    }

    fn fault(judge: &mut AddressTokens, token: &[u8], presented: &Presented, at: Duration) -> TokenFault {
        judge.verify(token, presented, at).unwrap_err().1
    }

    #[test]
    fn a_token_is_valid_where_and_when_it_was_given() {
        let valid = judge().verify(&retry_token(0), &presented(), NOW);
        assert_eq!(valid, Ok(Valid::Retry { original_destination: context().original_destination }));
        let elsewhere = Presented { destination: id(5, 9), source: id(6, 20), ..presented() };
        let other_port = Presented { remote: SocketAddr::new(elsewhere.remote.ip(), 1), ..elsewhere };
        assert_eq!(judge().verify(&new_token(), &other_port, NOW), Ok(Valid::NewToken));
    }

    #[test]
    fn a_token_knows_its_address_in_either_family() {
        let mapped = match context().remote.ip() {
            IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
            IpAddr::V6(_) => unreachable!("the context has an IPv4 address"),
        };
        let presented = Presented { remote: SocketAddr::new(mapped, 50_000), ..presented() };
        assert!(judge().verify(&retry_token(0), &presented, NOW).is_ok());
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.1
    //= type=test
    //# A token sent in a NEW_TOKEN frame or a Retry packet MUST be constructed in a
    //# way that allows the server to identify how it was provided to a client.
    #[test]
    fn the_two_kinds_cannot_be_taken_for_each_other() {
        assert_eq!(TokenKind::of(&retry_token(0)), Some(TokenKind::Retry));
        assert_eq!(TokenKind::of(&new_token()), Some(TokenKind::NewToken));
        let mut swapped = retry_token(0);
        swapped[0] = TokenKind::NewToken.byte();
        assert_eq!(TokenKind::of(&swapped), None);
        assert_eq!(judge().verify(&swapped, &presented(), NOW), Err((None, TokenFault::Malformed)));
        assert_eq!(judge().verify(&[], &presented(), NOW), Err((None, TokenFault::Malformed)));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        for token in [retry_token(0), new_token()] {
            for bit in 0..token.len() * 8 {
                let mut changed = token.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(judge().verify(&changed, &presented(), NOW).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_token_binds_address_port_version_and_ids() {
        let remote = presented().remote;
        let token = retry_token(0);
        for (wrong, expected) in [
            (Presented { remote: SocketAddr::from(([192, 0, 2, 2], 50_000)), ..presented() }, TokenFault::WrongAddress),
            (Presented { remote: SocketAddr::new(remote.ip(), 50_001), ..presented() }, TokenFault::WrongAddress),
            (Presented { version: Version::V2, ..presented() }, TokenFault::Malformed),
            (Presented { destination: id(1, 18), ..presented() }, TokenFault::Malformed),
            (Presented { source: id(3, 1), ..presented() }, TokenFault::Malformed),
        ] {
            assert_eq!(fault(&mut judge(), &token, &wrong, NOW), expected, "{wrong:?}");
        }
        let elsewhere = Presented { remote: SocketAddr::from(([192, 0, 2, 2], 50_000)), ..presented() };
        assert_eq!(fault(&mut judge(), &new_token(), &elsewhere, NOW), TokenFault::WrongAddress);
    }

    #[test]
    fn a_token_of_another_secret_is_none_of_ours() {
        let mut other = AddressTokens::new(TokenKeys::new(&[8; 32]), [1, 2]);
        let result = other.verify(&retry_token(0), &presented(), NOW);
        assert_eq!(result, Err((Some(TokenKind::Retry), TokenFault::Malformed)));
    }

    #[test]
    fn tokens_live_to_the_millisecond() {
        let millisecond = Duration::from_millis(1);
        for (token, lifetime) in [(retry_token(0), RETRY_TOKEN_LIFETIME), (new_token(), NEW_TOKEN_LIFETIME)] {
            assert!(judge().verify(&token, &presented(), NOW + lifetime).is_ok());
            assert_eq!(fault(&mut judge(), &token, &presented(), NOW + lifetime + millisecond), TokenFault::Expired);
            assert_eq!(fault(&mut judge(), &token, &presented(), NOW + lifetime * 3), TokenFault::Expired);
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4
    //= type=test
    //# To
    //# protect against such attacks, servers MUST ensure that replay of tokens is
    //# prevented or limited.
    #[test]
    fn a_token_is_taken_once_also_in_the_next_epoch() {
        for token in [retry_token(0), new_token()] {
            let mut judge = judge();
            let kind = TokenKind::of(&token).unwrap();
            judge.verify(&token, &presented(), NOW).unwrap();
            assert_eq!(fault(&mut judge, &token, &presented(), NOW), TokenFault::Reused);
            assert_eq!(fault(&mut judge, &token, &presented(), NOW + kind.lifetime()), TokenFault::Reused);
        }
    }

    #[test]
    fn a_token_that_was_not_accepted_is_not_used_up() {
        let mut judge = judge();
        let elsewhere = Presented { remote: SocketAddr::from(([192, 0, 2, 2], 50_000)), ..presented() };
        judge.verify(&retry_token(0), &elsewhere, NOW).unwrap_err();
        judge.verify(&retry_token(0), &presented(), NOW).unwrap();
    }

    #[test]
    fn when_too_many_were_used_no_more_are_taken_until_the_next_epoch() {
        let mut judge = judge();
        for number in 0..USED_TOKENS as u64 {
            judge.verify(&retry_token(number), &presented(), NOW).unwrap();
        }
        assert_eq!(judge.times_full(), 0);
        assert_eq!(fault(&mut judge, &retry_token(USED_TOKENS as u64), &presented(), NOW), TokenFault::Reused);
        assert_eq!(judge.times_full(), 1);
        assert!(judge.verify(&new_token(), &presented(), NOW).is_ok(), "the other kind has its own");
        let later = NOW + RETRY_TOKEN_LIFETIME;
        let fresh = TokenKeys::new(&[7; 32]).retry_token(&context(), later, [1; 12]);
        assert!(judge.verify(&fresh, &presented(), later).is_ok());
    }

    proptest! {
        #[test]
        fn noise_is_never_valid(token: Vec<u8>, kind: bool, seconds: u64) {
            let mut token = token;
            if let Some(first) = token.first_mut() {
                *first = if kind { TokenKind::Retry.byte() } else { TokenKind::NewToken.byte() };
            }
            token.resize(if kind { TokenKind::Retry.length() } else { TokenKind::NewToken.length() }, 0);
            prop_assert!(judge().verify(&token, &presented(), Duration::from_secs(seconds)).is_err());
        }

        #[test]
        fn a_token_gives_back_what_was_put_in(
            first in proptest::collection::vec(any::<u8>(), 0..=20),
            source in proptest::collection::vec(any::<u8>(), 0..=20),
            port: u16,
            address: u128,
            milliseconds in 0_u64..1 << 50,
        ) {
            let at = Duration::from_millis(milliseconds);
            let context = RetryContext {
                remote: SocketAddr::from((std::net::Ipv6Addr::from(address), port)),
                original_destination: ConnectionId::new(&first).unwrap(),
                client_source: ConnectionId::new(&source).unwrap(),
                ..context()
            };
            let token = TokenKeys::new(&[7; 32]).retry_token(&context, at, [1; 12]);
            prop_assert_eq!(token.len(), TokenKind::Retry.length());
            let presented = Presented { remote: context.remote, source: context.client_source, ..presented() };
            let expected = Valid::Retry { original_destination: context.original_destination };
            prop_assert_eq!(judge().verify(&token, &presented, at), Ok(expected));
        }
    }
}
