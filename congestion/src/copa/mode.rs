//! [`Mode`]: whether others fill the queue, and how hard to push back then (section 2.2).

/// One is the least step of 1/delta.
pub(super) const THOUSAND: u64 = 1000;
/// After so many round trips without a nearly empty queue, somebody else keeps it full.
const PATIENT_ROUNDS: u32 = 5;
/// 1/delta grows to no more than this, in thousandths of a packet.
const MAXIMUM_INVERSE: u64 = 1_000_000 * THOUSAND;

/// The default mode with its fixed delta, or the competitive mode with one that follows additive increase, multiplicative decrease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// 1/delta of the default mode, in thousandths.
    default: u64,
    /// The parameter `competitive`.
    may_compete: bool,
    /// 1/delta in competitive mode.
    competing: Option<u64>,
    rounds_since_empty: u32,
}

impl Mode {
    pub(super) const fn new(default: u64, may_compete: bool) -> Self {
        Self { default, may_compete, competing: None, rounds_since_empty: 0 }
    }

    /// 1/delta: the packets that this flow wants to have in the queue, in thousandths.
    pub(super) fn inverse_delta(&self) -> u64 {
        self.competing.unwrap_or(self.default)
    }

    pub(super) const fn is_competing(&self) -> bool {
        self.competing.is_some()
    }

    /// The queue was nearly empty: nobody else fills it.
    pub(super) const fn on_nearly_empty(&mut self) {
        self.rounds_since_empty = 0;
        self.competing = None;
    }

    /// A round trip ended, without loss or with a loss that was answered already.
    pub(super) fn on_round(&mut self, is_clean: bool) {
        self.rounds_since_empty = self.rounds_since_empty.saturating_add(1);
        if let Some(inverse) = &mut self.competing {
            if is_clean {
                *inverse = inverse.saturating_add(THOUSAND).min(MAXIMUM_INVERSE);
            }
        } else if self.may_compete && self.rounds_since_empty > PATIENT_ROUNDS {
            self.competing = Some(self.default);
        }
    }

    /// Packets were lost or marked: in competitive mode 1/delta is halved, but not below the default's. False in default mode.
    pub(super) fn on_congestion(&mut self) -> bool {
        let Some(inverse) = &mut self.competing else { return false };
        *inverse = (*inverse / 2).max(self.default);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_not_empty_for_five_round_trips_belongs_to_others() {
        let mut mode = Mode::new(2000, true);
        for _ in 0..5 {
            mode.on_round(true);
        }
        assert!(!mode.is_competing());
        mode.on_nearly_empty();
        for _ in 0..5 {
            mode.on_round(true);
        }
        assert!(!mode.is_competing());
        mode.on_round(true);
        assert!(mode.is_competing());
        assert_eq!(mode.inverse_delta(), 2000);
        mode.on_nearly_empty();
        assert!(!mode.is_competing());
    }

    #[test]
    fn competing_is_one_more_each_clean_round_and_half_on_loss() {
        let mut mode = Mode::new(2000, true);
        assert!(!mode.on_congestion(), "in default mode a loss means nothing");
        for _ in 0..6 {
            mode.on_round(true);
        }
        for _ in 0..10 {
            mode.on_round(true);
        }
        assert_eq!(mode.inverse_delta(), 12_000);
        mode.on_round(false);
        assert_eq!(mode.inverse_delta(), 12_000);
        let halves = [6000, 3000, 2000, 2000];
        assert_eq!(halves.map(|_| (mode.on_congestion(), mode.inverse_delta())), halves.map(|half| (true, half)));
    }

    #[test]
    fn it_competes_only_if_it_may() {
        let mut mode = Mode::new(2000, false);
        for _ in 0..100 {
            mode.on_round(true);
        }
        assert!(!mode.is_competing());
    }
}
