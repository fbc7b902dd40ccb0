//! `quicast perf client`: connects, measures, and says how it was.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quicast::{ConnectError, Connection, Endpoint};
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::task::JoinSet;

use super::arguments::{Client, Workload};
use super::pattern::Depth;
use super::report::Report;
use super::{SILENCE, bulk, datagrams, handshakes, idle, requests};
use crate::address::Server;
use crate::cli::Tuning;
use crate::echo::connect::{self, Trust};
use crate::echo::{ended, or_interrupt};
use crate::endpoint::ClientSettings;
use crate::error::Failure;
use crate::out;

/// How long the end of the connections may take, once everything is done.
const GOOD_BYE: Duration = Duration::from_secs(1);
/// How many connections are begun at once when there are to be many.
const AT_ONCE: usize = 32;

/// Carries the command out.
pub(crate) async fn run(arguments: Client) -> Result<(), Failure> {
    let stage = or_interrupt(Stage::connect(&arguments)).await?;
    let result = or_interrupt(work(&stage, &arguments)).await;
    stage.endpoint.close(0, b"done");
    // The server should hear of it; whether it answers is its own affair.
    tokio::time::timeout(GOOD_BYE, stage.endpoint.wait_idle()).await.ok();
    result
}

async fn work(stage: &Stage, arguments: &Client) -> Result<(), Failure> {
    match &arguments.workload {
        Workload::Bulk(bulk) => tell(&bulk::run(stage, bulk).await?, arguments),
        Workload::Requests(requests) => tell(&requests::run(stage, requests).await?, arguments),
        Workload::Handshakes(handshakes) => tell(&handshakes::run(stage, handshakes).await?, arguments),
        Workload::Datagrams(datagrams) => tell(&datagrams::run(stage, datagrams).await?, arguments),
        Workload::Idle(idle) => {
            let (report, connections) = idle::run(stage, idle).await?;
            tell(&report, arguments)?;
            idle::end_of_input().await;
            drop(connections);
            Ok(())
        }
    }
}

fn tell(report: &Report, arguments: &Client) -> Result<(), Failure> {
    if arguments.json {
        out::line(serde_json::to_string(report).map_err(Failure::failed)?);
    } else {
        out::line(report);
    }
    Ok(())
}

/// Everything that a workload plays on.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) endpoint: Endpoint,
    /// The first connection, which asks the server for its statistics.
    pub(crate) connection: Connection,
    pub(crate) tls: Arc<ClientConfig>,
    /// Where the server is.
    pub(crate) remote: SocketAddr,
    /// What its certificate must be for.
    pub(crate) name: String,
    pub(crate) depth: Depth,
}

impl Stage {
    async fn connect(arguments: &Client) -> Result<Self, Failure> {
        let server = Server::find(&arguments.server).await?;
        let trust = match (&arguments.cacert, arguments.insecure) {
            (_, true) => Trust::Anybody,
            (Some(file), _) => Trust::These(file),
            (None, _) => Trust::Machine,
        };
        let tuning = Tuning { cc: arguments.settings.cc, keylog: None };
        let mut tls = connect::tls_config(&server, trust, "perf", &tuning)?;
        // A handshake is a whole one, unless resumption is what is measured.
        tls.resumption = Resumption::disabled();
        let mut transport = arguments.settings.transport();
        transport.handshake_timeout = connect::PATIENCE;
        if let Workload::Idle(_) = arguments.workload {
            transport.max_idle_timeout = SILENCE;
        }
        let settings =
            ClientSettings { transport, busy_poll: arguments.settings.busy_poll, sockets: arguments.sockets };
        let connect::Client { endpoint, connection } = connect::connect(&server, tls.clone(), &settings).await?;
        let remote = connection.remote_address();
        let depth = if arguments.verify { Depth::Everything } else { Depth::Ends };
        Ok(Self { endpoint, connection, tls: Arc::new(tls), remote, name: server.name, depth })
    }

    /// So many connections, the first among them.
    pub(crate) async fn connections(&self, count: u32) -> Result<Vec<Connection>, Failure> {
        let mut connections = vec![self.connection.clone()];
        let mut begun = JoinSet::new();
        for _ in 1..count {
            if begun.len() >= AT_ONCE {
                connections.extend(self.next(&mut begun).await?);
            }
            begun.spawn(self.endpoint.connect(self.remote, &self.name));
        }
        while !begun.is_empty() {
            connections.extend(self.next(&mut begun).await?);
        }
        Ok(connections)
    }

    async fn next(&self, begun: &mut JoinSet<Result<Connection, ConnectError>>) -> Result<Option<Connection>, Failure> {
        let Some(connected) = begun.join_next().await else { return Ok(None) };
        connected.map_err(Failure::failed)?.map(Some).map_err(|error| not_connected(self.remote, &error))
    }
}

/// Why a further connection did not come about.
pub(crate) fn not_connected(remote: SocketAddr, error: &ConnectError) -> Failure {
    Failure::failed(format_args!("cannot connect to {remote} once more: {error}"))
}

/// Runs the task on the thread that the connection lives on: its bytes change threads nowhere.
pub(crate) async fn on_shard<F, S, T>(connection: &Connection, task: F) -> Result<T, Failure>
where
    F: FnOnce(Connection) -> S + Send + 'static,
    S: Future<Output = Result<T, Failure>> + 'static,
    T: Send + 'static,
{
    match connection.run_on_shard(task).await {
        Ok(result) => result,
        Err(error) => Err(connection.close_reason().map_or_else(|| Failure::failed(error), |reason| ended(&reason))),
    }
}
