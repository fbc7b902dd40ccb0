//! The exchange of RFC 9204 appendix B, byte for byte.

use bytes::{Bytes, BytesMut};

use crate::qpack::instruction::{
    DecoderInstruction, DecoderInstructions, NameIndex, write_capacity, write_duplicate, write_insert,
    write_insert_with_name,
};
use crate::qpack::{Decoded, Decoder, DecoderConfig, Fields};

const CAPACITY: u64 = 220;

/// The bytes that the RFC prints.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decoded(result: Decoded) -> Vec<(String, String)> {
    let Decoded::Fields(fields) = result else { panic!("the section is blocked") };
    lines(&fields)
}

fn lines(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    fields.iter().map(|field| (text(&field.name), text(&field.value))).collect()
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_decoder_understands_the_exchange() {
    let mut decoder = Decoder::new(DecoderConfig { max_table_capacity: CAPACITY, ..DecoderConfig::default() });

    // B.1: a literal with a static name.
    let section = decoder.decode(0, hex("0000 510b 2f69 6e64 6578 2e68 746d 6c").into()).unwrap();
    assert_eq!(decoded(section), [line(":path", "/index.html")]);
    assert_eq!(decoder.poll_instructions(), None);

    // B.2: a capacity and two insertions, which a section refers to by post-Base indices.
    let first = hex("3fbd01 c00f 7777 772e 6578 616d 706c 652e 636f 6d c10c 2f73 616d 706c 652f 7061 7468");
    decoder.receive(&first).unwrap();
    assert_eq!(decoder.table_bytes(), 106);
    let section = decoder.decode(4, hex("0381 10 11").into()).unwrap();
    assert_eq!(decoded(section), [line(":authority", "www.example.com"), line(":path", "/sample/path")]);
    assert_eq!(decoder.poll_instructions().unwrap(), hex("84"));

    // B.3: an insertion that nothing refers to.
    decoder.receive(&hex("4a63 7573 746f 6d2d 6b65 790c 6375 7374 6f6d 2d76 616c 7565")).unwrap();
    assert_eq!(decoder.table_bytes(), 160);
    assert_eq!(decoder.poll_instructions().unwrap(), hex("01"));

    // B.4: the section comes before the duplicate that it needs, and is cancelled.
    assert_eq!(decoder.decode(8, hex("0500 80 c1 81").into()).unwrap(), Decoded::Blocked);
    decoder.cancel(8);
    assert_eq!(decoder.poll_instructions().unwrap(), hex("48"));
    decoder.receive(&hex("02")).unwrap();
    assert_eq!((decoder.table_bytes(), decoder.poll_unblocked()), (217, None));
    // Had it not been cancelled, this is what it would have said.
    let section = decoder.decode(12, hex("0500 80 c1 81").into()).unwrap();
    assert_eq!(
        decoded(section),
        [line(":authority", "www.example.com"), line(":path", "/"), line("custom-key", "custom-value")]
    );

    // B.5: an insertion that evicts the oldest entry.
    decoder.receive(&hex("810d 6375 7374 6f6d 2d76 616c 7565 32")).unwrap();
    assert_eq!((decoder.table_bytes(), decoder.insert_count()), (215, 5));
    assert_eq!(decoder.decode(16, hex("0200 80").into()).unwrap_err().code(), 0x200);
    let section = decoder.decode(16, hex("0600 80 83").into()).unwrap();
    assert_eq!(decoded(section), [line("custom-key", "custom-value2"), line(":path", "/sample/path")]);
}

/// The RFC's encoder does not use the Huffman code; its strings are those that are no shorter with it, or here, the
/// instruction's first bytes are compared.
#[test]
fn our_instructions_are_those_of_the_exchange() {
    let mut out = BytesMut::new();
    write_capacity(CAPACITY, &mut out);
    assert_eq!(out.split(), hex("3fbd01"));
    write_duplicate(2, &mut out);
    assert_eq!(out.split(), hex("02"));
    // Strings that the Huffman code makes no shorter stand as they are.
    write_insert_with_name(NameIndex::Static(0), b"~{}~", &mut out);
    assert_eq!(out.split(), hex("c004 7e7b 7d7e"));
    write_insert_with_name(NameIndex::Relative(1), b"~{}~", &mut out);
    assert_eq!(out.split(), hex("8104 7e7b 7d7e"));
    write_insert(b"{}", b"~{}~", &mut out);
    assert_eq!(out.split(), hex("427b 7d04 7e7b 7d7e"));
    // And others are coded, as in RFC 7541 C.4.1 and C.4.3.
    write_insert_with_name(NameIndex::Static(0), b"www.example.com", &mut out);
    assert_eq!(out.split(), hex("c08c f1e3 c2e5 f23a 6ba0 ab90 f4ff"));
    write_insert(b"custom-key", b"custom-value", &mut out);
    assert_eq!(out.split(), hex("6825 a849 e95b a97d 7f89 25a8 49e9 5bb8 e8b4 bf"));
    for (instruction, bytes) in [
        (DecoderInstruction::SectionAcknowledgment(4), 0x84),
        (DecoderInstruction::InsertCountIncrement(1), 0x01),
        (DecoderInstruction::StreamCancellation(8), 0x48),
    ] {
        instruction.write(&mut out);
        assert_eq!(out.split(), [bytes][..]);
        assert_eq!(DecoderInstructions::default().add(bytes), Ok(Some(instruction)));
    }
}
