//! The bytes that are sent: byte `i` of a payload is `i % 251`, so that a byte in the wrong place is seen.

use std::sync::LazyLock;

use bytes::Bytes;

/// A prime, so that the pattern falls in with no block's size.
const PERIOD: u64 = 251;

/// The most that [`chunk`] gives at once.
pub const CHUNK: usize = 64 * 1024;

const fn byte(position: u64) -> u8 {
    (position % PERIOD) as u8
}

/// The pattern from its start, long enough to give a whole chunk from each of its beginnings.
static BYTES: LazyLock<Bytes> = LazyLock::new(|| (0..CHUNK as u64 + PERIOD).map(byte).collect());

/// The payload from a position on: at most `length` bytes and at most [`CHUNK`]. Nothing is copied.
#[must_use]
pub fn chunk(position: u64, length: u64) -> Bytes {
    let length = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
    let start = usize::from(byte(position));
    BYTES.slice(start..start + length)
}

/// The same as [`chunk`], for stacks that copy.
#[must_use]
pub fn slice(position: u64, length: u64) -> &'static [u8] {
    let length = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
    let start = usize::from(byte(position));
    &BYTES[start..start + length]
}

/// Reads a payload and sees whether it is the pattern.
#[derive(Clone, Copy, Debug, Default)]
pub struct Check {
    position: u64,
    every_byte: bool,
}

impl Check {
    /// Begins at the start of a payload; looks at every byte, or only at the ends of each chunk.
    #[must_use]
    pub fn new(every_byte: bool) -> Self {
        Self { position: 0, every_byte }
    }

    /// How many bytes there were so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes.
    ///
    /// # Errors
    /// Where the first wrong byte is.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        if self.every_byte || bytes.len() <= 16 {
            self.compare(0, bytes)?;
        } else {
            let last = bytes.len() - 8;
            self.compare(0, &bytes[..8])?;
            self.compare(last, &bytes[last..])?;
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn compare(&self, offset: usize, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut position = self.position + offset as u64;
        for part in bytes.chunks(CHUNK) {
            let expected = slice(position, part.len() as u64);
            if part != expected {
                let wrong = part.iter().zip(expected).position(|(found, expected)| found != expected).unwrap_or(0);
                return Err(Mismatch::Byte {
                    position: position + wrong as u64,
                    found: part[wrong],
                    expected: expected[wrong],
                });
            }
            position += part.len() as u64;
        }
        Ok(())
    }

    /// The payload has ended.
    ///
    /// # Errors
    /// It has another length than it should.
    pub fn end(&self, length: u64) -> Result<(), Mismatch> {
        if self.position == length { Ok(()) } else { Err(Mismatch::Length { found: self.position, expected: length }) }
    }
}

/// What came in is not what was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mismatch {
    /// A wrong byte.
    Byte {
        /// Where in the payload.
        position: u64,
        /// What is there.
        found: u8,
        /// What should be.
        expected: u8,
    },
    /// Another length.
    Length {
        /// How many bytes there were.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte { position, found, expected } => {
                write!(f, "wrong data: byte {position} of the payload is {found}, not {expected}")
            }
            Self::Length { found, expected } => write!(f, "wrong data: {found} bytes, not {expected}"),
        }
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_in_a_row_are_the_pattern() {
        let mut check = Check::new(true);
        while check.position() < 1_000_000 {
            let left = 1_000_000 - check.position();
            check.read(&chunk(check.position(), left.min(7 + check.position() % 90_000))).unwrap();
        }
        check.end(1_000_000).unwrap();
        assert_eq!(chunk(252, 3)[..], [1, 2, 3]);
        assert_eq!(slice(250, u64::MAX).len(), CHUNK);
    }

    #[test]
    fn a_wrong_byte_is_named() {
        let mut bytes = chunk(0, 1000).to_vec();
        bytes[500] = 7;
        let wrong = Mismatch::Byte { position: 500, found: 7, expected: 249 };
        assert_eq!(Check::new(true).read(&bytes), Err(wrong));
        assert_eq!(Check::new(false).read(&bytes), Ok(()), "the ends are right");
        assert!(Check::new(false).read(&chunk(1, 1000)).is_err());
        assert!(Check::new(false).read(&[&chunk(0, 992)[..], &[0; 8]].concat()).is_err());
    }

    #[test]
    fn a_length_is_exact() {
        let mut check = Check::new(false);
        check.read(&chunk(0, 10)).unwrap();
        assert_eq!(check.end(11), Err(Mismatch::Length { found: 10, expected: 11 }));
    }
}
