//! What a closed connection still says, and for how long (RFC 9000 §10.2).

use std::time::Duration;

use codec::frame::{ApplicationClose, ConnectionClose, Frame};
use codec::{Side, TransportErrorCode};
use quicast_tests::Puppet;
use quicast_tests::puppet::{Forged, Stage};
use recovery::SpaceId;
use transport::connection::State;
use transport::output::CloseReason;
use transport::stats::PacketDrop;

use crate::support::*;

const SPACE: SpaceId = SpaceId::Application;

/// An established victim that has closed because of an unknown frame.
fn closed(victim: Side) -> Puppet {
    let mut puppet = puppet(victim, Stage::Established);
    puppet.say_bytes(SPACE, &[0x20]);
    assert_eq!(puppet.victim().connection.state(), State::Closing);
    puppet
}

fn peer_close(code: u64) -> Frame<'static> {
    Frame::ConnectionClose(ConnectionClose { code: TransportErrorCode(code), frame_type: 0, reason: b"bye" })
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1
//= type=test
//# An endpoint SHOULD limit the rate at which it generates packets in the closing
//# state.
#[test]
fn a_closing_victim_answers_less_and_less() {
    for victim in SIDES {
        let mut puppet = closed(victim);
        assert_eq!(close_frames(&puppet).len(), 1, "{victim:?}");
        let mut answered = Vec::new();
        for packet in 1..=100_u32 {
            let before = close_frames(&puppet).len();
            puppet.say(SPACE, &[Frame::Ping]);
            if close_frames(&puppet).len() > before {
                answered.push(packet);
            }
        }
        assert!(answered.len() <= 8 && answered.len() >= 3, "{victim:?}: {answered:?}");
        assert!(answered.windows(2).all(|pair| pair[1] >= 2 * pair[0]), "{victim:?}: {answered:?}");
        assert_closed(&mut puppet, TransportErrorCode::FRAME_ENCODING_ERROR);
    }
}

#[test]
fn a_closing_victim_says_nothing_but_its_close() {
    for victim in SIDES {
        let mut puppet = closed(victim);
        let from = puppet.heard.len();
        for payload in [stream(theirs(victim, 0), 0, b"x", true), vec![0x1a; 9], vec![0x20], vec![1], Vec::new()] {
            puppet.say_bytes(SPACE, &payload);
        }
        for heard in &puppet.heard[from..] {
            let only = heard.frames().all(|frame| matches!(frame, Frame::ConnectionClose(_) | Frame::Padding { .. }));
            assert!(only, "{victim:?}: {heard:?}");
        }
        assert_closed(&mut puppet, TransportErrorCode::FRAME_ENCODING_ERROR);
    }
}

