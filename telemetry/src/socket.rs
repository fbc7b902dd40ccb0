//! Socket: what passed between us and the kernel.

use crate::family::{Family, PerShard};
use crate::handle::{Counter, Gauge, Histogram, Level};
use crate::layer::{label, layer};

label! {
    /// Which way a socket call went.
    Operation { Receive = "receive", Send = "send", }
}

label! {
    /// What the kernel said.
    Errno {
        Again = "eagain", MessageSize = "emsgsize", NoBuffers = "enobufs", ConnectionRefused = "econnrefused",
        NotPermitted = "eperm", Other = "other",
    }
}

label! {
    /// What the kernel can do for us.
    Offload {
        Gso = "gso", Gro = "gro", Ecn = "ecn", PacketInformation = "pktinfo", ReceiveTimestamp = "rx_timestamp",
        ReuseportFilter = "reuseport_cbpf",
    }
}

label! {
    /// The ECN codepoint of a datagram (RFC 3168 §5).
    Codepoint { NotEct = "not_ect", Ect0 = "ect0", Ect1 = "ect1", Ce = "ce", }
}

label! {
    /// Whether a receive buffer is waiting or holds datagrams that somebody still reads.
    BufferState { Free = "free", Used = "used", }
}

layer! {
    /// What one shard's socket reads and writes.
    SocketMetrics of "socket" {
        received_datagrams: PerShard<Counter> = "quicast_socket_received_datagrams_total" by ["shard"],
            "UDP datagrams read from the kernel.";
        received_bytes: PerShard<Counter> = "quicast_socket_received_bytes_total" by ["shard"],
            "UDP payload bytes read.";
        sent_datagrams: PerShard<Counter> = "quicast_socket_sent_datagrams_total" by ["shard"],
            "UDP datagrams handed to the kernel (GSO segments counted one by one).";
        sent_bytes: PerShard<Counter> = "quicast_socket_sent_bytes_total" by ["shard"],
            "UDP payload bytes handed to the kernel.";
        receive_calls: PerShard<Counter> = "quicast_socket_receive_calls_total" by ["shard"],
            "recvmmsg/recvmsg calls. datagrams/calls = batching gain.";
        send_calls: PerShard<Counter> = "quicast_socket_send_calls_total" by ["shard"],
            "sendmsg calls. datagrams/calls = GSO gain.";
        receive_batch: Histogram = "quicast_socket_receive_batch_datagrams" in BATCH,
            "Datagrams per receive call (recvmmsg x GRO).";
        send_batch: Histogram = "quicast_socket_send_batch_datagrams" in BATCH,
            "Segments per GSO send.";
        errors: Family<(Operation, Errno), Counter> = "quicast_socket_errors_total" by ["op", "errno"],
            "Socket call errors.";
        kernel_drops: PerShard<Counter> = "quicast_socket_kernel_drops_total" by ["shard"],
            "Datagrams the kernel dropped for lack of receive buffer (SO_MEMINFO sk_drops, read once a flush).";
        receive_queue: PerShard<Level> = "quicast_socket_receive_queue_bytes" by ["shard"],
            "Bytes waiting in the kernel receive queue.";
        buffer: Family<Operation, Gauge> = "quicast_socket_buffer_bytes" by ["direction"],
            "Effective SO_RCVBUF/SO_SNDBUF (what the kernel granted, not what was asked).";
        offload: Family<Offload, Gauge> = "quicast_socket_offload_enabled" by ["offload"],
            "1 if the offload is in use.";
        ecn_received: Family<Codepoint, Counter> = "quicast_socket_ecn_received_datagrams_total" by ["codepoint"],
            "ECN marks seen on arrival.";
        receive_latency: Histogram = "quicast_socket_receive_latency_seconds" in LATENCY,
            "Kernel receive timestamp to user space (sampled).";
        buffers: Family<BufferState, Level> = "quicast_socket_buffers" by ["state"],
            "Receive buffers of the pools. None free: the socket stops reading and the kernel drops.";
    }
}
