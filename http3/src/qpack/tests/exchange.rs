//! Our encoder and our decoder, with a network between them that delays, reorders and splits.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::qpack::{Decoded, Decoder, DecoderConfig, Encoder, EncoderConfig, Field, Fields};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A section of these lines is encoded on a stream.
    Encode { stream: u64, lines: Vec<(u8, u8)> },
    /// The oldest undelivered section of a stream arrives.
    Deliver { stream: u64 },
    /// So many bytes of the encoder stream arrive.
    Instructions { bytes: usize },
    /// The decoder's instructions are polled, and so many bytes of the decoder stream arrive.
    Answers { bytes: usize },
    /// The decoder gives up a stream; what of it is on its way is lost.
    Cancel { stream: u64 },
    /// The transport has so much credit for the encoder stream.
    Credit { bytes: u64 },
}

/// Both ends, and what is between them.
struct Exchange {
    encoder: Encoder,
    decoder: Decoder,
    sections: BTreeMap<u64, VecDeque<Bytes>>,
    /// What was encoded on each stream and did not come out yet.
    expected: BTreeMap<u64, VecDeque<Vec<Field>>>,
    encoder_stream: VecDeque<u8>,
    decoder_stream: VecDeque<u8>,
    permitted: u64,
}

const STREAMS: u64 = 6;

/// Few names and values, so that lines come back, and some of them large, so that they are evicted.
fn field(name: u8, value: u8) -> Field {
    let names = ["x-a", "x-bcd", "accept", ":path", "cookie", "authorization", "content-type", "user-agent"];
    let name = names[usize::from(name) % names.len()];
    let value = match value % 8 {
        0 => "text/css".to_owned(),
        1 => String::new(),
        2 => "v".repeat(usize::from(value)),
        _ => format!("value-{}", value % 16),
    };
    Field { sensitive: value == "value-7", ..Field::new(name, value) }
}

impl Exchange {
    fn new(capacity: u64, permitted: u64) -> Self {
        let config = EncoderConfig::default();
        let mut encoder = Encoder::new(config);
        encoder.peer_settings(capacity, permitted);
        let config =
            DecoderConfig { max_table_capacity: capacity, max_blocked_streams: permitted, ..DecoderConfig::default() };
        Self {
            encoder,
            decoder: Decoder::new(config),
            sections: BTreeMap::new(),
            expected: BTreeMap::new(),
            encoder_stream: VecDeque::new(),
            decoder_stream: VecDeque::new(),
            permitted,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Encode { stream, lines } => {
                let fields: Vec<Field> = lines.iter().map(|(name, value)| field(*name, *value)).collect();
                let mut out = BytesMut::new();
                self.encoder.encode(*stream, fields.iter().map(Field::borrow), &mut out);
                self.encoder_stream.extend(self.encoder.poll_instructions().into_iter().flatten());
                self.sections.entry(*stream).or_default().push_back(out.freeze());
                self.expected.entry(*stream).or_default().push_back(fields);
            }
            Step::Deliver { stream } => {
                if let Some(section) = self.sections.get_mut(stream).and_then(VecDeque::pop_front) {
                    match self.decoder.decode(*stream, section).unwrap() {
                        Decoded::Fields(fields) => self.came_out(*stream, &fields),
                        Decoded::Blocked => {}
                    }
                }
            }
            Step::Instructions { bytes } => {
                let bytes = (*bytes).min(self.encoder_stream.len());
                let piece: Vec<u8> = self.encoder_stream.drain(..bytes).collect();
                self.decoder.receive(&piece).unwrap();
                while let Some((stream, fields)) = self.decoder.poll_unblocked() {
                    self.came_out(stream, &fields.unwrap());
                }
            }
            Step::Answers { bytes } => {
                self.decoder_stream.extend(self.decoder.poll_instructions().into_iter().flatten());
                let bytes = (*bytes).min(self.decoder_stream.len());
                let piece: Vec<u8> = self.decoder_stream.drain(..bytes).collect();
                self.encoder.receive(&piece).unwrap();
            }
            Step::Cancel { stream } => {
                self.decoder.cancel(*stream);
                self.sections.remove(stream);
                self.expected.remove(stream);
            }
            Step::Credit { bytes } => self.encoder.instruction_credit(*bytes),
        }
        assert!(self.decoder.blocked_streams() as u64 <= self.permitted);
        assert!(self.encoder.streams_at_risk() as u64 <= self.permitted);
    }

    fn came_out(&mut self, stream: u64, fields: &Fields) {
        let expected = self.expected.get_mut(&stream).and_then(VecDeque::pop_front).expect("it was encoded");
        assert_eq!(fields.len(), expected.len());
        for (field, expected) in fields.iter().zip(&expected) {
            assert_eq!((&field.name, &field.value), (&expected.name, &expected.value));
            assert!(field.sensitive || !expected.sensitive);
        }
    }

