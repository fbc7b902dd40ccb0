use super::*;
use crate::qpack::{Decoded, Decoder, DecoderConfig, Field, Fields};

const DECODER_STREAM_ERROR: u64 = 0x202;

/// What a browser asks for, with a path of its own.
fn request(path: &str) -> Vec<Field> {
    let lines = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "www.example.com"),
        (":path", path),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("x-requested-with", "a name that the static table does not have"),
    ];
    lines.iter().map(|(name, value)| Field::new(name.to_string(), value.to_string())).collect()
}

fn encoder(max_table_capacity: u64, max_blocked_streams: u64) -> Encoder {
    let mut encoder = Encoder::new(EncoderConfig::default());
    encoder.peer_settings(max_table_capacity, max_blocked_streams);
    encoder
}

fn encode(encoder: &mut Encoder, stream: u64, fields: &[Field]) -> (Encoded, Bytes) {
    let mut out = BytesMut::from(&b"before"[..]);
    let encoded = encoder.encode(stream, fields.iter().map(Field::borrow), &mut out);
    let section = out.split_off(6).freeze();
    assert_eq!((&out[..], encoded.bytes), (&b"before"[..], section.len()));
    (encoded, section)
}

/// A decoder that is told all that the encoder says.
struct Peer(Decoder);

impl Peer {
    fn new() -> Self {
        Self(Decoder::new(DecoderConfig { max_blocked_streams: 1000, ..DecoderConfig::default() }))
    }

    fn hear(&mut self, encoder: &mut Encoder) {
        if let Some(instructions) = encoder.poll_instructions() {
            self.0.receive(&instructions).unwrap();
        }
    }

    fn answer(&mut self, encoder: &mut Encoder) {
        if let Some(instructions) = self.0.poll_instructions() {
            encoder.receive(&instructions).unwrap();
        }
    }

    fn decode(&mut self, stream: u64, section: Bytes) -> Fields {
        match self.0.decode(stream, section).unwrap() {
            Decoded::Fields(fields) => fields,
            Decoded::Blocked => panic!("stream {stream} is blocked"),
        }
    }
}

fn refuse(encoder: &mut Encoder, bytes: &[u8]) -> u64 {
    encoder.receive(bytes).unwrap_err().code()
}

