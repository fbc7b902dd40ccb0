//! Handshakes in progress: how busy a server is.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// A handshake in progress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Handshake {
    Client,
    /// The client's address is proven by a token.
    Validated,
    Unvalidated,
}

/// Handshakes in progress, and how many of each kind there are.
#[derive(Debug)]
pub(super) struct Handshakes {
    // Keyed by numbers of ours.
    kinds: HashMap<usize, Handshake, FixedState>,
    counts: [usize; 3],
}

impl Handshakes {
    pub(super) fn new(seed: u64) -> Self {
        Self { kinds: HashMap::with_hasher(FixedState::with_seed(seed)), counts: [0; 3] }
    }

    pub(super) fn begin(&mut self, key: usize, kind: Handshake) {
        self.end(key);
        self.kinds.insert(key, kind);
        self.counts[kind as usize] += 1;
    }

    pub(super) fn end(&mut self, key: usize) {
        if let Some(kind) = self.kinds.remove(&key) {
            self.counts[kind as usize] -= 1;
        }
    }

    pub(super) const fn count(&self, kind: Handshake) -> usize {
        self.counts[kind as usize]
    }
}
