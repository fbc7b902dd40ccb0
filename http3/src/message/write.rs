//! Heads and trailers to field lines.
//!
//! What a program for HTTP/1.1 put into a head and has no place in HTTP/3 is left out, as an intermediary has to
//! (RFC 9110 §7.6.1). What cannot be said at all is refused.

use std::fmt;

use http::header::{CONNECTION, CONTENT_LENGTH, GetAll, HOST, HeaderName, HeaderValue, TE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use smallvec::SmallVec;

use super::lines::is_connection_specific;
use super::request::Protocol;
use crate::qpack::FieldRef;

/// Field lines to be encoded. As many as most heads have need no allocation.
pub type Lines<'a> = SmallVec<[FieldRef<'a>; 24]>;

/// Why a head cannot be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeadError {
    /// The target has no authority, and there is no Host field either.
    NoAuthority,
    /// CONNECT without the port to connect to (RFC 9114 §4.4).
    NoPort,
    /// A [`Protocol`] without CONNECT (RFC 9220).
    ProtocolWithoutConnect,
    /// Extended CONNECT, and the server has not said that it may be used (RFC 9220 §3).
    ExtendedConnect,
    /// Status 101, which HTTP/3 does not have (RFC 9114 §4.5).
    SwitchingProtocols,
    /// A final status where an interim one belongs, or the other way round.
    WrongStatus,
    /// The section is larger than the peer's SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §4.2.2): its size, and the limit.
    TooLarge(u64, u64),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAuthority => f.write_str("the target has no authority, and there is no Host field"),
            Self::NoPort => f.write_str("CONNECT needs a port: give host:port as the target"),
            Self::ProtocolWithoutConnect => f.write_str("a protocol goes with the method CONNECT only"),
            Self::ExtendedConnect => f.write_str("the server has not enabled extended CONNECT"),
            Self::SwitchingProtocols => f.write_str("HTTP/3 has no status 101: use extended CONNECT"),
            Self::WrongStatus => f.write_str("an interim response has status 1xx, and a final one has not"),
            Self::TooLarge(size, limit) => {
                write!(f, "the head has {size} bytes, the peer accepts {limit}: send fewer or shorter fields")
            }
        }
    }
}

impl std::error::Error for HeadError {}

/// The lines of a request. A target without a scheme is taken for one of "https"; Host becomes `:authority`.
pub fn request_lines(head: &Request<()>) -> Result<Lines<'_>, HeadError> {
    let uri = head.uri();
    let authority = match (uri.authority(), head.headers().get(HOST)) {
        // Userinfo is for the client only.
        (Some(authority), _) => authority.as_str().rsplit('@').next().unwrap_or_default().as_bytes(),
        (None, Some(host)) => trim(host.as_bytes()),
        (None, None) => &[],
    };
    if authority.is_empty() {
        return Err(HeadError::NoAuthority);
    }
    let protocol = head.extensions().get::<Protocol>();
    let connect = head.method() == Method::CONNECT;
    let mut lines = Lines::new();
    lines.push(FieldRef::new(b":method", head.method().as_str().as_bytes()));
    match (connect, protocol) {
        (true, None) if uri.port_u16().is_none() => return Err(HeadError::NoPort),
        (false, Some(_)) => return Err(HeadError::ProtocolWithoutConnect),
        (true, None) => lines.push(FieldRef::new(b":authority", authority)),
        _ => {
            let scheme = uri.scheme().map_or("https", Scheme::as_str);
            lines.push(FieldRef::new(b":scheme", scheme.as_bytes()));
            lines.push(FieldRef::new(b":authority", authority));
            let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
            let path = match path {
                "" | "*" if *head.method() == Method::OPTIONS => "*",
                "" => "/",
                path => path,
            };
            lines.push(FieldRef::new(b":path", path.as_bytes()));
            if let Some(protocol) = protocol {
                lines.push(FieldRef::new(b":protocol", protocol.as_str().as_bytes()));
            }
        }
    }
    let nominated = Nominated::of(head.headers());
    for (name, value) in head.headers() {
        let says_something_else = *name == TE && !trim(value.as_bytes()).eq_ignore_ascii_case(b"trailers");
        let is_for_content = connect && *name == CONTENT_LENGTH;
        if *name == HOST || says_something_else || is_for_content {
            continue;
        }
        // TE is nominated by Connection in HTTP/1.1, and stays.
        if is_connection_specific(name) || (*name != TE && nominated.has(name)) {
            continue;
        }
        lines.push(line(name, value));
    }
    Ok(lines)
}

/// The lines of a response before the final one (1xx, not 101).
pub fn interim_lines(head: &Response<()>) -> Result<Lines<'_>, HeadError> {
    let lines = response_lines(head)?;
    if head.status().is_informational() { Ok(lines) } else { Err(HeadError::WrongStatus) }
}

/// The lines of a response.
pub fn response_lines(head: &Response<()>) -> Result<Lines<'_>, HeadError> {
    if head.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(HeadError::SwitchingProtocols);
    }
    let mut lines = Lines::new();
    lines.push(FieldRef::new(b":status", digits(head.status())));
    // RFC 9110 §8.6: no Content-Length with these.
    let without_length = head.status().is_informational() || head.status() == StatusCode::NO_CONTENT;
    let nominated = Nominated::of(head.headers());
    for (name, value) in head.headers() {
        let is_refused = *name == TE || (without_length && *name == CONTENT_LENGTH);
        if !is_refused && !is_connection_specific(name) && !nominated.has(name) {
            lines.push(line(name, value));
        }
    }
    Ok(lines)
}

/// All status codes in digits, so that a line can refer to one.
static DIGITS: [[u8; 3]; 900] = {
    let mut digits = [[0; 3]; 900];
    let mut status = 0;
    while status < 900 {
        digits[status] = [b'1' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
        status += 1;
    }
    digits
};

fn digits(status: StatusCode) -> &'static [u8] {
    // A status is between 100 and 999.
    DIGITS.get(usize::from(status.as_u16()).wrapping_sub(100)).map_or(b"500", |digits| digits)
}

/// The lines of trailers.
pub fn trailer_lines(trailers: &HeaderMap) -> Lines<'_> {
    let is_refused = |name: &HeaderName| is_connection_specific(name) || [TE, HOST, CONTENT_LENGTH].contains(name);
    trailers.iter().filter(|(name, _)| !is_refused(name)).map(|(name, value)| line(name, value)).collect()
}

fn line<'a>(name: &'a HeaderName, value: &'a HeaderValue) -> FieldRef<'a> {
    FieldRef { name: name.as_str().as_bytes(), value: trim(value.as_bytes()), sensitive: value.is_sensitive() }
}

/// Without the space around it, which is not part of a value (RFC 9110 §5.5).
fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// The fields that a Connection field names as about the connection.
struct Nominated<'a>(Option<GetAll<'a, HeaderValue>>);

impl<'a> Nominated<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        // Nearly never is there one.
        Self(headers.contains_key(CONNECTION).then(|| headers.get_all(CONNECTION)))
    }

    fn has(&self, name: &HeaderName) -> bool {
        let is_name = |option: &[u8]| trim(option).eq_ignore_ascii_case(name.as_str().as_bytes());
        self.0.iter().flatten().any(|value| value.as_bytes().split(|byte| *byte == b',').any(is_name))
    }
}
