//! Files of --root; `/echo` gives content and trailers back as they come.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use h3::server::{RequestResolver, RequestStream};
use h3_quinn::BidiStream;
use http::{Response, StatusCode};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, Incoming, ServerConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use peer_options::Options;
use crate::{ALPN, Failure};

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let chain = CertificateDer::pem_file_iter(options.required("cert")?)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(options.required("key")?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    let address: SocketAddr = options.required("listen")?.parse()?;
    let endpoint = Endpoint::server(ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?)), address)?;
    println!("listening on {}", endpoint.local_addr()?);
    let root: Arc<Path> = PathBuf::from(options.required("root")?).into();
    while let Some(incoming) = endpoint.accept().await {
        let root = root.clone();
        tokio::spawn(async move {
            if let Err(failure) = serve(incoming, root).await {
                println!("connection {failure}");
            }
        });
    }
    Ok(())
}

async fn serve(incoming: Incoming, root: Arc<Path>) -> Result<(), Failure> {
    let connection = incoming.await?;
    let mut http = h3::server::Connection::<_, Bytes>::new(h3_quinn::Connection::new(connection)).await?;
    while let Some(resolver) = http.accept().await? {
        let root = root.clone();
        tokio::spawn(async move {
            if let Err(failure) = answer(resolver, &root).await {
                println!("request {failure}");
            }
        });
    }
    Ok(())
}

async fn answer(resolver: RequestResolver<h3_quinn::Connection, Bytes>, root: &Path) -> Result<(), Failure> {
    let (request, mut stream) = resolver.resolve_request().await?;
    let path = request.uri().path().trim_start_matches('/');
    if path == "echo" {
        return echo(stream).await;
    }
    let (status, content) = match file(root, Path::new(path)) {
        Some(content) => (StatusCode::OK, content),
        None => (StatusCode::NOT_FOUND, Bytes::new()),
    };
    stream.send_response(Response::builder().status(status).body(())?).await?;
    stream.send_data(content).await?;
    stream.finish().await?;
    Ok(())
}

async fn echo(mut stream: RequestStream<BidiStream<Bytes>, Bytes>) -> Result<(), Failure> {
    stream.send_response(Response::new(())).await?;
    while let Some(mut data) = stream.recv_data().await? {
        let data = data.copy_to_bytes(data.remaining());
        stream.send_data(data).await?;
    }
    if let Some(trailers) = stream.recv_trailers().await? {
        stream.send_trailers(trailers).await?;
    }
    stream.finish().await?;
    Ok(())
}

fn file(root: &Path, path: &Path) -> Option<Bytes> {
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if inside { std::fs::read(root.join(path)).ok().map(Bytes::from) } else { None }
}
