//! The cases, a file for each layer.

mod pair;

use crate::Case;

/// All of them, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [pair::CASES].into_iter().flatten()
}
