//! The admin address: metrics, health, what the connections are doing; and, for who has the token, which congestion
//! controllers they do it with.
//!
//! It has a thread and a runtime of its own, so that whoever asks cannot hold up a packet; what it answers from are
//! snapshots. What may ask at all is in [`guard`].

mod congestion;
mod connections;
mod guard;
mod listener;
mod problem;
mod quota;
mod routes;
pub(crate) mod token;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use quicast::Endpoint;
use telemetry::admin::AdminMetrics;
use telemetry::congestion::CongestionMetrics;

use self::token::{Kept, Token};
use crate::address::plain;
use crate::error::Failure;

/// What the routes answer from.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) metrics: AdminMetrics,
    pub(crate) cache: routes::Cache,
    /// What changes need; without a place for its file there are none.
    token: Option<Kept>,
    quota: quota::Quota,
    /// What was changed lately.
    changes: congestion::Changes,
    /// Where changes that nobody could carry out are counted.
    congestion: CongestionMetrics,
    /// The address that it really has.
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
    /// Whether new connections are accepted.
    pub(crate) ready: AtomicBool,
}

impl Shared {
    fn token(&self) -> Option<&Token> {
        self.token.as_ref().map(Kept::token)
    }

    /// For who wants a change and shows none.
    fn how_to_get_the_token(&self) -> String {
        match &self.token {
            Some(kept) => format!(
                "a change needs the token: send `Authorization: Bearer TOKEN` with what is in {}, or use `quicast cc`",
                kept.path().display()
            ),
            None => {
                "there is no token, so nothing can be changed; start the server with --admin-token-file FILE".to_owned()
            }
        }
    }
}

/// An admin address that has been bound and is not served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// A served admin address. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some(kept) = &self.shared.token {
            kept.remove();
        }
    }
}

/// Binds what `--admin` names; `off` is nothing.
///
/// # Errors
/// It is no address, not one of this machine alone, or taken.
pub(crate) fn bind(argument: &str) -> Result<Option<Bound>, Failure> {
    if argument == "off" {
        return Ok(None);
    }
    let address = parse(argument)?;
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(Bound { address: listener.local_addr()?, listener })
    });
    bound.map(Some).map_err(|error| {
        Failure::failed(format_args!(
            "cannot serve the admin address {address} (TCP): {}; choose another with --admin, or --admin off",
            plain(&error)
        ))
    })
}

fn parse(argument: &str) -> Result<SocketAddr, Failure> {
    let named = argument.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = named.as_deref().unwrap_or(argument).parse().map_err(|_| {
        Failure::usage(format_args!("--admin {argument}: not an address; write 127.0.0.1:9440, or off"))
    })?;
    if !address.ip().is_loopback() {
        return Err(Failure::usage(format_args!(
            "--admin {argument}: off loopback the admin address needs TLS and a token, which quicast does not offer; use 127.0.0.1:{} and, from elsewhere, `ssh -L`",
            address.port()
        )));
    }
    Ok(address)
}

impl Bound {
    /// Serves it on a thread of its own.
    ///
    /// The token goes into `token_file`, or where `quicast cc` looks for it; the file goes with the admin address.
    pub(crate) fn serve(self, endpoint: Endpoint, token_file: Option<&Path>) -> Result<Admin, Failure> {
        let token = token::keep(token_file, self.address.port())?;
        let shared = Arc::new(Shared {
            metrics: AdminMetrics::new(endpoint.metrics(), 0),
            cache: routes::Cache::default(),
            token,
            quota: quota::Quota::default(),
            changes: congestion::Changes::default(),
            congestion: CongestionMetrics::new(endpoint.metrics(), 0),
            address: self.address,
            started: Instant::now(),
            ready: AtomicBool::new(true),
            endpoint,
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = shared.clone();
        let thread = std::thread::Builder::new().name("admin".to_owned());
        thread
            .spawn(move || listener::run(self.listener, served, stopped))
            .map_err(|error| Failure::failed(format_args!("cannot start the admin thread: {}", plain(&error))))?;
        Ok(Admin { shared, _stop: stop })
    }
}

impl Admin {
    /// `http://127.0.0.1:9440`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The live page, which may change things: `http://127.0.0.1:9440/#token=...`. Whoever sees it may, too.
    pub(crate) fn page(&self) -> String {
        match &self.shared.token {
            Some(kept) => format!("{}/#token={}", self.url(), kept.secret()),
            None => format!("{}/", self.url()),
        }
    }

    /// Where the token is.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.shared.token.as_ref().map(Kept::path)
    }

    /// The address that it has.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `/readyz` says from now on that no new connections are accepted.
    pub(crate) fn drain(&self) {
        self.shared.ready.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_ask() {
        for address in ["127.0.0.1:9440", "[::1]:0", "127.8.8.8:1"] {
            assert!(parse(address).is_ok(), "{address}");
        }
        assert_eq!(parse("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        for address in ["0.0.0.0:9440", "[::]:9440", "192.0.2.1:9440"] {
            assert!(parse(address).unwrap_err().to_string().contains("needs TLS and a token"), "{address}");
        }
        assert!(parse("9440").unwrap_err().to_string().contains("not an address"));
        assert!(bind("off").unwrap().is_none());
    }
}
