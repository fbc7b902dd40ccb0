//! Packet numbers: how few bytes do, and what the peer meant by them (RFC 9000 §17.1, appendix A).

use crate::cursor::{BufferFull, Writer};
use crate::varint::VarInt;

/// The longest packet number field (RFC 9000 §17.1).
pub const MAX_LENGTH: usize = 4;

/// How many bytes (1 to 4) carry `number` so that a peer knows it again that may have seen nothing after
/// `largest_acknowledged`.
#[inline]
pub const fn length_for(number: u64, largest_acknowledged: Option<u64>) -> usize {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.1
    //# the sender MUST
    //# use a packet number size able to represent more than twice as large a range as
    //# the difference between the largest acknowledged packet number and the packet
    //# number being sent.
    let outstanding = match largest_acknowledged {
        Some(largest) => number.saturating_sub(largest),
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.1
        //# Prior to receiving an acknowledgment for a packet number space, the full packet
        //# number MUST be included; it is not to be truncated
        None => number.saturating_add(1),
    };
    match outstanding {
        0..0x80 => 1,
        0x80..0x8000 => 2,
        0x8000..0x80_0000 => 3,
        _ => 4,
    }
}

/// The length from `needed` to 4 that leaves a multiple of `block` bytes of `room`, the bytes for packet number and
/// payload together; `needed` if none does.
#[inline]
pub const fn length_for_blocks(needed: usize, room: usize, block: usize) -> usize {
    let mut length = needed;
    while length <= MAX_LENGTH && length <= room {
        if (room - length).is_multiple_of(block) {
            return length;
        }
        length += 1;
    }
    needed
}

/// The packet number whose lowest `length` bytes are `truncated` and which is closest to `expected`, the number after
/// the largest received (RFC 9000 §A.3). `length` is 1 to 4.
#[inline]
pub const fn expand(truncated: u32, length: usize, expected: u64) -> u64 {
    debug_assert!(length >= 1 && length <= MAX_LENGTH, "a packet number has 1 to 4 bytes");
    let window = 1_u64 << (8 * if length > MAX_LENGTH { MAX_LENGTH } else { length });
    let half = window / 2;
    let mask = window - 1;
    let candidate = expected & !mask | truncated as u64 & mask;
    // Additions instead of the RFC's subtractions, so that nothing underflows near zero; `expected` is below 2^62 + 1.
    if candidate.saturating_add(half) <= expected && candidate < VarInt::MAX.into_inner() + 1 - window {
        candidate + window
    } else if candidate > expected.saturating_add(half) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// Writes the lowest `length` bytes of `number`.
#[inline]
pub(crate) fn write(w: &mut Writer<'_>, number: u64, length: usize) -> Result<(), BufferFull> {
    let bytes = number.to_be_bytes();
    w.bytes(bytes.get(bytes.len().saturating_sub(length)..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn length_is_more_than_twice_the_range() {
        for (outstanding, length) in
            [(1, 1), (127, 1), (128, 2), (0x7fff, 2), (0x8000, 3), (0x7f_ffff, 3), (0x80_0000, 4), (u64::MAX >> 3, 4)]
        {
            assert_eq!(length_for(1000 + outstanding, Some(1000)), length, "{outstanding}");
        }
        assert_eq!(length_for(0, None), 1);
        assert_eq!(length_for(126, None), 1);
        assert_eq!(length_for(127, None), 2);
        // A number that was acknowledged already: nonsense, but no panic.
        assert_eq!(length_for(3, Some(9)), 1);
    }

    #[test]
    fn a_length_for_whole_blocks_is_never_less_than_what_is_needed() {
        // A datagram of 1,452 bytes: first byte, id of 8 bytes and tag leave 1,427.
        for (needed, length) in [(1, 3), (2, 3), (3, 3), (4, 4)] {
            assert_eq!(length_for_blocks(needed, 1427, 16), length, "{needed}");
        }
        for room in 0..100 {
            for needed in 1..=MAX_LENGTH {
                let length = length_for_blocks(needed, room, 16);
                let fits = (needed..=MAX_LENGTH).find(|length| room >= *length && (room - length) % 16 == 0);
                assert_eq!(length, fits.unwrap_or(needed), "{needed} {room}");
            }
        }
    }

    #[test]
    fn of_two_numbers_as_close_the_larger_is_meant() {
        // Half a window below and above what is expected (RFC 9000 §A.3).
        assert_eq!(expand(0x68, 1, 1000), 1128);
        assert_eq!(expand(0x69, 1, 1000), 873);
        assert_eq!(expand(0x8a, 1, 778), 906);
        assert_eq!(expand(0x8b, 1, 778), 651);
    }

    #[test]
    fn expansion_does_not_leave_the_number_space() {
        assert_eq!(expand(0xff, 1, 0), 0xff);
        assert_eq!(expand(0, 1, VarInt::MAX.into_inner()), VarInt::MAX.into_inner() & !0xff);
        for length in 1..=4 {
            for expected in [0, 1, u64::from(u32::MAX), VarInt::MAX.into_inner(), VarInt::MAX.into_inner() + 1] {
                expand(u32::MAX, length, expected);
                expand(0, length, expected);
            }
        }
    }

    proptest! {
        #[test]
        fn a_sent_number_is_understood(acknowledged in 0_u64..1 << 61, sent in 1_u64..1 << 31, received in 0.0..1.0_f64) {
            // The peer has seen something between what it acknowledged and what is sent now.
            let number = acknowledged + sent;
            let expected = acknowledged + 1 + ((sent - 1) as f64 * received) as u64;
            // More bytes than are needed do no harm.
            for length in length_for(number, Some(acknowledged))..=MAX_LENGTH {
                let truncated = (number & ((1_u64 << (8 * length)) - 1)) as u32;
                prop_assert_eq!(expand(truncated, length, expected), number);
            }
        }

        #[test]
        fn expansion_follows_the_pseudocode(truncated: u32, length in 1_usize..=4, largest in 0_i128..(1 << 62) - 1) {
            // RFC 9000 §A.3 with numbers that cannot wrap.
            let window = 1_i128 << (8 * length);
            let truncated = i128::from(truncated) & (window - 1);
            let expected = largest + 1;
            let candidate = expected & !(window - 1) | truncated;
            let meant = if candidate <= expected - window / 2 && candidate < (1 << 62) - window {
                candidate + window
            } else if candidate > expected + window / 2 && candidate >= window {
                candidate - window
            } else {
                candidate
            };
            prop_assert_eq!(i128::from(expand(truncated as u32, length, expected as u64)), meant);
        }
    }
}
