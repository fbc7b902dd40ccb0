//! `idle`: connections on which nothing happens.

use quicast::Connection;
use tokio::io::AsyncReadExt as _;

use super::arguments::Idle;
use super::client::Stage;
use super::measure::Begun;
use super::report::{Figure, Report};
use crate::error::Failure;

/// Opens them. They are closed when they are dropped.
pub(crate) async fn run(stage: &Stage, arguments: &Idle) -> Result<(Report, Vec<Connection>), Failure> {
    let begun = Begun::now(stage).await;
    let connections = stage.connections(arguments.connections).await?;
    let cost = begun.end(stage).await;
    // The first was there before.
    let opened = connections.len() as u64 - 1;
    let each = |after: u64, before: u64| {
        let added = after.saturating_sub(before);
        (opened > 0).then(|| Figure::Bytes(added / opened))
    };
    let server = cost.server.and_then(|server| each(server.resident_bytes, cost.server_resident_before));
    let report = cost
        .report("idle")
        .with("connections", Figure::Count(connections.len() as u64))
        .maybe("client_bytes_per_connection", each(cost.client.resident_bytes, cost.client_resident_before))
        .maybe("server_bytes_per_connection", server)
        .with("client_resident_bytes", Figure::Bytes(cost.client.resident_bytes))
        .maybe("server_resident_bytes", cost.server.map(|server| Figure::Bytes(server.resident_bytes)));
    Ok((report, connections))
}

/// Waits until nobody can say anything more on standard input.
pub(crate) async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 1024];
    while let Ok(1..) = input.read(&mut ignored).await {}
}
