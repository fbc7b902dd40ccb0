//! The client: one connection, one thing done on it, one line printed.

use peer_options::Options;
use crate::{Failure, describe, endpoint_config};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A version which quinn can start with and nobody else knows any more (draft 29).
const FORGOTTEN_VERSION: u32 = 0xff00_001d;
/// Bytes which must have come back before --key-update and --rebind act.
const ACT_AFTER: usize = 32 * 1024;
/// How often --wait-for-reset says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_millis(50);

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let address: SocketAddr = options.address.parse()?;
    let socket = UdpSocket::bind((address.ip(), 0))?;
    let mut own = endpoint_config();
    if options.has("offer-version") {
        own.supported_versions(vec![FORGOTTEN_VERSION, 1]);
    }
    let endpoint = Endpoint::new(own, None, socket, Arc::new(quinn::TokioRuntime))?;
    let mut config = client_config(&options)?;
    if options.has("offer-version") {
        // quinn reports the Version Negotiation packet and leaves the second attempt to its user.
        config.version(FORGOTTEN_VERSION);
        match endpoint.connect_with(config.clone(), address, "localhost")?.await {
            Err(quinn::ConnectionError::VersionMismatch) => println!("version negotiation received"),
            Err(other) => return Err(describe(&other).into()),
            Ok(_) => return Err("the server speaks draft 29".into()),
        }
        config.version(1);
    }
    let connection = endpoint.connect_with(config, address, "localhost")?.await.map_err(|error| describe(&error))?;
    act(&options, &endpoint, &connection).await.map_err(|failure| -> Failure {
        connection.close_reason().map_or(failure, |reason| describe(&reason).into())
    })?;
    let (code, reason) = options.close(0, "done")?;
    connection.close(VarInt::from_u64(code)?, reason.as_bytes());
    // The close has to leave the socket before the process ends.
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
    tls.alpn_protocols = vec![if options.has("get") { b"hq-interop".to_vec() } else { b"echo".to_vec() }];
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    if options.has("wait-for-reset") {
        // A server that came back without memory must hear something to say so.
        let mut transport = TransportConfig::default();
        transport.keep_alive_interval(Some(KEEP_ALIVE));
        config.transport_config(Arc::new(transport));
    }
    Ok(config)
}

async fn act(options: &Options, endpoint: &Endpoint, connection: &Connection) -> Result<(), Failure> {
    if let Some(path) = options.text("get") {
        return download(connection, path, options.required("output")?).await;
    }
    if options.has("close-request") {
        return request_close(connection, options.required("close-request")?).await;
    }
    if options.has("wait-for-reset") {
        return wait_for_reset(connection).await;
    }
    let bytes = options.number("bytes", 1000)?;
    if options.has("datagrams") {
        return echo_datagrams(connection, options.number("datagrams", 0)?, bytes).await;
    }
    if options.has("unidirectional") {
        return echo_unidirectional(connection, options.number("unidirectional", 0)?, bytes).await;
    }
    echo(options, endpoint, connection, options.number("streams", 1)?, bytes).await
}

async fn echo(
    options: &Options,
    endpoint: &Endpoint,
    connection: &Connection,
    streams: usize,
    bytes: usize,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut running = Vec::with_capacity(streams);
    for number in 0..streams {
        let (send, receive) = connection.open_bi().await?;
        let data = pattern(number, bytes);
        let act = (number == 0).then(|| Act {
            connection: connection.clone(),
            endpoint: endpoint.clone(),
            key_update: options.has("key-update"),
            rebind: options.has("rebind"),
        });
        running.push(tokio::spawn(echo_stream(send, receive, data, act)));
    }
    for stream in running {
        stream.await??;
    }
    println!("echoed streams={streams} bytes={} milliseconds={}", streams * bytes, started.elapsed().as_millis());
    Ok(())
}

/// What the first stream does to the connection once bytes have come back.
struct Act {
    connection: Connection,
    endpoint: Endpoint,
    key_update: bool,
    rebind: bool,
}

