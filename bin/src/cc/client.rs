//! [`Client`]: speaks to the admin address of a server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{Method, Request, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::plain;
use crate::admin::token;
use crate::error::Failure;

/// How long an answer may take: a change of very many connections takes some time.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer that is longer comes from something else.
const LONGEST_ANSWER: usize = 64 << 20;

/// See the module. One request, one connection: there are few of either.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    host: String,
    port: u16,
    token_file: Option<PathBuf>,
}

impl Client {
    /// Of the server whose admin address is this.
    ///
    /// # Errors
    /// It is no `http://HOST:PORT`.
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let wrong = || Failure::usage(format_args!("--admin {url}: not an admin address; write http://127.0.0.1:9440"));
        let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let host = uri.host().ok_or_else(wrong)?.to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), token_file: token_file.map(Path::to_owned) })
    }

    /// What is there.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Puts something in its place. Shows the token.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// Takes something away. Shows the token.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let asking = timeout(PATIENCE, self.exchange(method, path, body)).await;
        let silent = || Failure::failed(format_args!("{self}: no answer for {} s", PATIENCE.as_secs()));
        let (status, answer) = asking.unwrap_or_else(|_| Err(silent()))?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|_| {
            Failure::failed(format_args!("{self}: the answer ({status}) is not from an admin address of quicast"))
        })?;
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, axum::body::Bytes), Failure> {
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await.map_err(|error| self.nobody(&error))?;
        let peer = stream.peer_addr().map_err(|error| self.failed(&error))?;
        let mut request = Request::builder().method(method.clone()).uri(path);
        request = request.header(HOST, format!("{}:{}", self.host, self.port));
        if method != Method::GET {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token(peer)?));
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).map_err(Failure::failed)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.failed(&error))?;
        // It ends with the sender.
        tokio::spawn(async move { connection.await.ok() });
        let response = sender.send_request(request).await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        let body = axum::body::to_bytes(Body::new(response.into_body()), LONGEST_ANSWER).await;
        Ok((status, body.map_err(|error| self.failed(&error))?))
    }

    /// The token goes to this machine only: nothing here hides it on the way elsewhere.
    fn token(&self, peer: SocketAddr) -> Result<String, Failure> {
        if !peer.ip().to_canonical().is_loopback() {
            return Err(Failure::failed(format_args!(
                "{self} is not on this machine, and the token is not sent over a network in the clear; use `ssh -L {}:127.0.0.1:{}`",
                self.port, self.port
            )));
        }
        let places = self.token_file.clone().map_or_else(|| token::places(self.port), |file| vec![file]);
        let found = places.iter().find_map(|place| std::fs::read_to_string(place).ok());
        let token = found.map(|token| token.trim().to_owned());
        token.filter(|token| !token.is_empty() && token.bytes().all(|letter| letter.is_ascii_graphic())).ok_or_else(|| {
            let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
            Failure::failed(format_args!(
                "no token for {self}: looked for {}; is the server another user's, or was it started with --admin-token-file? give --token-file FILE",
                places.join(" and ")
            ))
        })
    }

    fn nobody(&self, error: &std::io::Error) -> Failure {
        let why = plain(error);
        Failure::failed(format_args!(
            "{self}: no server there ({why}); start `quicast serve`, or say where it is with --admin URL"
        ))
    }

    fn failed(&self, error: &dyn std::error::Error) -> Failure {
        Failure::failed(format_args!("{self}: {error}"))
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// What the server says; what is wrong with the request itself is wrong usage.
fn refused(status: StatusCode, answer: &Value) -> Failure {
    let error = answer["error"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    let what = match answer["field"].as_str() {
        Some(field) => format!("{field}: {error}"),
        None => error,
    };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Failure::usage(what),
        StatusCode::UNAUTHORIZED => Failure::failed(format_args!("{what}; the token file is an older server's?")),
        _ => Failure::failed(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_is_plain_http() {
        let shown = |url| Client::new(url, None).map(|client| client.to_string());
        for (url, address) in [
            ("http://127.0.0.1:9440", "http://127.0.0.1:9440"),
            ("http://localhost:1/", "http://localhost:1"),
            ("[::1]:9440", "http://[::1]:9440"),
            ("127.0.0.1:7", "http://127.0.0.1:7"),
        ] {
            assert_eq!(shown(url).unwrap(), address);
        }
        for url in ["https://127.0.0.1:9440", "http://", "http://a/b", "http://a:1/?x", "a b", ""] {
            assert!(shown(url).unwrap_err().to_string().contains("http://127.0.0.1:9440"), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_request_is_usage() {
        let refused = |status, answer: Value| refused(status, &answer);
        let failure = refused(StatusCode::UNPROCESSABLE_ENTITY, serde_json::json!({"error": "no", "field": "x"}));
        assert_eq!(failure, Failure::usage("x: no"));
        let failure = refused(StatusCode::NOT_FOUND, serde_json::json!({"error": "gone"}));
        assert_eq!(failure, Failure::failed("gone"));
    }
}
