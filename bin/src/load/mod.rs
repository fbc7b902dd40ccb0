//! `quicast load`: makes HTTP/3 requests, and measures the answers.
//!
//! ```text
//! arguments, target, expect ─▶ what is asked for     schedule ─ when, with --rate
//! plan ─▶ drive: each connection on its own thread ─▶ tally: one a thread ─▶ report
//! ```
//! Without `--rate` each stream asks again as soon as it is answered (a closed loop). With it, latency counts from the time
//! at which a request was due (an open loop): a server that stands still is seen to have kept everybody waiting who would
//! have come meanwhile.

mod alarm;
pub(crate) mod arguments;
mod drive;
mod expect;
mod plan;
mod report;
mod schedule;
mod tally;
mod target;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quicast::{ConnectError, Connection, TransportConfig};
use tokio::task::JoinSet;

use self::arguments::Load;
use self::plan::{Length, Plan, Server, Slot};
use self::report::Run;
use self::schedule::{Offer, Part, Schedule};
use self::target::Origin;
use crate::cli::Tuning;
use crate::echo::connect::{self, Trust};
use crate::echo::or_interrupt;
use crate::endpoint::ClientSettings;
use crate::error::Failure;
use crate::perf::plot;
use crate::perf::statistics::{self, Statistics};
use crate::progress::Progress;
use crate::{out, units};

/// How long the end of the connections may take, once everything is done.
const GOOD_BYE: Duration = Duration::from_secs(1);
/// How many connections are begun at once.
const AT_ONCE: usize = 32;
/// How often who watches is told.
const TICK: Duration = Duration::from_millis(100);

/// Carries the command out.
pub(crate) async fn run(arguments: Load) -> Result<(), Failure> {
    let origins = target::origins(&arguments).await?;
    if arguments.connections as usize <= origins.len().saturating_sub(1) {
        return Err(Failure::usage(format_args!(
            "-c {}: there are {} servers among the URLs; each needs a connection",
            arguments.connections,
            origins.len()
        )));
    }
    let ready = or_interrupt(Ready::connect(&arguments, origins)).await?;
    let servers = ready.servers.clone();
    let ended = work(&arguments, ready).await;
    for server in &servers {
        server.endpoint.close(quicast::http3::Code::H3_NO_ERROR.0, b"done");
    }
    // They should hear of it; whether they answer is their own affair.
    for server in &servers {
        tokio::time::timeout(GOOD_BYE, server.endpoint.wait_idle()).await.ok();
    }
    ended
}

/// Every connection that there is to be at the beginning.
struct Ready {
    servers: Vec<Arc<Server>>,
    /// Each with its server's place among them.
    connections: Vec<(usize, Connection)>,
}

impl Ready {
    async fn connect(arguments: &Load, origins: Vec<Origin>) -> Result<Self, Failure> {
        let mut ready = Self { servers: Vec::new(), connections: Vec::new() };
        for origin in origins {
            let (server, connection) = first(arguments, origin).await?;
            ready.connections.push((ready.servers.len(), connection));
            ready.servers.push(Arc::new(server));
        }
        let mut begun = JoinSet::new();
        for number in ready.connections.len()..arguments.connections as usize {
            if begun.len() >= AT_ONCE {
                ready.add(&mut begun).await?;
            }
            let place = number % ready.servers.len();
            let Some(server) = ready.servers.get(place).cloned() else { continue };
            begun.spawn(async move {
                let connected = server.connect().await;
                (place, connected)
            });
        }
        while !begun.is_empty() {
            ready.add(&mut begun).await?;
        }
        Ok(ready)
    }

    async fn add(&mut self, begun: &mut JoinSet<(usize, Result<Connection, ConnectError>)>) -> Result<(), Failure> {
        let Some(connected) = begun.join_next().await else { return Ok(()) };
        let (place, connected) = connected.map_err(Failure::failed)?;
        let connection = connected.map_err(|error| {
            let name = self.servers.get(place).map_or("", |server| server.name.as_str());
            Failure::failed(format_args!("cannot connect to {name} once more: {error}"))
        })?;
        self.connections.push((place, connection));
        Ok(())
    }
}

/// A server's first connection, which also finds out at which of its addresses it is.
async fn first(arguments: &Load, origin: Origin) -> Result<(Server, Connection), Failure> {
    let server = target::find(&origin.url, arguments).await?;
    let trust = match (&arguments.cacert, arguments.insecure) {
        (_, true) => Trust::Anybody,
        (Some(file), _) => Trust::These(file),
        (None, _) => Trust::Machine,
    };
    let tls = connect::tls_config(&server, trust, "h3", &Tuning { cc: arguments.cc, keylog: None })?;
    let mut transport = TransportConfig {
        handshake_timeout: arguments.timeout,
        max_idle_timeout: arguments.timeout,
        // Who has nothing to ask for a while is not lost for that.
        keep_alive: Some(arguments.timeout / 3),
        ..TransportConfig::default()
    };
    if let Some(algorithm) = arguments.cc {
        transport.congestion = algorithm;
    }
    let settings = ClientSettings { transport, busy_poll: None, sockets: arguments.sockets };
    let connect::Client { endpoint, connection } = connect::connect(&server, tls, &settings).await?;
    let remote = connection.remote_address();
    Ok((Server { endpoint, remote, name: server.name, requests: origin.requests }, connection))
}

