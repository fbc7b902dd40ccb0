//! Whatever two applications do and whatever packets are lost: every byte arrives where it belongs, no limit is
//! exceeded, and nothing is left over.

use std::time::Duration;

use proptest::prelude::*;

use super::pair::{Fate, Pair};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Open { end: usize, uni: bool },
    Write { end: usize, stream: usize, length: u64, fin: bool },
    Reset { end: usize, stream: usize },
    Stop { end: usize, stream: usize },
    Prioritize { end: usize, stream: usize, urgency: u8, incremental: bool },
    Consume { end: usize, stream: usize, length: u64 },
    Transmit { end: usize, room: usize, fate: Fate },
    Settle { which: usize, arrives: bool },
    Wait { milliseconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let end = 0..2_usize;
    let stream = 0..12_usize;
    let fate = prop_oneof![3 => Just(Fate::Arrives), 1 => Just(Fate::Lost), 2 => Just(Fate::Later)];
    prop_oneof![
        2 => (end.clone(), any::<bool>()).prop_map(|(end, uni)| Step::Open { end, uni }),
        6 => (end.clone(), stream.clone(), 0..3_000_u64, prop::bool::weighted(0.2))
            .prop_map(|(end, stream, length, fin)| Step::Write { end, stream, length, fin }),
        1 => (end.clone(), stream.clone()).prop_map(|(end, stream)| Step::Reset { end, stream }),
        1 => (end.clone(), stream.clone()).prop_map(|(end, stream)| Step::Stop { end, stream }),
        1 => (end.clone(), stream.clone(), 0..8_u8, any::<bool>())
            .prop_map(|(end, stream, urgency, incremental)| Step::Prioritize { end, stream, urgency, incremental }),
        6 => (end.clone(), stream, 0..3_000_u64)
            .prop_map(|(end, stream, length)| Step::Consume { end, stream, length }),
        10 => (end, 40..1_400_usize, fate).prop_map(|(end, room, fate)| Step::Transmit { end, room, fate }),
        4 => (any::<usize>(), prop::bool::weighted(0.7)).prop_map(|(which, arrives)| Step::Settle { which, arrives }),
        1 => (0..40_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

fn limits() -> impl Strategy<Value = LocalLimits> {
    (1..8_000_u64, 1..3_000_u64, 1..3_000_u64, 1..3_000_u64, 1..6_u64, 1..6_u64).prop_map(
        |(data, local, remote, uni, streams_bidi, streams_uni)| LocalLimits {
            initial_max_data: data,
            initial_max_stream_data_bidi_local: local,
            initial_max_stream_data_bidi_remote: remote,
            initial_max_stream_data_uni: uni,
            initial_max_streams_bidi: streams_bidi,
            initial_max_streams_uni: streams_uni,
            maximum_window: 20_000,
        },
    )
}

impl Pair {
    fn apply(&mut self, step: Step) {
        let now = self.now;
        // The streams that were opened last, as older ones are mostly over.
        let pick = |pair: &Self, end: usize, stream: usize| pair.ends[end].streams.keys().rev().nth(stream).copied();
        match step {
            Step::Open { end, uni } => {
                let direction = if uni { Direction::Unidirectional } else { Direction::Bidirectional };
                if let Some(id) = self.ends[end].open(direction) {
                    self.ends[end].write(now, id, 0, false);
                }
            }
            Step::Write { end, stream, length, fin } => {
                if let Some(id) = pick(self, end, stream) {
                    self.ends[end].write(now, id, length, fin);
                }
            }
            Step::Reset { end, stream } => {
                if let Some(id) = pick(self, end, stream) {
                    self.ends[end].reset(now, id);
                }
            }
            Step::Stop { end, stream } => {
                if let Some(id) = pick(self, end, stream) {
                    self.ends[end].stop(now, id);
                }
            }
            Step::Prioritize { end, stream, urgency, incremental } => {
                if let Some(id) = pick(self, end, stream) {
                    self.ends[end].prioritize(now, id, Priority::new(urgency, incremental));
                }
            }
            Step::Consume { end, stream, length } => {
                if let Some(id) = pick(self, end, stream) {
                    self.ends[end].consume(now, id, length);
                }
            }
            Step::Transmit { end, room, fate } => {
                self.transmit(end, room, fate);
            }
            Step::Settle { which, arrives } => self.settle(which, arrives),
            Step::Wait { milliseconds } => self.wait(Duration::from_millis(milliseconds)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_byte_arrives_and_nothing_is_left(
        locals in [limits(), limits()],
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut pair = Pair::new(locals);
        for step in steps {
            pair.apply(step);
        }
        pair.finish();
        pair.assert_complete();
    }

    /// Whatever frames come, in whatever order, nothing panics and the limits hold.
    #[test]
    fn no_frame_panics(frames in prop::collection::vec((0..8_u8, 0..64_u64, any_size(), any_size(), any::<bool>()), 0..100)) {
        let mut ledger = server();
        write(&mut ledger, bidi_of_server(0), 100, true);
        write(&mut ledger, uni_of_server(0), 100, false);
        for (kind, id, first, second, flag) in frames {
            let id = StreamId::from_u64(id);
            let direction = id.direction();
            // An error would close the connection; going on is harder.
            match kind {
                0 => _ = ledger.on_stream(NOW, id, first, second, flag).is_ok(),
                1 => _ = ledger.on_reset_stream(id, first, second).is_ok(),
                2 => _ = ledger.on_stop_sending(id, first).is_ok(),
                3 => _ = ledger.on_max_stream_data(id, first).is_ok(),
                4 => _ = ledger.on_stream_data_blocked(id, first).is_ok(),
                5 => ledger.on_max_data(first),
                6 => ledger.on_max_streams(direction, first),
                _ => drop(packet(&mut ledger, 1_200)),
            }
            inputs(&mut ledger);
            prop_assert!(ledger.receive_charged() <= LOCAL.initial_max_data);
            let [_, theirs] = ledger.open_streams();
            prop_assert!(theirs[0] <= LOCAL.initial_max_streams_bidi && theirs[1] <= LOCAL.initial_max_streams_uni);
        }
    }
}

fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![0..2_000_u64, (1_u64 << 61)..(1 << 62), any::<u64>()]
}
