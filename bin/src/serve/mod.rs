//! `quicast serve`: a server for echoes, files and the HTTP site.

pub(crate) mod buffers;
mod reset_key;
pub(crate) mod signals;
pub(crate) mod urls;

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use quicast::controllers::Registry;
use quicast::{Algorithm, Endpoint, TransportConfig};
use tls::pki_types::UnixTime;

use self::signals::Signals;
use crate::admin::{self, Admin};
use crate::certificate::{self, Found};
use crate::cli::Serve;
use crate::config::Config;
use crate::config::reload::Reload;
use crate::endpoint::{self, ServerSettings};
use crate::error::Failure;
use crate::perf::pattern::Depth;
use crate::services::h3;
use crate::services::hq::Files;
use crate::services::perf::Perf;
use crate::services::{PROTOCOLS, Services};
use crate::site::{Counters, Site, SiteOptions};
use crate::stage::{Director, Stage};
use crate::tcp::Tcp;
use crate::{address, keylog, out, site, tcp};

/// How long connections may take to come to their end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How often a draining server is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long closed connections may take to say so.
const GOOD_BYE: Duration = Duration::from_secs(3);

/// Where to listen and to be watched, if nothing is said.
const LISTEN: &str = "localhost:4433";
const ADMIN: &str = "127.0.0.1:9440";

/// Carries the command out.
pub(crate) async fn run(mut arguments: Serve) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let config = arguments.config.as_deref().map(|file| Config::load(file, &Registry::default())).transpose()?;
    let reload = Reload::new(config.clone(), arguments.tuning.cc)?;
    if let Some(config) = &config {
        config.complete(&mut arguments);
    }
    if arguments.listen.is_empty() {
        arguments.listen.push(LISTEN.to_owned());
    }
    let (certificate, is_development) = match (&arguments.cert, &arguments.key) {
        (Some(cert), Some(key)) => (certificate::load(cert, key)?, false),
        _ => (certificate::development()?, true),
    };
    if let Some(warning) = certificate::time_warning(&certificate, UnixTime::now()) {
        out::note(warning);
    }
    let files = Files::new(arguments.root.as_deref())?;
    let reset_key = arguments.reset_key_file.as_deref().map(reset_key::load).transpose()?;
    let key_log = keylog::open(arguments.tuning.keylog.as_deref())?;
    let bound = admin::bind(arguments.admin.as_deref().unwrap_or(ADMIN))?;
    let mut addresses = address::to_listen(&arguments.listen)?;
    let tcp = if arguments.no_tcp { None } else { Some(tcp::bind(&mut addresses)?) };
    let http = Http::new(&files);
    let server = Server::start(Settings {
        addresses,
        certificate: &certificate.certificate,
        congestion: arguments.tuning.cc,
        key_log: key_log.clone(),
        shards: arguments.shards,
        busy_poll: arguments.busy_poll,
        retry: arguments.retry,
        reset_key,
        key_update: arguments.key_update,
        files,
        http: Some(http.play()),
    })?;
    http.counters.count_in(server.endpoint.metrics());
    let tcp = tcp.map(|tcp| http.serve(tcp, &certificate.certificate, key_log)).transpose()?;
    reload.begin(&server.endpoint);
    let token_file = arguments.admin_token_file.as_deref();
    let admin = bound.map(|bound| bound.serve(server.endpoint.clone(), token_file)).transpose()?;
    announce(&server.endpoint, tcp.as_ref(), admin.as_ref(), is_development.then_some(&certificate));
    let playing = Playing { server, tcp, director: http.director };
    tokio::select! {
        () = signals.stop() => drain(&playing, admin.as_ref(), &mut signals).await,
        never = reload.run(&playing.server.endpoint) => match never {},
        () = playing.server.ended() => {
            Err(Failure::failed("the server's threads have failed; the log says why (RUST_LOG=error); start it again"))
        }
    }
}

/// What a server is made of.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) addresses: Vec<std::net::SocketAddr>,
    pub(crate) certificate: &'a tls::Certificate,
    pub(crate) congestion: Option<Algorithm>,
    pub(crate) key_log: Option<Arc<dyn rustls::KeyLog>>,
    pub(crate) shards: Option<u16>,
    pub(crate) busy_poll: Option<Duration>,
    pub(crate) retry: bool,
    pub(crate) reset_key: Option<[u8; 32]>,
    pub(crate) key_update: bool,
    pub(crate) files: Files,
    /// What HTTP/3 serves.
    pub(crate) http: Option<h3::Play>,
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
        if let Some(log) = settings.key_log {
            tls.key_log = log;
        }
        let mut transport = TransportConfig::default();
        if let Some(algorithm) = settings.congestion {
            transport.congestion = algorithm;
        }
        let perf = Perf::new(Depth::Ends);
        let files = Arc::new(settings.files);
        let services = Services { files, perf: perf.clone(), http: settings.http, key_update: settings.key_update };
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

