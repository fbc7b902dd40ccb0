//! Transport parameters (RFC 9000 §7.3, §7.4, §18; RFC 9368 §4), as bytes that no encoder of ours would write.

use codec::frame::Frame;
use codec::{ConnectionId, Side, TransportErrorCode, Version};
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;

use crate::impostor::{Impostor, Parameters};
use crate::support::*;

/// An established connection with a puppet whose connection ids are empty.
pub(crate) fn without_ids(victim: Side) -> Puppet {
    let mut puppet = Puppet::with_parameters(&Settings::new(1), victim, Stage::Start, |own| {
        own.initial_source_connection_id = Some(ConnectionId::EMPTY);
    });
    puppet.source = ConnectionId::EMPTY;
    puppet.finish_handshake();
    if victim.is_client() {
        puppet.say(SpaceId::Application, &[Frame::HandshakeDone]);
    }
    puppet.acknowledge_all();
    assert!(puppet.victim().was_confirmed(), "not confirmed: {}", puppet.victim().ending());
    puppet
}

/// What the victim makes of these parameters.
#[track_caller]
fn judged(victim: Side, code: Option<TransportErrorCode>, change: impl FnOnce(&mut Parameters)) {
    let mut impostor = Impostor::new(&Settings::new(1), victim, change);
    if code.is_none() && victim.is_client() {
        // As far as the parameters; what comes after would have to be answered.
        impostor.keep_encrypted_extensions();
    }
    let mut puppet = impostor.say();
    match code {
        Some(code) => assert_closed(&mut puppet, code),
        None => assert_eq!(puppet.victim().ending(), "open", "at the {victim:?}"),
    }
}

