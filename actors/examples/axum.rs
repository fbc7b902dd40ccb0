//! One router over HTTP/1.1, HTTP/2 and HTTP/3: `cargo run -p quicast --example axum`, then `curl -k https://localhost:4433/`.

use axum::{Router, extract::Request, routing::get, serve::Listener};
use quicast::tls::{development, pki_types::UnixTime};
use quicast::{Endpoint, http3};
use std::{error::Error, io, net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
struct Tls(TcpListener, TlsAcceptor);
impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((tcp, address)) = self.0.accept().await else { continue };
            let Ok(tls) = self.1.accept(tcp).await else { continue };
            return (tls, address);
        }
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let hello = |request: Request| async move {
        ([("alt-svc", r#"h3=":4433""#)], format!("hello over {:?}\n", request.version()))
    };
    let router = Router::new().route("/", get(hello));
    let certificate = development::certificate(&["localhost"], UnixTime::now())?;
    let (quic, tcp) = (&[http3::ALPN][..], &[&b"h2"[..], b"http/1.1"][..]);
    let [quic, tcp] = [quic, tcp].map(|protocols| development::server_config(&certificate, protocols).map(Arc::new));
    let endpoint = Endpoint::server(quic?, "127.0.0.1:4433".parse()?)?;
    tokio::spawn(http3::serve(endpoint, router.clone()));
    Ok(axum::serve(Tls(TcpListener::bind("127.0.0.1:4433").await?, tcp?.into()), router).await?)
}
