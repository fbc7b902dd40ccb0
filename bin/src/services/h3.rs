//! HTTP/3: the site, over QUIC.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use axum::http::{Method, Request, Response};
use quicast::Connection;
use quicast::http3::{self, Protocol, RecvBody, ServedConnection, Upgrade};
use tower::Service;

use crate::site::upgrade::Tunnel;
use crate::site::{Answer, Answering, Site};
use crate::stage::{Cue, Stage};

/// What is served, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) site: Site,
    pub(crate) cue: Cue,
}

/// Serves a connection to its end, which is a graceful one when the server is told to stop.
pub(crate) async fn serve(connection: Connection, play: Play) {
    let Play { site, mut cue } = play;
    let service = Visited { site, remote: connection.remote_address() };
    let served = http3::serve_connection(connection, service);
    tokio::select! {
        () = served.ended() => {}
        () = cue.reached(Stage::Draining) => end(&served, &mut cue).await,
    }
}

async fn end(served: &ServedConnection, cue: &mut Cue) {
    tokio::select! {
        () = served.shut_down() => {}
        // The endpoint closes it.
        () = cue.reached(Stage::Stopping) => {}
    }
}

/// The site as one connection asks it.
#[derive(Clone, Debug)]
struct Visited {
    site: Site,
    remote: SocketAddr,
}

impl Service<Request<RecvBody>> for Visited {
    type Response = Response<Answer>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Adds what the site wants to know: who asks, and the way to the bytes of a CONNECT request.
    fn call(&mut self, mut request: Request<RecvBody>) -> Answering {
        let is_connect = request.method() == Method::CONNECT;
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(self.remote));
        if is_connect
            && let (Some(protocol), Some(upgrade)) = (extensions.remove::<Protocol>(), extensions.remove::<Upgrade>())
        {
            let upgraded = upgrade.upgraded();
            let opening = async move { upgraded.await.map_err(io::Error::other) };
            extensions.insert(Tunnel::new(protocol.as_str(), opening));
        }
        self.site.answer(request)
    }
}
