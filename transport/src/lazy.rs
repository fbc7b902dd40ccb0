//! [`Lazy`]: a value that takes no room while nothing has touched it.

use std::ops::{Deref, DerefMut};

/// What is `T`'s default until it is changed. Counters of a connection that is idle, say.
#[derive(Clone, Debug)]
pub struct Lazy<T>(Option<Box<T>>);

/// A type whose untouched value can be lent without being made.
pub trait Untouched: Default + 'static {
    /// The default value.
    const VALUE: &'static Self;
}

impl<T> Lazy<T> {
    /// Untouched.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Takes the value out; what stays is untouched.
    #[must_use]
    pub const fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Whether nothing has touched it, so that it is the default.
    pub const fn is_untouched(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Untouched> Deref for Lazy<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::VALUE)
    }
}

impl<T: Untouched> DerefMut for Lazy<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(Box::default)
    }
}
