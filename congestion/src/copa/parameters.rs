//! What of Copa can be set.

use crate::{Parameter, Unit};

pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "delta",
        about: "how much delay costs against throughput: 1/delta packets of each flow wait in the queue",
        unit: Unit::Thousandths,
        least: 5,
        most: 4000,
        default: 500,
    },
    Parameter {
        name: "competitive",
        about: "whether delta is lowered while somebody else keeps the queue full",
        unit: Unit::Switch,
        least: 0,
        most: 1,
        default: 1,
    },
    Parameter {
        name: "noise",
        about: "microseconds of delay that hosts and timers make, and that are not taken for a queue",
        unit: Unit::Count,
        least: 0,
        most: 100_000,
        default: 100,
    },
    Parameter {
        name: "tolerated_loss",
        about: "the share of a round's packets whose loss is taken for chance; more halves the window",
        unit: Unit::Thousandths,
        least: 0,
        most: 1000,
        default: 150,
    },
];
