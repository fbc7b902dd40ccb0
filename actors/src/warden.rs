//! `Warden`: keeps the shards of one endpoint, on a thread of its own, and ends them.
//!
//! Owns every shard and its thread. **In**: [`ShardDown`] from shards, [`Drain`] and [`Abandoned`] from handles.
//! **Out**: `StopAccepting` and `Stop` to shards. Ends when the endpoint is drained, or abandoned and idle, or when a shard
//! failed for good: a part of the clients would never be answered again, so better all ends and whoever watches the
//! process starts it anew.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, Message, Recipient, System,
    WrapFuture,
};
use bytes::Bytes;
use telemetry::Registry;
use telemetry::actor::{ActorMetrics, ActorType, StopReason};

use crate::directory::Directory;
use crate::dispatcher::messages::{Connect, StopAccepting};
use crate::down::{Cause, Stop};
use crate::shard::{Shard, ShardParts};
use crate::socket::messages::Rebind;

/// How long connections that were closed may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A shard ended. From: the shard, once, as its last word.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ShardDown {
    pub(crate) shard: usize,
    pub(crate) cause: Cause,
}

/// Refuse new connections, wait for those there are, close them when the time is over, and end. From: handles.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Drain {
    /// How long connections may go on.
    pub(crate) within: Duration,
}

/// Refuse new connections; go on with those there are. From: handles.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Refuse;

/// No handle of the endpoint is left: end when the last connection has. From: the last handle.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Abandoned;

/// How handles reach the actors of an endpoint.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) drain: Recipient<Drain>,
    pub(crate) refuse: Recipient<Refuse>,
    pub(crate) abandoned: Recipient<Abandoned>,
    pub(crate) shards: Vec<ShardReach>,
}

/// How handles reach a shard.
#[derive(Clone, Debug)]
pub(crate) struct ShardReach {
    pub(crate) connect: Recipient<Connect>,
    pub(crate) rebind: Recipient<Rebind>,
    #[cfg(feature = "fault-injection")]
    pub(crate) inject: Recipient<crate::shard::InjectPanic>,
}

/// A shard that is still to be started; what it needs of the warden is added there.
pub(crate) type Seed = Box<dyn FnOnce(Recipient<ShardDown>) -> ShardParts + Send>;

/// See the [module](self).
struct Warden {
    directory: Arc<Directory>,
    /// By number; nothing in the place of those that are down.
    shards: Vec<Option<Addr<Shard>>>,
    metrics: ActorMetrics,
    failed: bool,
    ending: bool,
}

/// Starts the thread of a warden with these shards, spread over so many threads of their own, and waits until all run.
///
/// # Errors
/// If a thread cannot be started, or a socket not be used.
pub(crate) fn start(
    seeds: Vec<Seed>,
    threads: usize,
    directory: Arc<Directory>,
    registry: Registry,
) -> io::Result<Reach> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("quicast-warden".to_owned()).spawn(move || {
        let _ended = Ended(Arc::clone(&directory));
        run(seeds, threads, directory, &registry, &sender);
    })?;
    receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the endpoint's thread ended before it began")))
}

