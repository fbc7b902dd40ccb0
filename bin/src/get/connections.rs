//! [`Connections`]: one to each server, made when it is needed and used by everybody who asks for the same server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use quicast::http3::{self, RequestSender};
use quicast::{CloseReason, ConnectError, Endpoint, TransportConfig};
use rustls::{ClientConfig, KeyLog};
use tokio::sync::Mutex;

use super::arguments::Get;
use super::verbose::Verbose;
use crate::address::Server;
use crate::echo::connect::{self, Trust, advice};
use crate::endpoint::ClientSettings;
use crate::keylog;
use crate::request::problem::{Problem, code};
use crate::request::resolve::{Families, resolve};
use crate::request::url::Url;

/// How long an address is tried before the next one is tried as well (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How long a handshake may take, if nothing else was said. A closed UDP port is silent, so this is also how long it takes
/// to find out that nobody listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long connections may take for their good-byes.
const GOOD_BYE: Duration = Duration::from_secs(1);
/// The alert that says so (RFC 8446 §6).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// A connection that is there.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) requests: RequestSender,
    /// How long the name took, and the handshake after it.
    pub(super) name_lookup: Duration,
    pub(super) handshake: Duration,
    /// Whether the keys were updated, as the user wished.
    pub(super) key_updated: bool,
}

/// A connection for a request, and whether somebody used it before.
#[derive(Clone, Debug)]
pub(super) struct Lent {
    pub(super) held: Arc<Held>,
    pub(super) reused: bool,
}

/// One server's place.
#[derive(Debug, Default)]
struct Slot {
    /// How often a connection was tried.
    attempts: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<Held>>,
    /// What the last attempt failed with: it is also the answer for who waited for it.
    failure: Option<Problem>,
}

/// See the module.
pub(super) struct Connections<'a> {
    arguments: &'a Get,
    verbose: Verbose,
    key_log: Option<Arc<dyn KeyLog>>,
    /// A socket for each family, IPv4 first.
    endpoints: Mutex<[Option<Endpoint>; 2]>,
    slots: Mutex<BTreeMap<(String, u16), Arc<Slot>>>,
}

impl<'a> Connections<'a> {
    pub(super) fn new(arguments: &'a Get, verbose: Verbose) -> Result<Self, Problem> {
        let key_log =
            keylog::open(arguments.tuning.keylog.as_deref()).map_err(|failure| Problem::new(code::WRITE, failure))?;
        Ok(Self { arguments, verbose, key_log, endpoints: Mutex::default(), slots: Mutex::default() })
    }

    /// A connection to the server of this URL: the one that is there, or a new one.
    pub(super) async fn to(&self, url: &Url) -> Result<Lent, Problem> {
        let slot = self.slots.lock().await.entry((url.host.clone(), url.port)).or_default().clone();
        let seen = slot.attempts.load(Ordering::Relaxed);
        let mut state = slot.state.lock().await;
        if let Some(held) = state.held.as_ref().filter(|held| !held.requests.is_over()) {
            self.verbose.fact(format_args!("reusing the connection to {}", url.authority()));
            return Ok(Lent { held: held.clone(), reused: true });
        }
        if slot.attempts.load(Ordering::Relaxed) != seen
            && let Some(problem) = &state.failure
        {
            return Err(problem.clone());
        }
        let dialled = self.dial(url).await;
        slot.attempts.fetch_add(1, Ordering::Relaxed);
        match dialled {
            Ok(held) => {
                let held = Arc::new(held);
                state.held = Some(held.clone());
                Ok(Lent { held, reused: false })
            }
            Err(problem) => {
                state.failure = Some(problem.clone());
                Err(problem)
            }
        }
    }

    /// Says good-bye on all of them.
    pub(super) async fn close(self) {
        for slot in self.slots.into_inner().into_values() {
            if let Some(held) = slot.state.lock().await.held.take() {
                // What has been given up is told before the end is.
                tokio::time::timeout(GOOD_BYE, held.requests.shut_down()).await.ok();
            }
        }
        for endpoint in self.endpoints.into_inner().into_iter().flatten() {
            endpoint.close(http3::Code::H3_NO_ERROR.0, b"");
            tokio::time::timeout(GOOD_BYE, endpoint.wait_idle()).await.ok();
        }
    }

    async fn dial(&self, url: &Url) -> Result<Held, Problem> {
        let patience = self.arguments.connect_timeout;
        let dialling = self.dial_without_limit(url);
        match patience {
            None => dialling.await,
            Some(patience) => tokio::time::timeout(patience, dialling).await.unwrap_or_else(|_| {
                let seconds = patience.as_secs_f64();
                Err(Problem::new(
                    code::TIMEOUT,
                    format_args!("{}: no connection within {seconds} s (--connect-timeout)", url.authority()),
                ))
            }),
        }
    }

