//! [`Stage`]: what all actors of one shard share. Given at construction, never sent.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::Recipient;

use crate::batch::{ReceivePool, SendPool};
use crate::congestion::policy::Policy;
use crate::connection::Outbox;
use crate::dispatcher::messages::RoutesChanged;
use crate::down::Down;
use crate::meter::Meter;
use crate::pacer::messages::{Deregister as DeregisterPacer, Register as RegisterPacer, TransmitWanted};
use crate::socket::messages::SendDatagrams;
use crate::timer::messages::{DeadlineChanged, Deregister as DeregisterTimer, Register as RegisterTimer};

/// The ways to the shard's single actors: one narrow recipient for each thing that may be said to them.
#[derive(Clone, Debug)]
pub(crate) struct Singletons {
    pub(crate) datagrams: Recipient<SendDatagrams>,
    pub(crate) routes: Recipient<RoutesChanged>,
    pub(crate) down: Recipient<Down>,
    pub(crate) register_timer: Recipient<RegisterTimer>,
    pub(crate) deregister_timer: Recipient<DeregisterTimer>,
    pub(crate) deadline: Recipient<DeadlineChanged>,
    pub(crate) register_pacer: Recipient<RegisterPacer>,
    pub(crate) deregister_pacer: Recipient<DeregisterPacer>,
    pub(crate) wanted: Recipient<TransmitWanted>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) shard: usize,
    pub(crate) meter: Rc<Meter>,
    pub(crate) receive_pool: ReceivePool,
    pub(crate) send_pool: SendPool,
    /// Which connection gets which controller.
    pub(crate) policy: Arc<Policy>,
    /// Replaced when the single actors are started anew. None only while they are.
    singletons: RefCell<Option<Rc<Singletons>>>,
    /// Where a connection's turn puts what it sends: one turn at a time.
    outbox: RefCell<Option<Box<Outbox>>>,
}

impl Stage {
    pub(crate) fn new(
        shard: usize,
        meter: Rc<Meter>,
        receive_pool: ReceivePool,
        send_pool: SendPool,
        policy: Arc<Policy>,
    ) -> Rc<Self> {
        Rc::new(Self {
            shard,
            meter,
            receive_pool,
            send_pool,
            policy,
            singletons: RefCell::new(None),
            outbox: RefCell::new(None),
        })
    }

    /// An empty outbox, for one turn.
    pub(crate) fn lend_outbox(&self) -> Box<Outbox> {
        self.outbox.take().unwrap_or_default()
    }

    /// Takes back what was lent, emptied.
    pub(crate) fn take_outbox(&self, outbox: Box<Outbox>) {
        *self.outbox.borrow_mut() = Some(outbox);
    }

    /// The single actors were started.
    pub(crate) fn set_singletons(&self, singletons: Singletons) {
        *self.singletons.borrow_mut() = Some(Rc::new(singletons));
    }

    /// How to reach them; `None` before the first start.
    pub(crate) fn singletons(&self) -> Option<Rc<Singletons>> {
        self.singletons.borrow().clone()
    }
}
