//! Admin: who asked the process about itself.

use crate::family::Family;
use crate::handle::Counter;
use crate::layer::{label, layer};

label! {
    /// A route of the admin address; what is no route is `other`, whatever its path says.
    Route {
        Dashboard = "dashboard", Asset = "asset", Metrics = "metrics", Healthz = "healthz", Readyz = "readyz",
        Events = "events", Connections = "connections", Connection = "connection", Algorithms = "algorithms",
        ConnectionCongestion = "connection_congestion", ConnectionShadow = "connection_shadow",
        Congestion = "congestion", Changes = "congestion_changes", Change = "congestion_change",
        Rules = "congestion_rules", ConnectionQlog = "connection_qlog", Drain = "drain", Other = "other",
    }
}

label! {
    /// The status of an answer: the ones that tell of an attack by number, all others by class.
    Status {
        Success = "2xx", Unauthorized = "401", Forbidden = "403", Misdirected = "421", TooMany = "429",
        ClientError = "4xx", Other = "other",
    }
}

impl Status {
    /// The label of a status code.
    pub const fn of(code: u16) -> Self {
        match code {
            200..=299 => Self::Success,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            421 => Self::Misdirected,
            429 => Self::TooMany,
            400..=499 => Self::ClientError,
            _ => Self::Other,
        }
    }
}

layer! {
    /// What the admin address answers.
    AdminMetrics of "admin" {
        requests: Family<(Route, Status), Counter> = "quicast_admin_requests_total" by ["route", "code"],
            "Admin API calls.";
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn a_refusal_has_its_own_label() {
        assert_eq!(Status::of(204), Status::Success);
        assert_eq!(Status::of(421), Status::Misdirected);
        assert_eq!(Status::of(404), Status::ClientError);
        assert_eq!(Status::of(500), Status::Other);
    }
}
