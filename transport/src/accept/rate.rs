//! Token buckets in eight bytes each: [`RateLimit`] for one thing, [`SourceLimits`] for each network of clients.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use codec::Time;

use crate::limits;
use crate::router::KeyedHash;

/// So many in a second in the long run, so many at once.
///
/// The bucket is one moment: when it will be full again. Each permit moves it by the time one permit takes to grow
/// back; a permit is refused while it lies further ahead than the whole bucket takes to fill.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    full_at: Time,
    interval: Duration,
    tolerance: Duration,
}

impl RateLimit {
    /// `per_second` in the long run, `burst` at once. Zeros count as one.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { full_at: Time::ZERO, interval, tolerance: interval.saturating_mul(burst.max(1) - 1) }
    }

    /// Takes a permit if there is one.
    pub fn take(&mut self, now: Time) -> bool {
        take(&mut self.full_at, now, self.interval, self.tolerance)
    }
}

fn take(full_at: &mut Time, now: Time, interval: Duration, tolerance: Duration) -> bool {
    if *full_at > now + tolerance {
        return false;
    }
    *full_at = (*full_at).max(now) + interval;
    true
}

/// New attempts from each /32 of IPv4 and each /56 of IPv6, in a table that never grows.
///
/// Each network has two buckets, found by a keyed hash, and is refused only if both are empty. Two networks that share
/// one bucket hardly ever share both.
#[derive(Clone, Debug)]
pub struct SourceLimits {
    slots: Box<[Time]>,
    hashes: [KeyedHash; 2],
    interval: Duration,
    tolerance: Duration,
}

impl SourceLimits {
    const SLOTS: usize = 8192;

    /// The limits [`limits::ATTEMPTS_PER_SOURCE_PER_SECOND`] and [`limits::ATTEMPTS_PER_SOURCE_BURST`]; `seeds` must be
    /// unpredictable.
    pub fn new(seeds: [u64; 2]) -> Self {
        let [one, other] = seeds;
        let limit = RateLimit::new(limits::ATTEMPTS_PER_SOURCE_PER_SECOND, limits::ATTEMPTS_PER_SOURCE_BURST);
        Self {
            slots: vec![Time::ZERO; Self::SLOTS].into_boxed_slice(),
            hashes: [KeyedHash::new([one, other]), KeyedHash::new([other, one])],
            interval: limit.interval,
            tolerance: limit.tolerance,
        }
    }

    /// Takes a permit of this address' network if there is one.
    pub fn take(&mut self, now: Time, source: IpAddr) -> bool {
        let network = network(source);
        let mut permitted = false;
        for hash in &self.hashes {
            let slot = hash.hash_one(network) % self.slots.len() as u64;
            if let Some(full_at) = usize::try_from(slot).ok().and_then(|slot| self.slots.get_mut(slot)) {
                // Not short-circuited: a permit is taken from both buckets that have one.
                permitted |= take(full_at, now, self.interval, self.tolerance);
            }
        }
        permitted
    }
}

/// The /32 or /56 that an address is in; an IPv4 address written as IPv6 is the IPv4 address.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        // The top 56 bits, above all that an IPv4 address can be.
        IpAddr::V6(address) => (u128::from(address) >> 72) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_limit_gives_its_burst_then_its_rate() {
        let mut limit = RateLimit::new(50, 200);
        assert_eq!((0..1000).filter(|_| limit.take(at(5000))).count(), 200);
        assert_eq!((0..1000).filter(|_| limit.take(at(6000))).count(), 50);
        assert_eq!((0..1000).filter(|_| limit.take(at(6019))).count(), 0);
        assert_eq!((0..1000).filter(|_| limit.take(at(6020))).count(), 1);
        assert_eq!((0..1000).filter(|_| limit.take(at(60_000))).count(), 200, "an idle bucket holds one burst");
    }

    #[test]
    fn a_limit_gives_its_burst_at_the_origin_of_time() {
        let mut limit = RateLimit::new(100, 100);
        assert_eq!((0..1000).filter(|_| limit.take(Time::ZERO)).count(), 100);
    }

    #[test]
    fn a_network_that_asks_too_often_does_not_silence_others() {
        let mut limits = SourceLimits::new([1, 2]);
        let loud = IpAddr::from([192, 0, 2, 1]);
        assert_eq!((0..1000).filter(|_| limits.take(at(1000), loud)).count(), 200);
        assert!(limits.take(at(1000), IpAddr::from([192, 0, 2, 2])));
        assert_eq!((0..1000).filter(|_| limits.take(at(2000), loud)).count(), 50);
        assert!(!limits.take(at(2000), IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped())), "the same host");
    }

    #[test]
    fn addresses_of_one_56_share_and_of_two_do_not() {
        let address = |network: u16, host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host));
        let mut limits = SourceLimits::new([1, 2]);
        assert_eq!((0..1000).filter(|host| limits.take(at(0), address(0x1200 | (*host & 0xff), *host))).count(), 200);
        assert!(limits.take(at(0), address(0x1300, 1)));
    }

    #[test]
    fn a_million_sources_take_no_more_memory_and_leave_the_quiet_alone() {
        let mut limits = SourceLimits::new([1, 2]);
        let slots = limits.slots.len();
        for source in 0..1_000_000_u32 {
            limits.take(at(u64::from(source) / 100), IpAddr::V4(Ipv4Addr::from(source)));
        }
        assert_eq!(limits.slots.len(), slots);
        assert!(limits.take(at(10_000), IpAddr::from([198, 51, 100, 1])));
    }
}
