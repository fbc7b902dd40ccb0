//! HTTP/3 (RFC 9114) over [`Connection`]s: servers and clients.
//!
//! A server is any [`tower_service::Service`] of [`http::Request`]s, such as an `axum::Router`:
//!
//! ```no_run
//! # async fn example<S, B>(endpoint: quicast::Endpoint, router: S)
//! # where
//! #     S: tower_service::Service<http::Request<quicast::http3::RecvBody>, Response = http::Response<B>> + Clone + Send + 'static,
//! #     S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
//! #     B: http_body::Body + 'static,
//! #     B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
//! # {
//! quicast::http3::serve(endpoint, router).await;
//! # }
//! ```
//!
//! A client makes requests on a connection, several at a time:
//!
//! ```no_run
//! # async fn example(connection: quicast::Connection) -> Result<(), quicast::http3::Error> {
//! let requests = quicast::http3::connect(connection)?;
//! let request = http::Request::get("https://localhost:4433/").body(quicast::http3::Empty).unwrap();
//! let mut response = requests.send(request).await?;
//! while let Some(bytes) = response.body_mut().chunk().await? {
//!     println!("{} bytes", bytes.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each connection has one actor, on the connection's thread, around the machine of the crate `http3`; services run on
//! that thread too, and must not block it. What a peer may make us keep or do is bounded there
//! ([`http3::limits`]).

mod actor;
mod bell;
mod body;
mod client;
mod count;
mod error;
mod handle;
mod messages;
mod port;
mod server;
mod streams;
mod upgrade;

pub use body::RecvBody;
pub use client::{Empty, Interim, OnInterim, PriorityHandle, RequestSender, connect, connect_with};
pub use error::Error;
pub use server::EarlyHints;
pub use upgrade::{Upgrade, Upgraded};

/// The machine's settings, codes and names.
pub use http3::message::Protocol;
pub use http3::{Code, Config, Priority};

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::api::connection::Connection;
use crate::api::endpoint::Endpoint;
use actor::Http3Actor;
use handle::{Order, Shared};

/// The name of HTTP/3 in TLS (RFC 9114 §3.1).
pub const ALPN: &[u8] = b"h3";

/// Between the two steps of a graceful end, at the least and at the most: a round trip, so that requests on their way are
/// still taken (RFC 9114 §5.2).
const GOAWAY_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Serves every connection that an endpoint accepts, until the endpoint is closed.
///
/// The endpoint's TLS settings have to offer [`ALPN`].
pub async fn serve<S, B>(endpoint: Endpoint, service: S)
where
    S: Service<Request<RecvBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    while let Some(incoming) = endpoint.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            if let Ok(connecting) = incoming.accept()
                && let Ok(connection) = connecting.await
            {
                serve_connection(connection, service).ended().await;
            }
        });
    }
}

/// Serves one connection. It goes on when the handle is dropped.
pub fn serve_connection<S, B>(connection: Connection, service: S) -> ServedConnection
where
    S: Service<Request<RecvBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    serve_connection_with(connection, service, server_config())
}

/// What a server's connections are like by default: extended CONNECT is permitted.
pub fn server_config() -> Config {
    Config { enable_connect_protocol: true, ..Config::default() }
}

/// Likewise, with settings.
pub fn serve_connection_with<S, B>(connection: Connection, service: S, config: Config) -> ServedConnection
where
    S: Service<Request<RecvBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let shared = Arc::new(Shared::default());
    let (actors, handle) = (shared.clone(), connection.clone());
    let started = connection.start_on_shard(move |meter| {
        let machine = http3::Connection::server(config, handle.stable_id());
        let dispatch = server::dispatch(service);
        Http3Actor::start(machine, handle, actors, Some(dispatch), meter.clone());
    });
    if started.is_err() {
        shared.end();
    }
    ServedConnection { connection, shared }
}

/// An HTTP/3 connection that a service answers.
#[derive(Clone, Debug)]
pub struct ServedConnection {
    connection: Connection,
    shared: Arc<Shared>,
}

impl ServedConnection {
    /// Waits for the end of the connection.
    pub async fn ended(&self) {
        self.shared.ended().await;
    }

    /// Makes the actor panic, to show what that costs. Only in builds with fault injection.
    #[cfg(feature = "fault-injection")]
    pub fn inject_panic(&self) {
        self.shared.order(Order::Panic);
    }

    /// Ends the connection gracefully (RFC 9114 §5.2): requests that are on their way within a round trip are answered,
    /// later ones rejected, and then it is closed with H3_NO_ERROR. Waits for that.
    pub async fn shut_down(&self) {
        self.shared.order(Order::AnnounceGoaway);
        let (least, most) = GOAWAY_PAUSE;
        tokio::time::sleep(self.connection.rtt().clamp(least, most)).await;
        self.shared.shut_down();
        self.ended().await;
    }
}
