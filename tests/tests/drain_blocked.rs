//! Peers that never acknowledge, so that nothing of ours can be forgotten, and flood us with whatever makes us remember
//! something: every queue stays within its limit.
#![expect(clippy::unwrap_used, reason = "a test panics where a promise is broken")]

use std::time::Duration;

use bytes::Bytes;
use codec::frame::{
    Crypto, DataBlocked, Datagram, Frame, MaxData, MaxStreamData, MaxStreams, NewConnectionId, PathChallenge,
    ResetStream, RetireConnectionId, StopSending, Stream, StreamDataBlocked, StreamsBlocked,
};
use codec::{ConnectionId, Direction, ResetToken, Side, StreamId};
use quicast_tests::application::pattern;
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::limits::{self, Limit};

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// A victim that has filled its window, and hears no acknowledgement from now on.
fn blocked(victim: Side) -> Puppet {
    let mut puppet = Puppet::at(&Settings::new(1), victim, Stage::Established);
    let streams = &mut puppet.victim().streams;
    let id = streams.open(Direction::Unidirectional).unwrap();
    streams.write(id, pattern(id, 0, 60_000)).unwrap();
    puppet.turn();
    let connection = &puppet.victim().connection;
    assert!(connection.bytes_in_flight() + 1452 > connection.window().congestion_window, "the window is full");
    puppet.heard.clear();
    puppet
}

fn stays_within_limits(puppet: &mut Puppet, what: &str) {
    puppet.heard.clear();
    puppet.unopened.clear();
    let victim = puppet.victim();
    let sent = victim.connection.sent_packets();
    assert!(sent <= limits::SENT_PACKETS + 64, "{what}: {sent} packets are remembered");
    let control = victim.connection.ledger().control_frames();
    assert!(control <= limits::CONTROL_FRAMES, "{what}: {control} control frames wait");
}

/// Says the same kind of packet again and again, a little time apart.
fn flood(what: &str, times: u64, say: impl Fn(&mut Puppet, u64)) -> Vec<Puppet> {
    SIDES
        .into_iter()
        .map(|victim| {
            let mut puppet = blocked(victim);
            for time in 0..times {
                if puppet.close_code().is_some() {
                    break;
                }
                say(&mut puppet, time);
                if time % 64 == 0 {
                    stays_within_limits(&mut puppet, what);
                    puppet.advance(Duration::from_micros(100));
                }
            }
            stays_within_limits(&mut puppet, what);
            puppet
        })
        .collect()
}

#[test]
fn pings() {
    for mut puppet in flood("PING", 60_000, |puppet, _| puppet.say(SpaceId::Application, &[Frame::Ping])) {
        assert!(puppet.victim().stats.limit_hits[Limit::SentPackets as usize] > 0, "the bound was reached");
        // Who acknowledges nothing is given up, however much it says.
        for _ in 0..4_000 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
            puppet.advance(Duration::from_secs(1));
            if puppet.close_code().is_some() {
                break;
            }
        }
        assert!(puppet.close_code().is_some(), "it is never given up");
    }
}

#[test]
fn path_challenges() {
    flood("PATH_CHALLENGE", 60_000, |puppet, time| {
        let data = time.to_be_bytes();
        puppet.say(SpaceId::Application, &[Frame::Ping, Frame::PathChallenge(PathChallenge { data })]);
    });
}

#[test]
fn new_connection_ids() {
    for mut puppet in flood("NEW_CONNECTION_ID", 20_000, |puppet, time| {
        let sequence = time + 1;
        let mut id = [0xe0; 8];
        id[..4].copy_from_slice(&(time as u32).to_be_bytes());
        let frame = NewConnectionId {
            sequence,
            retire_prior_to: sequence,
            id: ConnectionId::new(&id).unwrap(),
            reset_token: ResetToken([time as u8; 16]),
        };
        puppet.say(SpaceId::Application, &[Frame::NewConnectionId(frame)]);
    }) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
        //= type=test
        //# An endpoint SHOULD limit the number of connection IDs it has retired locally for
        //# which RETIRE_CONNECTION_ID frames have not yet been acknowledged.
        assert_eq!(puppet.close_code().as_deref(), Some("CONNECTION_ID_LIMIT_ERROR"));
    }
}

#[test]
fn retired_connection_ids() {
    // Each retired id is replaced by another, which the victim cannot tell while its window is full: then the next one
    // was never announced.
    for mut puppet in flood("RETIRE_CONNECTION_ID", 10_000, |puppet, time| {
        puppet.say(SpaceId::Application, &[Frame::RetireConnectionId(RetireConnectionId { sequence: time + 1 })]);
    }) {
        assert_eq!(puppet.close_code().as_deref(), Some("PROTOCOL_VIOLATION"));
    }
}

#[test]
fn crypto_with_gaps() {
    for mut puppet in flood("CRYPTO", 10_000, |puppet, time| {
        puppet.say(SpaceId::Application, &[Frame::Crypto(Crypto { offset: 2 + 2 * time, data: b"x" })]);
    }) {
        assert_eq!(puppet.close_code().as_deref(), Some("CRYPTO_BUFFER_EXCEEDED"));
    }
}

