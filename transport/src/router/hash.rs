//! [`KeyedHash`]: hashing of bytes that a peer chose.

use std::fmt;
use std::hash::BuildHasher;
#[expect(
    deprecated,
    reason = "the replacement takes its keys from a random source, which a machine does not have"
)]
use std::hash::SipHasher;

/// SipHash-2-4 under keys that are given.
///
/// A map whose keys a peer chooses hashes them with this, because with any faster hash the peer can make all of them
/// collide. Whoever builds it draws the keys.
#[derive(Clone)]
pub struct KeyedHash {
    keys: [u64; 2],
}

impl KeyedHash {
    /// The hash with these keys, which must be unpredictable.
    pub const fn new(keys: [u64; 2]) -> Self {
        Self { keys }
    }
}

impl BuildHasher for KeyedHash {
    #[expect(deprecated, reason = "see above")]
    type Hasher = SipHasher;

    #[expect(deprecated, reason = "see above")]
    fn build_hasher(&self) -> SipHasher {
        SipHasher::new_with_keys(self.keys[0], self.keys[1])
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who knows the keys can make everything collide.
        f.write_str("KeyedHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn it_is_siphash_2_4() {
        // The vector of the SipHash paper, appendix A.
        let keys = [u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]), u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15])];
        let mut hasher = KeyedHash::new(keys).build_hasher();
        hasher.write(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }
}
