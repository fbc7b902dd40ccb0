//! The algorithms that come with this crate.

use alloc::boxed::Box;

use codec::Time;

use super::{Algorithm, Factory, InitialConditions, Parameter, Parameters};
use crate::{Bbr, Controller, Copa, Cubic, Fixed, Ledbat, NewReno, Pcc, Prague, Snapshot};

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
    BBR = BbrFactory makes Bbr,
        "BBRv3: paces at the rate the path delivers and keeps queues short; fast where packets are lost at random";
    PCC = PccFactory makes Pcc,
        "PCC Vivace: learns the rate that is worth most by trying; takes random loss for what it is, keeps queues short";
    COPA = CopaFactory makes Copa,
        "Copa: aims at a queue of two packets for each flow, holds its own where others fill the queue; for low delay";
    PRAGUE = PragueFactory makes Prague,
        "Prague: low latency where the network has L4S queues (ECT(1), RFC 9331); where it has not, CUBIC";
    LEDBAT = LedbatFactory makes Ledbat,
        "LEDBAT++: for background transfers; gives way to all others, keeps the queue at 60 ms";
    FIXED = FixedFactory makes Fixed,
        "a constant window, for tests and measurements only: it answers to no congestion; not for the Internet";
}
