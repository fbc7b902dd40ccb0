use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ::rustls::crypto::CryptoProvider;
use codec::{ConnectionId, Time, TransportErrorCode};
use proptest::prelude::*;
use rustls_pki_types::UnixTime;

use super::*;
use crate::development::{certificate, client_config, insecure_client_config, server_config};
use crate::rustls::unruly;
use crate::{Certificate, InitialSuite, KeyRing, TAG_LENGTH};

/// One end: the session, the keys, and the level its handshake bytes belong to.
struct End {
    session: Session,
    ring: KeyRing,
    level: Level,
    levels_seen: Vec<Level>,
}

impl End {
    fn new(session: Session, version: Version) -> Self {
        let ring = KeyRing::new(session.side(), version, &ConnectionId::EMPTY);
        Self { session, ring, level: Level::Initial, levels_seen: Vec::new() }
    }

    /// What is to be sent, by level.
    fn flight(&mut self) -> Vec<(Level, Vec<u8>)> {
        let mut flight = Vec::new();
        loop {
            let mut bytes = Vec::new();
            let change = self.session.write(&mut bytes);
            if !bytes.is_empty() {
                flight.push((self.level, bytes));
            }
            let Some(change) = change else { return flight };
            self.levels_seen.push(change.level());
            if change.level() != Level::ZeroRtt {
                self.level = change.level();
            }
            self.ring.install(change);
        }
    }

    /// Takes a flight in pieces of `piece` bytes.
    fn receive(&mut self, flight: &[(Level, Vec<u8>)], piece: usize) -> Result<(), TlsError> {
        for (level, bytes) in flight {
            assert_eq!(*level, self.session.receive_level());
            for piece in bytes.chunks(piece) {
                self.session.read(piece)?;
            }
        }
        if !self.session.is_handshaking() && self.session.side().is_server() {
            self.ring.on_handshake_confirmed();
        }
        Ok(())
    }

    /// A packet of this level from here opens there.
    fn reaches(&mut self, peer: &mut Self, level: Level) {
        let mut packet = [0; 60 + TAG_LENGTH];
        packet[0] = if level == Level::OneRtt { 0x40 } else { 0xc0 };
        self.ring.seal(level, 0, &mut packet, 7, 8).unwrap();
        let opened = peer.ring.open(level, &mut packet, 7, 0, Time::ZERO).unwrap();
        assert_eq!(opened.payload(), 8..60);
    }
}

/// Runs the handshake to its end.
fn shake(client: &mut End, server: &mut End, piece: usize) -> Result<(), TlsError> {
    loop {
        let (there, back) = (client.flight(), server.flight());
        if there.is_empty() && back.is_empty() {
            return Ok(());
        }
        server.receive(&there, piece)?;
        client.receive(&back, piece)?;
    }
}

fn a_certificate() -> Certificate {
    certificate(&[], UnixTime::now()).unwrap()
}

/// Configurations of a server and of a client that trusts it, both with early data.
fn configs() -> (ClientConfig, ServerConfig) {
    let certificate = a_certificate();
    let mut server = server_config(&certificate, &[b"h3", b"echo"]).unwrap();
    server.max_early_data_size = u32::MAX;
    let mut client = client_config(certificate.chain(), &[b"echo"]).unwrap();
    client.enable_early_data = true;
    (client, server)
}

fn name() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

fn client(config: &ClientConfig) -> End {
    let session = Session::client(Arc::new(config.clone()), Version::V1, name(), b"client parameters".to_vec());
    End::new(session.unwrap(), Version::V1)
}

fn server(config: &ServerConfig) -> End {
    let session = Session::server(Arc::new(config.clone()), Version::V1, b"server parameters".to_vec());
    End::new(session.unwrap(), Version::V1)
}

/// Both ends after their handshake.
fn connected() -> (End, End) {
    let (client_config, server_config) = configs();
    let (mut client, mut server) = (client(&client_config), server(&server_config));
    shake(&mut client, &mut server, usize::MAX).unwrap();
    (client, server)
}

