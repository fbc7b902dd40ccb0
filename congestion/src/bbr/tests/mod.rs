mod draft;
mod formulas;
mod hand_off;
mod parts;
mod path;

use super::*;

const DEFAULTS: Parameters = Parameters::defaults(Bbr::PARAMETERS);

fn at(milliseconds: u64) -> Time {
    Time::from_nanos(milliseconds * 1_000_000)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
