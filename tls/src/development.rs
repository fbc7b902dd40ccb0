//! For tests and for machines that have no certificate yet.
use codec::{Side, Version};

use crate::keys::KeyRing;
use crate::rustls::{Secrets, public_keys};

/// The rings of a client and a server whose handshake is over, with keys that follow from `seed` alone: the same in every
/// run, and **known to everybody**. For tests and benchmarks of what comes after the handshake; AES-128-GCM.
pub fn key_rings(version: Version, seed: u64) -> (KeyRing, KeyRing) {
    let ring = |side: Side| {
        let keys = public_keys(side, version, seed, 0);
        KeyRing::established(side, version, keys, Secrets::Public { side, version, seed, generation: 1 })
    };
    (ring(Side::Client), ring(Side::Server))
}
