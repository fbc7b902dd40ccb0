//! Capsules over any split, unknown ones, and the bound.

use proptest::prelude::*;

use super::*;
use crate::error::Code;

const OTHER: CapsuleType = CapsuleType(0x2843);

fn capsule(capsule_type: u64, value: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_capsule_header(&mut out, CapsuleType(capsule_type), value.len() as u64);
    out.extend_from_slice(value);
    out.to_vec()
}

fn read(reader: &mut CapsuleReader, pieces: &[&[u8]]) -> Vec<Capsule> {
    let mut capsules = Vec::new();
    for piece in pieces {
        let mut bytes = Bytes::copy_from_slice(piece);
        while let Some(capsule) = reader.read(&mut bytes) {
            capsules.push(capsule);
        }
        assert!(bytes.is_empty());
    }
    capsules
}

#[test]
fn known_capsules_are_read_and_unknown_ones_skipped() {
    let stream =
        [capsule(0x17, b"reserved"), capsule(0, b""), capsule(OTHER.0, b"x"), capsule(9, &[0; 99]), capsule(0, b"y")];
    let mut reader = CapsuleReader::new(&[OTHER]);
    let capsules = read(&mut reader, &[&stream.concat()]);
    let values: Vec<(u64, &[u8])> = capsules.iter().map(|it| (it.capsule_type.0, &it.value[..])).collect();
    assert_eq!(values, [(0, &b""[..]), (OTHER.0, b"x"), (0, b"y")]);
    assert_eq!(reader.finish(), Ok(()));
    let mut reader = CapsuleReader::default();
    assert_eq!(read(&mut reader, &[&stream.concat()]).len(), 2);
}

#[test]
fn a_value_that_came_at_once_is_not_copied() {
    let piece = Bytes::from(capsule(0, b"payload"));
    let capsule = CapsuleReader::default().read(&mut piece.clone()).unwrap();
    assert_eq!(capsule.value.as_ptr(), piece[2..].as_ptr());
}

#[test]
fn a_stream_that_ends_within_a_capsule_is_malformed() {
    for stream in [&[0x00][..], &[0x40], &[0x00, 0x02, 1], &[0x17, 0x01], &[0x00, 0x40]] {
        let mut reader = CapsuleReader::default();
        assert!(read(&mut reader, &[stream]).is_empty());
        assert_eq!(reader.finish().unwrap_err().code, Code::H3_MESSAGE_ERROR, "{stream:?}");
    }
}

#[test]
fn values_up_to_the_bound_are_kept_and_larger_ones_skipped() {
    let largest = vec![1; limits::CAPSULE as usize];
    let mut reader = CapsuleReader::default();
    let capsules = read(&mut reader, &[&capsule(0, &largest)[..100], &capsule(0, &largest)[100..]]);
    assert_eq!((capsules[0].value.len(), reader.too_large()), (largest.len(), 0));

    let larger = capsule(0, &vec![1; limits::CAPSULE as usize + 1]);
    let capsules = read(&mut reader, &[&larger[..100], &larger[100..], &capsule(0, b"next")]);
    assert_eq!((&capsules[0].value[..], capsules.len(), reader.too_large()), (&b"next"[..], 1, 1));

    // The largest length that can be said keeps nothing.
    let mut out = BytesMut::new();
    put_capsule_header(&mut out, CapsuleType::DATAGRAM, (1 << 62) - 1);
    assert!(read(&mut reader, &[&out, &[0; 4096]]).is_empty());
    assert!(matches!(reader.state, State::Skip { .. }));
}

proptest! {
    #[test]
    fn any_split_reads_the_same(
        capsules in proptest::collection::vec((prop_oneof![Just(0_u64), Just(OTHER.0), Just(0x17)], 0_usize..100), 0..10),
        split in 1_usize..50,
    ) {
        let stream: Vec<u8> = capsules.iter().flat_map(|(kind, length)| capsule(*kind, &vec![3; *length])).collect();
        let whole = read(&mut CapsuleReader::new(&[OTHER]), &[&stream]);
        let mut reader = CapsuleReader::new(&[OTHER]);
        let pieces = read(&mut reader, &stream.chunks(split).collect::<Vec<_>>());
        prop_assert_eq!(whole, pieces);
        prop_assert!(reader.finish().is_ok());
    }

    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>) {
        let mut reader = CapsuleReader::default();
        for capsule in read(&mut reader, &bytes.chunks(3).collect::<Vec<_>>()) {
            prop_assert!(capsule.value.len() <= bytes.len());
        }
    }
}
