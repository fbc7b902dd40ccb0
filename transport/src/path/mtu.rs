//! [`MtuDiscovery`]: how large a datagram the path carries (RFC 8899 as RFC 9000 §14.3 applies it).
//!
//! ```text
//!          start()                    next_probe() / on_probe_sent()
//!  Base ───────────▶ Searching ◀───────────────────────────────────▶ probe in flight
//!   ▲                    │ nothing left between what passed and what did not
//!   │ black hole         ▼
//!   └──────────────── Complete ── after ten minutes, searching again
//! ```
//!
//! Sizes are UDP payloads in bytes. Nothing here needs a timer: [`next_probe`](MtuDiscovery::next_probe) is asked whenever
//! something could be sent. ICMP messages are not heard at all, so a forged one changes nothing (RFC 9000 §14.2.1).

#[cfg(test)]
mod tests;

use std::time::Duration;

use codec::Time;

/// BASE_PLPMTU and MIN_PLPMTU: what every path of QUIC carries, in bytes (RFC 9000 §14.3).
pub const BASE: u16 = 1200;
/// Ethernet's 1500 bytes less the headers of IPv6 and UDP: the default for the largest size looked for.
pub const DEFAULT_MAXIMUM: u16 = 1452;
/// MAX_PROBES: so many losses of probes of one size end the search below it (RFC 8899 §5.1.2).
pub const MAX_PROBES: u8 = 3;
/// PMTU_RAISE_TIMER: when a finished search is made again (RFC 8899 §5.1.1).
pub const RAISE_AFTER: Duration = Duration::from_secs(600);
/// How long after a black hole nothing is looked for: it may have been congestion.
pub const PAUSE_AFTER_BLACK_HOLE: Duration = Duration::from_secs(60);
/// So many turns in a row in which only large packets were lost are a black hole.
pub const BLACK_HOLE_TURNS: u8 = 3;
/// So many probe timeouts in a row send large packets back to [`BASE`].
pub const BLACK_HOLE_TIMEOUTS: u32 = 3;
/// The search ends when it is known to within so many bytes: less is not worth a probe.
const PRECISION: u16 = 16;

/// Payloads of links that exist, with the headers of IPv6 and UDP taken off: the IPv6 minimum, WireGuard, Ethernet, FDDI, jumbo
/// frames, loopbacks.
const PLATEAUS: [u16; 7] = [1232, 1372, 1452, 4304, 8952, 16_336, 65_487];

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct MtuConfig {
    /// The size to begin with, in bytes; not below [`BASE`]. More only where the path is known to carry it.
    pub initial: u16,
    /// The largest size to look for, in bytes. The default, [`DEFAULT_MAXIMUM`] (1,452), fits Ethernet; raise it for jumbo frames or
    /// a loopback, where the interface carries up to 65,535. The peer's `max_udp_payload_size` limits it further.
    pub maximum: u16,
    /// Whether to look at all; if not, the size stays the initial one, but black holes are still noticed.
    pub search: bool,
}

impl Default for MtuConfig {
    fn default() -> Self {
        Self { initial: BASE, maximum: DEFAULT_MAXIMUM, search: true }
    }
}

/// What happened so far; counts only ever grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MtuCounters {
    /// Probes acknowledged.
    pub probes_acknowledged: u64,
    /// Probes lost, or refused by the own host.
    pub probes_lost: u64,
    /// Times the path was found not to carry what it had carried.
    pub black_holes: u64,
    /// Searches that came to an end.
    pub searches_ended: u64,
    /// The size at the end of the last search, in bytes; 0 before the first.
    pub ended_with: u16,
}

/// The search for the largest datagram that a path carries; one for each path.
#[derive(Clone, Debug)]
pub struct MtuDiscovery {
    config: MtuConfig,
    peer_maximum: u16,
    current: u16,
    phase: Phase,
    /// The smallest size of this search that did not pass.
    failed: Option<u16>,
    in_flight: Option<u16>,
    /// The size that was lost last, and how often in a row.
    losses: (u16, u8),
    suspicion: Suspicion,
    counters: MtuCounters,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Before the handshake is done, or where nothing is looked for.
    Base,
    Searching,
    /// Nothing more to find until then.
    Resting(Time),
}

