//! Responses (RFC 9114 §4.3.2).

use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode, Version};

use super::FieldLines;
use super::content::Content;
use super::lines::{Kind, Section, judge_capsules};
use crate::error::StreamError;

/// What of a request says how its response is to be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Asked {
    /// Anything else.
    #[default]
    Ordinary,
    /// HEAD: the response has no content.
    Head,
    /// CONNECT, extended or not: a successful response begins a tunnel.
    Connect,
}

impl From<&Method> for Asked {
    fn from(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Ordinary,
        }
    }
}

/// A response's head.
#[derive(Debug)]
pub struct ResponseHead {
    /// Status and fields.
    pub head: Response<()>,
    /// How much content may come.
    pub content: Content,
    /// Whether a tunnel begins with it: the DATA frames of the stream are no content.
    pub tunnel: bool,
}

impl ResponseHead {
    /// Whether another head follows: status 1xx.
    pub fn is_interim(&self) -> bool {
        self.head.status().is_informational()
    }
}

/// The head of a response in a decoded section.
pub fn decode_response(fields: impl FieldLines, asked: Asked) -> Result<ResponseHead, StreamError> {
    let mut status = None;
    let fields = fields.into_iter();
    let mut section = Section::new(Kind::Response, fields.len());
    for field in fields {
        if !field.name.starts_with(b":") {
            section.add(field)?;
        } else if !section.is_empty() {
            return Err(late_pseudo());
        } else if &field.name[..] != b":status" {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3
            //# Pseudo-header fields defined for requests MUST NOT appear in responses;
            //# pseudo-header fields defined for responses MUST NOT appear in requests.
            return Err(StreamError::malformed("a pseudo-header field that responses do not have"));
        } else if status.replace(field.value).is_some() {
            return Err(StreamError::malformed(":status occurs twice"));
        }
    }
    let mut finished = section.finish()?;
    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3.2
    //# This pseudo-header
    //# field MUST be included in all responses; otherwise, the response is malformed
    //# (see {{malformed}}).
    let status = status.ok_or_else(|| StreamError::malformed("a response without :status"))?;
    let status = StatusCode::from_bytes(&status).map_err(|_| StreamError::malformed(":status is not three digits"))?;
    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.5
    //# HTTP/3 does not support the HTTP Upgrade mechanism ({{Section 7.8 of
    //# RFC9110}}) or the 101 (Switching Protocols) informational status code
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(StreamError::malformed("status 101"));
    }
    let tunnel = asked == Asked::Connect && status.is_success();
    if tunnel {
        // RFC 9110 §8.6: to be ignored, so nobody shall see it.
        finished.content_length = None;
        judge_capsules(&finished.headers, Some(status))?;
        finished.headers.remove(CONTENT_LENGTH);
    }
    let content = content(status, asked, finished.content_length)?;
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.version_mut() = Version::HTTP_3;
    *head.headers_mut() = finished.headers;
    Ok(ResponseHead { head, content, tunnel })
}

fn content(status: StatusCode, asked: Asked, length: Option<u64>) -> Result<Content, StreamError> {
    match (status.as_u16(), length) {
        // RFC 9110 §8.6: not sent with these.
        (100..=199, Some(_)) | (204, Some(1..)) => {
            Err(StreamError::malformed("Content-Length with a status that has no content"))
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2
        //# A response that is defined as never having content, even
        //# when a Content-Length is present, can have a non-zero Content-Length header
        //# field even though no content is included in DATA frames.
        (204 | 304, _) => Ok(Content::Never),
        _ if asked == Asked::Head => Ok(Content::Never),
        (_, Some(length)) => Ok(Content::Exactly(length)),
        (_, None) => Ok(Content::Any),
    }
}

pub(super) fn late_pseudo() -> StreamError {
    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3
    //# Any request or response that contains a pseudo-header field that
    //# appears in a header section after a regular header field MUST be treated as
    //# malformed.
    StreamError::malformed("a pseudo-header field after other fields")
}
