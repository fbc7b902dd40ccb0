//! [`Shadow`]: a controller that only watches.

use std::rc::Rc;

use ::congestion::{Algorithm, Controller, Observed, Snapshot};
use codec::Time;
use telemetry::labels;

use crate::api::congestion::ShadowReport;
use crate::guard::Guarded;
use crate::meter::Meter;

/// A controller that hears what the real one hears, and only says what it would do. If it panics, it is forgotten.
#[derive(Debug)]
pub(crate) struct Shadow {
    algorithm: Algorithm,
    controller: Guarded<Box<dyn Controller>>,
    label: labels::Algorithm,
    report: ShadowReport,
}

impl Shadow {
    /// Starts from what the real controller knows; `None` if it panics over it.
    pub(super) fn start(algorithm: Algorithm, snapshot: &Snapshot, now: Time) -> Option<Self> {
        let started = Guarded::new(()).run(|()| {
            let controller = algorithm.start_from(snapshot, now);
            let report = report(algorithm, controller.as_ref());
            (controller, report)
        });
        let (controller, report) = started.ok()?;
        let label = labels::Algorithm::of(algorithm.name());
        Some(Self { algorithm, controller: Guarded::new(controller), label, report })
    }

    /// Takes in one turn, and counts if it is time. False if the controller panicked.
    pub(super) fn observe(&mut self, observed: &Observed, meter: Option<&Rc<Meter>>) -> bool {
        let algorithm = self.algorithm;
        let told = self.controller.run(|controller| {
            controller.on_observed(observed);
            report(algorithm, controller.as_ref())
        });
        let Ok(report) = told else {
            tracing::error!(controller = algorithm.name(), "a shadow congestion controller panicked");
            return false;
        };
        self.report = report;
        if let Some(meter) = meter {
            meter.metrics().congestion.shadow_window[self.label].record_size(report.window.congestion_window);
        }
        true
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) const fn report(&self) -> ShadowReport {
        self.report
    }
}

fn report(algorithm: Algorithm, controller: &dyn Controller) -> ShadowReport {
    ShadowReport { algorithm, state: controller.state(), window: controller.window(), events: controller.events() }
}
