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
    loop {
        for algorithm in super::on_show() {
            swap(stage, algorithm).await?;
            for round in 0..ROUNDS {
                ticks.tick().await;
                connection.send_datagram(Bytes::from_static(b"still here")).ok();
                transfer::run(connection, BYTES, 1 + u32::try_from(round % 4).unwrap_or(0), &Meter::default()).await?;
            }
        }
    }
}

async fn swap(stage: &Stage, algorithm: Algorithm) -> Result<(), Failure> {
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
