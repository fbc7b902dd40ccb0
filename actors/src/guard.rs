//! The panic boundary: what runs behind it takes only its own state along when it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The state of an actor that must not take its neighbours along.
///
/// Everything that touches the state goes through [`Guarded::run`], one `catch_unwind` a handler. After a panic the state
/// is discarded, never looked at again: nobody knows what it is worth.
#[derive(Debug)]
pub(crate) struct Guarded<S>(Option<S>);

/// The state is gone: it panicked now or earlier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gone {
    /// Whether it was this call that failed.
    pub(crate) now: bool,
}

impl<S> Guarded<S> {
    pub(crate) const fn new(state: S) -> Self {
        Self(Some(state))
    }

    /// Runs `work` on the state.
    pub(crate) fn run<R>(&mut self, work: impl FnOnce(&mut S) -> R) -> Result<R, Gone> {
        let Some(state) = &mut self.0 else { return Err(Gone { now: false }) };
        match catch_unwind(AssertUnwindSafe(|| work(state))) {
            Ok(result) => Ok(result),
            Err(payload) => {
                discard(payload);
                self.discard();
                Err(Gone { now: true })
            }
        }
    }

    /// Drops the state; whatever its parts do while they are dropped stays inside, too.
    pub(crate) fn discard(&mut self) {
        if let Some(state) = self.0.take() {
            discard(state);
        }
    }

    /// The state, which needs no boundary any more.
    pub(crate) fn take(self) -> Option<S> {
        self.0
    }

    /// The state, for looking only.
    pub(crate) const fn get(&self) -> Option<&S> {
        self.0.as_ref()
    }
}

fn discard<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // A payload may itself panic when it is dropped; leaking a few bytes is the safe end of it.
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Spiteful;

    impl Drop for Spiteful {
        fn drop(&mut self) {
            panic!("even when dropped");
        }
    }

    #[test]
    fn a_panic_takes_the_state_and_nothing_else() {
        let mut guarded = Guarded::new(Spiteful);
        assert_eq!(guarded.run(|_| 7), Ok(7));
        assert_eq!(guarded.run(|_| panic!("a bug")), Err::<(), _>(Gone { now: true }));
        assert_eq!(guarded.run(|_| 7), Err(Gone { now: false }));
        assert!(guarded.get().is_none());
    }
}