#[test]
fn streams_that_are_opened_and_reset() {
    for mut puppet in flood("STREAM and RESET_STREAM", 20_000, |puppet, time| {
        let id = StreamId::new(puppet.side(), Direction::Bidirectional, time % 100);
        puppet.say(
            SpaceId::Application,
            &[
                Frame::Stream(Stream { id, offset: 0, fin: false, data: b"hello" }),
                Frame::ResetStream(ResetStream { id, code: 1, final_size: 5 }),
                Frame::StopSending(StopSending { id, code: 2 }),
            ],
        );
    }) {
        assert_eq!(puppet.close_code(), None);
        assert!(puppet.victim().streams.len() <= 102, "{}", puppet.victim().streams.len());
        assert_eq!(puppet.victim().streams.counters().buffered_receive, 0);
    }
}

#[test]
fn rapid_resets_go_no_further_than_the_streams_that_are_permitted() {
    for mut puppet in flood("rapid reset", 10_000, |puppet, time| {
        let id = StreamId::new(puppet.side(), Direction::Unidirectional, time);
        puppet.say(SpaceId::Application, &[Frame::ResetStream(ResetStream { id, code: 1, final_size: 0 })]);
    }) {
        // The victim's application reads no reset, so no stream is given back.
        assert_eq!(puppet.close_code().as_deref(), Some("STREAM_LIMIT_ERROR"));
        assert!(puppet.victim().streams.len() <= 102);
    }
}

#[test]
fn limits_that_rise_without_end() {
    for mut puppet in flood("MAX_*", 30_000, |puppet, time| {
        let own = StreamId::new(puppet.side().peer(), Direction::Unidirectional, 0);
        puppet.say(
            SpaceId::Application,
            &[
                Frame::MaxData(MaxData { maximum: time << 20 }),
                Frame::MaxStreamData(MaxStreamData { id: own, maximum: time << 20 }),
                Frame::MaxStreams(MaxStreams { direction: Direction::Bidirectional, maximum: time << 10 }),
                Frame::MaxStreams(MaxStreams { direction: Direction::Unidirectional, maximum: time << 10 }),
            ],
        );
    }) {
        assert_eq!(puppet.close_code(), None);
    }
}

#[test]
fn peers_that_say_that_they_are_blocked() {
    for mut puppet in flood("BLOCKED", 30_000, |puppet, time| {
        let id = StreamId::new(puppet.side(), Direction::Bidirectional, time % 100);
        puppet.say(
            SpaceId::Application,
            &[
                Frame::DataBlocked(DataBlocked { limit: time }),
                Frame::StreamDataBlocked(StreamDataBlocked { id, limit: time }),
                Frame::StreamsBlocked(StreamsBlocked { direction: Direction::Bidirectional, limit: time }),
            ],
        );
    }) {
        assert_eq!(puppet.close_code(), None);
    }
}

#[test]
fn datagrams_that_nobody_reads_and_datagrams_that_cannot_leave() {
    for mut puppet in flood("DATAGRAM", 5_000, |puppet, time| {
        let data = [time as u8; 1000];
        puppet.say(SpaceId::Application, &[Frame::Datagram(Datagram { data: &data })]);
        let data = Bytes::copy_from_slice(&data);
        puppet.victim().connection.send_datagram(data).unwrap();
        puppet.turn();
    }) {
        assert_eq!(puppet.close_code(), None);
        let mut kept = 0;
        while let Some(data) = puppet.victim().connection.read_datagram() {
            kept += data.len();
        }
        assert!(kept > 0 && kept <= limits::DATAGRAM_BYTES, "{kept}");
        assert!(puppet.victim().stats.limit_hits[Limit::Datagrams as usize] > 0);
    }
}

#[test]
fn the_smallest_pieces_with_the_most_gaps() {
    for mut puppet in flood("STREAM with gaps", 20_000, |puppet, time| {
        let id = StreamId::new(puppet.side(), Direction::Bidirectional, 0);
        let offset = 1 + 2 * time;
        puppet.say(SpaceId::Application, &[Frame::Stream(Stream { id, offset, fin: false, data: b"x" })]);
    }) {
        assert_eq!(puppet.close_code(), None);
        let counters = puppet.victim().streams.counters();
        assert!(counters.gaps <= limits::CONNECTION_GAPS as u64, "{counters:?}");
        assert!(counters.buffered_receive <= limits::STREAM_WINDOW);
    }
}

/// What the victim's own application does while nothing can leave is bounded by the credit that it has.
#[test]
fn an_application_that_writes_while_nothing_leaves() {
    for victim in SIDES {
        let mut puppet = blocked(victim);
        let mut taken = 0;
        for _ in 0..100 {
            let Some(id) = puppet.victim().streams.open(Direction::Bidirectional) else { break };
            while puppet.victim().streams.write(id, pattern(id, 0, 16_384)).is_ok() {
                taken += 16_384;
            }
            puppet.turn();
        }
        // A stream's backlog here, and what was handed over for sending there.
        let most = 101 * (2 * limits::SEND_AHEAD + 16_384);
        assert!(taken <= most, "{taken} of {most}");
        assert!(puppet.victim().connection.ledger().send_buffered() <= 101 * limits::SEND_AHEAD);
        stays_within_limits(&mut puppet, "writes");
    }
}
