//! A controller on trial over a link that loses: it gives way where it does worse than the one before, and stays where it
//! does not.

use std::time::Duration;

use codec::Side;
use congestion::{Algorithm, Change, Order, TrialBounds, Trigger, Verdict};
use quicast_tests::{Application, Conditions, Network, Plan, Settings, Weather, for_seeds};
use transport::Config;

const SEEDS: u64 = 4;
const SECOND: Duration = Duration::from_secs(1);

/// 20 Mbit/s and 40 ms, of which one packet in a hundred is lost for no reason: who takes that for congestion gets a sixth
/// (RFC 9438 §5.1).
fn lossy() -> Conditions {
    Conditions { bandwidth: 2_500_000, delay: Duration::from_millis(20), queue: 90, loss: 10, ..Conditions::default() }
}

/// An upload by `before`, which after ten seconds tries `tried` for five; then ten seconds more. Returns the changes, and
/// the bytes that the server got in the last five.
fn tried(seed: u64, conditions: Conditions, before: Algorithm, tried: Algorithm) -> (Vec<Change>, u64) {
    let client = Config { congestion: before, ..Config::default() };
    let settings = Settings::with(seed, client, Config::default());
    let application = Application::planned(Side::Client, Plan::one_way(1, 100_000_000));
    let mut network = Network::new(&settings, conditions, Weather::default(), application);
    network.run(10 * SECOND, |_| false);
    let bounds = TrialBounds { period: 5 * SECOND, ..TrialBounds::default() };
    let now = network.now;
    network.client().swap(now, Order { algorithm: tried, trial: Some(bounds), trigger: Trigger::Cli });
    network.run(10 * SECOND, |_| false);
    let received = network.server().application.received;
    network.run(5 * SECOND, |_| false);
    let received = network.server().application.received - received;
    (network.client().chronicle.changes().collect(), received)
}

#[test]
fn a_controller_that_does_worse_gives_way_to_the_one_before() {
    for_seeds(SEEDS, |seed| {
        for worse in [Algorithm::NEW_RENO, Algorithm::CUBIC, Algorithm::LEDBAT] {
            let (changes, received) = tried(seed, lossy(), Algorithm::BBR, worse);
            let [trial, rollback] = changes.as_slice() else { panic!("{worse}: {changes:?}") };
            assert_eq!((trial.to, trial.verdict), (worse, Some(Verdict::GoodputFell)), "{trial:?}");
            assert_eq!((rollback.to, rollback.trigger), (Algorithm::BBR, Trigger::Rollback));
            // Not before the trial is over, and soon after.
            let lasted = rollback.at - trial.at;
            assert!(lasted >= 5 * SECOND && lasted < 6 * SECOND, "{lasted:?}");
            // And the one before does again what it did.
            let share = received as f64 / (5.0 * trial.before.goodput as f64);
            assert!(share > 0.7, "{worse}: {share}");
        }
    });
}

#[test]
fn a_controller_that_does_better_stays() {
    for_seeds(SEEDS, |seed| {
        for before in [Algorithm::NEW_RENO, Algorithm::CUBIC] {
            let (changes, received) = tried(seed, lossy(), before, Algorithm::BBR);
            let [trial] = changes.as_slice() else { panic!("{before}: {changes:?}") };
            assert_eq!(trial.verdict, Some(Verdict::Kept), "{before}: {trial:?}");
            // It looks for what there is by a quarter more every few round trips; it does not start anew.
            assert!(10 * received > 11 * 5 * trial.before.goodput, "{before}: {received} {trial:?}");
        }
    });
}

#[test]
fn a_controller_that_does_as_well_stays() {
    for_seeds(SEEDS, |seed| {
        let clean = Conditions { loss: 0, ..lossy() };
        for (before, after) in [(Algorithm::CUBIC, Algorithm::BBR), (Algorithm::BBR, Algorithm::CUBIC)] {
            let (changes, _) = tried(seed, clean, before, after);
            let [trial] = changes.as_slice() else { panic!("{before} to {after}: {changes:?}") };
            assert_eq!(trial.verdict, Some(Verdict::Kept), "{before} to {after}: {trial:?}");
        }
    });
}
