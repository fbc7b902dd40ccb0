//! When requests are due, if not as soon as the last one is answered.
//!
//! A schedule is numbers: it is asked for the next time and knows no clock. Nothing is queued: a request that cannot be begun
//! when it is due leaves the schedule where it is, so that being late costs no memory, however late it is.

use std::time::Duration;

use super::arguments::Arrivals;

/// The times of one connection, since the beginning of the run.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    times: Times,
    next: Duration,
    /// What is due before this does not count.
    measured_from: Duration,
    /// Nothing is due from here on.
    until: Option<Duration>,
    /// So many that count are still to come.
    left: Option<u64>,
    /// Begun and not processed: they are due once more.
    returned: Vec<Duration>,
}

/// A connection's part of what all connections do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) of: u32,
}

/// What a schedule is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Requests a second, over all connections.
    pub(super) rate: f64,
    pub(super) arrivals: Arrivals,
    pub(super) seed: u64,
    pub(super) warm_up: Duration,
    /// For how long, after the warm-up.
    pub(super) time: Option<Duration>,
    /// How many, after the warm-up, over all connections.
    pub(super) requests: Option<u64>,
}

#[derive(Clone, Debug)]
enum Times {
    /// The number of the next, and seconds from one to the other and to the first.
    Constant { next: u64, step: f64, first: f64 },
    /// The state of chance, the seconds until now and between two on average.
    Poisson { state: u64, now: f64, mean: f64 },
}

