//! What the kernel granted, and what to do about it.

use quicast::Endpoint;

/// Bytes that an endpoint asks of the kernel for each direction of a socket.
const ASKED: u64 = 7 << 20;
/// With so many bytes, a burst of 1 Gbit/s survives a pause of 3 ms: a rule of thumb, and for the loopback too.
const PER_GIGABIT: u64 = 416 << 10;

/// A line if the kernel granted less than was asked for.
pub(crate) fn line(endpoint: &Endpoint) -> Option<String> {
    let granted = endpoint.metrics().value("quicast_socket_buffer_bytes", &["receive"])?;
    advice(granted as u64)
}

fn advice(granted: u64) -> Option<String> {
    (1..ASKED).contains(&granted).then(|| {
        let megabits = granted.saturating_mul(1000) / PER_GIGABIT;
        format!(
            "receive buffer  {} KiB granted of {} KiB asked: fine to about {}; for more: sysctl -w net.core.rmem_max={ASKED} net.core.wmem_max={ASKED}",
            granted >> 10,
            ASKED >> 10,
            if megabits >= 1000 { format!("{} Gbit/s", megabits / 1000) } else { format!("{megabits} Mbit/s") },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_buffer_is_said_and_a_sufficient_one_is_not() {
        let line = advice(416 << 10).unwrap();
        assert!(line.contains("416 KiB granted of 7168 KiB asked: fine to about 1 Gbit/s"), "{line}");
        assert!(advice(208 << 10).unwrap().contains("500 Mbit/s"));
        assert_eq!(advice(7 << 20), None);
        assert_eq!(advice(0), None);
    }
}
