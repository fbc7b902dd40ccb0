//! How far all transfers are together, for the progress bar.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quicast::Connection;

use crate::progress::Progress;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Meter {
    moved: AtomicU64,
    expected: AtomicU64,
    /// The connection that was used last: its round trips and losses are shown.
    connection: Mutex<Option<Connection>>,
}

impl Meter {
    /// So many bytes went or came.
    pub(super) fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many more will.
    pub(super) fn expect(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// They go over this connection.
    pub(super) fn over(&self, connection: &Connection) {
        if let Ok(mut shown) = self.connection.lock() {
            *shown = Some(connection.clone());
        }
    }

    /// Shows it, for ever.
    pub(super) async fn show(&self, progress: &Progress) -> Infallible {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            let connection = self.connection.lock().ok().and_then(|shown| shown.clone());
            if let Some(connection) = connection {
                let moved = self.moved.load(Ordering::Relaxed);
                let expected = self.expected.load(Ordering::Relaxed);
                progress.expect(if expected == 0 { 0 } else { expected.max(moved) });
                progress.show(moved, &connection.stats());
            }
        }
    }
}
