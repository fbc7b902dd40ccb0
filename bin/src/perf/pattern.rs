//! The bytes that are measured with: byte `i` of a stream's payload is `i % 251`, so that both ends know them.
//!
//! They are never copied: what is sent are slices of one block, and what arrives is compared with it, either byte by byte
//! or, at the price of nothing, at the two ends of each piece.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use quicast::{SendStream, WriteError};

/// After so many bytes the pattern begins anew. A prime: a piece put in the wrong place by a power of two looks wrong.
const PERIOD: usize = 251;
/// How much is sent at once, in bytes: as much as a stream takes ahead of its credit.
const LENGTH: usize = PERIOD * 1024;
/// How many bytes are compared at each end of a piece.
const SPOT: usize = 8;

/// It lives as long as the process: clones of its slices count no references.
static BLOCK: LazyLock<&'static [u8]> =
    LazyLock::new(|| (0..LENGTH).map(|position| (position % PERIOD) as u8).collect::<Vec<u8>>().leak());

/// The pattern from `offset` on, at most `maximum` bytes, and at least one unless that is zero.
pub(crate) fn piece(offset: u64, maximum: u64) -> Bytes {
    let expected = from(offset);
    let length = usize::try_from(maximum).map_or(expected.len(), |maximum| maximum.min(expected.len()));
    Bytes::from_static(expected.get(..length).unwrap_or(expected))
}

/// Sends the first `count` bytes of the pattern and says of each piece that it was taken.
///
/// # Errors
/// Why the stream takes no more.
pub(crate) async fn send(stream: &mut SendStream, count: u64, mut taken: impl FnMut(u64)) -> Result<(), WriteError> {
    let mut offset = 0;
    while offset < count {
        let piece = piece(offset, count - offset);
        let length = piece.len() as u64;
        stream.write_chunk(piece).await?;
        offset += length;
        taken(length);
    }
    Ok(())
}

/// How much of what arrives is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Depth {
    /// The first and the last bytes of each piece.
    Ends,
    /// Every byte.
    Everything,
}

/// Compares what arrives on one stream.
#[derive(Debug)]
pub(crate) struct Checker {
    depth: Depth,
    offset: u64,
}

impl Checker {
    pub(crate) const fn new(depth: Depth) -> Self {
        Self::at(depth, 0)
    }

    /// The same from the middle of the pattern.
    pub(crate) const fn at(depth: Depth, offset: u64) -> Self {
        Self { depth, offset }
    }

    /// The next piece.
    ///
    /// # Errors
    /// The first byte found that is not as it was sent.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), Wrong> {
        let begin = self.offset;
        self.offset += piece.len() as u64;
        match (self.depth, piece.first_chunk::<SPOT>(), piece.last_chunk::<SPOT>()) {
            (Depth::Ends, Some(first), Some(last)) => {
                compare(begin, first)?;
                compare(self.offset - SPOT as u64, last)
            }
            _ => compare(begin, piece),
        }
    }

    /// How many bytes came.
    pub(crate) const fn count(&self) -> u64 {
        self.offset
    }
}

/// A byte that is not as it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wrong {
    offset: u64,
    found: u8,
    expected: u8,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, found, expected } = self;
        write!(f, "byte {offset} is {found} and should be {expected}")
    }
}

fn compare(offset: u64, arrived: &[u8]) -> Result<(), Wrong> {
    let (mut at, mut rest) = (offset, arrived);
    while !rest.is_empty() {
        let expected = from(at);
        let (now, later) = rest.split_at(rest.len().min(expected.len()));
        if !expected.starts_with(now) {
            let differs = |(_, (found, expected)): &(u64, (&u8, &u8))| found != expected;
            let first = (at..).zip(now.iter().zip(expected)).find(differs);
            return first.map_or(Ok(()), |(offset, (found, expected))| {
                Err(Wrong { offset, found: *found, expected: *expected })
            });
        }
        at += now.len() as u64;
        rest = later;
    }
    Ok(())
}

/// The block from where it is as the payload is at this offset.
fn from(offset: u64) -> &'static [u8] {
    // Below PERIOD, so it fits, and there is always something left.
    BLOCK.get((offset % PERIOD as u64) as usize..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(offset: u64, length: usize) -> Vec<u8> {
        (offset..).take(length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn pieces_of_any_size_follow_each_other() {
        let (mut offset, mut checker) = (0, Checker::new(Depth::Everything));
        for maximum in [1, 7, 1200, 65_536, 1 << 40, 3].into_iter().cycle().take(60) {
            let piece = piece(offset, maximum);
            assert!(!piece.is_empty() && piece.len() as u64 <= maximum);
            assert_eq!(piece, arrival(offset, piece.len()));
            checker.add(&piece).unwrap();
            offset += piece.len() as u64;
        }
        assert_eq!(checker.count(), offset);
        assert!(piece(5, 0).is_empty());
    }

    #[test]
    fn a_wrong_byte_is_found_anywhere_if_everything_is_compared() {
        for wrong in [0, 1, 500, 299_999] {
            let mut piece = arrival(1000, 300_000);
            piece[wrong] ^= 1;
            let mut checker = Checker { depth: Depth::Everything, offset: 1000 };
            let found = checker.add(&piece).unwrap_err();
            assert_eq!(found.offset, 1000 + wrong as u64);
            assert_eq!(found.found, found.expected ^ 1);
        }
    }

    #[test]
    fn the_ends_of_a_piece_are_always_compared() {
        for (wrong, is_found) in [(0, true), (7, true), (8, false), (991, false), (992, true), (999, true)] {
            let mut piece = arrival(77, 1000);
            piece[wrong] ^= 1;
            let mut checker = Checker { depth: Depth::Ends, offset: 77 };
            assert_eq!(checker.add(&piece).is_err(), is_found, "{wrong}");
        }
        let mut short = arrival(0, 3);
        short[1] = 9;
        assert_eq!(Checker::new(Depth::Ends).add(&short), Err(Wrong { offset: 1, found: 9, expected: 1 }));
    }

    #[test]
    fn a_piece_in_the_wrong_place_is_wrong() {
        for shift in [1, 8, 1200, 1 << 16, 1 << 20] {
            assert!(Checker { depth: Depth::Ends, offset: shift }.add(&arrival(0, 1200)).is_err(), "{shift}");
        }
    }
}
