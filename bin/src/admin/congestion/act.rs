//! What is done with one connection, and with many at once.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use quicast::controllers::rule::parse_role;
use quicast::controllers::{Facts, Selector};
use quicast::{
    Algorithm, CongestionChange, CongestionOrder, CongestionReport, Connection, ConnectionInfo, Endpoint,
    SetCongestionError, Trigger,
};
use tokio::time::timeout;

use super::request::{Order, Target};
use crate::admin::connections::role;

/// So many connections are spoken to at once.
const AT_ONCE: usize = 64;
/// How long one connection may take to answer. It answers in microseconds, unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before a connection whose controllers just change places is asked again.
const AGAIN: Duration = Duration::from_millis(1);

/// Why nothing was done with a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// It is not there.
    Gone,
    /// It is in its handshake, and nobody could choose yet.
    Handshaking,
    /// It is over.
    Closed,
    /// It changes already.
    Busy,
    /// The new controller panicked when it was started.
    Failed,
    /// It did not answer.
    Stuck,
}

impl Refusal {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Gone => "the connection is gone",
            Self::Handshaking => "the connection is still in its handshake; try again",
            Self::Closed => "the connection is closing",
            Self::Busy => "another change of the congestion controller is under way; try again",
            Self::Failed => "the new congestion controller failed when it was started; the present one goes on",
            Self::Stuck => "the connection did not answer for 5 s; the change may still come",
        }
    }
}

impl From<SetCongestionError> for Refusal {
    fn from(error: SetCongestionError) -> Self {
        match error {
            SetCongestionError::Closed => Self::Closed,
            SetCongestionError::Busy => Self::Busy,
            SetCongestionError::Failed => Self::Failed,
        }
    }
}

/// What was done with a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) from: Algorithm,
    pub(super) to: Algorithm,
    /// Whether somebody had chosen what it had before.
    pub(super) was_chosen: bool,
    /// When the last change of the connection was, in nanoseconds of its clock; 0 if there was none.
    pub(super) at: u64,
    /// What a new controller began with; rules that change nothing bring no new one.
    pub(super) change: Option<CongestionChange>,
}

/// A connection to which something may be done.
///
/// # Errors
/// It is not there, or not in a state for it.
pub(super) fn open(endpoint: &Endpoint, id: u64) -> Result<Connection, Refusal> {
    // What selectors and rules judge by is known when the handshake is complete, and not before.
    let connection = endpoint.connections().into_iter().find(|info| info.id == id).ok_or(Refusal::Gone)?;
    of_state(connection.state)?;
    endpoint.connection(id).ok_or(Refusal::Gone)
}

fn of_state(state: &str) -> Result<(), Refusal> {
    match state {
        "connected" | "confirmed" => Ok(()),
        "handshaking" => Err(Refusal::Handshaking),
        _ => Err(Refusal::Closed),
    }
}

/// How things are with its controller.
pub(super) async fn report(connection: &Connection) -> Result<CongestionReport, Refusal> {
    let asked = async {
        loop {
            if let Some(report) = connection.congestion().await {
                return Ok(report);
            }
            if connection.close_reason().is_some() {
                return Err(Refusal::Closed);
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or(Err(Refusal::Stuck))
}

/// Carries the order out.
pub(super) async fn carry_out(connection: &Connection, order: Order, trigger: Trigger) -> Result<Done, Refusal> {
    let before = report(connection).await?;
    let id = connection.stable_id();
    let was_chosen = before.is_chosen;
    match order {
        Order::Set(algorithm, trial) => {
            let order = CongestionOrder { algorithm, trial, trigger };
            let change = timeout(PATIENCE, connection.set_congestion(order)).await.map_err(|_| Refusal::Stuck)??;
            let at = change.at.as_nanos();
            Ok(Done { id, from: change.from, to: change.to, was_chosen, at, change: Some(change) })
        }
        Order::Clear => {
            connection.clear_congestion_choice();
            let after = report(connection).await?;
            let last = after.changes.last().copied();
            let at = last.map_or(0, |change| change.at.as_nanos());
            let is_new = last.is_some() && at != before.changes.last().map_or(0, |change| change.at.as_nanos());
            let change = last.filter(|_| is_new);
            Ok(Done { id, from: before.algorithm, to: after.algorithm, was_chosen, at, change })
        }
    }
}

/// Does the same with many, some at once. What became of each, in any order.
pub(super) async fn each<T, F>(
    endpoint: &Endpoint,
    ids: Vec<u64>,
    work: impl Fn(Connection) -> F,
) -> Vec<(u64, Result<T, Refusal>)>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let one = |id| {
        let connection = endpoint.connection(id).ok_or(Refusal::Gone);
        let work = connection.map(&work);
        async move {
            match work {
                Ok(work) => (id, work.await),
                Err(refusal) => (id, Err(refusal)),
            }
        }
    };
    iter(ids.into_iter().map(one)).buffer_unordered(AT_ONCE).collect().await
}

/// How many connections the selector means, and which of them are taken.
pub(super) fn choose(endpoint: &Endpoint, target: &Target) -> (usize, Vec<u64>) {
    let mut meant: Vec<u64> =
        established(endpoint).filter(|info| fits(&target.selector, info)).map(|info| info.id).collect();
    let matched = meant.len();
    meant.retain(|id| is_canary(*id, target.percent));
    (matched, meant)
}

/// Those that something may be done with.
pub(super) fn established(endpoint: &Endpoint) -> impl Iterator<Item = ConnectionInfo> {
    endpoint.connections().into_iter().filter(|info| of_state(info.state).is_ok())
}

/// What rules and selectors judge by; `None` for a role that does not exist.
pub(super) fn facts(info: &ConnectionInfo) -> Option<Facts<'_>> {
    Some(Facts {
        alpn: &info.alpn,
        server_name: info.server_name.as_deref(),
        remote: info.remote.ip(),
        side: parse_role(role(info))?,
        smoothed_rtt: Some(info.smoothed_rtt).filter(|rtt| !rtt.is_zero()),
        algorithm: info.congestion,
    })
}

fn fits(selector: &Selector, info: &ConnectionInfo) -> bool {
    facts(info).is_some_and(|facts| selector.fits(&facts))
}

/// Whether a connection belongs to so many of a hundred: by its number alone, so that it does again when it is asked again,
/// and whoever belongs to ten of a hundred belongs to twenty.
fn is_canary(id: u64, percent: f64) -> bool {
    // The last step of splitmix64: neighbours have nothing in common.
    let mut mixed = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let place = (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64;
    percent >= 100.0 || place * 100.0 < percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_established_is_changed() {
        assert_eq!(["connected", "confirmed"].map(of_state), [Ok(()), Ok(())]);
        assert_eq!(of_state("handshaking"), Err(Refusal::Handshaking));
        assert_eq!(["closing", "draining", "drained"].map(of_state), [Err(Refusal::Closed); 3]);
    }

    #[test]
    fn a_canary_is_the_same_share_each_time_and_grows_by_addition() {
        let share = |percent: f64| (1..=10_000).filter(|id| is_canary(*id, percent)).collect::<Vec<u64>>();
        let (ten, twenty) = (share(10.0), share(20.0));
        assert_eq!(ten, share(10.0));
        assert!((900..1100).contains(&ten.len()), "{}", ten.len());
        assert!((1850..2150).contains(&twenty.len()), "{}", twenty.len());
        assert!(ten.iter().all(|id| twenty.contains(id)));
        assert_eq!(share(100.0).len(), 10_000);
    }
}
