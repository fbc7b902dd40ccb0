//! Which metrics the end-to-end tests do not move, and why that is no mistake.

/// Name and reason. A metric that moves has to leave the list: a test says so.
pub const STILL: &[(&str, &str)] = &[
    ("quicast_admin_requests_total", "the admin address is the command's, whose own tests move it"),
    ("quicast_tls_certificate_reloads_total", "certificates are not reloaded yet"),
    ("quicast_tls_sessions_stored", "the stateful resumption store does not exist yet"),
];

/// Why a metric may stand still.
pub fn reason(name: &str) -> Option<&'static str> {
    STILL.iter().find(|(still, _)| *still == name).map(|(_, reason)| *reason)
}
