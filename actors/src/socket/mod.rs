//! The socket actor: where datagrams enter and leave a shard.
//!
//! It owns nothing that could not be used again: the UDP socket and both pools belong to the shard, so that a socket actor
//! can be started anew over them.
//!
//! **In**: [`SendDatagrams`], [`Rebind`], [`Stop`]; the kernel's datagrams.
//! **Out**: [`DatagramsReceived`] to the dispatcher, [`BuffersFreed`](messages::BuffersFreed) by way of the send pool.
//!
//! It ends when it is told to. Overloaded, it stops reading: without credit with the dispatcher, datagrams wait in the
//! kernel, which drops and counts what it has no room for. While all receive buffers are held, by applications that do not
//! read say, what arrives is copied instead, and flow control bounds it. No error of the kernel ends it: each is counted,
//! and what it was about is lost, as datagrams are.
//!
//! | File | What |
//! |---|---|
//! | `io.rs` | what a socket can do; `udp.rs`, `memory.rs`: the kernel's, and one for tests |
//! | `bind.rs` | one port for all shards |
//! | `busy.rs` | looking again instead of sleeping |
//! | `receive.rs` | batches from the kernel |
//! | `send.rs` | batches to the kernel |
//! | `kernel.rs` | what the kernel dropped |
//! | `tally.rs` | what is counted at each call |

pub(crate) mod bind;
mod busy;
pub(crate) mod io;
mod kernel;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod messages;
mod receive;
mod send;
mod tally;
mod udp;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient, StreamHandler};
use codec::Time;
use telemetry::Share;
use telemetry::actor::{ActorType, StopReason};
use telemetry::socket::{Offload, Operation};

use crate::batch::{ReceivePool, SendPool};
use crate::clock;
use crate::credit::Credit;
use crate::down::{Cause, Child, Down, Stop};
use crate::meter::{Meter, Tally};
use io::{BoundSocket, SocketIo};
use messages::{DatagramsReceived, Rebind, SendDatagrams};
use receive::Incoming;
use send::{Resumptions, SendQueue};
use tally::SocketTally;

/// Batches on their way from the socket to the dispatcher, at most. See `docs/adr/0001-batch-and-credit-sizes.md`.
pub(crate) const DISPATCHER_BATCHES: u32 = 4;

/// How often the kernel is asked what it dropped, at most.
const KERNEL_PERIOD: Duration = Duration::from_secs(1);
/// And so many times longer than the asking takes.
const KERNEL_EFFORT: u32 = 1_000;

/// A shard's socket, whoever uses it. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub(crate) struct SharedSocket {
    io: Rc<RefCell<SocketIo>>,
    busy_poll: Duration,
}

impl SharedSocket {
    /// Registers a socket with the runtime of this thread.
    ///
    /// # Errors
    ///
    /// What the kernel says, or that there is no runtime.
    pub(crate) fn new(bound: BoundSocket, busy_poll: Duration) -> std::io::Result<Self> {
        let io = Rc::new(RefCell::new(SocketIo::new(bound, busy_poll)?));
        Ok(Self { io, busy_poll })
    }
}

/// What a socket actor works with.
pub(crate) struct SocketParts {
    pub(crate) socket: SharedSocket,
    pub(crate) receive_pool: ReceivePool,
    pub(crate) send_pool: SendPool,
    /// With the dispatcher, which gives it back.
    pub(crate) credit: Credit,
    pub(crate) dispatcher: Recipient<DatagramsReceived>,
    pub(crate) owner: Recipient<Down>,
    pub(crate) meter: Rc<Meter>,
}

/// See the [module](self).
pub(crate) struct SocketActor {
    socket: SharedSocket,
    receive_pool: ReceivePool,
    credit: Credit,
    dispatcher: Recipient<DatagramsReceived>,
    owner: Recipient<Down>,
    meter: Rc<Meter>,
    queue: SendQueue,
    tally: Rc<SocketTally>,
    kernel_drops: u64,
    kernel_asked_again: Time,
    kernel_queue: Share,
}

impl SocketActor {
    pub(crate) fn new(parts: SocketParts) -> Self {
        let SocketParts { socket, receive_pool, send_pool, credit, dispatcher, owner, meter } = parts;
        let tally = Rc::new(SocketTally::new());
        meter.add_tally(&tally);
        let queue = SendQueue::new(Rc::clone(&socket.io), send_pool, Rc::clone(&meter), Rc::clone(&tally));
        let kernel_queue = meter.metrics().socket.receive_queue.share();
        // What was dropped before belongs to whoever used the socket before.
        let kernel_drops = socket.io.borrow().kernel_counters().unwrap_or_default().drops;
        Self {
            socket,
            receive_pool,
            credit,
            dispatcher,
            owner,
            meter,
            queue,
            tally,
            kernel_drops,
            kernel_asked_again: Time::ZERO,
            kernel_queue,
        }
    }

