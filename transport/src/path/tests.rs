use codec::frame::NewConnectionId;
use codec::{ConnectionId, ResetToken, Side};
use proptest::prelude::*;

use super::*;
use crate::peer_ids::PeerIds;

const PTO: Duration = Duration::from_millis(100);
/// Three times what a new path is given at least.
const GIVES_UP: u64 = 2997;

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_millis(milliseconds)
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

const HOME: fn() -> SocketAddr = || address(1, 1000);

/// A server's paths after the handshake, and the ids of a client that gave all it may.
struct Bench {
    paths: Paths,
    ids: PeerIds,
    challenges: u64,
}

impl Bench {
    fn new(side: Side) -> Self {
        let mut paths = Paths::new(side, HOME(), None, MtuConfig::default());
        paths.validate_current();
        paths.on_handshake_confirmed();
        let mut ids = PeerIds::new(ConnectionId::new(&[0; 8]).unwrap());
        for sequence in 1..4_u8 {
            give(&mut ids, sequence, 0);
        }
        Self { paths, ids, challenges: 0 }
    }

    /// A datagram of 1200 bytes with one packet, sent to our id of this number.
    fn packet(&mut self, now: Time, from: SocketAddr, destination: u64, probing: bool) -> Migration {
        let Ok(path) = self.paths.on_datagram(from, None, 1200) else { panic!("{from} was dropped") };
        self.read(now, path, destination, probing)
    }

    fn read(&mut self, now: Time, path: PathIndex, destination: u64, probing: bool) -> Migration {
        let packet = ReceivedPacket { path, largest: true, probing, destination };
        self.paths.on_packet(now, packet, PTO, &mut self.ids)
    }

    fn poll(&mut self, now: Time) -> Option<OffPath> {
        let Self { paths, ids, challenges } = self;
        let sent = paths.poll_off_path(now, ids, || {
            *challenges += 1;
            challenges.to_be_bytes()
        })?;
        paths.on_sent_to(sent.index, sent.size);
        Some(sent)
    }

    fn poll_all(&mut self, now: Time) -> Vec<OffPath> {
        std::iter::from_fn(|| self.poll(now)).collect()
    }

    fn respond(&mut self, now: Time, data: [u8; 8]) -> Option<PathIndex> {
        self.paths.on_path_response(now, data, PTO)
    }

    fn wait(&mut self, now: Time) -> Ended {
        self.paths.on_deadline(now, PTO, &mut self.ids).unwrap()
    }

    /// Lets time pass, challenges going out, until nothing is left to wait for or `until`.
    fn pass(&mut self, until: Time) -> Ended {
        let mut all = Ended::default();
        while let Some(deadline) = self.paths.deadline().filter(|deadline| *deadline <= until) {
            self.poll_all(deadline);
            let ended = self.wait(deadline);
            all.failed += ended.failed;
            all.went_back = all.went_back.or(ended.went_back);
            all.nowhere_to_go |= ended.nowhere_to_go;
        }
        all
    }
}

fn give(ids: &mut PeerIds, sequence: u8, retire_prior_to: u64) {
    let frame = NewConnectionId {
        sequence: u64::from(sequence),
        retire_prior_to,
        id: ConnectionId::new(&[sequence; 8]).unwrap(),
        reset_token: ResetToken([sequence; 16]),
    };
    ids.on_new_connection_id(&frame).unwrap();
}

const MOVED_PORT: Migration = Migration::Migrated { restart: false, kind: MigrationKind::NatRebinding };

//= https://www.rfc-editor.org/rfc/rfc9000#section-9.3
//= type=test
//# An endpoint only changes the address to which it sends packets in response to
//# the highest-numbered non-probing packet.
#[test]
fn only_the_newest_packet_that_is_no_probe_moves_the_connection() {
    let mut bench = Bench::new(Side::Server);
    let path = bench.paths.on_datagram(address(1, 2000), None, 1200).unwrap();
    let packet = ReceivedPacket { path, largest: false, probing: false, destination: 0 };
    assert_eq!(bench.paths.on_packet(at(0), packet, PTO, &mut bench.ids), Migration::None, "reordered");
    assert_eq!(bench.read(at(1), path, 0, true), Migration::None, "a probe");
    assert_eq!(bench.paths.current().remote(), HOME());
    assert_eq!(bench.read(at(2), path, 0, false), MOVED_PORT);
    assert_eq!(bench.paths.current().remote(), address(1, 2000));
    assert_eq!(bench.read(at(3), path, 0, false), Migration::None, "it is there already");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3
//= type=test
//# In response to an apparent migration, endpoints MUST validate the previously
//# active path using a PATH_CHALLENGE frame.
#[test]
fn after_a_move_both_paths_are_challenged_the_new_one_first() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(1, 2000), 0, false);
    let sent = bench.poll_all(at(0));
    assert_eq!(sent.iter().map(|sent| sent.remote).collect::<Vec<_>>(), [address(1, 2000), HOME()]);
    assert!(sent.iter().all(|sent| sent.size == 1200 && sent.frames.response.is_none()));
    let challenges: Vec<_> = sent.iter().map(|sent| sent.frames.challenge.unwrap()).collect();
    assert_ne!(challenges[0], challenges[1]);
    assert!(!bench.paths.has_frames());
}

