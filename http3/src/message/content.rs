//! [`Content`]: how many bytes of content a message may have (RFC 9114 §4.1.2).

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::error::StreamError;

/// How many bytes of content are still to come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Content {
    /// As many as there are until the stream ends.
    #[default]
    Any,
    /// This many: what is left of the Content-Length.
    Exactly(u64),
    /// None, whatever Content-Length says: a response to HEAD, or with status 204 or 304.
    Never,
}

impl Content {
    /// These bytes of DATA came.
    pub fn received(&mut self, bytes: u64) -> Result<(), StreamError> {
        match self {
            Self::Any => Ok(()),
            Self::Exactly(left) => {
                *left = left.checked_sub(bytes).ok_or_else(mismatch)?;
                Ok(())
            }
            Self::Never if bytes == 0 => Ok(()),
            Self::Never => Err(StreamError::malformed("content in a message that never has any")),
        }
    }

    /// The message is complete.
    pub fn finished(self) -> Result<(), StreamError> {
        if matches!(self, Self::Exactly(1..)) { Err(mismatch()) } else { Ok(()) }
    }
}

fn mismatch() -> StreamError {
    //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2
    //# A request or response that is defined as having content when it contains a
    //# Content-Length header field ({{Section 8.6 of RFC9110}}) is malformed if the
    //# value of the Content-Length header field does not equal the sum of the DATA
    //# frame lengths received.
    StreamError::malformed("the content is not as long as Content-Length says")
}

/// The value of a Content-Length field: digits, and nothing else.
pub(super) fn parse(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What a head of our own says of its content, if it says it rightly.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    parse(headers.get(CONTENT_LENGTH)?.as_bytes())
}
