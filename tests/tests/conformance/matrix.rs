//! Every frame type in every kind of packet in every state at either side: the exact outcome of each, from a table that
//! was copied from RFC 9000 and not from our code (§12.4 table 3, RFC 9221 §4).

use std::collections::BTreeMap;
use std::time::Duration;

use codec::frame::{ConnectionClose, Frame, FrameType};
use codec::packet::PacketKind;
use codec::{Side, TransportErrorCode};
use quicast_tests::Puppet;
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::settings::splitmix;
use recovery::SpaceId;
use tls::Level;
use transport::connection::State;
use transport::stats::PacketDrop;

use crate::packets::long_packet;
use crate::support::*;

/// RFC 9000 §12.4, table 3: first and last type, and the packets that may carry them: `I`nitial, `H`andshake, `0`-RTT,
/// `1`-RTT. CONNECTION_CLOSE is in two rows, since its second type is for the last two alone (footnote "ih").
const TABLE_3: [(u64, u64, &str); 23] = [
    (0x00, 0x00, "IH01"),
    (0x01, 0x01, "IH01"),
    (0x02, 0x03, "IH_1"),
    (0x04, 0x04, "__01"),
    (0x05, 0x05, "__01"),
    (0x06, 0x06, "IH_1"),
    (0x07, 0x07, "___1"),
    (0x08, 0x0f, "__01"),
    (0x10, 0x10, "__01"),
    (0x11, 0x11, "__01"),
    (0x12, 0x13, "__01"),
    (0x14, 0x14, "__01"),
    (0x15, 0x15, "__01"),
    (0x16, 0x17, "__01"),
    (0x18, 0x18, "__01"),
    (0x19, 0x19, "__01"),
    (0x1a, 0x1a, "__01"),
    (0x1b, 0x1b, "___1"),
    (0x1c, 0x1c, "IH01"),
    (0x1d, 0x1d, "__01"),
    (0x1e, 0x1e, "___1"),
    // RFC 9221 §4.
    (0x30, 0x31, "__01"),
    // Nothing may carry what nobody knows; its code is another one, though.
    (0x1f, 0x2f, "____"),
];

/// All types of RFC 9000 and RFC 9221, and some that nobody knows.
fn types() -> Vec<u64> {
    (0x00..=0x1e).chain([0x30, 0x31]).chain([0x1f, 0x20, 0x2f, 0x32, 0x3f, 0x40, 0x4000, MAXIMUM]).collect()
}

/// Where the victim stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Standing {
    /// It has Initial keys alone.
    Start,
    /// It has Handshake keys too.
    Handshake,
    /// The handshake is complete; a client has not heard that it is confirmed.
    Complete,
    /// It is confirmed.
    Confirmed,
    /// The victim closed.
    Closing,
    /// The puppet closed.
    Draining,
    /// It is over and forgotten.
    Drained,
}

impl Standing {
    const ALL: [Self; 7] =
        [Self::Start, Self::Handshake, Self::Complete, Self::Confirmed, Self::Closing, Self::Draining, Self::Drained];

    fn reach(self, victim: Side) -> Puppet {
        let stage = match self {
            Self::Start => Stage::Start,
            Self::Handshake => Stage::Handshake,
            Self::Complete => Stage::Complete,
            _ => Stage::Established,
        };
        let mut puppet = puppet(victim, stage);
        match self {
            // A server begins with the first thing that is said to it.
            Self::Start if victim.is_server() => puppet.say(SpaceId::Initial, &[Frame::Ping]),
            Self::Closing => puppet.say_bytes(SpaceId::Application, &[0x20]),
            Self::Draining | Self::Drained => {
                let close = ConnectionClose { code: TransportErrorCode::NO_ERROR, frame_type: 0, reason: &[] };
                puppet.say(SpaceId::Application, &[Frame::ConnectionClose(close)]);
            }
            _ => {}
        }
        if self == Self::Drained {
            puppet.advance(Duration::from_secs(60));
        }
        puppet
    }

