//! Congestion controllers of live connections: orders, trials, shadows, rules, controllers of one's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;
mod traffic;

use std::time::Duration;

use quicast::controllers::{
    Controller, Factory, InitialConditions, NewReno, Observed, Parameter, Parameters, Rule, Rules, Snapshot, Unit,
    Window,
};
use quicast::{Algorithm, CongestionOrder, CongestionReport, Connection, SetCongestionError, TrialBounds, Trigger};
use support::*;
use traffic::*;

async fn report(connection: &Connection) -> CongestionReport {
    loop {
        // Nothing is answered while another controller takes over.
        if let Some(report) = connection.congestion().await {
            return report;
        }
        assert!(connection.close_reason().is_none());
        tokio::task::yield_now().await;
    }
}

fn rules(rules: &[(&str, &str, Algorithm)]) -> Rules {
    let rule = |(name, selector, algorithm): &(&str, &str, Algorithm)| Rule {
        name: (*name).to_owned(),
        selector: selector.parse().unwrap(),
        algorithm: *algorithm,
    };
    Rules { rules: rules.iter().map(rule).collect(), default: Algorithm::CUBIC }
}

/// Waits until the connection has this controller.
async fn has(connection: &Connection, algorithm: Algorithm) -> CongestionReport {
    loop {
        let report = report(connection).await;
        if report.algorithm == algorithm {
            return report;
        }
        echoed(connection, 1, 200_000).await.unwrap();
    }
}

