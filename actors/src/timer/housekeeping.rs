//! [`Housekeeping`]: what is done now and then while a shard is busy, and not at all while it is not.

use std::time::Duration;

use codec::Time;
use telemetry::ShardMetrics;
use tokio::runtime::Handle;

use crate::meter::Meter;

/// How often the counters go to the metric handles.
pub(crate) const FLUSH_PERIOD: Duration = Duration::from_millis(250);
/// How often it is looked whether the thread keeps up.
const TICK: Duration = Duration::from_millis(100);
/// How long after the last flush memory is given back. Later than connections do the same: what they leave behind as holes is
/// returned to the system by allocators that look around when larger pieces come back.
const GIVE_BACK: Duration = Duration::from_millis(1_500);

/// When to flush, and when to see how late the thread is.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    flush: Option<Time>,
    tick: Option<Time>,
    give_back: Option<Time>,
    busy: Duration,
}

impl Housekeeping {
    /// When there is something to do; `None` while the shard rests.
    pub(super) fn next(&self) -> Option<Time> {
        self.flush.into_iter().chain(self.tick).chain(self.give_back).min()
    }

    /// The shard is busy again.
    pub(super) fn begin(&mut self, now: Time) {
        self.flush = Some(now + FLUSH_PERIOD);
        self.tick = Some(now + TICK);
        self.give_back = None;
    }

    /// Does what is due.
    pub(super) fn run(&mut self, now: Time, meter: &Meter) {
        if let Some(planned) = self.tick.take_if(|planned| *planned <= now) {
            meter.metrics().runtime.loop_lag.record_time(now - planned);
            self.tick = Some(now + TICK);
        }
        if self.give_back.take_if(|planned| *planned <= now).is_some() {
            meter.give_back();
        }
        if self.flush.take_if(|planned| *planned <= now).is_some() {
            self.count_busy_time(meter.metrics());
            if meter.flush() {
                self.flush = Some(now + FLUSH_PERIOD);
            } else {
                self.tick = None;
                self.give_back = Some(now + GIVE_BACK);
                meter.rest();
            }
        }
    }

    fn count_busy_time(&mut self, metrics: &ShardMetrics) {
        #[cfg(target_has_atomic = "64")]
        if let Ok(runtime) = Handle::try_current() {
            let busy = runtime.metrics().worker_total_busy_duration(0);
            metrics.runtime.busy.add(busy.saturating_sub(self.busy));
            self.busy = busy;
        }
    }
}
