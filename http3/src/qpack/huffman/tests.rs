use super::*;
use proptest::prelude::*;

fn coded(text: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    encode(text, &mut out);
    assert_eq!(out.len(), length(text));
    out
}

fn decoded(coded: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    decode(coded, 1 << 20, &mut out).map(|()| out)
}

#[test]
fn the_examples_of_rfc_7541_appendix_c() {
    for (text, bytes) in [
        ("www.example.com", &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..]),
        ("no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
        ("custom-key", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f]),
        ("custom-value", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf]),
        ("302", &[0x64, 0x02]),
        ("private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
        ("307", &[0x64, 0x0e, 0xff]),
    ] {
        assert_eq!(coded(text.as_bytes()), bytes, "{text}");
        assert_eq!(decoded(bytes).as_deref(), Ok(text.as_bytes()));
    }
}

#[test]
fn the_code_is_the_whole_of_appendix_b() {
    // Each symbol's code and length, with EOS, fill the space of codes: none is missing and none is too long.
    let filled: u64 = LENGTHS.iter().map(|length| 1_u64 << (32 - length)).sum();
    assert_eq!(filled + (1 << (32 - LONGEST)), 1 << 32);
    // The first and the last of several lengths, as the RFC lists them.
    for (byte, code, length) in [
        (b'0', 0x0, 5),
        (b't', 0x9, 5),
        (b' ', 0x14, 6),
        (b'u', 0x2d, 6),
        (b':', 0x5c, 7),
        (b'&', 0xf8, 8),
        (b'Z', 0xfd, 8),
        (b'!', 0x3f8, 10),
        (b'~', 0x1ffd, 13),
        (b'\\', 0x7fff0, 19),
        (195, 0x7fff1, 19),
        (0, 0x1ff8, 13),
        (10, 0x3fff_fffc, 30),
        (22, 0x3fff_fffe, 30),
        (255, 0x3ff_ffee, 26),
        (249, 0xfff_fffe, 28),
    ] {
        assert_eq!((at(&CODES, byte), at(&LENGTHS, byte)), (code, length), "{byte}");
    }
}

#[test]
fn every_byte_comes_back_alone_and_between_others() {
    for byte in 0..=255 {
        for text in [&[byte][..], &[byte, byte], &[b'a', byte, b'~', byte, b'0']] {
            assert_eq!(decoded(&coded(text)).as_deref(), Ok(text));
        }
    }
}

#[test]
fn nothing_stands_for_nothing() {
    assert_eq!(decoded(&[]), Ok(vec![]));
    assert_eq!(coded(b""), &[][..]);
}

#[test]
fn padding_must_be_less_than_a_byte_of_ones() {
    // '0' is 00000, so three ones follow.
    assert_eq!(decoded(&[0b0000_0111]).as_deref(), Ok(&b"0"[..]));
    assert_eq!(decoded(&[0b0000_0110]), Err(Fault::Huffman));
    assert_eq!(decoded(&[0b0000_0011]), Err(Fault::Huffman));
    assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(Fault::Huffman));
    assert_eq!(decoded(&[0xff]), Err(Fault::Huffman));
    // 'e' is 00101, ':' 1011100; with "0:" four ones follow.
    assert_eq!(decoded(&[0b0000_0101, 0b1100_1111]).as_deref(), Ok(&b"0:"[..]));
}

#[test]
fn the_end_of_a_string_may_not_be_coded() {
    assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Fault::Huffman));
    assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), Err(Fault::Huffman));
    assert_eq!(decoded(&[0x07, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(Fault::Huffman));
}

#[test]
fn the_limit_is_exact() {
    let text = b"0123456789".repeat(10);
    let coded = coded(&text);
    let mut out = vec![7; 3];
    assert_eq!(decode(&coded, 100, &mut out), Ok(()));
    assert_eq!(out.len(), 103);
    let mut out = vec![7; 3];
    assert_eq!(decode(&coded, 99, &mut out), Err(Fault::StringTooLong));
    assert_eq!(out.len(), 102);
    assert!(out.capacity() < 300);
    assert_eq!(decode(&coded, 0, &mut out), Err(Fault::StringTooLong));
}

proptest! {
    #[test]
    fn what_is_coded_is_decoded(text: Vec<u8>) {
        let coded = coded(&text);
        prop_assert_eq!(decoded(&coded), Ok(text.clone()));
        prop_assert!(least_decoded(coded.len()) <= text.len());
        prop_assert!(text.len() <= most_decoded(coded.len()));
    }

    #[test]
    fn text_is_decoded(text in "[ -~]{0,200}") {
        prop_assert_eq!(decoded(&coded(text.as_bytes())), Ok(text.into_bytes()));
    }

    #[test]
    fn what_is_decoded_codes_to_the_same(bytes: Vec<u8>) {
        // There is one code for each string, so whatever is accepted is that.
        if let Ok(text) = decoded(&bytes) {
            prop_assert_eq!(coded(&text), bytes);
        }
    }
}
