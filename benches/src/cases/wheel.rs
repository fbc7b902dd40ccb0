//! The timer wheel, with few and with many deadlines set: nothing of it may depend on how many there are.

use std::time::Duration;

use codec::Time;
use transport::wheel::Wheel;

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case::new("wheel/move/10", "a deadline moved, 10 set", 10_000, || move_one(10)),
    Case::new("wheel/move/1000", "a deadline moved, 1,000 set", 10_000, || move_one(1_000)),
    Case::new("wheel/move/100000", "a deadline moved, 100,000 set", 10_000, || move_one(100_000)),
    Case::new("wheel/cancel/10", "a deadline cancelled and set, 10 set", 10_000, || cancel(10)),
    Case::new("wheel/cancel/1000", "a deadline cancelled and set, 1,000 set", 10_000, || cancel(1_000)),
    Case::new("wheel/cancel/100000", "a deadline cancelled and set, 100,000 set", 10_000, || cancel(100_000)),
    Case::new("wheel/advance/10", "time goes on, a deadline is due and set anew, 10 set", 10_000, || advance(10)),
    Case::new("wheel/advance/1000", "time goes on, a deadline is due and set anew, 1,000 set", 10_000, || {
        advance(1_000)
    }),
    Case::new("wheel/advance/100000", "time goes on, a deadline is due and set anew, 100,000 set", 10_000, || {
        advance(100_000)
    }),
];

/// How far deadlines are apart.
const STEP: Duration = Duration::from_micros(100);

fn filled(entries: u32) -> Wheel<u32> {
    let mut wheel = Wheel::new(Time::ZERO);
    for key in 0..entries {
        wheel.set(key, Time::ZERO + STEP * (key + 1));
    }
    wheel
}

/// All keys in an order that is not that of their deadlines.
fn next(key: &mut u32, entries: u32) -> u32 {
    *key = (*key + 7_919) % entries;
    *key
}

fn move_one(entries: u32) -> Work {
    let mut wheel = filled(entries);
    let mut key = 0;
    let mut moved = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            let key = next(&mut key, entries);
            moved = (moved + 31) % entries;
            wheel.set(key, Time::ZERO + STEP * (moved + 1));
        }
    })
}

fn cancel(entries: u32) -> Work {
    let mut wheel = filled(entries);
    let mut key = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            let key = next(&mut key, entries);
            let at = wheel.cancel(key).expect("all are set");
            wheel.set(key, at);
        }
    })
}

fn advance(entries: u32) -> Work {
    let mut wheel = filled(entries);
    let mut now = Time::ZERO;
    let mut due = Vec::new();
    Box::new(move |operations| {
        for _ in 0..operations {
            now += STEP;
            wheel.expire(now, &mut due);
            for (key, at) in due.drain(..) {
                wheel.set(key, at + STEP * entries);
            }
        }
    })
}
