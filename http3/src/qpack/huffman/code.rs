//! The Huffman code of RFC 7541 appendix B, which QPACK uses "without modification" (RFC 9204 §4.1.2).
//!
//! The code is canonical: codes grow with their length, and among those of one length, with the symbol. So the lengths
//! say everything, and the tables are made of them when this is compiled.

/// Bits of the code of each byte.
#[rustfmt::skip]
pub(super) const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The longest code, which the end of a string (EOS) has too: its 30 bits are all ones.
pub(super) const LONGEST: usize = 30;
/// The shortest code.
pub(super) const SHORTEST: usize = 5;

/// The code of each byte, in its low bits.
pub(super) const CODES: [u32; 256] = canonical().codes;
/// The bytes in the order of their codes.
pub(super) const ORDER: [u8; 256] = canonical().order;
/// For each length, where its codes end: the first code that is longer, as a number of 32 bits; and what is to be
/// subtracted from a code of that length to get its place in [`ORDER`].
pub(super) const ENDS: [End; LONGEST + 1] = canonical().ends;

/// See [`ENDS`].
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Codes of this length, followed by any bits, are below this number of 32 bits; longer ones are not.
    pub(super) below: u64,
    /// The first code of this length less its place in [`ORDER`].
    pub(super) offset: u32,
}

struct Canonical {
    codes: [u32; 256],
    order: [u8; 256],
    ends: [End; LONGEST + 1],
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const fn canonical() -> Canonical {
    let mut codes = [0; 256];
    let mut order = [0; 256];
    let mut ends = [End { below: 0, offset: 0 }; LONGEST + 1];
    let (mut code, mut place, mut length) = (0_u32, 0_usize, 1_usize);
    while length <= LONGEST {
        code <<= 1;
        ends[length].offset = code.wrapping_sub(place as u32);
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                codes[byte] = code;
                order[place] = byte as u8;
                code += 1;
                place += 1;
            }
            byte += 1;
        }
        ends[length].below = (code as u64) << (32 - length);
        length += 1;
    }
    Canonical { codes, order, ends }
}

/// Codes of at most eight bits by the eight bits that stand first: the byte in the low bits, the length above; zero if the
/// code is longer.
pub(super) const SHORT: [u16; 256] = short();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const fn short() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let length = LENGTHS[byte] as u32;
        if length <= 8 {
            let first = CODES[byte] << (8 - length);
            let mut after = 0;
            while after < 1 << (8 - length) {
                table[(first + after) as usize] = (length << 8) as u16 | byte as u16;
                after += 1;
            }
        }
        byte += 1;
    }
    table
}
