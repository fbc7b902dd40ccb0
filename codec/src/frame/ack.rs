//! ACK frames (RFC 9000 §19.3).

use core::fmt;
use core::ops::RangeInclusive;

use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::varint::VarInt;

/// An ACK frame. Its ranges were checked when it was read, but stay where they lie.
#[derive(Clone, Copy)]
pub struct Ack<'a> {
    /// The largest packet number acknowledged.
    pub largest: u64,
    /// How long the peer held the acknowledgement, in units of 2^ack_delay_exponent microseconds.
    pub delay: u64,
    /// How many packets came with which ECN mark, if the peer says.
    pub ecn: Option<EcnCounts>,
    /// The First ACK Range field: how many numbers below `largest` are acknowledged with it.
    first_range: u64,
    /// The ACK Range Count field.
    range_count: u64,
    /// The ACK Range fields; each is known to be complete and to stay above zero.
    ranges: &'a [u8],
}

/// How many packets of this number space came with which ECN codepoint (RFC 9000 §19.3.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EcnCounts {
    /// Packets marked ECT(0).
    pub ect0: u64,
    /// Packets marked ECT(1).
    pub ect1: u64,
    /// Packets marked ECN-CE: congestion experienced.
    pub ce: u64,
}

impl<'a> Ack<'a> {
    /// The acknowledged packet numbers, largest first, with at least one number missing between two ranges.
    #[inline]
    pub const fn ranges(&self) -> AckRanges<'a> {
        AckRanges {
            next: Some((self.largest.saturating_sub(self.first_range), self.largest)),
            rest: Reader::new(self.ranges),
        }
    }

    /// How many ranges there are; at least one. At most one for every two bytes of the frame.
    #[inline]
    pub const fn range_count(&self) -> u64 {
        self.range_count.saturating_add(1)
    }

    pub(super) const fn frame_type(&self) -> FrameType {
        if self.ecn.is_some() { FrameType::ACK_ECN } else { FrameType::ACK }
    }

    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>, with_ecn: bool) -> Result<Self, Fault> {
        let largest = reader.varint()?;
        let delay = reader.varint()?;
        let range_count = reader.varint()?;
        let first_range = reader.varint()?;
        let negative = Fault::encoding("an acknowledged packet number is negative");
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.3.1
        //# If any computed packet number is negative, an endpoint MUST generate a
        //# connection error of type FRAME_ENCODING_ERROR.
        let mut smallest = largest.checked_sub(first_range).ok_or(negative)?;
        let before = reader.as_slice();
        let start = reader.position();
        // However many ranges are announced: each takes two bytes or more of the payload, or ends the loop.
        for _ in 0..range_count {
            let (_, next) = read_range(reader, smallest)?.ok_or(negative)?;
            smallest = next;
        }
        let ranges = before.get(..reader.position().saturating_sub(start)).unwrap_or_default();
        let ecn = if with_ecn {
            Some(EcnCounts { ect0: reader.varint()?, ect1: reader.varint()?, ce: reader.varint()? })
        } else {
            None
        };
        Ok(Self { largest, delay, ecn, first_range, range_count, ranges })
    }

    pub(super) fn encoded_size(&self) -> usize {
        header_size(self.largest, self.delay, self.range_count, self.first_range)
            + self.ranges.len()
            + self.ecn.map_or(0, EcnCounts::encoded_size)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(self.frame_type().0)?;
        w.varint(self.largest)?;
        w.varint(self.delay)?;
        w.varint(self.range_count)?;
        w.varint(self.first_range)?;
        w.bytes(self.ranges)?;
        self.ecn.map_or(Ok(()), |ecn| ecn.write(w))
    }
}

/// Reads a Gap and an ACK Range Length below `smallest`; returns largest and smallest of the range in reverse, or `None`
/// if one is negative.
#[inline]
fn read_range(reader: &mut Reader<'_>, smallest: u64) -> Result<Option<(u64, u64)>, crate::cursor::UnexpectedEnd> {
    let gap = reader.varint()?;
    let length = reader.varint()?;
    // `gap` is below 2^62, so the sum does not overflow.
    let largest = smallest.checked_sub(gap.saturating_add(2));
    Ok(largest.and_then(|largest| Some((largest, largest.checked_sub(length)?))))
}

impl PartialEq for Ack<'_> {
    /// Equal if they acknowledge the same packets with the same delay and counts, however that was encoded.
    fn eq(&self, other: &Self) -> bool {
        (self.largest, self.delay, self.ecn, self.range_count)
            == (other.largest, other.delay, other.ecn, other.range_count)
            && self.ranges().eq(other.ranges())
    }
}

impl Eq for Ack<'_> {}