#[test]
fn a_new_port_keeps_what_is_known_and_a_new_host_does_not() {
    let mut bench = Bench::new(Side::Server);
    assert_eq!(bench.packet(at(0), address(1, 2000), 0, false), MOVED_PORT);
    let moved = bench.packet(at(200), address(2, 2000), 5, false);
    assert_eq!(moved, Migration::Migrated { restart: true, kind: MigrationKind::Active });
    assert_eq!(bench.paths.current().datagram_size(), mtu::BASE);
}

#[test]
fn a_client_that_changed_its_id_gets_another_and_one_that_did_not_keeps_it() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(1, 2000), 0, false);
    assert_eq!(bench.ids.current(), ConnectionId::new(&[0; 8]).unwrap());
    bench.packet(at(200), address(1, 3000), 1, false);
    assert_eq!(bench.ids.current(), ConnectionId::new(&[1; 8]).unwrap());
    let sent = bench.poll(at(200)).unwrap();
    assert_eq!((sent.remote, sent.destination), (address(1, 3000), ConnectionId::new(&[1; 8]).unwrap()));
}

#[test]
fn without_an_id_for_it_there_is_no_new_path() {
    let mut bench = Bench::new(Side::Server);
    bench.ids = PeerIds::new(ConnectionId::new(&[0; 8]).unwrap());
    let refused = bench.packet(at(0), address(2, 2000), 1, false);
    assert_eq!(refused, Migration::Refused(DropReason::NoConnectionId));
    assert_eq!((bench.paths.count(), bench.paths.stats().refused), (1, 1));
    assert_eq!(bench.paths.current().remote(), HOME());
    give(&mut bench.ids, 1, 0);
    assert!(matches!(bench.packet(at(1), address(2, 2000), 1, false), Migration::Migrated { .. }));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3
//= type=test
//# A PATH_RESPONSE
//# frame received on any network path validates the path on which the
//# PATH_CHALLENGE was sent.
#[test]
fn an_answer_validates_the_path_that_was_challenged() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(1, 2000), 0, false);
    let sent = bench.poll_all(at(0));
    assert!(bench.paths.current().sendable() < u64::MAX);
    assert_eq!(bench.respond(at(10), [0xff; 8]), None);
    assert_eq!(bench.respond(at(10), sent[0].frames.challenge.unwrap()), Some(sent[0].index));
    assert!(bench.paths.current().is_validated());
    assert_eq!(bench.paths.current().sendable(), u64::MAX);
    assert_eq!(bench.respond(at(10), sent[0].frames.challenge.unwrap()), None, "answered already");
    assert_eq!(bench.paths.stats().responses_unmatched, 2);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2
//= type=test
//# To protect the connection from failing due to such a spurious migration, an
//# endpoint MUST revert to using the last validated peer address when validation
//# of a new peer address fails.
#[test]
fn an_address_that_does_not_answer_is_left_for_the_last_that_did() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(2, 2000), 0, false);
    let home = bench.poll_all(at(0)).pop().unwrap();
    bench.respond(at(10), home.frames.challenge.unwrap());
    let ended = bench.pass(at(GIVES_UP - 1));
    assert_eq!(ended, Ended::default());
    let ended = bench.pass(at(GIVES_UP));
    assert_eq!(ended, Ended { failed: 1, went_back: Some(true), nowhere_to_go: false });
    assert_eq!(bench.paths.current().remote(), HOME());
    assert_eq!((bench.paths.count(), bench.paths.deadline()), (1, None));
    assert_eq!(bench.ids.id(PathIndex::FIRST), Some(bench.ids.current()));
    assert_eq!(bench.paths.stats().returns, 1);
}

#[test]
fn the_last_validated_path_is_kept_even_if_it_does_not_answer_either() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(2, 2000), 0, false);
    let ended = bench.pass(at(GIVES_UP));
    assert_eq!(ended.went_back, Some(true));
    assert!(!ended.nowhere_to_go);
    assert_eq!(bench.paths.current().remote(), HOME());
}

