//! Timer: which deadlines passed, and how late they were noticed.

use crate::family::{Family, PerShard};
use crate::handle::{Counter, Histogram, Level};
use crate::layer::{label, layer};

label! {
    /// Why a connection wanted to be woken.
    Timer {
        Loss = "loss", ProbeTimeout = "pto", Idle = "idle", AckDelay = "ack_delay", Pacing = "pacing",
        KeepAlive = "keep_alive", Close = "close", PathValidation = "path_validation", MtuProbe = "mtu_probe",
        KeyDiscard = "key_discard", Rest = "rest",
    }
}

layer! {
    /// What one shard's timer does.
    TimerMetrics of "timer" {
        expirations: Family<Timer, Counter> = "quicast_timer_expirations_total" by ["timer"],
            "Timer fires.";
        lateness: Histogram = "quicast_timer_lateness_seconds" in LATENCY,
            "Fire time minus deadline: the health of the event loop.";
        armed: PerShard<Level> = "quicast_timers_armed" by ["shard"],
            "Armed deadlines.";
    }
}