    async fn dial_without_limit(&self, url: &Url) -> Result<Held, Problem> {
        let began = Instant::now();
        let families = Families { v4: !self.arguments.ipv6, v6: !self.arguments.ipv4 };
        let addresses = resolve(url, &self.arguments.asked.resolve, families).await?;
        let name_lookup = began.elapsed();
        let server = Server { name: url.host.clone(), addresses };
        let tls = Arc::new(self.tls(&server)?);
        let began = Instant::now();
        let mut waiting = server.addresses.iter().copied();
        let mut attempts = FuturesUnordered::new();
        let mut worst: Option<Problem> = None;
        loop {
            match waiting.next() {
                Some(address) => {
                    self.verbose.fact(format_args!("trying {address} ..."));
                    attempts.push(self.attempt(address, &server.name, tls.clone()));
                }
                None if attempts.is_empty() => {
                    let nowhere = || Problem::new(code::RESOLVE, format_args!("{}: no address", server.name));
                    return Err(worst.unwrap_or_else(nowhere));
                }
                None => {}
            }
            tokio::select! {
                Some(ended) = attempts.next() => match ended {
                    Ok(connection) => {
                        return self.established(connection, name_lookup, began.elapsed()).await;
                    }
                    Err(problem) => {
                        self.verbose.fact(&problem.message);
                        // What a server says is more than what nobody says.
                        if worst.as_ref().is_none_or(|worst| worst.code == code::CONNECT) {
                            worst = Some(problem);
                        }
                    }
                },
                () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
            }
        }
    }

    async fn established(
        &self,
        connection: quicast::Connection,
        name_lookup: Duration,
        handshake: Duration,
    ) -> Result<Held, Problem> {
        self.verbose.connection(&connection, handshake);
        let key_updated = self.arguments.key_update;
        if key_updated {
            self.update_keys(&connection).await?;
        }
        let requests = http3::connect(connection).map_err(|error| Problem::of_exchange(&error))?;
        Ok(Held { requests, name_lookup, handshake, key_updated })
    }

    async fn update_keys(&self, connection: &quicast::Connection) -> Result<(), Problem> {
        let began = Instant::now();
        let updated = crate::endpoint::update_keys(connection).await;
        updated.map_err(|error| {
            let remote = connection.remote_address();
            let why = connection.close_reason().map_or_else(|| error.to_string(), |reason| reason.to_string());
            Problem::new(code::QUIC, format_args!("{remote}: no key update: {why}"))
        })?;
        let after = crate::units::time(began.elapsed());
        self.verbose
            .fact(format_args!("key update begun, {after} after the handshake: what follows is under new keys"));
        Ok(())
    }

    fn tls(&self, server: &Server) -> Result<ClientConfig, Problem> {
        let trust = match (&self.arguments.cacert, self.arguments.insecure) {
            (_, true) => Trust::Anybody,
            (Some(file), _) => Trust::These(file),
            (None, _) => Trust::Machine,
        };
        let mut config =
            connect::trusting(server, trust, &[http3::ALPN]).map_err(|failure| Problem::new(code::CACERT, failure))?;
        if let Some(log) = &self.key_log {
            config.key_log = log.clone();
        }
        Ok(config)
    }

    async fn attempt(
        &self,
        address: SocketAddr,
        name: &str,
        tls: Arc<ClientConfig>,
    ) -> Result<quicast::Connection, Problem> {
        let endpoint = self.endpoint(address, &tls).await?;
        let reason = match endpoint.connect_with(tls, address, name).await {
            Ok(connection) => return Ok(connection),
            Err(ConnectError::Failed(reason)) => reason,
            Err(error) => {
                return Err(Problem::new(code::CONNECT, format_args!("cannot connect to {address}: {error}")));
            }
        };
        Err(match &reason {
            CloseReason::HandshakeTimeout | CloseReason::IdleTimeout => Problem::new(
                code::CONNECT,
                format_args!(
                    "{address} did not answer within {} s: is an HTTP/3 server running there, and may UDP pass?",
                    PATIENCE.as_secs()
                ),
            ),
            reason => refused(address, reason),
        })
    }

    /// The socket for this family.
    async fn endpoint(&self, remote: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Endpoint, Problem> {
        let mut endpoints = self.endpoints.lock().await;
        let endpoint = &mut endpoints[usize::from(remote.is_ipv6())];
        if let Some(endpoint) = endpoint {
            return Ok(endpoint.clone());
        }
        let local: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let patience = self.arguments.connect_timeout.map_or(PATIENCE, |limit| limit.saturating_add(PATIENCE));
        let mut transport = TransportConfig { handshake_timeout: patience, ..TransportConfig::default() };
        if let Some(algorithm) = self.arguments.tuning.cc {
            transport.congestion = algorithm;
        }
        let opened = crate::endpoint::client(SocketAddr::new(local, 0), tls.clone(), ClientSettings::new(transport))
            .map_err(|failure| Problem::new(code::CONNECT, failure))?;
        Ok(endpoint.insert(opened).clone())
    }
}

/// Why the handshake failed, and what helps.
fn refused(address: SocketAddr, reason: &CloseReason) -> Problem {
    let (alert, detail) = match reason {
        CloseReason::PeerTransport { code, .. } => (code.alert(), None),
        CloseReason::LocalTransport { error, detail } => (error.code.alert(), detail.as_deref()),
        _ => (None, None),
    };
    if let Some(advice) = detail.and_then(advice) {
        return Problem::new(code::CERTIFICATE, format_args!("{address}: {advice}"));
    }
    match alert {
        Some(NO_APPLICATION_PROTOCOL) => {
            Problem::new(code::TLS, format_args!("{address}: the server speaks QUIC, but not HTTP/3 (ALPN h3)"))
        }
        Some(_) => Problem::new(code::TLS, format_args!("{address}: the TLS handshake failed: {reason}")),
        None => Problem::new(code::QUIC, format_args!("{address}: the handshake failed: {reason}")),
    }
}