    /// Everything arrives. A cancelled stream is not used again, as in QUIC, so all else comes out.
    fn finish(&mut self) {
        for stream in 0..STREAMS * 100 {
            while self.sections.get(&stream).is_some_and(|sections| !sections.is_empty()) {
                self.step(&Step::Instructions { bytes: usize::MAX });
                self.step(&Step::Deliver { stream });
            }
        }
        self.step(&Step::Instructions { bytes: usize::MAX });
        self.step(&Step::Answers { bytes: usize::MAX });
        assert!(self.expected.values().all(VecDeque::is_empty));
        assert_eq!((self.decoder.blocked_streams(), self.decoder.blocked_bytes()), (0, 0));
        assert_eq!((self.encoder.outstanding_sections(), self.encoder.streams_at_risk()), (0, 0));
        assert_eq!(self.encoder.table_bytes(), self.decoder.table_bytes());
        assert_eq!(self.encoder.insert_count(), self.decoder.insert_count());
    }
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS;
    prop_oneof![
        6 => (stream.clone(), prop::collection::vec((0_u8..8, any::<u8>()), 0..8))
            .prop_map(|(stream, lines)| Step::Encode { stream, lines }),
        6 => stream.clone().prop_map(|stream| Step::Deliver { stream }),
        4 => (0_usize..200).prop_map(|bytes| Step::Instructions { bytes }),
        3 => (0_usize..6).prop_map(|bytes| Step::Answers { bytes }),
        1 => stream.prop_map(|stream| Step::Cancel { stream }),
        1 => (0_u64..400).prop_map(|bytes| Step::Credit { bytes }),
    ]
}

/// A stream that was cancelled is not used again: the next one with its place gets another number.
fn renumbered(steps: Vec<Step>) -> Vec<Step> {
    let mut uses = [0_u64; STREAMS as usize];
    let number = |uses: &[u64], stream: u64| stream + STREAMS * uses[stream as usize].min(99);
    steps
        .into_iter()
        .map(|step| match step {
            Step::Encode { stream, lines } => Step::Encode { stream: number(&uses, stream), lines },
            Step::Deliver { stream } => Step::Deliver { stream: number(&uses, stream) },
            Step::Cancel { stream } => {
                let cancelled = number(&uses, stream);
                uses[stream as usize] += 1;
                Step::Cancel { stream: cancelled }
            }
            other => other,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out_whatever_the_network_does(
        capacity in prop_oneof![Just(0_u64), 33_u64..100, 100_u64..600, Just(4096)],
        permitted in 0_u64..5,
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut exchange = Exchange::new(capacity, permitted);
        for step in renumbered(steps) {
            exchange.step(&step);
        }
        exchange.finish();
    }
}

/// Traffic that is right, as instructions and sections.
fn traffic() -> (Vec<u8>, Vec<Bytes>) {
    let mut exchange = Exchange::new(400, 100);
    let (mut instructions, mut sections) = (Vec::new(), Vec::new());
    for round in 0_u8..40 {
        let lines = (0..6).map(|line| (line, round / 3 + line * 5)).collect();
        exchange.step(&Step::Encode { stream: u64::from(round), lines });
        instructions.extend(exchange.encoder_stream.iter());
        sections.push(exchange.sections[&u64::from(round)][0].clone());
        exchange.step(&Step::Instructions { bytes: usize::MAX });
        exchange.step(&Step::Deliver { stream: u64::from(round) });
        exchange.step(&Step::Answers { bytes: usize::MAX });
    }
    (instructions, sections)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_bring_a_decoder_down(
        pieces in prop::collection::vec((any::<bool>(), 0_u64..4, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let mut decoder = Decoder::new(DecoderConfig::default());
        decoder.receive(&[0x3f, 0xe1, 0x1f]).unwrap();
        for (is_section, stream, bytes) in pieces {
            let failed = if is_section {
                matches!(decoder.decode(stream, bytes.into()), Err(error) if error.code() == 0x200)
            } else {
                decoder.receive(&bytes).is_err()
            };
            let unblocked: Vec<_> = std::iter::from_fn(|| decoder.poll_unblocked()).collect();
            prop_assert!(unblocked.len() <= 20 && decoder.table_bytes() <= 4096);
            if failed {
                break;
            }
        }
    }

    #[test]
    fn damaged_traffic_brings_no_decoder_down(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut instructions, mut sections) = traffic();
        for (place, byte) in damages {
            let index = place.index(instructions.len() + sections.len());
            match instructions.get_mut(index) {
                Some(damaged) => *damaged = byte,
                None => {
                    let section = place.get_mut(&mut sections);
                    let mut damaged = section.to_vec();
                    let at = usize::from(byte) % damaged.len();
                    damaged[at] ^= 1 << (byte % 8);
                    *section = damaged.into();
                }
            }
        }
        let config = DecoderConfig { max_table_capacity: 400, max_blocked_streams: 100, ..DecoderConfig::default() };
        let mut decoder = Decoder::new(config);
        let (first, second) = instructions.split_at(cut.index(instructions.len()));
        for piece in [first, second] {
            let _ended = decoder.receive(piece).is_err();
            for (stream, section) in (0..).zip(&sections) {
                let _refused = decoder.decode(stream, section.clone()).is_err();
            }
            while decoder.poll_unblocked().is_some() {}
            prop_assert!(decoder.table_bytes() <= 400);
        }
    }

    #[test]
    fn no_bytes_bring_an_encoder_down(bytes: Vec<u8>, streams in prop::collection::vec(0_u64..64, 0..10)) {
        let mut exchange = Exchange::new(4096, 100);
        for stream in streams {
            exchange.step(&Step::Encode { stream, lines: vec![(0, 3), (1, 4), (2, 5)] });
        }
        if exchange.encoder.receive(&bytes).is_ok() {
            exchange.step(&Step::Encode { stream: 64, lines: vec![(0, 3), (1, 5)] });
        }
    }
}
