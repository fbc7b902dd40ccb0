//! What the server does with a connection, by the application protocol that was agreed on.

pub(crate) mod echo;
pub(crate) mod h3;
pub(crate) mod hq;
pub(crate) mod perf;

use std::sync::Arc;

use quicast::{CloseReason, Connection};

const H3_NO_ERROR: u64 = quicast::http3::Code::H3_NO_ERROR.0;

use crate::{endpoint, out};

/// The protocols that the server speaks, as ALPN names them, the first preferred.
pub(crate) const PROTOCOLS: [&[u8]; 4] = [quicast::http3::ALPN, b"echo", b"hq-interop", PERF];
/// The protocol that `quicast perf` speaks.
pub(crate) const PERF: &[u8] = b"perf";

/// How many bytes a service moves at a time.
const CHUNK: usize = 64 * 1024;

/// Everything that the services need.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) files: Arc<hq::Files>,
    pub(crate) perf: perf::Perf,
    /// What HTTP/3 serves, if it is spoken.
    pub(crate) http: Option<h3::Play>,
    /// Whether each connection begins a key update early.
    pub(crate) key_update: bool,
}

impl Services {
    /// Serves a connection to its end.
    pub(crate) async fn serve(self, connection: Connection) {
        if self.key_update {
            let connection = connection.clone();
            tokio::spawn(async move { endpoint::update_keys(&connection).await.ok() });
        }
        let is_h3 = connection.alpn() == quicast::http3::ALPN;
        match (connection.alpn().as_slice(), self.http) {
            (quicast::http3::ALPN, Some(play)) => h3::serve(connection.clone(), play).await,
            (b"echo", _) => echo::serve(connection.clone()).await,
            (b"hq-interop", _) => hq::serve(connection.clone(), self.files).await,
            (PERF, _) => perf::serve(connection.clone(), self.perf).await,
            // rustls agrees on nothing else; a connection that has no service must not stay.
            _ => connection.close(0, b"no service"),
        }
        if let Some(CloseReason::PeerApplication { code, reason }) = connection.close_reason()
            && code != 0
            // To HTTP/3, this is nothing (RFC 9114 §8.1).
            && !(is_h3 && code == H3_NO_ERROR)
        {
            let words = String::from_utf8_lossy(&reason).replace(char::is_control, " ");
            out::line(format_args!("closed {code} {words}"));
        }
    }
}
