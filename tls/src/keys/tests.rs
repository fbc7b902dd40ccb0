use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::TAG_LENGTH;
use crate::development::key_rings;
use crate::error::{OpenError, SealError};
use crate::protection;
use crate::rustls::{Secrets, public_keys};
use crate::stopwatch::Stopwatch;

const NUMBER_OFFSET: usize = 9;
const PTO: Duration = Duration::from_millis(100);

/// One end, with as much of a connection as the keys need.
struct End {
    ring: KeyRing,
    next: u64,
    expected: u64,
    now: Time,
}

impl End {
    fn new(mut ring: KeyRing) -> Self {
        ring.set_pto(PTO);
        Self { ring, next: 0, expected: 0, now: Time::ZERO }
    }

    fn pair() -> (Self, Self) {
        let (client, server) = key_rings(Version::V1, 7);
        (Self::new(client), Self::new(server))
    }

    /// A client with the same keys as that of [`Self::pair`], as a peer that forgets to update them.
    fn stubborn_client() -> Self {
        Self::pair().0
    }

    fn send(&mut self) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        self.send_number(number)
    }

    fn send_number(&mut self, number: u64) -> Vec<u8> {
        let mut packet = short_packet(number, self.ring.key_phase(), &payload(number));
        self.ring.seal(Level::OneRtt, number, &mut packet, NUMBER_OFFSET, NUMBER_OFFSET + 4).unwrap();
        packet
    }

    fn receive(&mut self, packet: &[u8]) -> Result<Opened, OpenError> {
        let mut packet = packet.to_vec();
        let opened = self.ring.open(Level::OneRtt, &mut packet, NUMBER_OFFSET, self.expected, self.now)?;
        assert_eq!(&packet[opened.payload()], payload(opened.number));
        self.expected = self.expected.max(opened.number + 1);
        Ok(opened)
    }

    /// Sends to `peer`, which receives and acknowledges.
    fn exchange(&mut self, peer: &mut Self) {
        let packet = self.send();
        let number = peer.receive(&packet).unwrap().number;
        let acknowledgement = peer.send();
        self.receive(&acknowledgement).unwrap();
        self.ring.on_acknowledged(number);
    }

    /// Updates keys without asking whether it may.
    fn force_update(&mut self) {
        let one_rtt = self.ring.one_rtt.as_mut().unwrap();
        one_rtt.derive_next();
        one_rtt.rotate();
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.ring.on_tick(self.now);
    }
}

fn payload(number: u64) -> [u8; 24] {
    let mut payload = [0x5a; 24];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload
}

fn short_packet(number: u64, key_phase: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x43 | u8::from(key_phase) << 2];
    packet.extend([0xc1; 8]);
    packet.extend(&number.to_be_bytes()[4..]);
    packet.extend(payload);
    packet.extend([0; TAG_LENGTH]);
    packet
}

fn hexadecimal<const N: usize>(digits: &str) -> [u8; N] {
    let bytes = (0..N).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
    bytes.collect::<Vec<_>>().try_into().unwrap()
}

/// RFC 9001 appendix A.5, RFC 9369 appendix A.5.
fn chacha20_poly1305_vector(key: &str, iv: &str, header_key: &str, protected: &str) {
    let keys = || DirectionalKeys::chacha20_poly1305(hexadecimal(key), hexadecimal(iv), hexadecimal(header_key));
    let mut packet = [0; 21];
    packet[..5].copy_from_slice(&hexadecimal::<5>("4200bff401"));
    let number = 654_360_564;
    protection::seal(&keys().header, &keys().packet, number, &mut packet, 1, 4, &mut Stopwatch::default().seal())
        .unwrap();
    assert_eq!(packet, hexadecimal(protected));

    let opened = protection::open(&keys(), &mut packet, 1, number, &mut Stopwatch::default().open()).unwrap();
    assert_eq!((opened.number, opened.payload_offset), (number, 4));
    assert_eq!(packet[..5], hexadecimal::<5>("4200bff401"));
}

#[test]
fn rfc9001_a5_chacha20_poly1305_short_header_packet() {
    chacha20_poly1305_vector(
        "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8",
        "e0459b3474bdd0e44a41c144",
        "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
        "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
    );
}

