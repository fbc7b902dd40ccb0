//! [`Algorithm`]: a controller that can be asked for by name, with its parameters.

mod built_in;
mod name;
mod parameter;
mod registry;

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use codec::Time;

use crate::window::{MAXIMUM_WINDOW, initial_window, minimum_window};
use crate::{Controller, Snapshot};

pub use name::UnknownName;
pub use parameter::{MAXIMUM_PARAMETERS, Parameter, Parameters, Unit};
pub use registry::{AlgorithmError, RegisterError, Registry};

/// Makes controllers of one kind. Who implements it for a controller of their own and registers it ([`Registry::register`])
/// can ask for it wherever an algorithm is asked for: in the library, on the command line, over HTTP.
pub trait Factory: fmt::Debug + Send + Sync {
    /// The name it is asked for by, which the [`Controller`]s say too: lower-case letters, digits and `_`.
    fn name(&self) -> &'static str;

    /// One line for people who choose.
    fn about(&self) -> &'static str;

    /// What can be set, at most [`MAXIMUM_PARAMETERS`]; the values come in the same order.
    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    /// Starts on a new path.
    fn start(&self, parameters: &Parameters, conditions: &InitialConditions) -> Box<dyn Controller>;

    /// Goes on from where another controller is: with its window, in congestion avoidance unless it was in slow start itself,
    /// and respecting a recovery period that is under way.
    fn start_from(&self, parameters: &Parameters, snapshot: &Snapshot, now: Time) -> Box<dyn Controller>;
}

/// A controller that can be asked for by name, with the values of its parameters.
///
/// As text: the name, or the name and parameters: `fixed:window=64000`.
#[derive(Clone, Copy, Debug)]
pub struct Algorithm {
    factory: &'static dyn Factory,
    parameters: Parameters,
}

/// What a path is known to be before anything was sent on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct InitialConditions {
    /// The maximum datagram size in bytes.
    pub datagram_size: u16,
    /// The window to begin with, in bytes; `None` is RFC 9002's ten datagrams.
    pub initial_window: Option<u64>,
    /// The moment.
    pub now: Time,
    /// What a controller that draws lots draws them from. Flows that share a link should not share it.
    pub seed: u64,
}

impl InitialConditions {
    /// The window to begin with, in bytes: what is asked for or RFC 9002's, never below the minimum.
    pub fn window(&self) -> u64 {
        let asked = self.initial_window.unwrap_or_else(|| initial_window(self.datagram_size));
        asked.clamp(minimum_window(self.datagram_size), MAXIMUM_WINDOW)
    }
}

impl Algorithm {
    /// What this factory makes, with the default of each parameter.
    pub fn of(factory: &'static dyn Factory) -> Self {
        Self { factory, parameters: Parameters::defaults(factory.parameters()) }
    }

    /// The name it is asked for by.
    pub fn name(&self) -> &'static str {
        self.factory.name()
    }

    /// One line for people who choose.
    pub fn about(&self) -> &'static str {
        self.factory.about()
    }

    /// What can be set, and what it is set to here.
    pub fn describe(&self) -> impl ExactSizeIterator<Item = (&'static Parameter, u64)> {
        self.factory.parameters().iter().zip(self.parameters.values())
    }

    /// The values of its parameters.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The same with one parameter set, to what the text says in the parameter's [`Unit`].
    ///
    /// # Errors
    /// There is no such parameter, or the value is out of its range or no value at all; with what would be right.
    pub fn with(mut self, parameter: &str, value: &str) -> Result<Self, AlgorithmError> {
        let parameters = self.factory.parameters();
        let (place, found) = parameter::find(self.name(), parameters, parameter)?;
        self.parameters.set(place, found.parse(self.name(), value)?);
        Ok(self)
    }

    /// Starts on a new path, in slow start.
    pub fn start(&self, conditions: &InitialConditions) -> Box<dyn Controller> {
        self.factory.start(&self.parameters, conditions)
    }

    /// Goes on from where another controller is: with its window, in congestion avoidance unless it was in slow start itself,
    /// and respecting a recovery period that is under way.
    pub fn start_from(&self, snapshot: &Snapshot, now: Time) -> Box<dyn Controller> {
        self.factory.start_from(&self.parameters, snapshot, now)
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::CUBIC
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.parameters == other.parameters
    }
}

impl Eq for Algorithm {}

impl Hash for Algorithm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
        self.parameters.hash(state);
    }
}

impl fmt::Display for Algorithm {
    /// The name, and the parameters that are not at their default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let changed = self.describe().filter(|(parameter, value)| *value != parameter.default);
        for (index, (parameter, value)) in changed.enumerate() {
            let before = if index == 0 { ":" } else { "," };
            write!(f, "{before}{}={}", parameter.name, parameter.show(value))?;
        }
        Ok(())
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    /// One of those that come with this crate; see [`Registry::find`].
    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        Registry::default().find(text)
    }
}

#[cfg(test)]
mod tests;