#[test]
fn a_chain_of_unvalidated_addresses_leads_back_to_the_last_validated() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(2, 2000), 0, false);
    bench.poll_all(at(0));
    bench.packet(at(200), address(3, 2000), 0, false);
    bench.poll_all(at(200));
    assert_eq!(bench.paths.count(), 3);
    let ended = bench.pass(at(200 + GIVES_UP));
    assert_eq!(ended.went_back, Some(true));
    assert_eq!((bench.paths.current().remote(), bench.paths.count()), (HOME(), 1));
}

#[test]
fn packets_from_the_true_address_end_a_spurious_migration() {
    // RFC 9000 §9.3.2: a copy arrives first from the attacker's address, the next packet comes from home.
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(2, 2000), 0, false);
    bench.poll_all(at(0));
    assert!(matches!(bench.packet(at(5), HOME(), 0, false), Migration::Migrated { restart: true, .. }));
    assert_eq!(bench.paths.current().remote(), HOME());
    assert_eq!(bench.paths.current().sendable(), u64::MAX);
    let ended = bench.pass(at(2 * GIVES_UP));
    assert_eq!(ended.went_back, None);
    assert_eq!((bench.paths.current().remote(), bench.paths.count()), (HOME(), 1));
}

#[test]
fn a_path_that_was_never_validated_has_nowhere_to_go_back_to() {
    let mut bench = Bench::new(Side::Server);
    bench.paths = Paths::new(Side::Server, HOME(), None, MtuConfig::default());
    bench.paths.on_handshake_confirmed();
    bench.packet(at(0), address(2, 2000), 0, false);
    let ended = bench.pass(at(GIVES_UP));
    assert!(ended.nowhere_to_go && ended.went_back.is_none());
}

#[test]
fn once_the_new_path_is_validated_the_old_one_is_forgotten_in_time() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(2, 2000), 1, false);
    let sent = bench.poll_all(at(0));
    for sent in sent {
        bench.respond(at(10), sent.frames.challenge.unwrap());
    }
    assert_eq!(bench.paths.deadline(), Some(at(10 + GIVES_UP)));
    bench.pass(at(10 + GIVES_UP));
    assert_eq!((bench.paths.count(), bench.paths.deadline()), (1, None));
    assert_eq!(bench.ids.next_retire(), Some(0), "its id is given back");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1
//= type=test
//# When an endpoint is unable to expand the datagram size to 1200 bytes due to the
//# anti-amplification limit, the path MTU will not be validated.
#[test]
fn a_small_challenge_proves_the_address_and_a_large_one_must_follow() {
    let mut bench = Bench::new(Side::Server);
    let path = bench.paths.on_datagram(address(1, 2000), None, 50).unwrap();
    bench.read(at(0), path, 0, false);
    let sent = bench.poll_all(at(0));
    assert_eq!((sent[0].remote, sent[0].size), (address(1, 2000), 150));
    assert_eq!(bench.respond(at(10), sent[0].frames.challenge.unwrap()), Some(path));
    assert!(bench.paths.current().is_validated());
    let again = bench.poll(at(10)).unwrap();
    assert_eq!((again.index, again.size), (path, 1200));
    assert!(again.frames.challenge.is_some());
    bench.respond(at(20), again.frames.challenge.unwrap());
    assert!(!bench.paths.has_frames());
}

#[test]
fn a_path_too_narrow_for_1200_bytes_is_left() {
    let mut bench = Bench::new(Side::Server);
    let path = bench.paths.on_datagram(address(2, 2000), None, 50).unwrap();
    bench.read(at(0), path, 0, false);
    let sent = bench.poll_all(at(0));
    bench.respond(at(10), sent[0].frames.challenge.unwrap());
    assert_eq!(bench.paths.current().remote(), address(2, 2000));
    // Going home and coming back does not make it wider.
    bench.packet(at(20), HOME(), 0, false);
    bench.packet(at(30), address(2, 2000), 0, false);
    let ended = bench.pass(at(10 + GIVES_UP));
    assert_eq!(ended.went_back, Some(true));
    assert_eq!(bench.paths.current().remote(), HOME());
}

