use std::time::Duration;

use actix::Addr;
use tokio::runtime::Handle;

use super::*;
use crate::recorder::{Recorder, paused, settle};

struct Stage {
    meter: Rc<Meter>,
    timer: Addr<TimerActor>,
    down: Recorder<Down>,
}

fn stage() -> Stage {
    let meter = Meter::for_tests();
    let down = Recorder::start();
    let timer = TimerActor::new(Rc::clone(&meter), Alarm::of_tokio(), down.recipient()).start();
    Stage { meter, timer, down }
}

impl Stage {
    fn register(&self, key: usize, generation: u32) -> Recorder<DeadlineReached> {
        let recorder = Recorder::start();
        self.timer.do_send(Register { key, generation, recipient: recorder.recipient() });
        recorder
    }

    fn change(&self, key: usize, generation: u32, at: Time) {
        self.timer.do_send(DeadlineChanged { key, generation, at });
    }
}

fn after(milliseconds: u64) -> Time {
    clock::now() + Duration::from_millis(milliseconds)
}

#[test]
fn deadlines_are_reached_in_order_and_never_early() {
    paused(async {
        let stage = stage();
        let mut recorders: Vec<_> = (0..5).map(|key| stage.register(key, 0)).collect();
        let order = [40, 10, 3_000, 20, 1];
        let deadlines = order.map(after);
        for (key, at) in deadlines.into_iter().enumerate() {
            stage.change(key, 0, at);
        }
        let mut last = Time::ZERO;
        for key in [4, 1, 3, 0, 2] {
            let DeadlineReached { at } = recorders[key].next().await;
            assert!(at >= deadlines[key] && at - deadlines[key] < Duration::from_millis(2));
            assert!(at >= last);
            last = at;
        }
        assert_eq!(stage.meter.value("quicast_timer_lateness_seconds_count"), 5.0);
        assert_eq!(stage.meter.value("quicast_timers_armed{shard=\"0\"}"), 0.0);
    });
}

#[test]
fn a_deadline_that_changes_is_reached_once_at_its_last_time() {
    paused(async {
        let stage = stage();
        let mut recorder = stage.register(0, 0);
        stage.change(0, 0, after(500));
        settle().await;
        let earlier = after(100);
        stage.change(0, 0, earlier);
        assert_eq!(recorder.next().await.at, earlier);
        let later = after(2_000);
        stage.change(0, 0, after(1_000));
        stage.change(0, 0, later);
        assert_eq!(recorder.next().await.at, later);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(recorder.all().await, []);
    });
}

#[test]
fn a_deadline_in_the_past_is_reached_at_once() {
    paused(async {
        let stage = stage();
        let mut recorder = stage.register(7, 0);
        let now = clock::now();
        stage.change(7, 0, Time::ZERO);
        assert_eq!(recorder.all().await, [DeadlineReached { at: now }]);
    });
}

#[test]
fn whoever_is_gone_is_not_told_and_neither_is_who_got_the_key() {
    paused(async {
        let stage = stage();
        let mut former = stage.register(0, 1);
        stage.change(0, 1, after(10));
        let mut present = stage.register(0, 2);
        stage.change(0, 1, after(20));
        stage.timer.do_send(Deregister { key: 0, generation: 1 });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((former.all().await, present.all().await), (vec![], vec![]));
        let at = after(5);
        stage.change(0, 2, at);
        assert_eq!(present.next().await.at, at);
        stage.change(0, 2, after(5));
        stage.timer.do_send(Deregister { key: 0, generation: 2 });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(present.all().await, []);
        assert_eq!(stage.meter.value("quicast_timers_armed{shard=\"0\"}"), 0.0);
    });
}

#[test]
fn ten_thousand_idle_connections_cost_nothing() {
    paused(async {
        let stage = stage();
        let mut recorder = stage.register(0, 0);
        for key in 0..10_000 {
            stage.timer.do_send(Register { key, generation: 0, recipient: recorder.recipient() });
            stage.change(key, 0, after(30_000 + key as u64));
        }
        // Until the counters are flushed, memory is given back, and the housekeeping has found that nothing more happens.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let wakes = || Handle::current().metrics().worker_park_unpark_count(0);
        let before = wakes();
        tokio::time::sleep(Duration::from_secs(25)).await;
        assert!(wakes() - before < 10, "{} wakes while nothing was due", wakes() - before);
        assert_eq!(recorder.all().await, []);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(recorder.all().await.len(), 10_000);
    });
}

#[test]
fn what_is_counted_is_flushed_within_a_quarter_of_a_second_and_only_while_something_is() {
    paused(async {
        let stage = stage();
        settle().await;
        let handled = || stage.meter.flushed_value("quicast_actor_messages_handled_total{actor=\"streams\"}");
        for round in 1..=3_u32 {
            stage.meter.done(ActorType::Streams, stage.meter.handled(ActorType::Streams));
            tokio::time::sleep(housekeeping::FLUSH_PERIOD + Duration::from_millis(5)).await;
            assert_eq!(handled(), f64::from(round));
            tokio::time::sleep(Duration::from_secs(round.into())).await;
        }
        let ticks = stage.meter.flushed_value("quicast_runtime_loop_lag_seconds_count{shard=\"0\"}");
        assert!(ticks >= 3.0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(stage.meter.flushed_value("quicast_runtime_loop_lag_seconds_count{shard=\"0\"}"), ticks);
        assert!(stage.meter.flushed_value("quicast_metrics_flush_duration_seconds_count") >= 3.0);
    });
}

#[test]
fn its_end_is_told() {
    paused(async {
        let mut stage = stage();
        stage.timer.do_send(Stop);
        let down = stage.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Timer, Cause::Finished));
        assert_eq!(stage.meter.value("quicast_actor_stops_total{actor=\"timer\",reason=\"done\"}"), 1.0);
    });
}

#[cfg(feature = "fault-injection")]
#[test]
fn its_panic_is_told() {
    paused(async {
        let mut stage = stage();
        stage.timer.do_send(crate::down::Panic);
        let down = stage.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Timer, Cause::Panicked));
        assert_eq!(stage.meter.value("quicast_actor_stops_total{actor=\"timer\",reason=\"panic\"}"), 1.0);
    });
}
