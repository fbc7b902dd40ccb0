//! Many seeds on all cores: the failing one is named, and `SIM_SEED=` repeats it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of each case, unless `SIM_SEEDS` says otherwise.
pub const SEEDS: u64 = 200;

/// Runs a case for `SIM_SEEDS` seeds (or [`SEEDS`]), or for the one of `SIM_SEED`.
///
/// # Panics
/// If the case panics for any seed, with the smallest of those.
pub fn for_each_seed(case: impl Fn(u64) + Sync) {
    for_seeds(number("SIM_SEEDS").unwrap_or(SEEDS), case);
}

/// The same for at most `most` seeds: for cases that take longer.
///
/// # Panics
/// As [`for_each_seed`].
pub fn for_seeds(most: u64, case: impl Fn(u64) + Sync) {
    if let Some(seed) = number("SIM_SEED") {
        case(seed);
        return;
    }
    let seeds = number("SIM_SEEDS").map_or(most, |seeds| seeds.min(most.max(seeds)));
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // A few failures tell as much as all.
                    if seed >= seeds || failures.lock().unwrap().len() >= 3 {
                        return;
                    }
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(seed))) {
                        let words = panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()))
                            .unwrap_or_default();
                        failures.lock().unwrap().push((seed, words));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    if let Some((seed, words)) = failures.iter().min() {
        let all: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        panic!("seeds {all:?} of {seeds} failed; SIM_SEED={seed} repeats this one: {words}");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.trim().parse().ok()
}

/// Whether the long forms of tests are to be run (`QUICAST_FULL=1`).
pub fn is_full() -> bool {
    std::env::var_os("QUICAST_FULL").is_some_and(|value| value != "0")
}
