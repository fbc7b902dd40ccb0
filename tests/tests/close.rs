//! The end of connections (RFC 9000 §10): codes arrive, in every phase; what comes later is answered sparingly.

use std::time::Duration;

use codec::frame::{ApplicationClose, ConnectionClose, Frame};
use codec::{Side, TransportErrorCode};
use quicast_tests::endpoint::Node;
use quicast_tests::puppet::Stage;
use quicast_tests::{Application, Conditions, Network, Pair, Plan, Puppet, Settings, Weather, for_each_seed};
use recovery::SpaceId;
use transport::connection::State;
use transport::output::CloseReason;

const SIDES: [Side; 2] = [Side::Client, Side::Server];

fn is_over(node: &Node) -> bool {
    node.connection.state() == State::Drained
}

#[test]
fn an_applications_code_and_words_arrive() {
    for side in SIDES {
        let mut pair = Pair::established(&Settings::new(1));
        let now = pair.now;
        pair.node(side).connection.close(now, 0x1234, b"goodbye");
        pair.turn();
        assert_eq!(pair.node(side).connection.state(), State::Closing);
        pair.run(Duration::from_millis(2), |_| false);
        assert_eq!(
            pair.node(side.peer()).close_reason(),
            Some(&CloseReason::PeerApplication { code: 0x1234, reason: b"goodbye"[..].into() })
        );
        assert_eq!(
            pair.node(side).close_reason(),
            Some(&CloseReason::LocalApplication { code: 0x1234, reason: b"goodbye"[..].into() })
        );
        assert_eq!(pair.node(side.peer()).connection.state(), State::Draining);
        // Three probe timeouts later both are gone, and nothing is sent meanwhile.
        let sent = pair.node(side.peer()).stats.datagrams_sent;
        assert!(
            pair.run(Duration::from_secs(5), |pair| {
                pair.client.nodes.iter().chain(&pair.server.nodes).all(is_over)
            })
        );
        assert_eq!(pair.node(side.peer()).stats.datagrams_sent, sent, "who drains is silent");
    }
}

#[test]
fn an_internal_failure_arrives_as_such() {
    for side in SIDES {
        let mut pair = Pair::established(&Settings::new(1));
        let now = pair.now;
        pair.node(side).connection.close_internal(now, "a test");
        pair.turn();
        pair.settle();
        assert!(matches!(
            pair.node(side.peer()).close_reason(),
            Some(CloseReason::PeerTransport { code: TransportErrorCode::INTERNAL_ERROR, .. })
        ));
    }
}

#[test]
fn a_long_reason_is_cut() {
    let mut pair = Pair::established(&Settings::new(1));
    let now = pair.now;
    pair.client().connection.close(now, 1, &[b'x'; 100_000]);
    pair.turn();
    pair.settle();
    let Some(CloseReason::PeerApplication { code: 1, reason }) = pair.server().close_reason() else { panic!() };
    assert_eq!(reason.len(), transport::limits::REASON_BYTES);
}

/// In every phase of the handshake, from either side, the code of the transport arrives; the application's only where
/// 1-RTT packets can be read.
#[test]
fn closes_arrive_in_every_phase_of_the_handshake() {
    for side in SIDES {
        for step in 0..12 {
            let mut pair = Pair::new(&Settings::new(1));
            pair.run(pair.delay * step / 2, |_| false);
            if side.is_server() && pair.server.nodes.is_empty() {
                continue;
            }
            let now = pair.now;
            pair.node(side).connection.close(now, 77, b"words");
            pair.turn();
            let over = pair
                .run(Duration::from_secs(20), |pair| pair.client.nodes.iter().chain(&pair.server.nodes).all(is_over));
            assert!(over, "{side:?} at half delay {step}: {}", pair.describe());
            if side.is_client() && pair.server.nodes.is_empty() {
                continue;
            }
            let reason = pair.node(side.peer()).close_reason().cloned();
            match &reason {
                Some(CloseReason::PeerApplication { code: 77, .. }) => {}
                Some(CloseReason::PeerTransport { code, reason, .. }) => {
                    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3
                    //= type=test
                    //# Sending a CONNECTION_CLOSE of type 0x1d in an Initial or Handshake
                    //# packet could expose application state or be used to alter application state.
                    assert_eq!(*code, TransportErrorCode::APPLICATION_ERROR);
                    assert!(reason.is_empty());
                }
                other => panic!("{side:?} at half delay {step}: {other:?}, {}", pair.describe()),
            }
        }
    }
}

