//! A connection at work: on its own thread, so that no byte changes threads.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quicast::Connection;
use quicast::http3::{self, Error, RequestSender};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::alarm::Alarm;
use super::plan::{Plan, Slot};
use super::tally::{Answer, Fault, Tally};

/// What is due just before the end may begin just after it.
const END: Duration = Duration::from_millis(10);
/// The pauses between attempts to connect again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// After so many attempts in a row without success, a run that only has a number of requests gives the connection up.
const ATTEMPTS: u32 = 3;

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Nothing is left to begin.
    Done,
    /// It is over before that.
    Lost,
}

/// Makes a slot's requests, on as many connections as it takes, one at a time.
pub(super) async fn keep(plan: Arc<Plan>, slot: Arc<Slot>) {
    let counts = &plan.connections;
    counts.opened.fetch_add(1, Ordering::Relaxed);
    loop {
        let connection = slot.connection.lock().clone();
        let end = on_its_thread(&plan, &slot, connection.clone()).await;
        // With its last requests on it, perhaps.
        if end == End::Lost || connection.close_reason().is_some() {
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        if end == End::Done {
            return;
        }
        let Some(connection) = again(&plan, &slot).await else { return };
        counts.reopened.fetch_add(1, Ordering::Relaxed);
        *slot.connection.lock() = connection;
    }
}

/// Another connection, unless there is nothing to do for it, or no use in trying.
async fn again(plan: &Plan, slot: &Slot) -> Option<Connection> {
    let (mut pause, longest) = PAUSES;
    let mut attempts = 0;
    while !plan.is_over(slot) && (plan.until.is_some() || attempts < ATTEMPTS) {
        match slot.server.connect().await {
            Ok(connection) => return Some(connection),
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be opened again");
                plan.connections.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        attempts += 1;
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
    None
}

async fn on_its_thread(plan: &Arc<Plan>, slot: &Arc<Slot>, connection: Connection) -> End {
    let Ok(sender) = http3::connect(connection.clone()) else { return End::Lost };
    let (plan, slot) = (plan.clone(), slot.clone());
    let work = move |_: Connection| async move {
        // Without memory for a histogram there is nothing to be told.
        let Ok(tally) = plan.tallies.here() else { return End::Done };
        let exchanges = Rc::new(Exchanges { plan, slot, sender, tally });
        if exchanges.slot.schedule.is_some() {
            scheduled(exchanges).await
        } else {
            one_after_the_other(exchanges).await
        }
    };
    connection.run_on_shard(work).await.unwrap_or(End::Lost)
}

/// Whatever it takes to make requests on a connection.
struct Exchanges {
    plan: Arc<Plan>,
    slot: Arc<Slot>,
    sender: RequestSender,
    tally: Arc<Mutex<Tally>>,
}

/// How a request ended.
enum Ended {
    /// Answered or failed, then.
    At(Instant),
    /// The server did nothing with it.
    Unprocessed,
}

impl Exchanges {
    /// Makes a request that was due then.
    async fn one(&self, due: Instant, now: Instant, counts: bool) -> Ended {
        let Self { plan, slot, sender, tally } = self;
        let Some(request) = slot.request() else { return Ended::At(now) };
        if counts {
            tally.lock().begin(now.saturating_duration_since(due));
        }
        let exchange = async {
            let mut response = sender.send(request).await?;
            let first = due.elapsed();
            let mut bytes = 0;
            let body = response.body_mut();
            // Trailers end the chunks, and are not content.
            while let Some(chunk) = body.chunk().await? {
                bytes += chunk.len() as u64;
            }
            Ok::<_, Error>((response.status().as_u16(), bytes, first))
        };
        let ended = timeout(plan.timeout, exchange).await;
        let now = Instant::now();
        if let Ok(Err(error)) = &ended
            && error.may_be_retried()
        {
            if counts {
                tally.lock().retry();
            }
            return Ended::Unprocessed;
        }
        if counts {
            let mut tally = tally.lock();
            match ended {
                Ok(Ok((status, bytes, first))) => {
                    let total = now.saturating_duration_since(due);
                    tally.answer(Answer { status, bytes, first, total }, plan.expect.has(status));
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a request failed");
                    tally.fail(Fault::of(&error));
                }
                Err(_) => tally.fail(Fault::Timeout),
            }
        }
        Ended::At(now)
    }
}

/// Each stream asks again as soon as it is answered.
async fn one_after_the_other(exchanges: Rc<Exchanges>) -> End {
    let mut workers = JoinSet::new();
    for _ in 0..exchanges.plan.streams {
        let exchanges = exchanges.clone();
        workers.spawn_local(async move {
            let plan = &exchanges.plan;
            let mut now = Instant::now();
            while !exchanges.sender.is_over() {
                let Some(counts) = plan.next(now) else { return End::Done };
                match exchanges.one(now, now, counts).await {
                    Ended::At(at) => now = at,
                    Ended::Unprocessed => {
                        if counts {
                            plan.give_back();
                        }
                        return End::Lost;
                    }
                }
            }
            if plan.is_over(&exchanges.slot) { End::Done } else { End::Lost }
        });
    }
    let mut end = End::Done;
    while let Some(ended) = workers.join_next().await {
        if !matches!(ended, Ok(End::Done)) {
            end = End::Lost;
        }
    }
    end
}

/// Requests begin when they are due, or as soon after as there is a stream for them.
async fn scheduled(exchanges: Rc<Exchanges>) -> End {
    let (plan, slot) = (&exchanges.plan, &exchanges.slot);
    let Some(schedule) = &slot.schedule else { return End::Done };
    // Too many open files: then to the millisecond.
    let alarm = Alarm::new().ok();
    let streams = Arc::new(Semaphore::new(plan.streams as usize));
    let returned = Rc::new(Cell::new(false));
    let mut requests = JoinSet::new();
    let closed = exchanges.sender.connection().closed();
    let mut closed = std::pin::pin!(closed);
    let end = loop {
        while requests.try_join_next().is_some() {}
        if returned.get() || exchanges.sender.is_over() {
            break if plan.is_over(slot) { End::Done } else { End::Lost };
        }
        let Some(due) = schedule.lock().peek() else { break End::Done };
        let due_at = plan.began + due;
        let now = Instant::now();
        if plan.is_past(now.checked_sub(END).unwrap_or(now)) {
            break End::Done;
        }
        if due_at > now {
            tokio::select! {
                () = wait(alarm.as_ref(), due_at) => {}
                _ = &mut closed => break End::Lost,
            }
            continue;
        }
        // It is never closed.
        let Ok(stream) = streams.clone().acquire_owned().await else { break End::Done };
        let now = Instant::now();
        if returned.get() || exchanges.sender.is_over() || plan.is_past(now.checked_sub(END).unwrap_or(now)) {
            continue;
        }
        let counts = {
            let mut schedule = schedule.lock();
            schedule.take();
            schedule.counts(due)
        };
        let (exchanges, returned) = (exchanges.clone(), returned.clone());
        requests.spawn_local(async move {
            if let Ended::Unprocessed = exchanges.one(due_at, now, counts).await {
                if let Some(schedule) = &exchanges.slot.schedule {
                    schedule.lock().give_back(due);
                }
                returned.set(true);
            }
            drop(stream);
        });
    };
    while requests.join_next().await.is_some() {}
    if returned.get() { End::Lost } else { end }
}

async fn wait(alarm: Option<&Alarm>, at: Instant) {
    let rung = match alarm {
        Some(alarm) => alarm.wait_until(at).await.is_ok(),
        None => false,
    };
    if !rung {
        tokio::time::sleep_until(at.into()).await;
    }
}
