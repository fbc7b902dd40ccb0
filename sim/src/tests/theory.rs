//! What arithmetic says.

use std::time::Duration;

use codec::Time;

use super::bench::{alone, constant, constant_rate, milliseconds, seconds};
use crate::bottleneck::Bottleneck;
use crate::chance::{Chance, MILLION};
use crate::link::BEGINNING;
use crate::packet::{Codepoint, Packet};
use crate::{Flow, Host, Link, Loss, Scenario, megabits};

const SIZE: u64 = 1452;

#[test]
fn a_constant_window_yields_the_lesser_of_the_rate_and_the_window_over_the_round_trip() {
    for (rate, rtt, datagrams) in [
        (megabits(10), 100, 10),
        (megabits(10), 100, 86),
        (megabits(10), 100, 200),
        (megabits(1000), 1, 20),
        (megabits(1000), 1, 200),
    ] {
        let window = datagrams * SIZE;
        let link = Link::new(rate, milliseconds(rtt)).with_queue(1 << 30);
        let host = Host { packets_per_acknowledgement: 1, ..Host::new() };
        let report = alone(link, Flow::new(constant(window)).between(host), seconds(20));
        let goodput = report.goodput_between(seconds(5), seconds(15));
        let service = Duration::from_secs_f64(SIZE as f64 / rate as f64);
        let least = milliseconds(rtt) + service;
        let expected = (rate as f64).min(window as f64 / least.as_secs_f64());
        assert!((goodput / expected - 1.0).abs() < 0.01, "{rate} {rtt} {datagrams}: {goodput} for {expected}");
        // Little's law: what is in flight is the rate times the round trip.
        let rtt = report.flows[0].rtt.quantile(0.5).as_secs_f64();
        let expected = (window as f64 / rate as f64).max(least.as_secs_f64());
        assert!((rtt / expected - 1.0).abs() < 0.05, "{rate} {datagrams}: {rtt} for {expected}");
    }
}

#[test]
fn a_pacing_rate_is_kept() {
    let rate = megabits(8);
    let flow = Flow::new(constant_rate(10_000_000, rate));
    let report = alone(Link::new(megabits(100), milliseconds(20)), flow, seconds(20));
    let goodput = report.goodput_between(seconds(2), seconds(20));
    assert!((goodput / rate as f64 - 1.0).abs() < 0.005, "{goodput}");
    assert!(report.link.most_queued <= 2 * SIZE, "no more than a quantum waits: {}", report.link.most_queued);
}

/// Pollaczek and Khinchine: with Poisson arrivals at a share ρ of the rate and equal packets, the mean wait is
/// ρ / (2 (1 - ρ)) of the time that one takes.
#[test]
fn poisson_arrivals_wait_as_long_as_in_an_m_d_1_queue() {
    for load in [0.5, 0.8, 0.9] {
        let rate = megabits(10);
        let mut link = Bottleneck::new(Link::new(rate, milliseconds(0)).with_queue(1 << 30), 1, 1);
        let mut chance = Chance::new(11, 0);
        let service = SIZE as f64 / rate as f64;
        let mut arrives = 1.0_f64;
        for number in 0..400_000 {
            arrives += -(1.0 - chance.fraction()).ln() * service / load;
            let now = Time::from_nanos((arrives * 1e9) as u64);
            while link.next_at() <= now {
                link.act(link.next_at());
            }
            link.push(now, packet(number));
        }
        let mean = link.waits[0].mean().as_secs_f64() / service;
        let expected = load / (2.0 * (1.0 - load));
        assert!((mean / expected - 1.0).abs() < 0.03, "{load}: {mean} for {expected}");
    }
}

fn packet(number: u64) -> Packet {
    Packet {
        flow: 0,
        bytes: SIZE as u16,
        codepoint: Codepoint::NotCapable,
        scalable: false,
        immediate: false,
        number,
        piece: None,
        heard_up_to: None,
        queued_at: BEGINNING,
    }
}

