//! [`Registry`]: the algorithms that can be asked for, those of this crate and those of its user.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::name::{self, UnknownName};
use super::{Algorithm, Factory, MAXIMUM_PARAMETERS, Parameter};

/// A registry holds no more algorithms than this.
const MAXIMUM_ALGORITHMS: usize = 64;

/// The algorithms that can be asked for by name.
#[derive(Clone, Debug)]
pub struct Registry {
    algorithms: Vec<Algorithm>,
}

impl Default for Registry {
    /// Those that come with this crate.
    fn default() -> Self {
        Self { algorithms: Algorithm::ALL.to_vec() }
    }
}

impl Registry {
    /// Adds one.
    ///
    /// # Errors
    /// The name is taken or no name, the parameters are too many or their bounds make no sense, or the registry is full.
    pub fn register(&mut self, factory: &'static dyn Factory) -> Result<Algorithm, RegisterError> {
        let name = factory.name();
        let is_label = |name: &str| {
            let allowed = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
            !name.is_empty() && name.len() <= 32 && name.bytes().all(allowed)
        };
        if !is_label(name) {
            return Err(RegisterError::NotAName(name));
        }
        if self.algorithms.iter().any(|known| name::fold(known.name()) == name::fold(name)) {
            return Err(RegisterError::NameTaken(name));
        }
        let parameters = factory.parameters();
        let sound = |parameter: &Parameter| {
            is_label(parameter.name) && (parameter.least..=parameter.most).contains(&parameter.default)
        };
        if parameters.len() > MAXIMUM_PARAMETERS || !parameters.iter().all(sound) {
            return Err(RegisterError::BadParameters(name));
        }
        if self.algorithms.len() >= MAXIMUM_ALGORITHMS {
            return Err(RegisterError::Full);
        }
        let algorithm = Algorithm::of(factory);
        self.algorithms.push(algorithm);
        Ok(algorithm)
    }

    /// All of them, in the order they are listed to people, each parameter at its default.
    pub fn all(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// The algorithm of this name, or of this name with parameters: `cubic`, `fixed:window=64000`. In names, upper and lower
    /// case, `-` and `_` make no difference; `reno` is `newreno`.
    ///
    /// # Errors
    /// What of it is unknown or wrong, and what would be right.
    pub fn find(&self, text: &str) -> Result<Algorithm, AlgorithmError> {
        let (asked, parameters) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let folded = name::fold(asked);
        let wanted = if folded == "reno" { "newreno" } else { folded.as_str() };
        let found = self.algorithms.iter().find(|algorithm| name::fold(algorithm.name()) == wanted);
        let Some(mut algorithm) = found.copied() else {
            let names = self.algorithms.iter().map(Algorithm::name);
            return Err(AlgorithmError::Unknown(UnknownName::new("congestion controller", asked, names)));
        };
        for pair in parameters.into_iter().flat_map(|parameters| parameters.split(',')) {
            let (parameter, value) = pair.split_once('=').ok_or_else(|| AlgorithmError::NotAPair {
                algorithm: algorithm.name(),
                asked: pair.chars().take(40).collect(),
            })?;
            algorithm = algorithm.with(parameter, value)?;
        }
        Ok(algorithm)
    }
}

/// Why what was asked for is not to be had; the text says what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AlgorithmError {
    /// There is no algorithm of that name.
    Unknown(UnknownName),
    /// The algorithm has no parameter of that name.
    UnknownParameter {
        /// The algorithm.
        algorithm: &'static str,
        /// What was asked for, and what there is.
        name: UnknownName,
    },
    /// The value is out of the parameter's range, or no value.
    BadValue {
        /// The algorithm.
        algorithm: &'static str,
        /// The parameter.
        parameter: Parameter,
        /// What was asked for.
        asked: String,
    },
    /// Parameters are written `name=value`, separated by commas.
    NotAPair {
        /// The algorithm.
        algorithm: &'static str,
        /// What was written.
        asked: String,
    },
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => name.fmt(f),
            Self::UnknownParameter { algorithm, name } => write!(f, "{algorithm}: {name}"),
            Self::BadValue { algorithm, parameter, asked } => {
                let (least, most) = (parameter.show(parameter.least), parameter.show(parameter.most));
                let Parameter { name, default, unit, .. } = parameter;
                let unit = unit.name();
                write!(f, "{algorithm}: {name} may not be {asked:?}: ")?;
                write!(f, "it is a {unit} from {least} to {most}, by default {}", parameter.show(*default))
            }
            Self::NotAPair { algorithm, asked } => {
                write!(f, "{algorithm}: {asked:?} is not a parameter; write NAME=VALUE[,NAME=VALUE]")
            }
        }
    }
}

impl core::error::Error for AlgorithmError {}

/// Why a controller was not registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegisterError {
    /// A name is 1 to 32 lower-case letters, digits and `_`.
    NotAName(&'static str),
    /// There is an algorithm of that name, or of one that reads the same.
    NameTaken(&'static str),
    /// Too many parameters, a parameter without a proper name, or a default outside its own range.
    BadParameters(&'static str),
    /// The registry is full.
    Full,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAName(name) => {
                write!(f, "{name:?} cannot name a controller: use 1 to 32 lower-case letters, digits and \"_\"")
            }
            Self::NameTaken(name) => write!(f, "a controller is named {name:?} already"),
            Self::BadParameters(name) => write!(
                f,
                "the parameters of {name:?} are not sound: at most {MAXIMUM_PARAMETERS}, each with a name of lower-case \
                 letters, digits and \"_\" and a default within its range"
            ),
            Self::Full => write!(f, "there are {MAXIMUM_ALGORITHMS} controllers already, and no room for more"),
        }
    }
}

impl core::error::Error for RegisterError {}