async fn work(arguments: &Load, ready: Ready) -> Result<(), Failure> {
    let warm_up = arguments.warm_up.unwrap_or_default();
    let tickets = arguments.requests.filter(|_| arguments.rate.is_none());
    let length = Length { warm_up, time: arguments.time, tickets };
    let offer = arguments.rate.map(|rate| Offer {
        rate,
        arrivals: arguments.arrivals,
        seed: arguments.seed,
        warm_up,
        time: arguments.time,
        requests: arguments.requests,
    });
    let slots: Vec<Arc<Slot>> = (0_u32..)
        .zip(ready.connections)
        .filter_map(|(number, (place, connection))| {
            let part = Part { number, of: arguments.connections };
            let schedule = offer.map(|offer| Schedule::new(offer, part));
            let server = ready.servers.get(place)?.clone();
            Some(Arc::new(Slot::new(number as usize, server, schedule, connection)))
        })
        .collect();
    let before = counted(&ready.servers);
    let plan = Arc::new(Plan::new(arguments.streams, arguments.expect.clone(), arguments.timeout, length));
    let mut kept = JoinSet::new();
    for slot in &slots {
        kept.spawn(drive::keep(plan.clone(), slot.clone()));
    }
    let mut cpu_seconds_before = before.cpu_seconds;
    let all = async {
        tokio::time::sleep_until(plan.measured_from.into()).await;
        cpu_seconds_before = Statistics::now(None).cpu_seconds;
        while kept.join_next().await.is_some() {}
    };
    let interrupted = tokio::select! {
        () = all => false,
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(Failure::failed)?;
            true
        }
        never = watch(&plan, arguments) => match never {},
    };
    // What ends from now on is not told any more.
    let (ended, tally) = (Instant::now(), plan.tallies.sum()?);
    plan.stop();
    let cpu_seconds = Statistics::now(None).cpu_seconds - cpu_seconds_before;
    let connections: Vec<_> = slots.iter().map(|slot| slot.connection.lock().stats()).collect();
    statistics::settled().await;
    let client = Statistics { cpu_seconds, ..counted(&ready.servers).since(&before) };
    let run = Run { arguments, plan: &plan, slots: &slots, tally: &tally, ended, client, connections: &connections };
    tell(arguments, &run, interrupted)
}

/// What this process has counted at all its sockets.
fn counted(servers: &[Arc<Server>]) -> Statistics {
    let each = servers.iter().map(|server| Statistics::now(Some(server.endpoint.metrics())));
    each.reduce(|all, one| all.and(&one)).unwrap_or_default()
}

fn tell(arguments: &Load, run: &Run<'_>, interrupted: bool) -> Result<(), Failure> {
    let report = run.report();
    if arguments.json {
        out::line(serde_json::to_string(&report).map_err(Failure::failed)?);
    } else {
        out::line(report);
    }
    if let Some(path) = &arguments.plot {
        plot::latency(run.title(), &run.tally.total.curve()).write(path)?;
    }
    let (failed, not_begun) = (run.tally.failed(), run.not_begun());
    if interrupted {
        Err(Failure::interrupted())
    } else if arguments.allow_errors || (failed == 0 && not_begun == 0) {
        Ok(())
    } else {
        let begun = run.tally.begun;
        let mut words = format!("{failed} of {begun} requests failed");
        if not_begun > 0 {
            words += &format!(", and {not_begun} were not begun in time");
        }
        Err(Failure::failed(words))
    }
}

/// Tells who watches how it is.
async fn watch(plan: &Plan, arguments: &Load) -> std::convert::Infallible {
    const PARTS: f64 = 1000.0;
    let progress = Progress::words(PARTS as u64);
    let mut ticks = tokio::time::interval(TICK);
    let mut last = (Instant::now(), 0);
    let mut speed = 0.0;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let (answered, failed) = plan.tallies.progress();
        let since = now.saturating_duration_since(last.0);
        if since >= 5 * TICK {
            speed = (answered - last.1) as f64 / since.as_secs_f64();
            last = (now, answered);
        }
        let measured = now.saturating_duration_since(plan.measured_from);
        let share = match (arguments.requests, arguments.time) {
            (Some(requests), _) => (answered + failed) as f64 / requests as f64,
            (None, Some(time)) => measured.as_secs_f64() / time.as_secs_f64(),
            (None, None) => 0.0,
        };
        progress.tell((share.min(1.0) * PARTS) as u64, || {
            let warming = if now < plan.measured_from { "warming up  " } else { "" };
            let lost = plan.connections.lost.load(Ordering::Relaxed);
            let lost = if lost > 0 { format!("  {lost} connections lost") } else { String::new() };
            let time = units::time(now.saturating_duration_since(plan.began));
            format!("{warming}{time}  {answered} answers  {speed:.0}/s  {failed} failed{lost}")
        });
    }
}
