//! What all modules need: payloads, and the two verdicts [`assert_closed`] and [`drops`].

use std::time::Duration;

use codec::cursor::Writer;
use codec::frame::{Frame, ResetStream, Stream};
use codec::{Direction, Side, StreamId, TransportErrorCode};
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::connection::State;
use transport::stats::PacketDrop;

/// Whom a rule protects: both.
pub(crate) const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// The largest variable-length integer.
pub(crate) const MAXIMUM: u64 = (1 << 62) - 1;

/// Negative cases, one test each: `name(victims; stage, space) CODE => payload of the victim's side`.
macro_rules! closes {
    ($( $(#[$meta:meta])* $name:ident($($victim:ident),+; $stage:ident, $space:ident) $code:ident => $payload:expr; )*) => { $(
        $(#[$meta])*
        #[test]
        fn $name() {
            let payload: fn(codec::Side) -> Vec<u8> = $payload;
            for victim in [$(codec::Side::$victim),+] {
                $crate::support::closes(
                    victim,
                    quicast_tests::puppet::Stage::$stage,
                    recovery::SpaceId::$space,
                    &payload(victim),
                    codec::TransportErrorCode::$code,
                );
            }
        }
    )* };
}

/// What is said without harm, one test each: as [`closes`], without a code.
macro_rules! tolerates {
    ($( $(#[$meta:meta])* $name:ident($($victim:ident),+; $stage:ident, $space:ident) => $payload:expr; )*) => { $(
        $(#[$meta])*
        #[test]
        fn $name() {
            let payload: fn(codec::Side) -> Vec<u8> = $payload;
            for victim in [$(codec::Side::$victim),+] {
                let mut puppet = $crate::support::puppet(victim, quicast_tests::puppet::Stage::$stage);
                puppet.say_bytes(recovery::SpaceId::$space, &payload(victim));
                $crate::support::assert_goes_on(&mut puppet);
            }
        }
    )* };
}

/// A puppet opposite a victim with the default settings.
pub(crate) fn puppet(victim: Side, stage: Stage) -> Puppet {
    Puppet::at(&Settings::new(1), victim, stage)
}

/// Says a payload and expects the victim to close with this code.
#[track_caller]
pub(crate) fn closes(victim: Side, stage: Stage, space: SpaceId, payload: &[u8], code: TransportErrorCode) {
    let mut puppet = puppet(victim, stage);
    puppet.say_bytes(space, payload);
    assert_closed(&mut puppet, code);
}

/// The victim closed with this code, said so on the wire, and keeps to it.
#[track_caller]
pub(crate) fn assert_closed(puppet: &mut Puppet, code: TransportErrorCode) {
    let victim = puppet.side().peer();
    assert_eq!(puppet.close_code().as_deref(), Some(code.to_string().as_str()), "at the {victim:?}");
    assert_eq!(puppet.victim().connection.state(), State::Closing, "at the {victim:?}");
    let said = close_frames(puppet);
    assert!(!said.is_empty(), "the {victim:?} closed without a word");
    assert!(said.iter().all(|(said, _)| *said == code), "the {victim:?} said {said:?} instead of {code}");
}

/// The CONNECTION_CLOSE frames of type 0x1c that were heard: code and frame type.
pub(crate) fn close_frames(puppet: &Puppet) -> Vec<(TransportErrorCode, u64)> {
    let frames = puppet.heard.iter().flat_map(|heard| heard.frames());
    frames
        .filter_map(|frame| match frame {
            Frame::ConnectionClose(close) => Some((close.code, close.frame_type)),
            _ => None,
        })
        .collect()
}

/// The connection is open, and what is said is heard and acknowledged.
#[track_caller]
pub(crate) fn assert_goes_on(puppet: &mut Puppet) {
    let victim = puppet.side().peer();
    assert_eq!(puppet.victim().ending(), "open", "at the {victim:?}");
    let space = match puppet.victim().connection.state() {
        State::Handshaking
            if puppet.keys.can_seal(tls::Level::Handshake) && puppet.crypto_offset(SpaceId::Initial) > 0 =>
        {
            SpaceId::Handshake
        }
        State::Handshaking => SpaceId::Initial,
        _ => SpaceId::Application,
    };
    let number = puppet.next_numbers[space.index()];
    puppet.say(space, &[Frame::Ping]);
    puppet.advance(Duration::from_millis(30));
    assert_eq!(puppet.victim().ending(), "open", "at the {victim:?} afterwards");
    let acknowledged = puppet.heard_frames(space).any(|frame| match frame {
        Frame::Ack(ack) => ack.ranges().any(|range| range.contains(&number)),
        _ => false,
    });
    assert!(acknowledged, "the {victim:?} no longer acknowledges in {space:?}");
}

/// How many packets were dropped for a reason so far.
pub(crate) fn dropped(puppet: &mut Puppet, reason: PacketDrop) -> u64 {
    puppet.victim().stats.dropped[reason as usize]
}

/// Does something that is dropped for this reason alone, after which the connection goes on.
#[track_caller]
pub(crate) fn drops(puppet: &mut Puppet, reason: PacketDrop, act: impl FnOnce(&mut Puppet)) {
    let before = puppet.victim().stats.dropped;
    act(puppet);
    assert_eq!(puppet.victim().ending(), "open");
    let after = puppet.victim().stats.dropped;
    for other in PacketDrop::ALL {
        let moved = after[other as usize] - before[other as usize];
        assert_eq!(moved > 0, other == reason, "{} dropped as {}", moved, other.as_str());
    }
    assert_goes_on(puppet);
}

/// A variable-length integer in its shortest form.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    let mut buffer = [0; 8];
    let mut writer = Writer::new(&mut buffer);
    writer.varint(value).unwrap();
    writer.written().to_vec()
}

/// Integers one after the other: most frames are nothing else.
pub(crate) fn raw(values: &[u64]) -> Vec<u8> {
    values.iter().copied().flat_map(varint).collect()
}

/// Pieces one after the other.
pub(crate) fn join(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

/// Well-formed frames as they go on the wire.
pub(crate) fn bytes(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut buffer = vec![0; 64 * 1024];
    let mut writer = Writer::new(&mut buffer);
    for frame in frames {
        frame.encode(&mut writer).unwrap();
    }
    writer.written().to_vec()
}

/// A bidirectional stream of the puppet's.
pub(crate) const fn theirs(victim: Side, index: u64) -> StreamId {
    StreamId::new(victim.peer(), Direction::Bidirectional, index)
}

/// A unidirectional stream of the puppet's.
pub(crate) const fn theirs_uni(victim: Side, index: u64) -> StreamId {
    StreamId::new(victim.peer(), Direction::Unidirectional, index)
}

/// A bidirectional stream of the victim's.
pub(crate) const fn own(victim: Side, index: u64) -> StreamId {
    StreamId::new(victim, Direction::Bidirectional, index)
}

/// A unidirectional stream of the victim's.
pub(crate) const fn own_uni(victim: Side, index: u64) -> StreamId {
    StreamId::new(victim, Direction::Unidirectional, index)
}

/// A STREAM frame.
pub(crate) fn stream(id: StreamId, offset: u64, data: &[u8], fin: bool) -> Vec<u8> {
    bytes(&[Frame::Stream(Stream { id, offset, fin, data })])
}

/// A RESET_STREAM frame with code 7.
pub(crate) fn reset(id: StreamId, final_size: u64) -> Vec<u8> {
    bytes(&[Frame::ResetStream(ResetStream { id, code: 7, final_size })])
}
