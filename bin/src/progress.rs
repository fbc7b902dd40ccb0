//! A progress bar for whoever watches: on a terminal only, silent in a pipe.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quicast::ConnectionInfo;

use crate::units;

/// How far a transfer is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    started: std::time::Instant,
}

impl Progress {
    /// A bar for so many bytes (0: unknown), if standard error is a terminal and nobody asked for silence.
    pub(crate) fn bytes(total: u64, quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(total));
        if total > 0 {
            bar.set_length(total);
        }
        Self { bar, started: std::time::Instant::now() }
    }

    /// It is known by now how many there will be.
    pub(crate) fn expect(&self, total: u64) {
        if !self.bar.is_hidden() && self.bar.length().unwrap_or(0) != total {
            self.bar.set_style(style(total));
            self.bar.set_length(total);
        }
    }

    /// So many bytes are done, and this is how the connection is.
    pub(crate) fn show(&self, done: u64, info: &ConnectionInfo) {
        if self.bar.is_hidden() {
            return;
        }
        let rate = done as f64 * 8.0 / self.started.elapsed().as_secs_f64().max(1e-3);
        let sent = info.totals.packets_sent.max(1);
        self.bar.set_position(done);
        self.bar.set_message(format!(
            "{}  rtt {}  cwnd {}  lost {:.2} %",
            units::rate(rate),
            units::time(info.smoothed_rtt),
            units::bytes(info.congestion_window),
            info.totals.packets_lost as f64 * 100.0 / sent as f64,
        ));
    }

    /// Writes something while the bar is not in the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// 0: nobody knows the end.
fn style(total: u64) -> ProgressStyle {
    let template = match total {
        0 => "{binary_bytes:>12} {msg}",
        _ => "[{bar:30}] {binary_bytes}/{binary_total_bytes}  {msg}  eta {eta}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("#>-")
}
