//! [`Problem`]: why a URL was not fetched, and the exit code that says so.

use std::time::Duration;

use axum::http::StatusCode;
use quicast::CloseReason;
use quicast::http3::Error;

use crate::error::Failure;

/// Exit codes, those of curl.
pub(crate) mod code {
    pub(crate) const UNSUPPORTED_PROTOCOL: u8 = 1;
    pub(crate) const MALFORMED_URL: u8 = 3;
    pub(crate) const RESOLVE: u8 = 6;
    pub(crate) const CONNECT: u8 = 7;
    pub(crate) const STATUS: u8 = 22;
    pub(crate) const WRITE: u8 = 23;
    pub(crate) const READ: u8 = 26;
    pub(crate) const TIMEOUT: u8 = 28;
    pub(crate) const RANGE: u8 = 33;
    pub(crate) const TLS: u8 = 35;
    pub(crate) const REDIRECTS: u8 = 47;
    pub(crate) const SEND: u8 = 55;
    pub(crate) const RECEIVE: u8 = 56;
    pub(crate) const CERTIFICATE: u8 = 60;
    pub(crate) const REWIND: u8 = 65;
    pub(crate) const CACERT: u8 = 77;
    pub(crate) const HTTP3: u8 = 95;
    pub(crate) const QUIC: u8 = 96;
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// What went wrong, where, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) code: u8,
    pub(crate) message: String,
    /// Whether it may be otherwise in a moment, and how long the server says that is.
    pub(crate) passing: Option<Option<Duration>>,
}

impl Problem {
    pub(crate) fn new(code: u8, message: impl std::fmt::Display) -> Self {
        // As curl has it: a time that is up, a name that was not found.
        let passing = matches!(code, code::TIMEOUT | code::RESOLVE).then_some(None);
        Self { code, message: message.to_string(), passing }
    }

    /// An answer that may be another one in a moment.
    pub(crate) fn passing(status: StatusCode, after: Option<Duration>) -> Self {
        Self { passing: Some(after), ..Self::status(status) }
    }

    /// An answer that is no success.
    pub(crate) fn status(status: StatusCode) -> Self {
        let words = status.canonical_reason().map_or(String::new(), |words| format!(" ({words})"));
        Self::new(code::STATUS, format_args!("the server answered {}{words}", status.as_u16()))
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(code::INTERRUPTED, "interrupted")
    }

    /// What an exchange failed with.
    pub(crate) fn of_exchange(error: &Error) -> Self {
        let code = match error {
            Error::Connection(CloseReason::PeerTransport { .. } | CloseReason::LocalTransport { .. }) => code::QUIC,
            Error::Connection(_) | Error::Cancelled => code::RECEIVE,
            Error::Blocked | Error::Unsendable(_) => code::SEND,
            Error::Body(_) => code::READ,
            Error::Reset(_) | Error::Stopped(_) | Error::Message(_) | Error::Unprocessed | Error::Protocol(_) => {
                code::HTTP3
            }
        };
        match error {
            Error::Connection(reason) => Self::new(code, format_args!("the connection was lost: {reason}")),
            error => Self::new(code, error),
        }
    }

    /// For the user, in one line.
    pub(crate) fn failure(&self) -> Failure {
        Failure::coded(self.code, &self.message)
    }
}
