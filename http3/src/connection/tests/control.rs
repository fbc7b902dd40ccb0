//! Control and QPACK streams: what h3spec asks, and the rest of RFC 9114 §6.2, §7.2 and RFC 9204 §4.

use super::*;
use crate::limits;

/// The code with which a server, then a client, closes after the peer did this.
fn closed_by(act: impl Fn(&mut Alone)) -> [Option<Code>; 2] {
    [Side::Server, Side::Client].map(|side| {
        let mut alone = Alone::new(side);
        act(&mut alone);
        alone.closed()
    })
}

fn both(code: Code) -> [Option<Code>; 2] {
    [Some(code); 2]
}

#[test]
fn the_first_control_frame_is_settings() {
    for first in [frame(0x07, &[0]), frame(0x00, b"x"), frame(0x21, b"x"), frame(0x0d, &[0])] {
        for side in [Side::Server, Side::Client] {
            let mut alone = Alone::silent(side, plain());
            alone.control(&first);
            assert_eq!(alone.closed(), Some(Code::H3_MISSING_SETTINGS));
        }
    }
}

#[test]
fn data_and_headers_on_the_control_stream_are_unexpected() {
    assert_eq!(closed_by(|alone| alone.control(&frame(0x00, b"x"))), both(Code::H3_FRAME_UNEXPECTED));
    assert_eq!(closed_by(|alone| alone.control(&frame(0x01, b"x"))), both(Code::H3_FRAME_UNEXPECTED));
}

#[test]
fn settings_come_once_and_are_those_of_http3() {
    assert_eq!(closed_by(|alone| alone.control(&frame(0x04, &[]))), both(Code::H3_FRAME_UNEXPECTED));
    for (payload, code) in [
        (&[0x02, 0][..], Code::H3_SETTINGS_ERROR),
        (&[0x06, 1, 0x06, 1], Code::H3_SETTINGS_ERROR),
        (&[0x33, 2], Code::H3_SETTINGS_ERROR),
        (&[0x08, 2], Code::H3_SETTINGS_ERROR),
        (&[0x06], Code::H3_FRAME_ERROR),
    ] {
        for side in [Side::Server, Side::Client] {
            let mut alone = Alone::silent(side, plain());
            alone.control(&frame(0x04, payload));
            assert_eq!(alone.closed(), Some(code), "{payload:?}");
        }
    }
}

#[test]
fn settings_are_told_and_counted_at_their_bound() {
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::silent(side, plain());
        alone.control(&frame(0x04, &[0x06, 7, 0x33, 1, 0x21, 0]));
        let Event::Settings(settings) = alone.events[0] else { panic!("settings") };
        assert_eq!((settings.max_field_section_size, settings.h3_datagram), (Some(7), true));
        assert_eq!(alone.machine.peer_settings(), Some(&settings));

        let many: Vec<u8> =
            (0..=limits::SETTINGS as u64).flat_map(|index| [varint(0x100 + index), vec![0]].concat()).collect();
        let mut alone = Alone::silent(side, plain());
        alone.control(&frame(0x04, &many[..many.len() - 3]));
        assert_eq!(alone.closed(), None);
        let mut alone = Alone::silent(side, plain());
        alone.control(&frame(0x04, &many));
        assert_eq!(alone.closed(), Some(Code::H3_EXCESSIVE_LOAD));
        assert_eq!(alone.machine.take_stats().unwrap().limit(Limit::SettingsFrame), 1);
        let mut alone = Alone::silent(side, plain());
        let mut declared = varint(0x04);
        declared.extend(varint(limits::SETTINGS_FRAME + 1));
        alone.control(&declared);
        assert_eq!(alone.closed(), Some(Code::H3_EXCESSIVE_LOAD));
        assert_eq!(alone.machine.take_stats().unwrap().limit(Limit::SettingsFrame), 1);
    }
}

