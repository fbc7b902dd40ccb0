//! `quicast echo`: a client of the echo server, and of `hq-interop`.

pub(crate) mod connect;
pub(crate) mod datagrams;
mod fetch;
pub(crate) mod pattern;
mod pipe;
pub(crate) mod report;
mod sink;
pub(crate) mod transfer;

use std::time::{Duration, Instant};

use quicast::{CloseReason, Connection};

use self::connect::{Client, Trust};
use self::report::{Counted, Report};
use self::transfer::Meter;
use crate::address::Server;
use crate::cli::{Echo, Protocol};
use crate::error::Failure;
use crate::out;
use crate::progress::Progress;
use crate::units::Close;

/// A key update begins after so many bytes came back, or half of them if they are fewer.
const KEY_UPDATE_AT: u64 = 128 * 1024;
/// How long the end of the connection may take, once everything is done.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// Carries the command out.
pub(crate) async fn run(arguments: Echo) -> Result<(), Failure> {
    check(&arguments)?;
    let client = or_interrupt(connect(&arguments)).await?;
    let began = Instant::now();
    let ended = or_interrupt(work(&client, &arguments)).await;
    let took = began.elapsed();
    match &arguments.close {
        Some(Close { code, reason }) => client.connection.close(*code, reason.as_bytes()),
        None => client.connection.close(0, b"done"),
    }
    // The server should hear of it; whether it answers is its own affair.
    tokio::time::timeout(GOOD_BYE, client.endpoint.wait_idle()).await.ok();
    if let Some(counted) = ended? {
        // The connection's last numbers are those of its end.
        tell(&Report::new(counted, took, &client.connection.stats()), &arguments)?;
    }
    Ok(())
}

/// Until it is done, or the user does not want to wait any more.
pub(crate) async fn or_interrupt<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        ended = work => ended,
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(Failure::failed)?;
            Err(Failure::interrupted())
        }
    }
}

async fn connect(arguments: &Echo) -> Result<Client, Failure> {
    let server = Server::find(&arguments.server).await?;
    let trust = match (&arguments.cacert, arguments.insecure) {
        (_, true) => Trust::Anybody,
        (Some(file), _) => Trust::These(file),
        (None, _) => Trust::Machine,
    };
    let config = connect::tls_config(&server, trust, arguments.alpn.alpn(), &arguments.tuning)?;
    connect::connect(&server, config, &connect::settings(&arguments.tuning)).await
}

/// What was asked for. What was counted, if that is to be told.
async fn work(client: &Client, arguments: &Echo) -> Result<Option<Counted>, Failure> {
    match (&arguments.get, arguments.bytes) {
        (Some(path), _) => fetch::run(&client.connection, path, arguments).await,
        (None, Some(bytes)) if arguments.datagrams => datagrams(&client.connection, bytes).await.map(Some),
        (None, Some(bytes)) => streams(client, bytes, arguments).await.map(Some),
        (None, None) => pipe::run(&client.connection).await.map(|()| None),
    }
}

fn tell(report: &Report, arguments: &Echo) -> Result<(), Failure> {
    if arguments.json {
        out::line(serde_json::to_string(report).map_err(Failure::failed)?);
    } else if !arguments.quiet {
        out::line(report);
    }
    Ok(())
}

fn check(arguments: &Echo) -> Result<(), Failure> {
    match (arguments.alpn, &arguments.get) {
        (Protocol::HqInterop, None) => Err(Failure::usage("--alpn hq-interop fetches: say what with --get /path")),
        (Protocol::Echo, Some(_)) => Err(Failure::usage("--get needs --alpn hq-interop")),
        (_, Some(path)) if !path.starts_with('/') || path.contains(char::is_control) => {
            Err(Failure::usage(format_args!("--get {path}: a path begins with /")))
        }
        _ => Ok(()),
    }
}

async fn datagrams(connection: &Connection, bytes: u64) -> Result<Counted, Failure> {
    let (datagrams, size) = datagrams::run(connection, bytes).await?;
    Ok(Counted {
        bytes: datagrams.sent * size,
        bytes_returned: datagrams.returned * size,
        datagrams: Some(datagrams),
        ..Counted::default()
    })
}

async fn streams(client: &Client, bytes: u64, arguments: &Echo) -> Result<Counted, Failure> {
    let connection = &client.connection;
    let (meter, progress) = (Meter::default(), Progress::bytes(bytes, arguments.quiet));
    let transfer = async {
        match arguments.unidirectional {
            Some(streams) => transfer::run_unidirectional(connection, bytes, streams, &meter).await,
            None => transfer::run(connection, bytes, arguments.streams, &meter).await,
        }
    };
    let on_the_way = async {
        // Each waits for its moment; a transfer that is over too early does not wait for them.
        tokio::try_join!(
            update_keys(connection, arguments.key_update, bytes, &meter),
            rebind(client, arguments.rebind, bytes, &meter),
        )
    };
    let watched = async {
        tokio::select! {
            ended = async { tokio::try_join!(transfer, on_the_way) } => ended,
            never = watch(connection, &progress, &meter) => match never {},
        }
    };
    let ended = watched.await;
    progress.clear();
    ended?;
    Ok(Counted {
        bytes,
        bytes_returned: meter.returned(),
        streams: arguments.unidirectional.unwrap_or(arguments.streams),
        rebound: arguments.rebind,
        ..Counted::default()
    })
}

async fn watch(connection: &Connection, progress: &Progress, meter: &Meter) -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        progress.show(meter.returned(), &connection.stats());
    }
}

async fn update_keys(connection: &Connection, wanted: bool, bytes: u64, meter: &Meter) -> Result<(), Failure> {
    if !wanted {
        return Ok(());
    }
    meter.reached(KEY_UPDATE_AT.min(bytes / 2)).await;
    crate::endpoint::update_keys(connection)
        .await
        .map_err(|error| Failure::failed(format_args!("no key update: {error}")))
}

async fn rebind(client: &Client, wanted: bool, bytes: u64, meter: &Meter) -> Result<(), Failure> {
    if !wanted {
        return Ok(());
    }
    meter.reached(bytes / 2).await;
    crate::endpoint::rebind(&client.endpoint, client.connection.remote_address())
}

/// What to say when the connection ended before its time.
pub(crate) fn ended(reason: &CloseReason) -> Failure {
    match reason {
        CloseReason::PeerApplication { code, reason } => Failure::closed(*code, reason),
        CloseReason::IdleTimeout => Failure::failed("the server has not been heard for 30 s; the connection is lost"),
        other => Failure::failed(other),
    }
}
