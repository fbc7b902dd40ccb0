//! What the tests of HTTP/3 share: ends, requests, and connections whose bytes a test writes by hand.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Empty;
use quicast::http3::{self, Code, Config, RecvBody, RequestSender, ServedConnection};
use quicast::tls::development;
use quicast::{CloseReason, Connection, Endpoint, EndpointBuilder, SendStream, TransportConfig};
use tower::service_fn;

use super::{LOCALHOST, certificate};

/// A server to be changed before it is started.
pub(crate) fn http3_server() -> EndpointBuilder {
    let tls = Arc::new(development::server_config(certificate(), &[http3::ALPN]).unwrap());
    Endpoint::builder().listen(LOCALHOST).server_config(tls).shards(1)
}

/// A server that answers like this.
pub(crate) fn serve<F, A, B>(answer: F) -> Endpoint
where
    F: Fn(Request<RecvBody>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let server = http3_server().start().unwrap();
    tokio::spawn(http3::serve(server.clone(), service_fn(answer)));
    server
}

/// Accepts one connection, and answers its requests like this.
pub(crate) async fn serve_one<F, A, B>(server: &Endpoint, config: Config, answer: F) -> ServedConnection
where
    F: Fn(Request<RecvBody>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let connection = server.accept().await.unwrap().accept().unwrap().await.unwrap();
    http3::serve_connection_with(connection, service_fn(answer), config)
}

pub(crate) fn http3_client() -> Endpoint {
    http3_client_with(TransportConfig::default())
}

pub(crate) fn http3_client_with(config: TransportConfig) -> Endpoint {
    let tls = Arc::new(development::client_config(certificate().chain(), &[http3::ALPN]).unwrap());
    Endpoint::builder().listen(LOCALHOST).client_config(tls).transport_config(config).start().unwrap()
}

pub(crate) async fn connect(client: &Endpoint, server: &Endpoint) -> RequestSender {
    http3::connect(client.connect(server.local_addr(), "localhost").await.unwrap()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap()
}

/// A connection that says what a test writes, after empty settings. Its control stream has to stay.
pub(crate) async fn by_hand(client: &Endpoint, server: &Endpoint) -> (Connection, SendStream) {
    let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(b"\x00\x04\x00").await.unwrap();
    (connection, control)
}

/// HEADERS of GET https://localhost and a path, by the static table alone (RFC 9204 §4.5).
pub(crate) fn headers(path: &str) -> Vec<u8> {
    let mut section = b"\x00\x00\xd1\xd7\x50\x09localhost\x51".to_vec();
    section.push(path.len() as u8);
    section.extend_from_slice(path.as_bytes());
    [&[0x01, section.len() as u8][..], &section].concat()
}

/// The code with which the peer closes the connection.
pub(crate) async fn closed_with(connection: &Connection) -> Code {
    match connection.closed().await {
        CloseReason::PeerApplication { code, .. } => Code(code),
        other => panic!("{other:?}"),
    }
}
