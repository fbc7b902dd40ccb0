//! `HOST:PORT`: where to listen, and whom to call.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use crate::error::Failure;
use crate::out;

/// The host and the port of `HOST:PORT`, `[::1]:PORT` or `:PORT` (an empty host).
pub(crate) fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().is_ok().then_some((host, port)),
        None => (!host.contains([':', '[', ']'])).then_some((host, port)),
    }
}

/// The addresses that `--listen` means.
///
/// `localhost` is both loopback addresses, since a browser tries ::1 first and does not fall back when QUIC is forced. An
/// empty host is every address of the machine.
pub(crate) fn to_listen(arguments: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = Vec::new();
    for argument in arguments {
        let (host, port) = split(argument).ok_or_else(|| {
            Failure::usage(format_args!("--listen {argument}: not HOST:PORT; write localhost:4433 or [::1]:4433"))
        })?;
        match host {
            "localhost" => addresses.extend(localhost(port)?),
            "" => addresses.push(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)),
            _ => addresses.extend(resolve(host, port)?.first()),
        }
    }
    addresses.dedup();
    for address in &addresses {
        probe(*address)?;
    }
    Ok(addresses)
}

/// Both loopback addresses, on the same port even if it is a free one; without IPv6 only the first.
fn localhost(port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let v4 = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let v6 = |port| SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
    if let Err(error) = UdpSocket::bind(v6(0)) {
        out::note(format_args!("notice: this machine has no IPv6 loopback ({error}); listening on 127.0.0.1 only"));
        return Ok(vec![v4(port)]);
    }
    if port != 0 {
        return Ok(vec![v4(port), v6(port)]);
    }
    // A port that is free for one family may be taken for the other.
    for _ in 0..32 {
        let taken = UdpSocket::bind(v4(0)).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
        let (port, _held) = taken.map_err(|error| cannot_listen(v4(0), &error))?;
        // HTTPS has the same number on TCP.
        let is_free_on_tcp = [v4(port), v6(port)].into_iter().all(|address| TcpListener::bind(address).is_ok());
        if is_free_on_tcp && UdpSocket::bind(v6(port)).is_ok() {
            return Ok(vec![v4(port), v6(port)]);
        }
    }
    Err(Failure::failed("cannot listen on localhost:0 (UDP): no port is free on 127.0.0.1 and ::1 both"))
}

/// Whether the address can be had at all: the kernel's answer belongs to one address here, and to a group later.
fn probe(address: SocketAddr) -> Result<(), Failure> {
    UdpSocket::bind(address).map(drop).map_err(|error| cannot_listen(address, &error))
}

/// What to do when an address cannot be had.
fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "another program has the port; stop it, or choose another port with --listen",
        ErrorKind::AddrNotAvailable => "this machine does not have that address; see `ip address`",
        ErrorKind::PermissionDenied => "ports below 1024 need the privilege CAP_NET_BIND_SERVICE",
        _ => "choose another address with --listen",
    };
    Failure::failed(format_args!("cannot listen on {address} (UDP): {}; {advice}", plain(error)))
}

/// An operating system's error without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_lowercase()
}

/// A server as the user named it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// What its certificate must be for.
    pub(crate) name: String,
    /// Where it may be, best first.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    /// Looks `HOST:PORT` up.
    pub(crate) async fn find(text: &str) -> Result<Self, Failure> {
        let (host, port) = split(text)
            .filter(|(host, port)| !host.is_empty() && *port != 0)
            .ok_or_else(|| Failure::usage(format_args!("{text}: not HOST:PORT; write localhost:4433 or [::1]:4433")))?;
        let name = host.to_owned();
        let asked = name.clone();
        let found = tokio::task::spawn_blocking(move || resolve(&asked, port)).await;
        let mut addresses = found.map_err(Failure::failed)??;
        // Two attempts are enough: one of each family, the resolver's favourite first.
        if let Some(first) = addresses.first().copied() {
            let other = addresses.iter().copied().find(|address| address.is_ipv6() != first.is_ipv6());
            addresses = [first].into_iter().chain(other).collect();
        }
        Ok(Self { name, addresses })
    }

    /// Whether it is on this machine for certain.
    pub(crate) fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    use std::net::ToSocketAddrs as _;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = (host, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match found {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        _ => Err(Failure::failed(format_args!(
            "{host}: no address of that name; check the spelling, or give the IP address"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("localhost:4433"), Some(("localhost", 4433)));
        assert_eq!(split("[::1]:0"), Some(("::1", 0)));
        assert_eq!(split(":443"), Some(("", 443)));
        for text in ["", "localhost", "localhost:", "::1:4433", "[x]:1", "a:70000", "[::1]"] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn localhost_is_one_port_of_both_families() {
        let addresses = to_listen(&["localhost:0".to_owned()]).unwrap();
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port() && address.port() != 0));
        assert_eq!(addresses[0].ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_port_in_use_is_said_with_the_address() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failure = to_listen(&[address.to_string()]).unwrap_err().to_string();
        assert!(
            failure.contains(&address.to_string()) && failure.contains("another program has the port"),
            "{failure}"
        );
    }
}