/// Says that nothing is left, however the thread ends.
struct Ended(Arc<Directory>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn run(
    seeds: Vec<Seed>,
    threads: usize,
    directory: Arc<Directory>,
    registry: &Registry,
    started: &mpsc::SyncSender<io::Result<Reach>>,
) {
    let system = System::new();
    let metrics = ActorMetrics::new(registry, 0);
    let arbiters: Vec<Arbiter> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
    let result = system.block_on(async {
        // Shards say to the warden that they are down, so it is there before them.
        let warden = Warden { directory, shards: Vec::new(), metrics, failed: false, ending: false }.start();
        let mut shards = Vec::with_capacity(seeds.len());
        for (number, seed) in seeds.into_iter().enumerate() {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let owner = warden.clone().recipient();
            let arbiter = &arbiters[number % arbiters.len()];
            arbiter.spawn_fn(move || {
                let _nobody_waits = sender.send(Shard::new(seed(owner)).map(Actor::start));
            });
            let address = receiver.await.map_err(|_| io::Error::other("a shard's thread ended before it began"))?;
            shards.push(address?);
        }
        warden.do_send(Shards(shards.clone()));
        let reach = Reach {
            drain: warden.clone().recipient(),
            refuse: warden.clone().recipient(),
            abandoned: warden.recipient(),
            shards: shards.into_iter().map(ShardReach::new).collect(),
        };
        Ok(reach)
    });
    let began = result.is_ok();
    if started.send(result).is_ok()
        && began
        && let Err(error) = system.run()
    {
        tracing::error!(%error, "the endpoint's thread failed");
    }
    for arbiter in arbiters {
        arbiter.stop();
        let _panicked = arbiter.join();
    }
}

impl ShardReach {
    fn new(shard: Addr<Shard>) -> Self {
        Self {
            connect: shard.clone().recipient(),
            #[cfg(feature = "fault-injection")]
            inject: shard.clone().recipient(),
            rebind: shard.recipient(),
        }
    }
}

/// The shards, once all of them run.
#[derive(Message)]
#[rtype(result = "()")]
struct Shards(Vec<Addr<Shard>>);

impl Warden {
    fn stop_accepting(&self, say_so: bool) {
        self.directory.close();
        for shard in self.shards.iter().flatten() {
            shard.do_send(StopAccepting { say_so });
        }
    }

    /// Stops all shards; when the last is down, the thread ends.
    fn end(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        for shard in self.shards.iter().flatten() {
            shard.do_send(Stop);
        }
        // A shard that hangs does not keep the others from ending.
        context.run_later(LAST_WORDS, |_, context| context.stop());
    }
}

/// Ready when no connection is left, or the time is over.
async fn idle(directory: &Directory, within: Duration) {
    let idle = poll_fn(|context| directory.poll_idle(context));
    let _too_late = tokio::time::timeout(within, idle).await;
}

impl Actor for Warden {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.metrics.starts[ActorType::Warden].add(1);
        self.metrics.live[ActorType::Warden].increment();
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let reason = if self.failed { StopReason::Error } else { StopReason::Shutdown };
        self.metrics.live[ActorType::Warden].decrement();
        self.metrics.stops[(ActorType::Warden, reason)].add(1);
        System::current().stop();
    }
}

impl Handler<Shards> for Warden {
    type Result = ();

    fn handle(&mut self, message: Shards, _: &mut Context<Self>) {
        self.shards = message.0.into_iter().map(Some).collect();
    }
}

impl Handler<ShardDown> for Warden {
    type Result = ();

    /// A shard ended. Finished: as ordered. Panicked: it could not be kept alive, and the endpoint ends.
    fn handle(&mut self, message: ShardDown, context: &mut Context<Self>) {
        if message.cause == Cause::Panicked {
            self.failed = true;
            self.stop_accepting(false);
            self.end(context);
        }
        if let Some(shard) = self.shards.get_mut(message.shard) {
            *shard = None;
        }
        if self.ending && self.shards.iter().all(Option::is_none) {
            context.stop();
        }
    }
}

impl Handler<Drain> for Warden {
    type Result = ();

    fn handle(&mut self, message: Drain, context: &mut Context<Self>) {
        self.stop_accepting(true);
        let directory = Arc::clone(&self.directory);
        let drained = async move {
            idle(&directory, message.within).await;
            directory.close_connections(0, &Bytes::from_static(b"the endpoint is shutting down"));
            idle(&directory, LAST_WORDS).await;
        };
        context.spawn(drained.into_actor(self).map(|(), actor, context| actor.end(context)));
    }
}

impl Handler<Refuse> for Warden {
    type Result = ();

    fn handle(&mut self, _: Refuse, _: &mut Context<Self>) {
        self.stop_accepting(true);
    }
}

impl Handler<Abandoned> for Warden {
    type Result = ();

    fn handle(&mut self, _: Abandoned, context: &mut Context<Self>) {
        self.stop_accepting(false);
        let directory = Arc::clone(&self.directory);
        let idle = async move { poll_fn(|context| directory.poll_idle(context)).await };
        context.spawn(idle.into_actor(self).map(|(), actor, context| actor.end(context)));
    }
}
