//! [`Policy`]: which controllers an endpoint knows, and which connection gets which.

use std::sync::Arc;

use ::congestion::{Algorithm, Registry, Rules};
use parking_lot::RwLock;

/// Shared by all shards and handles of an endpoint. Nothing of it is on the way of the bytes: a connection looks once, when
/// its handshake is complete, and when it is told that the rules are others now.
#[derive(Debug)]
pub(crate) struct Policy {
    registry: Registry,
    rules: RwLock<Arc<Rules>>,
}

impl Policy {
    /// No rules: every connection gets the default.
    pub(crate) fn new(registry: Registry, default: Algorithm) -> Arc<Self> {
        Arc::new(Self { registry, rules: RwLock::new(Arc::new(Rules { rules: Vec::new(), default })) })
    }

    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// Returns those of before.
    pub(crate) fn set_rules(&self, rules: Rules) -> Arc<Rules> {
        std::mem::replace(&mut *self.rules.write(), Arc::new(rules))
    }
}
