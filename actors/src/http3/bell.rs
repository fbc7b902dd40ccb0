//! [`Bell`]: how whoever has news for an HTTP/3 connection gets its actor to look.
//!
//! A stream that can be read, a service that has an answer: each rings with its name, from any thread. The names wait in a
//! list; the mailbox gets one [`Http3Work`] until the actor has looked.

use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use actix::Recipient;
use codec::{Direction, StreamId};
use parking_lot::Mutex;

use super::messages::Http3Work;

/// What there is news of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// The peer opened streams.
    Accept(Direction),
    /// Streams may be opened.
    Open(Direction),
    /// Datagrams came.
    Datagrams,
    /// The connection is over.
    Closed,
    /// A stream can be read, or written to, or its sending half is over.
    Stream(StreamId),
    /// An application did something with its request or response.
    Exchange(StreamId),
    /// An application wants something of the connection: a request, or its end.
    Wishes,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    actor: OnceLock<Recipient<Http3Work>>,
    rung: Mutex<Rung>,
}

#[derive(Debug, Default)]
struct Rung {
    sources: Vec<Source>,
    told: bool,
}

impl Bell {
    /// Who hears it from now on, and of what has been rung before.
    pub(crate) fn hang(&self, actor: Recipient<Http3Work>) {
        let rung = self.rung.lock();
        let told = rung.told;
        let hung = self.actor.set(actor);
        debug_assert!(hung.is_ok(), "a bell has one actor");
        drop(rung);
        if told && let Some(actor) = self.actor.get() {
            actor.do_send(Http3Work);
        }
    }

    /// There is news of `source`.
    pub(crate) fn ring(&self, source: Source) {
        let mut rung = self.rung.lock();
        if rung.sources.last() != Some(&source) {
            rung.sources.push(source);
        }
        let tell = !std::mem::replace(&mut rung.told, true);
        if tell && let Some(actor) = self.actor.get() {
            let actor = actor.clone();
            drop(rung);
            actor.do_send(Http3Work);
        }
    }

    /// Moves what was rung since the last time into `sources`.
    pub(crate) fn take(&self, sources: &mut Vec<Source>) {
        let mut rung = self.rung.lock();
        rung.told = false;
        std::mem::swap(&mut rung.sources, sources);
    }

    /// Something to wake that rings with this name.
    pub(crate) fn waker(self: &Arc<Self>, source: Source) -> Waker {
        Waker::from(Arc::new(Rope { bell: self.clone(), source }))
    }
}

struct Rope {
    bell: Arc<Bell>,
    source: Source,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.bell.ring(self.source);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring(self.source);
    }
}
