//! Which metrics the end-to-end tests do not move, and why that is no mistake.

/// Name and reason. A metric that moves has to leave the list: a test says so.
pub const STILL: &[(&str, &str)] = &[
    ("quicast_admin_requests_total", "the admin address is the command's, whose own tests move it"),
    ("quicast_http_requests_total", HTTP),
    ("quicast_http_request_duration_seconds", HTTP),
    ("quicast_http_time_to_first_byte_seconds", HTTP),
    ("quicast_http_requests_in_flight", HTTP),
    ("quicast_http_request_body_bytes_total", HTTP),
    ("quicast_http_response_body_bytes_total", HTTP),
    ("quicast_http_tcp_connections", HTTP),
    ("quicast_http_tcp_connections_total", HTTP),
    ("quicast_http_tcp_full_total", HTTP),
    ("quicast_tls_certificate_reloads_total", "certificates are not reloaded yet"),
    ("quicast_tls_sessions_stored", "the stateful resumption store does not exist yet"),
];

/// Why nothing of HTTP moves without the command.
const HTTP: &str = "the HTTP site is the command's, whose own tests move it";

/// Why a metric may stand still.
pub fn reason(name: &str) -> Option<&'static str> {
    STILL.iter().find(|(still, _)| *still == name).map(|(_, reason)| *reason)
}