#[test]
fn before_the_peers_settings_there_are_only_static_lines_and_literals() {
    let mut encoder = Encoder::new(EncoderConfig::default());
    for stream in [0, 4, 8] {
        let (encoded, section) = encode(&mut encoder, stream, &request("/"));
        assert_eq!((encoded.required_insert_count, &section[..2]), (0, &[0, 0][..]));
        assert_eq!(*Peer::new().decode(stream, section), request("/"));
    }
    assert_eq!((encoder.poll_instructions(), encoder.stats().dynamic_lines), (None, 0));
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3
//= type=test
//# When the maximum table capacity is zero, the encoder MUST NOT insert entries
//# into the dynamic table and MUST NOT send any encoder instructions on the encoder
//# stream.
#[test]
fn without_capacity_there_are_no_instructions() {
    let with_config = |max_table_capacity| {
        let config = EncoderConfig { max_table_capacity, ..EncoderConfig::default() };
        let mut encoder = Encoder::new(config);
        encoder.peer_settings(4096, 100);
        encoder
    };
    for mut encoder in [encoder(0, 100), encoder(32, 100), with_config(0)] {
        for stream in 0..10 {
            assert_eq!(encode(&mut encoder, stream, &request("/")).0.required_insert_count, 0);
        }
        assert_eq!((encoder.poll_instructions(), encoder.table_bytes()), (None, 0));
        // There is nothing that could be acknowledged, and streams may be cancelled anyway.
        encoder.receive(&[0x44]).unwrap();
        assert_eq!(refuse(&mut encoder, &[0x84]), DECODER_STREAM_ERROR);
        assert_eq!(refuse(&mut encoder, &[0x01]), DECODER_STREAM_ERROR);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3
//= type=test
//# The encoder MUST NOT set a dynamic table capacity that exceeds this maximum, but
//# it can choose to use a lower dynamic table capacity; see
//# {{set-dynamic-capacity}}.
#[test]
fn the_capacity_is_the_smaller_of_ours_and_the_peers() {
    for (ours, peers, chosen) in
        [(4096, 300, 300), (300, 4096, 300), (4096, u64::MAX, 4096), (u64::MAX, u64::MAX, 65_536)]
    {
        let mut encoder = Encoder::new(EncoderConfig { max_table_capacity: ours, ..EncoderConfig::default() });
        encoder.peer_settings(peers, 100);
        // Only the first settings count.
        encoder.peer_settings(1_000_000, 100);
        assert_eq!(encoder.poll_instructions(), None);
        encode(&mut encoder, 0, &request("/"));
        let mut expected = BytesMut::new();
        crate::qpack::instruction::write_capacity(chosen, &mut expected);
        let instructions = encoder.poll_instructions().unwrap();
        assert!(instructions.starts_with(&expected), "{ours} {peers}");
        assert!(encoder.table_bytes() <= chosen);
    }
}

#[test]
fn a_request_is_smaller_the_second_time_and_smallest_when_it_was_seen() {
    let (mut encoder, mut peer) = (encoder(4096, 100), Peer::new());
    let mut sizes = Vec::new();
    for (stream, path) in (0..).step_by(4).zip(["/", "/a.css", "/a.css", "/a.css"]) {
        let (encoded, section) = encode(&mut encoder, stream, &request(path));
        peer.hear(&mut encoder);
        assert_eq!(*peer.decode(stream, section), request(path));
        peer.answer(&mut encoder);
        sizes.push(encoded.bytes);
    }
    // Two bytes of prefix and one a line; the path is literal once, and inserted when it comes back.
    assert_eq!((sizes[0], sizes[3]), (10, 10));
    assert!(sizes[1] <= 16, "{sizes:?}");
    assert_eq!((encoder.outstanding_sections(), encoder.streams_at_risk()), (0, 0));
    assert_eq!((encoder.table_bytes(), encoder.insert_count()), (peer.0.table_bytes(), peer.0.insert_count()));
    let stats = encoder.stats();
    assert_eq!((stats.sections, stats.static_lines), (4, 2 * 4 + 1));
    assert_eq!(stats.static_lines + stats.dynamic_lines + stats.literal_lines, 4 * 8);
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3
//= type=test
//# An encoder might also choose not to index values for fields that are considered
//# to be highly valuable or sensitive to recovery, such as the Cookie or
//# Authorization header fields.
#[test]
fn what_is_sensitive_never_gets_into_the_table() {
    let (mut encoder, mut peer) = (encoder(4096, 100), Peer::new());
    let marked = Field { sensitive: true, ..Field::new("x-token", "a value that is long enough to be inserted") };
    let cases = [
        (Field::new("authorization", "Bearer 0123456789abcdef0123456789abcdef"), true),
        (Field::new("proxy-authorization", "Basic 0123456789abcdef"), true),
        (Field::new("authorization", ""), true),
        (Field::new("cookie", "0123456789abcdef012"), true),
        (Field::new("cookie", "0123456789abcdef0123"), false),
        (marked.clone(), true),
        (Field { sensitive: true, ..Field::new(":method", "GET") }, true),
        (Field::new("x-token", "another value, which nobody marked"), false),
    ];
    for stream in 0..5 {
        for (field, sensitive) in &cases {
            let (encoded, section) = encode(&mut encoder, stream, std::slice::from_ref(field));
            peer.hear(&mut encoder);
            let fields = peer.decode(stream, section);
            assert_eq!((&fields[0].value, fields[0].sensitive), (&field.value, *sensitive), "{field:?}");
            assert!(!sensitive || encoded.bytes > field.value.len() / 2);
            peer.answer(&mut encoder);
        }
    }
    // Only the two that are not.
    assert_eq!(encoder.insert_count(), 2);
    // What was received as sensitive is sent on as sensitive (§7.1.3).
    let (_, section) = encode(&mut encoder, 100, &[marked]);
    let received = peer.decode(100, section);
    let (_, section) = encode(&mut encoder, 104, &received);
    assert!(peer.decode(104, section)[0].sensitive);
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.4.1
//= type=test
//# If an encoder receives a Section Acknowledgment instruction referring to a
//# stream on which every encoded field section with a non-zero Required Insert
//# Count has already been acknowledged, this MUST be treated as a connection error
//# of type QPACK_DECODER_STREAM_ERROR.
#[test]
fn an_acknowledgement_of_nothing_is_an_error_of_the_decoder_stream() {
    let mut encoder = encoder(4096, 100);
    assert_eq!(refuse(&mut encoder, &[0x80]), DECODER_STREAM_ERROR);
    encode(&mut encoder, 4, &request("/"));
    encode(&mut encoder, 4, &request("/"));
    encode(&mut encoder, 8, &[Field::new(":method", "GET")]);
    assert_eq!(encoder.outstanding_sections(), 2);
    encoder.receive(&[0x84, 0x84]).unwrap();
    assert_eq!(refuse(&mut encoder, &[0x84]), DECODER_STREAM_ERROR);
    assert_eq!(refuse(&mut encoder, &[0x88]), DECODER_STREAM_ERROR);
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-4.4.3
//= type=test
//# An encoder that receives an Increment field equal to zero, or one that increases
//# the Known Received Count beyond what the encoder has sent, MUST treat this as a
//# connection error of type QPACK_DECODER_STREAM_ERROR.
#[test]
fn increments_of_zero_and_beyond_are_errors_of_the_decoder_stream() {
    let with_entries = || {
        let mut encoder = encoder(4096, 100);
        encode(&mut encoder, 4, &request("/"));
        encoder
    };
    let count = u8::try_from(with_entries().insert_count()).unwrap();
    assert!((2..60).contains(&count));
    assert_eq!(refuse(&mut with_entries(), &[0]), DECODER_STREAM_ERROR);
    assert_eq!(refuse(&mut with_entries(), &[count + 1]), DECODER_STREAM_ERROR);
    with_entries().receive(&[count - 1, 1]).unwrap();
    assert_eq!(refuse(&mut with_entries(), &[count - 1, 2]), DECODER_STREAM_ERROR);
    // The acknowledgement of the section says as much.
    assert_eq!(refuse(&mut with_entries(), &[0x84, 1]), DECODER_STREAM_ERROR);
    let huge = [0x3f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
    assert_eq!(refuse(&mut with_entries(), &huge), DECODER_STREAM_ERROR);
    let larger = [0xff; 12];
    assert_eq!(refuse(&mut with_entries(), &larger), DECODER_STREAM_ERROR);
}

#[test]
fn instructions_of_the_decoder_may_be_split_anywhere() {
    let mut encoder = encoder(4096, 100);
    let stream = 1_000_000;
    encode(&mut encoder, stream, &request("/"));
    let mut bytes = BytesMut::new();
    DecoderInstruction::SectionAcknowledgment(stream).write(&mut bytes);
    assert_eq!(bytes.len(), 4);
    for byte in &bytes[..3] {
        encoder.receive(&[*byte]).unwrap();
        assert_eq!(encoder.outstanding_sections(), 1);
    }
    encoder.receive(&bytes[3..]).unwrap();
    assert_eq!(encoder.outstanding_sections(), 0);
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2
//= type=test
//# An encoder MUST limit the number of streams that could become blocked to the
//# value of SETTINGS_QPACK_BLOCKED_STREAMS at all times.
#[test]
fn no_more_streams_are_put_at_risk_than_the_peer_permits() {
    for permitted in [0, 1, 3] {
        let mut encoder = encoder(4096, permitted);
        let mut at_risk = std::collections::BTreeSet::new();
        for section in 0..40 {
            let stream = section % 10;
            let (encoded, _) = encode(&mut encoder, stream, &request("/the/same"));
            if encoded.required_insert_count > 0 {
                at_risk.insert(stream);
            }
            assert_eq!(encoder.streams_at_risk(), at_risk.len());
        }
        assert_eq!(at_risk.len() as u64, permitted);
    }
}

#[test]
fn without_risk_only_what_is_acknowledged_is_referred_to() {
    let (mut encoder, mut peer) = (encoder(4096, 0), Peer::new());
    // Nothing may be referred to, but what comes back is inserted for later.
    for stream in 0..3 {
        let (encoded, section) = encode(&mut encoder, stream, &request("/"));
        assert_eq!(encoded.required_insert_count, 0);
        assert_eq!(*peer.decode(stream, section), request("/"));
    }
    assert!(encoder.insert_count() > 0);
    peer.hear(&mut encoder);
    peer.answer(&mut encoder);
    let (encoded, section) = encode(&mut encoder, 12, &request("/"));
    assert_eq!((encoded.required_insert_count, encoder.streams_at_risk()), (encoder.insert_count(), 0));
    assert_eq!(*peer.decode(12, section), request("/"));
}

#[test]
fn a_cancelled_stream_is_no_longer_at_risk_and_pins_nothing() {
    for cancel in
        [|encoder: &mut Encoder| encoder.receive(&[0x44]).unwrap(), |encoder: &mut Encoder| encoder.retract(4)]
    {
        let mut encoder = encoder(4096, 1);
        encode(&mut encoder, 4, &request("/"));
        encode(&mut encoder, 4, &request("/"));
        assert_eq!((encoder.outstanding_sections(), encoder.streams_at_risk()), (2, 1));
        assert_eq!(encode(&mut encoder, 8, &request("/")).0.required_insert_count, 0);
        cancel(&mut encoder);
        assert_eq!((encoder.outstanding_sections(), encoder.streams_at_risk()), (0, 0));
        // It says nothing of what was received (§2.2.2.2): the next stream is at risk again.
        assert!(encode(&mut encoder, 8, &request("/")).0.required_insert_count > 0);
        assert_eq!(encoder.streams_at_risk(), 1);
    }
}

#[test]
fn sections_are_kept_track_of_up_to_a_bound() {
    let (mut encoder, mut peer) = (encoder(4096, 1000), Peer::new());
    let risky = Field::new("x-always", "the same and the same and the same again");
    for stream in 0..limits::OUTSTANDING_SECTIONS as u64 {
        assert_eq!(encode(&mut encoder, stream, std::slice::from_ref(&risky)).0.required_insert_count, 1);
    }
    peer.hear(&mut encoder);
    let (encoded, section) = encode(&mut encoder, 1000, std::slice::from_ref(&risky));
    assert_eq!((encoded.required_insert_count, encoder.outstanding_sections()), (0, limits::OUTSTANDING_SECTIONS));
    assert_eq!(peer.decode(1000, section)[0], risky);
    encoder.receive(&[0x80]).unwrap();
    assert_eq!(encode(&mut encoder, 1004, &[risky]).0.required_insert_count, 1);
}

#[test]
fn instructions_that_nobody_takes_are_bounded() {
    let mut encoder = encoder(4096, 1000);
    let mut known = 0;
    for round in 0..1000_u32 {
        let (name, value) = (format!("x-{round}"), format!("{round:0>200}"));
        // What comes back is worth an entry.
        encode(&mut encoder, 4, &[Field::new(name.clone(), value.clone())]);
        encode(&mut encoder, 4, &[Field::new(name, value)]);
        assert!(encoder.instructions.bytes.len() <= limits::ENCODER_INSTRUCTIONS);
        // As if the decoder had them already, so that the table is no reason to stop.
        let count = encoder.insert_count();
        let mut answer = BytesMut::new();
        if count > known {
            DecoderInstruction::InsertCountIncrement(count - known).write(&mut answer);
            known = count;
        }
        DecoderInstruction::StreamCancellation(4).write(&mut answer);
        encoder.receive(&answer).unwrap();
    }
    // It is used to the last instruction that fits, and then the sections have literals.
    let waiting = encoder.instructions.bytes.len();
    assert!(waiting > limits::ENCODER_INSTRUCTIONS - 300, "{waiting}");
    let late = [Field::new("x-late", "a".repeat(300))];
    for _ in 0..3 {
        assert_eq!(encode(&mut encoder, 4, &late).0.required_insert_count, 0);
    }
    assert_eq!(encoder.poll_instructions().unwrap().len(), waiting);
    assert_ne!(encode(&mut encoder, 4, &late).0.required_insert_count, 0);
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.3
//= type=test
//# To avoid these deadlocks, an encoder SHOULD NOT write an instruction unless
//# sufficient stream and connection flow-control credit is available for the entire
//# instruction.
#[test]
fn without_credit_nothing_is_inserted() {
    let mut encoder = encoder(4096, 100);
    let field = Field::new("x-new", "a value of some length");
    encoder.instruction_credit(20);
    assert_eq!(encode(&mut encoder, 0, std::slice::from_ref(&field)).0.required_insert_count, 0);
    assert_eq!(encoder.poll_instructions(), None);
    encoder.instruction_credit(100);
    assert_eq!(encode(&mut encoder, 4, std::slice::from_ref(&field)).0.required_insert_count, 1);
    // What was written is no longer credit, and what waits was promised already.
    let other = Field::new("x-other", "another value, of more length, which no longer fits");
    assert_eq!(encode(&mut encoder, 8, std::slice::from_ref(&other)).0.required_insert_count, 0);
    encoder.instruction_credit(100);
    assert_eq!(encode(&mut encoder, 8, std::slice::from_ref(&other)).0.required_insert_count, 0);
    let instructions = encoder.poll_instructions().unwrap();
    assert!(instructions.len() <= 100);
    encoder.instruction_credit(100);
    assert_eq!(encode(&mut encoder, 8, &[other]).0.required_insert_count, 2);
}

/// There is always a section that is not acknowledged and refers to the oldest entries; new ones must get in all the same
/// (RFC 9204 §2.1.1.1).
#[test]
fn entries_that_are_in_use_all_the_time_do_not_block_the_table() {
    let (mut encoder, mut peer) = (encoder(1024, 100), Peer::new());
    let mut waiting = std::collections::VecDeque::new();
    let mut inserted_late = 0;
    for stream in 0..2000_u64 {
        let mut fields = request("/");
        // Another host every fifty requests: something new that is worth an entry.
        fields[2] = Field::new(":authority", format!("host-{}.example.com", stream / 50));
        let before = encoder.insert_count();
        let (_, section) = encode(&mut encoder, stream, &fields);
        peer.hear(&mut encoder);
        waiting.push_back((stream, section, fields));
        // Twenty sections are on their way.
        if waiting.len() > 20 {
            let (stream, section, fields) = waiting.pop_front().unwrap();
            assert_eq!(*peer.decode(stream, section), fields);
            peer.answer(&mut encoder);
        }
        if stream >= 1000 {
            inserted_late += encoder.insert_count() - before;
        }
    }
    assert!(inserted_late >= 20, "{inserted_late} insertions in the second half, for twenty new hosts");
    // And the table is still of use.
    let stats = encoder.stats();
    assert!(stats.dynamic_lines > stats.literal_lines * 3, "{stats:?}");
}

#[test]
fn a_large_line_that_is_used_is_not_driven_out_by_many_small_ones() {
    let (mut encoder, mut peer) = (encoder(4096, 100), Peer::new());
    let policy = Field::new("content-security-policy", "default-src 'self' https:; ".repeat(25));
    let mut literal = 0;
    for stream in 0..500_u64 {
        // Each value comes twice in a row, so it is worth an entry for a while.
        let id = Field::new("x-id", format!("{:0>60}", stream / 2));
        let fields = if stream % 4 == 0 { vec![id, policy.clone()] } else { vec![id] };
        let (encoded, section) = encode(&mut encoder, stream, &fields);
        peer.hear(&mut encoder);
        assert_eq!(*peer.decode(stream, section), fields);
        peer.answer(&mut encoder);
        literal += usize::from(encoded.bytes > 400);
    }
    let inserted = encoder.stats().instruction_bytes;
    assert!(literal <= 1 && inserted < 25_000, "{literal} times literal, {inserted} bytes of instructions");
}

#[test]
fn equal_lines_of_one_section_share_an_entry() {
    let (mut encoder, mut peer) = (encoder(4096, 100), Peer::new());
    let fields = vec![Field::new("x-twice", "one value"); 5];
    let (encoded, section) = encode(&mut encoder, 0, &fields);
    assert_eq!((encoded.bytes, encoder.insert_count()), (7, 1));
    peer.hear(&mut encoder);
    assert_eq!(*peer.decode(0, section), fields);
}

#[test]
fn odd_fields_are_sent_as_they_are() {
    let (mut encoder, mut peer) = (encoder(4096, 100), Peer::new());
    let fields = vec![
        Field::new("", ""),
        Field::new("", "value without a name"),
        Field::new("name-without-a-value", ""),
        Field::new(vec![0, 255, 10, 13], vec![0, 128, 255]),
        Field::new("n".repeat(3000), "v".repeat(3000)),
        Field::new("cookie", vec![7; 5000]),
    ];
    for stream in 0..4 {
        let (_, section) = encode(&mut encoder, stream, &fields);
        peer.hear(&mut encoder);
        assert_eq!(*peer.decode(stream, section), fields);
        peer.answer(&mut encoder);
        assert_eq!(encoder.table_bytes(), peer.0.table_bytes());
    }
    let (encoded, section) = encode(&mut encoder, 5, &[]);
    assert_eq!((encoded.bytes, &section[..]), (2, &[0, 0][..]));
}
