use bytes::BufMut;

use super::*;
use crate::qpack::instruction::{write_capacity, write_duplicate, write_insert, write_insert_with_name};
use crate::qpack::{Field, integer};

const DECOMPRESSION_FAILED: u64 = 0x200;
const ENCODER_STREAM_ERROR: u64 = 0x201;

fn instructions(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out);
    out
}

/// A decoder whose table has its default capacity, and `entries` lines "name: 0", "name: 1", ….
fn with_entries(config: DecoderConfig, entries: u64) -> Decoder {
    let capacity = config.max_table_capacity;
    let mut decoder = Decoder::new(config);
    decoder.receive(&instructions(|out| write_capacity(capacity, out))).unwrap();
    for entry in 0..entries {
        let value = entry.to_string();
        decoder.receive(&instructions(|out| write_insert(b"name", value.as_bytes(), out))).unwrap();
    }
    decoder
}

fn decoder() -> Decoder {
    with_entries(DecoderConfig::default(), 0)
}

fn decode(decoder: &mut Decoder, section: &[u8]) -> Result<Fields, DecodeError> {
    decoder.decode(0, Bytes::copy_from_slice(section)).map(|decoded| match decoded {
        Decoded::Fields(fields) => fields,
        Decoded::Blocked => panic!("the section is blocked"),
    })
}

