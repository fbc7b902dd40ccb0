//! Path: whether a way works, how large a datagram it carries, and moving to another.

use crate::family::Family;
use crate::handle::{Counter, Histogram};
use crate::layer::{label, layer};

label! {
    /// How a PATH_CHALLENGE ended (RFC 9000 §8.2).
    ValidationResult { Ok = "ok", Failed = "failed", }
}

label! {
    /// Why the peer's address changed (RFC 9000 §9).
    MigrationKind {
        Active = "active", NatRebinding = "nat_rebinding", PreferredAddress = "preferred_address",
    }
}

label! {
    /// How a migration ended.
    MigrationResult { Ok = "ok", Denied = "denied", Failed = "failed", }
}

label! {
    /// How a probe for a larger datagram ended (RFC 8899).
    ProbeResult { Acked = "acked", Lost = "lost", }
}

layer! {
    /// What the connections of a shard learn about their paths.
    PathMetrics of "path" {
        validations: Family<ValidationResult, Counter> = "quicast_path_validations_total" by ["result"],
            "PATH_CHALLENGE outcomes.";
        migrations: Family<(MigrationKind, MigrationResult), Counter> =
            "quicast_path_migrations_total" by ["kind", "result"],
            "Migrations.";
        mtu: Histogram = "quicast_path_mtu_bytes" in MTU,
            "PLPMTU at search end.";
        mtu_probes: Family<ProbeResult, Counter> = "quicast_path_mtu_probes_total" by ["result"],
            "DPLPMTUD probes.";
        mtu_black_holes: Counter = "quicast_path_mtu_black_holes_total",
            "Black holes detected.";
    }
}
