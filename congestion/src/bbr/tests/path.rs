//! A path for the draft's example test cases: one BBR, one bottleneck, packet by packet, with everything in sight.

use std::collections::VecDeque;
use std::vec::Vec;

use super::*;
use crate::{Delivery, Pacer, RttView};

pub(super) const SIZE: u64 = 1200;

/// What the path does to packets. All of it may be changed on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Bytes a second.
    pub(super) rate: u64,
    /// There and back, without waiting.
    pub(super) rtt: Duration,
    /// Bytes that may wait.
    pub(super) queue: u64,
    /// Every so many packets one is lost; 0 for none.
    pub(super) loses_every: u64,
    /// Acknowledgements come at multiples of this; zero if each comes at once.
    pub(super) slot: Duration,
    /// Packets come so much later than they would: reordering, if set for a moment.
    pub(super) late: Duration,
    /// A bucket of so many bytes in place of the queue; what does not fit is dropped at once.
    pub(super) policer: Option<u64>,
}

/// 10 Mbit/s, 40 ms: 50,000 bytes. The queue holds four times that.
pub(super) const LINK: Link = Link {
    rate: 1_250_000,
    rtt: Duration::from_millis(40),
    queue: 200_000,
    loses_every: 0,
    slot: Duration::ZERO,
    late: Duration::ZERO,
    policer: None,
};

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    at: Time,
    arrives: Option<Time>,
    is_lost: bool,
    delivered: u64,
    delivered_at: Time,
    first_sent_at: Time,
    lost: u64,
    in_flight: u64,
    application_limited: bool,
}

pub(super) struct Path {
    pub(super) bbr: Bbr,
    pub(super) link: Link,
    pub(super) now: Time,
    /// What the application has to send, in bytes a second; `None` for no end of it.
    pub(super) supply: Option<u64>,
    supplied: u64,
    supplied_at: Time,
    /// Each change of phase, and when.
    pub(super) phases: Vec<(Time, Phase)>,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) in_flight: u64,
    pub(super) last: Observed,
    pacer: Pacer,
    packets: VecDeque<Sent>,
    next_number: u64,
    free_at: Time,
    bucket: u64,
    bucket_at: Time,
    rtt: RttView,
    delivered_at: Time,
    first_sent_at: Time,
    limited_until: u64,
    is_limited: bool,
    prior_in_flight: u64,
}

impl Path {
    pub(super) fn new(link: Link) -> Self {
        Self::with(link, "")
    }

    /// With parameters, as they are written after the name.
    pub(super) fn with(link: Link, parameters: &str) -> Self {
        let now = at(1000);
        let conditions = InitialConditions { datagram_size: SIZE as u16, initial_window: None, now, seed: 7 };
        let algorithm =
            parameters.split(',').filter(|text| !text.is_empty()).fold(crate::Algorithm::BBR, |of, text| {
                let (name, value) = text.split_once('=').unwrap();
                of.with(name, value).unwrap()
            });
        let bbr = Bbr::new(&conditions, algorithm.parameters());
        let guess = Duration::from_millis(333);
        let mut pacer = Pacer::new();
        pacer.set_window(now, bbr.window(), SIZE as u16);
        Self {
            link,
            now,
            supply: None,
            supplied: 0,
            supplied_at: now,
            phases: Vec::new(),
            delivered: 0,
            lost: 0,
            in_flight: 0,
            last: Observed::default(),
            pacer,
            packets: VecDeque::new(),
            next_number: 0,
            free_at: now,
            bucket: link.policer.unwrap_or(0),
            bucket_at: now,
            rtt: RttView { latest: guess, smoothed: guess, variation: guess / 2, minimum: guess },
            delivered_at: now,
            first_sent_at: now,
            limited_until: 0,
            is_limited: false,
            prior_in_flight: 0,
            bbr,
        }
    }

    /// Goes on until that holds after a turn; panics if it doesn't within the time.
    pub(super) fn until(&mut self, within: Duration, what: impl Fn(&Self) -> bool) {
        let end = self.now + within;
        loop {
            self.step(end);
            if what(self) {
                return;
            }
            assert!(self.now < end, "not within {within:?}; {:?} {:?}", self.bbr.phase(), self.phases);
        }
    }

