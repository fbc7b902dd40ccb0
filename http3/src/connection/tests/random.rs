//! Bytes that nobody meant.

use http::Request;
use proptest::prelude::*;

use super::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Act {
    Bytes { uni: bool, index: u64, bytes: Vec<u8>, fin: bool },
    Reset { uni: bool, index: u64 },
    StopSending { uni: bool, index: u64 },
    Datagram(Vec<u8>),
    Sent(u64),
    Later(u64),
    Cancel(u64),
    Stop(u64),
    Goaway(bool),
}

/// Bytes that are nothing, and bytes that are nearly something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let frame_type = prop_oneof![0_u64..16, Just(0xf0700), Just(0x21)];
    let section = prop_oneof![
        Just(vec![0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a']),
        Just(vec![0, 0, 0xd9]),
        Just(vec![2, 0, 0x80]),
        proptest::collection::vec(any::<u8>(), 0..24),
    ];
    let frames = (frame_type, section).prop_map(|(frame_type, payload)| frame(frame_type, &payload));
    prop_oneof![
        proptest::collection::vec(frames, 0..4).prop_map(|frames| frames.concat()),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(vec![0x00, 0x04, 0x00]),
        Just(vec![0x02, 0x3f, 0xe1, 0x1f]),
        Just(vec![0x03, 0x80, 0x40]),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let stream = || (any::<bool>(), 0_u64..5);
    prop_oneof![
        8 => (stream(), bytes(), proptest::bool::weighted(0.2))
            .prop_map(|((uni, index), bytes, fin)| Act::Bytes { uni, index, bytes, fin }),
        1 => stream().prop_map(|(uni, index)| Act::Reset { uni, index }),
        1 => stream().prop_map(|(uni, index)| Act::StopSending { uni, index }),
        1 => proptest::collection::vec(any::<u8>(), 0..10).prop_map(Act::Datagram),
        1 => (0_u64..100).prop_map(Act::Sent),
        1 => (0_u64..20).prop_map(Act::Later),
        1 => (0_u64..5).prop_map(Act::Cancel),
        1 => (0_u64..5).prop_map(Act::Stop),
        1 => any::<bool>().prop_map(Act::Goaway),
    ]
}

fn perform(alone: &mut Alone, act: Act) {
    let peer = alone.peer();
    let id = |uni_: bool, index| if uni_ { uni(peer, index) } else { bidi(index) };
    let Alone { machine, now, .. } = alone;
    match act {
        Act::Bytes { uni, index, bytes, fin } => machine.handle_data(*now, id(uni, index), bytes.into(), fin),
        Act::Reset { uni, index } => machine.handle_reset(*now, id(uni, index), 0x10c),
        Act::StopSending { uni, index } => machine.handle_stop_sending(*now, id(uni, index), 0x10c),
        Act::Datagram(bytes) => machine.handle_datagram(*now, bytes.into()),
        Act::Sent(bytes) => machine.handle_sent(*now, bidi(0), bytes),
        Act::Later(seconds) => {
            *now += std::time::Duration::from_secs(seconds);
            machine.handle_deadline(*now);
        }
        Act::Cancel(index) => machine.cancel(bidi(index)),
        Act::Stop(index) => machine.stop(bidi(index), Code::H3_NO_ERROR),
        Act::Goaway(first) if first => machine.announce_goaway(),
        Act::Goaway(_) => machine.goaway(),
    }
    alone.drain();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_that_a_peer_does_panics(client: bool, settings: bool, acts in proptest::collection::vec(act(), 0..40)) {
        let side = if client { Side::Client } else { Side::Server };
        let mut alone = if settings { Alone::new(side) } else { Alone::silent(side, plain()) };
        if client {
            for index in 0..3 {
                alone.ask(index, Request::post("https://a.example/").body(()).unwrap());
            }
        }
        let mut fed = 0;
        for act in acts {
            if let Act::Bytes { bytes, .. } = &act {
                fed += bytes.len() as u64;
            }
            perform(&mut alone, act);
            prop_assert!(alone.machine.held_bytes() <= fed);
        }
        // Every code that was said has a name.
        for output in &alone.outputs {
            if let Output::Close { code, .. } | Output::Reset { code, .. } | Output::Stop { code, .. } = output {
                prop_assert!(code.name().is_some());
            }
        }
        // And closing leaves nothing.
        alone.machine.handle_closed();
        prop_assert_eq!((alone.machine.open_requests(), alone.machine.held_bytes()), (0, 0));
    }
}