fn connection_error(result: Result<impl std::fmt::Debug, DecodeError>) -> u64 {
    match result {
        Err(DecodeError::Connection(error)) => error.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_section_has_no_fields() {
    assert!(decode(&mut decoder(), &[0, 0]).unwrap().is_empty());
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-3.1
//= type=test
//# When the decoder encounters an invalid static table index in a field line
//# representation, it MUST treat this as a connection error of type
//# QPACK_DECOMPRESSION_FAILED.
#[test]
fn static_index_99_fails_the_connection() {
    // As an index: 98 and 99; as a name: 99.
    assert_eq!(decode(&mut decoder(), &[0, 0, 0xff, 35]).unwrap()[0].value, "sameorigin");
    assert_eq!(connection_error(decode(&mut decoder(), &[0, 0, 0xff, 36])), DECOMPRESSION_FAILED);
    assert_eq!(connection_error(decode(&mut decoder(), &[0, 0, 0x5f, 84, 0])), DECOMPRESSION_FAILED);
}

#[test]
fn a_section_cut_anywhere_between_its_lines_fails_the_connection_and_never_more() {
    let section = [0, 0, 0xd1, 0x51, 3, b'/', b'a', b'b', 0x23, b'x', b'y', b'z', 1, b'v', 0xff, 0];
    let whole = decode(&mut decoder(), &section).unwrap();
    assert_eq!(whole.len(), 4);
    for cut in 0..section.len() {
        match decode(&mut decoder(), &section[..cut]) {
            Ok(fields) => assert!(whole.starts_with(&fields)),
            Err(error) => assert_eq!(error.code(), DECOMPRESSION_FAILED),
        }
    }
}

#[test]
fn wrong_huffman_code_fails_the_connection() {
    assert_eq!(connection_error(decode(&mut decoder(), &[0, 0, 0x51, 0x81, 0])), DECOMPRESSION_FAILED);
    assert_eq!(connection_error(decode(&mut decoder(), &[0, 0, 0x29, 0, 0])), DECOMPRESSION_FAILED);
    let insert = [0x61, 0, 0];
    assert_eq!(decoder().receive(&insert).unwrap_err().code(), ENCODER_STREAM_ERROR);
}

/// RFC 9204 §7.4.
#[test]
fn an_integer_of_63_bits_is_an_error_of_its_stream_or_of_the_encoder_stream() {
    let mut large = vec![0xff; 10];
    large[9] = 0x7f;
    for section in [large.clone(), [&[0, 0][..], &large].concat(), [&[0][..], &large].concat()] {
        let error = decode(&mut decoder(), &section).unwrap_err();
        assert_eq!(error, DecodeError::Stream(StreamError::IntegerTooLarge));
        assert_eq!(error.code(), DECOMPRESSION_FAILED);
    }
    large[0] = 0x3f;
    assert_eq!(decoder().receive(&large).unwrap_err().code(), ENCODER_STREAM_ERROR);
}

#[test]
fn never_indexed_lines_are_sensitive() {
    let mut decoder = with_entries(DecoderConfig::default(), 1);
    // Static name, dynamic name, post-Base name, literal name; each without and with the bit.
    for (prefix, plain, sensitive) in [
        ([0, 0], &[0x55][..], &[0x75][..]),
        ([2, 0], &[0x40], &[0x60]),
        ([2, 0x80], &[0x00], &[0x08]),
        ([0, 0], &[0x21, b'n'], &[0x31, b'n']),
    ] {
        for (line, is_sensitive) in [(plain, false), (sensitive, true)] {
            let fields = decode(&mut decoder, &[&prefix[..], line, &[1, b'v']].concat()).unwrap();
            assert_eq!((fields[0].value.as_ref(), fields[0].sensitive), (&b"v"[..], is_sensitive));
        }
    }
    assert!(!decode(&mut decoder, &[2, 0, 0x80]).unwrap()[0].sensitive);
    assert!(!format!("{:?}", decode(&mut decoder, &[0, 0, 0x75, 3, b'a', b'b', b'c']).unwrap()).contains("abc"));
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3
//= type=test
//# If the decoder encounters a reference in a field line representation to a
//# dynamic table entry that has already been evicted or that has an absolute
//# index greater than or equal to the declared Required Insert Count
//# ({{header-prefix}}), it MUST treat this as a connection error of type
//# QPACK_DECOMPRESSION_FAILED.
#[test]
fn references_outside_of_what_was_declared_fail_the_connection() {
    let config = DecoderConfig { max_table_capacity: 111, ..DecoderConfig::default() };
    // Each entry has 37 bytes, so three fit; 2 to 4 are there.
    let mut decoder = with_entries(config, 5);
    let encoded = |count: u64| (count % 6 + 1) as u8;
    assert_eq!(decode(&mut decoder, &[encoded(5), 0, 0x80, 0x82]).unwrap()[1].value, "2");
    for section in [
        // Entry 1 is evicted; one below the Base of 5; entry 4 with a Required Insert Count of 4, by post-Base index; the
        // same as a name; entry 5 is not declared.
        &[encoded(5), 0, 0x83][..],
        &[encoded(5), 0, 0x85],
        &[encoded(4), 0, 0x10],
        &[encoded(4), 0, 0x00, 0],
        &[encoded(4), 1, 0x80],
        &[encoded(5), 0, 0x43, 0],
        &[encoded(5), 0, 0x10],
        // No insertion is declared at all.
        &[0, 0, 0x80],
        &[0, 5, 0x80],
        &[0, 0, 0x10],
    ] {
        assert_eq!(connection_error(decode(&mut decoder, section)), DECOMPRESSION_FAILED, "{section:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1
//= type=test
//# If the decoder encounters a value of EncodedInsertCount that
//# could not have been produced by a conformant encoder, it MUST treat this as a
//# connection error of type QPACK_DECOMPRESSION_FAILED.
#[test]
fn an_impossible_required_insert_count_fails_the_connection() {
    let with = |max_table_capacity, entries| {
        with_entries(DecoderConfig { max_table_capacity, ..DecoderConfig::default() }, entries)
    };
    // Above twice MaxEntries; with no table, anything but zero; one that would be zero or negative.
    assert_eq!(connection_error(decode(&mut with(100, 0), &[7, 0])), DECOMPRESSION_FAILED);
    assert_eq!(
        connection_error(decode(
            &mut Decoder::new(DecoderConfig { max_table_capacity: 31, ..DecoderConfig::default() }),
            &[1, 0]
        )),
        DECOMPRESSION_FAILED
    );
    assert_eq!(connection_error(decode(&mut with(100, 0), &[1, 0])), DECOMPRESSION_FAILED);
    assert_eq!(connection_error(decode(&mut with(100, 0), &[6, 0])), DECOMPRESSION_FAILED);
    // The RFC's example: with 100 bytes and ten insertions, 4 means 9, whose entry is 8.
    let fields = decode(&mut with(100, 10), &[4, 0, 0x80]).unwrap();
    assert_eq!(fields[0].value, "8");
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.2
//= type=test
//# An endpoint MUST treat a field block with a Sign bit of 1 as
//# invalid if the value of Required Insert Count is less than or equal to the value
//# of Delta Base.
#[test]
fn a_negative_base_fails_the_connection() {
    let mut decoder = with_entries(DecoderConfig::default(), 2);
    assert!(decode(&mut decoder, &[3, 0x81, 0x10]).is_ok());
    assert_eq!(connection_error(decode(&mut decoder, &[3, 0x82, 0x10])), DECOMPRESSION_FAILED);
    assert_eq!(connection_error(decode(&mut decoder, &[0, 0x80])), DECOMPRESSION_FAILED);
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1
//= type=test
//# The decoder MUST treat a new dynamic table capacity value that
//# exceeds this limit as a connection error of type QPACK_ENCODER_STREAM_ERROR.
#[test]
fn more_capacity_than_permitted_is_an_error_of_the_encoder_stream() {
    for (capacity, is_permitted) in [(4096, true), (4097, false), (10_000_000_000, false), (integer::MAXIMUM, false)] {
        let result = Decoder::new(DecoderConfig::default()).receive(&instructions(|out| write_capacity(capacity, out)));
        assert_eq!(result.map_err(|error| error.code()), if is_permitted { Ok(()) } else { Err(ENCODER_STREAM_ERROR) });
    }
}

#[test]
fn what_the_tables_do_not_have_is_an_error_of_the_encoder_stream() {
    let cases: [(&str, BytesMut); 6] = [
        ("static name 99", instructions(|out| write_insert_with_name(NameIndex::Static(99), b"", out))),
        ("static name 2^40", instructions(|out| write_insert_with_name(NameIndex::Static(1 << 40), b"", out))),
        ("a name evicted", instructions(|out| write_insert_with_name(NameIndex::Relative(2), b"", out))),
        ("a duplicate of what is evicted", instructions(|out| write_duplicate(2, out))),
        ("a name never inserted", instructions(|out| write_insert_with_name(NameIndex::Relative(1 << 40), b"", out))),
        ("a duplicate of what was never inserted", instructions(|out| write_duplicate(1 << 40, out))),
    ];
    for (case, bytes) in cases {
        let mut decoder = with_entries(DecoderConfig { max_table_capacity: 80, ..DecoderConfig::default() }, 5);
        assert_eq!(decoder.receive(&bytes).map_err(|error| error.code()), Err(ENCODER_STREAM_ERROR), "{case}");
    }
    let mut decoder = with_entries(DecoderConfig { max_table_capacity: 80, ..DecoderConfig::default() }, 5);
    decoder.receive(&instructions(|out| write_insert_with_name(NameIndex::Static(98), b"", out))).unwrap();
    decoder.receive(&instructions(|out| write_insert_with_name(NameIndex::Relative(0), b"", out))).unwrap();
    decoder.receive(&instructions(|out| write_duplicate(0, out))).unwrap();
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2
//= type=test
//# It is an
//# error if the encoder attempts to add an entry that is larger than the dynamic
//# table capacity; the decoder MUST treat this as a connection error of type
//# QPACK_ENCODER_STREAM_ERROR.
#[test]
fn an_entry_larger_than_the_table_is_an_error_before_its_bytes_come() {
    let text = |length| vec![b'\\'; length];
    let mut decoder = decoder();
    decoder.receive(&instructions(|out| write_insert(b"{}", &text(4062), out))).unwrap();
    assert_eq!(decoder.table_bytes(), 4096);
    let large = instructions(|out| write_insert(b"{}", &text(4063), out));
    assert_eq!(decoder.receive(&large).unwrap_err().code(), ENCODER_STREAM_ERROR);
    // Only the length of a value that cannot fit.
    let mut announced = BytesMut::from(&[0xc0][..]);
    integer::write(0, 7, 4065, &mut announced);
    let result = with_entries(DecoderConfig::default(), 0).receive(&announced);
    assert_eq!(result.map_err(|error| error.code()), Err(ENCODER_STREAM_ERROR));
    // Before a capacity is set, nothing fits.
    let insert = instructions(|out| write_insert_with_name(NameIndex::Static(0), b"", out));
    let result = Decoder::new(DecoderConfig::default()).receive(&insert);
    assert_eq!(result.map_err(|error| error.code()), Err(ENCODER_STREAM_ERROR));
}

#[test]
fn instructions_may_be_split_anywhere() {
    let mut bytes = instructions(|out| write_capacity(4096, out));
    write_insert(b"custom-key", &b"value ".repeat(40), &mut bytes);
    write_insert_with_name(NameIndex::Static(95), "~|~|".repeat(50).as_bytes(), &mut bytes);
    write_insert_with_name(NameIndex::Relative(1), b"", &mut bytes);
    write_duplicate(2, &mut bytes);
    let mut whole = Decoder::new(DecoderConfig::default());
    whole.receive(&bytes).unwrap();
    assert_eq!(whole.insert_count(), 4);
    let section = [5, 0, 0x80, 0x81, 0x82, 0x83];
    let fields = decode(&mut whole, &section).unwrap();
    assert_eq!(fields[0], fields[3]);
    for size in [1, 2, 3, 5, 7, 100] {
        let mut decoder = Decoder::new(DecoderConfig::default());
        bytes.chunks(size).for_each(|piece| decoder.receive(piece).unwrap());
        assert_eq!(decode(&mut decoder, &section).unwrap(), fields, "{size}");
        assert_eq!(decoder.partial.capacity(), 0);
    }
}

#[test]
fn an_instruction_that_does_not_end_is_kept_up_to_a_bound() {
    let capacity = limits::TABLE_CAPACITY_MAXIMUM;
    let config = || DecoderConfig { max_table_capacity: capacity * 2, ..DecoderConfig::default() };
    assert_eq!(Decoder::new(config()).config.max_table_capacity, capacity);
    // The largest entry there is, sent byte by byte, is accepted.
    let mut decoder = Decoder::new(config());
    let mut bytes = instructions(|out| write_capacity(capacity, out));
    write_insert(b"{}", &vec![b'\\'; capacity as usize - 34], &mut bytes);
    bytes.chunks(1).for_each(|piece| decoder.receive(piece).unwrap());
    assert_eq!(decoder.table_bytes(), capacity);
    // A string whose code is longer than itself is not, once there is too much of it.
    let mut bytes = BytesMut::from(&[0xc0][..]);
    integer::write(0x80, 7, limits::PARTIAL_INSTRUCTION as u64, &mut bytes);
    bytes.put_bytes(0xff, limits::PARTIAL_INSTRUCTION - bytes.len());
    decoder.receive(&bytes).unwrap();
    assert_eq!(decoder.partial.len(), limits::PARTIAL_INSTRUCTION);
    assert_eq!(decoder.receive(&[0xff]).unwrap_err().code(), ENCODER_STREAM_ERROR);
}

#[test]
fn a_bomb_of_references_stops_at_the_limit_of_lines() {
    let config = DecoderConfig::default();
    let mut section = vec![0; 2];
    section.resize(2 + config.max_fields, 0xd1);
    assert_eq!(decode(&mut decoder(), &section).unwrap().len(), 100);
    section.resize(1_000_002, 0xd1);
    let mut reader = Reader::new(&section);
    let mut stats = DecoderStats::default();
    let prefix = Prefix::read(&mut reader, 128, 0).unwrap();
    let table = Table::default();
    let bomb = Section { table: &table, config: &config, stats: &mut stats, prefix };
    let mut scratch = Scratch::default();
    assert_eq!(bomb.decode(&mut reader, &mut scratch), Err(StreamError::TooManyFields.into()));
    // Not a line more was looked at, and what was kept for them is small.
    assert_eq!((reader.position(), stats.static_lines), (102, 100));
    assert!(128 * size_of::<Field>() <= 32 * 1024);
    let error = decode(&mut decoder(), &section).unwrap_err();
    assert!(matches!(error, DecodeError::Stream(error) if error.is_limit()));
    assert_eq!(error.code(), 0x107);
}

#[test]
fn a_bomb_of_large_entries_stops_at_the_limit_of_bytes() {
    let mut decoder = decoder();
    decoder.receive(&instructions(|out| write_insert(b"{}", &[b'v'; 4000], out))).unwrap();
    let section = |references| [&[2, 0][..], &vec![0x80; references]].concat();
    let fields = decode(&mut decoder, &section(4)).unwrap();
    assert_eq!(fields.size(), 4 * 4034);
    assert_eq!(decode(&mut decoder, &section(5)), Err(StreamError::TooLarge.into()));
    assert_eq!(decoder.stats().limited_sections, 1);
}

#[test]
fn the_limit_of_bytes_is_exact_for_each_representation() {
    let text = |length: usize| "~".repeat(length);
    let with_limit = |max_field_section_bytes| {
        let config = DecoderConfig { max_field_section_bytes, ..DecoderConfig::default() };
        with_entries(config, 1)
    };
    let literal = |name: &[u8], value: &[u8]| {
        let mut out = BytesMut::from(&[2, 0][..]);
        out.extend_from_slice(name);
        integer::write(0, 7, value.len() as u64, &mut out);
        out.extend_from_slice(value);
        out
    };
    let coded = |value: &str| {
        let mut out = BytesMut::from(&[2, 0, 0x55][..]);
        crate::qpack::literal::write(0, 7, value.as_bytes(), &mut out);
        out
    };
    let cases: [(&str, BytesMut, usize); 7] = [
        ("static line", BytesMut::from(&[2, 0, 0xd1][..]), 42),
        ("dynamic line", BytesMut::from(&[2, 0, 0x80][..]), 37),
        ("static name", literal(&[0x55], text(500).as_bytes()), 538),
        ("dynamic name", literal(&[0x40], text(500).as_bytes()), 536),
        ("literal name", literal(&[0x25, b'n', b'n', b'n', b'n', b'n'], text(500).as_bytes()), 537),
        ("coded value", coded(&"0".repeat(500)), 538),
        ("empty value", literal(&[0x55], b""), 38),
    ];
    for (case, section, size) in cases {
        assert_eq!(decode(&mut with_limit(size), &section).map(|fields| fields.size()), Ok(size), "{case}");
        assert_eq!(decode(&mut with_limit(size - 1), &section), Err(StreamError::TooLarge.into()), "{case}");
        assert_eq!(decode(&mut with_limit(20), &section), Err(StreamError::TooLarge.into()), "{case}");
    }
}

#[test]
fn a_section_that_is_too_large_is_acknowledged_and_the_decoder_goes_on() {
    let mut decoder = with_entries(DecoderConfig { max_fields: 2, ..DecoderConfig::default() }, 1);
    assert!(decode(&mut decoder, &[2, 0, 0x80, 0x80]).is_ok());
    assert_eq!(decode(&mut decoder, &[2, 0, 0x80, 0x80, 0x80]), Err(StreamError::TooManyFields.into()));
    assert_eq!(decoder.poll_instructions().unwrap(), [0x80, 0x80][..]);
    assert!(decode(&mut decoder, &[2, 0, 0x80]).is_ok());
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2
//= type=test
//# If a decoder encounters
//# more blocked streams than it promised to support, it MUST treat this as a
//# connection error of type QPACK_DECOMPRESSION_FAILED.
#[test]
fn sixteen_streams_may_wait_and_the_seventeenth_fails_the_connection() {
    let mut decoder = decoder();
    let section = Bytes::from_static(&[2, 0, 0x80]);
    for stream in 0..limits::BLOCKED_STREAMS {
        assert_eq!(decoder.decode(stream * 4, section.clone()), Ok(Decoded::Blocked));
    }
    assert_eq!((decoder.blocked_streams(), decoder.blocked_bytes()), (16, 48));
    // One more of a stream that waits is no further stream.
    assert_eq!(decoder.decode(0, Bytes::from_static(&[0, 0])), Ok(Decoded::Blocked));
    assert_eq!(connection_error(decoder.decode(64, section)), DECOMPRESSION_FAILED);
    let none = DecoderConfig { max_blocked_streams: 0, ..DecoderConfig::default() };
    let result = with_entries(none, 0).decode(0, Bytes::from_static(&[2, 0, 0x80]));
    assert_eq!(connection_error(result), DECOMPRESSION_FAILED);
}

#[test]
fn sections_that_wait_come_in_order_and_their_bytes_are_counted() {
    let mut decoder = decoder();
    let at = |bytes: &'static [u8]| Bytes::from_static(bytes);
    assert_eq!(decoder.decode(4, at(&[3, 0, 0x80])), Ok(Decoded::Blocked));
    assert_eq!(decoder.decode(8, at(&[2, 0, 0x80, 0xd1])), Ok(Decoded::Blocked));
    // Its trailers refer to nothing, and must not come first.
    assert_eq!(decoder.decode(4, at(&[0, 0])), Ok(Decoded::Blocked));
    assert_eq!((decoder.blocked_bytes(), decoder.blocked_bytes_of(4), decoder.blocked_bytes_of(8)), (9, 5, 4));
    assert_eq!(decoder.poll_unblocked(), None);
    decoder.receive(&instructions(|out| write_insert(b"name", b"0", out))).unwrap();
    let (stream, fields) = decoder.poll_unblocked().unwrap();
    assert_eq!((stream, fields.unwrap().len()), (8, 2));
    assert_eq!((decoder.poll_unblocked(), decoder.blocked_streams()), (None, 1));
    decoder.receive(&instructions(|out| write_insert(b"name", b"1", out))).unwrap();
    let waited: Vec<_> = std::iter::from_fn(|| decoder.poll_unblocked()).collect();
    assert_eq!(
        waited.iter().map(|(stream, fields)| (*stream, fields.as_ref().unwrap().len())).collect::<Vec<_>>(),
        [(4, 1), (4, 0)]
    );
    assert_eq!((decoder.blocked_streams(), decoder.blocked_bytes()), (0, 0));
    // Stream 8 needed one insertion, stream 4 two; an increment has nothing to add.
    assert_eq!(decoder.poll_instructions().unwrap(), [0x88, 0x84][..]);
    assert_eq!(decoder.poll_instructions(), None);
}

#[test]
fn sections_of_one_stream_wait_up_to_a_bound() {
    let mut decoder = decoder();
    for _ in 0..limits::BLOCKED_SECTIONS_PER_STREAM {
        assert_eq!(decoder.decode(0, Bytes::from_static(&[2, 0, 0x80])), Ok(Decoded::Blocked));
    }
    let result = decoder.decode(0, Bytes::from_static(&[2, 0, 0x80]));
    assert_eq!(result, Err(StreamError::TooManyBlocked.into()));
    assert_eq!(decoder.stats().blocked_sections, 10);
    // What is too large to be a section is not kept.
    let mut large = vec![2, 0];
    large.resize(limits::FIELD_SECTION_BYTES, 0x80);
    assert_eq!(decoder.decode(4, large.clone().into()), Ok(Decoded::Blocked));
    large.push(0x80);
    assert_eq!(decoder.decode(8, large.into()), Err(StreamError::TooLarge.into()));
    assert_eq!(decoder.blocked_bytes(), 30 + limits::FIELD_SECTION_BYTES);
}

#[test]
fn a_cancelled_stream_waits_no_longer() {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(4, Bytes::from_static(&[2, 0, 0x80])), Ok(Decoded::Blocked));
    assert_eq!(decoder.decode(4, Bytes::from_static(&[2, 0, 0x80])), Ok(Decoded::Blocked));
    decoder.cancel(4);
    assert_eq!((decoder.blocked_streams(), decoder.blocked_bytes()), (0, 0));
    decoder.receive(&instructions(|out| write_insert(b"name", b"0", out))).unwrap();
    assert_eq!(decoder.poll_unblocked(), None);
    // The cancellation says nothing of insertions (§2.2.2.2), so the increment does.
    assert_eq!(decoder.poll_instructions().unwrap(), [0x44, 0x01][..]);
    let mut without_table = Decoder::new(DecoderConfig { max_table_capacity: 0, ..DecoderConfig::default() });
    without_table.cancel(4);
    assert_eq!(without_table.poll_instructions(), None);
}

#[test]
fn insertions_are_reported_together_and_once() {
    let mut decoder = with_entries(DecoderConfig::default(), 5);
    assert_eq!(decoder.poll_instructions().unwrap(), [0x05][..]);
    assert_eq!(decoder.poll_instructions(), None);
    decoder.receive(&instructions(|out| write_duplicate(0, out))).unwrap();
    decoder.receive(&instructions(|out| write_duplicate(0, out))).unwrap();
    // Entry 5 is acknowledged with its section; entry 6 is not.
    decode(&mut decoder, &[7, 0, 0x80]).unwrap();
    assert_eq!(decoder.poll_instructions().unwrap(), [0x80, 0x01][..]);
    // A section without references is not acknowledged.
    decode(&mut decoder, &[0, 0, 0xd1]).unwrap();
    assert_eq!(decoder.poll_instructions(), None);
}

#[test]
fn answers_that_nobody_takes_close_the_connection() {
    let mut decoder = with_entries(DecoderConfig::default(), 1);
    let mut sections = 0;
    let error = loop {
        match decoder.decode(4, Bytes::from_static(&[2, 0, 0x80])) {
            Ok(_) => sections += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((sections, error.code()), (limits::DECODER_INSTRUCTIONS + 1, 0x107));
    assert_eq!(decoder.receive(&[0]).unwrap_err().code(), 0x107);
    // The same with streams that are reset: nothing grows, and the connection does not go on when they are taken.
    let mut decoder = with_entries(DecoderConfig::default(), 1);
    (0..200_000).for_each(|stream| decoder.cancel(stream * 4));
    let bytes = decoder.poll_instructions().unwrap();
    assert!((limits::DECODER_INSTRUCTIONS..limits::DECODER_INSTRUCTIONS + 16).contains(&bytes.len()));
    assert_eq!(decoder.receive(&[0]).unwrap_err().code(), 0x107);
}

#[test]
fn literal_strings_do_not_keep_their_section_alive() {
    let datagram = Bytes::from([&[0, 0, 0x51, 4][..], b"/abc", &[0x23][..], b"key", &[2][..], b"ok"].concat());
    let fields = decode(&mut decoder(), &datagram).unwrap();
    assert_eq!((fields[0].value.as_ref(), fields[1].name.as_ref()), (&b"/abc"[..], &b"key"[..]));
    let (start, end) = (datagram.as_ptr() as usize, datagram.as_ptr() as usize + datagram.len());
    for string in [&fields[0].value, &fields[1].name, &fields[1].value] {
        assert!(!(start..end).contains(&(string.as_ptr() as usize)));
    }
}

#[test]
fn lines_are_counted_by_their_source() {
    let mut decoder = with_entries(DecoderConfig::default(), 1);
    decode(&mut decoder, &[2, 0, 0x80, 0xd1, 0xd1, 0x51, 2, b'/', b'a']).unwrap();
    let stats = decoder.stats();
    assert_eq!((stats.dynamic_lines, stats.static_lines, stats.literal_lines), (1, 2, 1));
    assert_eq!((stats.raw_bytes, stats.encoded_bytes, stats.sections), (5 + 10 + 10 + 7, 9, 1));
    assert_eq!((stats.insertions, stats.instruction_bytes > 0), (1, true));
}
