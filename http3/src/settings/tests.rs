//! Settings there and back, and what is refused.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::frame::{Frame, FrameReader, Item, is_reserved};

fn payload(parameters: &[(u64, u64)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (identifier, value) in parameters {
        put_varint(&mut out, *identifier);
        put_varint(&mut out, *value);
    }
    out.to_vec()
}

fn decode(parameters: &[(u64, u64)]) -> Result<Settings, Code> {
    Settings::decode(&payload(parameters)).map_err(|error| error.code)
}

/// The payload of the one frame in there.
fn settings_frame(bytes: BytesMut) -> Bytes {
    let mut bytes = bytes.freeze();
    let mut reader = FrameReader::new();
    assert!(matches!(reader.read(&mut bytes), Ok(Some(Item::Begin { frame_type: FrameType::SETTINGS, .. }))));
    let Ok(Some(Item::Frame(Frame::Settings(payload)))) = reader.read(&mut bytes) else { panic!("SETTINGS") };
    assert!(bytes.is_empty());
    payload
}

const ALL: Settings = Settings {
    qpack_max_table_capacity: 4096,
    qpack_blocked_streams: 16,
    max_field_section_size: Some(16_384),
    enable_connect_protocol: true,
    h3_datagram: true,
};

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(decode(&[]), Ok(Settings::default()));
    assert_eq!(Settings::default().max_field_section_size, None);
    let mut out = BytesMut::new();
    Settings::default().encode(None, &mut out);
    assert_eq!(&out[..], [0x04, 0x00]);
}

#[test]
fn each_setting_has_its_number() {
    let all = [(0x01, 4096), (0x06, 16_384), (0x07, 16), (0x08, 1), (0x33, 1)];
    assert_eq!(decode(&all), Ok(ALL));
    let mut out = BytesMut::new();
    ALL.encode(None, &mut out);
    assert_eq!(settings_frame(out), payload(&all));
}

#[test]
fn settings_of_http2_are_refused() {
    for identifier in [0x00, 0x02, 0x03, 0x04, 0x05] {
        assert_eq!(decode(&[(identifier, 0)]), Err(Code::H3_SETTINGS_ERROR), "{identifier:#x}");
    }
}

#[test]
fn a_setting_may_occur_once_even_if_it_is_unknown() {
    for identifier in [0x01, 0x06, 0x33, 0x21, 0x1234] {
        assert_eq!(decode(&[(identifier, 1), (0x40, 0), (identifier, 1)]), Err(Code::H3_SETTINGS_ERROR));
    }
}

#[test]
fn switches_are_on_or_off() {
    for identifier in [0x08, 0x33] {
        assert!(decode(&[(identifier, 0)]).is_ok() && decode(&[(identifier, 1)]).is_ok());
        for value in [2, (1 << 62) - 1] {
            assert_eq!(decode(&[(identifier, value)]), Err(Code::H3_SETTINGS_ERROR));
        }
    }
}

#[test]
fn as_many_settings_as_the_bound_are_read() {
    let many: Vec<(u64, u64)> = (0..limits::SETTINGS as u64).map(|index| (0x1000 + index, 7)).collect();
    assert_eq!(decode(&many), Ok(Settings::default()));
    let more: Vec<(u64, u64)> = (0..=limits::SETTINGS as u64).map(|index| (0x1000 + index, 7)).collect();
    assert_eq!(decode(&more), Err(Code::H3_EXCESSIVE_LOAD));
}

#[test]
fn a_parameter_without_its_value_is_a_frame_error() {
    for bytes in [&[0x01][..], &[0x40], &[0x01, 0x40], &[0x06, 1, 0x07]] {
        assert_eq!(Settings::decode(bytes).unwrap_err().code, Code::H3_FRAME_ERROR, "{bytes:?}");
    }
}

#[test]
fn settings_may_not_shrink_after_early_data() {
    assert_eq!(ALL.permits_early_data_of(&ALL), Ok(()));
    let larger = Settings { qpack_max_table_capacity: 8192, max_field_section_size: None, ..ALL };
    assert_eq!(ALL.permits_early_data_of(&larger), Ok(()));
    assert_eq!(Settings::default().permits_early_data_of(&Settings { max_field_section_size: None, ..ALL }), Ok(()));
    for reduced in [
        Settings { qpack_max_table_capacity: 4095, ..ALL },
        Settings { qpack_blocked_streams: 0, ..ALL },
        Settings { max_field_section_size: Some(16_383), ..ALL },
        Settings { enable_connect_protocol: false, ..ALL },
        Settings { h3_datagram: false, ..ALL },
    ] {
        let error = ALL.permits_early_data_of(&reduced).unwrap_err();
        assert_eq!(error.code, Code::H3_SETTINGS_ERROR, "{reduced:?}");
    }
    let unlimited = Settings { max_field_section_size: None, ..ALL };
    assert!(unlimited.permits_early_data_of(&ALL).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        qpack_max_table_capacity in 0_u64..1 << 62,
        qpack_blocked_streams in 0_u64..1 << 62,
        max_field_section_size in proptest::option::of(0_u64..1 << 62),
        enable_connect_protocol: bool,
        h3_datagram: bool,
        seed: u64,
    ) {
        let settings = Settings {
            qpack_max_table_capacity, qpack_blocked_streams, max_field_section_size, enable_connect_protocol, h3_datagram,
        };
        let mut out = BytesMut::new();
        settings.encode(Some(&mut Grease::new(seed)), &mut out);
        let payload = settings_frame(out);
        prop_assert_eq!(Settings::decode(&payload), Ok(settings));
        // And the last one is without meaning.
        let mut reader = Reader::new(&payload);
        let mut last = 0;
        while let (Ok(identifier), Ok(_)) = (reader.varint(), reader.varint()) {
            last = identifier;
        }
        prop_assert!(is_reserved(last));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        if let Err(error) = Settings::decode(&bytes) {
            prop_assert!([Code::H3_FRAME_ERROR, Code::H3_SETTINGS_ERROR, Code::H3_EXCESSIVE_LOAD].contains(&error.code));
        }
    }
}
