//! [`Spaces`]: what a connection has one of for each packet number space.

use alloc::boxed::Box;
use core::ops::{Index, IndexMut};

use crate::SpaceId;

/// What there is one of for each packet number space.
pub trait PerSpace: Sized + 'static {
    /// Of a space whose keys are gone: nothing happens there any more.
    const GONE: &'static Self;

    /// Of a space in which nothing has happened.
    fn new(space: SpaceId) -> Self;

    /// The value of [`Self::GONE`].
    fn gone() -> Self;
}

/// One `T` for each packet number space. Those of the handshake are apart, because most of a connection's life is after it.
#[derive(Debug)]
pub struct Spaces<T> {
    application: T,
    /// Initial and Handshake, until both are gone.
    handshake: Option<Box<[T; 2]>>,
}

impl<T: PerSpace> Spaces<T> {
    /// Of a connection that begins.
    pub fn new() -> Self {
        let handshake = [T::new(SpaceId::Initial), T::new(SpaceId::Handshake)];
        Self { application: T::new(SpaceId::Application), handshake: Some(Box::new(handshake)) }
    }

    /// The keys of Initial and Handshake packets are gone for good (RFC 9001 §4.9), and with them what belongs to them.
    pub fn leave_handshake(&mut self) {
        self.handshake = None;
    }

    /// That of a space, unless it is gone.
    #[inline]
    pub fn get_mut(&mut self, space: SpaceId) -> Option<&mut T> {
        match (space, self.handshake.as_deref_mut()) {
            (SpaceId::Application, _) => Some(&mut self.application),
            (SpaceId::Initial, Some([initial, _])) => Some(initial),
            (SpaceId::Handshake, Some([_, handshake])) => Some(handshake),
            (_, None) => None,
        }
    }

    /// Those that there are, in the order of a handshake.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.handshake.iter().flat_map(|spaces| spaces.iter()).chain([&self.application])
    }

    /// Those that there are, in the order of a handshake.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.handshake.iter_mut().flat_map(|spaces| spaces.iter_mut()).chain([&mut self.application])
    }
}

impl<T: PerSpace> Default for Spaces<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn gone<T: PerSpace>() -> Box<[T; 2]> {
    Box::new([T::gone(), T::gone()])
}

impl<T: PerSpace> Index<SpaceId> for Spaces<T> {
    type Output = T;

    #[inline]
    fn index(&self, space: SpaceId) -> &T {
        match (space, self.handshake.as_deref()) {
            (SpaceId::Application, _) => &self.application,
            (SpaceId::Initial, Some([initial, _])) => initial,
            (SpaceId::Handshake, Some([_, handshake])) => handshake,
            (_, None) => T::GONE,
        }
    }
}

impl<T: PerSpace> IndexMut<SpaceId> for Spaces<T> {
    /// What is gone stays gone, and takes room again: ask [`Spaces::get_mut`] where that may happen.
    #[inline]
    fn index_mut(&mut self, space: SpaceId) -> &mut T {
        let Self { application, handshake } = self;
        match space {
            SpaceId::Application => application,
            SpaceId::Initial => &mut handshake.get_or_insert_with(gone)[0],
            SpaceId::Handshake => &mut handshake.get_or_insert_with(gone)[1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Received;
    use codec::Time;

    #[test]
    fn the_handshake_leaves_nothing_but_one_pointer() {
        assert!(size_of::<Spaces<Received>>() <= size_of::<Received>() + size_of::<usize>());
        let mut spaces: Spaces<Received> = Spaces::new();
        for space in SpaceId::ALL {
            spaces[space].on_packet(7, Time::ZERO, true, None, false);
            assert_eq!(spaces[space].largest(), Some(7));
        }
        assert_eq!((spaces.iter().count(), spaces.iter_mut().count()), (3, 3));
        spaces.leave_handshake();
        assert_eq!((spaces.iter().count(), spaces.iter_mut().count()), (1, 1));
        assert_eq!(SpaceId::ALL.map(|space| spaces.get_mut(space).is_some()), [false, false, true]);
        assert_eq!(SpaceId::ALL.map(|space| spaces[space].largest()), [None, None, Some(7)]);
    }
}