#[test]
fn rfc9369_a5_chacha20_poly1305_short_header_packet() {
    chacha20_poly1305_vector(
        "3bfcddd72bcf02541d7fa0dd1f5f9eeea817e09a6963a0e6c7df0f9a1bab90f2",
        "a6b5bc6ab7dafce30ffff5dd",
        "d659760d2ba434a226fd37b35c69e2da8211d10c4f12538787d65645d5d1b8e2",
        "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba",
    );
}

proptest! {
    #[test]
    fn what_is_sealed_comes_back(
        long in any::<bool>(),
        id_length in 0_usize..20,
        number in 0_u64..1 << 62,
        length in 1_usize..=4,
        extra in prop::collection::vec(any::<u8>(), 0..1300),
    ) {
        let (mut client, mut server) = key_rings(Version::V2, number);
        let mut packet = vec![if long { 0xc0 } else { 0x40 } | (length - 1) as u8];
        packet.resize(1 + id_length, 0xaa);
        packet.extend(&number.to_be_bytes()[8 - length..]);
        let payload_offset = packet.len();
        packet.extend([1; 3]);
        packet.extend(&extra);
        let plain = packet.clone();
        packet.extend([0; TAG_LENGTH]);

        client.seal(Level::OneRtt, number, &mut packet, 1 + id_length, payload_offset).unwrap();
        prop_assert_ne!(&packet[payload_offset..plain.len()], &plain[payload_offset..]);
        let opened = server.open(Level::OneRtt, &mut packet, 1 + id_length, number, Time::ZERO).unwrap();
        prop_assert_eq!(opened.number, number);
        prop_assert_eq!(opened.payload(), payload_offset..plain.len());
        prop_assert_eq!(&packet[..plain.len()], &plain[..]);
    }

    #[test]
    fn arbitrary_bytes_are_undecryptable_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        offset in prop_oneof![0_usize..90, Just(usize::MAX)],
        expected in any::<u64>(),
        updated in any::<bool>(),
    ) {
        let (_, mut server) = End::pair();
        if updated {
            server.force_update();
        }
        for level in [Level::Initial, Level::OneRtt] {
            let mut ring = if level == Level::Initial {
                KeyRing::new(Side::Server, Version::V1, &ConnectionId::EMPTY)
            } else {
                core::mem::replace(&mut server.ring, KeyRing::new(Side::Server, Version::V1, &ConnectionId::EMPTY))
            };
            let mut packet = bytes.clone();
            let expected = expected & ((1 << 62) - 1);
            prop_assert_eq!(ring.open(level, &mut packet, offset, expected, Time::ZERO), Err(OpenError::Undecryptable));
            if let Some(last) = bytes.last_chunk::<16>() {
                prop_assert_eq!(packet.last_chunk::<16>(), Some(last));
            }
            prop_assert_eq!(ring.counters().open_failures[level.index()], 1);
        }
    }
}

#[test]
fn a_packet_with_any_byte_changed_is_undecryptable_and_changes_nothing() {
    for updated in [false, true] {
        let (mut client, mut server) = End::pair();
        if updated {
            client.exchange(&mut server);
            client.ring.initiate_key_update(Time::ZERO).unwrap();
        }
        let packet = client.send();
        for index in 0..packet.len() {
            for bit in 0..8 {
                let mut changed = packet.clone();
                changed[index] ^= 1 << bit;
                let mut opened = changed.clone();
                let result = server.ring.open(Level::OneRtt, &mut opened, NUMBER_OFFSET, server.expected, Time::ZERO);
                assert_eq!(result, Err(OpenError::Undecryptable), "byte {index}, bit {bit}");
                // A stateless reset token may be there.
                assert_eq!(opened.last_chunk::<16>(), changed.last_chunk());
            }
        }
        assert_eq!(server.ring.counters().open_failures[Level::OneRtt.index()], 8 * packet.len() as u64);
        assert!(!server.ring.key_phase());
        assert_eq!(server.receive(&packet).unwrap().key_phase_changed, updated);
    }
}

