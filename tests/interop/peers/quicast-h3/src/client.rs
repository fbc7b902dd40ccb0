//! The client: one connection, one thing done on it, one line printed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quicast::tls::development;
use quicast::tls::pki_types::CertificateDer;
use quicast::tls::pki_types::pem::PemObject as _;
use quicast::{Connection, Endpoint};

use crate::http::{self, Message, NO_ERROR};
use crate::options::{Options, code_and_reason};
use crate::{ACT_AFTER, Failure, describe, qpack, update_keys};

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let address: SocketAddr = options.address.parse()?;
    let roots = CertificateDer::pem_file_iter(options.required("cacert")?)?.collect::<Result<Vec<_>, _>>()?;
    let mut tls = development::client_config(&roots, &[b"h3"])?;
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    let endpoint = Endpoint::client(SocketAddr::new(address.ip(), 0))?;
    endpoint.set_client_config(Arc::new(tls));
    let connection = endpoint.connect(address, "localhost").await?;
    tokio::spawn(http::control(connection.clone()));
    if options.has("wait-for-close") {
        println!("ready");
        println!("{}", describe(&connection.closed().await));
        return Ok(());
    }
    let client = Arc::new(Client {
        endpoint: endpoint.clone(),
        connection: connection.clone(),
        authority: format!("localhost:{}", address.port()),
        bytes: AtomicU64::new(0),
        key_update: AtomicBool::new(options.has("key-update")),
        rebind: AtomicBool::new(options.has("rebind")),
    });
    client.act(options).await.map_err(|failure| -> Failure {
        connection.close_reason().map_or(failure, |reason| describe(&reason).into())
    })?;
    let default = (NO_ERROR, "");
    let (code, reason) = options.text("close").map_or(Ok(default), code_and_reason)?;
    connection.close(code, reason.as_bytes());
    // The close has to leave the socket before the process ends.
    let _ = tokio::time::timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
    Ok(())
}

/// What the requests share.
struct Client {
    endpoint: Endpoint,
    connection: Connection,
    authority: String,
    bytes: AtomicU64,
    /// Whether the keys are still to be updated.
    key_update: AtomicBool,
    /// Whether the port is still to be changed.
    rebind: AtomicBool,
}

impl Client {
    /// Requests --get, with the file --post as its body; if --streams are more than one, the files of that folder.
    async fn act(self: Arc<Self>, options: &Options) -> Result<(), Failure> {
        let streams = options.number("streams", 1)?;
        let (path, output) = (options.required("get")?.to_owned(), PathBuf::from(options.required("output")?));
        if streams > 1 {
            return self.many(streams, &path, &output).await;
        }
        let body = options.text("post").map(std::fs::read).transpose()?.map(Bytes::from);
        self.request(path, body, output).await?;
        println!("requested streams=1 bytes={}", self.bytes.load(Ordering::Relaxed));
        Ok(())
    }

    async fn many(self: Arc<Self>, streams: usize, folder: &str, output: &Path) -> Result<(), Failure> {
        let mut running = Vec::with_capacity(streams);
        for number in 0..streams {
            let (client, path, output) =
                (self.clone(), format!("{folder}/{number}"), output.with_file_name(number.to_string()));
            running.push(tokio::spawn(async move { client.request(path, None, output).await }));
        }
        for request in running {
            request.await??;
        }
        println!("requested streams={streams} bytes={}", self.bytes.load(Ordering::Relaxed));
        Ok(())
    }

    async fn request(&self, path: String, body: Option<Bytes>, output: PathBuf) -> Result<(), Failure> {
        let (mut send, receive) = self.connection.open_bi().await?;
        let length = body.as_ref().map_or(0, Bytes::len).to_string();
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut fields =
            vec![(":method", method), (":scheme", "https"), (":authority", &self.authority), (":path", &path)];
        if body.is_some() {
            fields.push(("content-length", &length));
        }
        http::send(&mut send, &fields, body).await?;
        // Waits until the server's QUIC has everything, whatever its HTTP does with it.
        let sent = send.finish();
        let mut message = Message::new(receive);
        let fields = message.fields().await?;
        let status = qpack::value(&fields, ":status");
        if status != "200" {
            return Err(format!("{path}: status {status}").into());
        }
        let mut whole = Vec::new();
        while let Some(data) = message.body().await? {
            whole.extend_from_slice(&data);
            self.moved(data.len() as u64)?;
        }
        sent.await?;
        std::fs::write(output, whole)?;
        Ok(())
    }

    fn moved(&self, bytes: u64) -> Result<(), Failure> {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < ACT_AFTER {
            return Ok(());
        }
        if self.key_update.swap(false, Ordering::Relaxed) {
            tokio::spawn(update_keys(self.connection.clone()));
        }
        if self.rebind.swap(false, Ordering::Relaxed) {
            self.endpoint.rebind(SocketAddr::new(self.endpoint.local_addr().ip(), 0))?;
        }
        Ok(())
    }
}