    /// Says what the kernel offers and has granted.
    fn export(&self) {
        let metrics = &self.meter.metrics().socket;
        let socket = self.socket.io.borrow();
        let offloads = socket.offloads();
        for (offload, used) in [
            (Offload::Gso, offloads.gso),
            (Offload::Gro, offloads.gro),
            (Offload::Ecn, offloads.ecn),
            (Offload::PacketInformation, offloads.packet_information),
            // Not while they cost the ECN marks: see `udp.rs`.
            (Offload::ReceiveTimestamp, false),
            (Offload::ReuseportFilter, offloads.reuseport_filter),
        ] {
            metrics.offload[offload].set(f64::from(u8::from(used)));
        }
        if let Some(granted) = socket.kernel_buffers() {
            metrics.buffer[Operation::Receive].set(granted.receive as f64);
            metrics.buffer[Operation::Send].set(granted.send as f64);
        }
    }

    /// Asks the kernel what it dropped, now and then.
    fn ask_kernel(&mut self, now: Time) {
        if now < self.kernel_asked_again {
            return;
        }
        let counters = self.socket.io.borrow().kernel_counters();
        let effort = clock::now() - now;
        self.kernel_asked_again = now + KERNEL_PERIOD.max(effort.saturating_mul(KERNEL_EFFORT));
        if let Some(counters) = counters {
            self.meter.metrics().socket.kernel_drops.add(counters.drops.saturating_sub(self.kernel_drops));
            self.kernel_drops = counters.drops;
            self.kernel_queue.set(counters.receive_queue);
        }
    }
}

impl Actor for SocketActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.meter.started(ActorType::Socket);
        self.export();
        let incoming = Incoming::new(
            Rc::clone(&self.socket.io),
            self.receive_pool.clone(),
            self.credit.clone(),
            Rc::clone(&self.meter),
            Rc::clone(&self.tally),
        );
        ctx.add_stream(incoming);
        ctx.add_stream(Resumptions { socket: Rc::clone(&self.socket.io), waiting: Rc::clone(&self.queue.waiting) });
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        let panicked = std::thread::panicking();
        self.queue.clear();
        self.tally.flush(self.meter.metrics());
        self.meter.stopped(ActorType::Socket, if panicked { StopReason::Panic } else { StopReason::Done });
        let cause = if panicked { Cause::Panicked } else { Cause::Finished };
        self.owner.do_send(Down { child: Child::Socket, cause });
    }
}

impl StreamHandler<DatagramsReceived> for SocketActor {
    fn handle(&mut self, batch: DatagramsReceived, _: &mut Context<Self>) {
        let at = batch.at;
        // There is credit, or nothing would have been read.
        if self.credit.try_take() {
            self.dispatcher.do_send(batch);
            self.meter.sent(ActorType::Dispatcher);
        }
        self.ask_kernel(at);
    }
}

impl StreamHandler<()> for SocketActor {
    fn handle(&mut self, (): (), _: &mut Context<Self>) {
        self.queue.resume();
    }
}

impl Handler<SendDatagrams> for SocketActor {
    type Result = ();

    fn handle(&mut self, order: SendDatagrams, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Socket);
        for batch in order.batches {
            self.queue.push(batch);
        }
        self.queue.send();
        self.meter.done(ActorType::Socket, started);
    }
}

impl Handler<Rebind> for SocketActor {
    type Result = ();

    fn handle(&mut self, order: Rebind, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Socket);
        match SocketIo::new(order.socket, self.socket.busy_poll) {
            Ok(socket) => {
                *self.socket.io.borrow_mut() = socket;
                self.kernel_drops = 0;
                self.export();
                self.queue.resume();
            }
            Err(error) => {
                tracing::warn!(%error, "the new socket cannot be used; the old one stays");
            }
        }
        self.meter.done(ActorType::Socket, started);
    }
}

impl Handler<Stop> for SocketActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        // Last words, such as CONNECTION_CLOSE, have their chance.
        self.queue.resume();
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for SocketActor {
    type Result = ();

    #[expect(clippy::panic, reason = "that is the order")]
    fn handle(&mut self, _: crate::down::Panic, _: &mut Context<Self>) {
        panic!("as ordered");
    }
}