#[test]
fn reserved_bits_that_are_not_zero_close_the_connection_only_if_authentic() {
    for bits in [0x08, 0x10, 0x18] {
        let (mut client, mut server) = End::pair();
        let mut packet = short_packet(0, false, &payload(0));
        packet[0] |= bits;
        client.ring.seal(Level::OneRtt, 0, &mut packet, NUMBER_OFFSET, NUMBER_OFFSET + 4).unwrap();
        let error = server.receive(&packet).unwrap_err();
        assert_eq!(error, OpenError::ReservedBits);
        assert_eq!(error.close_code(), Some(codec::TransportErrorCode::PROTOCOL_VIOLATION));
        packet[20] ^= 1;
        assert_eq!(server.receive(&packet).unwrap_err().close_code(), None);
    }
    for bits in [0x04, 0x08, 0x0c] {
        let mut client = KeyRing::new(Side::Client, Version::V1, &ConnectionId::EMPTY);
        let mut server = KeyRing::new(Side::Server, Version::V1, &ConnectionId::EMPTY);
        let mut packet = [0; 40];
        packet[0] = 0xc0 | bits;
        client.seal(Level::Initial, 0, &mut packet, 7, 8).unwrap();
        assert_eq!(server.open(Level::Initial, &mut packet, 7, 0, Time::ZERO), Err(OpenError::ReservedBits));
    }
}

#[test]
fn a_packet_without_room_for_sample_or_tag_is_not_sealed() {
    let (mut client, _) = key_rings(Version::V1, 1);
    for (length, number_offset, payload_offset) in
        [(19, 0, 1), (20, 1, 2), (40, 0, 1), (40, 9, 9), (40, 9, 14), (18, 1, 4)]
    {
        let mut packet = vec![0; length];
        let result = client.seal(Level::OneRtt, 0, &mut packet, number_offset, payload_offset);
        assert_eq!(result, Err(SealError::Malformed), "{length} {number_offset} {payload_offset}");
        assert_eq!(packet, vec![0; length]);
    }
    assert_eq!(client.seal(Level::OneRtt, 0, &mut [0; 21], 1, 2), Ok(()));
}

#[test]
fn levels_without_keys_leave_the_packet_alone() {
    let mut ring = KeyRing::new(Side::Client, Version::V1, &ConnectionId::EMPTY);
    for level in [Level::ZeroRtt, Level::Handshake, Level::OneRtt] {
        assert!(!ring.can_open(level) && !ring.can_seal(level) && !ring.is_discarded(level));
        let mut packet = [7; 60];
        assert_eq!(ring.open(level, &mut packet, 9, 0, Time::ZERO), Err(OpenError::KeysUnavailable));
        assert_eq!(ring.seal(level, 0, &mut packet, 9, 11), Err(SealError::KeysUnavailable));
        assert_eq!(packet, [7; 60]);
    }
    assert!(ring.can_open(Level::Initial) && ring.can_seal(Level::Initial));
    ring.discard(Level::Initial);
    assert!(!ring.can_open(Level::Initial) && !ring.can_seal(Level::Initial) && ring.is_discarded(Level::Initial));
    assert_eq!(*ring.counters(), Counters::default());
}

#[test]
fn a_retry_changes_the_initial_keys() {
    let [first, second] = [[1; 8], [2; 8]].map(|bytes| ConnectionId::new(&bytes).unwrap());
    let mut client = KeyRing::new(Side::Client, Version::V1, &first);
    let mut server = KeyRing::new(Side::Server, Version::V1, &second);
    let seal = |client: &mut KeyRing| {
        let mut packet = [0; 60];
        packet[0] = 0xc0;
        client.seal(Level::Initial, 0, &mut packet, 20, 21).unwrap();
        packet
    };
    let result = server.open(Level::Initial, &mut seal(&mut client), 20, 0, Time::ZERO);
    assert_eq!(result, Err(OpenError::Undecryptable));
    client.set_initial(&second);
    assert!(server.open(Level::Initial, &mut seal(&mut client), 20, 0, Time::ZERO).is_ok());
}

