//! HTTP: what was asked and answered, whichever protocol carried it, and the TCP side.

use crate::family::Family;
use crate::handle::{Counter, Histogram, Level};
use crate::layer::{label, layer};

label! {
    /// What carried a request: HTTP/1.x (1.0 and 0.9 too), HTTP/2 or HTTP/3.
    Protocol { Http1 = "h1", Http2 = "h2", Http3 = "h3", }
}

label! {
    /// The methods that are worth a series for each protocol and status; every other word is `other`.
    Method { Get = "get", Head = "head", Post = "post", Put = "put", Connect = "connect", Other = "other", }
}

impl Method {
    /// The label of a method as it stands in the request. Methods are case-sensitive (RFC 9110 section 9.1).
    pub fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

label! {
    /// The class of an answer's status; `none` if the client was gone before there was one.
    Status {
        Informational = "1xx", Success = "2xx", Redirection = "3xx", ClientError = "4xx", ServerError = "5xx",
        None = "none",
    }
}

impl Status {
    /// The label of a status code, which HTTP keeps between 100 and 599; any other is the server's mistake.
    pub const fn of(code: u16) -> Self {
        match code {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

label! {
    /// What became of a TCP connection: the protocol that it agreed on, or why there was none.
    TcpOutcome {
        Http1 = "h1", Http2 = "h2", NotTls = "not_tls", TlsFailed = "tls_failed", TlsTimeout = "tls_timeout",
        Draining = "draining",
    }
}

layer! {
    /// What is asked of the HTTP site, and what it answers.
    HttpMetrics of "http" {
        requests: Family<(Protocol, Method, Status), Counter> =
            "quicast_http_requests_total" by ["protocol", "method", "code"],
            "Requests answered; code is the class of the status, or none if the client left before the answer.";
        request_duration: Family<Protocol, Histogram> = "quicast_http_request_duration_seconds" by ["protocol"] in LATENCY,
            "From the request's headers to the end of the answer's body.";
        time_to_first_byte: Family<Protocol, Histogram> =
            "quicast_http_time_to_first_byte_seconds" by ["protocol"] in LATENCY,
            "From the request's headers to the answer's headers.";
        requests_in_flight: Family<Protocol, Level> = "quicast_http_requests_in_flight" by ["protocol"],
            "Requests being served.";
        request_body_bytes: Family<Protocol, Counter> = "quicast_http_request_body_bytes_total" by ["protocol"],
            "Request body bytes.";
        response_body_bytes: Family<Protocol, Counter> = "quicast_http_response_body_bytes_total" by ["protocol"],
            "Response body bytes.";
        tcp_connections: Level = "quicast_http_tcp_connections",
            "Open TCP connections, WebSockets on them included.";
        tcp_outcomes: Family<TcpOutcome, Counter> = "quicast_http_tcp_connections_total" by ["outcome"],
            "Accepted TCP connections, by the protocol agreed on or the reason why there was none.";
        tcp_full: Counter = "quicast_http_tcp_full_total",
            "Times no TCP connection was accepted because as many were open as may be.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_invents_is_other() {
        assert_eq!(Method::of("GET"), Method::Get);
        for method in ["get", "DELETE", "BREW", "", "GET\"} 1\n"] {
            assert_eq!(Method::of(method), Method::Other, "{method}");
        }
    }

    #[test]
    fn a_status_is_counted_by_its_class() {
        for (code, class) in [
            (101, Status::Informational),
            (200, Status::Success),
            (308, Status::Redirection),
            (429, Status::ClientError),
            (599, Status::ServerError),
        ] {
            assert_eq!(Status::of(code), class);
        }
    }
}
