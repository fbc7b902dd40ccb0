use std::time::Duration;

use actix::Addr;
use codec::Time;

use super::*;
use crate::recorder::{Recorder, paused};

struct Stage {
    meter: Rc<Meter>,
    pacer: Addr<PacerActor>,
    down: Recorder<Down>,
}

fn stage() -> Stage {
    let meter = Meter::for_tests();
    let down = Recorder::start();
    let pacer = PacerActor::new(Rc::clone(&meter), Alarm::of_tokio(), down.recipient()).start();
    Stage { meter, pacer, down }
}

impl Stage {
    fn register(&self, key: usize, generation: u32) -> Recorder<TransmitGranted> {
        let recorder = Recorder::start();
        self.pacer.do_send(Register { key, generation, recipient: recorder.recipient() });
        recorder
    }

    fn want(&self, key: usize, generation: u32, at: Time, bytes: u64) {
        self.pacer.do_send(TransmitWanted { key, generation, at, bytes });
    }
}

fn after(milliseconds: u64) -> Time {
    clock::now() + Duration::from_millis(milliseconds)
}

#[test]
fn each_wish_is_granted_once_and_not_early() {
    paused(async {
        let stage = stage();
        let (mut first, mut second) = (stage.register(0, 0), stage.register(1, 0));
        let (soon, later) = (after(3), after(9));
        stage.want(1, 0, later, 2_000);
        stage.want(0, 0, soon, 1_200);
        assert_eq!(first.next().await, TransmitGranted { bytes: 1_200 });
        assert!(clock::now() >= soon && clock::now() < later);
        assert_eq!(second.next().await, TransmitGranted { bytes: 2_000 });
        assert!(clock::now() >= later);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((first.all().await, second.all().await), (vec![], vec![]));
        assert_eq!(stage.meter.value("quicast_pacer_lateness_seconds_count"), 2.0);
        assert_eq!(stage.meter.value("quicast_pacer_burst_datagrams_sum"), 3.0);
    });
}

#[test]
fn a_new_wish_takes_the_place_of_the_old() {
    paused(async {
        let stage = stage();
        let mut recorder = stage.register(0, 0);
        stage.want(0, 0, after(1), 100);
        stage.want(0, 0, after(50), 300);
        assert_eq!(recorder.next().await, TransmitGranted { bytes: 300 });
        assert_eq!(recorder.all().await, []);
    });
}

#[test]
fn what_may_leave_now_is_granted_now() {
    paused(async {
        let stage = stage();
        let mut recorder = stage.register(0, 0);
        let now = clock::now();
        stage.want(0, 0, now, 5);
        assert_eq!(recorder.all().await, [TransmitGranted { bytes: 5 }]);
        assert_eq!(clock::now(), now);
    });
}

#[test]
fn a_steady_rate_is_kept() {
    paused(async {
        let stage = stage();
        let mut recorder = stage.register(0, 0);
        let begin = clock::now();
        for number in 1..=100 {
            stage.want(0, 0, begin + Duration::from_millis(2 * number), 1_200);
            recorder.next().await;
            assert!(clock::now() >= begin + Duration::from_millis(2 * number));
        }
        assert!(clock::now() - begin < Duration::from_millis(205));
    });
}

#[test]
fn nobody_is_granted_anything_on_behalf_of_whoever_is_gone() {
    paused(async {
        let stage = stage();
        let mut former = stage.register(3, 1);
        stage.want(3, 1, after(10), 1);
        let mut present = stage.register(3, 2);
        stage.want(3, 1, after(20), 1);
        stage.pacer.do_send(Deregister { key: 3, generation: 1 });
        stage.want(3, 2, after(30), 2);
        assert_eq!(present.next().await, TransmitGranted { bytes: 2 });
        assert_eq!(former.all().await, []);
    });
}

#[test]
fn its_end_is_told() {
    paused(async {
        let mut stage = stage();
        stage.pacer.do_send(Stop);
        let down = stage.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Pacer, Cause::Finished));
    });
}

#[cfg(feature = "fault-injection")]
#[test]
fn its_panic_is_told() {
    paused(async {
        let mut stage = stage();
        stage.pacer.do_send(crate::down::Panic);
        let down = stage.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Pacer, Cause::Panicked));
    });
}
