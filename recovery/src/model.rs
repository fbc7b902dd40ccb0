//! Random histories against a model that does everything the slow way: a list of all packets, searched from end to end.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use codec::{Side, Time};
use proptest::prelude::*;

use crate::acknowledge::Report;
use crate::{Config, DeadlineKind, Outcome, Recovery, SentPacket, SpaceId, loss};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Outstanding,
    Acknowledged,
    Lost,
    Discarded,
}

#[derive(Clone, Debug)]
struct Packet {
    space: SpaceId,
    number: u64,
    at: Time,
    bytes: u64,
    ack_eliciting: bool,
    in_flight: bool,
    mtu_probe: bool,
    path: u32,
    fate: Fate,
}

/// Where a token ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Packet(usize),
    Acknowledged,
    Lost,
    Discarded,
    Probe,
}

#[derive(Clone, Debug)]
enum Step {
    Send { space: SpaceId, kind: u8, bytes: u16, tokens: usize },
    Skip(SpaceId),
    Ack { space: SpaceId, seed: u64 },
    Wait(u64),
    Fire,
    TakeProbe(SpaceId),
    Forget(SpaceId),
    Discard(SpaceId),
    RestartPath(bool),
    ApplicationLimited,
}

fn spaces() -> impl Strategy<Value = SpaceId> {
    prop_oneof![1 => Just(SpaceId::Initial), 1 => Just(SpaceId::Handshake), 4 => Just(SpaceId::Application)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => (spaces(), 0..10_u8, 30..1500_u16, 0..4_usize)
            .prop_map(|(space, kind, bytes, tokens)| Step::Send { space, kind, bytes, tokens }),
        10 => (spaces(), any::<u64>()).prop_map(|(space, seed)| Step::Ack { space, seed }),
        8 => (0..200_u64).prop_map(Step::Wait),
        4 => Just(Step::Fire),
        2 => spaces().prop_map(Step::TakeProbe),
        1 => spaces().prop_map(Step::Skip),
        1 => any::<bool>().prop_map(Step::RestartPath),
        1 => Just(Step::ApplicationLimited),
        1 => prop_oneof![
            Just(Step::Forget(SpaceId::Initial)),
            Just(Step::Forget(SpaceId::Application)),
            Just(Step::Discard(SpaceId::Initial)),
            Just(Step::Discard(SpaceId::Handshake)),
        ],
    ];
    proptest::collection::vec(step, 0..250)
}

struct Model {
    recovery: Recovery<u64>,
    outcome: Outcome<u64>,
    now: Time,
    path: u32,
    packets: Vec<Packet>,
    tokens: BTreeMap<u64, Place>,
    next_token: u64,
    largest: [Option<u64>; 3],
    next: [u64; 3],
    loss_at: [Option<Time>; 3],
    discarded: [bool; 3],
}

impl Model {
    fn new() -> Self {
        let mut recovery = Recovery::new(Side::Server, Config::default());
        recovery.on_handshake_confirmed();
        Self {
            recovery,
            outcome: Outcome::new(),
            now: Time::from_nanos(1_000_000_000),
            path: 0,
            packets: Vec::new(),
            tokens: BTreeMap::new(),
            next_token: 0,
            largest: [None; 3],
            next: [0; 3],
            loss_at: [None; 3],
            discarded: [false; 3],
        }
    }

    fn step(&mut self, step: Step) {
        self.outcome.clear();
        match step {
            Step::Send { space, kind, bytes, tokens } => self.send(space, kind, bytes, tokens),
            Step::Skip(space) => {
                self.recovery.skip_number(space);
                self.next[space.index()] += 1;
            }
            Step::Ack { space, seed } => self.ack(space, seed),
            Step::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Step::Fire => self.fire(),
            Step::TakeProbe(space) => self.take_probe(space),
            Step::Forget(space) => {
                self.recovery.forget(space, &mut self.outcome);
                self.forget(space);
            }
            Step::Discard(space) => {
                self.recovery.discard(space, &mut self.outcome);
                self.forget(space);
                self.discarded[space.index()] = true;
            }
            Step::RestartPath(keep_rtt) => {
                self.recovery.restart_path(self.now, keep_rtt);
                self.path += 1;
            }
            Step::ApplicationLimited => self.recovery.on_application_limited(),
        }
        self.check();
    }