/// A client and a server in the middle: the client has yet to send its Finished, which is returned.
fn before_client_finished() -> (End, Vec<u8>) {
    let (client_config, server_config) = configs();
    let (mut client, mut server) = (client(&client_config), server(&server_config));
    server.receive(&client.flight(), usize::MAX).unwrap();
    client.receive(&server.flight(), usize::MAX).unwrap();
    let [(Level::Handshake, finished)] = <[_; 1]>::try_from(client.flight()).unwrap() else { panic!("one flight") };
    (server, finished)
}

fn alert(code: u8) -> TransportErrorCode {
    TransportErrorCode::crypto(code)
}

const UNEXPECTED_MESSAGE: TransportErrorCode = TransportErrorCode(0x010a);
const MISSING_EXTENSION: TransportErrorCode = TransportErrorCode(0x016d);
const NO_APPLICATION_PROTOCOL: TransportErrorCode = TransportErrorCode(0x0178);
const KEY_UPDATE: &[u8] = &[24, 0, 0, 1, 1];
const END_OF_EARLY_DATA: &[u8] = &[5, 0, 0, 0];

#[test]
fn two_sessions_shake_hands_in_both_versions_whatever_the_pieces() {
    for version in [Version::V1, Version::V2] {
        for piece in [1, 7, 1000, usize::MAX] {
            let (client_config, server_config) = configs();
            let client = Session::client(Arc::new(client_config), version, name(), b"client".to_vec()).unwrap();
            let server = Session::server(Arc::new(server_config), version, b"server".to_vec()).unwrap();
            let (mut client, mut server) = (End::new(client, version), End::new(server, version));
            assert_eq!(client.session.receive_level(), Level::Initial);
            shake(&mut client, &mut server, piece).unwrap();

            for level in [Level::Initial, Level::Handshake, Level::OneRtt] {
                client.reaches(&mut server, level);
                server.reaches(&mut client, level);
            }
            let (client, server) = (client, server);
            for end in [&client, &server] {
                assert!(!end.session.is_handshaking() && !end.session.is_resumed());
                assert_eq!(end.levels_seen, [Level::Handshake, Level::OneRtt]);
                assert_eq!(end.session.receive_level(), Level::OneRtt);
                assert_eq!(end.session.alpn(), Some(&b"echo"[..]));
                assert_eq!(end.session.early_data(), EarlyData::NotOffered);
                assert!(end.session.cipher_suite().is_some_and(|suite| suite != CipherSuite::Other));
                assert!(end.session.key_exchange_group().is_some_and(|group| group != KeyExchangeGroup::Other));
            }
            assert_eq!(client.session.peer_parameters(), Some(&b"server"[..]));
            assert_eq!(server.session.peer_parameters(), Some(&b"client"[..]));
            assert_eq!(server.session.server_name(), Some("localhost"));
            assert_eq!(client.session.peer_certificates().map(<[_]>::len), Some(1));
            assert!(client.session.tickets_received() > 0);
            assert!(server.session.is_spent() && !client.session.is_spent());

            let exported = [&client, &server].map(|end| {
                let mut output = [0; 32];
                end.session.export_keying_material(&mut output, b"label", Some(b"context")).unwrap();
                output
            });
            assert_eq!(exported[0], exported[1]);
        }
    }
}

#[test]
fn sessions_and_keys_may_move_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<Session>();
    moves::<KeyRing>();
}

#[test]
fn the_versions_do_not_understand_each_other() {
    let (client_config, server_config) = configs();
    let mut client = client(&client_config);
    let server = Session::server(Arc::new(server_config), Version::V2, Vec::new()).unwrap();
    let mut server = End::new(server, Version::V2);
    shake(&mut client, &mut server, usize::MAX).unwrap();
    let mut packet = [0; 60];
    packet[0] = 0x40;
    client.ring.seal(Level::OneRtt, 0, &mut packet, 7, 8).unwrap();
    assert!(server.ring.open(Level::OneRtt, &mut packet, 7, 0, Time::ZERO).is_err());
}