#[test]
fn what_arrives_after_the_end_is_counted() {
    for victim in SIDES {
        let mut puppet = closed(victim);
        for _ in 0..10 {
            puppet.say(SPACE, &[Frame::Ping]);
        }
        assert_eq!(dropped(&mut puppet, PacketDrop::AfterClose), 10, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2
//= type=test
//# While otherwise identical to the closing
//# state, an endpoint in the draining state MUST NOT send any packets.
#[test]
fn a_draining_victim_is_silent() {
    for victim in SIDES {
        for close in [peer_close(0), Frame::ApplicationClose(ApplicationClose { code: 3, reason: b"" })] {
            let mut puppet = puppet(victim, Stage::Established);
            puppet.say(SPACE, &[close]);
            assert_eq!(puppet.victim().connection.state(), State::Draining, "{victim:?}");
            let (heard, unopened) = (puppet.heard.len(), puppet.unopened.len());
            for _ in 0..50 {
                puppet.say(SPACE, &[Frame::Ping]);
                puppet.say_bytes(SPACE, &[0x20]);
                puppet.say(SPACE, &[peer_close(1)]);
            }
            puppet.advance(Duration::from_secs(60));
            assert_eq!((puppet.heard.len(), puppet.unopened.len()), (heard, unopened), "{victim:?}");
        }
    }
}

#[test]
fn the_peers_reason_is_told() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say(SPACE, &[peer_close(0x0a), Frame::Ping]);
        let reason = puppet.victim().close_reason().cloned();
        let Some(CloseReason::PeerTransport { code, reason, .. }) = reason else { panic!("{reason:?}") };
        assert_eq!((code, reason.as_ref()), (TransportErrorCode::PROTOCOL_VIOLATION, b"bye".as_slice()));
    }
}

#[test]
fn frames_behind_a_close_are_not_read() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let payload = join(&[&bytes(&[peer_close(0)]), &[0x20]]);
        puppet.say_bytes(SPACE, &payload);
        assert_eq!(puppet.victim().connection.state(), State::Draining);
        assert!(close_frames(&puppet).is_empty());
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2
//= type=test
//# An endpoint MAY enter the draining state from the closing state if it receives
//# a CONNECTION_CLOSE frame, which indicates that the peer is also closing or draining.
#[test]
fn a_close_makes_a_closing_victim_silent() {
    for victim in SIDES {
        let mut puppet = closed(victim);
        puppet.say(SPACE, &[peer_close(0)]);
        assert_eq!(puppet.victim().connection.state(), State::Draining, "{victim:?}");
        let said = close_frames(&puppet).len();
        for _ in 0..20 {
            puppet.say(SPACE, &[Frame::Ping]);
        }
        assert_eq!(close_frames(&puppet).len(), said);
        // The first reason stands.
        assert_eq!(puppet.close_code().as_deref(), Some("FRAME_ENCODING_ERROR"));
    }
}

#[test]
fn a_close_behind_a_packet_that_does_not_open_makes_a_closing_victim_silent() {
    for victim in SIDES {
        let mut puppet = closed(victim);
        // The keys of the first packet are gone.
        let mut datagram = puppet.seal(&Forged::new(SpaceId::Handshake, &[1]));
        datagram.extend(puppet.seal(&Forged::new(SPACE, &bytes(&[peer_close(0)]))));
        puppet.send(datagram);
        assert_eq!(puppet.victim().connection.state(), State::Draining, "{victim:?}");
    }
}

#[test]
fn a_close_with_a_forged_tag_changes_nothing() {
    for victim in SIDES {
        let mut open = puppet(victim, Stage::Established);
        drops(&mut open, PacketDrop::Undecryptable, |puppet| {
            let mut packet = puppet.seal(&Forged::new(SPACE, &bytes(&[peer_close(0)])));
            packet[20] ^= 1;
            puppet.send(packet);
        });
        let mut closing = closed(victim);
        let mut packet = closing.seal(&Forged::new(SPACE, &bytes(&[peer_close(0)])));
        packet[20] ^= 1;
        closing.send(packet);
        assert_eq!(closing.victim().connection.state(), State::Closing);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.2
//= type=test
//# These states SHOULD persist for at least three times the current PTO interval as
//# defined in {{QUIC-RECOVERY}}.
#[test]
fn closing_and_draining_last_three_probe_timeouts() {
    for victim in SIDES {
        for draining in [false, true] {
            let mut puppet = puppet(victim, Stage::Established);
            let (smoothed, variation) = {
                let rtt = puppet.victim().connection.rtt();
                (rtt.smoothed(), rtt.variation())
            };
            let pto = smoothed + (variation * 4).max(Duration::from_millis(1)) + Duration::from_millis(25);
            if draining {
                puppet.say(SPACE, &[peer_close(0)]);
            } else {
                puppet.say_bytes(SPACE, &[0x20]);
            }
            let ended = puppet.now;
            puppet.advance(pto * 3 - Duration::from_millis(1));
            let state = puppet.victim().connection.state();
            assert_eq!(state, if draining { State::Draining } else { State::Closing }, "{victim:?}");
            // Then at the next moment that those share that close about now.
            puppet.advance(Duration::from_millis(18));
            assert_eq!(puppet.victim().connection.state(), State::Drained, "{victim:?} since {ended:?}");
            assert!(puppet.victim().is_drained());
        }
    }
}

#[test]
fn an_end_is_reported_once() {
    for victim in SIDES {
        let mut puppet = closed(victim);
        for _ in 0..10 {
            puppet.say_bytes(SPACE, &[0x20]);
            puppet.say(SPACE, &[peer_close(0)]);
        }
        puppet.advance(Duration::from_secs(60));
        let events = &puppet.victim().events;
        let ended = events.iter().filter(|event| matches!(event, transport::output::Event::Closed(_))).count();
        let drained = events.iter().filter(|event| matches!(event, transport::output::Event::Drained)).count();
        assert_eq!((ended, drained), (1, 1), "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3
//= type=test
//# A CONNECTION_CLOSE of type 0x1d MUST be replaced by a CONNECTION_CLOSE of type
//# 0x1c when sending the frame in Initial or Handshake packets.
#[test]
fn an_applications_close_in_the_handshake_does_not_tell_its_code() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        let now = puppet.now;
        puppet.victim().connection.close(now, 0x1234, b"secret");
        puppet.turn();
        let mut spaces = Vec::new();
        for heard in &puppet.heard {
            for frame in heard.frames() {
                match frame {
                    Frame::ConnectionClose(close) => {
                        assert_eq!((close.code, close.reason), (TransportErrorCode::APPLICATION_ERROR, [].as_slice()));
                        assert_ne!(heard.space, SPACE);
                        spaces.push(heard.space);
                    }
                    Frame::ApplicationClose(_) => assert_eq!(heard.space, SPACE, "{victim:?}"),
                    _ => {}
                }
            }
        }
        assert!(spaces.contains(&SpaceId::Handshake), "{victim:?}: {spaces:?}");
    }
}

#[test]
fn the_peers_close_in_the_handshake_ends_it() {
    for victim in SIDES {
        for (stage, space) in [(Stage::Start, SpaceId::Initial), (Stage::Handshake, SpaceId::Handshake)] {
            let mut puppet = puppet(victim, stage);
            if puppet.victim_host.nodes.is_empty() {
                puppet.say(SpaceId::Initial, &[Frame::Ping]);
            }
            puppet.say(space, &[peer_close(0x02)]);
            let reason = puppet.victim().close_reason().cloned();
            let refused =
                matches!(reason, Some(CloseReason::PeerTransport { code: TransportErrorCode::CONNECTION_REFUSED, .. }));
            assert!(refused, "{victim:?} {stage:?}: {reason:?}");
        }
    }
}

#[test]
fn a_long_reason_is_cut() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let close = ApplicationClose { code: 1, reason: &[b'x'; 1100] };
        puppet.say(SPACE, &[Frame::ApplicationClose(close)]);
        let reason = puppet.victim().close_reason().cloned();
        let Some(CloseReason::PeerApplication { reason, .. }) = reason else { panic!("{reason:?}") };
        assert_eq!(reason.len(), transport::limits::REASON_BYTES);
    }
}

/// RFC 9000 §10.2.1: what is sent while closing is held to three times what was received from an unproven address.
#[test]
fn a_close_to_an_address_that_nobody_vouches_for_is_no_amplification() {
    let mut puppet = puppet(Side::Server, Stage::Start);
    let mut sent = 0;
    for _ in 0..50 {
        puppet.forge(&Forged::new(SpaceId::Initial, &[0x20]));
        sent += 1200;
    }
    assert_closed(&mut puppet, TransportErrorCode::FRAME_ENCODING_ERROR);
    puppet.advance(Duration::from_secs(20));
    let all: usize = puppet.heard.iter().map(|heard| heard.datagram).sum();
    assert!(all <= 3 * sent && all > 0, "{all} in answer to {sent}");
}
