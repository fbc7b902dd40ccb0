//! Names to addresses: `--resolve`, literals, DNS.

use std::net::{IpAddr, SocketAddr};

use super::problem::{Problem, code};
use super::url::Url;

/// More addresses of one name than this are not tried.
const MOST_ADDRESSES: usize = 8;

/// `--resolve HOST:PORT:ADDR[,ADDR]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Override {
    /// In lower case; `*` is every host.
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Override {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let advice = || "write HOST:PORT:ADDRESS, like example.com:443:127.0.0.1 or example.com:443:[::1]".to_owned();
        // The host itself may be an IPv6 address in brackets.
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or_else(advice)?,
            None => text.split_once(':').ok_or_else(advice)?,
        };
        let (port, addresses) = rest.split_once(':').ok_or_else(advice)?;
        let read = |text: &str| text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse();
        let addresses: Result<Vec<IpAddr>, _> = addresses.split(',').map(read).collect();
        match (port.parse(), addresses) {
            (Ok(port @ 1..), Ok(addresses)) if !host.is_empty() => {
                Ok(Self { host: host.to_ascii_lowercase(), port, addresses })
            }
            _ => Err(advice()),
        }
    }

    fn is_for(&self, url: &Url) -> bool {
        (self.host == "*" || self.host == url.host) && self.port == url.port
    }
}

/// Which families may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Families {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

/// Where the server may be, best first, the families in turn (RFC 8305 §4).
pub(crate) async fn resolve(url: &Url, overrides: &[Override], families: Families) -> Result<Vec<SocketAddr>, Problem> {
    let given = overrides.iter().rev().find(|given| given.is_for(url));
    let found: Vec<SocketAddr> = match (given, url.host.parse::<IpAddr>()) {
        (Some(given), _) => given.addresses.iter().map(|address| SocketAddr::new(*address, url.port)).collect(),
        (None, Ok(address)) => vec![SocketAddr::new(address, url.port)],
        (None, Err(_)) => {
            let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
            found.map(Iterator::collect).unwrap_or_default()
        }
    };
    let found: Vec<SocketAddr> =
        found.into_iter().filter(|address| if address.is_ipv4() { families.v4 } else { families.v6 }).collect();
    if found.is_empty() {
        let kind = match families {
            Families { v4: true, v6: true } => "",
            Families { v4: true, .. } => " of IPv4",
            Families { .. } => " of IPv6",
        };
        return Err(Problem::new(
            code::RESOLVE,
            format_args!(
                "{}: no address{kind} of that name; check the spelling and the network, or give the address with --resolve",
                url.host
            ),
        ));
    }
    Ok(in_turn(&found))
}

/// The first one's family first, then one of each in turn.
fn in_turn(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let family = |v6: bool| found.iter().copied().filter(move |address| address.is_ipv6() == v6);
    let (mut one, mut other) = (family(first_is_v6), family(!first_is_v6));
    let mut ordered = Vec::new();
    while ordered.len() < MOST_ADDRESSES {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            break;
        }
        ordered.extend(pair.into_iter().flatten());
    }
    ordered.truncate(MOST_ADDRESSES);
    ordered.dedup();
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Families = Families { v4: true, v6: true };

    #[test]
    fn overrides_are_read() {
        let given = Override::parse("Example.com:443:127.0.0.1,[::1]").unwrap();
        assert!(given.is_for(&Url::parse("https://example.com").unwrap()));
        assert!(!given.is_for(&Url::parse("https://example.com:1").unwrap()));
        assert_eq!(given.addresses.len(), 2);
        assert_eq!(Override::parse("[::1]:443:::2").unwrap().host, "::1");
        for text in ["", "h", "h:443", "h:443:", "h:0:127.0.0.1", "h:x:127.0.0.1", ":443:127.0.0.1", "h:443:name"] {
            assert!(Override::parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn literals_and_overrides_need_no_dns() {
        let url = Url::parse("https://[::1]:4433").unwrap();
        assert_eq!(resolve(&url, &[], BOTH).await.unwrap(), ["[::1]:4433".parse().unwrap()]);
        let only_v4 = Families { v4: true, v6: false };
        assert_eq!(resolve(&url, &[], only_v4).await.unwrap_err().code, code::RESOLVE);
        let url = Url::parse("https://name.invalid:1").unwrap();
        let overrides = ["*:1:127.0.0.2", "name.invalid:1:127.0.0.3"].map(|text| Override::parse(text).unwrap());
        assert_eq!(resolve(&url, &overrides, BOTH).await.unwrap(), ["127.0.0.3:1".parse().unwrap()]);
    }

    #[test]
    fn families_take_turns_and_there_is_an_end() {
        let v4 = |last| SocketAddr::new(IpAddr::from([127, 0, 0, last]), 1);
        let v6 = |last| SocketAddr::new(IpAddr::from([0, 0, 0, 0, 0, 0, 0, last]), 1);
        assert_eq!(in_turn(&[v6(1), v6(2), v4(1), v4(2)]), [v6(1), v4(1), v6(2), v4(2)]);
        assert_eq!(in_turn(&[v4(1), v4(2), v6(1)]), [v4(1), v6(1), v4(2)]);
        let many: Vec<SocketAddr> = (0..=MOST_ADDRESSES as u8).map(v4).collect();
        assert_eq!(in_turn(&many), many[..MOST_ADDRESSES]);
    }
}