    fn send(&mut self, space: SpaceId, kind: u8, bytes: u16, tokens: usize) {
        if self.discarded[space.index()] {
            return;
        }
        // Mostly data; sometimes an ACK alone, padding alone, a probe for a larger datagram, or a packet sent aside.
        let (ack_eliciting, in_flight, mtu_probe) = match kind {
            0 => (false, false, false),
            1 => (false, true, false),
            2 => (true, true, true),
            3 => (true, false, false),
            _ => (true, true, false),
        };
        let number = self.next[space.index()];
        assert_eq!(self.recovery.next_number(space), number);
        self.next[space.index()] += 1;
        let first = self.next_token;
        self.next_token += tokens as u64;
        let tokens: Vec<u64> = (first..self.next_token).collect();
        for &token in &tokens {
            self.tokens.insert(token, Place::Packet(self.packets.len()));
        }
        self.packets.push(Packet {
            space,
            number,
            at: self.now,
            bytes: u64::from(bytes),
            ack_eliciting,
            in_flight,
            mtu_probe,
            path: self.path,
            fate: Fate::Outstanding,
        });
        let tokens = tokens.into();
        let packet =
            SentPacket { number, at: self.now, bytes, ack_eliciting, in_flight, ecn: kind == 9, mtu_probe, tokens };
        self.recovery.on_sent(space, packet);
    }

