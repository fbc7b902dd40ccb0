//! [`Selector`]: which connections are meant.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use core::time::Duration;

use codec::Side;

use super::Cidr;

/// A selector names no more values of one kind than this.
pub const MAXIMUM_VALUES: usize = 64;

/// What is known of a connection when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The application protocol that was negotiated.
    pub alpn: &'a [u8],
    /// The server's name that the client asked for.
    pub server_name: Option<&'a str>,
    /// The peer's address.
    pub remote: IpAddr,
    /// Which side this end is.
    pub side: Side,
    /// The smoothed RTT; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
    /// The name of the controller that it has.
    pub algorithm: &'a str,
}

/// Which connections are meant: those that fit one value of each kind that is given. Without any, all are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selector {
    /// Application protocols.
    pub alpn: Vec<String>,
    /// Server names; `*.example.com` is every name below `example.com`, `upload.*` every name that begins so.
    pub sni: Vec<String>,
    /// Blocks of peer addresses.
    pub cidr: Vec<Cidr>,
    /// Which side this end is.
    pub role: Option<Side>,
    /// The least smoothed RTT.
    pub rtt_from: Option<Duration>,
    /// The smoothed RTT is below this.
    pub rtt_to: Option<Duration>,
    /// Names of the controllers that they have now.
    pub cc: Vec<String>,
}

impl Selector {
    /// Whether the connection is meant.
    pub fn fits(&self, facts: &Facts<'_>) -> bool {
        let any = |values: &[String], fits: &dyn Fn(&str) -> bool| {
            values.is_empty() || values.iter().any(|value| fits(value.as_str()))
        };
        any(&self.alpn, &|alpn| alpn.as_bytes() == facts.alpn)
            && any(&self.sni, &|pattern| facts.server_name.is_some_and(|name| is_name_like(pattern, name)))
            && (self.cidr.is_empty() || self.cidr.iter().any(|block| block.contains(facts.remote)))
            && self.role.is_none_or(|side| side == facts.side)
            && self.rtt_from.is_none_or(|least| facts.smoothed_rtt.is_some_and(|rtt| rtt >= least))
            && self.rtt_to.is_none_or(|most| facts.smoothed_rtt.is_some_and(|rtt| rtt < most))
            && any(&self.cc, &|name| name == facts.algorithm)
    }

    /// Whether it means all connections.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// Names compare without case (RFC 4343). One `*` at either end stands for any part of the name.
fn is_name_like(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    if let Some(end) = pattern.strip_prefix(b"*") {
        return name.len() > end.len() && name.split_at(name.len() - end.len()).1.eq_ignore_ascii_case(end);
    }
    if let Some(begin) = pattern.strip_suffix(b"*") {
        return name.len() > begin.len() && name.split_at(begin.len()).0.eq_ignore_ascii_case(begin);
    }
    pattern.eq_ignore_ascii_case(name)
}

/// `from..to`, `from..` or `..to`: times with `ms` or `s`.
pub fn parse_rtt_range(text: &str) -> Option<(Option<Duration>, Option<Duration>)> {
    let (from, to) = text.split_once("..")?;
    let side = |text: &str| if text.is_empty() { Some(None) } else { parse_time(text).map(Some) };
    let (from, to) = (side(from.trim())?, side(to.trim())?);
    let in_order = from.zip(to).is_none_or(|(from, to)| from < to);
    (in_order && (from.is_some() || to.is_some())).then_some((from, to))
}

/// A time in whole `us`, `ms` or `s`.
fn parse_time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u32 = digits.parse().ok()?;
    match text.strip_prefix(digits)? {
        "us" => Some(Duration::from_micros(number.into())),
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        _ => None,
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    /// `alpn=h3,cidr=10.0.0.0/8,rtt=50ms..200ms`; a kind that is given several times means any of its values.
    fn from_str(text: &str) -> Result<Self, BadSelector> {
        let mut selector = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let bad = |why| BadSelector { part: pair.chars().take(60).collect(), why };
            let (kind, value) = pair.split_once('=').ok_or_else(|| bad("write KIND=VALUE"))?;
            let (kind, value) = (kind.trim(), value.trim());
            let full = |values: usize| values >= MAXIMUM_VALUES;
            match kind {
                "alpn" | "sni" | "cc" => {
                    let values = match kind {
                        "alpn" => &mut selector.alpn,
                        "sni" => &mut selector.sni,
                        _ => &mut selector.cc,
                    };
                    if value.is_empty() || full(values.len()) {
                        return Err(bad("a value is missing, or there are too many"));
                    }
                    values.push(value.to_owned());
                }
                "cidr" => {
                    let block = value.parse().map_err(|_| {
                        bad("not a block of addresses; write 10.0.0.0/8 or 2001:db8::/32, with zeros after the prefix")
                    })?;
                    if full(selector.cidr.len()) {
                        return Err(bad("there are too many values"));
                    }
                    selector.cidr.push(block);
                }
                "role" => selector.role = Some(parse_role(value).ok_or_else(|| bad("a role is client or server"))?),
                "rtt" => {
                    let range = parse_rtt_range(value);
                    let why = "a range of round-trip times is 50ms..200ms, 100ms.. or ..20ms";
                    (selector.rtt_from, selector.rtt_to) = range.ok_or_else(|| bad(why))?;
                }
                _ => return Err(bad("the kinds are alpn, sni, cidr, role, rtt and cc")),
            }
        }
        Ok(selector)
    }
}

/// `client` or `server`.
pub fn parse_role(text: &str) -> Option<Side> {
    match text {
        "client" => Some(Side::Client),
        "server" => Some(Side::Server),
        _ => None,
    }
}

/// Part of a selector that is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadSelector {
    part: String,
    why: &'static str,
}

impl fmt::Display for BadSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.part, self.why)
    }
}

impl core::error::Error for BadSelector {}

impl fmt::Display for Selector {
    /// As it is read; `all` if it means all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        let mut first = true;
        let mut pair = |kind: &str, value: fmt::Arguments<'_>| {
            let before = if core::mem::take(&mut first) { "" } else { "," };
            write!(f, "{before}{kind}={value}")
        };
        for (kind, values) in [("alpn", &self.alpn), ("sni", &self.sni), ("cc", &self.cc)] {
            for value in values {
                pair(kind, format_args!("{value}"))?;
            }
        }
        for block in &self.cidr {
            pair("cidr", format_args!("{block}"))?;
        }
        match self.role {
            Some(Side::Client) => pair("role", format_args!("client"))?,
            Some(Side::Server) => pair("role", format_args!("server"))?,
            None => {}
        }
        match (self.rtt_from, self.rtt_to) {
            (None, None) => Ok(()),
            (from, to) => pair("rtt", format_args!("{}..{}", Shown(from), Shown(to))),
        }
    }
}

struct Shown(Option<Duration>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(time) if time.subsec_nanos() == 0 => write!(f, "{}s", time.as_secs()),
            Some(time) if time.subsec_micros() % 1000 == 0 => write!(f, "{}ms", time.as_millis()),
            Some(time) => write!(f, "{}us", time.as_micros()),
        }
    }
}
