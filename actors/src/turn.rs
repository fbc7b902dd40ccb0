//! The end of a turn: what an actor does once for all messages that waited for it.
//!
//! A turn is one draining of the mailbox. actix polls what was spawned in a context after the mailbox, so a future that
//! stays there for as long as the actor lives is asked exactly then; to spawn one for each turn would cost an allocation
//! and another round through the context.

use std::pin::Pin;
use std::task::{self, Poll};

use actix::{Actor, ActorFuture, ActorFutureExt, AsyncContext, Context, WrapFuture};

/// Whether a turn is open, and whether it may end in this poll.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Turn {
    /// Nothing happened since the last one.
    #[default]
    None,
    /// Something did: it ends as soon as the mailbox is empty.
    Open,
    /// It ends after every other runnable actor of the shard had its turn, and the sockets theirs.
    Later,
}

impl Turn {
    /// Something happened.
    pub(crate) const fn open(&mut self) {
        if matches!(self, Self::None) {
            *self = Self::Open;
        }
    }
}

/// An actor that works in turns.
pub(crate) trait Turns: Actor<Context = Context<Self>> + Unpin {
    /// Its turn.
    fn turn(&mut self) -> &mut Turn;

    /// Sends what came of the messages of this turn. The turn is over: what it finds, it opens anew.
    fn end_turn(&mut self, context: &mut Context<Self>);

    /// There is more to do than one turn should, so that there is another one when others had theirs.
    fn go_on_later(&mut self, context: &mut Context<Self>) {
        if *self.turn() == Turn::None {
            *self.turn() = Turn::Later;
            let others = tokio::task::yield_now().into_actor(self);
            context.spawn(others.map(|(), actor: &mut Self, context: &mut Context<Self>| {
                *actor.turn() = Turn::None;
                actor.end_turn(context);
            }));
        }
    }
}

/// Ends the turns of this actor from now on. To be called when it starts.
pub(crate) fn end_turns<A: Turns>(context: &mut Context<A>) {
    context.spawn(EndOfTurns);
}

struct EndOfTurns;

impl<A: Turns> ActorFuture<A> for EndOfTurns {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut Context<A>,
        _: &mut task::Context<'_>,
    ) -> Poll<Self::Output> {
        if *actor.turn() == Turn::Open {
            *actor.turn() = Turn::None;
            actor.end_turn(context);
        }
        // An actor whose addresses are all gone ends when nothing is left in its context.
        if context.connected() { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests {
    use actix::{Handler, Message};

    use super::*;
    use crate::recorder::{paused, settle};

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Work(u32);

    /// Does one unit of work a turn.
    struct Worker {
        turn: Turn,
        waiting: u32,
        turns: std::rc::Rc<std::cell::RefCell<Vec<u32>>>,
    }

    impl Actor for Worker {
        type Context = Context<Self>;

        fn started(&mut self, context: &mut Self::Context) {
            end_turns(context);
        }

        fn stopped(&mut self, _: &mut Self::Context) {
            self.turns.borrow_mut().push(u32::MAX);
        }
    }

    impl Turns for Worker {
        fn turn(&mut self) -> &mut Turn {
            &mut self.turn
        }

        fn end_turn(&mut self, context: &mut Context<Self>) {
            self.turns.borrow_mut().push(self.waiting);
            self.waiting -= 1;
            if self.waiting > 0 {
                self.go_on_later(context);
            }
        }
    }

    impl Handler<Work> for Worker {
        type Result = ();

        fn handle(&mut self, message: Work, _: &mut Context<Self>) {
            self.waiting += message.0;
            self.turn.open();
        }
    }

    #[test]
    fn a_turn_takes_all_messages_that_waited_and_goes_on_while_there_is_more() {
        paused(async {
            let turns = std::rc::Rc::default();
            let worker = Worker { turn: Turn::None, waiting: 0, turns: std::rc::Rc::clone(&turns) }.start();
            settle().await;
            assert_eq!(*turns.borrow(), [0; 0], "nothing happened");
            worker.do_send(Work(1));
            worker.do_send(Work(2));
            settle().await;
            assert_eq!(*turns.borrow(), [3, 2, 1]);
            worker.do_send(Work(1));
            drop(worker);
            settle().await;
            assert_eq!(*turns.borrow(), [3, 2, 1, 1, u32::MAX], "the last turn is taken, then the actor ends");
        });
    }
}
