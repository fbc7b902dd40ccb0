//! An endpoint's threads end with it, and its handles need no runtime. Alone in its process, because it counts threads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use support::*;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest runtime there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(begun.elapsed() < PATIENCE, "it takes too long");
        thread::park_timeout(Duration::from_secs(1));
    }
}

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[cfg(not(target_os = "linux"))]
fn threads() -> usize {
    0
}

#[test]
fn handles_need_no_runtime_and_threads_end_with_their_endpoint() {
    let before = threads();
    for shutdown in [true, false, true] {
        let server = server().shards(3).service(echo).start().unwrap();
        let client = client();
        block_on(async {
            let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
            round_trip(&connection, 100_000).await.unwrap();
            connection.close(0, b"");
            client.wait_idle().await;
            if shutdown {
                client.shutdown(Duration::ZERO).await;
                server.shutdown(Duration::ZERO).await;
            }
        });
    }
    let begun = Instant::now();
    while threads() > before {
        assert!(begun.elapsed() < PATIENCE, "{} threads are left over", threads() - before);
        // The kernel takes a moment to bury a thread that has ended.
        thread::yield_now();
    }
}
