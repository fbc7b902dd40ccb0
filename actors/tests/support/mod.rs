//! What the tests over loopback share: a certificate, settings, and a server that sends everything back.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[cfg(feature = "http3")]
pub(crate) mod http3;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quicast::tls::Certificate;
use quicast::tls::development;
use quicast::tls::pki_types::UnixTime;
use quicast::{Connection, Endpoint, EndpointBuilder, RecvStream, SendStream};

pub(crate) const PROTOCOL: &[u8] = b"test";
pub(crate) const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Longer than anything takes; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| development::certificate(&["localhost"], UnixTime::now()).unwrap())
}

pub(crate) fn server_tls() -> Arc<tls::ServerConfig> {
    Arc::new(development::server_config(certificate(), &[PROTOCOL]).unwrap())
}

pub(crate) fn client_tls() -> Arc<tls::ClientConfig> {
    Arc::new(development::client_config(certificate().chain(), &[PROTOCOL]).unwrap())
}

/// A server to be changed before it is started.
pub(crate) fn server() -> EndpointBuilder {
    Endpoint::builder().listen(LOCALHOST).server_config(server_tls())
}

pub(crate) fn client() -> Endpoint {
    Endpoint::builder().listen(LOCALHOST).client_config(client_tls()).start().unwrap()
}

/// Sends back what comes on every stream, until the connection ends.
pub(crate) async fn echo(connection: Connection) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        tokio::spawn(echo_stream(send, receive));
    }
}

async fn echo_stream(mut send: SendStream, mut receive: RecvStream) {
    while let Ok(Some(chunk)) = receive.read_chunk(usize::MAX).await {
        if send.write_chunk(chunk).await.is_err() {
            return;
        }
    }
    let _peer_gone = send.finish().await;
}

/// Accepts everybody and echoes, for as long as the endpoint lives.
pub(crate) async fn accept_and_echo(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connecting) = incoming.accept() else { continue };
        tokio::spawn(async move {
            if let Ok(connection) = connecting.await {
                echo(connection).await;
            }
        });
    }
}

/// Sends bytes on a new stream and checks that they come back.
pub(crate) async fn round_trip(
    connection: &Connection,
    length: usize,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut send, mut receive) = connection.open_bi().await?;
    let data: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
    let expected = data.clone();
    let writing = async move {
        send.write_all(&data).await?;
        send.finish().await?;
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    };
    let reading = async { Ok(receive.read_to_end(length + 1).await?) };
    let ((), back) = tokio::try_join!(writing, reading)?;
    assert!(back == expected, "{} bytes went out, {} other ones came back", expected.len(), back.len());
    Ok(())
}

/// Waits until it is so. It looks now and then, since nobody tells.
pub(crate) async fn until(so: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    while !so() {
        looks.tick().await;
    }
}

/// Waits until an endpoint has not sent anything from one flush of its counters to the next.
pub(crate) async fn quiet(endpoint: &Endpoint) {
    let mut flushes = tokio::time::interval(Duration::from_millis(300));
    let sent = || endpoint.metrics().sum("quicast_socket_sent_datagrams_total");
    let mut before = None;
    while before != Some(sent()) {
        before = Some(sent());
        flushes.tick().await;
        flushes.tick().await;
    }
}

/// Gives up where a test would hang.
pub(crate) async fn in_time<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}
