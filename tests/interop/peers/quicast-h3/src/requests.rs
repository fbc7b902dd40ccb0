//! Requests, all at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use quicast::http3::RequestSender;
use quicast::{Connection, Endpoint};

use crate::Failure;
use crate::client::update_keys;
use peer_options::Options;

/// Bytes moved on a connection before --key-update, --rebind act.
const ACT_AFTER: u64 = 32 * 1024;
/// Of a body, in a piece.
const CHUNK: usize = 256 * 1024;

type Content = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// What is done to the connection once bytes have moved.
pub(crate) struct Midway {
    endpoint: Endpoint,
    connection: Connection,
    bytes: AtomicU64,
    /// Whether the keys are still to be updated.
    key_update: AtomicBool,
    /// Whether the port is still to be changed.
    rebind: AtomicBool,
}

impl Midway {
    pub(crate) fn new(endpoint: Endpoint, connection: Connection, options: &Options) -> Self {
        let (key_update, rebind) = (options.has("key-update"), options.has("rebind"));
        let (key_update, rebind) = (AtomicBool::new(key_update), AtomicBool::new(rebind));
        Self { endpoint, connection, bytes: AtomicU64::new(0), key_update, rebind }
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

/// Requests every --path, with the file --post as the content.
pub(crate) async fn all(
    sender: &RequestSender,
    authority: &str,
    options: &Options,
    midway: Midway,
) -> Result<(), Failure> {
    let folder = PathBuf::from(options.required("output")?);
    let content = options.text("post").map(std::fs::read).transpose()?.map(Bytes::from);
    let midway = Arc::new(midway);
    let mut running = Vec::with_capacity(options.all("path").len());
    for (number, path) in options.all("path").iter().enumerate() {
        let request = request(authority, path, content.clone(), options)?;
        let (sender, midway) = (sender.clone(), midway.clone());
        let output = folder.join(Path::new(path).file_name().ok_or("a path without a last part")?);
        if options.has("one-by-one") {
            one(number, &sender, request, &output, &midway).await?;
            continue;
        }
        running.push(tokio::spawn(async move { one(number, &sender, request, &output, &midway).await }));
    }
    for request in running {
        request.await??;
    }
    Ok(())
}

fn request(
    authority: &str,
    path: &str,
    content: Option<Bytes>,
    options: &Options,
) -> Result<Request<Content>, Failure> {
    let method = if content.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(format!("https://{authority}{path}"));
    request = request.header(header::USER_AGENT, "quicast");
    if let Some(priority) = options.text("priority") {
        request = request.header(HeaderName::from_static("priority"), priority);
    }
    if options.has("one-by-one") {
        // Long, and the same in each request: worth an entry of the dynamic table.
        for letter in ["a", "b", "c"] {
            request = request.header(format!("x-interop-{letter}"), letter.repeat(40));
        }
    }
    let trailers = options.has("trailers");
    if let (Some(content), false) = (&content, trailers) {
        request = request.header(header::CONTENT_LENGTH, content.len());
    }
    let mut frames: Vec<Result<Frame<Bytes>, std::convert::Infallible>> = Vec::new();
    let mut rest = content.unwrap_or_default();
    while !rest.is_empty() {
        frames.push(Ok(Frame::data(rest.split_to(CHUNK.min(rest.len())))));
    }
    if trailers {
        let fields = [(HeaderName::from_static("x-interop"), HeaderValue::from_static("forty-two"))];
        frames.push(Ok(Frame::trailers(HeaderMap::from_iter(fields))));
    }
    if frames.is_empty() {
        return Ok(request.body(http_body_util::Empty::new().boxed_unsync())?);
    }
    Ok(request.body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())?)
}

async fn one(
    number: usize,
    sender: &RequestSender,
    request: Request<Content>,
    output: &Path,
    midway: &Midway,
) -> Result<(), Failure> {
    let path = request.uri().path().to_owned();
    let mut response = sender.send(request).await.map_err(|error| format!("{path}: {error}"))?;
    let mut whole = Vec::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = response.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                whole.extend_from_slice(&data);
                midway.moved(data.len() as u64)?;
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    println!("answer {number} status={} bytes={}", response.status().as_u16(), whole.len());
    for (name, value) in &trailers {
        println!("trailer {name}={}", value.to_str()?);
    }
    if response.status() != http::StatusCode::OK {
        return Err(format!("{path}: status {}", response.status()).into());
    }
    std::fs::write(output, whole)?;
    Ok(())
}
