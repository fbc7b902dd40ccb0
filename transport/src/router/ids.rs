//! [`IdGenerator`]: connection ids that nobody can guess and that say which shard they belong to.

use std::fmt;
use std::sync::Arc;

use codec::ConnectionId;
use ring::hmac;

/// Bytes of every connection id issued here. A short header does not tell the length, so all have the same.
pub const LOCAL_ID_LENGTH: usize = 8;

/// The shard that a connection id issued here belongs to: its first byte modulo the number of shards.
///
/// Any bytes give an answer, so that a datagram for nobody lands on some shard too. `shards` of zero counts as one.
#[inline]
pub fn shard_of(id: &ConnectionId, shards: usize) -> usize {
    usize::from(id.as_bytes().first().copied().unwrap_or(0)) % shards.max(1)
}

/// An endless sequence of connection ids for one shard: HMAC-SHA256 of a counter under a secret.
///
/// It has no randomness of its own: the same secret gives the same ids. [`Self::fork`] gives each connection a sequence
/// of its own that shares the secret.
#[derive(Clone)]
pub struct IdGenerator {
    secret: Arc<hmac::Key>,
    salt: [u8; Self::SALT],
    counter: u64,
    shard: u8,
    shards: u8,
}

impl IdGenerator {
    /// The most shards that the first byte of an id can tell apart.
    pub const SHARDS: usize = 255;
    const SALT: usize = 16;

    /// Ids for the shard with this number out of so many. `secret` must be unpredictable and must not be used for
    /// anything else. Numbers beyond [`Self::SHARDS`] wrap around.
    pub fn new(secret: &[u8; 32], shard: usize, shards: usize) -> Self {
        let shards = shards.clamp(1, Self::SHARDS);
        // Below 256 both, so nothing is cut off.
        let (shard, shards) = ((shard % shards) as u8, shards as u8);
        let salt = [shard; Self::SALT];
        Self { secret: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)), salt, counter: 0, shard, shards }
    }

    /// The next id: [`LOCAL_ID_LENGTH`] bytes, the first congruent to the shard, all else unpredictable.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1
    //# Connection IDs MUST NOT contain any information that can be used by an external
    //# observer (that is, one that does not cooperate with the issuer) to correlate
    //# them with other connection IDs for the same connection.
    pub fn next_id(&mut self) -> ConnectionId {
        let random = self.next_block(b"id");
        let mut bytes = [0; LOCAL_ID_LENGTH];
        bytes.copy_from_slice(&random[..LOCAL_ID_LENGTH]);
        // How many first bytes belong to this shard, and which of them it shall be. Sixteen bits choose among at most
        // 256, so all are about equally likely.
        let (shard, shards) = (u16::from(self.shard), u16::from(self.shards));
        let choices = (255 - shard) / shards + 1;
        let choice = u16::from_be_bytes([random[8], random[9]]) % choices;
        // At most 255, by the definition of `choices`.
        bytes[0] = (shard + shards * choice) as u8;
        ConnectionId::new(&bytes).unwrap_or(ConnectionId::EMPTY)
    }

    /// A sequence of its own for one connection of the same shard.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let random = self.next_block(b"fork");
        let mut salt = [0; Self::SALT];
        salt.copy_from_slice(&random[..Self::SALT]);
        Self { secret: Arc::clone(&self.secret), salt, counter: 0, ..*self }
    }

    fn next_block(&mut self, purpose: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(&self.salt);
        context.update(&self.counter.to_be_bytes());
        context.update(purpose);
        self.counter = self.counter.wrapping_add(1);
        let mut block = [0; 32];
        for (byte, random) in block.iter_mut().zip(context.sign().as_ref()) {
            *byte = *random;
        }
        block
    }
}

impl fmt::Debug for IdGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither secret nor salt: who knows them knows every id to come.
        f.debug_struct("IdGenerator").field("shard", &self.shard).field("shards", &self.shards).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_say_their_shard_and_never_repeat() {
        for shards in [1, 2, 3, 7, 64, 255] {
            let mut seen = HashSet::new();
            for shard in 0..shards {
                let mut generator = IdGenerator::new(&[7; 32], shard, shards);
                for _ in 0..50 {
                    let id = generator.next_id();
                    assert_eq!(id.len(), LOCAL_ID_LENGTH);
                    assert_eq!(shard_of(&id, shards), shard);
                    assert!(seen.insert(id));
                }
            }
        }
    }

    #[test]
    fn every_first_byte_of_the_shard_comes_up() {
        let mut generator = IdGenerator::new(&[7; 32], 1, 4);
        let firsts: HashSet<u8> = (0..2000).map(|_| generator.next_id().as_bytes()[0]).collect();
        assert_eq!(firsts.len(), 64);
        assert!(firsts.iter().all(|byte| byte % 4 == 1));
    }

    #[test]
    fn forks_have_ids_of_their_own() {
        let mut generator = IdGenerator::new(&[7; 32], 0, 4);
        let (mut first, mut second) = (generator.fork(), generator.fork());
        let ids: HashSet<ConnectionId> =
            (0..100).flat_map(|_| [generator.next_id(), first.next_id(), second.next_id()]).collect();
        assert_eq!(ids.len(), 300);
    }

    #[test]
    fn the_secret_decides() {
        let next = |secret| IdGenerator::new(&[secret; 32], 0, 1).next_id();
        assert_eq!(next(1), next(1));
        assert_ne!(next(1), next(2));
    }

    #[test]
    fn any_bytes_belong_to_some_shard() {
        assert_eq!(shard_of(&ConnectionId::EMPTY, 4), 0);
        assert_eq!(shard_of(&ConnectionId::new(&[9]).unwrap(), 4), 1);
        assert_eq!(shard_of(&ConnectionId::new(&[9]).unwrap(), 0), 0);
    }
}
