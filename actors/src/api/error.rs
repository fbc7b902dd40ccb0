//! Why reading or writing a stream failed: one small error for each operation.

use transport::output::CloseReason;

use crate::port::{ReceiveEnd, SendEnd, WriteRefusal};

/// Why nothing can be written to a stream.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The peer does not want any more, and gave this code (STOP_SENDING, RFC 9000 §19.5).
    #[error("the peer stopped the stream with code {0}")]
    Stopped(u64),
    /// The application itself finished or reset the stream.
    #[error("the stream was finished or reset here")]
    Finished,
    /// The connection is over.
    #[error("the connection is over: {0}")]
    ConnectionLost(CloseReason),
}

impl From<WriteRefusal> for WriteError {
    fn from(refusal: WriteRefusal) -> Self {
        match refusal {
            WriteRefusal::Ended | WriteRefusal::End(SendEnd::Acknowledged) => Self::Finished,
            WriteRefusal::End(SendEnd::Stopped(code)) => Self::Stopped(code),
            WriteRefusal::End(SendEnd::Lost(reason)) => Self::ConnectionLost(reason),
        }
    }
}

/// Why nothing can be read from a stream.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The peer abandoned the stream with this code (RESET_STREAM, RFC 9000 §19.4).
    #[error("the peer reset the stream with code {0}")]
    Reset(u64),
    /// The application itself stopped the stream.
    #[error("the stream was stopped here")]
    Stopped,
    /// The connection is over.
    #[error("the connection is over: {0}")]
    ConnectionLost(CloseReason),
}

impl From<ReceiveEnd> for ReadError {
    fn from(end: ReceiveEnd) -> Self {
        match end {
            ReceiveEnd::Reset(code) => Self::Reset(code),
            ReceiveEnd::Lost(reason) => Self::ConnectionLost(reason),
            ReceiveEnd::Stopped | ReceiveEnd::Finished => Self::Stopped,
        }
    }
}

/// Why [`RecvStream::read_to_end`](super::RecvStream::read_to_end) gave up.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadToEndError {
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The stream is longer than was asked for.
    #[error("the stream is longer than the limit of {limit} bytes")]
    TooLong {
        /// What was asked for, in bytes.
        limit: usize,
    },
}

/// Why [`RecvStream::read_exact`](super::RecvStream::read_exact) gave up.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadExactError {
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The stream ended before the buffer was full.
    #[error("the stream ended after {read} of the wanted bytes")]
    FinishedEarly {
        /// Bytes that were read.
        read: usize,
    },
}

impl From<WriteError> for std::io::Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Stopped(_) => std::io::ErrorKind::ConnectionReset,
            WriteError::Finished => std::io::ErrorKind::BrokenPipe,
            WriteError::ConnectionLost(_) => std::io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

impl From<ReadError> for std::io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Reset(_) => std::io::ErrorKind::ConnectionReset,
            ReadError::Stopped => std::io::ErrorKind::BrokenPipe,
            ReadError::ConnectionLost(_) => std::io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}
