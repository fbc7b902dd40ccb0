//! Transport parameters: round trips, each broken rule, arbitrary bytes.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::cursor::{Reader, Writer};
use crate::ids::Side;
use crate::varint::VarInt;

/// One parameter.
fn parameter(id: u64, value: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 16 + value.len()];
    let mut w = Writer::new(&mut buffer);
    w.varint(id).unwrap();
    w.varint(value.len() as u64).unwrap();
    w.bytes(value).unwrap();
    w.written().to_vec()
}

/// One parameter that is a number.
fn integer(id: u64, value: u64) -> Vec<u8> {
    let mut buffer = [0; 8];
    let mut w = Writer::new(&mut buffer);
    w.varint(value).unwrap();
    parameter(id, w.written())
}

fn connection_id(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).unwrap()
}

fn preferred(length: u8, rest: usize) -> Vec<u8> {
    let mut value = vec![1; 4 + 2 + 16 + 2];
    value.push(length);
    value.extend(vec![2; rest]);
    value
}

/// Every parameter with a value that is not its default.
fn full() -> TransportParameters {
    TransportParameters {
        original_destination_connection_id: Some(connection_id(&[1; 8])),
        max_idle_timeout: 30_000,
        stateless_reset_token: Some(ResetToken([2; 16])),
        max_udp_payload_size: 1472,
        initial_max_data: 1 << 24,
        initial_max_stream_data_bidi_local: 1 << 20,
        initial_max_stream_data_bidi_remote: 1 << 21,
        initial_max_stream_data_uni: 1 << 22,
        initial_max_streams_bidi: 100,
        initial_max_streams_uni: 3,
        ack_delay_exponent: 10,
        max_ack_delay: 24,
        disable_active_migration: true,
        preferred_address: Some(PreferredAddress {
            ipv4: Some("192.0.2.1:443".parse().unwrap()),
            ipv6: Some("[2001:db8::1]:8443".parse().unwrap()),
            id: connection_id(&[3; 20]),
            reset_token: ResetToken([4; 16]),
        }),
        active_connection_id_limit: 4,
        initial_source_connection_id: Some(connection_id(&[5; 8])),
        retry_source_connection_id: Some(ConnectionId::EMPTY),
        max_datagram_frame_size: Some(65_535),
        grease_quic_bit: true,
        version_information: Some(VersionInformation {
            chosen: Version::V1,
            available: vec![Version::V2, Version::V1, Version(0x1a2a_3a4a)],
        }),
        unknown: vec![(0x3127, vec![7; 3]), (27, vec![])],
    }
}

/// All that the parameters say, tokens included.
fn said(parameters: &TransportParameters) -> alloc::string::String {
    let tokens =
        (parameters.stateless_reset_token.map(|token| token.0), parameters.preferred_address.map(|a| a.reset_token.0));
    format!("{parameters:?} {tokens:?}")
}

/// The identifiers in an extension, in its order.
fn ids(bytes: &[u8]) -> Vec<u64> {
    let mut reader = Reader::new(bytes);
    let mut ids = vec![];
    while !reader.is_empty() {
        ids.push(reader.varint().unwrap());
        reader.prefixed().unwrap();
    }
    ids
}

#[test]
fn what_a_server_sends_comes_back() {
    let sent = full();
    let bytes = sent.encode(Side::Server, None);
    let read = TransportParameters::decode(&bytes, Side::Server).unwrap();
    assert_eq!(said(&read), said(&sent));
    assert_eq!(read.encode(Side::Server, None), bytes);
    let mut seen = ids(&bytes);
    seen.retain(|id| id::name(*id).is_some());
    seen.sort_unstable();
    assert_eq!(seen, id::KNOWN);
}

#[test]
fn a_client_does_not_send_what_only_servers_may() {
    let bytes = full().encode(Side::Client, None);
    let read = TransportParameters::decode(&bytes, Side::Client).unwrap();
    assert!(read.original_destination_connection_id.is_none() && read.stateless_reset_token.is_none());
    assert!(read.preferred_address.is_none() && read.retry_source_connection_id.is_none());
    assert_eq!(read.max_idle_timeout, 30_000);
}