#[test]
fn a_closing_end_answers_less_and_less() {
    let mut puppet = Puppet::at(&Settings::new(1), Side::Server, Stage::Established);
    let now = puppet.now;
    puppet.victim().connection.close(now, 1, b"");
    puppet.turn();
    let closes = |puppet: &Puppet| {
        let frames = puppet.heard_frames(SpaceId::Application);
        frames.filter(|frame| matches!(frame, Frame::ApplicationClose(_))).count()
    };
    assert_eq!(closes(&puppet), 1);
    for _ in 0..64 {
        puppet.say(SpaceId::Application, &[Frame::Ping]);
    }
    assert_eq!(closes(&puppet), 1 + 7, "for the 1st, 2nd, 4th, ... 64th");
    // What the peer says when it closes as well ends that.
    puppet.say(SpaceId::Application, &[Frame::ApplicationClose(ApplicationClose { code: 0, reason: b"" })]);
    assert_eq!(puppet.victim().connection.state(), State::Draining);
    for _ in 0..64 {
        puppet.say(SpaceId::Application, &[Frame::Ping]);
    }
    assert_eq!(closes(&puppet), 8);
}

#[test]
fn closes_in_any_space_are_heard() {
    for victim in SIDES {
        for (stage, space) in [
            (Stage::Handshake, SpaceId::Initial),
            (Stage::Handshake, SpaceId::Handshake),
            (Stage::Complete, SpaceId::Application),
            (Stage::Established, SpaceId::Application),
        ] {
            let mut puppet = Puppet::at(&Settings::new(1), victim, stage);
            let close = ConnectionClose { code: TransportErrorCode::NO_ERROR, frame_type: 0, reason: b"that is all" };
            puppet.say(space, &[Frame::ConnectionClose(close)]);
            assert_eq!(
                puppet.victim().close_reason(),
                Some(&CloseReason::PeerTransport {
                    code: TransportErrorCode::NO_ERROR,
                    frame_type: 0,
                    reason: b"that is all"[..].into()
                }),
                "{victim:?} {stage:?} {space:?}"
            );
            let heard = puppet.heard.len();
            puppet.advance(Duration::from_secs(60));
            assert_eq!(puppet.heard.len(), heard, "who drains is silent");
            assert!(puppet.victim().is_drained());
        }
    }
}

#[test]
fn closes_arrive_through_a_bad_network_while_much_is_under_way() {
    for_each_seed(|seed| {
        let conditions = Conditions { loss: 100, reorder: 100, corrupt: 20, ..Conditions::default() };
        let application = Application::planned(Side::Client, Plan::echo(5, 200_000));
        let mut network = Network::new(&Settings::new(seed), conditions, Weather::default(), application);
        network.run(Duration::from_millis(50 + seed * 7), |_| false);
        let closes = if seed.is_multiple_of(2) { Side::Client } else { Side::Server };
        if closes.is_server() && network.server.nodes.is_empty() {
            return;
        }
        let now = network.now;
        let host = if closes.is_client() { &mut network.client } else { &mut network.server };
        host.nodes[0].connection.close(now, 5, b"enough");
        host.turn(now, 0);
        let over = network.run(Duration::from_secs(100), |network| {
            network.client.nodes.iter().chain(&network.server.nodes).all(is_over)
        });
        assert!(over, "{}", network.describe());
        // It may be lost, but then the other end runs into its idle timeout or that of the handshake.
        let host = if closes.is_client() { &network.server } else { &network.client };
        for node in &host.nodes {
            assert!(
                matches!(
                    node.close_reason(),
                    Some(
                        CloseReason::PeerApplication { code: 5, .. }
                            | CloseReason::PeerTransport { code: TransportErrorCode::APPLICATION_ERROR, .. }
                            | CloseReason::IdleTimeout
                            | CloseReason::HandshakeTimeout
                    )
                ),
                "{}",
                network.describe()
            );
        }
    });
}
