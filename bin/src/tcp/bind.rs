//! Binds TCP where QUIC will be on UDP.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::limits::BACKLOG;
use crate::address::plain;
use crate::error::Failure;

/// Addresses that have been bound and are not served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listeners: Vec<TcpListener>,
}

impl Bound {
    pub(super) fn into_listeners(self) -> Vec<TcpListener> {
        self.listeners
    }
}

/// How often a free port is looked for that is free on UDP too.
const ATTEMPTS: usize = 32;

/// Binds every address. A port 0 becomes one that is free on TCP and on UDP, and stands in its address from then on.
///
/// # Errors
/// An address cannot be had; the error says which and what to do.
pub(crate) fn bind(addresses: &mut [SocketAddr]) -> Result<Bound, Failure> {
    let mut listeners = Vec::new();
    let all = addresses.to_vec();
    for address in addresses {
        // The unspecified IPv6 address is IPv4's too, as it is on UDP, unless that one is listened on by itself.
        let is_both = address.ip().is_unspecified()
            && !all.iter().any(|other| other.is_ipv4() && other.port() == address.port() && address.port() != 0);
        let bound = if address.port() == 0 { bind_free(*address, is_both) } else { listen(*address, is_both) };
        let listener = bound.map_err(|error| cannot_listen(*address, &error))?;
        *address = listener.local_addr().map_err(|error| cannot_listen(*address, &error))?;
        listeners.push(listener);
    }
    Ok(Bound { listeners })
}

fn bind_free(address: SocketAddr, is_both: bool) -> io::Result<TcpListener> {
    for _ in 0..ATTEMPTS {
        let listener = listen(address, is_both)?;
        if UdpSocket::bind(listener.local_addr()?).is_ok() {
            return Ok(listener);
        }
    }
    Err(io::Error::new(ErrorKind::AddrInUse, "no port is free on TCP and UDP both"))
}

fn listen(address: SocketAddr, is_both: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!is_both)?;
    }
    // A server that starts again does not wait for what is left of its last connections.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program has the port; stop it, choose another port with --listen, or go without TCP with --no-tcp"
        }
        ErrorKind::AddrNotAvailable => "this machine does not have that address; see `ip address`",
        ErrorKind::PermissionDenied => {
            "ports below 1024 need the privilege CAP_NET_BIND_SERVICE; or go without TCP with --no-tcp"
        }
        _ => "choose another address with --listen, or go without TCP with --no-tcp",
    };
    Failure::failed(format_args!("cannot listen on {address} (TCP): {}; {advice}", plain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_free_on_udp_too() {
        let mut addresses = ["127.0.0.1:0".parse().unwrap()];
        let bound = bind(&mut addresses).unwrap();
        assert_ne!(addresses[0].port(), 0);
        assert_eq!(bound.listeners[0].local_addr().unwrap(), addresses[0]);
        assert!(UdpSocket::bind(addresses[0]).is_ok());
    }

    #[test]
    fn a_port_in_use_is_said_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failure = bind(&mut [address]).unwrap_err().to_string();
        for words in [&address.to_string(), "(TCP)", "another program has the port", "--no-tcp"] {
            assert!(failure.contains(words), "{failure}");
        }
    }

    #[test]
    fn both_families_of_every_address_can_have_one_port() {
        if UdpSocket::bind("[::1]:0").is_err() {
            println!("skipped: this machine has no IPv6");
            return;
        }
        let mut first = ["0.0.0.0:0".parse().unwrap()];
        drop(bind(&mut first).unwrap());
        let mut both = [first[0], SocketAddr::new("::".parse().unwrap(), first[0].port())];
        assert!(bind(&mut both).is_ok());
    }
}
