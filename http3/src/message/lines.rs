//! [`Section`]: the rules for field lines that are no pseudo-header fields (RFC 9114 §4.2, §10.3).

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, StatusCode};

use super::content;
use crate::error::StreamError;
use crate::qpack::Field;

/// RFC 9297 §3.4.
const CAPSULE_PROTOCOL: HeaderName = HeaderName::from_static("capsule-protocol");

/// Where the lines stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// The lines of a section so far.
#[derive(Debug)]
pub(super) struct Section {
    kind: Kind,
    headers: HeaderMap,
    content_length: Option<u64>,
    host: Option<Bytes>,
    cookie: Cookie,
}

/// All lines of a section.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) headers: HeaderMap,
    pub(super) content_length: Option<u64>,
    pub(super) host: Option<Bytes>,
}

/// The crumbs of the Cookie field.
#[derive(Debug, Default)]
enum Cookie {
    #[default]
    None,
    One(HeaderValue),
    Joined(BytesMut, bool),
}

impl Section {
    /// No lines; there will be up to `lines`.
    pub(super) fn new(kind: Kind, lines: usize) -> Self {
        let headers = HeaderMap::with_capacity(lines);
        Self { kind, headers, content_length: None, host: None, cookie: Cookie::None }
    }

    /// Whether no line was added yet.
    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && matches!(self.cookie, Cookie::None)
    }

    /// Adds a line whose name does not begin with a colon.
    pub(super) fn add(&mut self, field: Field) -> Result<(), StreamError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.2
        //# A request or response containing uppercase characters in field
        //# names MUST be treated as malformed.
        //= https://www.rfc-editor.org/rfc/rfc9114#section-10.3
        //# Requests or
        //# responses containing invalid field names MUST be treated as malformed.
        let name = HeaderName::from_lowercase(&field.name)
            .map_err(|_| StreamError::malformed("a field name has characters that it may not have"))?;
        let bytes = field.value.clone();
        let value = value(field)?;
        if name == COOKIE && self.kind == Kind::Request {
            self.cookie.add(value);
            return Ok(());
        }
        match name {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.2
            //# An endpoint MUST NOT generate an HTTP/3 field section containing
            //# connection-specific fields; any message containing connection-specific fields
            //# MUST be treated as malformed.
            _ if is_connection_specific(&name) => {
                return Err(StreamError::malformed("a field that is about the connection"));
            }
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.2
            //# The only exception to this is the TE header field, which MAY be present in an
            //# HTTP/3 request header; when it is, it MUST NOT contain any value other than
            //# "trailers".
            TE if self.kind != Kind::Request || !value.as_bytes().eq_ignore_ascii_case(b"trailers") => {
                return Err(StreamError::malformed("TE says something else than \"trailers\" in a request"));
            }
            // Where a message ends and whom it is for is said before its content, or two readers may disagree.
            CONTENT_LENGTH | HOST if self.kind == Kind::Trailers => {
                return Err(StreamError::malformed("a field in trailers that belongs in the head"));
            }
            CONTENT_LENGTH => {
                let length = content::parse(value.as_bytes());
                let length = length.ok_or_else(|| StreamError::malformed("Content-Length is not a number"))?;
                // Even if both are the same: what is said twice can be said differently to somebody else.
                if self.content_length.replace(length).is_some() {
                    return Err(StreamError::malformed("Content-Length occurs twice"));
                }
            }
            HOST if self.kind == Kind::Request && self.host.replace(bytes).is_some() => {
                return Err(StreamError::malformed("Host occurs twice"));
            }
            _ => {}
        }
        self.headers
            .try_append(name, value)
            .map(|_| ())
            .map_err(|_| StreamError::malformed("more field lines than can be kept"))
    }

    /// All lines were added.
    pub(super) fn finish(mut self) -> Result<Finished, StreamError> {
        if let Some(cookie) = self.cookie.join()? {
            self.headers
                .try_append(COOKIE, cookie)
                .map_err(|_| StreamError::malformed("more field lines than can be kept"))?;
        }
        Ok(Finished { headers: self.headers, content_length: self.content_length, host: self.host })
    }
}

