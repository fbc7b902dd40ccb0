//! What the server does with a connection, by the application protocol that was agreed on.

pub(crate) mod echo;
pub(crate) mod hq;

use std::sync::Arc;

use quicast::Connection;

/// The protocols that the server speaks, as ALPN names them, the first preferred.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"echo", b"hq-interop"];

/// How many bytes a service moves at a time.
const CHUNK: usize = 64 * 1024;

/// Everything that the services need.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) files: Arc<hq::Files>,
}

impl Services {
    /// Serves a connection to its end.
    pub(crate) async fn serve(self, connection: Connection) {
        match connection.alpn().as_slice() {
            b"echo" => echo::serve(connection).await,
            b"hq-interop" => hq::serve(connection, self.files).await,
            // rustls agrees on nothing else; a connection that has no service must not stay.
            _ => connection.close(0, b"no service"),
        }
    }
}