/// Large packets lost while smaller ones arrive.
#[derive(Clone, Copy, Debug, Default)]
struct Suspicion {
    turns: u8,
    /// The smallest of the large packets lost in these turns.
    size: u16,
    last_lost_at: Option<Time>,
    /// The last turn in which a large packet arrived, and the largest that did.
    delivered: Option<(Time, u16)>,
}

impl MtuDiscovery {
    /// A path of which nothing is known but the configuration. Probes begin with [`start`](Self::start).
    pub fn new(config: MtuConfig) -> Self {
        let maximum = config.maximum.max(BASE);
        let initial = config.initial.clamp(BASE, maximum);
        Self {
            config: MtuConfig { initial, maximum, ..config },
            peer_maximum: u16::MAX,
            current: initial,
            phase: Phase::Base,
            failed: None,
            in_flight: None,
            losses: (0, 0),
            suspicion: Suspicion::default(),
            counters: MtuCounters::default(),
        }
    }

    /// The maximum datagram size now, in bytes.
    pub const fn current(&self) -> u16 {
        self.current
    }

    /// The largest size that is looked for, in bytes.
    pub fn maximum(&self) -> u16 {
        self.config.maximum.min(self.peer_maximum)
    }

    /// What happened so far.
    pub const fn counters(&self) -> MtuCounters {
        self.counters
    }

    /// The peer's `max_udp_payload_size`, in bytes. Values below 1200 are invalid and to be refused before (RFC 9000 §18.2);
    /// here they count as 1200.
    pub fn set_peer_maximum(&mut self, max_udp_payload_size: u64) {
        self.peer_maximum = u16::try_from(max_udp_payload_size).unwrap_or(u16::MAX).max(BASE);
        self.current = self.current.min(self.maximum());
    }

    /// The handshake is confirmed, or the new path validated: the search may begin.
    pub fn start(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-14.3.1
        //# A QUIC sender can therefore enter the DPLPMTUD BASE state (Section 5.2
        //# of [DPLPMTUD]) when the QUIC connection handshake has been completed.
        if self.config.search && self.phase == Phase::Base {
            self.phase = Phase::Searching;
        }
    }

    /// The size of the probe that is to be sent now, if one is: an ack-eliciting packet of PING and PADDING, in a datagram of its own.
    ///
    /// Answers the same until [`on_probe_sent`](Self::on_probe_sent); `None` while a probe is in flight.
    pub fn next_probe(&mut self, now: Time) -> Option<u16> {
        if let Phase::Resting(until) = self.phase
            && now >= until
        {
            self.phase = Phase::Searching;
            self.failed = None;
            self.losses = (0, 0);
        }
        if self.phase != Phase::Searching || self.in_flight.is_some() {
            return None;
        }
        let size = self.candidate();
        if size.is_none() {
            self.end_search(now);
        }
        size
    }

    /// Whether [`Self::next_probe`] may have one now.
    pub fn may_probe(&self, now: Time) -> bool {
        match self.phase {
            Phase::Base => false,
            Phase::Searching => self.in_flight.is_none(),
            Phase::Resting(until) => now >= until,
        }
    }

    /// A probe of that size left.
    pub const fn on_probe_sent(&mut self, size: u16) {
        self.in_flight = Some(size);
    }

    /// A probe of that size was acknowledged, perhaps after it had been declared lost. Returns the new maximum datagram size, if it grew.
    pub fn on_probe_acknowledged(&mut self, size: u16) -> Option<u16> {
        if self.in_flight == Some(size) {
            self.in_flight = None;
        }
        self.counters.probes_acknowledged += 1;
        if size <= self.current || size > self.maximum() {
            return None;
        }
        if self.failed.is_some_and(|failed| failed <= size) {
            self.failed = None;
        }
        self.losses = (0, 0);
        self.current = size;
        Some(size)
    }

