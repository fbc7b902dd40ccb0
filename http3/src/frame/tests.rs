//! Frames over any split, their lengths, and what is refused before it is kept.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::error::{Code, ConnectionError};
use crate::limits;

/// Everything a reader finds in these pieces, pieces of DATA joined.
fn read(pieces: &[&[u8]]) -> Result<(Vec<Item>, FrameReader), ConnectionError> {
    let mut reader = FrameReader::new();
    let mut items: Vec<Item> = Vec::new();
    for piece in pieces {
        let mut bytes = Bytes::copy_from_slice(piece);
        while let Some(item) = reader.read(&mut bytes)? {
            match (items.last_mut(), item) {
                (Some(Item::Data(before)), Item::Data(data)) => *before = [&before[..], &data[..]].concat().into(),
                (_, item) => items.push(item),
            }
        }
        assert!(bytes.is_empty());
    }
    Ok((items, reader))
}

fn frame(frame_type: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_frame_header(&mut out, FrameType(frame_type), payload.len() as u64);
    out.extend_from_slice(payload);
    out.to_vec()
}

fn refused(bytes: &[u8]) -> Code {
    read(&[bytes]).expect_err("refused").code
}

#[test]
fn types_are_what_the_rfcs_say() {
    for number in [0x02, 0x06, 0x08, 0x09] {
        assert_eq!(FrameType(number).kind(), FrameKind::Http2);
    }
    for number in [0x21, 0x40, 0x5f, 0x1f * 1000 + 0x21] {
        assert_eq!(FrameType(number).kind(), FrameKind::Reserved);
    }
    for number in [0x0a, 0x0b, 0x0c, 0x0e, 0x20, 0x22, 0xf0702, (1 << 62) - 1] {
        assert_eq!(FrameType(number).kind(), FrameKind::Unknown, "{number:#x}");
    }
    assert_eq!(FrameType(0xf0700).kind(), FrameKind::PriorityUpdate);
    assert_eq!(FrameType(0xf0701).kind(), FrameKind::PriorityUpdatePush);
    for (index, kind) in FrameKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index);
    }
    assert_eq!(format!("{:?}", FrameType::GOAWAY), "goaway (0x7)");
}

#[test]
fn data_is_handed_out_as_it_comes_and_without_copying() {
    let mut reader = FrameReader::new();
    let piece = Bytes::from(frame(0, b"hello"));
    let mut bytes = piece.clone();
    assert_eq!(reader.read(&mut bytes), Ok(Some(Item::Begin { frame_type: FrameType::DATA, length: 5 })));
    let Ok(Some(Item::Data(data))) = reader.read(&mut bytes) else { panic!("data") };
    assert_eq!(data.as_ptr(), piece[2..].as_ptr());
    assert_eq!(reader.read(&mut bytes), Ok(None));
    assert!(reader.is_between_frames() && reader.finish().is_ok());

    let (items, reader) = read(&[&[0x00, 0x44], &[0x00], b"abc"]).unwrap();
    assert_eq!(items[1], Item::Data(Bytes::from_static(b"abc")));
    assert!(!reader.is_collecting(), "nothing of DATA is kept");
    assert_eq!(reader.finish().unwrap_err().code, Code::H3_FRAME_ERROR);
}

#[test]
fn a_payload_that_came_at_once_is_not_copied() {
    let mut reader = FrameReader::new();
    let piece = Bytes::from(frame(1, b"section"));
    let mut bytes = piece.clone();
    assert!(matches!(reader.read(&mut bytes), Ok(Some(Item::Begin { .. }))));
    let Ok(Some(Item::Frame(Frame::Headers(section)))) = reader.read(&mut bytes) else { panic!("headers") };
    assert_eq!(section.as_ptr(), piece[2..].as_ptr());
}