impl Cookie {
    fn add(&mut self, crumb: HeaderValue) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(crumb),
            Self::One(first) => {
                let joined = BytesMut::from(first.as_bytes());
                Self::Joined(joined, first.is_sensitive()).with(&crumb)
            }
            joined @ Self::Joined(..) => joined.with(&crumb),
        };
    }

    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.2.1
    //# If a decompressed field section contains
    //# multiple cookie field lines, these MUST be concatenated into a single byte
    //# string using the two-byte delimiter of `; ` (ASCII 0x3b, 0x20) before being
    //# passed into a context other than HTTP/2 or HTTP/3, such as an HTTP/1.1
    //# connection, or a generic HTTP server application.
    fn with(mut self, crumb: &HeaderValue) -> Self {
        if let Self::Joined(joined, sensitive) = &mut self {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb.as_bytes());
            *sensitive |= crumb.is_sensitive();
        }
        self
    }

    fn join(self) -> Result<Option<HeaderValue>, StreamError> {
        match self {
            Self::None => Ok(None),
            Self::One(value) => Ok(Some(value)),
            Self::Joined(joined, sensitive) => {
                let mut value = HeaderValue::from_maybe_shared(joined.freeze()).map_err(|_| invalid_value())?;
                value.set_sensitive(sensitive);
                Ok(Some(value))
            }
        }
    }
}

/// Whether a field says something of the connection, and has no place in HTTP/3.
pub(super) fn is_connection_specific(name: &HeaderName) -> bool {
    name == CONNECTION
        || name == TRANSFER_ENCODING
        || name == UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// The value of a line, sharing its bytes.
fn value(field: Field) -> Result<HeaderValue, StreamError> {
    // Space around a value is not part of it (RFC 9110 §5.5).
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_space(field.value.first()) || is_space(field.value.last()) {
        return Err(StreamError::malformed("a field value begins or ends with a space"));
    }
    let mut value = HeaderValue::from_maybe_shared(field.value).map_err(|_| invalid_value())?;
    value.set_sensitive(field.sensitive);
    Ok(value)
}

fn invalid_value() -> StreamError {
    //= https://www.rfc-editor.org/rfc/rfc9114#section-10.3
    //# Any request or
    //# response that contains a character not permitted in a field value MUST be
    //# treated as malformed.
    StreamError::malformed("a field value has characters that it may not have")
}

/// Whether the head says that the capsule protocol is used (RFC 9297 §3.4).
pub fn has_capsules(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CAPSULE_PROTOCOL).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes() == b"?1" || value.as_bytes().starts_with(b"?1;"),
        // Several are a list, which is no boolean.
        _ => false,
    }
}

/// Judges a head that says that the capsule protocol is used.
pub(super) fn judge_capsules(headers: &HeaderMap, status: Option<StatusCode>) -> Result<(), StreamError> {
    if !has_capsules(headers) {
        return Ok(());
    }
    //= https://www.rfc-editor.org/rfc/rfc9297#section-3.2
    //# The Capsule Protocol MUST NOT be used with messages that contain Content-Length,
    //# Content-Type, or Transfer-Encoding header fields. Additionally, HTTP status
    //# codes 204 (No Content), 205 (Reset Content), and 206 (Partial Content) MUST NOT
    //# be sent on responses that use the Capsule Protocol. A receiver that observes a
    //# violation of these requirements MUST treat the HTTP message as malformed.
    if headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(CONTENT_TYPE)
        || status.is_some_and(|status| matches!(status.as_u16(), 204..=206))
    {
        return Err(StreamError::malformed("the capsule protocol is used with content"));
    }
    Ok(())
}
