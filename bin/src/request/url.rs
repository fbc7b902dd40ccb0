//! [`Url`]: what to fetch, taken apart, and where a redirect leads from there (RFC 3986).

use std::fmt;
use std::net::Ipv6Addr;

use axum::http::Uri;
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::problem::{Problem, code};

const HTTPS: u16 = 443;
/// What is not sent as it is, but as people and servers write it.
const UNSENDABLE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');
/// Nor is this, where it is a part of one name.
const NOT_IN_A_NAME: &AsciiSet = &UNSENDABLE.add(b'%').add(b'?').add(b'#').add(b'/');

/// An https:// URL without its fragment, which is the client's own affair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Url {
    /// In lower case, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `user:password`, decoded.
    pub(crate) userinfo: Option<String>,
    target: PathAndQuery,
}

impl Url {
    /// Reads what a user typed; https:// may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let malformed = |why: &str| malformed(text, why);
        if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(malformed("a URL has no spaces; write %20"));
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => https(text, scheme, rest)?,
            _ => text,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host).map_err(malformed)?;
        let userinfo = userinfo.map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        Ok(Self { host, port, userinfo, target: normal(target).map_err(malformed)? })
    }

    /// Where a reference leads from here (RFC 3986 §5.2.2).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, Problem> {
        let reference = utf8_percent_encode(reference.trim(), UNSENDABLE).to_string();
        let path = self.target.path();
        let relative = match reference.split_once(':') {
            Some((scheme, _)) if is_scheme(scheme) => return Self::absolute(&reference),
            _ if reference.starts_with("//") => return Self::parse(&format!("https:{reference}")),
            _ if reference.is_empty() || reference.starts_with('#') => return Ok(self.clone()),
            _ if reference.starts_with('/') => reference,
            _ if reference.starts_with('?') => format!("{path}{reference}"),
            _ => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        let target = normal(&relative).map_err(|why| malformed(&relative, why))?;
        Ok(Self { target, ..self.clone() })
    }

    fn absolute(text: &str) -> Result<Self, Problem> {
        match text.split_once("://") {
            Some(_) => Self::parse(text),
            None => Err(Problem::new(code::UNSUPPORTED_PROTOCOL, format_args!("{text}: this is no https:// URL"))),
        }
    }

    /// Whether both are of the same server, which may be told the same secrets.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }

    /// The server as it is named in a request: without the port that needs no saying.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == HTTPS { host } else { format!("{host}:{}", self.port) }
    }

    /// The target of a request; `authority`: named otherwise by the user.
    pub(crate) fn target(&self, authority: Option<&str>) -> Result<Uri, Problem> {
        let named = authority.map_or_else(|| self.authority(), ToOwned::to_owned);
        let authority = Authority::try_from(named.as_str()).map_err(|error| malformed(&named, &error.to_string()))?;
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(self.target.clone()).build();
        uri.map_err(|error| malformed(&self.to_string(), &error.to_string()))
    }

    /// The last name of the path, if it has one: never a way out of the folder.
    pub(crate) fn file_name(&self) -> Option<&str> {
        let name = self.target.path().rsplit('/').next()?;
        (!matches!(name, "" | "." | "..")).then_some(name)
    }

    /// With this name at its end, if it ends with a folder.
    pub(crate) fn with_name(self, name: &str) -> Result<Self, Problem> {
        if !self.target.as_str().ends_with('/') {
            return Ok(self);
        }
        let name = utf8_percent_encode(name, NOT_IN_A_NAME).to_string();
        self.join(&format!("{}{name}", self.target.path()))
    }
}

impl fmt::Display for Url {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.target)
    }
}

fn malformed(text: &str, why: &str) -> Problem {
    Problem::new(code::MALFORMED_URL, format_args!("{text}: {why}"))
}

/// The scheme must be https.
fn https<'a>(text: &str, scheme: &str, rest: &'a str) -> Result<&'a str, Problem> {
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(rest);
    }
    let unsupported = |why: fmt::Arguments<'_>| Err(Problem::new(code::UNSUPPORTED_PROTOCOL, why));
    if scheme.eq_ignore_ascii_case("http") {
        return unsupported(format_args!("{text}: HTTP/3 is always encrypted; write https://{rest}"));
    }
    unsupported(format_args!("{text}: only https:// URLs can be fetched"))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.'))
}

fn host_and_port(text: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("the ] of the IPv6 address is missing")?;
            let address: Ipv6Addr = address.parse().map_err(|_| "that is no IPv6 address")?;
            match port.strip_prefix(':') {
                Some(port) => (address.to_string(), port),
                None if port.is_empty() => (address.to_string(), ""),
                None => return Err("after the ] comes the port, as in [::1]:4433"),
            }
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            if port.contains(':') {
                return Err("an IPv6 address is written in brackets: https://[::1]:4433/");
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    if host.is_empty() {
        return Err("the host is missing; write https://host/path");
    }
    if !host.is_ascii() {
        return Err("names outside of ASCII are not translated; write the name as it is in DNS (xn--…)");
    }
    if !host.contains(':') && !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err("that is no host name");
    }
    match port {
        "" => Ok((host, HTTPS)),
        port if !port.bytes().all(|byte| byte.is_ascii_digit()) => Err("the port is a number from 1 to 65535"),
        port => match port.parse() {
            Ok(port @ 1..) => Ok((host, port)),
            _ => Err("the port is a number from 1 to 65535"),
        },
    }
}

