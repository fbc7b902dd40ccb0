use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(nanoseconds: u64) -> Time {
    Time::from_nanos(nanoseconds)
}

fn expired(wheel: &mut Wheel<usize>, now: Time) -> Vec<(usize, Time)> {
    let mut due = Vec::new();
    wheel.expire(now, &mut due);
    due
}

#[test]
fn an_entry_fires_exactly_at_its_time_and_once() {
    let mut wheel = Wheel::new(at(0));
    assert!(wheel.set(3, at(100_001)));
    assert_eq!(wheel.next(), Some(at(100_001)));
    assert_eq!(expired(&mut wheel, at(100_000)), []);
    assert_eq!(expired(&mut wheel, at(100_001)), [(3, at(100_001))]);
    assert_eq!(expired(&mut wheel, at(100_002)), []);
    assert!(wheel.is_empty());
}

#[test]
fn a_time_in_the_past_is_due_at_once_and_keeps_its_plan() {
    let mut wheel = Wheel::new(at(1_000_000_000));
    wheel.set(0, at(5));
    assert_eq!(wheel.next(), Some(at(5)));
    assert_eq!(expired(&mut wheel, at(1_000_000_000)), [(0, at(5))]);
}

#[test]
fn times_hours_and_centuries_ahead_are_kept() {
    let mut wheel = Wheel::new(at(123));
    let day = at(123) + Duration::from_secs(86_400);
    wheel.set(0, day);
    wheel.set(1, Time::MAX);
    assert_eq!(wheel.next(), Some(day));
    assert_eq!(expired(&mut wheel, at(day.as_nanos() - 1)), []);
    assert_eq!(expired(&mut wheel, day), [(0, day)]);
    assert_eq!(wheel.next(), Some(Time::MAX));
    assert_eq!(expired(&mut wheel, Time::MAX), [(1, Time::MAX)]);
}

#[test]
fn setting_again_moves_and_cancelling_forgets() {
    let mut wheel = Wheel::new(at(0));
    wheel.set(7, at(1_000_000));
    wheel.set(7, at(9_000_000));
    assert_eq!((wheel.len(), wheel.next()), (1, Some(at(9_000_000))));
    wheel.set(7, at(2_000_000));
    assert_eq!((wheel.deadline(7), wheel.next()), (Some(at(2_000_000)), Some(at(2_000_000))));
    assert_eq!(wheel.cancel(7), Some(at(2_000_000)));
    assert_eq!(wheel.cancel(7), None);
    assert_eq!((wheel.len(), wheel.next()), (0, None));
    assert_eq!(expired(&mut wheel, at(u64::MAX)), []);
}

#[test]
fn a_clock_that_steps_back_neither_loses_nor_advances_anything() {
    let mut wheel = Wheel::new(at(0));
    assert_eq!(expired(&mut wheel, at(10_000_000_000)), []);
    wheel.set(0, at(6_000_000_000));
    assert_eq!(expired(&mut wheel, at(5_000_000_000)), []);
    assert_eq!(expired(&mut wheel, at(6_000_000_000)), [(0, at(6_000_000_000))]);
}

#[test]
fn a_cancelled_crowd_wakes_nobody_more_than_once() {
    let mut wheel = Wheel::new(at(0));
    let idle = 30_000_000_000;
    for key in 0..10_000 {
        wheel.set(key, at(idle + 1_000 * key as u64));
    }
    wheel.cancel(0);
    let stale = wheel.next().unwrap();
    assert!(stale <= at(idle + 1_000));
    assert_eq!(expired(&mut wheel, stale), []);
    assert_eq!(wheel.next(), Some(at(idle + 1_000)));
}

#[test]
fn an_index_that_no_list_can_hold_is_refused() {
    let mut wheel = Wheel::new(at(0));
    assert!(!wheel.set(u32::MAX, at(1)));
    assert!(wheel.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, u64),
    Cancel(usize),
    Expire(u64),
    ExpireAtNext,
}

/// Distances of every magnitude, so that every level is used.
fn distance() -> impl Strategy<Value = u64> {
    (0_u32..52, any::<u64>()).prop_map(|(bits, noise)| (1_u64 << bits) | (noise & ((1 << bits) - 1)))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..40, distance()).prop_map(|(key, distance)| Step::Set(key, distance)),
        1 => (0_usize..40).prop_map(Step::Cancel),
        2 => distance().prop_map(Step::Expire),
        1 => Just(Step::ExpireAtNext),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_map(origin in 0..(u64::MAX / 2), steps in prop::collection::vec(step(), 1..200)) {
        let mut wheel = Wheel::new(at(origin));
        let mut oracle: BTreeMap<usize, Time> = BTreeMap::new();
        let mut now = at(origin);
        let mut crowded = false;
        for step in steps {
            match step {
                Step::Set(key, distance) => {
                    // Now and then before `now`.
                    let when = at((now.as_nanos() - 1_000_000.min(now.as_nanos())).saturating_add(distance));
                    prop_assert!(wheel.set(key, when));
                    oracle.insert(key, when);
                }
                Step::Cancel(key) => prop_assert_eq!(wheel.cancel(key), oracle.remove(&key)),
                Step::Expire(_) | Step::ExpireAtNext => {
                    now = match step {
                        Step::Expire(distance) => at(now.as_nanos().saturating_add(distance)),
                        _ => wheel.next().unwrap_or(now).max(now),
                    };
                    let mut due = expired(&mut wheel, now);
                    let mut expected: Vec<_> = oracle.iter().map(|(key, time)| (*key, *time)).filter(|(_, time)| *time <= now).collect();
                    oracle.retain(|_, time| *time > now);
                    due.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(due, expected);
                }
            }
            let earliest = oracle.values().min().copied();
            prop_assert_eq!(wheel.len(), oracle.len());
            prop_assert_eq!(wheel.next().is_some(), earliest.is_some());
            prop_assert!(wheel.next() <= earliest);
            crowded |= oracle.len() > LOOKED_AT;
            if !crowded {
                prop_assert_eq!(wheel.next(), earliest);
            }
            for (key, time) in &oracle {
                prop_assert_eq!(wheel.deadline(*key), Some(*time));
            }
        }
    }

    #[test]
    fn expires_in_order_to_within_a_slot(times in prop::collection::vec(distance(), 1..100)) {
        let mut wheel = Wheel::new(at(0));
        for (key, time) in times.iter().enumerate() {
            wheel.set(key, at(*time));
        }
        let due = expired(&mut wheel, Time::MAX);
        prop_assert!(due.windows(2).all(|pair| tick(pair[0].1) <= tick(pair[1].1)));
    }

    #[test]
    fn waking_at_next_reaches_every_entry_with_few_idle_wakes(times in prop::collection::vec(distance(), 1..100)) {
        let mut wheel = Wheel::new(at(0));
        for (key, time) in times.iter().enumerate() {
            wheel.set(key, at(*time));
        }
        let mut wakes = 0;
        while let Some(next) = wheel.next() {
            prop_assert!(!expired(&mut wheel, next).is_empty(), "woken for nothing at {next:?}");
            wakes += 1;
        }
        prop_assert!(wakes <= times.len());
    }
}
