//! Requests on one connection, all at once.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, EndpointConfig};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use peer_options::Options;
use crate::{ALPN, Failure};

/// Of a body, in a frame.
const CHUNK: usize = 256 * 1024;

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let address: SocketAddr = options.address.parse()?;
    let socket = UdpSocket::bind((address.ip(), 0))?;
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(quinn::TokioRuntime))?;
    let connection = endpoint.connect_with(client_config(options)?, address, "localhost")?.await?;
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection.clone())).await?;
    let driving = tokio::spawn(async move { driver.wait_idle().await });
    let outcome = requests(&sender, options, address.port()).await;
    if let (Err(failure), Some(reason)) = (&outcome, connection.close_reason()) {
        return Err(format!("{failure}; {reason}").into());
    }
    outcome?;
    // Once the last sender is dropped, h3 closes the connection.
    drop(sender);
    driving.await?;
    let _ = tokio::time::timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
    Ok(())
}

fn client_config(options: &Options) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(options.required("cacert")?)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

async fn requests(sender: &SendRequest<OpenStreams, Bytes>, options: &Options, port: u16) -> Result<(), Failure> {
    let content = options.text("post").map(std::fs::read).transpose()?.map(Bytes::from);
    let folder = Path::new(options.required("output")?).to_owned();
    let mut running = Vec::new();
    for (number, path) in options.all("path").iter().enumerate() {
        let method = if content.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(format!("https://localhost:{port}{path}"));
        if let Some(priority) = options.text("priority") {
            request = request.header(HeaderName::from_static("priority"), priority);
        }
        let trailers = options.has("trailers");
        if let (Some(content), false) = (&content, trailers) {
            request = request.header(header::CONTENT_LENGTH, content.len());
        }
        let request = request.body(())?;
        let output = folder.join(Path::new(path).file_name().ok_or("a path without a last part")?);
        running.push(tokio::spawn(one(sender.clone(), request, number, content.clone(), trailers, output)));
    }
    for request in running {
        request.await??;
    }
    Ok(())
}

async fn one(
    mut sender: SendRequest<OpenStreams, Bytes>,
    request: Request<()>,
    number: usize,
    content: Option<Bytes>,
    trailers: bool,
    output: std::path::PathBuf,
) -> Result<(), Failure> {
    let (mut send, mut receive) = sender.send_request(request).await?.split();
    let sending = tokio::spawn(async move {
        let mut content = content.unwrap_or_default();
        while !content.is_empty() {
            send.send_data(content.split_to(CHUNK.min(content.len()))).await?;
        }
        if trailers {
            let fields = [(HeaderName::from_static("x-interop"), HeaderValue::from_static("forty-two"))];
            send.send_trailers(HeaderMap::from_iter(fields)).await?;
        }
        send.finish().await?;
        Ok::<_, Failure>(())
    });
    let response = receive.recv_response().await?;
    let mut whole = Vec::new();
    while let Some(mut data) = receive.recv_data().await? {
        whole.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    println!("answer {number} status={} bytes={}", response.status().as_u16(), whole.len());
    for (name, value) in &receive.recv_trailers().await?.unwrap_or_default() {
        println!("trailer {name}={}", value.to_str()?);
    }
    if response.status() != StatusCode::OK {
        return Err(format!("status {}", response.status()).into());
    }
    sending.await??;
    std::fs::write(output, whole)?;
    Ok(())
}