#[test]
fn defaults_are_not_sent_and_hold_when_absent() {
    let sent = TransportParameters::default();
    assert_eq!(sent.encode(Side::Server, None), []);
    let read = TransportParameters::decode(&[], Side::Client).unwrap();
    assert_eq!(said(&read), said(&sent));
    // RFC 9000 §18.2.
    assert_eq!((read.max_udp_payload_size, read.ack_delay_exponent, read.max_ack_delay), (65_527, 3, 25));
    assert_eq!((read.active_connection_id_limit, read.max_idle_timeout), (2, 0));
    assert_eq!(read.max_datagram_frame_size, None);
}

#[test]
fn preferred_addresses_of_one_family_leave_the_other_zero() {
    let mut sent = full();
    let address = sent.preferred_address.as_mut().unwrap();
    address.ipv4 = None;
    let read = TransportParameters::decode(&sent.encode(Side::Server, None), Side::Server).unwrap();
    assert_eq!(said(&read), said(&sent));
    let address = sent.preferred_address.as_mut().unwrap();
    (address.ipv4, address.ipv6) = (Some("192.0.2.1:0".parse().unwrap()), None);
    let read = TransportParameters::decode(&sent.encode(Side::Server, None), Side::Server).unwrap();
    assert_eq!(said(&read), said(&sent));
}

#[test]
fn each_broken_rule_names_its_parameter() {
    let above = (1 << 60) + 1;
    let versions = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_be_bytes()).collect() };
    let table = [
        // RFC 9000 §18.2: only from servers; h3spec 4 to 7.
        (Side::Client, "original_destination_connection_id", parameter(0x00, &[1; 8])),
        (Side::Client, "stateless_reset_token", parameter(0x02, &[1; 16])),
        (Side::Client, "preferred_address", parameter(0x0d, &preferred(4, 20))),
        (Side::Client, "retry_source_connection_id", parameter(0x10, &[1; 8])),
        // Values out of range; h3spec 8 to 10.
        (Side::Client, "max_udp_payload_size", integer(0x03, 1199)),
        (Side::Client, "max_udp_payload_size", integer(0x03, 0)),
        (Side::Client, "initial_max_streams_bidi", integer(0x08, above)),
        (Side::Client, "initial_max_streams_uni", integer(0x09, above)),
        (Side::Client, "ack_delay_exponent", integer(0x0a, 21)),
        (Side::Client, "ack_delay_exponent", integer(0x0a, 256)),
        (Side::Client, "max_ack_delay", integer(0x0b, 1 << 14)),
        (Side::Client, "active_connection_id_limit", integer(0x0e, 0)),
        (Side::Client, "active_connection_id_limit", integer(0x0e, 1)),
        // Values of the wrong length.
        (Side::Client, "max_idle_timeout", parameter(0x01, &[])),
        (Side::Client, "max_idle_timeout", parameter(0x01, &[0x40])),
        (Side::Client, "max_idle_timeout", parameter(0x01, &[1, 1])),
        (Side::Client, "initial_max_data", parameter(0x04, &[0xc0, 0, 0, 0, 0, 0, 0])),
        (Side::Client, "max_datagram_frame_size", parameter(0x20, &[0, 0])),
        (Side::Client, "disable_active_migration", parameter(0x0c, &[0])),
        (Side::Client, "grease_quic_bit", parameter(0x2ab2, &[1])),
        (Side::Client, "initial_source_connection_id", parameter(0x0f, &[1; 21])),
        (Side::Server, "original_destination_connection_id", parameter(0x00, &[1; 21])),
        (Side::Server, "retry_source_connection_id", parameter(0x10, &[1; 21])),
        (Side::Server, "stateless_reset_token", parameter(0x02, &[1; 15])),
        (Side::Server, "stateless_reset_token", parameter(0x02, &[1; 17])),
        // Preferred addresses.
        (Side::Server, "preferred_address", parameter(0x0d, &[])),
        (Side::Server, "preferred_address", parameter(0x0d, &preferred(0, 16))),
        (Side::Server, "preferred_address", parameter(0x0d, &preferred(21, 37))),
        (Side::Server, "preferred_address", parameter(0x0d, &preferred(4, 19))),
        (Side::Server, "preferred_address", parameter(0x0d, &preferred(4, 21))),
        (Side::Server, "preferred_address", [parameter(0x0d, &preferred(4, 20)), parameter(0x0f, &[])].concat()),
        // RFC 9368 §4.
        (Side::Server, "version_information", parameter(0x11, &[])),
        (Side::Server, "version_information", parameter(0x11, &[0, 0, 0, 1, 0])),
        (Side::Server, "version_information", parameter(0x11, &versions(&[0, 1]))),
        (Side::Server, "version_information", parameter(0x11, &versions(&[1, 1, 0]))),
        (Side::Client, "version_information", parameter(0x11, &versions(&[1]))),
        (Side::Client, "version_information", parameter(0x11, &versions(&[1, 2]))),
        // RFC 9000 §7.4.
        (Side::Client, "max_idle_timeout", [integer(0x01, 1), integer(0x01, 1)].concat()),
        (Side::Client, "grease_quic_bit", [parameter(0x2ab2, &[]), parameter(0x2ab2, &[])].concat()),
        // The extension ends within a parameter.
        (Side::Client, "max_idle_timeout", vec![0x01]),
        (Side::Client, "max_idle_timeout", vec![0x01, 0x40]),
        (Side::Client, "max_idle_timeout", vec![0x01, 2, 1]),
    ];
    assert_eq!(ParameterError::CODE, TransportErrorCode(0x8));
    for (side, name, bytes) in table {
        let error = TransportParameters::decode(&bytes, side).unwrap_err();
        assert_eq!(error.parameter(), Some(name), "{error} {bytes:x?}");
        assert!(error.to_string().starts_with(name));
    }
}

