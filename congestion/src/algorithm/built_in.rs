//! The algorithms that come with this crate.

use alloc::boxed::Box;

use codec::Time;

use super::{Algorithm, Factory, InitialConditions, Parameter, Parameters};
use crate::{Controller, Cubic, Fixed, Ledbat, NewReno, Prague, Snapshot};

/// Makes the factory of one algorithm, and the constant that it is asked for by in code.
macro_rules! built_in {
    ($($constant:ident = $factory:ident makes $controller:ident, $about:literal;)*) => {
        $(
            #[derive(Debug)]
            struct $factory;

            impl Factory for $factory {
                fn name(&self) -> &'static str {
                    $controller::NAME
                }

                fn about(&self) -> &'static str {
                    $about
                }

                fn parameters(&self) -> &'static [Parameter] {
                    $controller::PARAMETERS
                }

                fn start(&self, parameters: &Parameters, conditions: &InitialConditions) -> Box<dyn Controller> {
                    Box::new($controller::new(conditions, parameters))
                }

                fn start_from(&self, parameters: &Parameters, snapshot: &Snapshot, now: Time) -> Box<dyn Controller> {
                    Box::new($controller::from_snapshot(snapshot, now, parameters))
                }
            }
        )*

        impl Algorithm {
            $(
                #[doc = $about]
                pub const $constant: Self =
                    Self { factory: &$factory, parameters: Parameters::defaults($controller::PARAMETERS) };
            )*

            /// All that come with this crate, in the order they are listed to people.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$constant,)*];

            const COUNT: usize = [$(stringify!($constant),)*].len();
        }
    };
}

built_in! {
    NEW_RENO = NewRenoFactory makes NewReno,
        "RFC 9002 NewReno: one datagram more each round trip, half on loss; the simplest, for comparison";
    CUBIC = CubicFactory makes Cubic,
        "RFC 9438 CUBIC with HyStart++: the default; fast again after a loss, fair to other CUBIC and Reno flows";
    PRAGUE = PragueFactory makes Prague,
        "Prague: low latency where the network has L4S queues (ECT(1), RFC 9331); where it has not, CUBIC";
    LEDBAT = LedbatFactory makes Ledbat,
        "LEDBAT++: for background transfers; gives way to all others, keeps the queue at 60 ms";
    FIXED = FixedFactory makes Fixed,
        "a constant window, for tests and measurements only: it answers to no congestion; not for the Internet";
}
