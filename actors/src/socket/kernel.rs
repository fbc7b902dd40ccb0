//! What the kernel has counted about a socket, from `/proc/net/udp`.
//!
//! The socket option that says the same (`SO_MEMINFO`) cannot be asked for without unsafe code. The table has a line for each
//! UDP socket of the machine, so it is not to be read often.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use super::io::KernelCounters;

/// Which socket it is, in the kernel's table.
pub(super) fn inode(socket: &UdpSocket) -> Option<u64> {
    let file = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::metadata(file).ok().map(|socket| socket.ino())
}

/// What the table says about a socket now; nothing where there is no such table, and perhaps nothing where sockets come and
/// go while it is read: the kernel hands it out in pieces, and a line may slip between two.
pub(super) fn counters(is_ipv6: bool, inode: u64) -> Option<KernelCounters> {
    let table = fs::read_to_string(if is_ipv6 { "/proc/self/net/udp6" } else { "/proc/self/net/udp" }).ok()?;
    find(&table, inode)
}

/// The columns: number, local, remote, state, `tx_queue:rx_queue`, timer, retransmits, uid, timeout, inode, references,
/// pointer, drops. Queues are hexadecimal.
fn find(table: &str, inode: u64) -> Option<KernelCounters> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let queues = columns.nth(4)?;
        let found = columns.nth(4)?.parse() == Ok(inode);
        let drops = columns.nth(2)?;
        let (_, receive_queue) = queues.split_once(':')?;
        found.then_some(KernelCounters {
            drops: drops.parse().ok()?,
            receive_queue: u64::from_str_radix(receive_queue, 16).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  512: 0100007F:115B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7761 2 0000000000000000 0
  513: 0100007F:115C 00000000:0000 07 00000000:0001F400 00:00000000 00000000     0        0 7762 2 0000000000000000 17
 garbage
";

    #[test]
    fn the_line_of_the_socket_is_found() {
        assert_eq!(find(TABLE, 7762), Some(KernelCounters { drops: 17, receive_queue: 128_000 }));
        assert_eq!(find(TABLE, 7761), Some(KernelCounters::default()));
        assert_eq!(find(TABLE, 7763), None);
    }

    #[test]
    fn datagrams_that_wait_are_seen() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = inode(&socket).unwrap();
        // Other tests open and close sockets meanwhile, so the line may not be in one reading.
        let told = || (0..100).find_map(|_| counters(false, inode));
        assert_eq!(told(), Some(KernelCounters::default()));
        socket.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
        assert!(told().is_some_and(|counters| counters.receive_queue > 0));
    }
}
