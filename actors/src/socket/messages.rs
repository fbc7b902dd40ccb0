//! What the socket actor hears, and what it says.

use actix::Message;
use codec::Time;
use smallvec::SmallVec;
use transport::output::{ReceivedDatagrams, Transmit};

use super::io::BoundSocket;
use crate::batch::SendBuffer;

/// Datagrams to send: what `transmit` says about the first `transmit.length` bytes of `buffer`.
#[derive(Debug)]
pub(crate) struct OutgoingBatch {
    pub(crate) transmit: Transmit,
    pub(crate) buffer: SendBuffer,
}

/// Sends datagrams, in order.
///
/// From: connections, at most one a turn; the dispatcher, at most one a turn. Batch: as many as the sender got buffers;
/// each is one buffer, at most 64 KiB. Credit: the buffers of the shard's `SendPool`; the socket gives each back when the
/// kernel has taken its bytes. Without credit: the sender builds nothing and waits for [`BuffersFreed`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SendDatagrams {
    /// Mostly one, which then costs no allocation.
    pub(crate) batches: SmallVec<[OutgoingBatch; 1]>,
}

/// Goes on with another UDP socket, bound to another address. What waits to be sent leaves from the new one.
///
/// From: the endpoint, when its user asks. No batch, no credit: a human's or a test's order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Rebind {
    pub(crate) socket: BoundSocket,
}

/// Datagrams arrived. To: the dispatcher of the shard.
///
/// From: the socket, one for each `recvmmsg`. Batch: up to 16 buffers, each with up to 64 datagrams of one sender and one
/// size. Credit: 4 such messages; the dispatcher gives one back for each it has handled. Without credit: the socket does not
/// read, and what the kernel then has no room for it drops and counts.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DatagramsReceived {
    /// When they were read.
    pub(crate) at: Time,
    pub(crate) batch: Vec<ReceivedDatagrams>,
}

/// A send buffer is back in the pool: look again. To: who waited for it.
///
/// From: the pool, once for each time of waiting. No credit: that is what it is about.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct BuffersFreed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small() {
        // Holds its one batch in place: a move of two cache lines is cheaper than an allocation.
        assert!(size_of::<SendDatagrams>() <= 128);
        assert!(size_of::<Rebind>() <= 64);
        assert!(size_of::<DatagramsReceived>() <= 64);
        assert!(size_of::<BuffersFreed>() <= 64);
    }
}
