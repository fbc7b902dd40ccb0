//! What to type to see the site.

use std::net::SocketAddr;

use crate::certificate::Found;
use crate::services::PROTOCOLS;

/// The addresses as a browser takes them, and how to make curl and Chromium trust a development certificate.
pub(crate) fn lines(addresses: &[SocketAddr], development: Option<&Found>) -> Vec<String> {
    let mut urls: Vec<String> = addresses.iter().map(|address| origin(*address)).collect();
    urls.dedup();
    let Some(first) = urls.first().cloned() else { return Vec::new() };
    let mut lines: Vec<String> = urls.iter().map(|url| format!("site          {url}/")).collect();
    if let Some(Found { certificate, path }) = development {
        let hash = certificate.public_key_sha256_base64();
        lines.push(format!("  curl        curl --cacert {} {first}/headers", path.display()));
        lines.push(format!("  Chromium    chromium --ignore-certificate-errors-spki-list={hash} {first}/"));
        // A browser that is told needs no TCP, and does not wait for the first answer's Alt-Svc.
        if PROTOCOLS.contains(&b"h3".as_slice()) {
            let host = first.trim_start_matches("https://");
            lines.push(format!("  at once h3  the same with --origin-to-force-quic-on={host}"));
        }
    }
    lines
}

/// A loopback address is called by the name that the development certificate is for and that browsers know.
fn origin(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    let is_localhost =
        ip.is_unspecified() || ip == std::net::Ipv4Addr::LOCALHOST || ip == std::net::Ipv6Addr::LOCALHOST;
    let host = if is_localhost { "localhost".to_owned() } else { address.to_string() };
    match (is_localhost, port) {
        (true, 443) => format!("https://{host}"),
        (true, port) => format!("https://{host}:{port}"),
        (false, _) => format!("https://{}", host.strip_suffix(":443").unwrap_or(&host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_a_browser_takes_them() {
        for (address, url) in [
            ("127.0.0.1:4433", "https://localhost:4433"),
            ("[::1]:443", "https://localhost"),
            ("[::]:4433", "https://localhost:4433"),
            ("0.0.0.0:1", "https://localhost:1"),
            ("127.0.0.2:443", "https://127.0.0.2"),
            ("[2001:db8::1]:4433", "https://[2001:db8::1]:4433"),
        ] {
            assert_eq!(origin(address.parse().unwrap()), url);
        }
    }

    #[test]
    fn both_loopback_addresses_are_one_site() {
        let addresses = ["127.0.0.1:4433", "[::1]:4433"].map(|address| address.parse().unwrap());
        assert_eq!(lines(&addresses, None), ["site          https://localhost:4433/"]);
    }
}
