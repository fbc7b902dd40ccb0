//! Messages (RFC 9114 §4): field lines to heads and trailers, each rule judged, and back.
//!
//! | File | What |
//! |---|---|
//! | `lines.rs` | what holds for the field lines of any section |
//! | `request.rs`, `response.rs` | pseudo-header fields, and the heads they belong to |
//! | `content.rs` | how many bytes of content may come |
//! | `write.rs` | heads and trailers to field lines |
//!
//! What is refused is malformed: an error of its stream with H3_MESSAGE_ERROR. Names and values are not copied: a
//! [`http::HeaderValue`], an authority or a path shares the bytes of the decoded line.

mod content;
mod lines;
mod request;
mod response;
mod write;

#[cfg(test)]
mod tests;

pub use content::Content;
pub use lines::has_capsules;
pub use request::{Protocol, RequestHead, decode_request};
pub use response::{Asked, ResponseHead, decode_response};
pub use write::{HeadError, Lines, interim_lines, request_lines, response_lines, trailer_lines};

pub(crate) use content::content_length;

use http::HeaderMap;

use crate::error::StreamError;
use crate::qpack::Field;

/// The field lines of a decoded section: [`Fields`](crate::qpack::Fields), or a vector of lines.
pub trait FieldLines: IntoIterator<Item = Field, IntoIter: ExactSizeIterator> {}

impl<T: IntoIterator<Item = Field, IntoIter: ExactSizeIterator>> FieldLines for T {}

/// The trailers in a decoded section.
pub fn decode_trailers(fields: impl FieldLines) -> Result<HeaderMap, StreamError> {
    let fields = fields.into_iter();
    let mut section = lines::Section::new(lines::Kind::Trailers, fields.len());
    for field in fields {
        if field.name.starts_with(b":") {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.3
            //# Pseudo-header fields MUST NOT appear in trailer sections.
            return Err(StreamError::malformed("a pseudo-header field in trailers"));
        }
        section.add(field)?;
    }
    Ok(section.finish()?.headers)
}
