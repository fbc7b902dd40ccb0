//! `quicast serve`: a server for echoes and files.

pub(crate) mod buffers;
mod reset_key;
pub(crate) mod signals;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use quicast::{Endpoint, TransportConfig};
use tls::pki_types::UnixTime;

use self::signals::Signals;
use crate::admin::{self, Admin, Token};
use crate::certificate::{self, Found};
use crate::cli::{Serve, Tuning};
use crate::endpoint::{self, ServerSettings};
use crate::error::Failure;
use crate::perf::pattern::Depth;
use crate::services::hq::Files;
use crate::services::perf::Perf;
use crate::services::{PROTOCOLS, Services};
use crate::{address, keylog, out};

/// How long connections may take to come to their end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How often a draining server is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long closed connections may take to say so.
const GOOD_BYE: Duration = Duration::from_secs(3);

/// Carries the command out.
pub(crate) async fn run(arguments: Serve) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let (certificate, is_development) = match (&arguments.cert, &arguments.key) {
        (Some(cert), Some(key)) => (certificate::load(cert, key)?, false),
        _ => (certificate::development()?, true),
    };
    if let Some(warning) = certificate::time_warning(&certificate, UnixTime::now()) {
        out::note(warning);
    }
    let files = Files::new(arguments.root.as_deref())?;
    let reset_key = arguments.reset_key_file.as_deref().map(reset_key::load).transpose()?;
    let bound = admin::bind(&arguments.admin)?;
    let server = Server::start(Settings {
        addresses: address::to_listen(&arguments.listen)?,
        certificate: &certificate.certificate,
        tuning: &arguments.tuning,
        shards: arguments.shards,
        busy_poll: arguments.busy_poll,
        retry: arguments.retry,
        reset_key,
        key_update: arguments.key_update,
        files,
    })?;
    let token = arguments.admin_token_file.as_deref().map(Token::new).transpose()?;
    let admin = bound.map(|bound| bound.serve(server.endpoint.clone(), token)).transpose()?;
    announce(&server.endpoint, admin.as_ref(), is_development.then_some(&certificate));
    tokio::select! {
        () = signals.stop() => drain(server, admin.as_ref(), &mut signals).await,
        () = server.ended() => {
            Err(Failure::failed("the server's threads have failed; the log says why (RUST_LOG=error); start it again"))
        }
    }
}

/// What a server is made of.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) addresses: Vec<std::net::SocketAddr>,
    pub(crate) certificate: &'a tls::Certificate,
    pub(crate) tuning: &'a Tuning,
    pub(crate) shards: Option<u16>,
    pub(crate) busy_poll: Option<Duration>,
    pub(crate) retry: bool,
    pub(crate) reset_key: Option<[u8; 32]>,
    pub(crate) key_update: bool,
    pub(crate) files: Files,
}

/// A server that accepts and serves connections.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
}

impl Server {
    /// Listens, and serves whoever comes.
    pub(crate) fn start(settings: Settings<'_>) -> Result<Self, Failure> {
        let mut tls = tls::development::server_config(settings.certificate, &PROTOCOLS)
            .map_err(|error| Failure::failed(format_args!("the certificate cannot be used: {error}")))?;
        if let Some(log) = keylog::open(settings.tuning.keylog.as_deref())? {
            tls.key_log = log;
        }
        let mut transport = TransportConfig::default();
        if let Some(algorithm) = settings.tuning.cc {
            transport.congestion = algorithm;
        }
        let perf = Perf::new(Depth::Ends);
        let files = Arc::new(settings.files);
        let services = Services { files, perf: perf.clone(), key_update: settings.key_update };
        let endpoint = endpoint::server(
            ServerSettings {
                addresses: settings.addresses,
                tls,
                transport,
                shards: settings.shards,
                busy_poll: settings.busy_poll,
                retry: settings.retry,
                reset_key: settings.reset_key,
            },
            services,
        )?;
        perf.watch(endpoint.metrics());
        Ok(Self { endpoint })
    }

    /// Waits until it can serve nobody any more, which only a failure of its own brings about.
    pub(crate) async fn ended(&self) {
        // Whoever comes is served on the thread of the connection; here, only the end is heard of.
        while self.endpoint.accept().await.is_some() {}
    }

    /// Refuses new connections, lets those that there are come to their end in this time, and ends.
    pub(crate) async fn shutdown(&self, within: Duration) {
        self.endpoint.shutdown(within).await;
    }

    /// Closes everything at once.
    pub(crate) async fn close(&self) {
        self.endpoint.close(0, b"the server stops");
        tokio::time::timeout(GOOD_BYE, self.endpoint.wait_idle()).await.ok();
    }
}

/// Says that the server is ready, and what its user will want to know.
fn announce(endpoint: &Endpoint, admin: Option<&Admin>, development: Option<&Found>) {
    if let Some(Found { certificate, path }) = development {
        out::line(format_args!("certificate   development, for localhost: {}", path.display()));
        out::line(format_args!("  SHA-256     {}", certificate.fingerprint()));
        out::line(format_args!("  SPKI hash   {}", certificate.public_key_sha256_base64()));
    }
    if let Some(line) = buffers::line(endpoint) {
        out::line(line);
    }
    if let Some(admin) = admin {
        out::line(format_args!("admin         {}/   metrics {}/metrics", admin.url(), admin.url()));
    }
    for address in endpoint.local_addrs() {
        out::line(format_args!("listening on {address}"));
    }
}

/// Lets the connections come to their end, unless the user or the clock says otherwise.
async fn drain(server: Server, admin: Option<&Admin>, signals: &mut Signals) -> Result<(), Failure> {
    if let Some(admin) = admin {
        admin.drain();
    }
    tokio::select! {
        () = server.shutdown(DRAIN) => Ok(()),
        never = watch(&server.endpoint) => match never {},
        () = signals.stop() => {
            server.close().await;
            Err(Failure::interrupted())
        }
    }
}

/// Says how many connections are left, when that changes.
async fn watch(endpoint: &Endpoint) -> Infallible {
    let mut said = 0;
    loop {
        // One that is closed is only kept until its last packets have passed by.
        let is_over = |state| matches!(state, "closing" | "draining" | "drained");
        let left = endpoint.connections().iter().filter(|info| !is_over(info.state)).count();
        if left != said && left > 0 {
            let connections = if left == 1 { "connection" } else { "connections" };
            let seconds = DRAIN.as_secs();
            out::note(format_args!(
                "draining: {left} {connections} left, {seconds} s at most; once more to stop at once"
            ));
            said = left;
        }
        tokio::time::sleep(LOOK).await;
    }
}
