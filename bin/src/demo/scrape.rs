//! Asks the admin address as Prometheus would: one request, one answer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::address::plain;
use crate::error::Failure;

/// The body of an answer that is 200.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::failed(format_args!("http://{address}{path}: {why}"));
    let asked = tokio::time::timeout(Duration::from_secs(5), ask(address, path)).await;
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

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // HTTP/1.0: the body ends with the connection, without chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    // A server of HTTP/1.1 answers with the version of the request, or with its own.
    Ok(answer.replacen("HTTP/1.0", "HTTP/1.1", 1))
}
