//! [`Field`]: one name and its value, owned or borrowed, and [`Fields`], a decoded section.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// What a field line counts beyond its name and its value: in the dynamic table (RFC 9204 §3.2.1) and against the limits
/// of a section (RFC 9114 §4.2.2).
pub const OVERHEAD: usize = 32;

/// A field line: its name and its value (RFC 9110 §6.3).
///
/// Cloning shares the bytes. Lines from the static table share it with the program.
#[derive(Clone, Eq, PartialEq)]
pub struct Field {
    /// The name, as it was on the wire; QPACK does not judge it.
    pub name: Bytes,
    /// The value, possibly empty; QPACK does not judge it.
    pub value: Bytes,
    /// Whether it must never be indexed (RFC 9204 §7.1.3). Set when it came so, and kept when it is sent on.
    pub sensitive: bool,
}

impl Field {
    /// A field that may be indexed.
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: value.into(), sensitive: false }
    }

    /// What it counts against the limits of a section: name and value in bytes, and [`OVERHEAD`] (RFC 9114 §4.2.2).
    pub fn size(&self) -> usize {
        self.borrow().size()
    }

    /// The same field, borrowed.
    pub fn borrow(&self) -> FieldRef<'_> {
        FieldRef { name: &self.name, value: &self.value, sensitive: self.sensitive }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.borrow().fmt(f)
    }
}

/// A field line whose bytes belong to somebody else.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct FieldRef<'a> {
    /// The name. HTTP/3 permits no uppercase letters in it (RFC 9114 §4.2), which is the caller's to see to.
    pub name: &'a [u8],
    /// The value, possibly empty.
    pub value: &'a [u8],
    /// Whether it must never be indexed (RFC 9204 §7.1.3).
    pub sensitive: bool,
}

impl<'a> FieldRef<'a> {
    /// A field that may be indexed.
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name, value, sensitive: false }
    }

    /// What it counts against the limits of a section, as [`Field::size`].
    pub const fn size(&self) -> usize {
        self.name.len().saturating_add(self.value.len()).saturating_add(OVERHEAD)
    }
}

impl<'a> From<&'a Field> for FieldRef<'a> {
    fn from(field: &'a Field) -> Self {
        field.borrow()
    }
}

impl fmt::Debug for FieldRef<'_> {
    /// Without the value of a sensitive field, so that it does not end in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.sensitive { "…".to_owned() } else { self.value.escape_ascii().to_string() };
        write!(f, "{}: {value}", self.name.escape_ascii())
    }
}

/// The field lines of one section, in the order in which they were sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    pub(super) lines: Vec<Field>,
    pub(super) size: usize,
}

impl Fields {
    /// The sum of the sizes of its lines, as [`Field::size`]: what the limits of a section are about.
    pub const fn size(&self) -> usize {
        self.size
    }
}

impl Deref for Fields {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        &self.lines
    }
}

impl IntoIterator for Fields {
    type Item = Field;
    type IntoIter = std::vec::IntoIter<Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.lines.into_iter()
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.lines.iter()
    }
}

impl From<Fields> for Vec<Field> {
    fn from(fields: Fields) -> Self {
        fields.lines
    }
}