    /// What becomes of an authentic packet of this kind before its frames matter.
    fn reads(self, victim: Side, kind: PacketKind) -> Reading {
        use PacketKind::{Handshake, Initial, ZeroRtt};
        match (self, kind) {
            (Self::Drained, _) => Reading::Gone,
            (Self::Closing | Self::Draining, _) => Reading::Dropped(PacketDrop::AfterClose),
            // No early data was offered or accepted.
            (_, ZeroRtt) => Reading::Dropped(PacketDrop::KeysUnavailable),
            (Self::Start | Self::Handshake, Initial) => Reading::Read,
            (Self::Handshake, Handshake) => Reading::Read,
            (Self::Start | Self::Handshake, _) => Reading::Kept,
            // A client discards Initial keys with its first Handshake packet, and Handshake keys when the handshake is
            // confirmed (RFC 9001 §4.9); to a server complete is confirmed.
            (Self::Complete, Handshake) if victim.is_client() => Reading::Read,
            (_, Initial | Handshake) => Reading::Dropped(PacketDrop::KeysUnavailable),
            _ => Reading::Read,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    /// Its frames are read.
    Read,
    /// It is kept until its keys come.
    Kept,
    /// It is dropped, and counted so.
    Dropped(PacketDrop),
    /// Nobody is there.
    Gone,
}

/// What a packet with one frame comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Accepted,
    Kept,
    /// The victim closes with this code.
    Closes(TransportErrorCode),
    /// The victim hears that the puppet closed.
    Closed,
    Dropped(PacketDrop),
    Gone,
}

fn letter(kind: PacketKind) -> char {
    match kind {
        PacketKind::Initial => 'I',
        PacketKind::Handshake => 'H',
        PacketKind::ZeroRtt => '0',
        _ => '1',
    }
}

/// The outcome that the RFC wants.
fn expected(puppet: &Puppet, standing: Standing, victim: Side, kind: PacketKind, frame_type: u64) -> Outcome {
    match standing.reads(victim, kind) {
        Reading::Gone => return Outcome::Gone,
        Reading::Kept => return Outcome::Kept,
        // The last word of the other end is heard even then (RFC 9000 §10.2.2).
        Reading::Dropped(PacketDrop::AfterClose)
            if standing == Standing::Closing && kind == PacketKind::OneRtt && matches!(frame_type, 0x1c | 0x1d) =>
        {
            return Outcome::Closed;
        }
        Reading::Dropped(reason) => return Outcome::Dropped(reason),
        Reading::Read => {}
    }
    let row = TABLE_3.iter().find(|(first, last, _)| (*first..=*last).contains(&frame_type));
    let Some((.., packets)) = row.filter(|(first, ..)| *first != 0x1f) else {
        return Outcome::Closes(TransportErrorCode::FRAME_ENCODING_ERROR);
    };
    if !packets.contains(letter(kind)) {
        return Outcome::Closes(TransportErrorCode::PROTOCOL_VIOLATION);
    }
    match frame_type {
        // An acknowledgement of something that was never sent (§13.1).
        0x02 | 0x03 if last_number(puppet, kind).is_none() => Outcome::Closes(TransportErrorCode::PROTOCOL_VIOLATION),
        // NEW_TOKEN and HANDSHAKE_DONE are for clients (§19.7, §19.20).
        0x07 | 0x1e if victim.is_server() => Outcome::Closes(TransportErrorCode::PROTOCOL_VIOLATION),
        0x1c | 0x1d => Outcome::Closed,
        _ => Outcome::Accepted,
    }
}

const fn space(kind: PacketKind) -> SpaceId {
    match kind {
        PacketKind::Initial => SpaceId::Initial,
        PacketKind::Handshake => SpaceId::Handshake,
        _ => SpaceId::Application,
    }
}

/// The last number that the victim used in the space of these packets.
fn last_number(puppet: &Puppet, kind: PacketKind) -> Option<u64> {
    puppet.heard.iter().filter(|heard| heard.space == space(kind)).map(|heard| heard.number).max()
}

/// A frame of this type that means no harm.
fn harmless(puppet: &Puppet, victim: Side, kind: PacketKind, frame_type: u64) -> Vec<u8> {
    let bidirectional = theirs(victim, 0).as_u64();
    let number = last_number(puppet, kind).unwrap_or(0);
    let stream = |offset: &[u64], length: &[u64]| {
        join(&[&raw(&[frame_type, bidirectional]), &raw(offset), &raw(length), b"data"])
    };
    match frame_type {
        0x02 => raw(&[0x02, number, 0, 0, 0]),
        0x03 => raw(&[0x03, number, 0, 0, 0, 1, 0, 0]),
        0x04 => raw(&[0x04, bidirectional, 7, 0]),
        0x05 => raw(&[0x05, bidirectional, 7]),
        0x06 => raw(&[0x06, 0, 0]),
        0x07 => join(&[&raw(&[0x07, 5]), b"token"]),
        0x08..=0x0f => {
            stream(if frame_type & 0x04 != 0 { &[0] } else { &[] }, if frame_type & 0x02 != 0 { &[4] } else { &[] })
        }
        0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 => raw(&[frame_type, 1000]),
        0x11 | 0x15 => raw(&[frame_type, bidirectional, 1000]),
        0x18 => join(&[&raw(&[0x18, 1, 0, 8]), &[0x18; 8], &[0x99; 16]]),
        // One that the victim has issued by then.
        0x19 => raw(&[0x19, 1]),
        0x1a | 0x1b => join(&[&raw(&[frame_type]), &[7; 8]]),
        0x1c => raw(&[0x1c, 0, 0, 0]),
        0x1d => raw(&[0x1d, 0, 0]),
        0x30 => join(&[&raw(&[0x30]), b"data"]),
        0x31 => join(&[&raw(&[0x31, 4]), b"data"]),
        _ => raw(&[frame_type]),
    }
}

/// Says a packet of this kind; where the puppet has no keys either, one that nobody sealed.
fn say(puppet: &mut Puppet, kind: PacketKind, payload: &[u8]) {
    let level = match kind {
        PacketKind::Initial => Level::Initial,
        PacketKind::Handshake => Level::Handshake,
        PacketKind::ZeroRtt => Level::ZeroRtt,
        _ => Level::OneRtt,
    };
    if kind == PacketKind::ZeroRtt || !puppet.keys.can_seal(level) {
        let packet = long_packet(puppet, kind, 1200);
        puppet.send(packet);
    } else {
        puppet.forge(&Forged::new(space(kind), payload));
    }
}

/// Everything of the victim's that may move.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Snapshot {
    state: State,
    dropped: [u64; PacketDrop::COUNT],
    received: u64,
    closes: usize,
}

