//! The TCP side: HTTPS on the port numbers that QUIC has on UDP, because that is how a browser finds HTTP/3.
//!
//! Every answer says where HTTP/3 is (`Alt-Svc`, RFC 7838). HTTP/1.1 and HTTP/2 are hyper's, chosen by ALPN: neither a
//! server that guesses the protocol from its first bytes is needed (hyper-util's `auto`), nor one that brings its own
//! accept loop and certificate reader (axum-server), which would know nothing of these bounds.
//!
//! ```text
//! bind ─▶ accept (a place) ─▶ first byte ─▶ TLS handshake ─▶ ALPN ─▶ hyper ─▶ pace ─▶ the site
//!                                └ no TLS: 400, "use https"
//! ```
//! Each arrow has its bound in `limits.rs`. A place is given back when the connection's socket is dropped, whoever has it
//! then: a WebSocket keeps its place.

mod bind;
mod connection;
mod limits;
mod pace;
mod place;
mod requests;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tls::Certificate;
use tokio::net::TcpListener;

pub(crate) use self::bind::{Bound, bind};
use self::connection::Shared;
pub(crate) use self::limits::Limits;
use self::place::Places;
use crate::address::plain;
use crate::error::Failure;
use crate::site::{Counters, Site};
use crate::stage::{Cue, Stage};

/// The protocols that TCP carries, the first preferred.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is served over TCP, and how.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) certificate: &'a Certificate,
    pub(crate) key_log: Option<Arc<dyn rustls::KeyLog>>,
    pub(crate) site: Site,
    pub(crate) cue: Cue,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
}

/// A served TCP side. It ends when its cue says so.
#[derive(Debug)]
pub(crate) struct Tcp {
    addresses: Vec<SocketAddr>,
    places: Places,
}

impl Bound {
    /// Serves from now on.
    ///
    /// # Errors
    /// The certificate cannot be used, or the runtime takes no more sockets.
    pub(crate) fn serve(self, settings: Settings<'_>) -> Result<Tcp, Failure> {
        let mut tls = tls::development::server_config(settings.certificate, &PROTOCOLS)
            .map_err(|error| Failure::failed(format_args!("the certificate cannot be used: {error}")))?;
        if let Some(log) = settings.key_log {
            tls.key_log = log;
        }
        let places = Places::new(settings.limits.connections, settings.counters.clone());
        let shared = Arc::new(Shared {
            tls: Arc::new(tls).into(),
            site: settings.site,
            counters: settings.counters,
            limits: settings.limits,
        });
        let mut addresses = Vec::new();
        for listener in self.into_listeners() {
            let listener = TcpListener::from_std(listener).and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (address, listener) =
                listener.map_err(|error| Failure::failed(format_args!("cannot serve TCP: {}", plain(&error))))?;
            addresses.push(address);
            tokio::spawn(accept(listener, address.port(), shared.clone(), places.clone(), settings.cue.clone()));
        }
        Ok(Tcp { addresses, places })
    }
}

impl Tcp {
    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.places.taken()
    }

    /// Waits until no connection is open and none is accepted any more, which is so only after the cue to drain.
    pub(crate) async fn ended(&self) {
        self.places.all_free().await;
    }
}

/// How long to wait after an error of `accept`: out of file descriptors, most likely, and to try again at once would only
/// make it worse.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections while there are places for them.
async fn accept(listener: TcpListener, port: u16, shared: Arc<Shared>, places: Places, mut cue: Cue) {
    loop {
        // One more than may be served is not even accepted: the kernel keeps it until there is a place.
        let accepted = tokio::select! {
            biased;
            () = cue.reached(Stage::Draining) => return,
            accepted = async { (places.take().await, listener.accept().await) } => accepted,
        };
        match accepted {
            (place, Ok((stream, peer))) => {
                tokio::spawn(connection::serve(stream, peer, port, place.used(), shared.clone(), cue.clone()));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a TCP connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
