//! `quicast get` as its users see it: against `quicast serve`, and against a server that does what no good one does.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod interrupted;
mod redirects;
mod requests;
mod results;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use quicast::http3::{self, EarlyHints};
use quicast::{Connection, Endpoint};
use support::{Ended, Folder, Server};
use tls::pki_types::UnixTime;

/// A server of ours, with what it does wrong.
struct Peer {
    url: String,
    endpoint: Endpoint,
    // The last to go: the requests run there.
    _runtime: tokio::runtime::Runtime,
}

impl Peer {
    /// Serves every connection like this. Its certificate is `peer.pem` in the folder.
    #[expect(clippy::unwrap_used, reason = "a test that cannot start its server has failed")]
    fn start<F>(folder: &Folder, serve: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
        std::fs::write(folder.path("peer.pem"), certificate.chain_pem()).unwrap();
        let config = tls::development::server_config(&certificate, &[http3::ALPN]).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let endpoint = Endpoint::server(Arc::new(config), "127.0.0.1:0".parse().unwrap()).unwrap();
        let accepting = endpoint.clone();
        runtime.spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let Ok(connecting) = incoming.accept() else { continue };
                let Ok(connection) = connecting.await else { continue };
                tokio::spawn(serve(connection));
            }
        });
        let url = format!("https://{}", endpoint.local_addr());
        drop(_entered);
        Self { url, endpoint, _runtime: runtime }
    }

    fn routes(folder: &Folder, router: Router) -> Self {
        Self::start(folder, move |connection| {
            let router = router.clone();
            async move { http3::serve_connection(connection, router).ended().await }
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Runs the command, which trusts this server.
    fn get(&self, folder: &Folder, path: &str, arguments: &[&str]) -> Ended {
        let (url, trusted) = (self.at(path), folder.text("peer.pem"));
        let mut all = vec!["get", &url, "--cacert", &trusted];
        all.extend(arguments);
        folder.run(&all, b"")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.endpoint.close(0, b"");
    }
}

/// A server of this program, and its URL.
fn site(folder: &Folder) -> (Server, String) {
    let server = Server::start(folder, &[]);
    let url = format!("https://{}", server.address());
    (server, url)
}

fn fetch(folder: &Folder, arguments: &[&str]) -> Ended {
    fetch_with(folder, arguments, b"")
}

fn fetch_with(folder: &Folder, arguments: &[&str], input: &[u8]) -> Ended {
    let all: Vec<&str> = ["get"].iter().chain(arguments).copied().collect();
    folder.run(&all, input)
}

/// It fails with this code, in one line with these words.
#[track_caller]
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("quicast: "), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}

/// What `/headers` says arrived.
#[expect(clippy::unwrap_used, reason = "a test that gets no answer has failed")]
fn arrived(ended: &Ended) -> (String, BTreeMap<String, Vec<String>>) {
    let told = ended.json();
    (told["method"].as_str().unwrap().to_owned(), serde_json::from_value(told["headers"].clone()).unwrap())
}

/// Bytes that nobody makes by accident.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Says what it was asked, as the answer.
async fn mirror(request: Request) -> String {
    let mut told = format!("{} {}", request.method(), request.uri().path());
    for name in [header::AUTHORIZATION, header::COOKIE, header::CONTENT_TYPE] {
        if request.headers().contains_key(&name) {
            told.push_str(&format!(" {name}"));
        }
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    format!("{told} {}", String::from_utf8_lossy(&body))
}

fn to(status: u16, location: &str) -> axum::routing::MethodRouter {
    let location = location.to_owned();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
    any(move || {
        let location = location.clone();
        async move { (status, [(header::LOCATION, location)], "moved") }
    })
}