fn snapshot(puppet: &mut Puppet, frame_type: u64) -> Snapshot {
    let closes = close_frames(puppet).len();
    let victim = puppet.victim();
    let received = victim.stats.frames_received.get(FrameType(frame_type).index()).copied().unwrap_or(0);
    Snapshot { state: victim.connection.state(), dropped: victim.stats.dropped, received, closes }
}

fn check(victim: Side, standing: Standing, kind: PacketKind, frame_type: u64) -> Outcome {
    let mut puppet = standing.reach(victim);
    let what = format!("{frame_type:#x} in {kind:?} at the {victim:?}, {standing:?}");
    let wanted = expected(&puppet, standing, victim, kind, frame_type);
    let payload = harmless(&puppet, victim, kind, frame_type);
    let before = snapshot(&mut puppet, frame_type);
    say(&mut puppet, kind, &payload);
    let after = snapshot(&mut puppet, frame_type);
    match wanted {
        Outcome::Accepted => {
            assert_eq!(puppet.victim().ending(), "open", "{what}");
            assert_eq!(after.received, before.received + 1, "{what}");
            assert_eq!(after.dropped, before.dropped, "{what}");
            let confirms = frame_type == 0x1e && before.state == State::Connected;
            assert_eq!(after.state, if confirms { State::Confirmed } else { before.state }, "{what}");
        }
        Outcome::Kept | Outcome::Gone => assert_eq!(after, before, "{what}"),
        Outcome::Closes(code) => {
            assert_eq!(puppet.close_code(), Some(code.to_string()), "{what}");
            assert_closed(&mut puppet, code);
        }
        Outcome::Closed => {
            assert_eq!(after.state, State::Draining, "{what}");
            assert_eq!(after.closes, before.closes, "{what}");
        }
        Outcome::Dropped(reason) => {
            for other in PacketDrop::ALL {
                let moved = after.dropped[other as usize] - before.dropped[other as usize];
                assert_eq!(moved, u64::from(other == reason), "{what}: {}", other.as_str());
            }
            assert_eq!(after.state, before.state, "{what}");
            assert_eq!(after.received, before.received, "{what}");
            if after.state == State::Draining {
                assert_eq!(after.closes, before.closes, "{what}");
            }
        }
    }
    wanted
}

