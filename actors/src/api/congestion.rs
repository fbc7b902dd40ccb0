//! What applications may say and know of congestion controllers.

use ::congestion::{Algorithm, Change, Events, Rates, Window};
use codec::Time;

/// Why the congestion controller was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SetCongestionError {
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
    /// Another change has not finished.
    #[error("another change of the congestion controller is under way")]
    Busy,
    /// The new controller panicked when it was started; the present one goes on.
    #[error("the new congestion controller failed when it was started; the present one goes on")]
    Failed,
}

/// How things are with the congestion controller of a connection.
#[derive(Clone, Debug)]
pub struct CongestionReport {
    /// When this was said, on the clock of [`Change::at`].
    pub now: Time,
    /// The controller.
    pub algorithm: Algorithm,
    /// Whether a person or the application chose it, so that rules do not apply.
    pub is_chosen: bool,
    /// Whether it is on trial.
    pub is_on_trial: bool,
    /// What it is doing.
    pub state: &'static str,
    /// Its window.
    pub window: Window,
    /// What it achieved lately.
    pub rates: Rates,
    /// The last changes, oldest first, at most 16.
    pub changes: Vec<Change>,
    /// The controller that only watches.
    pub shadow: Option<ShadowReport>,
}

/// What a controller that only watches would do.
#[derive(Clone, Copy, Debug)]
pub struct ShadowReport {
    /// Which it is.
    pub algorithm: Algorithm,
    /// What it would be doing.
    pub state: &'static str,
    /// The window that it would have.
    pub window: Window,
    /// How often it would have changed its window out of turn, since it watches.
    pub events: Events,
}