#[test]
fn key_updates_of_a_real_handshake_work() {
    let (mut client, mut server) = connected();
    client.ring.on_handshake_confirmed();
    let mut now = Time::ZERO;
    for number in 0..10 {
        if number > 0 {
            client.ring.initiate_key_update(now).unwrap();
        }
        let send = |from: &mut KeyRing, to: &mut KeyRing| {
            let mut packet = [0; 60];
            packet[0] = 0x40 | u8::from(from.key_phase()) << 2;
            packet[7] = number;
            from.seal(Level::OneRtt, number.into(), &mut packet, 7, 8).unwrap();
            to.open(Level::OneRtt, &mut packet, 7, number.into(), now).unwrap()
        };
        send(&mut client.ring, &mut server.ring);
        send(&mut server.ring, &mut client.ring);
        client.ring.on_acknowledged(number.into());
        now += Duration::from_secs(10);
    }
    assert_eq!((client.ring.key_updates(), server.ring.key_updates()), ((9, 0), (0, 9)));
}

#[test]
fn early_data_is_accepted_once_per_ticket() {
    let (client_config, server_config) = configs();
    shake(&mut client(&client_config), &mut server(&server_config), usize::MAX).unwrap();

    let (mut client, mut first) = (client(&client_config), server(&server_config));
    assert_eq!(client.session.remembered_parameters(), Some(&b"server parameters"[..]));
    assert_eq!(client.session.peer_parameters(), None);
    assert_eq!(client.session.early_data(), EarlyData::Offered);
    let hello = client.flight();
    assert_eq!(client.levels_seen, [Level::ZeroRtt]);
    assert!(client.ring.can_seal(Level::ZeroRtt) && !client.ring.can_open(Level::ZeroRtt));

    first.receive(&hello, usize::MAX).unwrap();
    let answer = first.flight();
    assert_eq!(first.levels_seen, [Level::ZeroRtt, Level::Handshake, Level::OneRtt]);
    assert_eq!(answer.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [Level::Initial, Level::Handshake]);
    assert!(first.ring.can_open(Level::ZeroRtt) && !first.ring.can_seal(Level::ZeroRtt));
    assert_eq!(first.ring.seal(Level::ZeroRtt, 0, &mut [0; 60], 7, 8), Err(crate::SealError::KeysUnavailable));
    client.reaches(&mut first, Level::ZeroRtt);

    client.receive(&answer, usize::MAX).unwrap();
    shake(&mut client, &mut first, usize::MAX).unwrap();
    for end in [&client, &first] {
        assert_eq!(end.session.early_data(), EarlyData::Accepted);
        assert!(end.session.is_resumed());
    }
    // The client's early keys went when its 1-RTT keys came; the server's wait for what is late.
    assert!(client.ring.is_discarded(Level::ZeroRtt) && first.ring.can_open(Level::ZeroRtt));
    assert_eq!(first.ring.deadline(), None);
    first.ring.set_pto(Duration::from_secs(1));
    client.reaches(&mut first, Level::OneRtt);
    assert_eq!(first.ring.deadline(), Some(Time::ZERO + Duration::from_secs(3)));
    first.ring.on_tick(Time::ZERO + Duration::from_secs(3));
    assert!(first.ring.is_discarded(Level::ZeroRtt));
    assert_eq!(first.ring.deadline(), None);

    // The same first flight again: the ticket is used up.
    let mut replayed = server(&server_config);
    replayed.receive(&hello, usize::MAX).unwrap();
    replayed.flight();
    assert_eq!(replayed.session.early_data(), EarlyData::Rejected);
    assert!(!replayed.ring.can_open(Level::ZeroRtt));
}

#[test]
fn early_data_is_rejected_by_a_server_that_forgot() {
    let (client_config, server_config) = configs();
    shake(&mut client(&client_config), &mut server(&server_config), usize::MAX).unwrap();
    let mut forgetful = server_config.clone();
    forgetful.session_storage = ::rustls::server::ServerSessionMemoryCache::new(16);
    let (mut client, mut server) = (client(&client_config), server(&forgetful));
    shake(&mut client, &mut server, usize::MAX).unwrap();
    for end in [&client, &server] {
        assert_eq!(end.session.early_data(), EarlyData::Rejected);
        assert!(!end.session.is_resumed());
    }
}