/// Negative cases: `name(victims) => changes of the parameters`, all of them TRANSPORT_PARAMETER_ERROR.
macro_rules! refuses {
    ($( $(#[$meta:meta])* $name:ident($($victim:ident),+) => $change:expr; )*) => { $(
        $(#[$meta])*
        #[test]
        fn $name() {
            let change: fn(&mut Parameters) = $change;
            for victim in [$(Side::$victim),+] {
                judged(victim, Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR), change);
            }
        }
    )* };
}

/// The same for what must be accepted.
macro_rules! accepts {
    ($( $(#[$meta:meta])* $name:ident($($victim:ident),+) => $change:expr; )*) => { $(
        $(#[$meta])*
        #[test]
        fn $name() {
            let change: fn(&mut Parameters) = $change;
            for victim in [$(Side::$victim),+] {
                judged(victim, None, change);
            }
        }
    )* };
}

/// A preferred address with this connection id.
fn preferred(id: &[u8]) -> Vec<u8> {
    join(&[&[10, 20, 0, 2, 0x11, 0x51], &[0; 16], &[0; 2], &[id.len() as u8], id, &[0x77; 16]])
}

refuses! {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.3
    //= type=test
    //# An endpoint MUST treat the absence of the
    //# initial_source_connection_id transport parameter from either endpoint or the
    //# absence of the original_destination_connection_id transport parameter from the
    //# server as a connection error of type TRANSPORT_PARAMETER_ERROR.
    initial_source_connection_id_is_missing(Client, Server) => |own| own.remove(0x0f);
    original_destination_connection_id_is_missing(Client) => |own| own.remove(0x00);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.3
    //= type=test
    //# An endpoint MUST treat the following as a connection error of type
    //# TRANSPORT_PARAMETER_ERROR or PROTOCOL_VIOLATION:
    initial_source_connection_id_is_another(Client, Server) => |own| own.set(0x0f, &[0xc2; 8]);
    initial_source_connection_id_is_a_part(Client, Server) => |own| own.set(0x0f, &[0xc1; 7]);
    initial_source_connection_id_is_empty(Client, Server) => |own| own.set(0x0f, &[]);
    original_destination_connection_id_is_another(Client) => |own| own.set(0x00, &[0xc2; 8]);
    original_destination_connection_id_is_empty(Client) => |own| own.set(0x00, &[]);
    retry_source_connection_id_without_a_retry(Client) => |own| own.add(0x10, &[0xc2; 8]);
    retry_source_connection_id_without_a_retry_and_empty(Client) => |own| own.add(0x10, &[]);

    //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
    //= type=test
    //# A client MUST NOT include any server-only transport parameter:
    //# original_destination_connection_id, preferred_address,
    //# retry_source_connection_id, or stateless_reset_token. A server MUST treat receipt
    //# of any of these transport parameters as a connection error of type
    //# TRANSPORT_PARAMETER_ERROR.
    a_client_sends_original_destination_connection_id(Server) => |own| own.add(0x00, &[1; 8]);
    a_client_sends_stateless_reset_token(Server) => |own| own.add(0x02, &[1; 16]);
    a_client_sends_preferred_address(Server) => |own| own.add(0x0d, &preferred(&[1; 8]));
    a_client_sends_retry_source_connection_id(Server) => |own| own.add(0x10, &[1; 8]);

    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.4
    //= type=test
    //# An endpoint SHOULD treat receipt of
    //# duplicate transport parameters as a connection error of type
    //# TRANSPORT_PARAMETER_ERROR.
    initial_max_data_twice(Client, Server) => |own| own.add(0x04, &varint(1 << 20));
    initial_source_connection_id_twice(Client, Server) => |own| own.add(0x0f, &[0xc1; 8]);
    an_unknown_parameter_twice(Client, Server) => |own| {
        own.add(0x7777, &[1]);
        own.add(0x7777, &[2]);
    };
    a_flag_twice(Client, Server) => |own| {
        own.add(0x0c, &[]);
        own.add(0x0c, &[]);
    };

    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.4
    //= type=test
    //# An endpoint MUST treat receipt of a transport parameter with an invalid value
    //# as a connection error of type TRANSPORT_PARAMETER_ERROR.
    max_udp_payload_size_of_1090(Client, Server) => |own| own.set(0x03, &varint(1090));
    max_udp_payload_size_of_1199(Client, Server) => |own| own.set(0x03, &varint(1199));
    max_udp_payload_size_of_0(Client, Server) => |own| own.set(0x03, &varint(0));
    ack_delay_exponent_of_21(Client, Server) => |own| own.set(0x0a, &varint(21));
    ack_delay_exponent_of_30(Client, Server) => |own| own.set(0x0a, &varint(30));
    ack_delay_exponent_of_the_largest_integer(Client, Server) => |own| own.set(0x0a, &varint(MAXIMUM));
    max_ack_delay_of_2_to_the_14(Client, Server) => |own| own.set(0x0b, &varint(1 << 14));
    max_ack_delay_of_2_to_the_15(Client, Server) => |own| own.set(0x0b, &varint(1 << 15));
    active_connection_id_limit_of_0(Client, Server) => |own| own.set(0x0e, &varint(0));
    active_connection_id_limit_of_1(Client, Server) => |own| own.set(0x0e, &varint(1));
    // A maximum stream id that no variable-length integer can express (§4.6).
    initial_max_streams_bidi_beyond_2_to_the_60(Client, Server) => |own| own.set(0x08, &varint((1 << 60) + 1));
    initial_max_streams_uni_beyond_2_to_the_60(Client, Server) => |own| own.set(0x09, &varint((1 << 60) + 1));
    stateless_reset_token_of_15_bytes(Client) => |own| own.add(0x02, &[1; 15]);
    stateless_reset_token_of_17_bytes(Client) => |own| own.add(0x02, &[1; 17]);
    disable_active_migration_with_a_value(Client, Server) => |own| own.add(0x0c, &[0]);
    a_connection_id_of_21_bytes(Client, Server) => |own| own.set(0x0f, &[0xc1; 21]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
    //= type=test
    //# A server that chooses
    //# a zero-length connection ID MUST NOT provide a preferred address.
    preferred_address_with_an_empty_id(Client) => |own| own.add(0x0d, &preferred(&[]));
    preferred_address_with_an_id_of_21_bytes(Client) => |own| own.add(0x0d, &preferred(&[1; 21]));
    preferred_address_that_ends_early(Client) => |own| own.add(0x0d, &preferred(&[1; 8])[..40]);
    preferred_address_that_goes_on(Client) => |own| own.add(0x0d, &join(&[&preferred(&[1; 8]), &[0]]));
    an_empty_integer(Client, Server) => |own| own.set(0x04, &[]);
    an_integer_that_ends_early(Client, Server) => |own| own.set(0x04, &[0x80, 0]);
    an_integer_that_goes_on(Client, Server) => |own| own.set(0x04, &[5, 0]);
    max_idle_timeout_that_goes_on(Client, Server) => |own| own.set(0x01, &[5, 0]);

    // ── Version information (RFC 9368) ───────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //= type=test
    //# If an endpoint
    //# receives a Chosen Version equal to zero, or any Available Version equal to zero,
    //# it MUST treat it as a parsing failure.
    a_chosen_version_of_zero(Client, Server) => |own| own.set(0x11, &[0, 0, 0, 0, 0, 0, 0, 1]);
    an_available_version_of_zero(Client, Server) => |own| own.set(0x11, &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    version_information_of_half_a_version(Client, Server) => |own| own.set(0x11, &[0, 0, 0, 1, 0, 0]);
    version_information_of_nothing(Client, Server) => |own| own.set(0x11, &[]);
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //= type=test
    //# If a server receives Version
    //# Information where the Chosen Version is not included in Available Versions, it
    //# MUST treat it as a parsing failure.
    a_clients_chosen_version_that_is_not_available(Server) => |own| own.set(0x11, &[0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf]);
}

accepts! {
    parameters_with_nothing_special(Client, Server) => |_| {};
    values_at_the_ends_of_their_ranges(Client, Server) => |own| {
        own.set(0x03, &varint(1200));
        own.set(0x08, &varint(1 << 60));
        own.set(0x09, &varint(1 << 60));
        own.set(0x0a, &varint(20));
        own.set(0x0b, &varint((1 << 14) - 1));
        own.set(0x0e, &varint(2));
        own.set(0x04, &varint(MAXIMUM));
        own.set(0x01, &varint(MAXIMUM));
    };
    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.4.2
    //= type=test
    //# An endpoint MUST ignore transport parameters that it does not support.
    parameters_that_are_unknown(Client, Server) => |own| {
        own.add(0x1b, &[1, 2, 3]);
        own.add(27 + 31 * 1000, &[0; 100]);
        own.add(MAXIMUM, &[]);
    };
    integers_longer_than_they_need_to_be(Client, Server) => |own| own.set(0x04, &[0xc0, 0, 0, 0, 0, 0, 0, 5]);
    a_servers_own_parameters(Client) => |own| {
        own.add(0x02, &[1; 16]);
        own.add(0x0d, &preferred(&[1; 8]));
    };
    the_version_in_use(Client, Server) => |own| own.set(0x11, &[0, 0, 0, 1, 0, 0, 0, 1]);
}

//= https://www.rfc-editor.org/rfc/rfc9368#section-4
//= type=test
//# If the two differ, the
//# server MUST close the connection with a version negotiation error.
#[test]
fn a_chosen_version_that_is_not_in_use_is_a_version_negotiation_error() {
    for victim in SIDES {
        judged(victim, Some(TransportErrorCode::VERSION_NEGOTIATION_ERROR), |own| {
            own.set(
                0x11,
                &join(&[&Version::V2.0.to_be_bytes(), &Version::V1.0.to_be_bytes(), &Version::V2.0.to_be_bytes()]),
            );
        });
    }
}

#[test]
fn more_parameters_than_anybody_needs_are_refused() {
    for victim in SIDES {
        judged(victim, Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR), |own| {
            for id in 0..100 {
                own.add(0x4000 + id, &[]);
            }
        });
        judged(victim, Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR), |own| own.add(0x4000, &[0; 5000]));
    }
}

#[test]
fn parameters_that_end_within_one_are_refused() {
    for victim in SIDES {
        // The last parameter claims one byte more than there is.
        let impostor = Impostor::new(&Settings::new(1), victim, |own| own.add(0x4001, &[1, 2, 3]));
        let mut impostor = impostor.edit(|extensions| {
            let (_, parameters) = extensions.iter_mut().find(|(id, _)| *id == 0x39).unwrap();
            parameters.pop();
        });
        if victim.is_client() {
            impostor.keep_encrypted_extensions();
        }
        let mut puppet = impostor.say();
        assert_closed(&mut puppet, TransportErrorCode::TRANSPORT_PARAMETER_ERROR);
    }
}