    /// Acknowledges some of what was sent in the space, the packets that were declared lost included.
    fn ack(&mut self, space: SpaceId, mut seed: u64) {
        let sent: Vec<usize> = (0..self.packets.len()).filter(|&i| self.packets[i].space == space).collect();
        // The seed says how far back the ACK reaches and how many packets arrived.
        let reach = usize::try_from(seed % 40).unwrap();
        let chosen: Vec<usize> = sent
            .into_iter()
            .rev()
            .take(reach)
            .filter(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 60) < 11
            })
            .collect();
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for &i in &chosen {
            let number = self.packets[i].number;
            match ranges.last_mut() {
                Some(last) if *last.start() == number + 1 => *last = number..=*last.end(),
                _ => ranges.push(number..=number),
            }
        }
        let Some(largest) = ranges.first().map(|range| *range.end()) else { return };
        let report = Report { largest, delay: seed >> 50, ecn: None };
        let result = self.recovery.acknowledge(space, report, ranges.into_iter(), self.now, &mut self.outcome);
        assert_eq!(result, Ok(()));
        if self.discarded[space.index()] {
            assert_eq!(self.outcome.newly_acknowledged_packets, 0);
            return;
        }
        let largest = self.largest[space.index()].max(Some(largest));
        self.largest[space.index()] = largest;
        let (mut packets, mut bytes, mut any) = (0, 0, false);
        for i in chosen {
            let path = self.path;
            let packet = &mut self.packets[i];
            if packet.fate == Fate::Outstanding {
                any = true;
                packet.fate = Fate::Acknowledged;
                let aside = packet.ack_eliciting && !packet.in_flight;
                packets += u64::from(packet.path == path && !aside);
                bytes += if packet.path == path && packet.in_flight { packet.bytes } else { 0 };
                self.move_tokens(i, Place::Acknowledged);
            }
        }
        assert_eq!((self.outcome.newly_acknowledged_packets, self.outcome.acknowledged_bytes), (packets, bytes));
        if any {
            self.lose(space);
        } else {
            self.assert_lost((0, 0));
        }
    }

    fn lose(&mut self, space: SpaceId) {
        let Some(largest) = self.largest[space.index()] else { return };
        let config = Config::default();
        let delay = loss::delay(self.recovery.rtt(), config.time_threshold_eighths, config.granularity);
        self.loss_at[space.index()] = None;
        let mut counted = (0, 0);
        for i in 0..self.packets.len() {
            let packet = &mut self.packets[i];
            if packet.space != space || packet.fate != Fate::Outstanding || packet.number >= largest {
                continue;
            }
            if packet.number + config.packet_threshold <= largest || packet.at + delay <= self.now {
                packet.fate = Fate::Lost;
                if packet.path == self.path && packet.in_flight && !packet.mtu_probe {
                    counted.0 += 1;
                    counted.1 += packet.bytes;
                }
                self.move_tokens(i, Place::Lost);
            } else {
                let at = packet.at + delay;
                let loss_at = &mut self.loss_at[space.index()];
                *loss_at = Some(loss_at.map_or(at, |earlier| earlier.min(at)));
            }
        }
        self.assert_lost(counted);
    }

    fn assert_lost(&self, packets_and_bytes: (u64, u64)) {
        assert_eq!((self.outcome.lost_packets(), self.outcome.lost_bytes), packets_and_bytes);
    }

    fn fire(&mut self) {
        let due = self.recovery.deadline(self.now).filter(|deadline| deadline.at <= self.now);
        self.recovery.on_deadline(self.now, &mut self.outcome);
        match due {
            Some(due) if due.kind == DeadlineKind::Loss => self.lose(due.space),
            Some(due) => assert_eq!(self.outcome.probes, Some((due.space, 2))),
            None => assert_eq!(self.outcome.probes, None),
        }
    }

    fn take_probe(&mut self, space: SpaceId) {
        let taken = self.recovery.take_probe_tokens(space).map(|tokens| tokens.to_vec());
        let oldest = (0..self.packets.len()).find(|&i| {
            let packet = &self.packets[i];
            let awaited = packet.ack_eliciting && packet.in_flight && packet.fate == Fate::Outstanding;
            packet.space == space && awaited && self.tokens.values().any(|&place| place == Place::Packet(i))
        });
        let expected: Option<Vec<u64>> = oldest.map(|i| self.tokens_of(i));
        assert_eq!(taken, expected);
        if let Some(i) = oldest {
            self.move_tokens(i, Place::Probe);
        }
    }

    fn forget(&mut self, space: SpaceId) {
        for i in 0..self.packets.len() {
            if self.packets[i].space == space && self.packets[i].fate == Fate::Outstanding {
                self.packets[i].fate = Fate::Discarded;
                self.move_tokens(i, Place::Discarded);
            }
        }
        self.loss_at[space.index()] = None;
    }

    fn tokens_of(&self, packet: usize) -> Vec<u64> {
        self.tokens.iter().filter(|&(_, &place)| place == Place::Packet(packet)).map(|(&token, _)| token).collect()
    }

    fn move_tokens(&mut self, packet: usize, to: Place) {
        for token in self.tokens_of(packet) {
            self.tokens.insert(token, to);
        }
    }

    /// What must be true after every step.
    fn check(&mut self) {
        let outstanding = || self.packets.iter().filter(|packet| packet.fate == Fate::Outstanding);
        let current = |packet: &&Packet| packet.in_flight && packet.path == self.path;
        let in_flight: u64 = outstanding().filter(current).map(|packet| packet.bytes).sum();
        assert_eq!(self.recovery.bytes_in_flight(), in_flight);
        for space in SpaceId::ALL {
            let awaited = outstanding().any(|packet| packet.space == space && packet.ack_eliciting && packet.in_flight);
            assert_eq!(self.recovery.has_ack_eliciting_in_flight(space), awaited);
            // When both spaces of the handshake are gone, so is what was known of them.
            let is_gone = space != SpaceId::Application && self.discarded[0] && self.discarded[1];
            let largest = self.largest[space.index()].filter(|_| !is_gone);
            assert_eq!(self.recovery.largest_acknowledged(space), largest);
        }
        let loss = self.loss_at.iter().flatten().min().copied();
        match self.recovery.deadline(self.now) {
            Some(deadline) if deadline.kind == DeadlineKind::Loss => assert_eq!(Some(deadline.at), loss),
            other => {
                assert_eq!(loss, None);
                let awaited = outstanding().any(|packet| packet.ack_eliciting && packet.in_flight);
                assert_eq!(other.is_some(), awaited);
            }
        }
        let lists = [
            (&self.outcome.acknowledged, Place::Acknowledged),
            (&self.outcome.lost, Place::Lost),
            (&self.outcome.discarded, Place::Discarded),
        ];
        for (list, place) in lists {
            for token in list {
                // Each token is handed out in the step in which the model moved it there, and only then.
                assert_eq!(self.tokens.remove(token), Some(place), "token {token}");
            }
        }
        let handed_out = |place: &Place| matches!(place, Place::Acknowledged | Place::Lost | Place::Discarded);
        assert!(!self.tokens.values().any(handed_out), "a token did not come out");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_token_comes_out_once_and_the_bytes_in_flight_are_those_of_the_model(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
        }
        // In the end everything comes back.
        for space in SpaceId::ALL {
            model.step(Step::Discard(space));
        }
        assert!(model.tokens.values().all(|&place| place == Place::Probe));
        assert_eq!(model.recovery.bytes_in_flight(), 0);
    }
}