#[test]
fn a_hello_retry_request_stays_in_initial_packets() {
    let (client_config, server_config) = configs();
    let mut provider = CryptoProvider::clone(&crate::provider());
    provider.kx_groups.retain(|group| group.name() == ::rustls::NamedGroup::secp384r1);
    let certificate = a_certificate();
    let mut picky = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&::rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate.chain().to_vec(), certificate.key().clone_key())
        .unwrap();
    picky.alpn_protocols = server_config.alpn_protocols;
    let mut trusting = self::client_config(certificate.chain(), &[b"h3"]).unwrap();
    trusting.resumption = client_config.resumption;

    let (mut client, mut server) = (client(&trusting), server(&picky));
    server.receive(&client.flight(), usize::MAX).unwrap();
    let retry = server.flight();
    assert_eq!(retry.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [Level::Initial]);
    assert_eq!(server.session.receive_level(), Level::Initial);
    client.receive(&retry, usize::MAX).unwrap();
    shake(&mut client, &mut server, usize::MAX).unwrap();
    assert_eq!(client.session.key_exchange_group(), Some(KeyExchangeGroup::Secp384r1));
    client.reaches(&mut server, Level::OneRtt);
}

#[test]
fn application_protocols_must_be_configured_and_must_agree() {
    let (mut client_config, mut server_config) = configs();
    client_config.alpn_protocols = vec![b"dummy".to_vec()];
    let error = shake(&mut client(&client_config), &mut server(&server_config), usize::MAX).unwrap_err();
    assert_eq!(error.code, NO_APPLICATION_PROTOCOL);
    assert_eq!(error.as_alert(), Some(crate::Alert::NoApplicationProtocol));

    // A client that offers none.
    client_config.alpn_protocols.clear();
    let hello = unruly::client_hello(&client_config, false);
    let error = server(&server_config).session.read(&hello).unwrap_err();
    assert_eq!(error.code, NO_APPLICATION_PROTOCOL);

    server_config.alpn_protocols.clear();
    let error = Session::server(Arc::new(server_config), Version::V1, Vec::new()).unwrap_err();
    assert_eq!(error, SessionError::NoApplicationProtocols);
    let error = Session::client(Arc::new(client_config), Version::V1, name(), Vec::new()).unwrap_err();
    assert_eq!(error, SessionError::NoApplicationProtocols);
}

#[test]
fn a_server_without_protocol_or_parameters_is_refused_by_the_client() {
    for (extension, code) in [(16, NO_APPLICATION_PROTOCOL), (0x39, MISSING_EXTENSION)] {
        let (client_config, server_config) = configs();
        let (mut client, mut server) = (client(&client_config), server(&server_config));
        server.receive(&client.flight(), usize::MAX).unwrap();
        // The EncryptedExtensions are the first message of the second flight. The client stops at them, before it would
        // see that they were changed.
        let mut flight = server.flight();
        remove_extension(&mut flight[1].1, HEADER, extension);
        assert_eq!(client.receive(&flight[..1], usize::MAX), Ok(()));
        client.flight();
        assert_eq!(client.receive(&flight[1..], usize::MAX).unwrap_err().code, code);
    }
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let (client_config, mut server_config) = configs();
    let version = Version(0x1a2a_3a4a);
    assert_eq!(
        Session::client(Arc::new(client_config), version, name(), Vec::new()).unwrap_err(),
        SessionError::UnsupportedVersion(version)
    );
    server_config.max_early_data_size = 1000;
    assert!(matches!(
        Session::server(Arc::new(server_config), Version::V1, Vec::new()),
        Err(SessionError::Configuration(_))
    ));
}

#[test]
fn transport_parameters_of_the_drafts_are_none() {
    let (client_config, server_config) = configs();
    let hello = unruly::client_hello(&client_config, true);
    let error = server(&server_config).session.read(&hello).unwrap_err();
    assert_eq!(error.code, MISSING_EXTENSION);

    // At a client the extension is one it did not offer.
    let mut client = client(&client_config);
    let hello = client.flight();
    let [initial, handshake] = unruly::draft_server_flights(&server_config, &hello[0].1);
    client.receive(&[(Level::Initial, initial)], usize::MAX).unwrap();
    client.flight();
    let error = client.receive(&[(Level::Handshake, handshake)], usize::MAX).unwrap_err();
    assert_eq!(error.code, alert(110));
}

