//! [`Stopwatch`]: what packet protection costs, measured on one packet in 64 with a clock that is handed in.

/// Reads a clock: nanoseconds since any moment that does not move.
pub type NanosecondClock = fn() -> u64;

/// One packet in so many of each direction is timed, and counts for all of them.
pub const SAMPLED: u8 = 64;

/// Nanoseconds spent in the steps of packet protection (RFC 9001 §5), scaled up from the packets that were timed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CryptoTime {
    /// AEAD, of packets sealed (RFC 9001 §5.3).
    pub seal: u64,
    /// AEAD, of packets opened, authentic or not.
    pub open: u64,
    /// Header protection, of both (RFC 9001 §5.4).
    pub header_protection: u64,
}

/// Times a key ring's work. Without a clock it does nothing.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    clock: Option<NanosecondClock>,
    until_seal: u8,
    until_open: u8,
    time: CryptoTime,
}

/// One packet's way through packet protection: timed, or not.
#[derive(Debug)]
pub(crate) struct Lap {
    clock: Option<NanosecondClock>,
    since: u64,
    time: CryptoTime,
}

impl Stopwatch {
    /// `phase` (modulo [`SAMPLED`]) says how many packets pass before the first is timed: it should differ from connection to
    /// connection, or the packets of short ones would be timed always or never.
    pub(crate) fn new(clock: NanosecondClock, phase: u64) -> Self {
        let until = (phase % u64::from(SAMPLED)) as u8;
        Self { clock: Some(clock), until_seal: until, until_open: until, time: CryptoTime::default() }
    }

    /// A packet is about to be sealed.
    #[inline]
    pub(crate) fn seal(&mut self) -> Lap {
        Lap::new(self.clock, &mut self.until_seal)
    }

    /// A packet is about to be opened.
    #[inline]
    pub(crate) fn open(&mut self) -> Lap {
        Lap::new(self.clock, &mut self.until_open)
    }

    /// The packet is through.
    #[inline]
    pub(crate) fn add(&mut self, lap: &Lap) {
        if lap.clock.is_some() {
            let Lap { time, .. } = lap;
            self.time.seal += time.seal * u64::from(SAMPLED);
            self.time.open += time.open * u64::from(SAMPLED);
            self.time.header_protection += time.header_protection * u64::from(SAMPLED);
        }
    }

    /// What was measured since it was last asked.
    pub(crate) fn take(&mut self) -> CryptoTime {
        core::mem::take(&mut self.time)
    }
}

impl Lap {
    #[inline]
    fn new(clock: Option<NanosecondClock>, until: &mut u8) -> Self {
        let clock = clock.filter(|_| *until == 0);
        *until = until.checked_sub(1).unwrap_or(SAMPLED - 1);
        Self { clock, since: clock.map_or(0, |clock| clock()), time: CryptoTime::default() }
    }

    /// What began at the last mark, or with the lap, was this.
    #[inline]
    pub(crate) fn mark(&mut self, step: impl FnOnce(&mut CryptoTime) -> &mut u64) {
        if let Some(clock) = self.clock {
            let now = clock();
            *step(&mut self.time) += now.saturating_sub(self.since);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use codec::{ConnectionId, Side, Time, Version};

    use super::*;
    use crate::keys::KeyRing;
    use crate::level::Level;

    /// Each reading is 10 ns after the one before. For one test alone.
    fn ticking() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        NOW.fetch_add(10, Ordering::Relaxed)
    }

    fn packet(number: u64) -> [u8; 60] {
        let mut packet = [0; 60];
        packet[0] = 0xc1;
        packet[19] = number as u8;
        packet
    }

    #[test]
    fn one_packet_in_64_is_timed_and_counts_for_all() {
        let mut client = KeyRing::new(Side::Client, Version::V1, &ConnectionId::EMPTY);
        let mut server = KeyRing::new(Side::Server, Version::V1, &ConnectionId::EMPTY);
        client.measure(ticking, 63);
        server.measure(ticking, 63 + 64);
        for number in 0..127 {
            let mut packet = packet(number);
            client.seal(Level::Initial, number, &mut packet, 18, 20).unwrap();
            server.open(Level::Initial, &mut packet, 18, number, Time::ZERO).unwrap();
        }
        let (sealed, opened) = (client.take_crypto_time(), server.take_crypto_time());
        assert_eq!(sealed, CryptoTime { seal: 640, open: 0, header_protection: 640 });
        assert_eq!(opened, CryptoTime { seal: 0, open: 640, header_protection: 640 });
        assert_eq!(client.take_crypto_time(), CryptoTime::default());
        // The 128th packet is the second that is timed.
        client.seal(Level::Initial, 127, &mut packet(127), 18, 20).unwrap();
        assert_eq!(client.take_crypto_time(), sealed);
    }

    #[test]
    fn without_a_clock_nothing_is_measured() {
        let mut client = KeyRing::new(Side::Client, Version::V1, &ConnectionId::EMPTY);
        for number in 0..200 {
            client.seal(Level::Initial, number, &mut packet(number), 18, 20).unwrap();
        }
        assert_eq!(client.take_crypto_time(), CryptoTime::default());
    }
}
