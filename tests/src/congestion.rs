//! Controllers over the simulated bottleneck: the grid of paths, and what is asked of them there.
//!
//! A test runs a [`Path`] with some [`sim::Flow`]s and a seed; every run is [verified](sim::Report::verify): no byte lost for
//! good, no window below two datagrams, no flow that stands still.

use std::fmt;
use std::time::Duration;

use ::congestion::Algorithm;
use ::congestion::window::quantum;
use sim::{Flow, Link, Report, Scenario, megabits};

use crate::seeds::{for_seeds, is_full};

/// Seeds of a case, if it is cheap.
pub const SEEDS: u64 = 20;
/// Packets that all seeds of a case may cost together, unless the long forms are run.
const PACKETS: u64 = 400_000;

/// A bottleneck of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Megabits a second.
    pub megabits: u64,
    /// The round trip without queue.
    pub round_trip: Duration,
    /// The queue in bandwidth-delay products.
    pub queue: f64,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Mbit/s, {} ms, {} BDP", self.megabits, self.round_trip.as_millis(), self.queue)
    }
}

impl Path {
    /// A path of the grid, or one between its points.
    pub const fn new(megabits: u64, milliseconds: u64, queue: f64) -> Self {
        Self { megabits, round_trip: Duration::from_millis(milliseconds), queue }
    }

    /// Its rate in bytes a second.
    pub const fn rate(&self) -> f64 {
        megabits(self.megabits) as f64
    }

    /// Its bandwidth-delay product in bytes.
    pub const fn product(&self) -> f64 {
        self.rate() * self.round_trip.as_secs_f64()
    }

    /// The bottleneck; its queue holds a burst of the pacer at least (`docs/adr/0007-bursts.md`): with less, what is measured
    /// is the burst.
    pub fn link(&self) -> Link {
        let link = Link::new(megabits(self.megabits), self.round_trip);
        let least = self.burst() * 6 / 5;
        let queue = (self.product() * self.queue) as u64;
        link.with_queue(queue.max(least))
    }

    /// What leaves at once at most, in bytes, if all of the path is one flow's: ten datagrams, or what its rate yields in a
    /// millisecond (`congestion::window::quantum`; the rate is a quarter above the window's).
    pub fn burst(&self) -> u64 {
        quantum((self.rate() * 1.25) as u64, 10 * u64::from(self.datagram_size()))
    }

    /// Datagrams are large where the path is fast.
    pub const fn datagram_size(&self) -> u16 {
        if self.megabits >= 10_000 { 8_952 } else { 1_452 }
    }

    /// A flow of this algorithm, with the datagrams of the path.
    pub const fn flow(&self, algorithm: Algorithm) -> Flow {
        Flow::new(algorithm).with_datagrams_of(self.datagram_size())
    }

    /// When the beginning counts as over: slow start, and a first answer to a full queue.
    pub fn settled(&self) -> Duration {
        (self.round_trip * 60).max(Duration::from_secs(3))
    }

    /// How long the path is looked at altogether.
    pub fn duration(&self) -> Duration {
        self.settled() + (self.round_trip * 100).max(Duration::from_secs(7))
    }

    /// About how many packets that is.
    pub fn packets(&self) -> u64 {
        (self.rate() * self.duration().as_secs_f64() / f64::from(self.datagram_size())) as u64
    }

    /// Runs these flows over it. A seed also lengthens the round trip by up to a tenth, and moves each flow's beginning by
    /// up to a round trip, so that no result hangs on one phase.
    ///
    /// # Panics
    /// If anything is wrong with a flow.
    pub fn run(&self, flows: Vec<Flow>, seed: u64) -> Report {
        self.run_over(self.link(), flows, self.duration(), seed)
    }

    /// The same over another link than [`Self::link`], and for another time.
    ///
    /// # Panics
    /// If anything is wrong with a flow.
    pub fn run_over(&self, mut link: Link, flows: Vec<Flow>, duration: Duration, seed: u64) -> Report {
        let mut mixed = seed;
        let mut share = || {
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (mixed >> 11) as f64 / (1_u64 << 53) as f64
        };
        if seed > 0 {
            link.round_trip = link.round_trip.mul_f64(1.0 + 0.1 * share());
        }
        let mut scenario = Scenario { seed, ..Scenario::new(link).lasting(duration) };
        for flow in flows {
            let later = if seed > 0 { self.round_trip.mul_f64(share()) } else { Duration::ZERO };
            let start = flow.start + later;
            scenario = scenario.with(flow.starting(start));
        }
        let report = scenario.run();
        if let Err(fault) = report.verify() {
            panic!("{self}, seed {seed}: {fault}");
        }
        report
    }

    /// The share of the path that is used after the beginning.
    pub fn used(&self, report: &Report) -> f64 {
        report.utilisation_between(self.settled(), report.duration)
    }
}

/// The grid: 10 Mbit/s to 10 Gbit/s, 1 to 300 ms, queues of 0.1 to 4 bandwidth-delay products. The corners that cost most
/// only if the long forms are run.
pub fn grid() -> impl Iterator<Item = Path> {
    let rates = [10, 100, 1_000, 10_000];
    let round_trips = [1, 10, 50, 300];
    let queues = [0.1, 0.5, 1.0, 4.0];
    let points = rates.into_iter().flat_map(move |rate| {
        round_trips.into_iter().flat_map(move |rtt| queues.into_iter().map(move |queue| Path::new(rate, rtt, queue)))
    });
    let is_affordable =
        |path: &Path| path.packets() <= 2 * PACKETS || path.packets() <= 4 * PACKETS && path.queue == 1.0;
    points.filter(move |path| is_full() || is_affordable(path))
}

/// Runs a case for every path of the grid, with as many seeds as its packets allow (at most [`SEEDS`]).
///
/// # Panics
/// If the case panics for any seed.
pub fn for_grid(case: impl Fn(Path, u64) + Sync) {
    for path in grid() {
        for_seeds(seeds_for(path.packets()), |seed| case(path, seed));
    }
}

/// How many seeds a case of so many packets is run with.
pub fn seeds_for(packets: u64) -> u64 {
    if is_full() { SEEDS } else { (PACKETS / packets.max(1)).clamp(1, SEEDS) }
}