/// Where the body of a handshake message begins.
const HEADER: usize = 4;
/// Where the ClientHello's legacy_session_id is.
const SESSION_ID: usize = HEADER + 2 + 32;

fn client_hello() -> (Vec<u8>, ServerConfig) {
    let (client_config, server_config) = configs();
    let [(Level::Initial, hello)] = <[_; 1]>::try_from(client(&client_config).flight()).unwrap() else {
        panic!("one flight")
    };
    (hello, server_config)
}

fn change_length(message: &mut [u8], at: usize, bytes: usize, difference: isize) {
    let field = &mut message[at..at + bytes];
    let length = field.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    let length = length.checked_add_signed(difference).unwrap().to_be_bytes();
    field.copy_from_slice(&length[length.len() - bytes..]);
}

/// Takes an extension out of the first message of `bytes`, whose extensions' length is at `extensions`.
fn remove_extension(bytes: &mut Vec<u8>, extensions: usize, wanted: u16) {
    let mut at = extensions + 2;
    loop {
        let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])) + 4;
        if u16::from_be_bytes([bytes[at], bytes[at + 1]]) == wanted {
            bytes.drain(at..at + length);
            change_length(bytes, extensions, 2, -(length as isize));
            change_length(bytes, 1, 3, -(length as isize));
            return;
        }
        at += length;
    }
}

/// Where the length of a ClientHello's extensions is.
fn client_hello_extensions(hello: &[u8]) -> usize {
    let ciphers = SESSION_ID + 1 + usize::from(hello[SESSION_ID]);
    let compression = ciphers + 2 + usize::from(u16::from_be_bytes([hello[ciphers], hello[ciphers + 1]]));
    compression + 1 + usize::from(hello[compression])
}

#[test]
fn a_hello_without_transport_parameters_is_refused() {
    let (mut hello, server_config) = client_hello();
    let extensions = client_hello_extensions(&hello);
    remove_extension(&mut hello, extensions, 0x39);
    assert_eq!(server(&server_config).session.read(&hello).unwrap_err().code, MISSING_EXTENSION);
}

#[test]
fn tls_1_2_is_refused() {
    let (mut hello, server_config) = client_hello();
    let extensions = client_hello_extensions(&hello);
    remove_extension(&mut hello, extensions, 43);
    assert_eq!(server(&server_config).session.read(&hello).unwrap_err().code, alert(70));
}

#[test]
fn compatibility_mode_is_a_protocol_violation() {
    let (mut hello, server_config) = client_hello();
    hello[SESSION_ID] = 32;
    hello.splice(SESSION_ID + 1..SESSION_ID + 1, [9; 32]);
    change_length(&mut hello, 1, 3, 32);
    let error = server(&server_config).session.read(&hello).unwrap_err();
    assert_eq!(error.code, TransportErrorCode::PROTOCOL_VIOLATION);
}

#[test]
fn tls_key_update_and_end_of_early_data_are_unexpected_everywhere() {
    for message in [KEY_UPDATE, END_OF_EARLY_DATA] {
        let (mut server, _) = before_client_finished();
        assert_eq!(server.session.read(message).unwrap_err().code, UNEXPECTED_MESSAGE);

        // Behind the Finished, as h3spec has it.
        let (mut server, mut finished) = before_client_finished();
        finished.extend(message);
        assert_eq!(server.session.read(&finished).unwrap_err().code, UNEXPECTED_MESSAGE);

        let (client, server) = connected();
        for mut end in [client, server] {
            assert_eq!(end.session.read(message).unwrap_err().code, UNEXPECTED_MESSAGE);
        }
    }
}

#[test]
fn a_server_takes_no_message_after_the_handshake() {
    for kind in [1, 2, 4, 8, 11, 13, 15, 20, 99] {
        let (_, mut server) = connected();
        let code = server.session.read(&[kind, 0, 0, 0]).unwrap_err().code;
        assert!(code == UNEXPECTED_MESSAGE || code == alert(50), "{kind}: {code}");
    }
}