impl Act {
    fn perform(&self) -> Result<(), Failure> {
        if self.key_update {
            self.connection.force_key_update();
        }
        if self.rebind {
            self.endpoint.rebind(UdpSocket::bind((self.endpoint.local_addr()?.ip(), 0))?)?;
        }
        Ok(())
    }
}

async fn echo_stream(
    mut send: SendStream,
    mut receive: RecvStream,
    data: Vec<u8>,
    mut act: Option<Act>,
) -> Result<(), Failure> {
    let data: Arc<[u8]> = data.into();
    let sent = data.clone();
    let sender = tokio::spawn(async move {
        send.write_all(&sent).await?;
        send.finish()?;
        Ok::<SendStream, Failure>(send)
    });
    let mut position = 0;
    while let Some(chunk) = receive.read_chunk(64 * 1024, true).await? {
        if data.get(position..position + chunk.bytes.len()) != Some(&chunk.bytes[..]) {
            return Err(format!("the echo differs near byte {position}").into());
        }
        position += chunk.bytes.len();
        if position >= ACT_AFTER.min(data.len())
            && let Some(act) = act.take()
        {
            act.perform()?;
        }
    }
    sender.await??;
    if position == data.len() { Ok(()) } else { Err(format!("{position} of {} bytes came back", data.len()).into()) }
}

async fn echo_unidirectional(connection: &Connection, streams: usize, bytes: usize) -> Result<(), Failure> {
    let mut wanted: Vec<Vec<u8>> = (0..streams).map(|number| pattern(number, bytes)).collect();
    for data in wanted.clone() {
        let mut send = connection.open_uni().await?;
        send.write_all(&data).await?;
        send.finish()?;
    }
    for _ in 0..streams {
        let got = connection.accept_uni().await?.read_to_end(64 << 20).await?;
        let place = wanted.iter().position(|data| *data == got).ok_or("a stream came back changed")?;
        wanted.swap_remove(place);
    }
    println!("echoed unidirectional streams={streams}");
    Ok(())
}

async fn echo_datagrams(connection: &Connection, datagrams: usize, bytes: usize) -> Result<(), Failure> {
    for number in 0..datagrams {
        let data = pattern(number, bytes);
        // Datagrams may be lost, even here: each is tried some times.
        let mut tries = 0;
        loop {
            connection.send_datagram(data.clone().into())?;
            match tokio::time::timeout(Duration::from_millis(500), connection.read_datagram()).await {
                Ok(got) if *got.as_ref().map_err(describe)? == data => break,
                Ok(_) => return Err("a datagram came back changed".into()),
                Err(_) if tries == 5 => return Err(format!("datagram {number} never came back").into()),
                Err(_) => tries += 1,
            }
        }
    }
    println!("echoed datagrams={datagrams}");
    Ok(())
}

async fn request_close(connection: &Connection, what: &str) -> Result<(), Failure> {
    let (mut send, _receive) = connection.open_bi().await?;
    send.write_all(format!("close {what}").as_bytes()).await?;
    send.finish()?;
    println!("{}", describe(&connection.closed().await));
    Ok(())
}

/// Echoes a little, and then says that it is still there, until the server that came back without memory says so.
async fn wait_for_reset(connection: &Connection) -> Result<(), Failure> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(b"hello").await?;
    let mut back = [0; 5];
    receive.read_exact(&mut back).await?;
    println!("ready");
    let reason = connection.closed().await;
    println!("{}", describe(&reason));
    if reason == quinn::ConnectionError::Reset { Ok(()) } else { Err("not a stateless reset".into()) }
}

async fn download(connection: &Connection, path: &str, output: &str) -> Result<(), Failure> {
    let started = Instant::now();
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(format!("GET {path}\r\n").as_bytes()).await?;
    send.finish()?;
    let data = receive.read_to_end(1 << 30).await?;
    std::fs::write(output, &data)?;
    println!("downloaded bytes={} milliseconds={}", data.len(), started.elapsed().as_millis());
    Ok(())
}

/// Bytes which repeat nowhere near each other, different for each stream.
fn pattern(stream: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at.wrapping_mul(131) ^ (at >> 8).wrapping_mul(17) ^ stream.wrapping_mul(29) ^ (stream >> 8)) as u8)
        .collect()
}