#[test]
fn the_largest_length_keeps_nothing() {
    // A length of 2^62-1, for each kind.
    for (frame_type, code) in [
        (0x03, Some(Code::H3_FRAME_ERROR)),
        (0x04, Some(Code::H3_EXCESSIVE_LOAD)),
        (0x07, Some(Code::H3_FRAME_ERROR)),
        (0x0d, Some(Code::H3_FRAME_ERROR)),
        (0x00, None),
        (0x01, None),
        (0x21, None),
        (0x0a, None),
    ] {
        let mut bytes = BytesMut::new();
        put_frame_header(&mut bytes, FrameType(frame_type), (1 << 62) - 1);
        match code {
            Some(code) => assert_eq!(refused(&bytes), code, "{frame_type:#x}"),
            None => {
                let (items, reader) = read(&[&bytes, b"0123456789"]).unwrap();
                assert!(matches!(items[0], Item::Begin { length, .. } if length == (1 << 62) - 1));
                assert_eq!(reader.is_collecting(), frame_type == 1);
                assert!(reader.room() < 1024, "room for {} bytes after ten", reader.room());
            }
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_frame_errors() {
    for frame_type in [0x03, 0x07, 0x0d] {
        // One integer of 8 bytes is accepted, in any encoding; 9 bytes are refused before they come.
        let (items, _) = read(&[&frame(frame_type, &[0xc0, 0, 0, 0, 0, 0, 0, 4])]).unwrap();
        assert!(matches!(items[1], Item::Frame(Frame::Goaway(4) | Frame::CancelPush(4) | Frame::MaxPushId(4))));
        for payload in [&[][..], &[0x40], &[4, 4], &[0xc0, 0, 0, 0, 0, 0, 4]] {
            assert_eq!(refused(&frame(frame_type, payload)), Code::H3_FRAME_ERROR, "{frame_type:#x} {payload:?}");
        }
        assert_eq!(refused(&frame(frame_type, &[0; 9])[..2]), Code::H3_FRAME_ERROR);
    }
    for frame_type in [0xf0700, 0xf0701] {
        for payload in [&[][..], &[0x40], &[0xc0, 0, 0, 0]] {
            assert_eq!(refused(&frame(frame_type, payload)), Code::H3_FRAME_ERROR);
        }
        let (items, _) = read(&[&frame(frame_type, b"\x04u=1")]).unwrap();
        let push = frame_type == 0xf0701;
        let value = Bytes::from_static(b"u=1");
        assert_eq!(items[1], Item::Frame(Frame::PriorityUpdate { push, element: 4, value }));
    }
}

#[test]
fn settings_up_to_the_bound_are_kept() {
    let longest = vec![0; limits::SETTINGS_FRAME as usize];
    let (items, _) = read(&[&frame(4, &longest)]).unwrap();
    assert_eq!(items[1], Item::Frame(Frame::Settings(longest.into())));
    let longer = frame(4, &[0; limits::SETTINGS_FRAME as usize + 1]);
    assert_eq!(refused(&longer[..3]), Code::H3_EXCESSIVE_LOAD);
}

#[test]
fn unknown_frames_are_dropped_as_they_come() {
    for frame_type in [0x21, 0x0a, 0x05, 0x02] {
        let mut stream = frame(frame_type, &[7; 5000]);
        stream.extend(frame(0, b"x"));
        let (items, reader) = read(&stream.chunks(100).collect::<Vec<_>>()).unwrap();
        assert_eq!(items.len(), 3, "{items:?}");
        assert_eq!(items[2], Item::Data(Bytes::from_static(b"x")));
        assert!(reader.finish().is_ok());
    }
}

#[test]
fn a_frame_that_was_announced_can_be_skipped() {
    let mut reader = FrameReader::new();
    let mut bytes = Bytes::from([frame(1, &[0; 300]), frame(0, b"x")].concat());
    assert!(matches!(reader.read(&mut bytes), Ok(Some(Item::Begin { length: 300, .. }))));
    reader.skip();
    assert_eq!(reader.read(&mut bytes), Ok(Some(Item::Begin { frame_type: FrameType::DATA, length: 1 })));
}

#[test]
fn empty_frames_are_complete_at_once() {
    let (items, reader) = read(&[&frame(0, b""), &frame(1, b""), &frame(0x21, b"")]).unwrap();
    assert_eq!(items.len(), 4, "{items:?}");
    assert_eq!(items[2], Item::Frame(Frame::Headers(Bytes::new())));
    assert!(reader.is_between_frames());
}

#[test]
fn headers_are_written_around_their_section() {
    for length in [0, 1, 63, 64, 16_383, 16_384, 100_000] {
        let section: Vec<u8> = (0..length).map(|index| index as u8).collect();
        let mut out = BytesMut::from(&b"before"[..]);
        let place = HeadersPlace::begin(&mut out);
        out.extend_from_slice(&section);
        assert_eq!(place.end(&mut out), Some(section.len()));
        assert_eq!(&out[..6], b"before");
        let (items, reader) = read(&[&out[6..]]).unwrap();
        assert_eq!(items[1], Item::Frame(Frame::Headers(section.into())));
        assert!(reader.is_between_frames());
    }
}

proptest! {
    #[test]
    fn any_split_reads_the_same(
        frames in proptest::collection::vec(
            (prop_oneof![Just(0_u64), Just(1), Just(0x21), Just(0x7fff), Just(0xf0700)], 0_usize..200), 0..12),
        splits in proptest::collection::vec(1_usize..40, 0..200),
    ) {
        let mut stream = Vec::new();
        for (frame_type, length) in &frames {
            stream.extend(frame(*frame_type, &vec![1; *length + usize::from(*frame_type == 0xf0700)]));
        }
        let (whole, _) = read(&[&stream]).unwrap();
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for split in splits {
            let (piece, after) = rest.split_at(split.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let (split, reader) = read(&pieces).unwrap();
        prop_assert_eq!(whole, split);
        prop_assert!(reader.finish().is_ok());
    }

    #[test]
    fn any_bytes_are_read_or_refused(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let mut reader = FrameReader::new();
        'all: for piece in pieces {
            let mut bytes = Bytes::from(piece);
            let mut left = usize::MAX;
            loop {
                match reader.read(&mut bytes) {
                    Ok(Some(Item::Begin { .. })) => {}
                    Ok(Some(_)) => prop_assert!(bytes.len() <= left),
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
                left = bytes.len();
            }
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn integers_come_back(number in 0_u64..1 << 62) {
        let mut out = BytesMut::new();
        put_integer_frame(&mut out, FrameType::GOAWAY, number);
        let (items, _) = read(&[&out]).unwrap();
        prop_assert_eq!(&items[1], &Item::Frame(Frame::Goaway(number)));
        let mut out = BytesMut::new();
        put_priority_update(&mut out, number, b"i");
        let (items, _) = read(&[&out]).unwrap();
        let value = Bytes::from_static(b"i");
        prop_assert_eq!(&items[1], &Item::Frame(Frame::PriorityUpdate { push: false, element: number, value }));
    }
}
