//! What the tests share: a controller whose window is constant.

use std::time::Duration;

use codec::Time;
use congestion::{
    Algorithm, Controller, Factory, InitialConditions, Marking, Observed, Parameter, Parameters, Snapshot, Unit, Window,
};

use crate::{Flow, Link, Report, Scenario};

/// A constant window, whatever happens: what a simulation of it must come to is plain arithmetic.
#[derive(Debug)]
struct Constant {
    window: Window,
    marking: Marking,
}

#[derive(Debug)]
struct ConstantFactory(Marking);

const WINDOW: Parameter = Parameter {
    name: "window",
    about: "bytes in flight",
    unit: Unit::Bytes,
    least: 0,
    most: u64::MAX,
    default: 100_000,
};
const RATE: Parameter =
    Parameter { name: "rate", about: "pacing rate", unit: Unit::BytesPerSecond, default: 0, ..WINDOW };

impl ConstantFactory {
    fn make(&self, parameters: &Parameters) -> Box<dyn Controller> {
        let (congestion_window, pacing_rate) = (parameters.get(0), parameters.get(1));
        Box::new(Constant { window: Window { congestion_window, pacing_rate, quantum: 1_452 }, marking: self.0 })
    }
}

impl Factory for ConstantFactory {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn about(&self) -> &'static str {
        "a constant window"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[WINDOW, RATE]
    }

    fn start(&self, parameters: &Parameters, _: &InitialConditions) -> Box<dyn Controller> {
        self.make(parameters)
    }

    fn start_from(&self, parameters: &Parameters, _: &Snapshot, _: Time) -> Box<dyn Controller> {
        self.make(parameters)
    }
}

impl Controller for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn state(&self) -> &'static str {
        "congestion_avoidance"
    }

    fn on_observed(&mut self, _: &Observed) -> Window {
        self.window
    }

    fn window(&self) -> Window {
        self.window
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot { taken_at: now, congestion_window: self.window.congestion_window, ..Snapshot::default() }
    }

    fn on_datagram_size(&mut self, _: u16) -> Window {
        self.window
    }

    fn marking(&self) -> Marking {
        self.marking
    }
}

pub(super) fn constant(window: u64) -> Algorithm {
    Algorithm::of(&ConstantFactory(Marking::Classic)).with("window", &window.to_string()).unwrap()
}

pub(super) fn constant_rate(window: u64, rate: u64) -> Algorithm {
    constant(window).with("rate", &rate.to_string()).unwrap()
}

pub(super) fn scalable_rate(window: u64, rate: u64) -> Algorithm {
    let scalable = Algorithm::of(&ConstantFactory(Marking::Scalable));
    scalable.with("window", &window.to_string()).unwrap().with("rate", &rate.to_string()).unwrap()
}

pub(super) const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A flow alone for some seconds; nothing may be wrong with it.
pub(super) fn alone(link: Link, flow: Flow, for_: Duration) -> Report {
    let report = Scenario::new(link).with(flow).lasting(for_).run();
    report.verify().unwrap();
    report
}
