//! How often a key may be used (RFC 9001 §6.6).

/// Bounds on the use of keys. They only ever lower what the cipher suite itself allows, and exist so that tests can
/// reach them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Packets sealed with the same 1-RTT keys after which a key update is wanted: by default 2^22, or half of the
    /// confidentiality limit if that is less.
    pub update_after: u64,
    /// Packets that may be sealed with the same keys. By default what the suite allows: 2^23 for AES-GCM.
    pub confidentiality: u64,
    /// Packets that may fail authentication in the connection's life. By default 2^36, the limit of ChaCha20-Poly1305 and the lowest of all.
    pub integrity: u64,
}

/// Half of AES-GCM's confidentiality limit of 2^23, so that there is time left for an update to come through.
pub(crate) const KEY_UPDATE_AFTER: u64 = 1 << 22;

/// The integrity limit of ChaCha20-Poly1305, the lowest of the suites (RFC 9001 §6.6), taken for all of them.
pub(crate) const INTEGRITY_LIMIT: u64 = 1 << 36;

impl Default for Limits {
    fn default() -> Self {
        Self { update_after: KEY_UPDATE_AFTER, confidentiality: u64::MAX, integrity: INTEGRITY_LIMIT }
    }
}

impl Limits {
    /// How many packets may be sealed with a key whose own limit is `suite`.
    pub(crate) fn confidentiality(&self, suite: u64) -> u64 {
        self.confidentiality.min(suite)
    }

    /// How many packets may fail to open with a key whose own limit is `suite`.
    pub(crate) fn integrity(&self, suite: u64) -> u64 {
        self.integrity.min(suite)
    }

    /// After how many packets an update is wanted.
    pub(crate) fn update_after(&self, suite: u64) -> u64 {
        self.update_after.min(self.confidentiality(suite) / 2)
    }

    /// After how many packets the connection should close while it still can, if no update comes through. One in 16 is
    /// kept for that.
    pub(crate) fn exhausted_after(&self, suite: u64) -> u64 {
        let limit = self.confidentiality(suite);
        limit - limit / 16 - u64::from(limit > 0)
    }
}