#[test]
fn the_streams_that_a_connection_needs_may_not_end() {
    for (index, stream_type) in [(0, 0x00_u64), (1, 0x02), (2, 0x03)] {
        let open = move |alone: &mut Alone| {
            let stream = uni(alone.peer(), index);
            if index != 0 {
                alone.feed(stream, &varint(stream_type), false);
            }
            stream
        };
        let ended = closed_by(|alone| {
            let stream = open(alone);
            alone.feed(stream, &[], true);
        });
        assert_eq!(ended, both(Code::H3_CLOSED_CRITICAL_STREAM), "{stream_type}");
        let reset = closed_by(|alone| {
            let stream = open(alone);
            alone.machine.handle_reset(alone.now, stream, 0x100);
            alone.drain();
        });
        assert_eq!(reset, both(Code::H3_CLOSED_CRITICAL_STREAM), "{stream_type}");
        let at_once = closed_by(|alone| {
            let stream = uni(alone.peer(), 9);
            if index != 0 {
                alone.feed(stream, &varint(stream_type), true);
            } else {
                alone.feed(uni(alone.peer(), 0), &[], true);
            }
        });
        assert_eq!(at_once, both(Code::H3_CLOSED_CRITICAL_STREAM), "{stream_type}");
        // Ours may not be stopped either.
        let stopped = closed_by(|alone| {
            alone.machine.handle_stop_sending(alone.now, uni(alone.side(), index), 0x100);
            alone.drain();
        });
        assert_eq!(stopped, both(Code::H3_CLOSED_CRITICAL_STREAM), "{stream_type}");
    }
    // One without meaning may.
    let other = closed_by(|alone| {
        alone.machine.handle_stop_sending(alone.now, uni(alone.side(), 3), 0x103);
        alone.drain();
    });
    assert_eq!(other, [None; 2]);
}

#[test]
fn each_of_them_comes_once() {
    for stream_type in [0x00, 0x02, 0x03] {
        let twice = closed_by(|alone| {
            for index in 4..6 {
                alone.feed(uni(alone.peer(), index), &varint(stream_type), false);
            }
        });
        assert_eq!(twice, both(Code::H3_STREAM_CREATION_ERROR), "{stream_type}");
    }
}

#[test]
fn nothing_is_pushed() {
    let push = closed_by(|alone| alone.feed(uni(alone.peer(), 1), &[0x01, 0x00], false));
    assert_eq!(push, [Some(Code::H3_STREAM_CREATION_ERROR), Some(Code::H3_ID_ERROR)]);
    let cancelled = closed_by(|alone| alone.control(&frame(0x03, &[0])));
    assert_eq!(cancelled, both(Code::H3_ID_ERROR));
    let prioritized = closed_by(|alone| alone.control(&frame(0xf0701, b"\x00u=1")));
    assert_eq!(prioritized, [Some(Code::H3_ID_ERROR), Some(Code::H3_FRAME_UNEXPECTED)]);
    // A client never says that anything may be.
    let mut client = Alone::new(Side::Client);
    client.ask(0, http::Request::get("https://a.example/").body(()).unwrap());
    let sent = client.machine.take_stats().unwrap().frames(crate::frame::FrameKind::MaxPushId).sent;
    assert_eq!(sent, 0);
}

#[test]
fn max_push_id_may_not_shrink() {
    let mut server = Alone::new(Side::Server);
    for id in [0, 5, 5, 9] {
        server.control(&frame(0x0d, &[id]));
    }
    assert_eq!(server.closed(), None);
    server.control(&frame(0x0d, &[8]));
    assert_eq!(server.closed(), Some(Code::H3_ID_ERROR));
}

#[test]
fn the_encoder_and_decoder_streams_are_judged() {
    let on = |stream_type: u64, instruction: &'static [u8]| {
        closed_by(move |alone| alone.feed(uni(alone.peer(), 1), &[&varint(stream_type), instruction].concat(), false))
    };
    // h3spec: Set Dynamic Table Capacity beyond what is permitted, Insert Count Increment of zero.
    assert_eq!(on(0x02, &[0x3f, 0xe1, 0xff, 0xff, 0x7f]), both(Code::QPACK_ENCODER_STREAM_ERROR));
    assert_eq!(on(0x03, &[0x00]), both(Code::QPACK_DECODER_STREAM_ERROR));
    // Acknowledgements of nothing.
    assert_eq!(on(0x03, &[0x80]), both(Code::QPACK_DECODER_STREAM_ERROR));
    assert_eq!(on(0x03, &[0x01]), both(Code::QPACK_DECODER_STREAM_ERROR));
    assert_eq!(on(0x02, &[]), [None; 2]);
}

