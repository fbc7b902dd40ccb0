//! Unidirectional streams of unknown types, and streams that are gone.

use super::*;

#[test]
fn unknown_streams_are_stopped_at_once_and_forgotten() {
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::new(side);
        for (count, stream_type) in [0x21, 0x04, 0x54, (1 << 62) - 1].into_iter().enumerate() {
            let stream = uni(side.peer(), 1 + count as u64);
            let mut bytes = varint(stream_type);
            bytes.extend([7; 100]);
            alone.feed(stream, &bytes, false);
            assert_eq!(alone.given_up(stream), (None, Some(Code::H3_STREAM_CREATION_ERROR)));
            // What still comes is ignored.
            alone.feed(stream, &[0; 50], false);
            alone.feed(stream, &[], true);
            alone.machine.handle_reset(alone.now, stream, 0);
            assert_eq!(alone.machine.incoming.len(), 1, "only the control stream is kept");
            let stats = alone.machine.take_stats().unwrap();
            assert_eq!(stats.glitches, 1);
        }
        assert_eq!(alone.closed(), None);
    }
}

#[test]
fn an_unknown_stream_that_is_whole_is_consumed() {
    let mut server = Alone::new(Side::Server);
    let stream = uni(Side::Client, 1);
    server.feed(stream, &[0x21, 1, 2, 3], true);
    assert_eq!(server.given_up(stream), (None, None));
    assert_eq!(server.consumed(stream), 4);
    assert_eq!(server.machine.incoming.len(), 1);
}

#[test]
fn streams_that_end_before_their_type_are_tolerated() {
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::new(side);
        alone.feed(uni(side.peer(), 1), &[], true);
        alone.feed(uni(side.peer(), 2), &[0x40], true);
        alone.feed(uni(side.peer(), 3), &[0xc0, 0, 0], false);
        alone.machine.handle_reset(alone.now, uni(side.peer(), 3), 0x100);
        alone.machine.handle_reset(alone.now, uni(side.peer(), 4), 0x100);
        alone.drain();
        assert_eq!((alone.closed(), alone.machine.incoming.len()), (None, 1));
        assert_eq!(alone.consumed(uni(side.peer(), 2)), 1);
    }
}

#[test]
fn a_type_may_come_in_pieces_and_in_any_length() {
    let mut server = Alone::silent(Side::Server, plain());
    let stream = uni(Side::Client, 0);
    for byte in [0xc0, 0, 0, 0, 0, 0, 0] {
        server.feed(stream, &[byte], false);
    }
    server.feed(stream, &[0x00, 0x04, 0x00], false);
    assert_eq!(server.told(), ["settings"]);
    assert_eq!(server.consumed(stream), 10);
}

#[test]
fn whatever_is_said_of_streams_that_are_gone_is_ignored() {
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::new(side);
        let head: &[(&str, &str)] = if side == Side::Server { &GET } else { &OK };
        alone.message(0, head, true);
        if side == Side::Server {
            alone.machine.send_response(alone.now, bidi(0), &http::Response::new(()), true).unwrap();
            alone.drain();
            alone.take_writes();
        }
        assert_eq!(alone.machine.open_requests(), 0);
        alone.events.clear();
        alone.outputs.clear();
        let again = alone.head(head);
        alone.feed(bidi(0), &again, true);
        alone.machine.handle_reset(alone.now, bidi(0), 0x10c);
        alone.machine.handle_stop_sending(alone.now, bidi(0), 0x10c);
        alone.machine.handle_sent(alone.now, bidi(0), 100);
        alone.machine.cancel(bidi(0));
        alone.machine.reset(bidi(0), Code::H3_NO_ERROR);
        alone.machine.stop(bidi(0), Code::H3_NO_ERROR);
        alone.machine.accept_datagrams(bidi(0));
        let gone = [
            alone.machine.send_data(alone.now, bidi(0), &mut Bytes::from_static(b"x"), true),
            alone.machine.finish(alone.now, bidi(0)),
            alone.machine.send_trailers(alone.now, bidi(0), &http::HeaderMap::new()),
            alone.machine.send_response(alone.now, bidi(0), &http::Response::new(()), true),
        ];
        assert_eq!(gone, [Err(SendError::Gone); 4]);
        assert!(!alone.machine.priority_update(bidi(0), Priority::default()));
        alone.drain();
        assert!(alone.outputs.is_empty() && alone.events.is_empty(), "{:?} {:?}", alone.outputs, alone.events);
    }
}
