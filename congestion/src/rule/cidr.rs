//! [`Cidr`]: a block of addresses (RFC 4632).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A block of addresses: those that begin with the same bits.
///
/// An IPv4 block holds IPv4-mapped IPv6 addresses too, which is what a socket of both families says for IPv4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether the address is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(address)) => mask4(block, self.bits) == mask4(address, self.bits),
            (IpAddr::V6(block), IpAddr::V6(address)) => mask6(block, self.bits) == mask6(address, self.bits),
            _ => false,
        }
    }
}

fn mask4(address: Ipv4Addr, bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0) & address.to_bits()
}

fn mask6(address: Ipv6Addr, bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0) & address.to_bits()
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    /// `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits beyond the prefix must be zero: a block that was meant otherwise
    /// is noticed.
    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => longest,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= longest).ok_or(NotACidr)?,
        };
        let is_clean = match address {
            IpAddr::V4(address) => mask4(address, bits) == address.to_bits(),
            IpAddr::V6(address) => mask6(address, bits) == address.to_bits(),
        };
        if is_clean { Ok(Self { address, bits }) } else { Err(NotACidr) }
    }
}

/// Not a block of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotACidr;

impl fmt::Display for NotACidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a block of addresses; write 10.0.0.0/8 or 2001:db8::/32, with zeros after the prefix")
    }
}

impl core::error::Error for NotACidr {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        block.parse::<Cidr>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_holds_what_begins_with_its_bits() {
        assert!(contains("10.0.0.0/8", "10.255.3.4") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("0.0.0.0/0", "203.0.113.9") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1") && !contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"), "an IPv4-mapped address");
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in
            ["", "10", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/8", "2001:db8::1/32", "::/129", "a/8", "10.0.0.0/"]
        {
            assert_eq!(text.parse::<Cidr>(), Err(NotACidr), "{text}");
        }
        assert_eq!("2001:db8::/32".parse::<Cidr>().unwrap().to_string(), "2001:db8::/32");
    }
}
