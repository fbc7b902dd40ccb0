//! What of PCC can be set.

use crate::{Parameter, Unit};

pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "exponent",
        about: "t of the utility x^t - b x dRTT/dT - c x L: how much a higher rate x is worth",
        unit: Unit::Thousandths,
        least: 100,
        most: 999,
        default: 900,
    },
    Parameter {
        name: "delay_coefficient",
        about: "b of the utility: how much a growing RTT costs; 0 ignores delay (Vivace-Loss)",
        unit: Unit::Thousandths,
        least: 0,
        most: 100_000_000,
        default: 900_000,
    },
    Parameter {
        name: "loss_coefficient",
        about: "c of the utility: how much loss costs; 11.35 takes up to 5 % at 100 Mbit/s for random",
        unit: Unit::Thousandths,
        least: 1000,
        most: 1_000_000,
        default: 11_350,
    },
    Parameter {
        name: "gradient_threshold",
        about: "an RTT that grows by less than this, in seconds a second, does not count",
        unit: Unit::Thousandths,
        least: 0,
        most: 1000,
        default: 10,
    },
    Parameter {
        name: "epsilon",
        about: "how far from its rate a trial is",
        unit: Unit::Thousandths,
        least: 10,
        most: 250,
        default: 50,
    },
    Parameter {
        name: "step",
        about: "Mbit/s that a first step at one Mbit/s makes for a utility gradient of one; it grows with the root of the rate",
        unit: Unit::Thousandths,
        least: 1,
        most: 1000,
        default: 30,
    },
];