#[test]
fn a_server_opens_no_bidirectional_streams() {
    let mut client = Alone::new(Side::Client);
    client.machine.handle_stream_opened(client.now, StreamId::new(Side::Server, Direction::Bidirectional, 0));
    client.drain();
    assert_eq!(client.closed(), Some(Code::H3_STREAM_CREATION_ERROR));
}

#[test]
fn our_streams_begin_as_they_should() {
    for side in [Side::Server, Side::Client] {
        let mut machine = if side == Side::Server {
            Connection::server(Config::default(), 7)
        } else {
            Connection::client(Config::default(), 7)
        };
        let openings = [Opening::Control, Opening::QpackEncoder, Opening::QpackDecoder, Opening::Grease];
        for opening in openings {
            assert_eq!(machine.poll_output(), Some(Output::Open(opening)));
        }
        assert_eq!(machine.poll_output(), None);
        let mut alone = Alone {
            encoder: Encoder::new(EncoderConfig::default()),
            machine,
            now: Time::ZERO,
            outputs: Vec::new(),
            events: Vec::new(),
        };
        for (index, opening) in openings.into_iter().enumerate() {
            alone.machine.handle_opened(alone.now, opening, uni(side, index as u64));
        }
        alone.drain();
        let (control, fin) = alone.written(uni(side, 0));
        assert!(control.starts_with(&[0x00, 0x04]) && !fin);
        assert_eq!(alone.written(uni(side, 1)), (vec![0x02], false));
        assert_eq!(alone.written(uni(side, 2)), (vec![0x03], false));
        let (grease, fin) = alone.written(uni(side, 3));
        let mut reader = codec::cursor::Reader::new(&grease);
        assert!(crate::frame::is_reserved(reader.varint().unwrap()) && fin);

        // And the peer reads them.
        let mut peer = Alone::silent(side.peer(), plain());
        for index in 0..4 {
            let (bytes, fin) = alone.written(uni(side, index));
            for byte in bytes {
                peer.feed(uni(side, index), &[byte], false);
            }
            if fin {
                peer.feed(uni(side, index), &[], true);
            }
        }
        assert_eq!(peer.closed(), None);
        let Event::Settings(settings) = peer.events[0] else { panic!("settings") };
        assert_eq!(settings, Config::default().settings(side == Side::Server));
        assert_eq!(peer.machine.incoming.len(), 3);
    }
}

#[test]
fn what_is_said_before_the_control_stream_is_open_is_said_on_it() {
    let mut machine = Connection::server(plain(), 1);
    machine.goaway();
    while machine.poll_output().is_some() {}
    machine.handle_opened(Time::ZERO, Opening::Control, uni(Side::Server, 0));
    let Some(Output::Write { data, .. }) = machine.poll_output() else { panic!("control stream") };
    assert!(data.ends_with(&[0x07, 0x01, 0x00]), "{data:?}");
}

#[test]
fn early_data_holds_the_server_to_its_settings() {
    let remembered = Settings { qpack_max_table_capacity: 4096, h3_datagram: true, ..Settings::default() };
    let client = || Alone::silent(Side::Client, Config { remembered: Some(remembered), ..plain() });
    let mut kept = client();
    assert_eq!(kept.machine.peer_settings(), Some(&remembered));
    kept.control(&frame(0x04, &[&[0x01][..], &varint(4096), &[0x33, 1]].concat()));
    assert_eq!(kept.closed(), None);
    let mut reduced = client();
    reduced.control(&frame(0x04, &[&[0x01][..], &varint(4096)].concat()));
    assert_eq!(reduced.closed(), Some(Code::H3_SETTINGS_ERROR));
    // What was remembered does not hold when the early data were rejected.
    let mut rejected = client();
    rejected.machine.handle_early_data_rejected();
    assert_eq!(rejected.machine.peer_settings(), None);
    rejected.control(&frame(0x04, &[]));
    assert_eq!(rejected.closed(), None);
}

#[test]
fn control_frames_that_are_not_whole_stay_charged() {
    let mut server = Alone::new(Side::Server);
    let stream = uni(Side::Client, 0);
    let bytes = frame(0xf0700, b"\x04u=1");
    server.feed(stream, &bytes[..7], false);
    assert_eq!((server.consumed(stream), server.machine.held_bytes()), (0, 7));
    server.feed(stream, &bytes[7..], false);
    assert_eq!((server.consumed(stream), server.machine.held_bytes()), (bytes.len() as u64, 0));
}