#[test]
fn a_server_opens_no_1_rtt_packet_before_its_handshake_is_complete() {
    let (mut client, _) = End::pair();
    let packet = client.send();
    let mut server = KeyRing::new(Side::Server, Version::V1, &ConnectionId::EMPTY);
    let keys = public_keys(Side::Server, Version::V1, 7, 0);
    let next = Secrets::Public { side: Side::Server, version: Version::V1, seed: 7, generation: 1 };
    server.install(KeyChange(NewKeys::OneRtt { keys, next }));
    assert!(server.can_seal(Level::OneRtt));
    assert_eq!(
        server.open(Level::OneRtt, &mut packet.clone(), NUMBER_OFFSET, 0, Time::ZERO),
        Err(OpenError::KeysUnavailable)
    );
    assert_eq!(server.initiate_key_update(Time::ZERO), Err(KeyUpdateError::NotConfirmed));
    server.on_handshake_confirmed();
    assert!(server.open(Level::OneRtt, &mut packet.clone(), NUMBER_OFFSET, 0, Time::ZERO).is_ok());
}

#[test]
fn a_key_update_is_answered_once_and_goes_both_ways() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    client.ring.initiate_key_update(client.now).unwrap();
    assert!(client.ring.key_phase() && !server.ring.key_phase());

    // What the server sent before it heard of the update still opens.
    let late = server.send();
    let opened = client.receive(&late).unwrap();
    assert!(opened.previous_keys && !opened.key_phase_changed);

    let first = client.send();
    let second = client.send();
    assert!(server.receive(&second).unwrap().key_phase_changed);
    assert!(server.ring.key_phase());
    for packet in [&first, &second, &first] {
        let opened = server.receive(packet).unwrap();
        assert!(!opened.key_phase_changed && !opened.previous_keys);
    }
    let answer = server.send();
    let opened = client.receive(&answer).unwrap();
    assert!(!opened.key_phase_changed && !opened.previous_keys);
    assert_eq!((client.ring.key_updates(), server.ring.key_updates()), ((1, 0), (0, 1)));

    // Now the server, when its time has come.
    for end in [&mut client, &mut server] {
        end.wait(PTO * 3);
    }
    server.exchange(&mut client);
    server.ring.initiate_key_update(server.now).unwrap();
    server.exchange(&mut client);
    assert!(!client.ring.key_phase() && !server.ring.key_phase());
    assert_eq!((client.ring.key_updates(), server.ring.key_updates()), ((1, 1), (1, 1)));
}

#[test]
fn both_ends_may_begin_the_same_update() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    server.exchange(&mut client);
    client.ring.initiate_key_update(client.now).unwrap();
    server.ring.initiate_key_update(server.now).unwrap();
    client.exchange(&mut server);
    server.exchange(&mut client);
    assert!(client.ring.key_phase() && server.ring.key_phase());
    assert_eq!((client.ring.key_updates(), server.ring.key_updates()), ((1, 0), (1, 0)));
}

#[test]
fn a_key_update_waits_for_acknowledgement_and_three_pto() {
    let (mut client, mut server) = End::pair();
    assert_eq!(client.ring.initiate_key_update(client.now), Err(KeyUpdateError::NotAcknowledged));
    client.exchange(&mut server);
    client.ring.initiate_key_update(client.now).unwrap();
    // Packet 0 was acknowledged, but of the phase before.
    client.ring.on_acknowledged(0);
    assert_eq!(client.ring.initiate_key_update(client.now), Err(KeyUpdateError::NotAcknowledged));
    client.exchange(&mut server);
    assert_eq!(client.ring.initiate_key_update(client.now), Err(KeyUpdateError::TooSoon));
    assert_eq!(client.ring.deadline(), Some(Time::ZERO + PTO * 3));
    client.wait(PTO * 3 - Duration::from_nanos(1));
    assert_eq!(client.ring.initiate_key_update(client.now), Err(KeyUpdateError::TooSoon));
    client.wait(Duration::from_nanos(1));
    assert_eq!(client.ring.deadline(), None);
    client.ring.initiate_key_update(client.now).unwrap();
    assert_eq!(
        KeyRing::new(Side::Client, Version::V1, &ConnectionId::EMPTY).initiate_key_update(Time::ZERO),
        Err(KeyUpdateError::KeysUnavailable)
    );
}

#[test]
fn previous_keys_open_late_packets_for_three_pto() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    let late: Vec<_> = (0..2).map(|_| client.send()).collect();
    client.ring.initiate_key_update(client.now).unwrap();
    let update = client.send();
    server.receive(&update).unwrap();
    server.wait(PTO * 3 - Duration::from_nanos(1));
    assert!(server.receive(&late[0]).unwrap().previous_keys);
    assert_eq!(server.ring.deadline(), Some(Time::ZERO + PTO * 3));
    // Without a tick: opening a packet looks at the time too.
    server.now += Duration::from_nanos(1);
    assert_eq!(server.receive(&late[1]), Err(OpenError::Undecryptable));
    assert_eq!(server.ring.deadline(), None);
}

