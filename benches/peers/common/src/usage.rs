//! What this process used of the machine.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;

/// Seconds of processor time so far, of all threads, in the program and in the kernel.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return f64::NAN };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

#[expect(clippy::cast_precision_loss, reason = "seconds and microseconds of a process's life")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// Lets this process have as many files open as the system permits: a TCP connection is one.
pub fn permit_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Whoever opens too many hears of it then.
        let _as_many_as_there_are = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
