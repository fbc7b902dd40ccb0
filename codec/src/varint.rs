//! Variable-length integers (RFC 9000 §16).

use core::fmt;

/// A number below 2^62, as QUIC's variable-length integers carry it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VarInt(u64);

/// A number of 2^62 or more, which no variable-length integer carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLarge(pub u64);

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not fit in a QUIC variable-length integer (at most 2^62-1)", self.0)
    }
}

impl core::error::Error for TooLarge {}

impl VarInt {
    /// 2^62 - 1.
    pub const MAX: Self = Self((1 << 62) - 1);
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Any 32-bit number fits.
    pub const fn from_u32(number: u32) -> Self {
        Self(number as u64)
    }

    /// The number, or an error if it is above [`Self::MAX`].
    pub const fn from_u64(number: u64) -> Result<Self, TooLarge> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(TooLarge(number)) }
    }

    /// The number.
    pub const fn into_inner(self) -> u64 {
        self.0
    }

    /// How many bytes the shortest encoding of `number` takes: 1, 2, 4 or 8. Numbers above [`Self::MAX`] have none
    /// and count as 8.
    pub const fn size_of(number: u64) -> usize {
        match number {
            0..0x40 => 1,
            0x40..0x4000 => 2,
            0x4000..0x4000_0000 => 4,
            _ => 8,
        }
    }

    /// How many bytes its shortest encoding takes.
    pub const fn size(self) -> usize {
        Self::size_of(self.0)
    }
}

impl From<VarInt> for u64 {
    fn from(number: VarInt) -> Self {
        number.0
    }
}

impl From<u32> for VarInt {
    fn from(number: u32) -> Self {
        Self::from_u32(number)
    }
}

impl TryFrom<u64> for VarInt {
    type Error = TooLarge;

    fn try_from(number: u64) -> Result<Self, TooLarge> {
        Self::from_u64(number)
    }
}

impl fmt::Display for VarInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn numbers_of_63_bits_are_too_large() {
        assert_eq!(VarInt::from_u64((1 << 62) - 1), Ok(VarInt::MAX));
        assert_eq!(VarInt::try_from(1_u64 << 62), Err(TooLarge(1 << 62)));
        assert_eq!(u64::from(VarInt::from(7_u32)), 7);
        assert!(TooLarge(1 << 62).to_string().starts_with("4611686018427387904 does not fit"));
    }

    #[test]
    fn sizes_change_where_the_rfc_says() {
        // RFC 9000 §16 table 4.
        for (last, size) in [(63, 1), (16_383, 2), (1_073_741_823, 4)] {
            assert_eq!((VarInt::size_of(last), VarInt::size_of(last + 1)), (size, size * 2));
        }
        assert_eq!((VarInt::ZERO.size(), VarInt::MAX.size()), (1, 8));
    }
}
