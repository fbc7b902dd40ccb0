//! The admin thread: accepts connections and bounds what each may cost.

use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::{Shared, routes};

/// Connections at once; more wait in the kernel.
const CONNECTIONS: usize = 8;
/// Header lines of a request.
const HEADERS: usize = 32;
/// Bytes of a request's line and headers.
const HEADER_BYTES: usize = 8 * 1024;
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may be kept for more requests: whoever reads slowly does not hold one of few for ever.
const LIFETIME: Duration = Duration::from_secs(60);

/// Serves until told to stop, or until nobody could tell any more.
pub(super) fn run(listener: TcpListener, shared: Arc<Shared>, stop: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the admin address cannot be served");
            return;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            () = accept(listener, shared) => {}
            _ = stop => {}
        }
    });
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin address cannot be served");
            return;
        }
    };
    let router = routes::router(shared);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: to try again at once would only make it worse.
                tracing::warn!(%error, "an admin connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    protocol.max_headers(HEADERS).max_header_size(HEADER_BYTES).max_buf_size(2 * HEADER_BYTES);
    let connection = protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        timeout(PATIENCE, connection).await.ok();
    }
}
