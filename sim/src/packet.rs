//! [`Packet`]: what travels over the link; bytes are numbers.

use codec::Time;

/// The ECN field of the IP header (RFC 3168 §5, RFC 9331 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Codepoint {
    NotCapable,
    Ect0,
    Ect1,
    Ce,
}

/// A packet on its way to the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// The place of its flow among the flows.
    pub(crate) flow: u32,
    /// Its size in bytes, without IP and UDP headers, as `recovery` and `congestion` count.
    pub(crate) bytes: u16,
    pub(crate) codepoint: Codepoint,
    /// It was sent as ECT(1), whatever became of that: the class of its queue.
    pub(crate) scalable: bool,
    /// The receiver is to answer at once, because it is the handshake's.
    pub(crate) immediate: bool,
    pub(crate) number: u64,
    /// The piece of the flow's data that it carries, if any.
    pub(crate) piece: Option<u64>,
    /// The sender has heard of everything up to this number: the receiver need not say it again.
    pub(crate) heard_up_to: Option<u64>,
    /// When it entered the queue.
    pub(crate) queued_at: Time,
}
