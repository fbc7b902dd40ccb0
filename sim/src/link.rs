//! [`Link`]: the bottleneck that the flows share, as it is described.

use std::time::Duration;

use codec::Time;

use crate::chance::MILLION;

/// Bytes a second of so many megabits (10^6 bits) a second.
pub const fn megabits(megabits: u64) -> u64 {
    megabits.saturating_mul(125_000)
}

/// The bottleneck: what it carries how fast, what it keeps, drops, marks and delays.
///
/// Everything else of the path is as fast as light: a packet enters the queue when it is sent, and an acknowledgement comes
/// back after half of the round trip, whatever the load.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Bytes a second, at least 1. Of datagrams without IP and UDP headers, so that a flow can reach all of it.
    pub rate: u64,
    /// The round trip of a small packet without queue; half of it each way.
    pub round_trip: Duration,
    /// Bytes that may wait, besides the packet that is being sent.
    pub queue: u64,
    /// What decides which of the waiting packets are dropped or marked.
    pub discipline: Discipline,
    /// Packets lost on their way behind the queue.
    pub loss: Loss,
    /// Acknowledgements lost on their way back, in a million.
    pub acknowledgement_loss: u32,
    /// Each packet is delayed by up to this, uniformly.
    pub jitter: Duration,
    /// Whether jitter lets packets overtake each other.
    pub reorders: bool,
    /// What the link becomes, and when.
    pub changes: Vec<Change>,
}

impl Link {
    /// A link with a drop-tail queue of one bandwidth-delay product and no other loss. The rate is in bytes a second.
    pub const fn new(rate: u64, round_trip: Duration) -> Self {
        let mut link = Self {
            rate: if rate == 0 { 1 } else { rate },
            round_trip,
            queue: 0,
            discipline: Discipline::DropTail,
            loss: Loss::None,
            acknowledgement_loss: 0,
            jitter: Duration::ZERO,
            reorders: false,
            changes: Vec::new(),
        };
        link.queue = link.bandwidth_delay_product();
        link
    }

    /// Bytes that fill the link without queue.
    pub const fn bandwidth_delay_product(&self) -> u64 {
        (self.rate as u128 * self.round_trip.as_nanos() / 1_000_000_000) as u64
    }

    /// The same with a queue of so many bytes.
    #[must_use]
    pub const fn with_queue(mut self, bytes: u64) -> Self {
        self.queue = bytes;
        self
    }

    /// The same with a queue of so many bandwidth-delay products.
    #[must_use]
    pub const fn with_queue_of(mut self, products: f64) -> Self {
        self.queue = (self.bandwidth_delay_product() as f64 * products) as u64;
        self
    }

    /// The same with another discipline.
    #[must_use]
    pub const fn with_discipline(mut self, discipline: Discipline) -> Self {
        self.discipline = discipline;
        self
    }

    /// The same, losing each packet with this probability, in a million.
    #[must_use]
    pub const fn with_random_loss(mut self, millionths: u32) -> Self {
        self.loss = Loss::Random(millionths);
        self
    }

    /// The same with other losses.
    #[must_use]
    pub const fn with_loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// The same with jitter; `reorders` if packets may overtake each other.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Duration, reorders: bool) -> Self {
        self.jitter = jitter;
        self.reorders = reorders;
        self
    }

    /// The same with a change. Changes are made in the order of their times.
    #[must_use]
    pub fn with_change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

/// What the link becomes at a moment; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// When, since the beginning.
    pub at: Duration,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// The round trip without queue.
    pub round_trip: Option<Duration>,
    /// Bytes that may wait. What waits already is not thrown away.
    pub queue: Option<u64>,
    /// Packets lost on their way.
    pub loss: Option<Loss>,
}

/// Who is dropped or marked, and when.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Discipline {
    /// Whoever finds the queue full is dropped; nobody is marked.
    #[default]
    DropTail,
    /// RFC 8289: whoever waited too long, for too long.
    CoDel {
        /// How long packets may wait; the RFC recommends 5 ms.
        target: Duration,
        /// For how long they may wait longer; the RFC recommends 100 ms.
        interval: Duration,
        /// Marks ECN-capable packets instead of dropping them.
        ecn: bool,
    },
    /// RFC 9332, DualPI2: a queue of low latency for ECT(1), marked early, coupled to the drops and marks of the other.
    DualQueue {
        /// How long packets of the classic queue should wait; the RFC's default is 15 ms.
        target: Duration,
        /// Where packets of the low-latency queue begin to be marked; the RFC's default is 800 µs.
        ramp_start: Duration,
        /// How much later all of them are; the RFC's default is 400 µs. Zero is a step.
        ramp_range: Duration,
        /// Marks ECT(0) packets instead of dropping them.
        ecn: bool,
    },
}

impl Discipline {
    /// CoDel with the RFC's constants.
    pub const fn codel(ecn: bool) -> Self {
        Self::CoDel { target: Duration::from_millis(5), interval: Duration::from_millis(100), ecn }
    }

    /// DualPI2 with the RFC's constants.
    pub const fn dual_queue() -> Self {
        Self::DualQueue {
            target: Duration::from_millis(15),
            ramp_start: Duration::from_micros(800),
            ramp_range: Duration::from_micros(400),
            ecn: true,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DropTail => "drop_tail",
            Self::CoDel { .. } => "codel",
            Self::DualQueue { .. } => "dual_queue",
        }
    }
}

/// Which packets are lost, besides those that a queue drops.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each for itself with this probability, in a million.
    Random(u32),
    /// One in so many, evenly: the model of response functions. Counted over all flows; 0 for none.
    Every(u32),
    /// In bursts, after Gilbert and Elliott: each packet is sent in a good or a bad state.
    Bursts {
        /// Probability that a packet of the good state is followed by the bad, in a million.
        to_bad: u32,
        /// Probability that a packet of the bad state is followed by the good, in a million.
        to_good: u32,
        /// Probability that a packet of the good state is lost, in a million.
        good: u32,
        /// Probability that a packet of the bad state is lost, in a million.
        bad: u32,
    },
}

impl Loss {
    /// Bursts of so many packets on average, all of them lost, so many packets in a million altogether (below half).
    pub const fn bursts(millionths: u32, length: u32) -> Self {
        let length = if length == 0 { 1 } else { length };
        let millionths = if millionths > MILLION / 2 { MILLION / 2 } else { millionths };
        let to_good = MILLION / length;
        // In the long run the share of the bad state is to_bad / (to_bad + to_good).
        let to_bad = to_good as u64 * millionths as u64 / (MILLION - millionths) as u64;
        Self::Bursts { to_bad: to_bad as u32, to_good, good: 0, bad: MILLION }
    }
}

/// The moment of the simulation's beginning: not the clock's origin, so that controllers may look back.
pub(crate) const BEGINNING: Time = Time::from_nanos(1_000_000_000);

/// The moment so long after the beginning.
pub(crate) fn moment(since: Duration) -> Time {
    BEGINNING + since
}