#[test]
fn data_beyond_the_end_of_a_level_is_a_protocol_violation() {
    for rest in [&[0][..], &[20, 0, 0, 32], &[11, 0, 0, 0]] {
        let (mut hello, server_config) = client_hello();
        hello.extend(rest);
        let error = server(&server_config).session.read(&hello).unwrap_err();
        assert_eq!(error.code, TransportErrorCode::PROTOCOL_VIOLATION);

        let (mut server, mut finished) = before_client_finished();
        finished.extend(rest);
        let error = server.session.read(&finished).unwrap_err();
        assert_eq!(error.code, TransportErrorCode::PROTOCOL_VIOLATION);
    }
    // A client: what should come in Handshake packets follows in the Initial.
    let (client_config, server_config) = configs();
    let (mut client, mut server) = (client(&client_config), server(&server_config));
    server.receive(&client.flight(), usize::MAX).unwrap();
    let flight: Vec<u8> = server.flight().into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(client.session.read(&flight).unwrap_err().code, TransportErrorCode::PROTOCOL_VIOLATION);
}

#[test]
fn post_handshake_authentication_is_a_protocol_violation() {
    let (mut client, _) = connected();
    let error = client.session.read(&[13, 0, 0, 3, 0, 0, 0]).unwrap_err();
    assert_eq!(error.code, TransportErrorCode::PROTOCOL_VIOLATION);
}

#[test]
fn tickets_for_early_data_of_limited_size_are_a_protocol_violation() {
    let ticket = |size: u32| {
        let mut ticket = vec![4, 0, 0, 26, 0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 5];
        ticket.extend(b"hello");
        ticket.extend([0, 8, 0, 42, 0, 4]);
        ticket.extend(size.to_be_bytes());
        ticket[3] = (ticket.len() - HEADER) as u8;
        ticket
    };
    for size in [0, 1, 1 << 14, u32::MAX - 1] {
        let (mut client, _) = connected();
        let error = client.session.read(&ticket(size)).unwrap_err();
        assert_eq!(error.code, TransportErrorCode::PROTOCOL_VIOLATION);
    }
    let (mut client, _) = connected();
    let before = client.session.tickets_received();
    client.session.read(&ticket(u32::MAX)).unwrap();
    assert_eq!(client.session.tickets_received(), before + 1);
}

#[test]
fn certificates_that_do_not_fit_have_their_alerts() {
    let certificate_of = |now| certificate(&[], now).unwrap();
    let code = |certificate: &Certificate, trusted: &Certificate, name: &str| {
        let mut server = server(&server_config(certificate, &[b"echo"]).unwrap());
        let config = client_config(trusted.chain(), &[b"echo"]).unwrap();
        let name = ServerName::try_from(name).unwrap().to_owned();
        let client = Session::client(Arc::new(config), Version::V1, name, Vec::new()).unwrap();
        shake(&mut End::new(client, Version::V1), &mut server, usize::MAX).unwrap_err().code
    };
    let good = a_certificate();
    assert_eq!(code(&good, &a_certificate(), "localhost"), alert(48), "unknown_ca");
    assert_eq!(code(&good, &good, "other.example"), alert(42), "bad_certificate");
    let old = certificate_of(UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000)));
    assert_eq!(code(&old, &old, "localhost"), alert(45), "certificate_expired");
}

#[test]
fn only_the_insecure_configuration_takes_any_certificate() {
    let mut server = server(&server_config(&a_certificate(), &[b"echo"]).unwrap());
    let mut client = client(&insecure_client_config(&[b"echo"]).unwrap());
    shake(&mut client, &mut server, usize::MAX).unwrap();
    client.reaches(&mut server, Level::OneRtt);
}

#[test]
fn a_message_longer_than_any_is_a_decode_error_at_once() {
    let (_, server_config) = client_hello();
    let mut server = server(&server_config);
    let error = server.session.read(&[1, 1, 0, 0]).unwrap_err();
    assert_eq!(error.code, alert(50));
    // The failure is final, and nothing is sent after it.
    assert_eq!(server.session.read(&client_hello().0), Err(error));
    assert!(server.flight().is_empty());
}

