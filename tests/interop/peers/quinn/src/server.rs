//! The server: `echo` gives back what comes, `hq-interop` serves the files of --root.

use peer_options::Options;
use crate::{Failure, describe, endpoint_config};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendDatagramError, SendStream, ServerConfig, TransportConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes echoed on a connection before --key-update acts.
const KEY_UPDATE_AFTER: usize = 32 * 1024;

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let listen: SocketAddr = options.required("listen")?.parse()?;
    let socket = std::net::UdpSocket::bind(listen)?;
    let mut own = endpoint_config();
    own.supported_versions(vec![1]);
    let endpoint = Endpoint::new(own, Some(server_config(&options)?), socket, Arc::new(quinn::TokioRuntime))?;
    println!("listening on {}", endpoint.local_addr()?);
    let root = Arc::new(PathBuf::from(options.text("root").unwrap_or(".")));
    let (retry, key_update) = (options.has("retry"), options.has("key-update"));
    while let Some(incoming) = endpoint.accept().await {
        if retry && !incoming.remote_address_validated() {
            incoming.retry()?;
            continue;
        }
        let root = root.clone();
        tokio::spawn(async move {
            if let Err(failure) = serve(incoming, root, key_update).await {
                println!("failed {failure}");
            }
        });
    }
    Ok(())
}

fn server_config(options: &Options) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_file_iter(options.required("cert")?)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(options.required("key")?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"echo".to_vec(), b"hq-interop".to_vec()];
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(u32::try_from(options.number("max-streams", 100)?)?.into());
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

async fn serve(incoming: Incoming, root: Arc<PathBuf>, key_update: bool) -> Result<(), Failure> {
    let connection = incoming.await?;
    let alpn = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.protocol);
    if alpn.as_deref() == Some(b"hq-interop") {
        files(&connection, root).await;
    } else {
        let unidirectional = tokio::spawn(echo_unidirectional(connection.clone()));
        let datagrams = tokio::spawn(echo_datagrams(connection.clone()));
        echo(&connection, key_update).await;
        unidirectional.abort();
        datagrams.abort();
    }
    println!("{}", describe(&connection.closed().await));
    Ok(())
}

async fn echo(connection: &Connection, key_update: bool) {
    let bytes = Arc::new(AtomicUsize::new(0));
    let mut streams = 0;
    while let Ok((send, receive)) = connection.accept_bi().await {
        let (connection, bytes) = (connection.clone(), bytes.clone());
        streams += 1;
        tokio::spawn(async move {
            match echo_stream(&connection, send, receive, key_update).await {
                Ok(echoed) => _ = bytes.fetch_add(echoed, Ordering::Relaxed),
                Err(failure) => println!("stream {failure}"),
            }
        });
    }
    println!("served streams={streams} bytes={}", bytes.load(Ordering::Relaxed));
}

async fn echo_stream(
    connection: &Connection,
    mut send: SendStream,
    mut receive: RecvStream,
    key_update: bool,
) -> Result<usize, Failure> {
    let mut text = Vec::new();
    let (mut echoed, mut updated) = (0, false);
    while let Some(chunk) = receive.read_chunk(64 * 1024, true).await? {
        if text.len() < 256 {
            text.extend_from_slice(chunk.bytes.get(..256.min(chunk.bytes.len())).unwrap_or_default());
        }
        echoed += chunk.bytes.len();
        if key_update && !updated && echoed >= KEY_UPDATE_AFTER {
            updated = true;
            connection.force_key_update();
        }
        send.write_chunk(chunk.bytes).await?;
    }
    if echoed <= 256
        && let Some((code, reason)) = close_request(&text)
    {
        connection.close(code.into(), reason.as_bytes());
        return Ok(echoed);
    }
    send.finish()?;
    Ok(echoed)
}

/// `close 42 bye` asks the server to close the connection with that code and reason.
fn close_request(text: &[u8]) -> Option<(u32, String)> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("close ")?.trim_end();
    let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
    Some((code.parse().ok()?, reason.to_owned()))
}

async fn echo_unidirectional(connection: Connection) {
    while let Ok(mut receive) = connection.accept_uni().await {
        let connection = connection.clone();
        tokio::spawn(async move {
            let data = receive.read_to_end(64 << 20).await?;
            let mut send = connection.open_uni().await?;
            send.write_all(&data).await?;
            send.finish()?;
            Ok::<(), Failure>(())
        });
    }
}

async fn echo_datagrams(connection: Connection) {
    while let Ok(data) = connection.read_datagram().await {
        // The other side may know already that the path takes more: until we do, too, this one does not fit.
        let mut tries = 0;
        while matches!(connection.send_datagram(data.clone()), Err(SendDatagramError::TooLarge)) && tries < 100 {
            tries += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if tries > 0 {
            println!("a datagram of {} bytes fitted after {tries} tries", data.len());
        }
    }
}

async fn files(connection: &Connection, root: Arc<PathBuf>) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        let root = root.clone();
        tokio::spawn(async move {
            if let Err(failure) = file(send, receive, &root).await {
                println!("request {failure}");
            }
        });
    }
}

async fn file(mut send: SendStream, mut receive: RecvStream, root: &Path) -> Result<(), Failure> {
    let request = receive.read_to_end(4096).await?;
    let request = String::from_utf8(request)?;
    let path = request.strip_prefix("GET /").ok_or("not a GET")?.trim_end();
    let path = Path::new(path);
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err("a path that leaves the root".into());
    }
    send.write_all(&std::fs::read(root.join(path))?).await?;
    send.finish()?;
    Ok(())
}