#[test]
fn old_keys_above_new_ones_are_a_key_update_error() {
    for answered in [false, true] {
        let (mut client, mut server) = End::pair();
        client.exchange(&mut server);
        client.ring.initiate_key_update(client.now).unwrap();
        let numbers = [client.next, client.next + 3];
        for number in numbers {
            let packet = client.send_number(number);
            server.receive(&packet).unwrap();
        }
        if answered {
            server.send();
        }
        // Below, between and above the numbers of the new phase.
        let mut old = End::stubborn_client();
        let below = old.send_number(numbers[0] - 1);
        assert!(server.receive(&below).unwrap().previous_keys);
        for number in [numbers[0] + 1, numbers[1] + 1] {
            let packet = old.send_number(number);
            let error = server.receive(&packet).unwrap_err();
            assert_eq!(error, OpenError::KeyUpdate);
            assert_eq!(error.close_code(), Some(codec::TransportErrorCode::KEY_UPDATE_ERROR));
        }
    }
}

#[test]
fn the_key_phase_bit_must_be_that_of_the_keys() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    client.ring.initiate_key_update(client.now).unwrap();
    client.exchange(&mut server);
    let mut packet = short_packet(client.next, true, &payload(client.next));
    let old = &mut End::stubborn_client().ring;
    old.seal(Level::OneRtt, client.next, &mut packet, NUMBER_OFFSET, NUMBER_OFFSET + 4).unwrap();
    assert_eq!(server.receive(&packet), Err(OpenError::Undecryptable));
}

#[test]
fn new_keys_below_old_ones_are_a_key_update_error() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    let packet = client.send_number(10);
    server.receive(&packet).unwrap();
    client.force_update();
    let packet = client.send_number(9);
    assert_eq!(server.receive(&packet), Err(OpenError::KeyUpdate));
}

#[test]
fn a_second_update_before_the_first_was_answered_is_a_key_update_error() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    for is_permitted in [true, false] {
        client.force_update();
        let packet = client.send();
        assert_eq!(server.receive(&packet).is_ok(), is_permitted);
        assert_eq!(client.ring.key_phase(), is_permitted);
    }

    // Our own update, which the peer passes over.
    let (mut client, mut server) = End::pair();
    server.exchange(&mut client);
    server.ring.initiate_key_update(server.now).unwrap();
    client.force_update();
    client.force_update();
    let packet = client.send();
    assert_eq!(server.receive(&packet), Err(OpenError::KeyUpdate));
}

#[test]
fn a_hasty_peer_may_update_as_soon_as_it_was_answered() {
    let (mut client, mut server) = End::pair();
    for _ in 0..20 {
        client.exchange(&mut server);
        client.force_update();
    }
    client.exchange(&mut server);
    assert_eq!(server.ring.key_updates(), (0, 20));
}

#[test]
fn the_first_update_may_come_before_any_other_packet() {
    let (mut client, mut server) = End::pair();
    client.force_update();
    let packet = client.send();
    assert!(server.receive(&packet).unwrap().key_phase_changed);
}

#[test]
fn the_next_keys_are_made_a_pto_after_the_first_packet_or_for_the_update_that_comes_earlier() {
    let has_next = |end: &End| end.ring.one_rtt.as_ref().unwrap().has_next();
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    client.exchange(&mut server);
    assert!(!has_next(&server) && !has_next(&client), "a short connection never needs them");
    server.now += PTO;
    client.exchange(&mut server);
    assert!(has_next(&server), "a packet was looked at after a PTO");

    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    let mut forged = client.send();
    *forged.last_mut().unwrap() ^= 1;
    assert!(server.receive(&forged).is_err() && !has_next(&server), "not of the next phase");
    // The Key Phase bit, under the mask.
    forged[0] ^= 0x04;
    assert!(server.receive(&forged).is_err());
    assert!(has_next(&server), "once made they stay, even if the packet was no update");
    client.exchange(&mut server);
    client.ring.initiate_key_update(client.now).unwrap();
    client.exchange(&mut server);
    assert!(server.ring.key_phase(), "an update within the PTO is answered like any other");
    assert!(!has_next(&server), "and the keys after it wait for their time again");
}

