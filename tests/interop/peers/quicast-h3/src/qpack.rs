//! Field sections (RFC 9204) without a dynamic table: the peer is told of none, and so uses none.

use crate::Failure;

/// The entries of the static table (RFC 9204, appendix A) that matter here.
const STATIC: &[(u64, &str, &str)] = &[
    (0, ":authority", ""),
    (1, ":path", "/"),
    (4, "content-length", "0"),
    (15, ":method", "CONNECT"),
    (16, ":method", "DELETE"),
    (17, ":method", "GET"),
    (18, ":method", "HEAD"),
    (19, ":method", "OPTIONS"),
    (20, ":method", "POST"),
    (21, ":method", "PUT"),
    (22, ":scheme", "http"),
    (23, ":scheme", "https"),
    (24, ":status", "103"),
    (25, ":status", "200"),
    (26, ":status", "304"),
    (27, ":status", "404"),
    (28, ":status", "503"),
    (63, ":status", "100"),
    (67, ":status", "400"),
    (68, ":status", "403"),
    (71, ":status", "500"),
];

pub(crate) type Field = (String, String);

/// The value of a field, empty if it is not there.
pub(crate) fn value<'a>(fields: &'a [Field], name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    // No dynamic table: the required insert count and the base are 0.
    let mut out = vec![0, 0];
    for (name, value) in fields {
        if let Some((index, ..)) = STATIC.iter().find(|(_, known, given)| (known, given) == (name, value)) {
            put_integer(&mut out, 0xc0, 6, *index);
        } else if let Some((index, ..)) = STATIC.iter().find(|(_, known, _)| known == name) {
            put_integer(&mut out, 0x50, 4, *index);
            put_integer(&mut out, 0, 7, value.len() as u64);
            out.extend_from_slice(value.as_bytes());
        } else {
            put_integer(&mut out, 0x20, 3, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            put_integer(&mut out, 0, 7, value.len() as u64);
            out.extend_from_slice(value.as_bytes());
        }
    }
    out
}

/// Fields whose static entry is not in [`STATIC`] have an empty name.
pub(crate) fn decode(mut section: &[u8]) -> Result<Vec<Field>, Failure> {
    let input = &mut section;
    if integer(input, 8)? != 0 {
        return Err("a field section needs the dynamic table, of which there is none".into());
    }
    integer(input, 7)?;
    let mut fields = Vec::new();
    while let Some(first) = input.first().copied() {
        fields.push(match first {
            0xc0.. => entry(integer(input, 6)?),
            0x50..=0x5f | 0x70..=0x7f => {
                let (name, _) = entry(integer(input, 4)?);
                (name, string(input, 7)?)
            }
            0x20..=0x3f => (string(input, 3)?, string(input, 7)?),
            _ => return Err("a field names an entry of the dynamic table, of which there is none".into()),
        });
    }
    Ok(fields)
}

fn entry(index: u64) -> Field {
    let known = STATIC.iter().find(|(known, ..)| *known == index);
    known.map_or_else(Field::default, |(_, name, value)| ((*name).to_owned(), (*value).to_owned()))
}

/// A number after the high bits of a byte (RFC 7541, section 5.1).
fn put_integer(out: &mut Vec<u8>, high: u8, bits: u32, number: u64) {
    let most = (1 << bits) - 1;
    if number < most {
        out.push(high | number as u8);
        return;
    }
    out.push(high | most as u8);
    let mut rest = number - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn integer(input: &mut &[u8], bits: u32) -> Result<u64, Failure> {
    let most = (1 << bits) - 1;
    let mut number = u64::from(byte(input)?) & most;
    if number < most {
        return Ok(number);
    }
    for shift in (0..56).step_by(7) {
        let next = byte(input)?;
        number += u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".into())
}

/// A text whose length has so many bits, below the bit that says whether it is Huffman-coded.
fn string(input: &mut &[u8], bits: u32) -> Result<String, Failure> {
    let coded = input.first().is_some_and(|first| first >> bits & 1 == 1);
    let length = usize::try_from(integer(input, bits)?)?;
    let (text, rest) = input.split_at_checked(length).ok_or("a text is cut off")?;
    *input = rest;
    if coded { huffman(text) } else { Ok(String::from_utf8(text.to_vec())?) }
}

fn byte(input: &mut &[u8]) -> Result<u8, Failure> {
    let (first, rest) = input.split_first().ok_or("a field section is cut off")?;
    *input = rest;
    Ok(*first)
}

/// The symbols of the code (RFC 7541, appendix B) by the length of their codes, as far as texts of ASCII need them. The
/// code is canonical: within a length, and from one length to the next, codes count up.
const SYMBOLS: &[(u32, &str)] = &[
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
];

fn huffman(coded: &[u8]) -> Result<String, Failure> {
    let mut text = String::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in coded.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1))) {
        (code, length) = (code << 1 | bit, length + 1);
        if let Some(symbol) = symbol(code, length) {
            text.push(symbol);
            (code, length) = (0, 0);
        }
        if length > 15 {
            return Err("a text has characters that are not of ASCII".into());
        }
    }
    Ok(text)
}

fn symbol(code: u32, length: u32) -> Option<char> {
    let (mut first, mut before) = (0, 5);
    for (bits, symbols) in SYMBOLS {
        first <<= bits - before;
        before = *bits;
        if *bits == length {
            return symbols.chars().nth(usize::try_from(code.checked_sub(first)?).ok()?);
        }
        first += symbols.len() as u32;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_are_read() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        assert_eq!(huffman(&hex("f1e3c2e5f23a6ba0ab90f4ff")).unwrap(), "www.example.com");
        assert_eq!(huffman(&hex("25a849e95bb8e8b4bf")).unwrap(), "custom-value");
        assert_eq!(huffman(&hex("9d29ad171863c78f0b97c8e9ae82ae43d3")).unwrap(), "https://www.example.com");
        assert_eq!(integer(&mut hex("1f9a0a").as_slice(), 5).unwrap(), 1337);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let fields =
            [(":method", "GET"), (":path", "/streams/1998"), ("content-length", "10485760"), ("user-agent", "x")];
        let decoded = decode(&encode(&fields)).unwrap();
        assert!(decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(fields));
    }
}
