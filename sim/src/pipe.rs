//! [`Pipe`]: what is under way, in the order in which it arrives.

use std::collections::VecDeque;

use codec::Time;

/// A way without a limit of rate: each thing arrives at its own moment, those of the same moment in the order they were sent.
#[derive(Clone, Debug)]
pub(crate) struct Pipe<T> {
    under_way: VecDeque<(Time, T)>,
}

impl<T> Pipe<T> {
    pub(crate) const fn new() -> Self {
        Self { under_way: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, at: Time, thing: T) {
        if self.under_way.back().is_none_or(|(last, _)| *last <= at) {
            self.under_way.push_back((at, thing));
        } else {
            // It overtakes.
            let place = self.under_way.partition_point(|(before, _)| *before <= at);
            self.under_way.insert(place, (at, thing));
        }
    }

    /// When the next thing arrives; [`Time::MAX`] if nothing is under way.
    pub(crate) fn next_at(&self) -> Time {
        self.under_way.front().map_or(Time::MAX, |(at, _)| *at)
    }

    /// The last moment at which something is to arrive so far.
    pub(crate) fn last_at(&self) -> Option<Time> {
        self.under_way.back().map(|(at, _)| *at)
    }

    /// Takes what has arrived by now.
    pub(crate) fn pop(&mut self, now: Time) -> Option<T> {
        if self.next_at() > now {
            return None;
        }
        self.under_way.pop_front().map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_arrive_by_their_moment_and_then_in_their_order() {
        let mut pipe = Pipe::new();
        for (at, thing) in [(5, 'a'), (7, 'b'), (5, 'c'), (1, 'd'), (7, 'e')] {
            pipe.push(Time::from_nanos(at), thing);
        }
        assert_eq!((pipe.next_at(), pipe.last_at()), (Time::from_nanos(1), Some(Time::from_nanos(7))));
        let mut arrived = String::new();
        while let Some(thing) = pipe.pop(Time::from_nanos(6)) {
            arrived.push(thing);
        }
        assert_eq!(arrived, "dac");
        assert_eq!((pipe.next_at(), pipe.last_at()), (Time::from_nanos(7), Some(Time::from_nanos(7))));
    }
}
