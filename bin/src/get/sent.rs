//! What has become of what a request sends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use futures_util::stream;
use tokio::sync::Notify;

use super::meter::Meter;
use crate::request::problem::Problem;
use crate::request::upload::Upload;

/// What has become of a body.
#[derive(Debug)]
pub(super) struct Sent {
    meter: Arc<Meter>,
    bytes: AtomicU64,
    failure: OnceLock<Problem>,
    failed: Notify,
}

impl Sent {
    pub(super) fn new(meter: &Arc<Meter>) -> Arc<Self> {
        Arc::new(Self {
            meter: meter.clone(),
            bytes: AtomicU64::new(0),
            failure: OnceLock::new(),
            failed: Notify::new(),
        })
    }

    /// How many bytes it has given.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The body of a request, which counts what it gives here.
    pub(super) fn body(self: &Arc<Self>, upload: &Upload) -> Body {
        let reading = (upload.pieces(), self.clone());
        Body::from_stream(stream::unfold(reading, |(mut pieces, sent)| async move {
            let piece = pieces.next().await.transpose()?;
            match &piece {
                Ok(piece) => {
                    sent.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    sent.meter.moved(piece.len() as u64);
                }
                Err(problem) => sent.fail(problem.clone()),
            }
            Some((piece.map_err(|problem| std::io::Error::other(problem.message)), (pieces, sent)))
        }))
    }

    fn fail(&self, problem: Problem) {
        self.failure.set(problem).ok();
        self.failed.notify_one();
    }

    /// Waits until it cannot be read.
    pub(super) async fn failed(&self) -> Problem {
        loop {
            if let Some(problem) = self.failure.get() {
                return problem.clone();
            }
            self.failed.notified().await;
        }
    }
}
