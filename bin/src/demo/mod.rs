//! `quicast demo`: a server, its admin page and a client that keeps it busy, in one process.

mod busy;
mod check;
mod scrape;

use std::time::Duration;

use quicast::{Algorithm, CongestionChange, Connection, Trigger};

use crate::admin::{self, Admin};
use crate::certificate::{self, Found};
use crate::cli::{Demo, Protocol, Tuning};
use crate::echo::connect::{self, Client, Trust};
use crate::error::Failure;
use crate::serve::signals::Signals;
use crate::serve::{Http, Server, Settings, urls};
use crate::services::hq::Files;
use crate::stage::{self as director, Director};
use crate::tcp::Tcp;
use crate::{address, keylog, out, tcp};

/// Where the demo listens unless told otherwise, if it is free.
const LISTEN: &str = "localhost:4433";
const ADMIN: &str = "127.0.0.1:9440";

/// The controllers that are shown, in turn: all that find out for themselves how much a path carries.
fn on_show() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name() != "fixed")
}

/// The client's.
const NO_TUNING: Tuning = Tuning { cc: None, keylog: None };

/// Carries the command out.
pub(crate) async fn run(arguments: Demo) -> Result<(), Failure> {
    if arguments.once {
        let listen = if arguments.listen.is_empty() { vec!["localhost:0".to_owned()] } else { arguments.listen };
        let stage = Stage::start(&listen, "127.0.0.1:0").await?;
        let passed = check::run(&stage).await;
        stage.close().await;
        return passed;
    }
    let stage = match arguments.listen.as_slice() {
        [] => Stage::start(&free_or(LISTEN, "localhost:0"), &free_admin()).await?,
        listen => Stage::start(listen, &free_admin()).await?,
    };
    let mut signals = Signals::new()?;
    stage.announce();
    let ended = tokio::select! {
        ended = busy::run(&stage) => ended.map(|never| match never {}),
        () = signals.stop() => Ok(()),
    };
    out::line(format_args!("\n  {}", busy::summary(&stage.connection().stats())));
    stage.close().await;
    ended
}

/// The favourite if it is free, or else the other.
fn free_or(favourite: &str, other: &str) -> Vec<String> {
    let favourite = vec![favourite.to_owned()];
    let is_free = address::to_listen(&favourite).and_then(|mut addresses| tcp::bind(&mut addresses)).is_ok();
    if is_free { favourite } else { vec![other.to_owned()] }
}

fn free_admin() -> String {
    if std::net::TcpListener::bind(ADMIN).is_ok() { ADMIN.to_owned() } else { "127.0.0.1:0".to_owned() }
}

/// Everything that plays.
#[derive(Debug)]
struct Stage {
    server: Server,
    tcp: Tcp,
    director: Director,
    admin: Admin,
    certificate: Found,
    client: Client,
}

impl Stage {
    async fn start(listen: &[String], admin: &str) -> Result<Self, Failure> {
        let certificate = certificate::development()?;
        let key_log = keylog::open(None)?;
        let mut addresses = address::to_listen(listen)?;
        let tcp = tcp::bind(&mut addresses)?;
        let files = Files::Generated;
        let http = Http::new(&files);
        let bound = admin::bind(admin)?.ok_or_else(|| Failure::failed("the demo needs its admin address"))?;
        let server = Server::start(Settings {
            addresses,
            certificate: &certificate.certificate,
            congestion: None,
            key_log: key_log.clone(),
            shards: None,
            busy_poll: None,
            retry: false,
            reset_key: None,
            key_update: false,
            files,
            http: Some(http.play()),
        })?;
        http.counters.count_in(server.endpoint.metrics());
        let tcp = http.serve(tcp, &certificate.certificate, key_log)?;
        let admin = bound.serve(server.endpoint.clone(), None)?;
        let client = connect(&server, &certificate).await?;
        Ok(Self { server, tcp, director: http.director, admin, certificate, client })
    }

    /// The connection, as the client has it.
    const fn connection(&self) -> &Connection {
        &self.client.connection
    }