impl fmt::Debug for Ack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct List<'a>(AckRanges<'a>);
        impl fmt::Debug for List<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.clone()).finish()
            }
        }
        f.debug_struct("Ack")
            .field("ranges", &List(self.ranges()))
            .field("delay", &self.delay)
            .field("ecn", &self.ecn)
            .finish()
    }
}

/// The ranges of an ACK frame, largest first; see [`Ack::ranges`].
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    /// Smallest and largest of the range that comes next.
    next: Option<(u64, u64)>,
    rest: Reader<'a>,
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<u64>;

    #[inline]
    fn next(&mut self) -> Option<RangeInclusive<u64>> {
        let (smallest, largest) = self.next.take()?;
        // All of `rest` was checked when the frame was read; this fails only when it is empty.
        self.next = read_range(&mut self.rest, smallest).ok().flatten().map(|(largest, smallest)| (smallest, largest));
        Some(smallest..=largest)
    }
}

impl core::iter::FusedIterator for AckRanges<'_> {}

impl EcnCounts {
    const fn encoded_size(self) -> usize {
        VarInt::size_of(self.ect0) + VarInt::size_of(self.ect1) + VarInt::size_of(self.ce)
    }

    fn write(self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(self.ect0)?;
        w.varint(self.ect1)?;
        w.varint(self.ce)
    }
}

/// The type and the four fields that every ACK frame has.
const fn header_size(largest: u64, delay: u64, range_count: u64, first_range: u64) -> usize {
    1 + VarInt::size_of(largest) + VarInt::size_of(delay) + VarInt::size_of(range_count) + VarInt::size_of(first_range)
}

/// Writes an ACK frame for the ranges, which come largest first and do not touch. Returns how many were written: as many
/// as fit, the largest first. Fails, having written nothing, if not even one fits; writes nothing if there is none.
///
/// A range that is not below the one before it, with a number missing between, ends the frame.
pub fn encode_ack(
    w: &mut Writer<'_>,
    delay: u64,
    ranges_descending: impl Iterator<Item = RangeInclusive<u64>> + Clone,
    ecn: Option<EcnCounts>,
) -> Result<usize, BufferFull> {
    let mut ranges = Fields::new(ranges_descending);
    let Some(first) = ranges.first() else { return Ok(0) };
    let (count, size) = how_many_fit(ranges.clone(), w.remaining(), |count| {
        header_size(first.largest, delay, count, first.length) + ecn.map_or(0, EcnCounts::encoded_size)
    });
    if size > w.remaining() {
        return Err(BufferFull);
    }
    w.varint(if ecn.is_some() { FrameType::ACK_ECN.0 } else { FrameType::ACK.0 })?;
    w.varint(first.largest)?;
    w.varint(delay)?;
    w.varint(count as u64)?;
    w.varint(first.length)?;
    for (gap, length) in ranges.take(count) {
        w.varint(gap)?;
        w.varint(length)?;
    }
    if let Some(ecn) = ecn {
        ecn.write(w)?;
    }
    Ok(count + 1)
}

/// How many ranges after the first fit into `room`, and how large the frame is with them. `without` is the size of all
/// else for a count of ranges.
fn how_many_fit(
    ranges: impl Iterator<Item = (u64, u64)>,
    room: usize,
    without: impl Fn(u64) -> usize,
) -> (usize, usize) {
    let (mut count, mut fields, mut size) = (0_usize, 0, without(0));
    for (gap, length) in ranges {
        fields += VarInt::size_of(gap) + VarInt::size_of(length);
        let larger = without(count as u64 + 1) + fields;
        if larger > room {
            break;
        }
        (count, size) = (count + 1, larger);
    }
    (count, size)
}

/// The first range of an ACK frame.
#[derive(Clone, Copy)]
struct First {
    largest: u64,
    length: u64,
}

/// Turns packet numbers, largest first, into the fields Gap and ACK Range Length.
#[derive(Clone)]
struct Fields<I> {
    ranges: I,
    smallest: u64,
}

impl<I: Iterator<Item = RangeInclusive<u64>>> Fields<I> {
    const fn new(ranges: I) -> Self {
        Self { ranges, smallest: 0 }
    }

    fn first(&mut self) -> Option<First> {
        let (smallest, largest) = self.ranges.next()?.into_inner();
        self.smallest = smallest;
        debug_assert!(smallest <= largest, "a range is not empty");
        Some(First { largest, length: largest.saturating_sub(smallest) })
    }
}

impl<I: Iterator<Item = RangeInclusive<u64>>> Iterator for Fields<I> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let (smallest, largest) = self.ranges.next()?.into_inner();
        let gap = self.smallest.checked_sub(largest).and_then(|distance| distance.checked_sub(2));
        debug_assert!(gap.is_some() && smallest <= largest, "ranges descend and do not touch");
        self.smallest = smallest;
        Some((gap?, largest.saturating_sub(smallest)))
    }
}