#[tokio::test]
async fn changes_are_remembered_with_who_asked_and_what_was_achieved() {
    within(async {
        let pair = Pair::new().await;
        let accepting = tokio::spawn(echo(pair.there.clone()));
        echoed(&pair.here, 1, 3_000_000).await.unwrap();
        pair.here.set_congestion(Algorithm::NEW_RENO).await.unwrap();
        echoed(&pair.here, 2, 1_000_000).await.unwrap();
        let order = CongestionOrder { algorithm: Algorithm::CUBIC, trial: None, trigger: Trigger::Cli };
        pair.here.set_congestion(order).await.unwrap();
        let report = report(&pair.here).await;
        assert_eq!((report.algorithm, report.is_chosen, report.is_on_trial), (Algorithm::CUBIC, true, false));
        let [first, second] = report.changes.as_slice() else { panic!("{:?}", report.changes) };
        assert_eq!((first.from, first.to, first.trigger), (Algorithm::CUBIC, Algorithm::NEW_RENO, Trigger::Library));
        assert_eq!((second.to, second.trigger), (Algorithm::CUBIC, Trigger::Cli));
        assert!(first.window_after == first.window_before && first.at < second.at && second.at <= report.now);
        assert!(first.before.goodput > 0 && first.after.goodput == second.before.goodput, "{first:?} {second:?}");
        pair.here.close(0, b"");
        accepting.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_trial_is_judged_and_a_shadow_only_watches() {
    within(async {
        let pair = Pair::new().await;
        let accepting = tokio::spawn(echo(pair.there.clone()));
        pair.here.set_shadow_congestion(Some(Algorithm::NEW_RENO));
        let bounds = TrialBounds { period: Duration::from_millis(100), least_goodput: 0, most_loss_rise: 1_000_000 };
        let order = CongestionOrder { algorithm: Algorithm::NEW_RENO, trial: Some(bounds), trigger: Trigger::Library };
        assert!(pair.here.set_congestion(order).await.unwrap().on_trial);
        assert!(report(&pair.here).await.is_on_trial);
        let judged = loop {
            echoed(&pair.here, 1, 300_000).await.unwrap();
            let report = report(&pair.here).await;
            if !report.is_on_trial {
                break report;
            }
        };
        let verdict = judged.changes[0].verdict.unwrap();
        assert!(!verdict.is_rollback(), "{verdict}");
        assert_eq!(judged.algorithm, Algorithm::NEW_RENO);
        let trials = "quicast_congestion_trials_total";
        eventually("the trial to be counted", || pair.client.metrics().sum(trials) == Some(1.0)).await;
        let shadow = judged.shadow.unwrap();
        assert_eq!(shadow.algorithm, Algorithm::NEW_RENO);
        assert!(shadow.window.congestion_window >= 2400);
        pair.here.set_shadow_congestion(None);
        assert!(report(&pair.here).await.shadow.is_none());
        pair.here.close(0, b"");
        accepting.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn rules_decide_when_the_handshake_is_complete_and_live_when_they_change() {
    within(async {
        let pair = Pair::new().await;
        let accepting = tokio::spawn(echo(pair.there.clone()));
        let of_client = rules(&[
            ("other", "alpn=nothing", Algorithm::CUBIC),
            ("mine", "role=client,cidr=127.0.0.0/8,rtt=..10s", Algorithm::NEW_RENO),
        ]);
        // Not live: what is there stays.
        pair.client.set_congestion_rules(of_client.clone(), false);
        echoed(&pair.here, 1, 10_000).await.unwrap();
        assert_eq!(report(&pair.here).await.algorithm, Algorithm::CUBIC);
        let (another, incoming) = tokio::join!(pair.client.connect(pair.server.local_addr(), "localhost"), async {
            pair.server.accept().await.unwrap().accept().unwrap().await.unwrap()
        });
        let another = another.unwrap();
        let more = tokio::spawn(echo(incoming));
        let report_of_new = has(&another, Algorithm::NEW_RENO).await;
        assert_eq!(report_of_new.changes[0].trigger, Trigger::Config);
        assert!(!report_of_new.is_chosen);
        // Live: what is there follows.
        let before = pair.client.set_congestion_rules(of_client.clone(), true);
        assert_eq!(*before, of_client);
        has(&pair.here, Algorithm::NEW_RENO).await;
        // A choice holds against them until it is given up.
        pair.here.set_congestion(Algorithm::CUBIC).await.unwrap();
        pair.client.set_congestion_rules(of_client, true);
        echoed(&pair.here, 1, 100_000).await.unwrap();
        assert_eq!(report(&pair.here).await.algorithm, Algorithm::CUBIC);
        pair.here.clear_congestion_choice();
        assert!(!has(&pair.here, Algorithm::NEW_RENO).await.is_chosen);
        pair.client.set_congestion_rules(rules(&[]), true);
        has(&pair.here, Algorithm::CUBIC).await;
        has(&another, Algorithm::CUBIC).await;
        pair.here.close(0, b"");
        another.close(0, b"");
        accepting.await.unwrap();
        more.await.unwrap();
    })
    .await;
}

/// NewReno that panics where its parameter says.
#[derive(Debug)]
struct Mortal {
    inner: NewReno,
    turns: u64,
}

#[derive(Debug)]
struct MortalFactory;

static MORTAL: MortalFactory = MortalFactory;

impl Factory for MortalFactory {
    fn name(&self) -> &'static str {
        "mortal"
    }

    fn about(&self) -> &'static str {
        "panics after some turns"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const TURNS: Parameter = Parameter {
            name: "turns",
            about: "how many turns it takes in; none: it panics when it is started",
            unit: Unit::Count,
            least: 0,
            most: 1_000_000,
            default: 1_000_000,
        };
        &[TURNS]
    }

    fn start(&self, parameters: &Parameters, conditions: &InitialConditions) -> Box<dyn Controller> {
        Box::new(Mortal { inner: NewReno::new(conditions, &Parameters::default()), turns: parameters.get(0) })
    }

    fn start_from(&self, parameters: &Parameters, snapshot: &Snapshot, now: codec::Time) -> Box<dyn Controller> {
        assert!(parameters.get(0) > 0, "as asked");
        let inner = NewReno::from_snapshot(snapshot, now, &Parameters::default());
        Box::new(Mortal { inner, turns: parameters.get(0) })
    }
}

impl Controller for Mortal {
    fn name(&self) -> &'static str {
        "mortal"
    }

    fn state(&self) -> &'static str {
        self.inner.state()
    }

    fn on_observed(&mut self, observed: &Observed) -> Window {
        self.turns = self.turns.checked_sub(1).expect("as asked");
        self.inner.on_observed(observed)
    }

    fn window(&self) -> Window {
        self.inner.window()
    }

    fn snapshot(&self, now: codec::Time) -> Snapshot {
        Snapshot { controller: "mortal", ..self.inner.snapshot(now) }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        self.inner.on_datagram_size(datagram_size)
    }
}

#[tokio::test]
async fn a_controller_of_ones_own_is_asked_for_by_name_and_replaced_when_it_panics() {
    within(async {
        let client =
            quicast::Endpoint::builder().listen(LOCALHOST).client_config(client_tls()).congestion_controller(&MORTAL);
        let client = client.start().unwrap();
        let server = server().start().unwrap();
        let accepting = tokio::spawn(accept_and_echo(server.clone()));
        let here = client.connect(server.local_addr(), "localhost").await.unwrap();
        let named = |text: &str| client.algorithms().find(text).unwrap();
        here.set_congestion(named("Mortal")).await.unwrap();
        echoed(&here, 1, 1_000_000).await.unwrap();
        assert_eq!(report(&here).await.algorithm.name(), "mortal");
        // One that cannot even be started changes nothing.
        let refused = here.set_congestion(named("mortal:turns=0")).await;
        assert_eq!(refused.unwrap_err(), SetCongestionError::Failed);
        echoed(&here, 2, 1_000_000).await.unwrap();
        assert_eq!(report(&here).await.algorithm.to_string(), "mortal");
        // One that panics in mid-transfer gives way to NewReno; no byte is lost.
        here.set_congestion(named("mortal:turns=20")).await.unwrap();
        let after = has(&here, Algorithm::NEW_RENO).await;
        echoed(&here, 3, 5_000_000).await.unwrap();
        let last = after.changes.last().unwrap();
        assert_eq!((last.from.to_string(), last.trigger), ("mortal:turns=20".to_owned(), Trigger::Panic));
        assert_eq!(panics(client.metrics()), [("congestion", 1.0)]);
        // And a shadow that panics is forgotten.
        here.set_shadow_congestion(Some(named("mortal:turns=5")));
        while report(&here).await.shadow.is_some() {
            echoed(&here, 4, 500_000).await.unwrap();
        }
        // Rules that changed while one was refused are looked at afterwards.
        here.clear_congestion_choice();
        has(&here, Algorithm::CUBIC).await;
        let (refused, ()) = tokio::join!(here.set_congestion(named("mortal:turns=0")), async {
            client.set_congestion_rules(rules(&[("all", "", Algorithm::NEW_RENO)]), true);
        });
        assert_eq!(refused.unwrap_err(), SetCongestionError::Failed);
        has(&here, Algorithm::NEW_RENO).await;
        here.close(0, b"");
        accepting.abort();
    })
    .await;
}

#[test]
fn a_controller_whose_name_is_taken_cannot_be_added() {
    #[derive(Debug)]
    struct Taken;
    impl Factory for Taken {
        fn name(&self) -> &'static str {
            "cubic"
        }
        fn about(&self) -> &'static str {
            "not the one"
        }
        fn start(&self, _: &Parameters, conditions: &InitialConditions) -> Box<dyn Controller> {
            Algorithm::CUBIC.start(conditions)
        }
        fn start_from(&self, _: &Parameters, snapshot: &Snapshot, now: codec::Time) -> Box<dyn Controller> {
            Algorithm::CUBIC.start_from(snapshot, now)
        }
    }
    static TAKEN: Taken = Taken;
    let refused = quicast::Endpoint::builder().listen(LOCALHOST).congestion_controller(&TAKEN).start().unwrap_err();
    assert_eq!(refused.to_string(), "a controller is named \"cubic\" already");
}
