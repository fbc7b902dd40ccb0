//! HyStart++ (RFC 9406): leaving slow start when the RTT grows, before anything is lost.

use core::time::Duration;

/// Less than this much more RTT is noise (RFC 9406 §4.3).
pub const MIN_RTT_THRESH: Duration = Duration::from_millis(4);
/// This much more RTT is never noise.
pub const MAX_RTT_THRESH: Duration = Duration::from_millis(16);
/// Between the two, an eighth of the RTT is the limit.
pub const MIN_RTT_DIVISOR: u32 = 8;
/// So many samples make a round's minimum believable.
pub const N_RTT_SAMPLE: u32 = 8;
/// Conservative slow start grows by this fraction of what slow start would.
pub const CSS_GROWTH_DIVISOR: u64 = 4;
/// Conservative slow start lasts so many rounds before it becomes congestion avoidance.
pub const CSS_ROUNDS: u32 = 5;

/// How the window is to grow in this turn.
///
/// RFC 9406's limit `L` on one acknowledgement's growth is infinite here, as it is for senders that pace; a path too short to be paced
/// ([`UNPACED_BELOW`](crate::window::UNPACED_BELOW)) takes its windows whole anyway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Growth {
    /// As in slow start: by what was acknowledged.
    Full,
    /// As in conservative slow start: by what was acknowledged over [`CSS_GROWTH_DIVISOR`].
    Conservative,
    /// Not in slow start any more: the threshold becomes the window.
    Ended,
}

/// HyStart++'s view of the rounds of the first slow start.
#[derive(Clone, Copy, Debug, Default)]
pub struct HyStart {
    last_round_minimum: Option<Duration>,
    current_round_minimum: Option<Duration>,
    samples: u32,
    conservative: Option<Conservative>,
}

#[derive(Clone, Copy, Debug)]
struct Conservative {
    baseline: Duration,
    rounds: u32,
}

impl HyStart {
    /// Whether conservative slow start is under way.
    pub const fn is_conservative(&self) -> bool {
        self.conservative.is_some()
    }

    /// Takes in one turn of slow start: whether a round ended with it, and the RTT it measured.
    pub fn on_turn(&mut self, round_ended: bool, rtt_sample: Option<Duration>) -> Growth {
        if round_ended && self.begin_round() {
            return Growth::Ended;
        }
        if let Some(sample) = rtt_sample {
            self.current_round_minimum = Some(self.current_round_minimum.map_or(sample, |least| least.min(sample)));
            self.samples = self.samples.saturating_add(1);
            self.judge();
        }
        if self.is_conservative() { Growth::Conservative } else { Growth::Full }
    }

    /// True if conservative slow start has lasted its rounds.
    fn begin_round(&mut self) -> bool {
        self.last_round_minimum = self.current_round_minimum.take();
        self.samples = 0;
        self.conservative.as_mut().is_some_and(|conservative| {
            // "If the transition into CSS happens in the middle of a round, that partial round counts towards the limit."
            conservative.rounds += 1;
            conservative.rounds >= CSS_ROUNDS
        })
    }

    fn judge(&mut self) {
        let Some(current) = self.current_round_minimum.filter(|_| self.samples >= N_RTT_SAMPLE) else { return };
        if let Some(conservative) = self.conservative {
            // The RTT came down again: what looked like a queue was something else, and slow start goes on.
            if current < conservative.baseline {
                self.conservative = None;
            }
        } else if let Some(last) = self.last_round_minimum
            && current >= last.saturating_add(threshold(last))
        {
            self.conservative = Some(Conservative { baseline: current, rounds: 0 });
        }
    }
}

/// RttThresh: by how much the RTT has to grow over the last round's.
fn threshold(last: Duration) -> Duration {
    (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One round in which `samples` turns each measured that many milliseconds.
    fn round(hystart: &mut HyStart, milliseconds: u64, samples: u32) -> Growth {
        let sample = Some(Duration::from_millis(milliseconds));
        let mut growth = hystart.on_turn(true, sample);
        for _ in 1..samples {
            growth = hystart.on_turn(false, sample);
        }
        growth
    }

    #[test]
    fn a_growing_rtt_leads_to_conservative_slow_start_and_after_five_rounds_out_of_it() {
        let mut hystart = HyStart::default();
        assert_eq!(round(&mut hystart, 50, 8), Growth::Full);
        assert_eq!(round(&mut hystart, 56, 8), Growth::Full, "less than an eighth is noise");
        assert_eq!(round(&mut hystart, 63, 8), Growth::Conservative);
        for _ in 0..4 {
            assert_eq!(round(&mut hystart, 70, 8), Growth::Conservative);
        }
        assert_eq!(hystart.on_turn(true, None), Growth::Ended);
    }

    #[test]
    fn slow_start_goes_on_after_a_false_alarm() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 50, 8);
        assert_eq!(round(&mut hystart, 60, 8), Growth::Conservative);
        assert_eq!(round(&mut hystart, 59, 7), Growth::Conservative, "seven samples are not believed");
        assert_eq!(hystart.on_turn(false, Some(Duration::from_millis(60))), Growth::Full);
        assert!(!hystart.is_conservative());
        assert_eq!(round(&mut hystart, 80, 8), Growth::Conservative, "and is watched again");
    }

    #[test]
    fn few_samples_decide_nothing() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 50, 8);
        assert_eq!(round(&mut hystart, 500, 7), Growth::Full);
    }

    #[test]
    fn one_fast_packet_makes_the_round_fast() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 50, 8);
        hystart.on_turn(true, Some(Duration::from_millis(50)));
        for _ in 0..20 {
            assert_eq!(hystart.on_turn(false, Some(Duration::from_millis(500))), Growth::Full);
        }
    }

    #[test]
    fn the_threshold_is_an_eighth_between_four_and_sixteen_milliseconds() {
        for (last, expected) in [(0, 4), (10, 4), (32, 4), (80, 10), (128, 16), (1000, 16)] {
            assert_eq!(threshold(Duration::from_millis(last)), Duration::from_millis(expected), "{last}");
        }
    }
}
