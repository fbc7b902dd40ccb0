//! A client that is never still and never greedy: every chart moves, and the machine stays usable.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use quicast::{Algorithm, ConnectionInfo};

use super::Stage;
use crate::echo::transfer::{self, Meter};
use crate::error::Failure;
use crate::{out, units};

/// How much is echoed at once, and how often.
const BYTES: u64 = 512 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
/// How many rounds a controller keeps.
const ROUNDS: usize = 50;

/// Goes on for ever; ends only by a failure.
pub(super) async fn run(stage: &Stage) -> Result<Infallible, Failure> {
    let connection = stage.connection();
    let mut ticks = tokio::time::interval(PAUSE);
    let mut turn = Turn::Ours;
    loop {
        for algorithm in super::on_show() {
            swap(stage, algorithm, &mut turn).await?;
            for round in 0..ROUNDS {
                ticks.tick().await;
                connection.send_datagram(Bytes::from_static(b"still here")).ok();
                transfer::run(connection, BYTES, 1 + u32::try_from(round % 4).unwrap_or(0), &Meter::default()).await?;
            }
        }
    }
}

/// Both ends go on with this controller, unless somebody else has chosen one: who tries something is not interfered with.
async fn swap(stage: &Stage, algorithm: Algorithm, turn: &mut Turn) -> Result<(), Failure> {
    if let Some((theirs, by)) = stage.chosen_by_others().await {
        if *turn != Turn::Theirs {
            out::line(format_args!(
                "  controller    {theirs}, chosen by {by}: it stays, until `quicast cc set --clear --all` gives it up"
            ));
        }
        *turn = Turn::Theirs;
        return Ok(());
    }
    *turn = Turn::Ours;
    let change = stage.swap(algorithm).await?;
    if change.from != change.to {
        out::line(format_args!(
            "  controller    {} -> {}, window {} -> {}; nothing lost",
            change.from,
            change.to,
            units::bytes(change.window_before),
            units::bytes(change.window_after),
        ));
    }
    Ok(())
}

/// Whose choice the controller was the last time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Ours,
    Theirs,
}

/// What has been done.
pub(super) fn summary(info: &ConnectionInfo) -> String {
    let totals = &info.totals;
    format!(
        "sent {} and received {} in {} packets, {} of them lost; rtt {}; controller {}",
        units::bytes(totals.bytes_sent),
        units::bytes(totals.bytes_received),
        totals.packets_sent + totals.packets_received,
        totals.packets_lost,
        units::time(info.smoothed_rtt),
        info.congestion,
    )
}
