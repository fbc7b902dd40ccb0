//! SIGTERM and SIGINT.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::address::plain;
use crate::error::Failure;

/// The signals that ask the server to stop. From now on they do not end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    last: Option<Instant>,
}

/// What comes so soon after another is the same wish: `timeout` and terminals say it to the process and to its group.
const SAME: Duration = Duration::from_millis(200);

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind).map_err(|error| Failure::failed(format_args!("cannot wait for signals: {}", plain(&error))))
        };
        Ok(Self { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())?, last: None })
    }

    /// Waits for the next of either.
    pub(crate) async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if self.last.is_none_or(|last| last.elapsed() >= SAME) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }
}
