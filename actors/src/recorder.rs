//! For tests: neighbours that only listen, and a stage whose time is paused.

use actix::dev::ToEnvelope;
use actix::{Actor, Context, Handler, Message, Recipient, System};
use tokio::sync::mpsc;

/// Runs a test on an actix system with one thread, whose clock stands still while anything can run and then leaps to the
/// next deadline.
pub(crate) fn paused<R>(test: impl Future<Output = R>) -> R {
    on_system(true, test)
}

/// The same with the real clock, for tests with real sockets.
pub(crate) fn running<R>(test: impl Future<Output = R>) -> R {
    on_system(false, test)
}

fn on_system<R>(paused: bool, test: impl Future<Output = R>) -> R {
    let runtime = move || {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(test)
}

/// Lets everything run that can run without time passing.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Keeps the messages of one type that an actor under test sends.
pub(crate) struct Recorder<M: Message<Result = ()> + Send + 'static> {
    recipient: Recipient<M>,
    heard: mpsc::UnboundedReceiver<M>,
}

pub(crate) struct Ear<M>(mpsc::UnboundedSender<M>);

impl<M: Unpin + 'static> Actor for Ear<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Unpin + Send + 'static> Handler<M> for Ear<M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Context<Self>) {
        self.0.send(message).ok();
    }
}

impl<M> Recorder<M>
where
    M: Message<Result = ()> + Unpin + Send + 'static,
    Context<Ear<M>>: ToEnvelope<Ear<M>, M>,
{
    pub(crate) fn start() -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        Self { recipient: Ear(sender).start().recipient(), heard }
    }

    pub(crate) fn recipient(&self) -> Recipient<M> {
        self.recipient.clone()
    }

    /// The next message; waits for it.
    pub(crate) async fn next(&mut self) -> M {
        self.heard.recv().await.expect("the recorder lives")
    }

    /// The messages that are there, once all that can run has run.
    pub(crate) async fn all(&mut self) -> Vec<M> {
        settle().await;
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}
