//! Frames: round trips, each malformation with its exact code, arbitrary bytes, and the work of hostile ones.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;
use crate::cursor::Writer;
use crate::ids::{ConnectionId, Direction, ResetToken, StreamId};
use crate::varint::VarInt;

const MAX: u64 = VarInt::MAX.into_inner();
const FRAME_ENCODING_ERROR: TransportErrorCode = TransportErrorCode::FRAME_ENCODING_ERROR;
const PROTOCOL_VIOLATION: TransportErrorCode = TransportErrorCode::PROTOCOL_VIOLATION;

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = vec![0xee; frame.encoded_size()];
    let mut w = Writer::new(&mut buffer);
    frame.encode(&mut w).unwrap();
    assert_eq!(w.remaining(), 0, "{frame:?} is smaller than it says");
    buffer
}

/// All that a frame says, reset tokens included.
fn said(frame: &Frame<'_>) -> (alloc::string::String, Option<[u8; 16]>) {
    let token = if let Frame::NewConnectionId(frame) = frame { Some(frame.reset_token.0) } else { None };
    (format!("{frame:?}"), token)
}

fn first(payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    iter(payload).next().unwrap()
}

/// A payload from fields: the type, and numbers in their shortest encoding.
fn numbers(fields: &[u64]) -> Vec<u8> {
    let mut buffer = vec![0; fields.len() * 8];
    let mut w = Writer::new(&mut buffer);
    for field in fields {
        w.varint(*field).unwrap();
    }
    w.written().to_vec()
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn ranges(payload: &[u8]) -> Vec<RangeInclusive<u64>> {
    match first(payload) {
        Ok(Frame::Ack(ack)) => ack.ranges().collect(),
        other => panic!("{other:?}"),
    }
}

/// One frame of each kind, with its bytes as in RFC 9000 §19 and RFC 9221 §4.
fn examples() -> Vec<(Frame<'static>, Vec<u8>)> {
    let id = StreamId::from_u64(64);
    let connection_id = ConnectionId::new(&[0xc1, 0xc2]).unwrap();
    vec![
        (Frame::Padding { length: 3 }, vec![0, 0, 0]),
        (Frame::Ping, vec![0x01]),
        (Frame::ResetStream(ResetStream { id, code: 7, final_size: 65 }), vec![0x04, 0x40, 0x40, 7, 0x40, 0x41]),
        (Frame::StopSending(StopSending { id, code: 7 }), vec![0x05, 0x40, 0x40, 7]),
        (Frame::Crypto(Crypto { offset: 5, data: b"ab" }), vec![0x06, 5, 2, b'a', b'b']),
        (Frame::NewToken(NewToken { token: b"t" }), vec![0x07, 1, b't']),
        (Frame::Stream(Stream { id, offset: 0, fin: false, data: b"" }), vec![0x0a, 0x40, 0x40, 0]),
        (Frame::Stream(Stream { id, offset: 0, fin: true, data: b"x" }), vec![0x0b, 0x40, 0x40, 1, b'x']),
        (Frame::Stream(Stream { id, offset: 9, fin: false, data: b"x" }), vec![0x0e, 0x40, 0x40, 9, 1, b'x']),
        (Frame::Stream(Stream { id, offset: 9, fin: true, data: b"" }), vec![0x0f, 0x40, 0x40, 9, 0]),
        (Frame::MaxData(MaxData { maximum: 1 }), vec![0x10, 1]),
        (Frame::MaxStreamData(MaxStreamData { id, maximum: 1 }), vec![0x11, 0x40, 0x40, 1]),
        (Frame::MaxStreams(MaxStreams { direction: Direction::Bidirectional, maximum: 1 }), vec![0x12, 1]),
        (Frame::MaxStreams(MaxStreams { direction: Direction::Unidirectional, maximum: 1 }), vec![0x13, 1]),
        (Frame::DataBlocked(DataBlocked { limit: 1 }), vec![0x14, 1]),
        (Frame::StreamDataBlocked(StreamDataBlocked { id, limit: 1 }), vec![0x15, 0x40, 0x40, 1]),
        (Frame::StreamsBlocked(StreamsBlocked { direction: Direction::Bidirectional, limit: 1 }), vec![0x16, 1]),
        (Frame::StreamsBlocked(StreamsBlocked { direction: Direction::Unidirectional, limit: 1 }), vec![0x17, 1]),
        (
            Frame::NewConnectionId(NewConnectionId {
                sequence: 4,
                retire_prior_to: 3,
                id: connection_id,
                reset_token: ResetToken([9; 16]),
            }),
            joined(&[&[0x18, 4, 3, 2, 0xc1, 0xc2], &[9; 16]]),
        ),
        (Frame::RetireConnectionId(RetireConnectionId { sequence: 2 }), vec![0x19, 2]),
        (Frame::PathChallenge(PathChallenge { data: [1; 8] }), vec![0x1a, 1, 1, 1, 1, 1, 1, 1, 1]),
        (Frame::PathResponse(PathResponse { data: [2; 8] }), vec![0x1b, 2, 2, 2, 2, 2, 2, 2, 2]),
        (
            Frame::ConnectionClose(ConnectionClose { code: FRAME_ENCODING_ERROR, frame_type: 6, reason: b"no" }),
            vec![0x1c, 7, 6, 2, b'n', b'o'],
        ),
        (Frame::ApplicationClose(ApplicationClose { code: 0x100, reason: b"" }), vec![0x1d, 0x41, 0, 0]),
        (Frame::HandshakeDone, vec![0x1e]),
        (Frame::Datagram(Datagram { data: b"dg" }), vec![0x31, 2, b'd', b'g']),
    ]
}

#[test]
fn each_frame_has_the_bytes_of_the_rfc() {
    for (frame, bytes) in examples() {
        assert_eq!(encoded(&frame), bytes, "{frame:?}");
        assert_eq!(said(&first(&bytes).unwrap()), said(&frame));
        assert_eq!(frame.frame_type().0, u64::from(bytes[0]));
        let mut frames = iter(&bytes);
        frames.next();
        assert_eq!(frames.frame_type(), frame.frame_type());
        assert!(frames.next().is_none());
    }
}

#[test]
fn an_ack_has_the_bytes_of_the_rfc() {
    // 1000 to 998, then 995, then 990 to 900.
    let bytes = joined(&[&numbers(&[0x02, 1000, 17, 2, 2]), &numbers(&[1, 0, 3, 90])]);
    let Ok(Frame::Ack(ack)) = first(&bytes) else { panic!("not an ACK frame") };
    assert_eq!((ack.largest, ack.delay, ack.ecn, ack.range_count()), (1000, 17, None, 3));
    let ranges = [998..=1000, 995..=995, 900..=990];
    assert!(ack.ranges().eq(ranges.clone()));
    assert_eq!(encoded(&Frame::Ack(ack)), bytes);
    let mut buffer = [0; 64];
    let mut w = Writer::new(&mut buffer);
    assert_eq!(encode_ack(&mut w, 17, ranges.into_iter(), None), Ok(3));
    assert_eq!(w.written(), bytes);

    let ecn = EcnCounts { ect0: 70, ect1: 0, ce: 2 };
    let mut w = Writer::new(&mut buffer);
    assert_eq!(encode_ack(&mut w, 0, core::iter::once(0..=0), Some(ecn)), Ok(1));
    assert_eq!(w.written(), [0x03, 0, 0, 0, 0, 0x40, 70, 0, 2]);
    let Ok(Frame::Ack(ack)) = first(w.written()) else { panic!("not an ACK frame") };
    assert_eq!((ack.ecn, ack.ranges().collect::<Vec<_>>()), (Some(ecn), vec![0..=0]));
}

#[test]
fn acks_are_equal_if_they_say_the_same() {
    let shortest = numbers(&[0x02, 9, 0, 1, 1, 0, 2]);
    // The same with a First ACK Range of two bytes.
    let longer = [0x02, 9, 0, 1, 0x40, 1, 0, 2];
    let (Ok(Frame::Ack(one)), Ok(Frame::Ack(other))) = (first(&shortest), first(&longer)) else { panic!("no ACKs") };
    assert_eq!(one, other);
    let less = numbers(&[0x02, 9, 0, 1, 1, 0, 1]);
    let Ok(Frame::Ack(less)) = first(&less) else { panic!("no ACK") };
    assert_ne!(one, less);
}

#[test]
fn every_prefix_of_a_frame_is_an_error() {
    let mut all: Vec<Vec<u8>> = examples().into_iter().map(|(_, bytes)| bytes).collect();
    all.push(numbers(&[0x03, 1000, 17, 2, 2, 1, 0, 3, 90, 5, 6, 7]));
    for bytes in all.iter().filter(|bytes| bytes[0] != 0) {
        for end in 1..bytes.len() {
            let error = first(&bytes[..end]).unwrap_err();
            assert_eq!((error.code, error.frame_type), (FRAME_ENCODING_ERROR, u64::from(bytes[0])), "{bytes:?} {end}");
        }
    }
}

#[test]
fn data_without_a_length_reach_to_the_end() {
    let Ok(Frame::Stream(frame)) = first(&[0x0d, 4, 9, b'a', b'b']) else { panic!("no STREAM frame") };
    assert_eq!(frame, Stream { id: StreamId::from_u64(4), offset: 9, fin: true, data: b"ab" });
    let mut frames = iter(&[0x08, 4]);
    let Some(Ok(Frame::Stream(frame))) = frames.next() else { panic!("no STREAM frame") };
    assert_eq!(frame, Stream { id: StreamId::from_u64(4), offset: 0, fin: false, data: b"" });
    // As it was sent, not as we would send it.
    assert_eq!((frames.frame_type(), Frame::Stream(frame).frame_type()), (FrameType(0x08), FrameType(0x0a)));
    let Ok(Frame::Datagram(frame)) = first(&[0x30, 0x31, 0x31]) else { panic!("no DATAGRAM frame") };
    assert_eq!(frame.data, [0x31, 0x31]);
    let Ok(Frame::Datagram(Datagram { data: [] })) = first(&[0x30]) else { panic!("no DATAGRAM frame") };
}

#[test]
fn each_malformation_has_its_exact_code() {
    let id = |length: u8, rest: usize| joined(&[&[0x18, 4, 3, length], &vec![7; rest]]);
    let max = numbers(&[MAX]);
    let table: Vec<(&str, Vec<u8>, TransportErrorCode, u64)> = vec![
        // Types.
        ("a type of two bytes, cut", vec![0x40], FRAME_ENCODING_ERROR, 0),
        ("a type of four bytes, cut", vec![0x80, 0, 0], FRAME_ENCODING_ERROR, 0),
        ("a type of eight bytes, cut", vec![0xc0, 0, 0, 0, 0, 0, 0], FRAME_ENCODING_ERROR, 0),
        ("PADDING in two bytes", vec![0x40, 0], PROTOCOL_VIOLATION, 0),
        ("PING in two bytes", vec![0x40, 1], PROTOCOL_VIOLATION, 1),
        ("PING in four bytes", vec![0x80, 0, 0, 1], PROTOCOL_VIOLATION, 1),
        ("PING in eight bytes", vec![0xc0, 0, 0, 0, 0, 0, 0, 1], PROTOCOL_VIOLATION, 1),
        ("an unknown type, not shortest", vec![0x40, 0x20], PROTOCOL_VIOLATION, 0x20),
        ("h3spec: type 0x20", vec![0x20], FRAME_ENCODING_ERROR, 0x20),
        ("type 0x1f", vec![0x1f], FRAME_ENCODING_ERROR, 0x1f),
        ("type 0x32", vec![0x32], FRAME_ENCODING_ERROR, 0x32),
        ("type 0x40 in its shortest encoding", vec![0x40, 0x40], FRAME_ENCODING_ERROR, 0x40),
        ("the largest type", max.clone(), FRAME_ENCODING_ERROR, MAX),
        // ACK.
        ("the first range below zero", numbers(&[0x02, 5, 0, 0, 6]), FRAME_ENCODING_ERROR, 2),
        ("a first range of 2^62-1", numbers(&[0x02, 5, 0, 0, MAX]), FRAME_ENCODING_ERROR, 2),
        ("a gap below zero", numbers(&[0x02, 5, 0, 1, 0, 4, 0]), FRAME_ENCODING_ERROR, 2),
        ("a gap of 2^62-1", numbers(&[0x02, MAX, 0, 1, 0, MAX, 0]), FRAME_ENCODING_ERROR, 2),
        ("a range below zero", numbers(&[0x03, 5, 0, 1, 0, 2, 2, 0, 0, 0]), FRAME_ENCODING_ERROR, 3),
        ("fewer ranges than announced", numbers(&[0x02, 500, 0, 3, 0, 0, 0]), FRAME_ENCODING_ERROR, 2),
        ("2^62-1 ranges", numbers(&[0x02, MAX, 0, MAX, 0, 0, 0]), FRAME_ENCODING_ERROR, 2),
        ("no ECN counts", numbers(&[0x03, 5, 0, 0, 0, 1, 1]), FRAME_ENCODING_ERROR, 3),
        // CRYPTO, NEW_TOKEN, STREAM.
        ("CRYPTO beyond 2^62-1", joined(&[&[0x06], &max, &[1, 0xaa]]), FRAME_ENCODING_ERROR, 6),
        ("CRYPTO of 2^62-1 bytes", joined(&[&[0x06, 0], &max]), FRAME_ENCODING_ERROR, 6),
        ("an empty token", vec![0x07, 0], FRAME_ENCODING_ERROR, 7),
        ("a token longer than the payload", vec![0x07, 2, 0], FRAME_ENCODING_ERROR, 7),
        ("STREAM beyond 2^62-1", joined(&[&[0x0c, 0], &max, &[0xaa]]), FRAME_ENCODING_ERROR, 0x0c),
        ("STREAM with length beyond 2^62-1", joined(&[&[0x0e, 0], &max, &[1, 0xaa]]), FRAME_ENCODING_ERROR, 0x0e),
        ("STREAM longer than the payload", vec![0x0a, 0, 2, 0xaa], FRAME_ENCODING_ERROR, 0x0a),
        // Limits.
        ("h3spec: MAX_STREAMS 2^60+1", numbers(&[0x12, (1 << 60) + 1]), FRAME_ENCODING_ERROR, 0x12),
        ("MAX_STREAMS 2^60+1, unidirectional", numbers(&[0x13, (1 << 60) + 1]), FRAME_ENCODING_ERROR, 0x13),
        ("h3spec: STREAMS_BLOCKED 2^60+1", numbers(&[0x16, (1 << 60) + 1]), FRAME_ENCODING_ERROR, 0x16),
        ("STREAMS_BLOCKED 2^60+1, unidirectional", numbers(&[0x17, (1 << 60) + 1]), FRAME_ENCODING_ERROR, 0x17),
        // NEW_CONNECTION_ID.
        ("h3spec: an id of no bytes", id(0, 16), FRAME_ENCODING_ERROR, 0x18),
        ("an id of 21 bytes", id(21, 37), FRAME_ENCODING_ERROR, 0x18),
        ("an id of 255 bytes", id(255, 300), FRAME_ENCODING_ERROR, 0x18),
        ("h3spec: an id that retires itself", joined(&[&[0x18, 4, 5, 1], &[7; 17]]), FRAME_ENCODING_ERROR, 0x18),
        // Closing.
        ("a reason longer than the payload", vec![0x1c, 0, 0, 3, b'n', b'o'], FRAME_ENCODING_ERROR, 0x1c),
        ("the same from the application", vec![0x1d, 0, 3, b'n', b'o'], FRAME_ENCODING_ERROR, 0x1d),
        ("DATAGRAM longer than the payload", vec![0x31, 2, 0], FRAME_ENCODING_ERROR, 0x31),
    ];
    for (what, payload, code, frame_type) in table {
        let mut frames = iter(&payload);
        let error = frames.next().unwrap().expect_err(what);
        assert_eq!((error.code, error.frame_type), (code, frame_type), "{what}: {error}");
        assert!(frames.next().is_none(), "{what}: the first error ends the walk");
        // Whatever came before it was yielded.
        let payload = joined(&[&[0x01], &payload]);
        let results: Vec<_> = iter(&payload).map(|frame| frame.err()).collect();
        assert_eq!(results, [None, Some(error)], "{what}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_accepted() {
    let end = numbers(&[MAX - 1]);
    for payload in [
        numbers(&[0x12, 1 << 60]),
        numbers(&[0x17, 1 << 60]),
        numbers(&[0x02, MAX, MAX, 0, MAX]),
        numbers(&[0x02, 5, 0, 1, 0, 3, 0]),
        numbers(&[0x02, MAX, 0, 1, 0, MAX - 2, 0]),
        numbers(&[0x10, MAX]),
        joined(&[&[0x06], &end, &[1, 0xaa]]),
        joined(&[&[0x0c, 0], &end, &[0xaa]]),
        joined(&[&[0x0c, 0], &numbers(&[MAX])]),
        joined(&[&[0x18, 4, 4, 20], &[7; 36]]),
    ] {
        first(&payload).unwrap();
    }
    assert_eq!(ranges(&numbers(&[0x02, MAX, 0, 1, 0, MAX - 2, 0])), [MAX..=MAX, 0..=0]);
    assert_eq!(ranges(&numbers(&[0x02, MAX, 0, 0, MAX])), [0..=MAX]);
}

#[test]
fn an_empty_payload_has_no_frames() {
    assert!(iter(&[]).next().is_none());
}

#[test]
fn padding_is_one_frame_however_long() {
    for length in [1, 2, 15, 16, 17, 31, 32, 33, 100, 1200] {
        let mut payload = vec![0; length];
        payload.push(1);
        let frames: Vec<_> = iter(&payload).map(|frame| format!("{:?}", frame.unwrap())).collect();
        assert_eq!(frames, [format!("Padding {{ length: {length} }}"), "Ping".into()]);
    }
}

#[test]
fn only_some_frames_elicit_acknowledgements_or_probe() {
    let frames = examples();
    let names = |yes: fn(&Frame<'_>) -> bool| -> Vec<_> {
        let mut names: Vec<_> =
            frames.iter().filter(|(frame, _)| yes(frame)).map(|(f, _)| f.frame_type().name()).collect();
        names.dedup();
        names
    };
    // RFC 9000 §12.4 table 3, "Spec" N; ACK is looked at below.
    assert_eq!(names(|frame| !frame.is_ack_eliciting()), ["padding", "connection_close", "application_close"]);
    // "Spec" P.
    assert_eq!(names(|frame| frame.is_probing()), ["padding", "new_connection_id", "path_challenge", "path_response"]);
    let ack = first(&[0x02, 0, 0, 0, 0]).unwrap();
    assert!(!ack.is_ack_eliciting() && !ack.is_probing());
}

#[test]
fn a_frame_is_written_whole_or_not_at_all() {
    for (frame, bytes) in examples() {
        for room in 0..bytes.len() {
            let mut buffer = vec![0; room];
            let mut w = Writer::new(&mut buffer);
            assert_eq!(frame.encode(&mut w), Err(BufferFull), "{frame:?} in {room}");
            assert_eq!(w.position(), 0);
        }
    }
}

#[test]
fn an_ack_has_as_many_ranges_as_fit() {
    let ranges: Vec<_> = (0..100_u64).rev().map(|index| 1000 * index..=1000 * index + 500).collect();
    let mut last = 0;
    for room in 0..900 {
        let mut buffer = vec![0; room];
        let mut w = Writer::new(&mut buffer);
        match encode_ack(&mut w, 3, ranges.iter().cloned(), None) {
            Ok(count) => {
                let Ok(Frame::Ack(ack)) = first(w.written()) else { panic!("no ACK") };
                assert!(ack.ranges().eq(ranges[..count].iter().cloned()));
                assert!(count >= last && (count == ranges.len() || w.remaining() < 4 + 1));
                last = count;
            }
            // The type, 99500 in four bytes, the delay, no further ranges, a range of 500.
            Err(BufferFull) => assert!(room < 9 && w.position() == 0, "{room}"),
        }
    }
    assert_eq!(last, ranges.len());
    assert_eq!(encode_ack(&mut Writer::new(&mut []), 0, core::iter::empty(), None), Ok(0));
}

#[test]
fn hostile_payloads_cost_no_more_than_their_length() {
    // 65527 bytes, the most a datagram has, of the frames that take the most steps: each yields or ends.
    let ack_ranges = joined(&[&numbers(&[0x02, MAX, 0, MAX, 0]), &vec![0; 65_000]]);
    assert_eq!(iter(&ack_ranges).count(), 1);
    assert_eq!(iter(&vec![0x01; 65_527]).count(), 65_527);
    assert_eq!(iter(&[0x00, 0x01].repeat(32_763)).count(), 65_526);
    assert_eq!(iter(&[0x30; 65_527]).count(), 1);
    // One range as wide as all numbers is one step.
    let wide = numbers(&[0x02, MAX, 0, 0, MAX]);
    let Ok(Frame::Ack(ack)) = first(&wide) else { panic!("no ACK") };
    assert_eq!(ack.ranges().count(), 1);
}

#[test]
fn headers_and_capacities_agree_with_whole_frames() {
    let id = StreamId::from_u64(1000);
    for room in (0..200).chain(16_370..16_420) {
        let data = vec![1; room];
        for offset in [0, 5, 1 << 20] {
            let fits = |length: usize| {
                Frame::Stream(Stream { id, offset, fin: false, data: &data[..length] }).encoded_size() <= room
            };
            check_capacity(room, stream::capacity(room, id, offset), fits);
            let fits = |length: usize| Frame::Crypto(Crypto { offset, data: &data[..length] }).encoded_size() <= room;
            check_capacity(room, crypto::capacity(room, offset), fits);
        }
        let fits = |length: usize| Frame::Datagram(Datagram { data: &data[..length] }).encoded_size() <= room;
        check_capacity(room, datagram::capacity(room), fits);
    }
    assert_eq!(stream::capacity(usize::MAX, id, 0), Some(usize::MAX - stream::header_size(id, 0, None) - 8));
}

/// `capacity` fits, and one byte more does not.
fn check_capacity(room: usize, capacity: Option<usize>, fits: impl Fn(usize) -> bool) {
    match capacity {
        Some(capacity) => assert!(fits(capacity) && (capacity == room || !fits(capacity + 1)), "{capacity} in {room}"),
        None => assert!(!fits(0), "{room}"),
    }
}

#[test]
fn headers_may_be_written_before_their_data() {
    let id = StreamId::from_u64(3);
    let mut buffer = [0; 32];
    let mut w = Writer::new(&mut buffer);
    stream::encode_header(&mut w, id, 0, Some(2), false).unwrap();
    w.bytes(b"ab").unwrap();
    crypto::encode_header(&mut w, 7, 1).unwrap();
    w.bytes(b"c").unwrap();
    datagram::encode_header(&mut w, Some(0)).unwrap();
    stream::encode_header(&mut w, id, 5, None, true).unwrap();
    w.bytes(b"to the end").unwrap();
    let frames: Vec<_> = iter(w.written()).map(|frame| said(&frame.unwrap()).0).collect();
    let expected = [
        Frame::Stream(Stream { id, offset: 0, fin: false, data: b"ab" }),
        Frame::Crypto(Crypto { offset: 7, data: b"c" }),
        Frame::Datagram(Datagram { data: b"" }),
        Frame::Stream(Stream { id, offset: 5, fin: true, data: b"to the end" }),
    ];
    assert_eq!(frames, expected.map(|frame| said(&frame).0));
    let mut w = Writer::new(&mut buffer);
    datagram::encode_header(&mut w, None).unwrap();
    assert_eq!(w.written(), [0x30]);
    for room in 0..3 {
        let mut w = Writer::new(&mut buffer[..room]);
        assert_eq!(stream::encode_header(&mut w, id, 5, Some(70), true), Err(BufferFull));
        assert_eq!(crypto::encode_header(&mut w, 5, 70), Err(BufferFull));
        assert_eq!(w.position(), 0);
    }
    assert_eq!(datagram::encode_header(&mut Writer::new(&mut buffer[..2]), Some(70)), Err(BufferFull));
}

/// Numbers of all sizes that a varint carries.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 2_u32..64).prop_map(|(bits, shift)| bits >> shift)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..100)
}

/// Ranges, largest first, that do not touch.
fn ack_ranges() -> impl Strategy<Value = Vec<RangeInclusive<u64>>> {
    proptest::collection::vec((0_u64..1 << 40, 2_u64..1 << 40), 1..80).prop_map(|pieces| {
        let mut ranges = vec![];
        let mut next = 0_u64;
        for (length, gap) in pieces {
            ranges.push(next..=next + length);
            next += length + gap;
        }
        ranges.reverse();
        ranges
    })
}

/// Bytes that often begin with a frame.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let frames = proptest::sample::select(examples()).prop_map(|(_, bytes)| bytes);
    prop_oneof![bytes(), proptest::collection::vec(prop_oneof![frames, bytes()], 0..6).prop_map(|parts| parts.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_each_step_makes_progress(payload in payloads()) {
        let mut frames = iter(&payload);
        let mut position = 0;
        while let Some(frame) = frames.next() {
            prop_assert!(frames.position() > position);
            position = frames.position();
            if let Ok(frame) = frame {
                // What was read can be written, and says the same when it is read again.
                let again = encoded(&frame);
                let reread = first(&again).map(|frame| said(&frame));
                prop_assert_eq!(reread, Ok(said(&frame)));
                prop_assert!(frame.frame_type().is_known());
            } else {
                prop_assert!(frames.next().is_none());
            }
        }
        prop_assert_eq!(frames.position(), payload.len());
    }

    #[test]
    fn numbers_and_data_come_back(a in number(), b in number(), c in number(), data in bytes(), fin: bool, kind in 0..20) {
        let id = StreamId::from_u64(a);
        let direction = if fin { Direction::Bidirectional } else { Direction::Unidirectional };
        let offset = b.min(MAX - data.len() as u64);
        let frame = match kind {
            0 => Frame::ResetStream(ResetStream { id, code: b, final_size: c }),
            1 => Frame::StopSending(StopSending { id, code: b }),
            2 => Frame::Crypto(Crypto { offset, data: &data }),
            3 if !data.is_empty() => Frame::NewToken(NewToken { token: &data }),
            4 | 5 => Frame::Stream(Stream { id, offset, fin, data: &data }),
            6 => Frame::MaxData(MaxData { maximum: a }),
            7 => Frame::MaxStreamData(MaxStreamData { id, maximum: b }),
            8 => Frame::MaxStreams(MaxStreams { direction, maximum: a >> 2 }),
            9 => Frame::DataBlocked(DataBlocked { limit: a }),
            10 => Frame::StreamDataBlocked(StreamDataBlocked { id, limit: b }),
            11 => Frame::StreamsBlocked(StreamsBlocked { direction, limit: a >> 2 }),
            12 => Frame::NewConnectionId(NewConnectionId {
                sequence: a.max(b),
                retire_prior_to: a.min(b),
                id: ConnectionId::new(data.get(..20).unwrap_or(&[1])).unwrap(),
                reset_token: ResetToken(u128::from(c).to_be_bytes()),
            }),
            13 => Frame::RetireConnectionId(RetireConnectionId { sequence: a }),
            14 => Frame::PathChallenge(PathChallenge { data: a.to_be_bytes() }),
            15 => Frame::PathResponse(PathResponse { data: a.to_be_bytes() }),
            16 => Frame::ConnectionClose(ConnectionClose { code: TransportErrorCode(a), frame_type: b, reason: &data }),
            17 => Frame::ApplicationClose(ApplicationClose { code: a, reason: &data }),
            18 => Frame::Datagram(Datagram { data: &data }),
            _ => Frame::Padding { length: 1 + data.len() },
        };
        let bytes = encoded(&frame);
        let reread = first(&bytes).map(|frame| said(&frame));
        prop_assert_eq!(reread, Ok(said(&frame)));
    }

    #[test]
    fn acks_come_back(ranges in ack_ranges(), delay in number(), ecn in proptest::option::of([number(), number(), number()])) {
        let ecn = ecn.map(|[ect0, ect1, ce]| EcnCounts { ect0, ect1, ce });
        let mut buffer = [0; 4096];
        let mut w = Writer::new(&mut buffer);
        prop_assert_eq!(encode_ack(&mut w, delay, ranges.iter().cloned(), ecn), Ok(ranges.len()));
        let Ok(Frame::Ack(ack)) = first(w.written()) else { panic!("no ACK") };
        prop_assert_eq!((ack.largest, ack.delay, ack.ecn), (*ranges[0].end(), delay, ecn));
        prop_assert!(ack.ranges().eq(ranges));
        prop_assert_eq!(encoded(&Frame::Ack(ack)), w.written());
    }
}