    /// The same connection as the server has it, if it still does.
    fn other_end(&self) -> Option<Connection> {
        let endpoint = &self.server.endpoint;
        endpoint.connections().iter().find_map(|info| endpoint.connection(info.id))
    }

    /// Both ends go on with this controller. What the server's end says of it.
    async fn swap(&self, algorithm: Algorithm) -> Result<CongestionChange, Failure> {
        let other = self.other_end().ok_or_else(|| Failure::failed("the server has lost the connection"))?;
        self.connection().set_congestion(algorithm).await.map_err(Failure::failed)?;
        other.set_congestion(algorithm).await.map_err(Failure::failed)
    }

    /// What somebody else chose for the server's end, over HTTP, at the command line or at the live page; and who.
    async fn chosen_by_others(&self) -> Option<(Algorithm, Trigger)> {
        let report = self.other_end()?.congestion().await?;
        let by = report.changes.last()?.trigger;
        let others = matches!(by, Trigger::Cli | Trigger::Api | Trigger::Dashboard | Trigger::Rollback);
        (report.is_chosen && others).then_some((report.algorithm, by))
    }

    fn announce(&self) {
        let (url, certificate) = (self.admin.url(), &self.certificate.certificate);
        let listening = self.server.endpoint.local_addrs();
        let port = listening.first().map_or(0, std::net::SocketAddr::port);
        out::line("quicast demo: a server, and a client that echoes and swaps its congestion controller");
        for address in &listening {
            out::line(format_args!("  listening     {address} (UDP): h3, echo, hq-interop, perf; (TCP): HTTPS"));
        }
        for line in urls::lines(self.tcp.addresses(), Some(&self.certificate)) {
            out::line(format_args!("  {line}"));
        }
        out::line(format_args!("  certificate   ECDSA P-256, for localhost     {}", self.certificate.path.display()));
        out::line(format_args!("                SHA-256 {}", certificate.fingerprint()));
        out::line(format_args!("  live page     {}", self.admin.page()));
        let metrics = telemetry::all().count();
        out::line(format_args!("  metrics       {url}/metrics     {metrics} metrics"));
        if let Some(line) = crate::serve::buffers::line(&self.server.endpoint) {
            out::line(format_args!("  {line}"));
        }
        out::line(format_args!("  try           quicast echo localhost:{port} --bytes 100M"));
        out::line(format_args!(
            "                quicast echo localhost:{port} --alpn hq-interop --get /bytes/1G -o /dev/null"
        ));
        out::line(format_args!("                curl {url}/api/v1/connections"));
        let at = if url.ends_with(":9440") { String::new() } else { format!(" --admin {url}") };
        out::line(format_args!("                quicast cc show{at}"));
        let other = on_show().find(|algorithm| *algorithm != Algorithm::default()).unwrap_or_default();
        out::line(format_args!("                quicast cc set {other} --all --trial 10{at}"));
        out::line("  stop          Ctrl-C");
    }

    async fn close(self) {
        self.client.connection.close(0, b"done");
        tokio::time::timeout(Duration::from_secs(1), self.client.endpoint.wait_idle()).await.ok();
        self.admin.drain();
        self.director.advance(director::Stage::Stopping);
        self.server.shutdown(Duration::ZERO).await;
    }
}

/// A client of the server, on the first of its addresses.
async fn connect(server: &Server, certificate: &Found) -> Result<Client, Failure> {
    let port = server.endpoint.local_addrs().first().map_or(0, std::net::SocketAddr::port);
    let target = address::Server { name: "localhost".to_owned(), addresses: server.endpoint.local_addrs() };
    let own = certificate.certificate.chain().first().cloned();
    let trust = own.map_or(Trust::Machine, Trust::Certificate);
    let tls = connect::tls_config(&target, trust, Protocol::Echo.alpn(), &NO_TUNING)?;
    tracing::debug!(port, "the demo's client connects");
    connect::connect(&target, tls, &connect::settings(&NO_TUNING)).await
}
