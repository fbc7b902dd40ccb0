//! Congestion: what each controller allows, and what happens when one takes over from another.

use crate::family::{Family, Label as _};
use crate::handle::{Counter, Histogram, Level, Seconds};
use crate::labels::Algorithm;
use crate::layer::{label, layer};

label! {
    /// Why a controller changed its window out of turn.
    Signal { Loss = "loss", EcnCe = "ecn_ce", Persistent = "persistent", SpuriousUndo = "spurious_undo", }
}

label! {
    /// The state a controller is in: the names that `congestion::Controller::state` gives.
    State {
        SlowStart = "slow_start", ConservativeSlowStart = "conservative_slow_start",
        CongestionAvoidance = "congestion_avoidance", Recovery = "recovery", Startup = "startup", Drain = "drain",
        ProbeBandwidth = "probe_bw", ProbeRtt = "probe_rtt",
    }
}

label! {
    /// What held a sender that had something to send, or that it had nothing.
    SendLimit {
        Application = "application", Congestion = "congestion", Pacing = "pacing", FlowConnection = "flow_connection",
        FlowStream = "flow_stream", Amplification = "amplification", Socket = "socket",
    }
}

label! {
    /// Who asked for another controller.
    SwitchTrigger {
        Library = "library", Cli = "cli", Api = "api", Dashboard = "dashboard", Config = "config", Rollback = "rollback",
        Panic = "panic",
    }
}

label! {
    /// How the trial of a controller ended.
    TrialVerdict {
        Kept = "kept", Unproven = "unproven", GoodputFell = "goodput_fell", LossRose = "loss_rose",
        PersistentCongestion = "persistent_congestion",
    }
}

impl TrialVerdict {
    /// The label of a verdict, whose names are the same.
    pub fn of(name: &str) -> Self {
        Self::named(name).unwrap_or(Self::Unproven)
    }
}

impl SwitchTrigger {
    /// The label of a trigger, whose names are the same.
    pub fn of(name: &str) -> Self {
        Self::named(name).unwrap_or(Self::Library)
    }
}

label! {
    /// Why another controller was refused.
    SwitchFailure {
        UnknownController = "unknown_controller", Closing = "closing", NotFound = "not_found", Forbidden = "forbidden",
        BadParameter = "bad_parameter", Busy = "busy", Failed = "failed",
    }
}

layer! {
    /// What the congestion controllers of a shard do.
    CongestionMetrics of "congestion" {
        connections: Family<Algorithm, Level> = "quicast_congestion_connections" by ["cc"],
            "Connections by active controller.";
        window: Family<Algorithm, Histogram> = "quicast_congestion_window_bytes" by ["cc"] in BYTES,
            "Congestion window, one sample a connection a second.";
        delivery_rate: Family<Algorithm, Histogram> =
            "quicast_congestion_delivery_rate_bytes_per_second" by ["cc"] in BYTES,
            "Delivery rate samples, one a connection a second.";
        events: Family<(Algorithm, Signal), Counter> = "quicast_congestion_events_total" by ["cc", "signal"],
            "Window reductions and undos.";
        state_time: Family<(Algorithm, State), Seconds> =
            "quicast_congestion_state_seconds_total" by ["cc", "state"],
            "Connection-seconds spent in each state.";
        send_limited: Family<SendLimit, Seconds> = "quicast_connection_send_limited_seconds_total" by ["limit"],
            "Connection-seconds the sender was held, by cause. The first panel to look at.";
        switches: Family<(Algorithm, Algorithm, SwitchTrigger), Counter> =
            "quicast_congestion_switches_total" by ["from", "to", "trigger"],
            "Live controller swaps.";
        switch_failures: Family<SwitchFailure, Counter> =
            "quicast_congestion_switch_failures_total" by ["reason"],
            "Refused swaps.";
        switch_duration: Histogram = "quicast_congestion_switch_duration_seconds" in TURN,
            "From the order of another controller to its first window.";
        trials: Family<TrialVerdict, Counter> = "quicast_congestion_trials_total" by ["verdict"],
            "Trials of controllers that ended, by how.";
        shadow_window: Family<Algorithm, Histogram> = "quicast_congestion_shadow_window_bytes" by ["cc"] in BYTES,
            "Congestion window that a shadow controller would have, one sample a connection a second.";
    }
}