/// The path without `.` and `..` (RFC 3986 §5.2.4), and the query; the fragment goes.
fn normal(target: &str) -> Result<PathAndQuery, &'static str> {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => {}
            ".." => _ = kept.pop(),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    let mut text = format!("/{}", kept.join("/"));
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    let sendable = utf8_percent_encode(&text, UNSENDABLE).to_string();
    PathAndQuery::try_from(sendable).map_err(|_| "the path has characters that a URL cannot have; write %XX")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn urls_are_taken_apart() {
        for (text, shown) in [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.COM:443/A?b#c", "https://example.com/A?b"),
            ("localhost:4433/x", "https://localhost:4433/x"),
            ("example.com?a://b", "https://example.com/?a://b"),
            ("https://[0:0::1]:4433", "https://[::1]:4433/"),
            ("https://[::1]", "https://[::1]/"),
            ("https://u:p@h:1/", "https://h:1/"),
            ("https://h/a/./b/../c/..", "https://h/a/"),
            ("https://h/../../x", "https://h/x"),
            ("https://h/%2e%2E/x/%2e", "https://h/x/"),
            ("https://h//x", "https://h//x"),
            ("https://h/ü?ö", "https://h/%C3%BC?%C3%B6"),
        ] {
            assert_eq!(url(text).to_string(), shown, "{text}");
        }
        assert_eq!(url("https://a%40b:p%3a@h/").userinfo.as_deref(), Some("a@b:p:"));
        assert_eq!(url("https://a@b@h/").userinfo.as_deref(), Some("a@b"));
    }

    #[test]
    fn what_is_no_url_is_explained() {
        for (text, code, word) in [
            ("http://h/x", code::UNSUPPORTED_PROTOCOL, "https://h/x"),
            ("ftp://h/", code::UNSUPPORTED_PROTOCOL, "only https://"),
            ("", code::MALFORMED_URL, "host is missing"),
            ("https://", code::MALFORMED_URL, "host is missing"),
            ("https:///x", code::MALFORMED_URL, "host is missing"),
            ("https://:1/", code::MALFORMED_URL, "host is missing"),
            ("https://h:0/", code::MALFORMED_URL, "port"),
            ("https://h:65536/", code::MALFORMED_URL, "port"),
            ("https://h:+1/", code::MALFORMED_URL, "port"),
            ("https://::1/", code::MALFORMED_URL, "brackets"),
            ("https://[::1/", code::MALFORMED_URL, "]"),
            ("https://[x]/", code::MALFORMED_URL, "IPv6"),
            ("https://[::1]4433/", code::MALFORMED_URL, "port"),
            ("https://h/a b", code::MALFORMED_URL, "%20"),
            ("https://münchen.example/", code::MALFORMED_URL, "xn--"),
            ("https://a;b/", code::MALFORMED_URL, "host name"),
        ] {
            let problem = Url::parse(text).unwrap_err();
            assert!(problem.code == code && problem.message.contains(word), "{text}: {problem:?}");
        }
    }

    /// The examples of RFC 3986 section 5.4 that stay with https.
    #[test]
    fn references_lead_where_the_rfc_says() {
        let base = url("https://a/b/c/d;p?q");
        for (reference, target) in [
            ("g", "https://a/b/c/g"),
            ("./g", "https://a/b/c/g"),
            ("g/", "https://a/b/c/g/"),
            ("/g", "https://a/g"),
            ("//g", "https://g/"),
            ("?y", "https://a/b/c/d;p?y"),
            ("g?y", "https://a/b/c/g?y"),
            ("#s", "https://a/b/c/d;p?q"),
            ("g#s", "https://a/b/c/g"),
            (";x", "https://a/b/c/;x"),
            ("", "https://a/b/c/d;p?q"),
            (".", "https://a/b/c/"),
            ("..", "https://a/b/"),
            ("../g", "https://a/b/g"),
            ("../../../g", "https://a/g"),
            ("/./g", "https://a/g"),
            ("g.", "https://a/b/c/g."),
            ("./g/.", "https://a/b/c/g/"),
            ("g?y/../x", "https://a/b/c/g?y/../x"),
            ("https://x:1/y", "https://x:1/y"),
            ("a b", "https://a/b/c/a%20b"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), target, "{reference}");
        }
        assert_eq!(base.join("http://h/").unwrap_err().code, code::UNSUPPORTED_PROTOCOL);
        assert_eq!(base.join("mailto:x").unwrap_err().code, code::UNSUPPORTED_PROTOCOL);
    }

    #[test]
    fn names_of_files_never_lead_out_of_the_folder() {
        for (text, name) in [
            ("https://h/a/b.txt?c/d", Some("b.txt")),
            ("https://h/", None),
            ("https://h/a/", None),
            ("https://h/a/..", None),
            ("https://h/a/%2e%2e", None),
            ("https://h/..%2fx", Some("..%2fx")),
        ] {
            assert_eq!(url(text).file_name(), name, "{text}");
        }
        let with = |text: &str| url(text).with_name("a b/c").unwrap().to_string();
        assert_eq!(with("https://h/x/"), "https://h/x/a%20b%2Fc");
        assert_eq!(with("https://h/x"), "https://h/x");
    }

    #[test]
    fn the_authority_leaves_out_what_needs_no_saying() {
        assert_eq!(url("https://h:443/").target(None).unwrap().to_string(), "https://h/");
        assert_eq!(url("https://[::1]:4433/x").target(None).unwrap().to_string(), "https://[::1]:4433/x");
        assert_eq!(url("https://h/x").target(Some("other:1")).unwrap().to_string(), "https://other:1/x");
        assert!(url("https://h/").same_origin(&url("https://H:443/x")));
        assert!(!url("https://h/").same_origin(&url("https://h:1/")));
    }
}
