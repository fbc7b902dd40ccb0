//! [`Snapshot`]: what one controller hands to the next.

use core::time::Duration;

use codec::Time;

use crate::window::{self, MAXIMUM_WINDOW, MINIMUM_DATAGRAM_SIZE};

/// The hand-off between controllers, in the words of no particular algorithm.
///
/// Each algorithm says in its documentation how it maps each field, both ways. Bytes in flight, the RTT estimate and what is
/// lost are not here: they belong to the connection and never restart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// When it was taken.
    pub taken_at: Time,
    /// The [`name`](crate::Controller::name) of the controller it was taken from.
    pub controller: &'static str,
    /// The congestion window, in bytes. A successor does not begin with more.
    pub congestion_window: u64,
    /// The slow-start threshold in bytes; `None` while nothing ever limited the path.
    pub slow_start_threshold: Option<u64>,
    /// Whether the controller was still looking for the path's capacity by doubling.
    pub in_slow_start: bool,
    /// The window at which the path was last found full, in bytes (CUBIC's W_max); `None` if it never was.
    pub saturation_window: Option<u64>,
    /// The smoothed RTT; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
    /// The least RTT; `None` before the first sample.
    pub minimum_rtt: Option<Duration>,
    /// The path's bandwidth in bytes a second: the best delivery rate of the last rounds; 0 if it is not known.
    pub bandwidth: u64,
    /// The pacing rate in bytes a second; 0 if it was not paced.
    pub pacing_rate: u64,
    /// Packets lost in a million, smoothed over the last rounds.
    pub loss_rate: u32,
    /// Packets marked Congestion Experienced in a million, smoothed over the last rounds.
    pub ecn_rate: u32,
    /// When the recovery period that counts began: the loss of packets sent no later asks for no further response
    /// (RFC 9002 §7.3.2).
    pub recovery_start: Option<Time>,
    /// That period is still under way: nothing sent after its beginning was acknowledged yet.
    pub in_recovery: bool,
    /// When the window was last reduced.
    pub last_reduction: Option<Time>,
    /// The maximum datagram size in bytes.
    pub datagram_size: u16,
    /// What the controllers of this path draw lots from.
    pub seed: u64,
}

impl Snapshot {
    /// The window for a successor to begin with: the snapshot's, but not below two datagrams.
    pub fn starting_window(&self) -> u64 {
        let floor = window::minimum_window(self.starting_datagram_size());
        self.congestion_window.clamp(floor, MAXIMUM_WINDOW)
    }

    /// The datagram size for a successor to begin with: the snapshot's, but not below what QUIC requires.
    pub fn starting_datagram_size(&self) -> u16 {
        self.datagram_size.max(MINIMUM_DATAGRAM_SIZE)
    }
}