#[test]
fn nothing_is_sent_where_even_a_challenge_would_be_too_much() {
    let mut bench = Bench::new(Side::Server);
    let path = bench.paths.on_datagram(address(1, 2000), None, 21).unwrap();
    bench.read(at(0), path, 0, true);
    assert_eq!(bench.paths.path(path).unwrap().sendable(), 63);
    assert!(bench.poll(at(0)).is_none());
    bench.paths.on_datagram(address(1, 2000), None, 21).unwrap();
    assert_eq!(bench.poll(at(0)).unwrap().size, 126);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2
//= type=test
//# A PATH_RESPONSE frame MUST be sent on the network path where the PATH_CHALLENGE
//# frame was received.
#[test]
fn a_challenge_is_answered_where_it_came_from_once() {
    let mut bench = Bench::new(Side::Server);
    let path = bench.paths.on_datagram(address(1, 2000), None, 1200).unwrap();
    assert!(bench.paths.on_challenge(path, [7; 8]), "before the packet is known to make a path");
    bench.read(at(0), path, 0, true);
    let sent = bench.poll(at(0)).unwrap();
    assert_eq!((sent.remote, sent.frames.response), (address(1, 2000), Some([7; 8])));
    assert!(sent.frames.challenge.is_some(), "the server validates the path too");
    assert!(bench.poll(at(0)).is_none());
    assert!(bench.paths.on_challenge(PathIndex::FIRST, [8; 8]));
    let sent = bench.poll(at(0)).unwrap();
    assert_eq!((sent.remote, sent.frames), (HOME(), PathFrames { challenge: None, response: Some([8; 8]) }));
}

#[test]
fn of_many_challenges_the_newest_is_answered() {
    // CVE-2023-49295, CVE-2023-6193: a flood of challenges while nothing of ours can leave.
    let mut bench = Bench::new(Side::Server);
    for number in 0..1_000_000_u64 {
        bench.paths.on_challenge(PathIndex::FIRST, number.to_be_bytes());
    }
    assert_eq!(bench.paths.stats().challenges_ignored, 999_999);
    assert_eq!(bench.poll_all(at(0)).len(), 1);
}

#[test]
fn a_port_that_changes_with_every_packet_costs_nothing() {
    // A million source ports. Data goes on on the old path, or on the few new ones that are let in.
    let mut bench = Bench::new(Side::Server);
    for number in 0..1_000_000_u64 {
        let now = Time::ZERO + Duration::from_micros(number * 10);
        let from = SocketAddr::from(([192, 0, 2, 1], 1025 + (number % 60_000) as u16));
        if let Ok(path) = bench.paths.on_datagram(from, None, 1200) {
            bench.read(now, path, 0, false);
        }
        bench.poll_all(now);
        if bench.paths.deadline().is_some_and(|deadline| deadline <= now) {
            bench.wait(now);
        }
        assert!(bench.paths.count() <= PATHS);
        assert!(bench.ids.id(bench.paths.current().index()).is_some());
    }
    // Ten seconds: a new path each probe timeout at most, and far fewer since each holds its place for a while.
    assert!(bench.paths.stats().migrations < 100, "{:?}", bench.paths.stats());
}

#[test]
fn what_cannot_be_opened_makes_no_path() {
    let mut bench = Bench::new(Side::Server);
    for port in 20_000..60_000 {
        bench.paths.on_datagram(address(3, port), None, 1200).unwrap();
        assert_eq!(bench.paths.count(), 1);
        assert!(bench.poll(at(0)).is_none());
    }
    assert!(matches!(bench.packet(at(0), address(1, 2000), 0, false), Migration::Migrated { .. }));
}

#[test]
fn new_paths_begin_a_probe_timeout_apart() {
    let mut bench = Bench::new(Side::Server);
    bench.packet(at(0), address(1, 2000), 0, true);
    let refused = bench.packet(at(99), address(1, 3000), 0, true);
    assert_eq!(refused, Migration::Refused(DropReason::TooOften));
    assert_eq!(bench.packet(at(100), address(1, 3000), 0, true), Migration::None);
    assert_eq!(bench.paths.count(), 3);
}

#[test]
fn when_the_probe_timeout_has_grown_new_paths_begin_a_second_apart() {
    let mut bench = Bench::new(Side::Server);
    let slow = Duration::from_secs(20);
    let mut packet = |now, port| {
        let path = bench.paths.on_datagram(address(1, port), None, 1200).unwrap();
        let packet = ReceivedPacket { path, largest: true, probing: false, destination: 0 };
        bench.paths.on_packet(now, packet, slow, &mut bench.ids)
    };
    assert_eq!(packet(at(0), 2000), MOVED_PORT);
    assert_eq!(packet(at(999), 3000), Migration::Refused(DropReason::TooOften));
    assert_eq!(packet(at(1000), 3000), MOVED_PORT);
}

#[test]
fn a_peer_that_moves_every_second_is_followed_and_the_last_validated_path_is_never_given_up() {
    let mut bench = Bench::new(Side::Server);
    for step in 1..100_u16 {
        let now = 1000 * u64::from(step);
        assert_eq!(bench.packet(at(now), address(1, 2000 + step), 0, false), MOVED_PORT, "step {step}");
        if step > 1 {
            let sooner = bench.packet(at(now + 500), address(1, 9000), 0, false);
            assert_eq!(sooner, Migration::Refused(DropReason::TooManyPaths), "step {step}");
        }
        assert_eq!(bench.paths.current().remote(), address(1, 2000 + step));
        assert!(bench.paths.count() <= PATHS);
        let home = PathIndex::all().filter_map(|index| bench.paths.path(index)).any(|path| path.remote() == HOME());
        assert!(home, "step {step}");
    }
    let ended = bench.pass(at(200_000));
    assert_eq!(ended.went_back, Some(false));
    assert_eq!(bench.paths.current().remote(), HOME());
}

#[test]
fn a_path_that_was_left_is_not_waited_for_before_its_challenge_is_answered_or_given_up() {
    // It expires before its challenge is given up, since the probe timeout has shrunk meanwhile. What is due must be the
    // challenge: a deadline that has passed and at which nothing is done would be due for ever.
    let mut bench = Bench::new(Side::Server);
    for (now, pto) in [(at(0), Duration::from_secs(5)), (at(10), Duration::from_millis(1))] {
        let path = bench.paths.on_datagram(address(1, 2000), None, 1200).unwrap();
        let packet = ReceivedPacket { path, largest: true, probing: true, destination: 0 };
        bench.paths.on_packet(now, packet, pto, &mut bench.ids);
        bench.poll_all(now);
    }
    let mut calls = 0;
    let mut now = at(10);
    while let Some(deadline) = bench.paths.deadline() {
        now = now.max(deadline);
        bench.poll_all(now);
        bench.wait(now);
        calls += 1;
        assert!(calls < 20, "{now:?} is due for ever");
    }
    assert_eq!(bench.paths.count(), 1);
}

#[test]
fn before_the_handshake_is_confirmed_addresses_are_fixed() {
    // NEQO: drop_initial_packet_from_wrong_address, drop_handshake_packet_from_wrong_address.
    let mut paths = Paths::new(Side::Server, HOME(), None, MtuConfig::default());
    assert_eq!(paths.on_datagram(address(1, 2000), None, 1200), Err(DropReason::DuringHandshake));
    paths.on_datagram(HOME(), None, 1200).unwrap();
    assert_eq!(paths.current().sendable(), 3600);
    paths.validate_current();
    assert_eq!(paths.current().sendable(), u64::MAX);
}

#[test]
fn addresses_that_invite_forgery_are_not_followed() {
    // S2N: rebind_blocked_port. NEQO: migration_invalid_address.
    let mut bench = Bench::new(Side::Server);
    assert_eq!(bench.paths.on_datagram(address(1, 53), None, 1200), Err(DropReason::BlockedPort));
    assert_eq!(bench.paths.on_datagram(address(1, 0), None, 1200), Err(DropReason::BlockedPort));
    let loopback = SocketAddr::from(([127, 0, 0, 1], 2000));
    assert_eq!(bench.paths.on_datagram(loopback, None, 1200), Err(DropReason::Loopback));
}

#[test]
fn who_is_told_to_stay_may_change_the_port_alone() {
    let mut bench = Bench::new(Side::Server);
    bench.paths.forbid_migration();
    assert_eq!(bench.paths.on_datagram(address(2, 2000), None, 1200), Err(DropReason::MigrationDisabled));
    let refused = bench.packet(at(0), address(1, 2000), 1, false);
    assert_eq!(refused, Migration::Refused(DropReason::MigrationDisabled), "on purpose");
    assert_eq!(bench.packet(at(0), address(1, 2000), 0, false), MOVED_PORT);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-9
//= type=test
//# If a
//# client receives packets from an unknown server address, the client MUST discard
//# these packets.
#[test]
fn a_client_hears_only_its_server_and_does_not_follow_it() {
    let mut bench = Bench::new(Side::Client);
    assert_eq!(bench.paths.on_datagram(address(1, 2000), None, 1200), Err(DropReason::UnknownServer));
    let local = Some(IpAddr::from([10, 0, 0, 1]));
    assert_eq!(bench.paths.on_datagram(HOME(), local, 1200), Ok(PathIndex::FIRST));
    assert_eq!(bench.packet(at(0), HOME(), 1, false), Migration::None);
    assert_eq!(bench.paths.current().sendable(), u64::MAX);
}

#[test]
fn a_client_probes_another_path_and_then_moves() {
    let mut bench = Bench::new(Side::Client);
    let local = Some(IpAddr::from([10, 0, 0, 2]));
    let path = bench.paths.open(at(0), HOME(), local, PTO, &mut bench.ids).unwrap();
    let probe = bench.poll(at(0)).unwrap();
    assert_eq!((probe.index, probe.local, probe.size), (path, local, 1200));
    assert_eq!(probe.destination, ConnectionId::new(&[1; 8]).unwrap());
    assert_eq!(bench.paths.current().index(), PathIndex::FIRST);
    assert_eq!(bench.respond(at(10), probe.frames.challenge.unwrap()), Some(path));
    assert_eq!(bench.paths.migrate(at(20), path, PTO, &mut bench.ids), Ok(true));
    assert_eq!((bench.paths.current().local(), bench.ids.current()), (local, probe.destination));
    bench.pass(at(60_000));
    assert_eq!(bench.paths.count(), 1);
    assert_eq!(bench.ids.next_retire(), Some(0));
}

#[test]
fn what_a_client_opened_is_kept_until_it_moves() {
    let mut bench = Bench::new(Side::Client);
    let local = Some(IpAddr::from([10, 0, 0, 2]));
    let path = bench.paths.open(at(0), HOME(), local, PTO, &mut bench.ids).unwrap();
    let probe = bench.poll(at(0)).unwrap();
    bench.read(at(10), path, 1, true);
    bench.respond(at(10), probe.frames.challenge.unwrap());
    bench.pass(at(600_000));
    assert_eq!(bench.paths.migrate(at(600_000), path, PTO, &mut bench.ids), Ok(true));
}

#[test]
fn a_path_that_is_not_proven_is_not_probed_for_its_size() {
    let mut bench = Bench::new(Side::Server);
    bench.paths = Paths::new(Side::Server, HOME(), None, MtuConfig { initial: 1400, maximum: 9000, search: true });
    bench.paths.validate_current();
    bench.paths.on_handshake_confirmed();
    assert!(bench.paths.mtu().next_probe(at(0)).is_some());
    bench.packet(at(0), address(1, 2000), 0, false);
    assert_eq!(bench.paths.current().datagram_size(), 1400, "the same host");
    assert!(bench.paths.mtu().next_probe(at(0)).is_none());
    let sent = bench.poll_all(at(0));
    bench.respond(at(10), sent[0].frames.challenge.unwrap());
    assert!(bench.paths.mtu().next_probe(at(10)).is_some());
}

#[test]
fn a_client_that_moves_at_once_goes_back_if_there_is_no_answer() {
    let mut bench = Bench::new(Side::Client);
    let path = bench.paths.open(at(0), HOME(), Some(IpAddr::from([10, 0, 0, 2])), PTO, &mut bench.ids).unwrap();
    bench.paths.migrate(at(0), path, PTO, &mut bench.ids).unwrap();
    assert!(bench.poll(at(0)).unwrap().frames.challenge.is_some());
    assert_eq!(bench.pass(at(GIVES_UP)).went_back, Some(true));
    assert_eq!(bench.paths.current().index(), PathIndex::FIRST);
}

#[test]
fn a_client_whose_address_changed_goes_on_at_once_under_another_id_and_never_goes_back() {
    let mut bench = Bench::new(Side::Client);
    assert_eq!(bench.paths.relocate(at(0), PTO, &mut bench.ids), Ok(true));
    assert_eq!(bench.paths.current().local(), None);
    let challenge = bench.poll(at(0)).unwrap();
    assert_eq!((challenge.index, challenge.size), (bench.paths.current().index(), 1200));
    assert_eq!(challenge.destination, ConnectionId::new(&[1; 8]).unwrap());
    assert_eq!(bench.ids.current(), challenge.destination);
    let ended = bench.pass(at(GIVES_UP));
    assert_eq!((ended.went_back, ended.nowhere_to_go), (None, true));

    let mut answered = Bench::new(Side::Client);
    answered.paths.relocate(at(0), PTO, &mut answered.ids).unwrap();
    let challenge = answered.poll(at(0)).unwrap();
    answered.respond(at(10), challenge.frames.challenge.unwrap());
    assert!(!answered.pass(at(60_000)).nowhere_to_go);
    assert_eq!((answered.paths.count(), answered.ids.next_retire()), (1, Some(0)));

    let mut server = Bench::new(Side::Server);
    assert_eq!(server.paths.relocate(at(0), PTO, &mut server.ids), Err(MigrationRefused::ServersStay));
}

#[test]
fn a_client_moves_only_where_and_when_it_may() {
    let local = Some(IpAddr::from([10, 0, 0, 2]));
    let mut early = Bench::new(Side::Client);
    early.paths = Paths::new(Side::Client, HOME(), None, MtuConfig::default());
    let refused = early.paths.open(at(0), HOME(), local, PTO, &mut early.ids);
    assert_eq!(refused, Err(MigrationRefused::NotConfirmed));

    let mut disabled = Bench::new(Side::Client);
    disabled.paths.on_peer_parameters(65_527, true);
    let refused = disabled.paths.open(at(0), HOME(), local, PTO, &mut disabled.ids);
    assert_eq!(refused, Err(MigrationRefused::Disabled));
    let preferred = disabled.paths.open(at(0), address(9, 443), None, PTO, &mut disabled.ids).unwrap();
    let refused = disabled.paths.migrate(at(0), preferred, PTO, &mut disabled.ids);
    assert_eq!(refused, Err(MigrationRefused::NotValidated));

    let mut poor = Bench::new(Side::Client);
    poor.ids = PeerIds::new(ConnectionId::new(&[0; 8]).unwrap());
    let refused = poor.paths.open(at(0), HOME(), local, PTO, &mut poor.ids);
    assert_eq!(refused, Err(MigrationRefused::NoConnectionId));
    poor.ids = PeerIds::new(ConnectionId::EMPTY);
    let refused = poor.paths.open(at(0), HOME(), local, PTO, &mut poor.ids);
    assert_eq!(refused, Err(MigrationRefused::NoConnectionId));

    let mut server = Bench::new(Side::Server);
    let refused = server.paths.open(at(0), HOME(), local, PTO, &mut server.ids);
    assert_eq!(refused, Err(MigrationRefused::ServersStay));

    let mut full = Bench::new(Side::Client);
    full.paths.open(at(0), HOME(), local, PTO, &mut full.ids).unwrap();
    full.paths.open(at(0), HOME(), local, PTO, &mut full.ids).unwrap();
    let refused = full.paths.open(at(0), HOME(), local, PTO, &mut full.ids);
    assert_eq!(refused, Err(MigrationRefused::TooManyPaths));
}

#[test]
fn a_preferred_address_may_not_reach_less_far_than_the_server() {
    let socket = |address: &str| address.parse::<SocketAddr>().unwrap();
    let ip = |address: &str| address.parse::<IpAddr>().unwrap();
    for (server, preferred, may) in [
        ("203.0.113.1", "203.0.113.2:443", true),
        ("203.0.113.1", "127.0.0.1:443", false),
        ("203.0.113.1", "10.0.0.1:443", false),
        ("203.0.113.1", "169.254.0.1:443", false),
        ("203.0.113.1", "203.0.113.2:53", false),
        ("203.0.113.1", "0.0.0.0:443", false),
        ("2001:db8::1", "[::1]:443", false),
        ("2001:db8::1", "[fe80::1]:443", false),
        ("2001:db8::1", "[fd00::1]:443", false),
        ("2001:db8::1", "[ff02::1]:443", false),
        ("2001:db8::1", "[::ffff:10.0.0.1]:443", false),
        ("2001:db8::1", "[2001:db8::2]:443", true),
        ("10.0.0.1", "192.168.0.1:443", true),
        ("10.0.0.1", "127.0.0.1:443", false),
        ("127.0.0.1", "127.0.0.1:443", true),
    ] {
        assert_eq!(may_use_preferred_address(ip(server), socket(preferred)), may, "{server} {preferred}");
    }
}

/// One thing that may happen to a server.
#[derive(Clone, Debug)]
enum Step {
    Receive { from: u8, bytes: u16, authentic: bool, largest: bool, probing: bool, id: u64 },
    Challenge { path: usize },
    SendData { bytes: u64 },
    Poll,
    Answer { back: usize },
    Wait { milliseconds: u64 },
    GiveId { retire_prior_to: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let receive = (0_u8..6, 21_u16..1500, any::<[bool; 3]>(), 0_u64..2);
    prop_oneof![
        6 => receive.prop_map(|(from, bytes, [authentic, largest, probing], id)| {
            Step::Receive { from, bytes, authentic, largest, probing, id }
        }),
        1 => (0..PATHS).prop_map(|path| Step::Challenge { path }),
        3 => (1_u64..3000).prop_map(|bytes| Step::SendData { bytes }),
        3 => Just(Step::Poll),
        1 => (0_usize..20).prop_map(|back| Step::Answer { back }),
        2 => (1_u64..2000).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => (0_u64..10).prop_map(|retire_prior_to| Step::GiveId { retire_prior_to }),
    ]
}

/// The books of the network: what each address got and gave while it was not validated.
#[derive(Clone, Copy, Debug, Default)]
struct Books {
    received: u64,
    sent: u64,
    validated: bool,
}

struct Trace {
    bench: Bench,
    now: Time,
    books: [Books; 6],
    sent: Vec<([u8; 8], SocketAddr)>,
    ids_given: u8,
}

impl Trace {
    fn new() -> Self {
        let mut books = [Books::default(); 6];
        books[0].validated = true;
        Self { bench: Bench::new(Side::Server), now: at(0), books, sent: Vec::new(), ids_given: 4 }
    }

    fn from(&self, host: u8) -> SocketAddr {
        if host == 0 { HOME() } else { address(host / 2 + 1, 2000 + u16::from(host)) }
    }

    fn books(&mut self, remote: SocketAddr) -> &mut Books {
        let host = (0..6).find(|host| self.from(*host) == remote).unwrap();
        &mut self.books[usize::from(host)]
    }

    /// A path that is forgotten is validated anew when it comes back.
    fn close_books(&mut self) {
        for host in 0..6 {
            let remote = self.from(host);
            let known = PathIndex::all().filter_map(|index| self.bench.paths.path(index));
            let validated = known.filter(|path| path.remote() == remote).any(Path::is_validated);
            let books = &mut self.books[usize::from(host)];
            if books.validated && !validated {
                *books = Books::default();
            }
        }
    }

    /// Says whether the connection goes on.
    fn take(&mut self, step: &Step) -> bool {
        match *step {
            Step::Receive { from, bytes, authentic, largest, probing, id } => {
                let remote = self.from(from);
                self.books(remote).received += u64::from(bytes);
                if let Ok(path) = self.bench.paths.on_datagram(remote, None, usize::from(bytes))
                    && authentic
                {
                    let packet = ReceivedPacket { path, largest, probing, destination: id };
                    let Bench { paths, ids, .. } = &mut self.bench;
                    paths.on_packet(self.now, packet, PTO, ids);
                    self.close_books();
                }
            }
            Step::Challenge { path } => {
                let path = PathIndex::all().nth(path).unwrap();
                self.bench.paths.on_challenge(path, [1; 8]);
            }
            Step::SendData { bytes } => {
                let current = self.bench.paths.current();
                let (remote, bytes) = (current.remote(), bytes.min(current.sendable()));
                self.bench.paths.on_sent(bytes as usize);
                self.books(remote).sent += bytes;
            }
            Step::Poll => {
                if let Some(sent) = self.bench.poll(self.now) {
                    self.books(sent.remote).sent += sent.size as u64;
                    self.sent.extend(sent.frames.challenge.map(|data| (data, sent.remote)));
                }
            }
            Step::Answer { back } => {
                if let Some((data, remote)) = self.sent.len().checked_sub(back + 1).map(|place| self.sent[place])
                    && self.bench.respond(self.now, data).is_some()
                {
                    self.books(remote).validated = true;
                }
            }
            Step::Wait { milliseconds } => {
                self.now += Duration::from_millis(milliseconds);
                let Bench { paths, ids, .. } = &mut self.bench;
                let Ok(ended) = paths.on_deadline(self.now, PTO, ids) else { return false };
                self.close_books();
                return !ended.nowhere_to_go;
            }
            Step::GiveId { retire_prior_to } => {
                self.ids_given = self.ids_given.saturating_add(1);
                let sequence = u64::from(self.ids_given) - 1;
                let frame = NewConnectionId {
                    sequence,
                    retire_prior_to: retire_prior_to.min(sequence),
                    id: ConnectionId::new(&[self.ids_given; 8]).unwrap(),
                    reset_token: ResetToken([self.ids_given; 16]),
                };
                if self.bench.ids.on_new_connection_id(&frame).is_err() {
                    return false;
                }
                while let Some(sequence) = self.bench.ids.next_retire() {
                    self.bench.ids.on_retire_sent(sequence);
                    self.bench.ids.on_acknowledged(sequence);
                }
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Each of the 2,000 traces is checked after each of its 100 steps: every prefix of it is a trace.
    #[test]
    fn no_unvalidated_address_ever_gets_more_than_three_times_what_it_gave(
        steps in proptest::collection::vec(step(), 100),
    ) {
        let mut trace = Trace::new();
        for step in &steps {
            let goes_on = trace.take(step);
            for books in trace.books {
                prop_assert!(books.validated || books.sent <= 3 * books.received, "{:?} after {:?}", books, step);
            }
            let paths = &trace.bench.paths;
            prop_assert!(paths.count() <= PATHS);
            let names: std::collections::HashSet<_> =
                PathIndex::all().filter(|index| paths.path(*index).is_some()).collect();
            prop_assert_eq!(names.len(), paths.count(), "no two paths have one name");
            if !goes_on {
                break;
            }
        }
    }
}
