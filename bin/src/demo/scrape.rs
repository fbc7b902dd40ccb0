//! Asks as Prometheus asks the admin address, or as a browser the site: one request, one answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::address::plain;
use crate::certificate::Found;
use crate::error::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The body of an answer that is 200.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::failed(format_args!("http://{address}{path}: {why}"));
    let asked = tokio::time::timeout(PATIENCE, async {
        ask(TcpStream::connect(address).await?, &address.to_string(), path).await
    })
    .await;
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(plain(&error))),
        Err(_) => return Err(failed("no answer for 5 s".to_owned())),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200 ") {
        Ok(body.to_owned())
    } else {
        Err(failed(head.lines().next().unwrap_or_default().to_owned()))
    }
}

/// The head and the body of an answer that is 200, over TLS with this certificate.
pub(super) async fn get_secure(
    address: SocketAddr,
    certificate: &Found,
    path: &str,
) -> Result<(String, String), Failure> {
    let failed = |why: String| Failure::failed(format_args!("https://localhost:{}{path}: {why}", address.port()));
    let config = tls::development::client_config(certificate.certificate.chain(), &[b"http/1.1"])
        .map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from("localhost").map_err(|error| failed(error.to_string()))?;
    let asking = async {
        let stream = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        ask(stream, "localhost", path).await
    };
    let answer = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| failed(plain(&error)))?,
        Err(_) => return Err(failed(format!("no answer for {} s", PATIENCE.as_secs()))),
    };
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok((head.to_ascii_lowercase(), body.to_owned())),
        _ => Err(failed(answer.lines().next().unwrap_or_default().to_owned())),
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> std::io::Result<String> {
    // HTTP/1.0: the body ends with the connection, without chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    // A server of HTTP/1.1 answers with the version of the request, or with its own.
    Ok(answer.replacen("HTTP/1.0", "HTTP/1.1", 1))
}
