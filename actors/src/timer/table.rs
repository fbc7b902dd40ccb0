//! [`Table`]: who is to be told what when: registrations by key, and a wheel of times.

use actix::{Message, Recipient};
use codec::Time;
use transport::wheel::{Key, Wheel};

/// The largest key that can be registered. The table has a place for each key up to the largest used.
const LARGEST_KEY: usize = 1 << 24;

/// Registrations of the timer and of the pacer: a recipient a key, and at most one time, with what goes with it.
#[derive(Debug)]
pub(crate) struct Table<M: Message<Result = ()> + Send, P> {
    wheel: Wheel<Slot>,
    places: Vec<Option<Place<M, P>>>,
    due: Vec<(Slot, Time)>,
}

#[derive(Debug)]
struct Place<M: Message<Result = ()> + Send, P> {
    generation: u32,
    recipient: Recipient<M>,
    payload: P,
}

/// Something that is due.
#[derive(Debug)]
pub(crate) struct Due<'a, M: Message<Result = ()> + Send, P> {
    /// The time it was planned for.
    pub(crate) planned: Time,
    pub(crate) recipient: &'a Recipient<M>,
    pub(crate) payload: &'a P,
}

#[derive(Clone, Copy, Debug)]
struct Slot(usize);

impl Key for Slot {
    fn index(self) -> usize {
        self.0
    }
}

impl<M: Message<Result = ()> + Send, P: Default> Table<M, P> {
    pub(crate) fn new(now: Time) -> Self {
        Self { wheel: Wheel::new(now), places: Vec::new(), due: Vec::new() }
    }

    /// How many times are set.
    pub(crate) const fn armed(&self) -> usize {
        self.wheel.len()
    }

    /// Nothing is due before this.
    pub(crate) fn next(&self) -> Option<Time> {
        self.wheel.next()
    }

    /// Takes the place of whoever had the key; nothing is set for it.
    pub(crate) fn register(&mut self, key: usize, generation: u32, recipient: Recipient<M>) {
        debug_assert!(key < LARGEST_KEY, "keys are the small numbers of a slab");
        if key >= LARGEST_KEY {
            return;
        }
        self.wheel.cancel(Slot(key));
        if self.places.len() <= key {
            self.places.resize_with(key + 1, || None);
        }
        self.places[key] = Some(Place { generation, recipient, payload: P::default() });
    }

    /// Forgets a registration and its time, unless the key has a new owner.
    pub(crate) fn deregister(&mut self, key: usize, generation: u32) {
        if self.place(key, generation).is_some() {
            self.wheel.cancel(Slot(key));
            self.places[key] = None;
        }
    }

    /// Sets the time of a registration, and what goes with it. Nobody is told on behalf of whoever is gone.
    pub(crate) fn set(&mut self, key: usize, generation: u32, at: Time, payload: P) {
        if let Some(place) = self.place(key, generation) {
            place.payload = payload;
            self.wheel.set(Slot(key), at);
        }
    }

    /// Calls with everything that is due, about in the order of the times. Who no longer listens is forgotten.
    pub(crate) fn expire(&mut self, now: Time, mut tell: impl FnMut(Due<'_, M, P>)) {
        self.wheel.expire(now, &mut self.due);
        for (Slot(key), planned) in self.due.drain(..) {
            let Some(place) = self.places.get_mut(key) else { continue };
            if let Some(Place { recipient, payload, .. }) = place.as_ref().filter(|place| place.recipient.connected()) {
                tell(Due { planned, recipient, payload });
            } else {
                *place = None;
            }
        }
    }

    fn place(&mut self, key: usize, generation: u32) -> Option<&mut Place<M, P>> {
        self.places.get_mut(key)?.as_mut().filter(|place| place.generation == generation)
    }
}