    pub(super) fn until_phase(&mut self, within: Duration, phase: Phase) {
        self.until(within, |path| path.bbr.phase() == phase);
    }

    /// Goes on for a time; returns the share of the link's rate that was delivered in it.
    pub(super) fn run(&mut self, time: Duration) -> f64 {
        let (end, before) = (self.now + time, self.delivered);
        while self.now < end {
            self.step(end);
        }
        (self.delivered - before) as f64 / (self.link.rate as f64 * time.as_secs_f64())
    }

    /// The application has so much to send from now on.
    pub(super) fn set_supply(&mut self, supply: Option<u64>) {
        self.supply = supply;
        self.supplied = 0;
        self.supplied_at = self.now;
    }

    /// To the next thing that happens, at most until `end`.
    fn step(&mut self, end: Time) {
        self.send();
        let arrival = self.packets.iter().filter_map(|sent| sent.arrives).min().map(|at| self.slotted(at));
        let has_room = self.in_flight + SIZE <= self.bbr.window().congestion_window;
        let release = has_room.then(|| self.pacer.next_release(self.now, SIZE).max(self.next_supply()));
        let probe = self.packets.iter().any(|sent| !sent.is_lost).then(|| self.now + self.rtt.smoothed * 3);
        let next = [arrival, release].into_iter().flatten().min().or(probe).unwrap_or(end);
        if next > end {
            self.now = end;
            return;
        }
        self.now = next;
        if arrival == Some(next) {
            self.take_turn();
        } else if arrival.is_none() && release.is_none() {
            self.lose_everything(false);
        }
    }

    fn slotted(&self, at: Time) -> Time {
        let slot = self.link.slot.as_nanos() as u64;
        if slot == 0 { at } else { Time::from_nanos(at.as_nanos().div_ceil(slot) * slot) }
    }

    fn next_supply(&self) -> Time {
        match self.supply {
            None => self.now,
            Some(0) => Time::MAX,
            Some(supply) => {
                let wait = (self.supplied + SIZE) as u128 * 1_000_000_000 / u128::from(supply);
                (self.supplied_at + Duration::from_nanos(wait as u64 + 1)).max(self.now)
            }
        }
    }

    fn send(&mut self) {
        loop {
            let is_allowed =
                self.in_flight + SIZE <= self.bbr.window().congestion_window && self.pacer.available(self.now) >= SIZE;
            if !is_allowed {
                return;
            }
            if self.next_supply() > self.now {
                self.is_limited = true;
                self.limited_until = (self.delivered + self.in_flight).max(1);
                return;
            }
            self.supplied += SIZE;
            self.send_one();
        }
    }

    fn send_one(&mut self) {
        self.pacer.on_sent(self.now, SIZE);
        if self.in_flight == 0 {
            self.delivered_at = self.now;
            self.first_sent_at = self.now;
        }
        let arrives = self.arrival();
        self.in_flight += SIZE;
        self.prior_in_flight = self.prior_in_flight.max(self.in_flight);
        self.packets.push_back(Sent {
            number: self.next_number,
            at: self.now,
            arrives,
            is_lost: false,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            lost: self.lost,
            in_flight: self.in_flight,
            application_limited: self.limited_until > 0,
        });
        self.next_number += 1;
    }

    /// When the acknowledgement of what leaves now arrives.
    fn arrival(&mut self) -> Option<Time> {
        let link = self.link;
        if link.loses_every > 0 && self.next_number % link.loses_every == link.loses_every - 1 {
            return None;
        }
        if let Some(size) = link.policer {
            let earned = link.rate as u128 * (self.now - self.bucket_at).as_nanos() / 1_000_000_000;
            // What is less than a byte is earned the next time.
            if earned > 0 {
                self.bucket = (self.bucket + earned as u64).min(size);
                self.bucket_at = self.now;
            }
            self.bucket = self.bucket.checked_sub(SIZE)?;
            return Some(self.now + link.rtt);
        }
        let waiting = (self.free_at - self.now).as_nanos() as u64;
        let queued = (waiting as u128 * link.rate as u128 / 1_000_000_000) as u64;
        if queued + SIZE > link.queue {
            return None;
        }
        self.free_at = self.free_at.max(self.now) + Duration::from_nanos(SIZE * 1_000_000_000 / link.rate);
        Some(self.free_at + link.rtt + link.late)
    }

