//! The server: files of --root; what is sent to it comes back as a checksum; `/close/42/bye` closes the connection so.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use quicast::tls::{Certificate, development};
use quicast::{Connection, Endpoint, Incoming, RecvStream, RetryPolicy, SendStream};
use ring::digest;

use crate::http::{self, Message};
use crate::options::Options;
use crate::{ACT_AFTER, Failure, describe, qpack, update_keys};

/// The same in each run, so that a server which comes back can send stateless resets.
const RESET_KEY: [u8; 32] = [b'q'; 32];

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let read = |flag| -> Result<Vec<u8>, Failure> { Ok(std::fs::read(options.required(flag)?)?) };
    let certificate = Certificate::from_pem(&read("cert")?, &read("key")?)?;
    let mut tls = development::server_config(&certificate, &[b"h3"])?;
    tls.key_log = Arc::new(rustls::KeyLogFile::new());
    let retry = if options.has("retry") { RetryPolicy::Always } else { RetryPolicy::Never };
    let builder = Endpoint::builder().listen(options.required("listen")?.parse()?).server_config(Arc::new(tls));
    let endpoint = builder.retry(retry).reset_key(RESET_KEY).start()?;
    println!("listening on {}", endpoint.local_addr());
    let root: Arc<Path> = PathBuf::from(options.text("root").unwrap_or(".")).into();
    while let Some(incoming) = endpoint.accept().await {
        let (root, key_update) = (root.clone(), options.has("key-update"));
        tokio::spawn(async move {
            if let Err(failure) = serve(incoming, root, key_update).await {
                println!("failed {failure}");
            }
        });
    }
    Ok(())
}

/// What a connection's requests share.
struct Served {
    connection: Connection,
    root: Arc<Path>,
    bytes: AtomicU64,
    /// Whether the keys are still to be updated.
    key_update: AtomicBool,
}

async fn serve(incoming: Incoming, root: Arc<Path>, key_update: bool) -> Result<(), Failure> {
    let connection = incoming.accept()?.await?;
    tokio::spawn(http::control(connection.clone()));
    let (bytes, key_update) = (AtomicU64::new(0), AtomicBool::new(key_update));
    let served = Arc::new(Served { connection: connection.clone(), root, bytes, key_update });
    let mut streams = 0;
    let reason = loop {
        match connection.accept_bi().await {
            Ok((send, receive)) => {
                streams += 1;
                let served = served.clone();
                tokio::spawn(async move {
                    if let Err(failure) = served.request(send, receive).await {
                        println!("request {failure}");
                    }
                });
            }
            Err(reason) => break reason,
        }
    };
    println!("served streams={streams} bytes={}", served.bytes.load(Ordering::Relaxed));
    println!("{}", describe(&reason));
    Ok(())
}

impl Served {
    async fn request(&self, mut send: SendStream, receive: RecvStream) -> Result<(), Failure> {
        let mut message = Message::new(receive);
        let fields = message.fields().await?;
        let path = qpack::value(&fields, ":path").strip_prefix('/').ok_or("a request without a path")?;
        if let Some((code, reason)) = path.strip_prefix("close/").and_then(|rest| rest.split_once('/')) {
            self.connection.close(code.parse()?, reason.as_bytes());
            return Ok(());
        }
        let mut checksum = digest::Context::new(&digest::SHA256);
        let mut length = 0;
        while let Some(data) = message.body().await? {
            checksum.update(&data);
            length += data.len() as u64;
            self.moved(data.len() as u64);
        }
        let (status, body) = if qpack::value(&fields, ":method") == "POST" {
            let checksum: String = checksum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            ("200", Bytes::from(format!("{length} {checksum}\n")))
        } else {
            match self.file(Path::new(path)) {
                Some(file) => ("200", file),
                None => ("404", Bytes::new()),
            }
        };
        let size = body.len().to_string();
        self.moved(body.len() as u64);
        http::send(&mut send, &[(":status", status), ("content-length", &size)], Some(body)).await?;
        send.finish().await?;
        Ok(())
    }

    fn file(&self, path: &Path) -> Option<Bytes> {
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if inside { std::fs::read(self.root.join(path)).ok().map(Bytes::from) } else { None }
    }

    fn moved(&self, bytes: u64) {
        let moved = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if moved >= ACT_AFTER && self.key_update.swap(false, Ordering::Relaxed) {
            tokio::spawn(update_keys(self.connection.clone()));
        }
    }
}