#[test]
fn new_packets_are_not_acknowledged_with_old_keys() {
    let (mut client, mut server) = End::pair();
    client.exchange(&mut server);
    client.ring.initiate_key_update(client.now).unwrap();
    let number = client.next;
    let packet = client.send();
    let old = server.send();
    server.receive(&packet).unwrap();
    let new = server.send();
    let old = client.receive(&old).unwrap();
    assert!(client.ring.is_acknowledgement_allowed(&old, number - 1));
    assert!(!client.ring.is_acknowledgement_allowed(&old, number));
    let new = client.receive(&new).unwrap();
    assert!(client.ring.is_acknowledgement_allowed(&new, number));
}

#[test]
fn keys_are_used_no_more_often_than_their_limit_permits() {
    let (mut client, mut server) = End::pair();
    client.ring.set_limits(Limits { update_after: 10, confidentiality: 40, ..Limits::default() });
    for _ in 0..10 {
        assert!(!client.ring.should_update());
        client.exchange(&mut server);
    }
    assert!(client.ring.should_update() && !client.ring.is_nearly_exhausted());
    client.ring.initiate_key_update(client.now).unwrap();
    assert!(!client.ring.should_update());
    for sealed in 0..40 {
        assert_eq!(client.ring.is_nearly_exhausted(), sealed >= 37);
        client.send();
    }
    let mut packet = short_packet(99, true, &payload(99));
    let error = client.ring.seal(Level::OneRtt, 99, &mut packet, NUMBER_OFFSET, NUMBER_OFFSET + 4).unwrap_err();
    assert_eq!(error, SealError::ConfidentialityLimit);
    assert_eq!(error.close_code(), Some(codec::TransportErrorCode::AEAD_LIMIT_REACHED));
    // A key update makes new room.
    client.force_update();
    client.send();
}

#[test]
fn limits_are_those_of_the_suite_and_only_ever_lower() {
    let (client, _) = key_rings(Version::V1, 1);
    let aes = client.one_rtt.as_ref().unwrap().local().1;
    let limits = Limits::default();
    assert_eq!(limits.confidentiality(aes.confidentiality_limit()), 1 << 23);
    assert_eq!(limits.update_after(aes.confidentiality_limit()), 1 << 22);
    assert_eq!(limits.integrity(aes.integrity_limit()), 1 << 36);
    let chacha = DirectionalKeys::chacha20_poly1305([0; 32], [0; 12], [0; 32]).packet;
    assert_eq!(limits.update_after(chacha.confidentiality_limit()), 1 << 22);
    assert_eq!(limits.integrity(chacha.integrity_limit()), 1 << 36);
    let raised = Limits { update_after: u64::MAX, confidentiality: u64::MAX, integrity: u64::MAX };
    assert_eq!(raised.confidentiality(aes.confidentiality_limit()), 1 << 23);
    assert_eq!(raised.integrity(aes.integrity_limit()), 1 << 52);
    assert_eq!(raised.update_after(aes.confidentiality_limit()), 1 << 22);
}

#[test]
fn failures_above_the_integrity_limit_end_the_connection_across_all_levels() {
    let (mut client, mut server) = End::pair();
    server.ring.set_initial(&ConnectionId::EMPTY);
    server.ring.set_limits(Limits { integrity: 3, ..Limits::default() });
    let genuine = client.send();
    let mut forged = genuine.clone();
    forged[15] ^= 1;
    for level in [Level::OneRtt, Level::Initial, Level::OneRtt] {
        let result = server.ring.open(level, &mut forged.clone(), NUMBER_OFFSET, 0, Time::ZERO);
        assert_eq!(result, Err(OpenError::Undecryptable));
    }
    assert!(server.receive(&genuine).is_ok());
    assert_eq!(server.receive(&forged), Err(OpenError::IntegrityLimit));
    let error = server.receive(&genuine).unwrap_err();
    assert_eq!(error, OpenError::IntegrityLimit);
    assert_eq!(error.close_code(), Some(codec::TransportErrorCode::AEAD_LIMIT_REACHED));
}

