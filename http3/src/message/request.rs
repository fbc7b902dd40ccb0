//! Requests (RFC 9114 §4.3.1, §4.4; RFC 9220 §3).

use std::fmt;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request, Version};

use super::FieldLines;
use super::content::Content;
use super::lines::{Kind, Section, judge_capsules};
use crate::error::StreamError;
use crate::qpack::Field;

/// The `:protocol` of an extended CONNECT (RFC 9220): an extension of the request that carries it.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Protocol(Bytes);

impl Protocol {
    /// RFC 9220.
    pub const WEBSOCKET: Self = Self(Bytes::from_static(b"websocket"));
    /// WebTransport over HTTP/3.
    pub const WEBTRANSPORT: Self = Self(Bytes::from_static(b"webtransport"));
    /// RFC 9298.
    pub const CONNECT_UDP: Self = Self(Bytes::from_static(b"connect-udp"));

    /// A protocol with this name, which is a token (RFC 9110 §5.6.2); `None` if it is none.
    pub fn new(name: Bytes) -> Option<Self> {
        let is_token = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' | b'/')
        };
        (!name.is_empty() && name.iter().all(is_token)).then_some(Self(name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        // A token is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request's head.
#[derive(Debug)]
pub struct RequestHead {
    /// Method, target, fields. An extended CONNECT has its [`Protocol`] among the extensions. The authority of the
    /// target is that of `:authority` or Host; with a scheme that needs none and none given, the target is only the
    /// path, and the [`Scheme`] is among the extensions.
    pub head: Request<()>,
    /// How much content may come.
    pub content: Content,
}

/// The pseudo-header fields of a request.
#[derive(Debug, Default)]
struct Pseudo {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    protocol: Option<Bytes>,
}

/// The head of a request in a decoded section. `extended`: whether we have said that extended CONNECT may be used.
pub fn decode_request(fields: impl FieldLines, extended: bool) -> Result<RequestHead, StreamError> {
    let mut pseudo = Pseudo::default();
    let fields = fields.into_iter();
    let mut section = Section::new(Kind::Request, fields.len());
    for field in fields {
        if !field.name.starts_with(b":") {
            section.add(field)?;
        } else if section.is_empty() {
            pseudo.add(field, extended)?;
        } else {
            return Err(super::response::late_pseudo());
        }
    }
    let mut finished = section.finish()?;
    let method = pseudo.method.take().ok_or_else(|| missing(":method"))?;
    let method = Method::from_bytes(&method).map_err(|_| StreamError::malformed(":method is not a token"))?;
    let protocol = pseudo.protocol.take();
    let target = match (method == Method::CONNECT, &protocol) {
        (true, None) => pseudo.tunnel(finished.host)?,
        (false, Some(_)) => return Err(StreamError::malformed(":protocol without CONNECT")),
        (connect, _) => pseudo.target(finished.host.take(), &method, connect)?,
    };
    let content = match finished.content_length {
        // Its data stream is no content, and is as long as it is.
        Some(_) if method == Method::CONNECT => return Err(StreamError::malformed("Content-Length with CONNECT")),
        Some(length) => Content::Exactly(length),
        None => Content::Any,
    };
    if method == Method::CONNECT {
        judge_capsules(&finished.headers, None)?;
    }
    let mut head = Request::new(());
    *head.method_mut() = method;
    *head.version_mut() = Version::HTTP_3;
    *head.uri_mut() = target.uri;
    *head.headers_mut() = finished.headers;
    if let Some(protocol) = protocol {
        let protocol = Protocol::new(protocol).ok_or_else(|| StreamError::malformed(":protocol is not a token"))?;
        head.extensions_mut().insert(protocol);
    }
    if let Some(scheme) = target.scheme {
        head.extensions_mut().insert(scheme);
    }
    Ok(RequestHead { head, content })
}

/// Where a request goes.
struct Target {
    uri: Uri,
    /// If the URI cannot hold it.
    scheme: Option<Scheme>,
}

impl Pseudo {
    fn add(&mut self, field: Field, extended: bool) -> Result<(), StreamError> {
        let place = match &field.name[..] {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            // RFC 8441 §4: only after we have said that it may be used.
            b":protocol" if extended => &mut self.protocol,
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3
            //# Endpoints MUST treat a
            //# request or response that contains undefined or invalid pseudo-header fields as
            //# malformed.
            _ => return Err(StreamError::malformed("a pseudo-header field that requests do not have")),
        };
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1
        //# All HTTP/3 requests MUST include exactly one value for the :method, :scheme,
        //# and :path pseudo-header fields, unless the request is a CONNECT request; see
        //# {{connect}}.
        if place.replace(field.value).is_some() {
            return Err(StreamError::malformed("a pseudo-header field occurs twice"));
        }
        Ok(())
    }

    /// The target of CONNECT.
    fn tunnel(self, host: Option<Bytes>) -> Result<Target, StreamError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.4
        //# -   The :scheme and :path pseudo-header fields are omitted
        if self.scheme.is_some() || self.path.is_some() {
            return Err(StreamError::malformed("CONNECT with :scheme or :path"));
        }
        let authority = self.authority.ok_or_else(|| missing(":authority"))?;
        same(&authority, host.as_ref())?;
        let authority = parse_authority(authority)?;
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.4
        //# A CONNECT request that does not conform to these restrictions
        //# is malformed.
        if authority.port_u16().is_none() || authority.as_str().contains('@') {
            return Err(StreamError::malformed("CONNECT without host and port"));
        }
        Ok(Target { uri: Uri::from(authority), scheme: None })
    }

    /// The target of all others, extended CONNECT included.
    fn target(self, host: Option<Bytes>, method: &Method, connect: bool) -> Result<Target, StreamError> {
        let scheme = self.scheme.ok_or_else(|| missing(":scheme"))?;
        let path = self.path.ok_or_else(|| missing(":path"))?;
        let scheme = parse_scheme(&scheme)?;
        let is_web = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        if connect && self.authority.is_none() {
            return Err(missing(":authority"));
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1
        //# If these
        //# fields are present, they MUST NOT be empty.  If both fields are present, they
        //# MUST contain the same value.
        if let Some(authority) = &self.authority {
            same(authority, host.as_ref())?;
        }
        let authority = self.authority.or(host).map(parse_authority).transpose()?;
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1
        //# The authority MUST NOT include the deprecated userinfo
        //# subcomponent for URIs of scheme "http" or "https".
        if is_web && authority.as_ref().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(StreamError::malformed("an authority with userinfo"));
        }
        let path = parse_path(path, is_web, method)?;
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path);
        let scheme = match authority {
            Some(authority) => {
                parts.authority = Some(authority);
                parts.scheme = Some(scheme);
                None
            }
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1
            //# If the :scheme pseudo-header field identifies a scheme that has a mandatory
            //# authority component (including "http" and "https"), the request MUST contain
            //# either an :authority pseudo-header field or a Host header field.
            None if is_web => return Err(missing(":authority")),
            None => Some(scheme),
        };
        let uri = Uri::from_parts(parts).map_err(|_| StreamError::malformed("the target is no URI"))?;
        Ok(Target { uri, scheme })
    }
}

fn missing(name: &'static str) -> StreamError {
    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1
    //# An HTTP request that omits mandatory pseudo-header fields or contains invalid
    //# values for those pseudo-header fields is malformed.
    StreamError::malformed(match name {
        ":method" => "a request without :method",
        ":scheme" => "a request without :scheme",
        ":path" => "a request without :path",
        _ => "a request without :authority",
    })
}

fn same(authority: &Bytes, host: Option<&Bytes>) -> Result<(), StreamError> {
    if host.is_some_and(|host| host != authority) {
        return Err(StreamError::malformed("Host is not the same as :authority"));
    }
    Ok(())
}

fn parse_authority(value: Bytes) -> Result<Authority, StreamError> {
    if value.is_empty() {
        return Err(StreamError::malformed("an empty authority"));
    }
    let malformed = || StreamError::malformed("an authority that is none");
    let authority = Authority::from_maybe_shared(value).map_err(|_| malformed())?;
    // What stands behind the host is nothing, or a port (RFC 3986 §3.2.3).
    let behind = authority.as_str().rsplit('@').next().and_then(|place| place.strip_prefix(authority.host()));
    let is_port = match behind {
        Some("" | ":") => true,
        Some(port) => authority.port_u16().is_some() && port.len() > 1,
        None => false,
    };
    if !is_port || authority.host().is_empty() {
        return Err(malformed());
    }
    Ok(authority)
}

fn parse_scheme(value: &[u8]) -> Result<Scheme, StreamError> {
    // Schemes are the same in either case (RFC 3986 §3.1).
    if value.eq_ignore_ascii_case(b"https") {
        return Ok(Scheme::HTTPS);
    }
    if value.eq_ignore_ascii_case(b"http") {
        return Ok(Scheme::HTTP);
    }
    let malformed = || StreamError::malformed(":scheme is none");
    if !value.first().is_some_and(u8::is_ascii_alphabetic) {
        return Err(malformed());
    }
    Scheme::try_from(value).map_err(|_| malformed())
}

fn parse_path(value: Bytes, is_web: bool, method: &Method) -> Result<PathAndQuery, StreamError> {
    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1
    //# This pseudo-header field MUST NOT be empty for "http" or "https" URIs;
    //# "http" or "https" URIs that do not contain a path component MUST include a
    //# value of `/` (ASCII 0x2f).
    let begins = match &value[..] {
        [b'/', ..] => true,
        b"*" => *method == Method::OPTIONS || !is_web,
        [] => !is_web,
        _ => false,
    };
    // No fragment, no space, no control characters, nothing but ASCII (RFC 3986 §3.3, §3.4).
    if !begins || value.iter().any(|byte| !matches!(byte, b'!'..=b'"' | b'$'..=b'~')) {
        return Err(StreamError::malformed(":path is none"));
    }
    if value.is_empty() {
        return Ok(PathAndQuery::from_static("/"));
    }
    PathAndQuery::from_maybe_shared(value).map_err(|_| StreamError::malformed(":path is none"))
}
