//! HTTP/3 with quinn, h3 and h3-quinn, on one thread of tokio: a server for `quicast load`.
//!
//! It answers `/bytes/N` as the site of `quicast serve` does, byte for byte and header for header, and everything else
//! with 404. There is no client: `quicast load` is everybody's.

mod answer;

use std::sync::Arc;

use bytes::Bytes;
use common::secured;
use common::{Command, Failure, Server};
use h3::server::RequestResolver;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, TransportConfig, VarInt};
use rustls::crypto::ring;

use self::answer::Answers;

/// The name of HTTP/3 in TLS.
const H3: &[u8] = b"h3";

fn main() -> std::process::ExitCode {
    common::drive(|command| {
        let Command::Server(server) = command else {
            return common::unsupported("quinn-h3", "a client");
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(&server))
    })
}

/// As quinn comes, but with the windows and the streams that are asked for: it begins with 1,200 bytes a datagram and probes
/// up to 1,452, as `quicast serve` does.
fn transport(server: &Server) -> Result<Arc<TransportConfig>, Failure> {
    let window = VarInt::from_u64(server.window)?;
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(window)
        .receive_window(window)
        .send_window(server.window)
        .max_concurrent_bidi_streams(VarInt::from_u64(server.streams_allowed)?);
    Ok(Arc::new(transport))
}

async fn serve(server: &Server) -> Result<(), Failure> {
    let tls = secured::server(secured::prefer_aes128(ring::default_provider()), &[H3])?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport(server)?);
    let socket = std::net::UdpSocket::bind(server.listen)?;
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(quinn::TokioRuntime))?;
    common::announce(endpoint.local_addr()?)?;
    let answers = Arc::new(Answers::new());
    while let Some(incoming) = endpoint.accept().await {
        let answers = answers.clone();
        tokio::spawn(async move {
            // A client that went away is no reason to stop.
            if let Ok(connection) = incoming.await {
                let _gone = connected(connection, answers).await;
            }
        });
    }
    Ok(())
}

async fn connected(connection: quinn::Connection, answers: Arc<Answers>) -> Result<(), Failure> {
    let mut http = h3::server::Connection::<_, Bytes>::new(h3_quinn::Connection::new(connection)).await?;
    while let Some(resolver) = http.accept().await? {
        let answers = answers.clone();
        tokio::spawn(async move {
            let _gone = answer(resolver, &answers).await;
        });
    }
    Ok(())
}

async fn answer(resolver: RequestResolver<h3_quinn::Connection, Bytes>, answers: &Answers) -> Result<(), Failure> {
    let (request, mut stream) = resolver.resolve_request().await?;
    let (head, length) = answers.to(request.uri().path())?;
    stream.send_response(head).await?;
    let mut sent = 0;
    while sent < length {
        let piece = answers.piece(sent, length - sent);
        sent += piece.len() as u64;
        stream.send_data(piece).await?;
    }
    stream.finish().await?;
    Ok(())
}
