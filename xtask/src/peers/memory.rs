//! What the kernel says about a process: its processor time and its own memory.

use std::fs;

/// Seconds of processor time of all threads of a process.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64, String> {
    let folder = format!("/proc/{process}/task");
    let tasks = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut nanoseconds = 0;
    for task in tasks.flatten() {
        // A thread that has just ended has no file any more.
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    }
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short process")]
    Ok(nanoseconds as f64 / 1e9)
}

/// Bytes of memory that a process shares with no other.
pub(crate) fn private_bytes(process: u32) -> Result<f64, String> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    private_kilobytes(&text).map(|kilobytes| kilobytes * 1024.0).ok_or_else(|| format!("{path} has another form"))
}

fn private_kilobytes(rollup: &str) -> Option<f64> {
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some(field("Private_Clean:")? + field("Private_Dirty:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_clean_and_dirty() {
        let rollup = "Rss: 900 kB\nPrivate_Clean:       12 kB\nPrivate_Dirty:      300 kB\nSwap: 0 kB\n";
        assert_eq!(private_kilobytes(rollup), Some(312.0));
        assert_eq!(private_kilobytes("Rss: 900 kB\n"), None);
    }
}
