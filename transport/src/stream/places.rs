//! [`Places`]: things that stay where they are until they are dropped there.

/// A vector whose holes are filled again, as a slab; but what is removed is dropped in place. A stream is hundreds of
/// bytes: taking it out by value copies it several times only to drop the copy.
#[derive(Debug)]
pub(super) struct Places<T> {
    places: Vec<Place<T>>,
    /// The hole that is filled next; the length if there is none.
    vacant: usize,
    taken: usize,
}

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    /// And the next hole.
    Vacant(usize),
}

/// Room for things that an empty table keeps: a burst as large as that is not paid for again by the next one.
pub(super) const KEPT: usize = 128;

impl<T> Places<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), vacant: 0, taken: 0 }
    }

    /// Where the next thing goes.
    pub(super) const fn next(&self) -> usize {
        self.vacant
    }

    /// Puts a thing in the next place, and says which.
    pub(super) fn insert(&mut self, thing: T) -> usize {
        let key = self.vacant;
        match self.places.get_mut(key) {
            Some(place) => {
                if let Place::Vacant(next) = place {
                    self.vacant = *next;
                }
                *place = Place::Taken(thing);
            }
            None => {
                self.places.push(Place::Taken(thing));
                self.vacant = self.places.len();
            }
        }
        self.taken += 1;
        key
    }

    #[inline]
    pub(super) fn get(&self, key: usize) -> Option<&T> {
        match self.places.get(key) {
            Some(Place::Taken(thing)) => Some(thing),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        match self.places.get_mut(key) {
            Some(Place::Taken(thing)) => Some(thing),
            _ => None,
        }
    }

    /// Drops what is there.
    pub(super) fn remove(&mut self, key: usize) {
        if let Some(place @ Place::Taken(_)) = self.places.get_mut(key) {
            *place = Place::Vacant(self.vacant);
            self.on_vacated(key);
        }
    }

    /// Takes out what is there.
    pub(super) fn take(&mut self, key: usize) -> Option<T> {
        let place = self.places.get_mut(key)?;
        if matches!(place, Place::Vacant(_)) {
            return None;
        }
        let Place::Taken(thing) = std::mem::replace(place, Place::Vacant(self.vacant)) else { return None };
        self.on_vacated(key);
        Some(thing)
    }

    /// All things, with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(key, place)| match place {
            Place::Taken(thing) => Some((key, thing)),
            Place::Vacant(_) => None,
        })
    }

    /// Frees the room behind the last thing: what was busy is quiet.
    pub(super) fn shrink(&mut self) {
        let end = self.iter().last().map_or(0, |(key, _)| key + 1);
        self.places.truncate(end);
        self.places.shrink_to_fit();
        // The holes that went may be anywhere in the chain, so that it is made anew.
        self.vacant = end;
        for key in (0..end).rev() {
            if let Some(Place::Vacant(next)) = self.places.get_mut(key) {
                *next = self.vacant;
                self.vacant = key;
            }
        }
    }

    /// For how many things there is room.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.places.capacity()
    }

    fn on_vacated(&mut self, key: usize) {
        self.vacant = key;
        self.taken -= 1;
        if self.taken == 0 && self.places.capacity() > KEPT {
            self.places.clear();
            self.places.shrink_to(KEPT);
            self.vacant = 0;
        }
    }
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert,
        Remove(usize),
        Take(usize),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Insert),
            2 => (0..12_usize).prop_map(Step::Remove),
            1 => (0..12_usize).prop_map(Step::Take),
            1 => Just(Step::Shrink),
        ]
    }

    proptest! {
        #[test]
        fn things_stay_where_they_are_and_are_dropped_once(steps in prop::collection::vec(step(), 1..100)) {
            let witness = Rc::new(());
            let mut places = Places::new();
            let mut model = BTreeMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert => {
                        let expected = places.next();
                        let key = places.insert((number, Rc::clone(&witness)));
                        prop_assert_eq!((key, model.insert(key, number)), (expected, None));
                    }
                    Step::Remove(key) => {
                        places.remove(key);
                        model.remove(&key);
                    }
                    Step::Take(key) => {
                        prop_assert_eq!(places.take(key).map(|(number, _)| number), model.remove(&key));
                    }
                    Step::Shrink => {
                        places.shrink();
                        prop_assert_eq!(places.places.len(), model.keys().last().map_or(0, |key| key + 1));
                    }
                }
                let found: Vec<_> = places.iter().map(|(key, (number, _))| (key, *number)).collect();
                prop_assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(Rc::strong_count(&witness), 1 + model.len());
                for key in 0..14 {
                    prop_assert_eq!(places.get(key).map(|(number, _)| number), model.get(&key));
                    prop_assert_eq!(places.get_mut(key).map(|(number, _)| *number), model.get(&key).copied());
                }
            }
        }
    }

    #[test]
    fn an_empty_table_keeps_room_for_a_burst_and_no_more() {
        for (burst, kept) in [(1, 1..=8), (KEPT, KEPT..=KEPT), (10 * KEPT, KEPT..=KEPT)] {
            let mut places = Places::new();
            let keys: Vec<_> = (0..burst).map(|number| places.insert(number)).collect();
            for key in keys {
                places.remove(key);
            }
            assert!(kept.contains(&places.capacity()), "{burst} {}", places.capacity());
            assert_eq!(places.insert(0), if burst > KEPT { 0 } else { burst - 1 });
            places.remove(burst - 1);
            places.remove(0);
            places.shrink();
            assert_eq!(places.capacity(), 0);
        }
    }
}