#[test]
fn errors_of_no_known_parameter_say_what_they_can() {
    let twice = [parameter(0x1234, &[1]), integer(0x01, 1), parameter(0x1234, &[2])].concat();
    let error = TransportParameters::decode(&twice, Side::Client).unwrap_err();
    assert_eq!((error.id, error.parameter()), (Some(0x1234), None));
    assert_eq!(error.to_string(), "transport parameter 0x1234: sent more than once");
    let error = TransportParameters::decode(&[0x40], Side::Client).unwrap_err();
    assert_eq!((error.id, error.to_string().starts_with("transport parameters")), (None, true));
    let error = TransportParameters::decode(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Side::Client);
    assert_eq!(error.unwrap_err().id, Some(1));
}

#[test]
fn what_is_just_within_the_limits_is_accepted() {
    let bytes = [
        integer(0x03, 1200),
        integer(0x08, 1 << 60),
        integer(0x09, 1 << 60),
        integer(0x0a, 20),
        integer(0x0b, (1 << 14) - 1),
        integer(0x0e, 2),
        parameter(0x0f, &[1; 20]),
        // Integers need not be in their shortest encoding.
        parameter(0x01, &[0x40, 0x01]),
        integer(0x20, 0),
    ]
    .concat();
    let read = TransportParameters::decode(&bytes, Side::Client).unwrap();
    assert_eq!((read.max_udp_payload_size, read.ack_delay_exponent, read.max_ack_delay), (1200, 20, 16_383));
    assert_eq!((read.initial_max_streams_bidi, read.initial_max_streams_uni), (1 << 60, 1 << 60));
    assert_eq!((read.max_idle_timeout, read.max_datagram_frame_size), (1, None));
    // A server may have stopped to offer what it chose, and may offer nothing (RFC 9368 §3).
    let read = TransportParameters::decode(&parameter(0x11, &[0, 0, 0, 1]), Side::Server).unwrap();
    assert_eq!(read.version_information, Some(VersionInformation { chosen: Version::V1, available: vec![] }));
}

