//! What all parsers of QPACK share: [`Fault`], before it is known on which stream it happened.

use codec::cursor::UnexpectedEnd;

/// Why bytes were not understood. What it means depends on where they came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// They end before what they begin does.
    End,
    /// An integer has more than 62 bits, or more bytes than 62 bits need.
    IntegerTooLarge,
    /// A string is not what the Huffman code makes.
    Huffman,
    /// A string is longer than permitted.
    StringTooLong,
    /// An instruction refers to a line that its table does not have.
    NoSuchLine,
}

impl From<UnexpectedEnd> for Fault {
    fn from(_: UnexpectedEnd) -> Self {
        Self::End
    }
}
