//! Every frame on every stream, in every state, at both roles.

use super::*;
use crate::legality::Place;

/// What happens: the frame is read (R) or ignored (.), or the connection closes with H3_MISSING_SETTINGS (M),
/// H3_FRAME_UNEXPECTED (U) or H3_ID_ERROR (I). The order is: first on the control stream, later on it; on a request stream
/// before the head, behind it, behind the trailers; in a tunnel.
const SERVER: [(u64, &str); 17] = [
    (0x00, "M U U R U R"),
    (0x01, "M U R R U U"),
    (0x02, "M U U U U U"),
    (0x03, "M I U U U U"),
    (0x04, "R U U U U U"),
    (0x05, "M U U U U U"),
    (0x06, "M U U U U U"),
    (0x07, "M R U U U U"),
    (0x08, "M U U U U U"),
    (0x09, "M U U U U U"),
    (0x0a, "M . . . . ."),
    (0x0d, "M R U U U U"),
    (0x21, "M . . . . ."),
    (0x1f * 9 + 0x21, "M . . . . ."),
    (0xf0700, "M R U U U U"),
    (0xf0701, "M I U U U U"),
    ((1 << 62) - 1, "M . . . . ."),
];

const CLIENT: [(u64, &str); 17] = [
    (0x00, "M U U R U R"),
    (0x01, "M U R R U U"),
    (0x02, "M U U U U U"),
    (0x03, "M I U U U U"),
    (0x04, "R U U U U U"),
    (0x05, "M U I I I U"),
    (0x06, "M U U U U U"),
    (0x07, "M R U U U U"),
    (0x08, "M U U U U U"),
    (0x09, "M U U U U U"),
    (0x0a, "M . . . . ."),
    (0x0d, "M U U U U U"),
    (0x21, "M . . . . ."),
    (0x1f * 9 + 0x21, "M . . . . ."),
    (0xf0700, "M U U U U U"),
    (0xf0701, "M U U U U U"),
    ((1 << 62) - 1, "M . . . . ."),
];

/// A machine for which the next frame of the stream begins at `place`.
fn at(side: Side, place: Place) -> (Alone, StreamId) {
    let mut alone = if place == Place::ControlStart { Alone::silent(side, plain()) } else { Alone::new(side) };
    let head: &[(&str, &str)] = if side == Side::Server { &GET } else { &OK };
    match place {
        Place::ControlStart => alone.control(&[]),
        Place::Control => {}
        Place::Head if side == Side::Server => alone.machine.handle_stream_opened(alone.now, bidi(0)),
        Place::Head => alone.ask(0, http::Request::get("https://a.example/").body(()).unwrap()),
        Place::Content => alone.message(0, head, false),
        Place::Trailed => {
            alone.message(0, head, false);
            alone.message(0, &[("x-sum", "1")], false);
        }
        Place::Tunnel if side == Side::Server => {
            alone.message(0, &[(":method", "CONNECT"), (":authority", "a.example:443")], false);
        }
        Place::Tunnel => {
            alone.ask(0, http::Request::connect("a.example:443").body(()).unwrap());
            alone.message(0, &OK, false);
        }
    }
    assert_eq!(alone.closed(), None);
    let stream = if matches!(place, Place::ControlStart | Place::Control) { uni(side.peer(), 0) } else { bidi(0) };
    (alone, stream)
}

/// A payload with which the frame is right where it is read.
fn payload(alone: &mut Alone, place: Place, frame_type: u64) -> Vec<u8> {
    match frame_type {
        0x01 => {
            let server = alone.side() == Side::Server;
            let lines: &[(&str, &str)] = match place {
                Place::Head if server => &GET,
                Place::Head => &OK,
                _ => &[("x", "y")],
            };
            // Without the header: a type and a length of two bytes.
            alone.head(lines).split_off(3)
        }
        0x00 => b"data".to_vec(),
        0x04 => Vec::new(),
        0x03 | 0x07 | 0x0d => vec![4],
        0xf0700 | 0xf0701 => b"\x04u=1".to_vec(),
        _ => b"payload".to_vec(),
    }
}

fn check(side: Side, frame_type: u64, place: Place, expected: &str) {
    let (mut alone, stream) = at(side, place);
    let payload = payload(&mut alone, place, frame_type);
    let _noted = alone.machine.take_stats();
    alone.events.clear();
    alone.outputs.clear();
    let bytes = frame(frame_type, &payload);
    alone.feed(stream, &bytes, false);
    let closed = match expected {
        "M" => Some(Code::H3_MISSING_SETTINGS),
        "U" => Some(Code::H3_FRAME_UNEXPECTED),
        "I" => Some(Code::H3_ID_ERROR),
        _ => None,
    };
    let case = format!("{side:?} {place:?} {frame_type:#x}");
    assert_eq!(alone.closed(), closed, "{case}");
    let stats = alone.machine.take_stats().unwrap();
    assert_eq!(stats.frames(FrameType(frame_type).kind()).received, 1, "{case}");
    if let Some(code) = closed {
        assert_eq!(stats.errors(code).sent, 1, "{case}");
        return;
    }
    // The stream is still where frames are read: another one is judged in the same way.
    assert_eq!(stats.glitches, u64::from(expected == "." || [0x0d, 0xf0700].contains(&frame_type)), "{case}");
    assert_eq!(expected == ".", alone.events.is_empty() && ![0x0d, 0xf0700].contains(&frame_type), "{case}");
    if expected == "." {
        assert_eq!(alone.consumed(stream), bytes.len() as u64, "{case}: what is ignored is not charged");
    }
}

#[test]
fn every_frame_in_every_place_at_both_roles() {
    for (side, table) in [(Side::Server, SERVER), (Side::Client, CLIENT)] {
        for (frame_type, row) in table {
            for (place, expected) in Place::ALL.into_iter().zip(row.split(' ')) {
                check(side, frame_type, place, expected);
            }
        }
    }
}

#[test]
fn what_is_not_permitted_is_refused_before_its_payload_comes() {
    for (side, table) in [(Side::Server, SERVER), (Side::Client, CLIENT)] {
        for (frame_type, row) in table {
            for (place, expected) in Place::ALL.into_iter().zip(row.split(' ')) {
                if ["M", "U"].contains(&expected) {
                    let (mut alone, stream) = at(side, place);
                    let mut bytes = varint(frame_type);
                    bytes.extend(varint((1 << 62) - 1));
                    alone.feed(stream, &bytes, false);
                    assert!(alone.closed().is_some(), "{side:?} {place:?} {frame_type:#x}");
                }
            }
        }
    }
}