    /// A probe of that size was declared lost. No sign of congestion (RFC 9000 §14.4).
    pub fn on_probe_lost(&mut self, size: u16) {
        self.counters.probes_lost += 1;
        if self.in_flight == Some(size) {
            self.in_flight = None;
        }
        if self.phase != Phase::Searching || size <= self.current {
            return;
        }
        let count = if self.losses.0 == size { self.losses.1.saturating_add(1) } else { 1 };
        self.losses = (size, count);
        if count >= MAX_PROBES {
            self.fail(size);
        }
    }

    /// The own host refused to send a probe of that size (EMSGSIZE): no need to try again.
    pub fn on_probe_refused(&mut self, size: u16) {
        self.counters.probes_lost += 1;
        if self.in_flight == Some(size) {
            self.in_flight = None;
        }
        if size > self.current {
            self.fail(size);
        }
    }

    /// A packet that is no probe was acknowledged, of that datagram size. To be told before the same turn's losses; only the largest of
    /// a turn matters.
    pub fn on_packet_acknowledged(&mut self, size: u16, now: Time) {
        if size <= BASE {
            return;
        }
        let largest = match self.suspicion.delivered {
            Some((at, largest)) if at == now => largest.max(size),
            _ => size,
        };
        self.suspicion.delivered = Some((now, largest));
        if size >= self.suspicion.size {
            self.suspicion.turns = 0;
        }
    }

    /// A packet that is no probe was declared lost, of that datagram size. Returns the new maximum datagram size if this shows a black
    /// hole: the path does not carry any more what it did.
    ///
    /// Loss is only ever declared because something sent later arrived. When that, turn after turn, is never a large packet, the
    /// size is the reason.
    pub fn on_packet_lost(&mut self, size: u16, now: Time) -> Option<u16> {
        let suspicion = &mut self.suspicion;
        let delivered = suspicion.delivered.is_some_and(|(at, largest)| at == now && largest >= size);
        if size <= BASE || self.current <= BASE || delivered || suspicion.last_lost_at == Some(now) {
            return None;
        }
        suspicion.last_lost_at = Some(now);
        suspicion.size = if suspicion.turns == 0 { size } else { suspicion.size.min(size) };
        suspicion.turns += 1;
        (suspicion.turns >= BLACK_HOLE_TURNS).then(|| self.fall_back(now))
    }

    /// So many probe timeouts passed in a row without an acknowledgement. Returns the new maximum datagram size if large packets may be the
    /// reason: where nothing at all arrives, nothing is declared lost either.
    pub fn on_probe_timeouts(&mut self, in_a_row: u32, now: Time) -> Option<u16> {
        (in_a_row >= BLACK_HOLE_TIMEOUTS && self.current > BASE).then(|| self.fall_back(now))
    }

    fn fall_back(&mut self, now: Time) -> u16 {
        self.counters.black_holes += 1;
        self.current = BASE;
        self.failed = None;
        self.losses = (0, 0);
        self.suspicion = Suspicion::default();
        if self.config.search && self.phase != Phase::Base {
            self.phase = Phase::Resting(now + PAUSE_AFTER_BLACK_HOLE);
        }
        BASE
    }

    fn fail(&mut self, size: u16) {
        self.failed = Some(self.failed.map_or(size, |failed| failed.min(size)));
        self.losses = (0, 0);
    }

    /// The next size to try. The largest first, since most paths carry it; below a size that failed, the largest of the sizes that
    /// links have; where there is none, the middle.
    fn candidate(&self) -> Option<u16> {
        if self.losses.1 > 0 {
            return Some(self.losses.0).filter(|size| *size > self.current && *size <= self.maximum());
        }
        let Some(failed) = self.failed else {
            return (self.maximum() > self.current).then(|| self.maximum());
        };
        if failed.saturating_sub(self.current) <= PRECISION {
            return None;
        }
        let plateau = PLATEAUS.into_iter().rev().find(|size| *size > self.current && *size < failed);
        Some(plateau.unwrap_or(self.current + (failed - self.current) / 2))
    }

    fn end_search(&mut self, now: Time) {
        self.counters.searches_ended += 1;
        self.counters.ended_with = self.current;
        self.phase = Phase::Resting(now + RAISE_AFTER);
    }
}
