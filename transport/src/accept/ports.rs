//! Source ports that no QUIC client uses, but that servers of other protocols answer from (RFC 9000 §21.5.6).
//!
//! A datagram from one of them is a reflected answer, or is meant to make us send one there.

/// Sorted, so that it can be searched. All UDP services that answer more than they are asked, or that loop.
const BLOCKED: [(u16, &str); 25] = [
    (0, "no service has it, and no answer could come back"),
    (7, "echo: two of them never stop"),
    (17, "quote of the day"),
    (19, "character generator"),
    (53, "domain names"),
    (69, "trivial file transfer"),
    (111, "port mapper of remote procedure calls"),
    (123, "network time"),
    (137, "NetBIOS names"),
    (138, "NetBIOS datagrams"),
    (161, "network management"),
    (162, "network management traps"),
    (389, "directory without connections"),
    (427, "service location"),
    (500, "key exchange of IPsec"),
    (520, "routing information"),
    (1434, "SQL server monitor"),
    (1900, "simple service discovery"),
    (3478, "session traversal of address translators"),
    (3702, "web services discovery"),
    (4500, "key exchange of IPsec behind address translators"),
    (5353, "multicast names"),
    (5355, "link-local names"),
    (10001, "device discovery of radio bridges"),
    (11211, "memory cache"),
];

/// Whether datagrams from this port are dropped unread, and none are sent to it.
pub fn is_blocked(port: u16) -> bool {
    BLOCKED.binary_search_by_key(&port, |(blocked, _)| *blocked).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_searched() {
        assert!(BLOCKED.is_sorted_by_key(|(port, _)| *port));
        assert!(BLOCKED.iter().all(|(port, why)| is_blocked(*port) && !why.is_empty()));
    }

    #[test]
    fn ports_of_clients_and_of_quic_servers_pass() {
        for port in [1, 443, 1024, 4433, 8443, 32_768, 49_152, 65_535] {
            assert!(!is_blocked(port), "{port}");
        }
    }
}
