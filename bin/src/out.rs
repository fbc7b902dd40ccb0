//! What the command prints: results on standard output, everything else on standard error.
//!
//! A reader that has gone away (`quicast … | head`) is nobody's failure: what cannot be written is not written.

use std::fmt::Display;
use std::io::Write as _;

/// A line of the command's result, on standard output.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

/// A line for whoever watches, on standard error.
pub(crate) fn note(text: impl Display) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}