impl Times {
    fn next(&mut self) -> Duration {
        let seconds = match self {
            // Multiplied, not added: no error grows.
            Self::Constant { next, step, first } => {
                let seconds = *first + *next as f64 * *step;
                *next += 1;
                seconds
            }
            Self::Poisson { state, now, mean } => {
                *now -= *mean * unit(state).ln();
                *now
            }
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Above 0 and at most 1: SplitMix64 of Steele, Lea and Flood, whose upper 53 bits are a fraction.
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

impl Schedule {
    /// The schedule of one connection. Those of all connections together are what is offered: at equal distances they take
    /// turns, and what comes by chance to each comes by chance to all.
    pub(super) fn new(offer: Offer, part: Part) -> Self {
        let (number, of) = (f64::from(part.number), f64::from(part.of));
        let mean = of / offer.rate;
        let mut times = match offer.arrivals {
            Arrivals::Constant => Times::Constant { next: 0, step: mean, first: number / offer.rate },
            Arrivals::Poisson => {
                let mut state = offer.seed;
                let apart = (unit(&mut state) * (1_u64 << 53) as f64) as u64;
                let state = apart ^ u64::from(part.number).wrapping_mul(0xd1b5_4a32_d192_ed03);
                Times::Poisson { state, now: 0.0, mean }
            }
        };
        let share = |all: u64| {
            let (number, of) = (u64::from(part.number), u64::from(part.of));
            all / of + u64::from(number < all % of)
        };
        Self {
            next: times.next(),
            times,
            measured_from: offer.warm_up,
            until: offer.time.map(|time| offer.warm_up + time),
            left: offer.requests.map(share),
            returned: Vec::new(),
        }
    }

    /// When the next is due; nothing if there is none any more.
    pub(super) fn peek(&self) -> Option<Duration> {
        if let Some(due) = self.returned.last() {
            return Some(*due);
        }
        let is_over =
            self.until.is_some_and(|until| self.next >= until) || self.left == Some(0) || self.next == Duration::MAX;
        (!is_over).then_some(self.next)
    }

    /// It is begun.
    pub(super) fn take(&mut self) -> Option<Duration> {
        let due = self.peek()?;
        if self.returned.pop().is_none() {
            if self.counts(due) {
                self.left = self.left.map(|left| left.saturating_sub(1));
            }
            self.next = self.times.next();
        }
        Some(due)
    }

    /// What was begun has to be begun once more.
    pub(super) fn give_back(&mut self, due: Duration) {
        self.returned.push(due);
    }

    /// Whether what is due then is measured.
    pub(super) fn counts(&self, due: Duration) -> bool {
        due >= self.measured_from
    }

    /// How many that count were due before `now` or, if their number is given, are still to come.
    pub(super) fn rest(&self, now: Duration) -> u64 {
        let mut schedule = self.clone();
        let mut rest = 0;
        while let Some(due) = schedule.take() {
            if self.left.is_none() && due >= now {
                break;
            }
            rest += u64::from(self.counts(due));
            if let (Some(left), true) = (schedule.left, schedule.returned.is_empty() && self.counts(due)) {
                return rest + left;
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer {
        rate: 1000.0,
        arrivals: Arrivals::Constant,
        seed: 1,
        warm_up: Duration::ZERO,
        time: Some(Duration::from_secs(2)),
        requests: None,
    };

    fn all(offer: Offer, of: u32) -> Vec<Duration> {
        let mut times = Vec::new();
        for number in 0..of {
            let mut schedule = Schedule::new(offer, Part { number, of });
            times.extend(std::iter::from_fn(|| schedule.take()));
        }
        times.sort();
        times
    }

    #[test]
    fn connections_take_turns_at_equal_distances() {
        for of in [1, 3, 7] {
            let times = all(OFFER, of);
            assert_eq!(times.len(), 2000, "{of}");
            for (number, time) in times.iter().enumerate() {
                let expected = number as f64 / 1000.0;
                assert!((time.as_secs_f64() - expected).abs() < 1e-6, "{of}: {number} at {time:?}");
            }
        }
    }

    #[test]
    fn chance_keeps_to_the_rate_and_to_its_seed() {
        let offer = Offer { arrivals: Arrivals::Poisson, time: Some(Duration::from_secs(50)), ..OFFER };
        for of in [1, 10] {
            let times = all(offer, of);
            // 50,000 are expected, with a standard deviation of 224.
            assert!((48_900..51_100).contains(&times.len()), "{of}: {}", times.len());
            let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
            // Of exponential gaps, 1/e are longer than the mean.
            let longer = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
            assert!((longer - (-1.0_f64).exp()).abs() < 0.02, "{of}: {longer}");
            assert_eq!(times, all(offer, of));
            assert_ne!(times, all(Offer { seed: 2, ..offer }, of));
        }
        let mut first = Schedule::new(offer, Part { number: 0, of: 2 });
        let mut second = Schedule::new(offer, Part { number: 1, of: 2 });
        assert_ne!(first.take(), second.take(), "each connection has a chance of its own");
    }

    #[test]
    fn a_number_of_requests_is_shared_and_the_warm_up_comes_on_top() {
        let offer = Offer { time: None, requests: Some(10), warm_up: Duration::from_millis(100), ..OFFER };
        let times = all(offer, 3);
        let measured = times.iter().filter(|time| **time >= offer.warm_up).count();
        assert_eq!((measured, times.len()), (10, 110));
        let timed = Offer { warm_up: Duration::from_millis(100), ..OFFER };
        assert_eq!(all(timed, 3).len(), 2100);
    }

    #[test]
    fn what_was_not_begun_is_known_and_what_was_given_back_comes_again() {
        let mut schedule = Schedule::new(OFFER, Part { number: 0, of: 1 });
        assert_eq!(schedule.rest(Duration::MAX), 2000);
        let due = schedule.take().unwrap();
        assert_eq!((due, schedule.peek()), (Duration::ZERO, Some(Duration::from_millis(1))));
        // Due at 1 to 9 ms.
        assert_eq!(schedule.rest(Duration::from_millis(10)), 9);
        schedule.give_back(due);
        assert_eq!((schedule.rest(Duration::from_millis(10)), schedule.take()), (10, Some(due)));
        while schedule.take().is_some() {}
        assert_eq!(schedule.rest(Duration::MAX), 0);

        let numbered = Offer { time: None, requests: Some(1 << 40), warm_up: Duration::from_millis(5), ..OFFER };
        let mut schedule = Schedule::new(numbered, Part { number: 0, of: 1 });
        assert_eq!(schedule.rest(Duration::ZERO), 1 << 40);
        (0..8).for_each(|_| _ = schedule.take());
        assert_eq!(schedule.rest(Duration::ZERO), (1 << 40) - 3);
        schedule.give_back(Duration::from_millis(6));
        assert_eq!(schedule.rest(Duration::ZERO), (1 << 40) - 2);
    }
}
