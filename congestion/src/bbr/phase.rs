//! [`Phase`]: the states of the draft's state machine.

/// BBR.state: where in the draft's state machine a flow is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Doubles its rate each round, until the pipe is full.
    Startup,
    /// Sends at half the rate, until the queue that Startup made is gone.
    Drain,
    /// ProbeBW_DOWN: sends slower, until nothing waits and there is headroom.
    Down,
    /// ProbeBW_CRUISE: sends at the path's rate.
    Cruise,
    /// ProbeBW_REFILL: fills the pipe for one round, without the short-term bounds.
    Refill,
    /// ProbeBW_UP: sends faster, to find more.
    Up,
    /// Keeps half of the pipe empty, to measure the least RTT.
    ProbeRtt,
}

impl Phase {
    /// IsInAProbeBWState().
    pub(super) const fn is_probe_bw(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// IsProbingBW().
    pub(super) const fn is_accelerating(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }
}
