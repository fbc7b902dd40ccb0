//! HTTP/3: the site, over QUIC.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use quicast::Connection;
use quicast::http3::{self, Protocol, RecvBody, ServedConnection, Upgrade};
use tower::ServiceExt as _;

use crate::site::upgrade::Tunnel;
use crate::stage::{Cue, Stage};

/// What is served, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) router: Router,
    pub(crate) cue: Cue,
}

/// Serves a connection to its end, which is a graceful one when the server is told to stop.
pub(crate) async fn serve(connection: Connection, site: Site) {
    let Site { router, mut cue } = site;
    let remote = connection.remote_address();
    let service = router.map_request(move |request| prepared(request, remote));
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

/// Adds what the site wants to know: who asks, and the way to the bytes of a CONNECT request.
fn prepared(mut request: Request<RecvBody>, remote: SocketAddr) -> Request<RecvBody> {
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(remote));
    if let (Some(protocol), Some(upgrade)) = (extensions.remove::<Protocol>(), extensions.remove::<Upgrade>()) {
        let upgraded = upgrade.upgraded();
        let opening = async move { upgraded.await.map_err(io::Error::other) };
        extensions.insert(Tunnel::new(protocol.as_str(), opening));
    }
    request
}
