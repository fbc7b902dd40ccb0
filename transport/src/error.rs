//! [`TransportError`]: why a connection is closed, with the code that goes on the wire.

use std::fmt;
use std::panic::Location;

use codec::TransportErrorCode;

/// An authenticated violation of the protocol, or a failure of our own: the connection closes with it (RFC 9000 §11.1).
///
/// `Copy` and without allocation. It remembers the line of our code that found the fault, so that a log says which
/// rule was enforced where.
#[derive(Clone, Copy)]
pub struct TransportError {
    /// The code of the CONNECTION_CLOSE frame.
    pub code: TransportErrorCode,
    /// The type of the frame that caused it, if one did.
    pub frame_type: Option<u64>,
    /// For people: which rule was broken.
    pub reason: &'static str,
    /// The line that found it.
    pub source: &'static Location<'static>,
}

impl TransportError {
    /// An error with this code, found at the caller's line.
    #[track_caller]
    pub const fn new(code: TransportErrorCode, reason: &'static str) -> Self {
        Self { code, frame_type: None, reason, source: Location::caller() }
    }

    /// The same error, caused by a frame of this type. An error that already names a frame keeps it.
    #[must_use]
    pub const fn in_frame(mut self, frame_type: u64) -> Self {
        if self.frame_type.is_none() {
            self.frame_type = Some(frame_type);
        }
        self
    }
}

macro_rules! constructors {
    ($($name:ident => $code:ident;)*) => {
        impl TransportError {
            $(
                #[doc = concat!("A `", stringify!($code), "` with this reason.")]
                #[track_caller]
                pub const fn $name(reason: &'static str) -> Self {
                    Self::new(TransportErrorCode::$code, reason)
                }
            )*
        }
    };
}

constructors! {
    internal => INTERNAL_ERROR;
    flow_control => FLOW_CONTROL_ERROR;
    stream_limit => STREAM_LIMIT_ERROR;
    stream_state => STREAM_STATE_ERROR;
    final_size => FINAL_SIZE_ERROR;
    frame_encoding => FRAME_ENCODING_ERROR;
    transport_parameter => TRANSPORT_PARAMETER_ERROR;
    connection_id_limit => CONNECTION_ID_LIMIT_ERROR;
    protocol_violation => PROTOCOL_VIOLATION;
    invalid_token => INVALID_TOKEN;
    crypto_buffer_exceeded => CRYPTO_BUFFER_EXCEEDED;
}

/// Two errors are the same when they say the same on the wire; where they were found does not matter.
impl PartialEq for TransportError {
    fn eq(&self, other: &Self) -> bool {
        (self.code, self.frame_type, self.reason) == (other.code, other.frame_type, other.reason)
    }
}

impl Eq for TransportError {}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (found at {})", self.source)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)?;
        if let Some(frame_type) = self.frame_type {
            write!(f, " (frame type {frame_type:#x})")?;
        }
        Ok(())
    }
}

impl std::error::Error for TransportError {}