#[test]
fn a_link_is_as_fast_as_it_says_even_if_a_packet_takes_no_whole_number_of_nanoseconds() {
    let rate = 999_999_937;
    let mut link = Bottleneck::new(Link::new(rate, milliseconds(0)).with_queue(u64::MAX), 1, 1);
    for number in 0..100_000 {
        link.push(BEGINNING, packet(number));
    }
    let mut last = BEGINNING;
    while link.next_at() != Time::MAX {
        last = link.next_at();
        link.act(last);
    }
    let took = last.saturating_since(BEGINNING).as_secs_f64();
    let expected = 100_000.0 * SIZE as f64 / rate as f64;
    assert!((took - expected).abs() < 2e-9, "{took} for {expected}");
}

#[test]
fn losses_are_as_many_and_come_in_bursts_as_long_as_asked_for() {
    for (loss, share, length) in [
        (Loss::Random(10_000), 0.01, 1.01),
        (Loss::Every(50), 0.02, 1.0),
        (Loss::bursts(20_000, 5), 0.02, 5.0),
        (Loss::bursts(10_000, 20), 0.01, 20.0),
    ] {
        let mut link = Bottleneck::new(Link::new(megabits(10_000), milliseconds(0)).with_loss(loss), 1, 3);
        let (mut lost, mut bursts, mut before) = (0_u32, 0_u32, false);
        for number in 0..1_000_000 {
            let now = BEGINNING + Duration::from_micros(2 * number);
            link.push(now, packet(number));
            let is_lost = link.act(link.next_at()).is_none();
            lost += u32::from(is_lost);
            bursts += u32::from(is_lost && !before);
            before = is_lost;
        }
        let found = f64::from(lost) / f64::from(MILLION);
        assert!((found / share - 1.0).abs() < 0.15, "{loss:?}: {found}");
        let found = f64::from(lost) / f64::from(bursts);
        assert!((found / length - 1.0).abs() < 0.15, "{loss:?}: bursts of {found}");
    }
}

#[test]
fn acknowledgements_come_as_often_as_the_host_sends_them() {
    let link = Link::new(megabits(20), milliseconds(40));
    for (every, most) in [(1, 1.0), (2, 0.5), (10, 0.1)] {
        let host = Host { packets_per_acknowledgement: every, ..Host::new() };
        let report = alone(link.clone(), Flow::new(constant(150_000)).between(host), seconds(10));
        let flow = &report.flows[0];
        let share = flow.rtt.count() as f64 / flow.sent_packets as f64;
        assert!((share / most - 1.0).abs() < 0.05, "every {every}: {share}");
    }
    // A single packet is told of after max_ack_delay, and the sender takes that out of its estimate.
    let host = Host { packets_per_acknowledgement: 10, ..Host::new() };
    let slow = Flow::new(constant(60_000)).with_source(crate::Source::Rate(14_520)).between(host);
    let report = alone(link, slow, seconds(10));
    assert!(
        (63..67).contains(&report.flows[0].rtt.quantile(0.5).as_millis()),
        "{:?}",
        report.flows[0].rtt.quantile(0.5)
    );
    let smoothed = report.flows[0].samples.last().unwrap().smoothed_rtt;
    assert!(smoothed < milliseconds(42), "{smoothed:?}");
}

#[test]
fn the_same_seed_is_the_same_and_another_is_another() {
    let link = Link::new(megabits(20), milliseconds(40))
        .with_random_loss(5_000)
        .with_jitter(milliseconds(3), true)
        .with_discipline(crate::Discipline::dual_queue());
    let flow = Flow::new(congestion::Algorithm::CUBIC).with_ecn();
    let run = |seed| {
        let scenario = Scenario::new(link.clone()).with_many(3, &flow).seeded(seed).lasting(seconds(5));
        format!("{:?}", scenario.run())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