/// The HTTP site, and what it is told.
#[derive(Debug)]
pub(crate) struct Http {
    /// What HTTP of every version is answered by.
    pub(crate) site: Site,
    pub(crate) counters: Counters,
    pub(crate) director: Director,
}

impl Http {
    /// The site of these files.
    pub(crate) fn new(files: &Files) -> Self {
        let (director, counters) = (Director::new(), Counters::default());
        let options = SiteOptions { content: files.content(), cue: director.watch(), counters: counters.clone() };
        Self { site: site::site(options), counters, director }
    }

    /// For HTTP/3.
    pub(crate) fn play(&self) -> h3::Play {
        h3::Play { site: self.site.clone(), cue: self.director.watch() }
    }

    /// Serves it over TCP.
    pub(crate) fn serve(
        &self,
        bound: tcp::Bound,
        certificate: &tls::Certificate,
        key_log: Option<Arc<dyn rustls::KeyLog>>,
    ) -> Result<Tcp, Failure> {
        bound.serve(tcp::Settings {
            certificate,
            key_log,
            site: self.site.clone(),
            cue: self.director.watch(),
            counters: self.counters.clone(),
            limits: tcp::Limits::SERVER,
        })
    }
}

/// Everything that serves.
#[derive(Debug)]
struct Playing {
    server: Server,
    tcp: Option<Tcp>,
    director: Director,
}

impl Playing {
    /// How many connections are not closed yet.
    fn connections(&self) -> usize {
        // One that is closed is only kept until its last packets have passed by.
        let is_over = |state| matches!(state, "closing" | "draining" | "drained");
        let quic = self.server.endpoint.connections().iter().filter(|info| !is_over(info.state)).count();
        quic + self.tcp.as_ref().map_or(0, Tcp::connections)
    }

    /// Takes nobody new, and lets who is there come to an end; after [`DRAIN`], everything stops.
    async fn shutdown(&self) {
        self.director.advance(Stage::Draining);
        tokio::join!(self.server.shutdown(DRAIN), async {
            if let Some(tcp) = &self.tcp
                && tokio::time::timeout(DRAIN, tcp.ended()).await.is_err()
            {
                self.director.advance(Stage::Stopping);
                tcp.ended().await;
            }
        });
    }

    /// Stops everything at once.
    async fn close(&self) {
        self.director.advance(Stage::Stopping);
        self.server.close().await;
    }
}

/// Says that the server is ready, and what its user will want to know.
fn announce(endpoint: &Endpoint, tcp: Option<&Tcp>, admin: Option<&Admin>, development: Option<&Found>) {
    if let Some(Found { certificate, path }) = development {
        out::line(format_args!("certificate   development, for localhost: {}", path.display()));
        out::line(format_args!("  SHA-256     {}", certificate.fingerprint()));
        out::line(format_args!("  SPKI hash   {}", certificate.public_key_sha256_base64()));
    }
    if let Some(line) = buffers::line(endpoint) {
        out::line(line);
    }
    if let Some(admin) = admin {
        // What is printed to a file or a log would give the token away.
        let page = if std::io::stdout().is_terminal() { admin.page() } else { format!("{}/", admin.url()) };
        out::line(format_args!("admin         {page}   metrics {}/metrics", admin.url()));
        if let Some(file) = admin.token_file() {
            out::line(format_args!("  token       {}", file.display()));
        }
    }
    if let Some(tcp) = tcp {
        for line in urls::lines(tcp.addresses(), development) {
            out::line(line);
        }
    }
    for address in endpoint.local_addrs() {
        out::line(format_args!("listening on {address}"));
    }
}

/// Lets the connections come to their end, unless the user or the clock says otherwise.
async fn drain(playing: &Playing, admin: Option<&Admin>, signals: &mut Signals) -> Result<(), Failure> {
    if let Some(admin) = admin {
        admin.drain();
    }
    tokio::select! {
        () = playing.shutdown() => Ok(()),
        never = watch(playing) => match never {},
        () = signals.stop() => {
            playing.close().await;
            Err(Failure::interrupted())
        }
    }
}

/// Says how many connections are left, when that changes.
async fn watch(playing: &Playing) -> Infallible {
    let mut said = 0;
    loop {
        let left = playing.connections();
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
