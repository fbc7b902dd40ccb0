//! [`Roster`]: the connections of a shard and the names they are known by. It outlives the dispatcher that works with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::Addr;
use codec::Time;
use slab::Slab;
use smallvec::SmallVec;
use telemetry::actor::{ActorType, Edge, Rejection};
use transport::Connection as Machine;
use transport::endpoint::Endpoint;
use transport::output::ReceivedDatagrams;
use transport::stream::buffers::BufferConfig;

use crate::config::INPUT_BATCHES;
use crate::connection::messages::{ConnectionInput, LocalAddressChanged, StageRestarted};
use crate::connection::{ConnectionActor, Start};
use crate::credit::Credit;
use crate::down::Stop;
use crate::meter::Meter;
use crate::port::ConnectionPort;
use crate::stage::Stage;

/// A roster as its shard and its dispatcher share it.
pub(crate) type SharedRoster = Rc<RefCell<Roster>>;

/// Datagrams of one connection, in the order in which they came.
type Runs = Box<SmallVec<[ReceivedDatagrams; 1]>>;

/// See the [module](self).
pub(crate) struct Roster {
    /// Knows whose each datagram is, and what to do with those that are nobody's.
    pub(crate) endpoint: Endpoint,
    entries: Slab<Entry>,
    /// The number of uses of keys so far.
    generations: u32,
    /// Keys of those whose runs are collected.
    touched: Vec<usize>,
}

/// A connection.
pub(crate) struct Entry {
    pub(crate) generation: u32,
    pub(crate) port: Arc<ConnectionPort>,
    pub(crate) address: Addr<ConnectionActor>,
    credit: Credit,
    collected: Option<Runs>,
}

impl Roster {
    pub(crate) fn new(endpoint: Endpoint) -> SharedRoster {
        Rc::new(RefCell::new(Self { endpoint, entries: Slab::new(), generations: 0, touched: Vec::new() }))
    }

    /// The key that the next connection will have.
    pub(crate) fn next_key(&self) -> usize {
        self.entries.vacant_key()
    }

    /// Starts the actors of a connection, under [`Self::next_key`].
    pub(crate) fn start(
        &mut self,
        stage: &Rc<Stage>,
        mut machine: Box<Machine>,
        port: Arc<ConnectionPort>,
    ) -> (usize, u32) {
        self.generations = self.generations.wrapping_add(1);
        let generation = self.generations;
        let entry = self.entries.vacant_entry();
        let key = entry.key();
        let credit = Credit::new(&stage.meter, Edge::DispatcherConnection, INPUT_BATCHES);
        let controller = machine.fresh_controller();
        let address = ConnectionActor::start(Start {
            machine,
            port: Arc::clone(&port),
            stage: Rc::clone(stage),
            key,
            generation,
            input_credit: credit.clone(),
            controller,
            buffers: BufferConfig::default(),
        });
        entry.insert(Entry { generation, port, address, credit, collected: None });
        (key, generation)
    }

    /// Takes a connection off, if the key still means it.
    pub(crate) fn remove(&mut self, key: usize, generation: u32) -> Option<Entry> {
        self.get(key, generation)?;
        Some(self.entries.remove(key))
    }

    pub(crate) fn get(&self, key: usize, generation: u32) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.generation == generation)
    }

    pub(crate) fn get_any(&self, key: usize) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter()
    }

    /// Puts a run to those that go to its connection with [`Self::deliver`].
    pub(crate) fn collect(&mut self, key: usize, run: ReceivedDatagrams) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        match &mut entry.collected {
            Some(runs) => runs.push(run),
            collected @ None => {
                *collected = Some(Box::new(SmallVec::from_buf([run])));
                self.touched.push(key);
            }
        }
    }

    /// Sends each connection what was collected for it, one message each. Returns how many datagrams had to be dropped
    /// because their connections cannot keep up.
    pub(crate) fn deliver(&mut self, at: Time, meter: &Meter) -> u64 {
        let mut dropped = 0;
        for key in self.touched.drain(..) {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let Some(datagrams) = entry.collected.take() else { continue };
            if !entry.address.connected() {
                // It ended, and its last word is still on the way.
                meter.metrics().actor.mailbox_rejections[Rejection::Closed].add(1);
                dropped += datagrams.iter().map(count).sum::<u64>();
            } else if entry.credit.try_take() {
                meter.sent(ActorType::Connection);
                entry.address.do_send(ConnectionInput { at, datagrams });
            } else {
                dropped += datagrams.iter().map(count).sum::<u64>();
            }
        }
        dropped
    }

    /// The single actors were started anew: every connection is told. What was collected before is dropped, as its
    /// dispatcher's work was cut off.
    pub(crate) fn tell_restarted(&mut self, meter: &Meter) {
        self.touched.clear();
        for (_, entry) in &mut self.entries {
            entry.collected = None;
            meter.sent(ActorType::Connection);
            entry.address.do_send(StageRestarted);
        }
    }

    /// The socket is another one now: every connection is told.
    pub(crate) fn tell_moved(&self, meter: &Meter) {
        for (_, entry) in &self.entries {
            meter.sent(ActorType::Connection);
            entry.address.do_send(LocalAddressChanged);
        }
    }

    /// Ends all connections at once.
    pub(crate) fn stop_all(&self) {
        for (_, entry) in &self.entries {
            entry.address.do_send(Stop);
        }
    }
}

/// How many datagrams a run is.
pub(crate) fn count(run: &ReceivedDatagrams) -> u64 {
    run.buffer.len().div_ceil(run.segment_size.max(1)).max(1) as u64
}