/// All cases of one side; returns how many there were of each outcome.
fn check_all(victim: Side) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for standing in Standing::ALL {
        for kind in [PacketKind::Initial, PacketKind::ZeroRtt, PacketKind::Handshake, PacketKind::OneRtt] {
            for frame_type in types() {
                let outcome = check(victim, standing, kind, frame_type);
                *counts.entry(format!("{outcome:?}")).or_default() += 1;
            }
        }
    }
    counts
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
//= type=test
//# An endpoint MUST treat
//# receipt of a frame in a packet type that is not permitted as a connection
//# error of type PROTOCOL_VIOLATION.
#[test]
fn every_frame_in_every_packet_in_every_state_at_a_client() {
    let counts = check_all(Side::Client);
    assert_eq!(counts.values().sum::<usize>(), 41 * 4 * 7, "{counts:?}");
}

#[test]
fn every_frame_in_every_packet_in_every_state_at_a_server() {
    let counts = check_all(Side::Server);
    assert_eq!(counts.values().sum::<usize>(), 41 * 4 * 7, "{counts:?}");
}

/// The table above against the one in `codec`, so that neither can change alone.
#[test]
fn the_codecs_table_is_the_rfcs() {
    for (first, last, packets) in TABLE_3 {
        for frame_type in first..=last {
            for kind in [PacketKind::Initial, PacketKind::ZeroRtt, PacketKind::Handshake, PacketKind::OneRtt] {
                // §12.5 takes RETIRE_CONNECTION_ID out of 0-RTT again, which table 3 permits.
                let wanted = packets.contains(letter(kind)) && !(frame_type == 0x19 && kind == PacketKind::ZeroRtt);
                assert_eq!(FrameType(frame_type).may_travel_in(kind), wanted, "{frame_type:#x} in {kind:?}");
            }
        }
    }
}

/// Two frames of any types in one packet: the first that is wrong decides, and nothing panics.
#[test]
fn pairs_of_frames_end_with_the_first_violation() {
    for victim in SIDES {
        for first in types() {
            for second in types() {
                // Without a length they take up the rest of the packet.
                if matches!(first, 0x08 | 0x09 | 0x0c | 0x0d | 0x30) {
                    continue;
                }
                let mut puppet = Standing::Handshake.reach(victim);
                let kind = PacketKind::Handshake;
                let outcomes =
                    [first, second].map(|frame_type| expected(&puppet, Standing::Handshake, victim, kind, frame_type));
                let payload = [first, second].map(|frame_type| harmless(&puppet, victim, kind, frame_type)).concat();
                puppet.say_bytes(SpaceId::Handshake, &payload);
                let decisive = outcomes.into_iter().find(|outcome| *outcome != Outcome::Accepted);
                match decisive {
                    Some(Outcome::Closes(code)) => assert_closed(&mut puppet, code),
                    Some(Outcome::Closed) => assert_eq!(puppet.victim().connection.state(), State::Draining),
                    other => assert_eq!(puppet.victim().ending(), "open", "{other:?}: {first:#x} {second:#x}"),
                }
            }
        }
    }
}

/// Random bytes as an authentic payload: only the codes of frames, and never a panic.
#[test]
fn random_payloads_close_with_codes_of_frames_or_not_at_all() {
    let mut state = 7;
    for round in 0..2_000 {
        let victim = if round % 2 == 0 { Side::Client } else { Side::Server };
        let standing = Standing::ALL[round / 2 % 4];
        let mut puppet = standing.reach(victim);
        let kind = match standing {
            Standing::Start => PacketKind::Initial,
            Standing::Handshake => PacketKind::Handshake,
            _ => PacketKind::OneRtt,
        };
        let length = (splitmix(&mut state) % 64) as usize;
        let payload: Vec<u8> = (0..length)
            .map(|_| {
                let byte = splitmix(&mut state);
                // Small numbers and frame types make longer lives.
                if byte & 0x300 == 0 { byte as u8 } else { byte as u8 & 0x1f }
            })
            .collect();
        say(&mut puppet, kind, &payload);
        puppet.advance(Duration::from_millis(50));
        if let Some(code) = puppet.close_code() {
            let known = [
                "FLOW_CONTROL_ERROR",
                "STREAM_LIMIT_ERROR",
                "STREAM_STATE_ERROR",
                "FINAL_SIZE_ERROR",
                "FRAME_ENCODING_ERROR",
                "CONNECTION_ID_LIMIT_ERROR",
                "PROTOCOL_VIOLATION",
                "CRYPTO_BUFFER_EXCEEDED",
            ];
            let of_frames = known.contains(&code.as_str()) || code.starts_with("CRYPTO_ERROR");
            assert!(of_frames || code.starts_with("(closed by the peer"), "{code}: {payload:x?}");
        }
    }
}
