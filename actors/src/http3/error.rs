//! Why a request, a response or a connection failed.

use http3::connection::{RequestError, SendError};
use http3::{Code, ConnectionError, EndReason, RequestFailure};
use transport::output::CloseReason;

/// Why a request failed, or a body ended before its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The peer reset the stream (RFC 9114 §4.1.1).
    #[error("the peer ended the request: {0}")]
    Reset(Code),
    /// The peer takes no more of what is sent.
    #[error("the peer does not want the rest: {0}")]
    Stopped(Code),
    /// What the peer sent is no valid message.
    #[error("the peer sent what is no valid message: {}", .0.reason)]
    Message(http3::StreamError),
    /// The server did nothing with the request: it may be made again on another connection.
    #[error("the server did not process the request: it may be made again")]
    Unprocessed,
    /// The peer took nothing of what is sent for too long, or took too long to send its request.
    #[error("the peer took too long")]
    Blocked,
    /// The request or response cannot be sent as it is.
    #[error("{0}")]
    Unsendable(&'static str),
    /// The body that was to be sent failed.
    #[error("the body failed: {0}")]
    Body(String),
    /// The peer broke the rules of HTTP/3.
    #[error("the peer broke the rules of HTTP/3 ({}): {}", .0.code, .0.reason)]
    Protocol(ConnectionError),
    /// The connection is over.
    #[error("{0}")]
    Connection(CloseReason),
    /// It was given up here.
    #[error("it was given up")]
    Cancelled,
}

impl Error {
    /// Whether the request may be made again, whatever its method is: nothing was done with it (RFC 9114 §4.1.1).
    pub const fn may_be_retried(&self) -> bool {
        matches!(self, Self::Unprocessed)
    }
}

impl From<EndReason> for Error {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Reset(code) => Self::Reset(code),
            EndReason::Stopped(code) => Self::Stopped(code),
            EndReason::Error(error) => Self::Message(error),
            EndReason::Unprocessed => Self::Unprocessed,
            EndReason::Blocked | EndReason::Slow => Self::Blocked,
        }
    }
}

impl From<RequestFailure> for Error {
    fn from(failure: RequestFailure) -> Self {
        match failure {
            RequestFailure::GoingAway => Self::Unprocessed,
            RequestFailure::Head(_) => Self::Unsendable("the request cannot be sent to this server"),
        }
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::GoingAway => Self::Unprocessed,
            RequestError::Closed => Self::Cancelled,
            RequestError::TooMany => Self::Unsendable("too many requests wait for a stream"),
            RequestError::Head(_) => Self::Unsendable("the request breaks the rules of HTTP"),
            RequestError::ContentLength => Self::Unsendable("Content-Length, and no content"),
        }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Gone | SendError::Finished => Self::Cancelled,
            SendError::NoContent => Self::Unsendable("this response has no content"),
            SendError::Order
            | SendError::Head(_)
            | SendError::ContentLength
            | SendError::TooManyInterim
            | SendError::Unsupported => Self::Unsendable("the message breaks the rules of HTTP"),
        }
    }
}
