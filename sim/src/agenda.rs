//! [`Agenda`]: who is next.

use codec::Time;

/// When each of a fixed number of parties has something to do, and which is first: a tournament tree.
///
/// Of those at the same moment the one with the least index is first, so that a run depends on nothing but its seed.
#[derive(Clone, Debug)]
pub(crate) struct Agenda {
    /// Of a complete binary tree, the root at 1: the earliest moment below; the leaves are the parties.
    moments: Vec<Time>,
    leaves: usize,
}

impl Agenda {
    pub(crate) fn new(parties: usize) -> Self {
        let leaves = parties.next_power_of_two().max(1);
        Self { moments: vec![Time::MAX; 2 * leaves], leaves }
    }

    /// From now on the party has something to do at that moment; [`Time::MAX`] is never.
    pub(crate) fn set(&mut self, party: usize, at: Time) {
        let mut place = self.leaves + party;
        let Some(moment) = self.moments.get_mut(place) else { return };
        if *moment == at {
            return;
        }
        *moment = at;
        while place > 1 {
            place /= 2;
            let earliest = self.at(2 * place).min(self.at(2 * place + 1));
            if self.at(place) == earliest {
                return;
            }
            self.moments[place] = earliest;
        }
    }

    /// Who is first, and when; [`Time::MAX`] if nobody has anything to do.
    pub(crate) fn first(&self) -> (usize, Time) {
        let at = self.at(1);
        let mut place = 1;
        while place < self.leaves {
            place *= 2;
            if self.at(place) != at {
                place += 1;
            }
        }
        (place - self.leaves, at)
    }

    fn at(&self, place: usize) -> Time {
        self.moments.get(place).copied().unwrap_or(Time::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_the_earliest_and_of_those_the_least(
            parties in 1_usize..40,
            changes in prop::collection::vec((0_usize..40, 0_u64..20), 1..200),
        ) {
            let mut agenda = Agenda::new(parties);
            let mut plain = vec![Time::MAX; parties];
            for (party, at) in changes {
                let (party, at) = (party % parties, if at == 0 { Time::MAX } else { Time::from_nanos(at) });
                agenda.set(party, at);
                plain[party] = at;
                let earliest = plain.iter().copied().min().unwrap();
                let least = plain.iter().position(|at| *at == earliest).unwrap();
                prop_assert_eq!(agenda.first().1, earliest);
                if earliest != Time::MAX {
                    prop_assert_eq!(agenda.first().0, least);
                }
            }
        }
    }
}
