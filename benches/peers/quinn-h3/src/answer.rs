//! What is answered: the bytes and headers of the site of `quicast serve`.

use bytes::Bytes;
use common::Failure;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};

/// The site's block: the largest prime below 2^20.
const LENGTH: usize = 1_048_573;
/// The most bytes that are sent at once, as there.
const CHUNK: usize = 64 * 1024;

/// The endless bytes of which `/bytes/N` is the beginning.
#[derive(Debug)]
pub(crate) struct Answers {
    block: Bytes,
}

impl Answers {
    pub(crate) fn new() -> Self {
        // Marsaglia's xorshift, as the site has it.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        Self { block: words.flatten().take(LENGTH).collect::<Vec<u8>>().into() }
    }

    /// The head for this path, and how many bytes follow.
    pub(crate) fn to(&self, path: &str) -> Result<(Response<()>, u64), Failure> {
        let Some(length) = path.strip_prefix("/bytes/").and_then(|length| length.parse().ok()) else {
            return Ok((Response::builder().status(StatusCode::NOT_FOUND).body(())?, 0));
        };
        let head = Response::builder()
            .header(ACCEPT_RANGES, "bytes")
            .header(ETAG, format!("\"quicast-{length}\""))
            .header(CACHE_CONTROL, "no-cache")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
            .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
            .body(())?;
        Ok((head, length))
    }

    /// The next bytes from there, at most so many. Nothing is copied.
    pub(crate) fn piece(&self, from: u64, most: u64) -> Bytes {
        let from = (from % LENGTH as u64) as usize;
        let most = usize::try_from(most).unwrap_or(CHUNK).min(CHUNK);
        self.block.slice(from..LENGTH.min(from + most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_how_many_bytes_follow() {
        let answers = Answers::new();
        let (head, length) = answers.to("/bytes/64").unwrap();
        assert_eq!((head.status(), length), (StatusCode::OK, 64));
        assert_eq!(head.headers()[CONTENT_LENGTH], "64");
        assert_eq!(answers.to("/bytes/x").unwrap().0.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn pieces_follow_each_other_around_the_block() {
        let answers = Answers::new();
        assert_eq!(answers.piece(0, 1 << 30).len(), CHUNK);
        assert_eq!(answers.piece(LENGTH as u64 - 3, 100).len(), 3);
        assert_eq!(answers.piece(LENGTH as u64, 8), answers.piece(0, 8));
    }
}
