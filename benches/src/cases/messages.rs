//! What a message between two actors costs: on one arbiter, where a turn's messages stay, and across two, where none of
//! the way of a byte may go.

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message, System};
use tokio::sync::oneshot;

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case::new("messages/same_arbiter", "a message of 64 B, in batches of 32", 3_200, same_arbiter),
    // Two threads: there is nothing to count in one of them.
    Case::new("messages/two_arbiters", "a message to another thread, which answers", 0, two_arbiters),
];

/// How many messages a batch has.
const BATCH: u64 = 32;

#[derive(Message)]
#[rtype(result = "()")]
struct Piece {
    content: [u64; 7],
    last: bool,
}

#[derive(Message)]
#[rtype(result = "()")]
struct BatchTaken;

/// So many messages are to be sent; then it is said.
#[derive(Message)]
#[rtype(result = "()")]
struct Begin(u64, oneshot::Sender<()>);

struct Source {
    sink: Addr<Sink>,
    left: u64,
    done: Option<oneshot::Sender<()>>,
}

struct Sink {
    source: Option<Addr<Source>>,
    sum: u64,
}

/// Who answers the sink: it and the source need each other's address.
#[derive(Message)]
#[rtype(result = "()")]
struct Meet(Addr<Source>);

impl Actor for Source {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.sink.do_send(Meet(context.address()));
    }
}

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Source {
    fn send_batch(&mut self) {
        let batch = self.left.min(BATCH);
        self.left -= batch;
        for number in 0..batch {
            self.sink.do_send(Piece { content: [number; 7], last: number + 1 == batch });
        }
        if batch == 0
            && let Some(done) = self.done.take()
        {
            // Nobody listens any more: then nobody misses it.
            let _heard = done.send(()).is_ok();
        }
    }
}

impl Handler<Begin> for Source {
    type Result = ();

    fn handle(&mut self, Begin(messages, done): Begin, _: &mut Self::Context) {
        (self.left, self.done) = (messages, Some(done));
        self.send_batch();
    }
}

impl Handler<BatchTaken> for Source {
    type Result = ();

    fn handle(&mut self, _: BatchTaken, _: &mut Self::Context) {
        self.send_batch();
    }
}

impl Handler<Meet> for Sink {
    type Result = ();

    fn handle(&mut self, Meet(source): Meet, _: &mut Self::Context) {
        self.source = Some(source);
    }
}

impl Handler<Piece> for Sink {
    type Result = ();

    fn handle(&mut self, piece: Piece, _: &mut Self::Context) {
        self.sum = self.sum.wrapping_add(piece.content.iter().sum());
        if piece.last
            && let Some(source) = &self.source
        {
            source.do_send(BatchTaken);
        }
    }
}

fn same_arbiter() -> Work {
    let system = System::new();
    let source = system.block_on(async {
        let sink = Sink { source: None, sum: 0 }.start();
        Source { sink, left: 0, done: None }.start()
    });
    Box::new(move |operations| {
        let (done, heard) = oneshot::channel();
        source.do_send(Begin(operations, done));
        system.block_on(heard).expect("the source says when it is done");
    })
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ball {
    hops: u64,
    back: Addr<Player>,
    done: oneshot::Sender<()>,
}

struct Player;

impl Actor for Player {
    type Context = Context<Self>;
}

impl Handler<Ball> for Player {
    type Result = ();

    fn handle(&mut self, Ball { hops, back, done }: Ball, context: &mut Self::Context) {
        if hops == 0 {
            let _heard = done.send(()).is_ok();
        } else {
            back.do_send(Ball { hops: hops - 1, back: context.address(), done });
        }
    }
}

fn two_arbiters() -> Work {
    let system = System::new();
    let far = Arbiter::new();
    let (near, far) = system.block_on(async move {
        let near = Player.start();
        (near, Player::start_in_arbiter(&far.handle(), |_| Player))
    });
    Box::new(move |operations| {
        let (done, heard) = oneshot::channel();
        far.do_send(Ball { hops: operations, back: near.clone(), done });
        system.block_on(heard).expect("the last one says so");
    })
}