#[test]
fn sixty_four_parameters_are_accepted_and_one_more_is_not() {
    let many = |count: u64| -> Vec<u8> { (0..count).flat_map(|index| parameter(0x100 + index, &[])).collect() };
    let read = TransportParameters::decode(&many(64), Side::Client).unwrap();
    assert_eq!(read.unknown.len(), 64);
    assert!(TransportParameters::decode(&many(65), Side::Client).is_err());
}

#[test]
fn four_kilobytes_are_accepted_and_one_byte_more_is_not() {
    // Two bytes of identifier and two of length.
    let large = |size: usize| parameter(0x100, &vec![0; size - 4]);
    assert_eq!(TransportParameters::decode(&large(MAX_SIZE), Side::Client).unwrap().unknown[0].1.len(), MAX_SIZE - 4);
    assert!(TransportParameters::decode(&large(MAX_SIZE + 1), Side::Client).is_err());
}

#[test]
fn greasing_adds_a_reserved_parameter_and_changes_the_order() {
    let sent = full();
    let plain = ids(&sent.encode(Side::Server, None));
    let mut orders = vec![];
    for seed in 0..100 {
        let bytes = sent.encode(Side::Server, Some(Grease { seed }));
        let order = ids(&bytes);
        assert_eq!(order.len(), plain.len() + 1);
        let added = *order.iter().find(|id| !plain.contains(id)).unwrap();
        assert_eq!(added % 31, 27);
        assert!(added <= VarInt::MAX.into_inner());
        let mut read = TransportParameters::decode(&bytes, Side::Server).unwrap();
        read.unknown.retain(|(id, _)| *id != added);
        read.unknown.sort_by_key(|(id, _)| core::cmp::Reverse(*id));
        assert_eq!(said(&read), said(&sent));
        assert_eq!(bytes, sent.encode(Side::Server, Some(Grease { seed })));
        orders.push(order.into_iter().filter(|id| *id != added).collect::<Vec<_>>());
    }
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 100);
}

/// Bytes that often look like parameters.
fn extensions() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![proptest::sample::select(id::KNOWN), 0_u64..1 << 62];
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8),
        (0_u8..0x40).prop_map(|byte| vec![byte]),
        proptest::collection::vec(any::<u8>(), 16..70),
    ];
    let parameters = proptest::collection::vec((id, value).prop_map(|(id, value)| parameter(id, &value)), 0..12);
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), parameters.prop_map(|parts| parts.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in extensions(), server: bool, seed: u64) {
        let side = if server { Side::Server } else { Side::Client };
        if let Ok(read) = TransportParameters::decode(&bytes, side) {
            // What was read can be sent, and says the same when it is read again.
            let again = TransportParameters::decode(&read.encode(side, None), side);
            prop_assert_eq!(again.map(|again| said(&again)), Ok(said(&read)));
            let greased = read.encode(side, Some(Grease { seed }));
            prop_assert!(TransportParameters::decode(&greased, side).is_ok());
        }
    }

    #[test]
    fn numbers_come_back(numbers in proptest::array::uniform7(0_u64..1 << 62), small in proptest::array::uniform4(0_u64..1 << 14)) {
        let [idle, data, local, remote, uni, limit, size] = numbers;
        let [streams, exponent, delay, datagram] = small;
        let sent = TransportParameters {
            max_idle_timeout: idle,
            initial_max_data: data,
            initial_max_stream_data_bidi_local: local,
            initial_max_stream_data_bidi_remote: remote,
            initial_max_stream_data_uni: uni,
            active_connection_id_limit: limit.max(2),
            max_udp_payload_size: size.max(1200),
            initial_max_streams_bidi: streams,
            initial_max_streams_uni: streams << 46,
            ack_delay_exponent: (exponent % 21) as u8,
            max_ack_delay: delay,
            max_datagram_frame_size: (datagram > 0).then_some(datagram),
            ..TransportParameters::default()
        };
        let read = TransportParameters::decode(&sent.encode(Side::Client, None), Side::Client);
        prop_assert_eq!(read.map(|read| said(&read)), Ok(said(&sent)));
    }
}