#[test]
fn no_secret_is_printed() {
    let (client, _) = key_rings(Version::V1, 0x5ec7e7);
    let text = alloc::format!("{client:?}");
    assert!(text.starts_with("KeyRing") && !text.contains("secret"), "{text}");
}

/// What may happen between two honest ends.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        client: bool,
    },
    /// Delivers one of the packets in flight, which stays there: networks reorder and duplicate.
    Deliver {
        to_client: bool,
        which: prop::sample::Index,
    },
    Lose {
        to_client: bool,
        which: prop::sample::Index,
    },
    Update {
        client: bool,
    },
    Wait {
        milliseconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>();
    prop_oneof![
        3 => any::<bool>().prop_map(|client| Step::Send { client }),
        6 => (any::<bool>(), which.clone()).prop_map(|(to_client, which)| Step::Deliver { to_client, which }),
        1 => (any::<bool>(), which).prop_map(|(to_client, which)| Step::Lose { to_client, which }),
        2 => any::<bool>().prop_map(|client| Step::Update { client }),
        1 => (0_u64..400).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

/// A packet in flight: its bytes, how many updates its sender had made, and the largest number it acknowledges.
#[derive(Clone)]
struct Flying {
    packet: Vec<u8>,
    generation: u64,
    acknowledges: Option<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Packets lost, reordered and duplicated, updates whenever they are permitted: honest ends never accuse each other,
    /// and a packet opens whenever its keys are current, next, or previous and not yet forgotten.
    #[test]
    fn honest_ends_never_lose_each_other(steps in prop::collection::vec(step(), 1..200)) {
        let (client, server) = End::pair();
        let mut ends = [client, server];
        let mut flying: [Vec<Flying>; 2] = Default::default();
        let generation = |end: &End| end.ring.key_updates().0 + end.ring.key_updates().1;

        for step in steps {
            match step {
                Step::Send { client } => {
                    let (index, end) = (usize::from(!client), &mut ends[usize::from(!client)]);
                    let acknowledges = end.expected.checked_sub(1);
                    let packet = end.send();
                    flying[1 - index].push(Flying { packet, generation: generation(end), acknowledges });
                }
                Step::Deliver { to_client, which } => {
                    let index = usize::from(!to_client);
                    if flying[index].is_empty() {
                        continue;
                    }
                    let Flying { packet, generation: of, acknowledges } = which.get(&flying[index]).clone();
                    let end = &mut ends[index];
                    let (before, forgotten) = (generation(end), end.ring.one_rtt.as_ref().unwrap().deadline().is_none());
                    match end.receive(&packet) {
                        Ok(opened) => {
                            prop_assert_eq!(opened.key_phase_changed, of == before + 1);
                            prop_assert_eq!(opened.previous_keys, of + 1 == before);
                            if let Some(largest) = acknowledges {
                                prop_assert!(end.ring.is_acknowledgement_allowed(&opened, largest));
                                end.ring.on_acknowledged(largest);
                            }
                        }
                        Err(error) => {
                            prop_assert_eq!(error, OpenError::Undecryptable);
                            prop_assert!(of + 1 < before || of + 1 == before && forgotten, "{} at {}", of, before);
                        }
                    }
                }
                Step::Lose { to_client, which } => {
                    let index = usize::from(!to_client);
                    if !flying[index].is_empty() {
                        let at = which.index(flying[index].len());
                        flying[index].remove(at);
                    }
                }
                Step::Update { client } => {
                    let end = &mut ends[usize::from(!client)];
                    let before = end.ring.key_phase();
                    // Whether it may is its own decision.
                    let updated = end.ring.initiate_key_update(end.now).is_ok();
                    prop_assert_eq!(end.ring.key_phase(), before != updated);
                }
                Step::Wait { milliseconds } => {
                    ends.iter_mut().for_each(|end| end.wait(Duration::from_millis(milliseconds)));
                }
            }
        }
        // The path clears: both hear each other.
        for (from, to) in [(0, 1), (1, 0), (0, 1)] {
            let packet = ends[from].send();
            prop_assert!(ends[to].receive(&packet).is_ok());
        }
        prop_assert_eq!(generation(&ends[0]), generation(&ends[1]));
    }
}