#[test]
fn nothing_is_exported_before_the_handshake_is_complete() {
    let (server, _) = before_client_finished();
    assert_eq!(server.session.export_keying_material(&mut [0; 8], b"label", None), Err(ExportError));
}

#[test]
fn the_process_wide_provider_is_never_asked_for() {
    connected();
    assert!(CryptoProvider::get_default().is_none());
}

#[test]
fn initial_keys_come_from_the_configured_provider_or_else_from_ours() {
    let (client_config, server_config) = configs();
    let mut provider = CryptoProvider::clone(&crate::provider());
    provider.cipher_suites.retain(|suite| suite.suite() == ::rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    let without = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&::rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(::rustls::RootCertStore::empty())
        .with_no_client_auth();
    let suites = [
        InitialSuite::of_client(&client_config),
        InitialSuite::of_server(&server_config),
        InitialSuite::of_client(&without),
    ];
    for suite in suites {
        let mut client = KeyRing::with_suite(suite, Side::Client, Version::V1, &ConnectionId::EMPTY);
        let mut server = KeyRing::new(Side::Server, Version::V1, &ConnectionId::EMPTY);
        let mut packet = [0; 60];
        packet[0] = 0xc0;
        client.seal(Level::Initial, 0, &mut packet, 7, 8).unwrap();
        assert!(server.open(Level::Initial, &mut packet, 7, 0, Time::ZERO).is_ok());
    }
}

#[test]
fn chacha20_and_aes_256_are_negotiated_too() {
    for (name, expected) in [
        (::rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, CipherSuite::ChaCha20Poly1305),
        (::rustls::CipherSuite::TLS13_AES_256_GCM_SHA384, CipherSuite::Aes256Gcm),
        (::rustls::CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::Aes128Gcm),
    ] {
        let certificate = a_certificate();
        let mut provider = CryptoProvider::clone(&crate::provider());
        provider.cipher_suites.retain(|suite| suite.suite() == name);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&::rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificate.chain().to_vec(), certificate.key().clone_key())
            .unwrap();
        config.alpn_protocols = vec![b"h3".to_vec()];
        let (mut client, mut server) =
            (client(&client_config(certificate.chain(), &[b"h3"]).unwrap()), server(&config));
        shake(&mut client, &mut server, usize::MAX).unwrap();
        assert_eq!(client.session.cipher_suite(), Some(expected));
        for level in [Level::Handshake, Level::OneRtt] {
            client.reaches(&mut server, level);
            server.reaches(&mut client, level);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_handshake_bytes_never_panic(
        kind in prop_oneof![any::<u8>(), Just(1), Just(2), Just(4), Just(8), Just(13)],
        body in prop::collection::vec(any::<u8>(), 0..300),
        at in 0_u8..4,
    ) {
        let mut message = vec![kind, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(&body);
        let (client_config, server_config) = configs_once();
        let session: Box<dyn Fn() -> Session> = match at {
            0 => Box::new(|| client(client_config).session),
            1 => Box::new(|| server(server_config).session),
            _ => Box::new(|| {
                let (mut client, mut server) = (client(client_config), server(server_config));
                shake(&mut client, &mut server, usize::MAX).unwrap();
                if at == 2 { client.session } else { server.session }
            }),
        };
        let mut session = session();
        let failed = session.read(&message).is_err();
        let mut out = Vec::new();
        let change = session.write(&mut out);
        // A session that failed has nothing more to say.
        prop_assert!(!failed || change.is_none() && out.is_empty());
    }

    #[test]
    fn a_changed_client_hello_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let (client_config, server_config) = configs_once();
        let mut hello = client(client_config).flight().remove(0).1;
        let at = at.index(hello.len());
        hello[at] = value;
        let mut server = server(server_config);
        let failed = server.session.read(&hello).is_err();
        prop_assert!(!failed || server.flight().is_empty());
    }
}

/// Configurations made once: keys take long.
fn configs_once() -> &'static (ClientConfig, ServerConfig) {
    static CONFIGS: std::sync::OnceLock<(ClientConfig, ServerConfig)> = std::sync::OnceLock::new();
    CONFIGS.get_or_init(configs)
}