    fn take_turn(&mut self) {
        let now = self.now;
        let arrived = |sent: &Sent| sent.arrives.is_some_and(|at| at <= now);
        let mut observed = self.observed();
        let all: Vec<Sent> = self.packets.iter().filter(|sent| arrived(sent)).copied().collect();
        self.packets.retain(|sent| !arrived(sent));
        observed.spurious = all.iter().filter(|sent| sent.is_lost).count() as u64;
        let newest = all.iter().rfind(|sent| !sent.is_lost).copied();
        observed.acknowledged_packets = all.len() as u64 - observed.spurious;
        observed.acknowledged_bytes = observed.acknowledged_packets * SIZE;
        self.in_flight -= observed.acknowledged_bytes;
        self.delivered += observed.acknowledged_bytes;
        if let Some(newest) = newest {
            self.acknowledge(&newest, &mut observed);
            // RFC 9002's packet threshold: three.
            self.lose_before(newest.number.saturating_sub(2), &mut observed);
        }
        self.tell(observed);
    }

    fn acknowledge(&mut self, newest: &Sent, observed: &mut Observed) {
        let now = self.now;
        let sample = now - newest.at;
        let first = self.delivered == observed.acknowledged_bytes;
        self.rtt.latest = sample;
        self.rtt.smoothed = if first { sample } else { (self.rtt.smoothed * 7 + sample) / 8 };
        self.rtt.minimum = if first { sample } else { self.rtt.minimum.min(sample) };
        observed.rtt_sample = Some(sample);
        observed.largest_acknowledged_sent_at = Some(newest.at);
        if self.delivered > self.limited_until {
            self.limited_until = 0;
        }
        let interval = (now - newest.delivered_at).max(newest.at - newest.first_sent_at);
        self.delivered_at = now;
        self.first_sent_at = newest.at;
        let delivered = self.delivered - newest.delivered;
        observed.delivery = (interval >= self.rtt.minimum).then(|| Delivery {
            rate: model::rate(delivered, interval),
            delivered,
            interval,
            application_limited: newest.application_limited,
            total_delivered: self.delivered,
            prior_delivered: newest.delivered,
            in_flight_when_sent: newest.in_flight,
            lost: self.lost - newest.lost,
        });
    }

    fn observed(&self) -> Observed {
        Observed {
            prior_in_flight: self.prior_in_flight.max(self.in_flight),
            application_limited: self.is_limited,
            ..Observed::default()
        }
    }

    fn lose_before(&mut self, number: u64, observed: &mut Observed) {
        for sent in self.packets.iter_mut().filter(|sent| sent.number < number && !sent.is_lost) {
            sent.is_lost = true;
            observed.lost_packets += 1;
            observed.lost_bytes += SIZE;
            observed.largest_lost_sent_at = Some(sent.at);
        }
        self.in_flight -= observed.lost_bytes;
        self.lost += observed.lost_bytes;
        self.packets.retain(|sent| !sent.is_lost || sent.arrives.is_some());
    }

    /// Everything in flight is declared lost, as persistent congestion if it is said.
    pub(super) fn lose_everything(&mut self, persistent_congestion: bool) {
        let mut observed = Observed { persistent_congestion, ..self.observed() };
        self.lose_before(u64::MAX, &mut observed);
        self.tell(observed);
    }

    fn tell(&mut self, mut observed: Observed) {
        observed.now = self.now;
        observed.rtt = self.rtt;
        observed.bytes_in_flight = self.in_flight;
        observed.datagram_size = SIZE as u16;
        let before = self.bbr.phase();
        let window = self.bbr.on_observed(&observed);
        self.pacer.set_window(self.now, window, SIZE as u16);
        if self.bbr.phase() != before {
            self.phases.push((self.now, self.bbr.phase()));
        }
        self.is_limited = false;
        self.prior_in_flight = self.in_flight;
        self.last = observed;
    }
}
