//! What every [`Controller`] has to keep, as a check that any can be run through.
