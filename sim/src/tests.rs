//! The simulator against what is known without it.

use std::time::Duration;

use congestion::Algorithm;

use crate::{Flow, Link, Scenario, megabits};

#[test]
fn a_link_is_filled() {
    for algorithm in Algorithm::ALL {
        let link = Link::new(megabits(50), Duration::from_millis(50));
        let report = Scenario::new(link).with(Flow::new(algorithm)).lasting(Duration::from_secs(20)).run();
        report.verify().unwrap();
        let used = report.utilisation_between(Duration::from_secs(5), Duration::from_secs(20));
        assert!(used > 0.95, "{algorithm}: {used}");
    }
}
