//! Places: how many connections there may be, and who has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::site::Counters;

/// All places. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Places {
    room: Arc<Semaphore>,
    all: u32,
    taken: Arc<AtomicUsize>,
    counters: Counters,
}

impl Places {
    pub(super) fn new(all: usize, counters: Counters) -> Self {
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        Self { room: Arc::new(Semaphore::new(all as usize)), all, taken: Arc::default(), counters }
    }

    /// Waits for a place, which is held for whoever comes next.
    pub(super) async fn take(&self) -> Free {
        if self.room.available_permits() == 0
            && let Some(handles) = self.counters.handles()
        {
            handles.tcp_full.add(1);
        }
        // The semaphore is never closed.
        let permit = self.room.clone().acquire_owned().await.ok();
        Free { permit, places: self.clone() }
    }

    /// How many places have a connection.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Waits until nobody has one or holds one.
    pub(super) async fn all_free(&self) {
        self.room.acquire_many(self.all).await.ok();
    }
}

/// A place for the next connection.
#[derive(Debug)]
pub(super) struct Free {
    permit: Option<OwnedSemaphorePermit>,
    places: Places,
}

impl Free {
    /// The place of a connection that is there now.
    pub(super) fn used(self) -> Place {
        self.places.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(handles) = self.places.counters.handles() {
            handles.tcp_connections.increment();
        }
        Place(self)
    }
}

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Free);

impl Drop for Place {
    fn drop(&mut self) {
        // The permit goes back after this, so that a place which can be taken is counted as free.
        debug_assert!(self.0.permit.is_some(), "a place has its permit");
        self.0.places.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(handles) = self.0.places.counters.handles() {
            handles.tcp_connections.decrement();
        }
    }
}
