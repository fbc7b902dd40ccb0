//! [`Velocity`]: how many times the least step the window moves, and which way (section 2.1).

/// For so many windows in one direction the velocity stays one.
const STEADY_WINDOWS: u32 = 3;
/// No velocity is higher: the window's own size limits the step long before.
const MAXIMUM_VELOCITY: u64 = 1 << 32;

/// Where the window has been going, window by window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Velocity {
    value: u64,
    up: Option<bool>,
    /// Windows in that direction.
    windows: u32,
    /// The window when the current one began, in bytes.
    before: u64,
}

impl Velocity {
    pub(super) const fn new(window: u64) -> Self {
        Self { value: 1, up: None, windows: 0, before: window }
    }

    /// For a step in this direction. Against the direction of the last window it is one, so that no speed is kept across a turn.
    pub(super) fn for_step(&self, up: bool) -> u64 {
        if self.up == Some(up) { self.value } else { 1 }
    }

    /// A round trip ended with this window: twice the velocity, if it went the same way for more than three.
    pub(super) fn on_round(&mut self, window: u64) {
        let up = window > self.before;
        if self.up == Some(up) && window != self.before {
            self.windows = self.windows.saturating_add(1);
            if self.windows > STEADY_WINDOWS {
                self.value = self.value.saturating_mul(2).min(MAXIMUM_VELOCITY);
            }
        } else {
            (self.value, self.up, self.windows) = (1, Some(up), 1);
        }
        self.before = window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_after_three_windows_in_one_direction() {
        let mut velocity = Velocity::new(100);
        let ups: std::vec::Vec<u64> = (1..=6)
            .map(|window| {
                velocity.on_round(100 + window);
                velocity.for_step(true)
            })
            .collect();
        assert_eq!(ups, [1, 1, 1, 2, 4, 8]);
    }

    #[test]
    fn another_direction_or_none_begins_with_one() {
        let mut velocity = Velocity::new(100);
        for window in 101..110 {
            velocity.on_round(window);
        }
        assert_eq!((velocity.for_step(true), velocity.for_step(false)), (64, 1));
        velocity.on_round(108);
        assert_eq!((velocity.for_step(true), velocity.for_step(false)), (1, 1));
        for window in (90..108).rev() {
            velocity.on_round(window);
        }
        assert!(velocity.for_step(false) > 1000);
        velocity.on_round(90);
        assert_eq!(velocity.for_step(false), 1);
    }

    #[test]
    fn it_has_an_end() {
        let mut velocity = Velocity::new(0);
        for window in 1..200 {
            velocity.on_round(window);
        }
        assert_eq!(velocity.for_step(true), MAXIMUM_VELOCITY);
    }
}
