//! The two file formats of the QPACK vectors: `.qif`, field sections as text, and what encoders made of them.

use quicast_http3::qpack::Field;

/// A block of an encoded file: which stream, and bytes of it. Stream 0 is the encoder stream.
pub(crate) struct Block<'a> {
    pub(crate) stream: u64,
    pub(crate) bytes: &'a [u8],
}

/// Sections of lines "name, tab, value", an empty line after each; lines that begin with `#` say nothing.
pub(crate) fn sections(qif: &[u8]) -> Vec<Vec<Field>> {
    let text = std::str::from_utf8(qif).unwrap();
    let mut sections = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.is_empty() {
            sections.push(Vec::new());
        } else {
            let (name, value) = line.split_once('\t').unwrap();
            sections.last_mut().unwrap().push(Field::new(name.to_owned(), value.to_owned()));
        }
    }
    sections.retain(|section| !section.is_empty());
    sections
}

/// Blocks of a stream in eight bytes, a length in four, and the bytes.
pub(crate) fn blocks(mut file: &[u8]) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    while let Some((stream, rest)) = file.split_first_chunk() {
        let (length, rest) = rest.split_first_chunk().unwrap();
        let (bytes, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        blocks.push(Block { stream: u64::from_be_bytes(*stream), bytes });
        file = rest;
    }
    assert!(file.is_empty());
    blocks
}
