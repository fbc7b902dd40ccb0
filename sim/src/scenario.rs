//! [`Scenario`] and [`Flow`]: what is to be simulated, as it is described.

use std::time::Duration;

use congestion::Algorithm;

use crate::link::Link;
use crate::report::Report;
use crate::simulation::Simulation;

/// A link, the flows that share it, how long, and the seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The bottleneck.
    pub link: Link,
    /// Who sends over it.
    pub flows: Vec<Flow>,
    /// How long.
    pub duration: Duration,
    /// All chance comes from it: the same scenario with the same seed is the same, to the nanosecond.
    pub seed: u64,
    /// How many samples are taken of everything, evenly over the duration; at most [`MAXIMUM_SAMPLES`].
    pub samples: usize,
}

/// No series has more samples than this.
pub const MAXIMUM_SAMPLES: usize = 100_000;

impl Scenario {
    /// A link without flows, for ten seconds, with 1,000 samples.
    pub const fn new(link: Link) -> Self {
        Self { link, flows: Vec::new(), duration: Duration::from_secs(10), seed: 1, samples: 1000 }
    }

    /// The same with one more flow.
    #[must_use]
    pub fn with(mut self, flow: Flow) -> Self {
        self.flows.push(flow);
        self
    }

    /// The same with so many more flows like this one.
    #[must_use]
    pub fn with_many(mut self, flows: usize, flow: &Flow) -> Self {
        self.flows.extend(std::iter::repeat_n(flow, flows).cloned());
        self
    }

    /// The same for another time.
    #[must_use]
    pub const fn lasting(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// The same with another seed.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with so many samples.
    #[must_use]
    pub const fn sampled(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// Runs it to its end.
    pub fn run(&self) -> Report {
        let mut simulation = Simulation::new(self);
        simulation.run_until(self.duration);
        simulation.report()
    }
}

/// A connection in one direction: who controls it, what it has to send, and what happens to it.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What it is called in reports; empty for the name of its algorithm.
    pub name: String,
    /// What controls it at the beginning.
    pub algorithm: Algorithm,
    /// When it begins.
    pub start: Duration,
    /// When its application has nothing more to say; what is lost by then is still sent again.
    pub stop: Option<Duration>,
    /// How many bytes it has to send altogether, if not as many as go.
    pub bytes: Option<u64>,
    /// How its application writes them.
    pub source: Source,
    /// The round trip beyond the link's.
    pub extra_round_trip: Duration,
    /// Changes of the controller, in the order of their times.
    pub swaps: Vec<Swap>,
    /// When it moves to another path, as far as it knows: everything measured begins anew, with a new controller of the kind
    /// that it has (RFC 9000 §9.4). What the path is like from then on is a [`Change`](crate::Change) of the link.
    pub migrations: Vec<Duration>,
    /// The maximum datagram size in bytes.
    pub datagram_size: u16,
    /// Whether its packets are marked ECN-capable, as the controller wants.
    pub ecn: bool,
    /// The window to begin with; `None` is RFC 9002's.
    pub initial_window: Option<u64>,
    /// Both its ends.
    pub host: Host,
}

impl Flow {
    /// As much as goes, from the beginning to the end.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self {
            name: String::new(),
            algorithm,
            start: Duration::ZERO,
            stop: None,
            bytes: None,
            source: Source::Bulk,
            extra_round_trip: Duration::ZERO,
            swaps: Vec::new(),
            migrations: Vec::new(),
            datagram_size: 1452,
            ecn: false,
            initial_window: None,
            host: Host::new(),
        }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same, beginning then.
    #[must_use]
    pub const fn starting(mut self, start: Duration) -> Self {
        self.start = start;
        self
    }

    /// The same, ending then.
    #[must_use]
    pub const fn stopping(mut self, stop: Duration) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The same with so many bytes.
    #[must_use]
    pub const fn sending(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The same with another application.
    #[must_use]
    pub const fn with_source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// The same over a longer way.
    #[must_use]
    pub const fn farther(mut self, extra_round_trip: Duration) -> Self {
        self.extra_round_trip = extra_round_trip;
        self
    }

    /// The same with a change of the controller.
    #[must_use]
    pub fn swapping(mut self, at: Duration, to: Algorithm) -> Self {
        self.swaps.push(Swap { at, to });
        self
    }

    /// The same, moving to another path then.
    #[must_use]
    pub fn migrating(mut self, at: Duration) -> Self {
        self.migrations.push(at);
        self
    }

    /// The same with packets that are marked ECN-capable.
    #[must_use]
    pub const fn with_ecn(mut self) -> Self {
        self.ecn = true;
        self
    }

    /// The same with datagrams of so many bytes.
    #[must_use]
    pub const fn with_datagrams_of(mut self, bytes: u16) -> Self {
        self.datagram_size = bytes;
        self
    }

    /// The same between other hosts.
    #[must_use]
    pub const fn between(mut self, host: Host) -> Self {
        self.host = host;
        self
    }
}

/// A change of the controller, from the snapshot of the one before.
#[derive(Clone, Copy, Debug)]
pub struct Swap {
    /// When, since the beginning.
    pub at: Duration,
    /// To which.
    pub to: Algorithm,
}

/// How an application writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Source {
    /// There is always more.
    #[default]
    Bulk,
    /// Evenly, so many bytes a second.
    Rate(u64),
    /// So many bytes at once, ever again.
    Messages {
        /// How many bytes.
        bytes: u64,
        /// How often.
        every: Duration,
    },
    /// As much as goes for a time, then nothing for a time.
    OnOff {
        /// For how long it writes.
        on: Duration,
        /// For how long it does not.
        off: Duration,
    },
}

/// What the hosts at both ends of a flow do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host {
    /// So many packets are acknowledged with one acknowledgement (RFC 9000 §13.2.2 recommends 2).
    pub packets_per_acknowledgement: u64,
    /// A single packet is acknowledged within this time: max_ack_delay.
    pub max_ack_delay: Duration,
    /// What arrives within this time after a first packet is handled together with it, at both ends.
    pub coalescing: Duration,
    /// Timers of the sender expire at multiples of this; zero is at once.
    pub timer: Duration,
    /// Whether a handshake goes before the data: a datagram and its answer, which measure the round trip.
    pub handshake: bool,
}

impl Host {
    /// An acknowledgement every two packets or 25 ms, everything handled at once, after a handshake.
    pub const fn new() -> Self {
        Self {
            packets_per_acknowledgement: 2,
            max_ack_delay: Duration::from_millis(25),
            coalescing: Duration::ZERO,
            timer: Duration::ZERO,
            handshake: true,
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}
