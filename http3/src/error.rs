//! Error codes (RFC 9114 §8.1, RFC 9204 §6, RFC 9297 §5.2), and the two kinds of errors as two types.

use std::fmt;
use std::panic::Location;

use crate::qpack;

/// An application's error code, as it travels in RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE.
///
/// Any number is a code: those that nobody knows mean the same as [`Self::H3_NO_ERROR`] ([`Self::meaning`]).
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Code(pub u64);

macro_rules! codes {
    ($($name:ident = $code:literal, $label:literal, $doc:literal;)*) => {
        impl Code {
            $(#[doc = $doc] pub const $name: Self = Self($code);)*

            /// All that have a name, in the order in which [`Stats`](crate::Code) counts them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name the RFC gives the code, or `None`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The name in lower case, as a label; `other` if it has none.
            pub const fn label(self) -> &'static str {
                match self.0 {
                    $($code => $label,)*
                    _ => "other",
                }
            }
        }
    };
}

codes! {
    H3_NO_ERROR = 0x100, "h3_no_error", "There is no error to signal.";
    H3_GENERAL_PROTOCOL_ERROR = 0x101, "h3_general_protocol_error", "A rule without a more specific code was broken.";
    H3_INTERNAL_ERROR = 0x102, "h3_internal_error", "The HTTP stack itself failed.";
    H3_STREAM_CREATION_ERROR = 0x103, "h3_stream_creation_error", "The peer created a stream that is not accepted.";
    H3_CLOSED_CRITICAL_STREAM = 0x104, "h3_closed_critical_stream", "A stream that the connection needs was closed.";
    H3_FRAME_UNEXPECTED = 0x105, "h3_frame_unexpected", "A frame is not permitted on this stream, or not now.";
    H3_FRAME_ERROR = 0x106, "h3_frame_error", "A frame has the wrong layout or size.";
    H3_EXCESSIVE_LOAD = 0x107, "h3_excessive_load", "The peer's behaviour makes too much work.";
    H3_ID_ERROR = 0x108, "h3_id_error", "A stream ID or push ID was used incorrectly.";
    H3_SETTINGS_ERROR = 0x109, "h3_settings_error", "The payload of a SETTINGS frame is wrong.";
    H3_MISSING_SETTINGS = 0x10a, "h3_missing_settings", "The control stream does not begin with SETTINGS.";
    H3_REQUEST_REJECTED = 0x10b, "h3_request_rejected", "The server did nothing with the request.";
    H3_REQUEST_CANCELLED = 0x10c, "h3_request_cancelled", "The request or its response is no longer wanted.";
    H3_REQUEST_INCOMPLETE = 0x10d, "h3_request_incomplete", "The client's stream ended before the request did.";
    H3_MESSAGE_ERROR = 0x10e, "h3_message_error", "A message is malformed.";
    H3_CONNECT_ERROR = 0x10f, "h3_connect_error", "The connection behind a CONNECT was reset or failed.";
    H3_VERSION_FALLBACK = 0x110, "h3_version_fallback", "Not possible over HTTP/3: retry over HTTP/1.1.";
    H3_DATAGRAM_ERROR = 0x33, "h3_datagram_error", "A datagram or capsule cannot be read (RFC 9297).";
    QPACK_DECOMPRESSION_FAILED = 0x200, "qpack_decompression_failed", "A field section cannot be interpreted (RFC 9204).";
    QPACK_ENCODER_STREAM_ERROR = 0x201, "qpack_encoder_stream_error", "The encoder stream cannot be interpreted (RFC 9204).";
    QPACK_DECODER_STREAM_ERROR = 0x202, "qpack_decoder_stream_error", "The decoder stream cannot be interpreted (RFC 9204).";
}

impl Code {
    /// What the code is to be taken for.
    pub const fn meaning(self) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-8
        //# Because new error codes can be defined without negotiation (see {{extensions}}),
        //# use of an error code in an unexpected context or receipt of an unknown error
        //# code MUST be treated as equivalent to H3_NO_ERROR.
        if self.name().is_some() { self } else { Self::H3_NO_ERROR }
    }

    /// Where [`Self::ALL`] has it; the length of that for codes without a name.
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|code| *code == self).unwrap_or(Self::ALL.len())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

macro_rules! error {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// `Copy` and without allocation. It remembers the line of our code that found the fault.
        #[derive(Clone, Copy)]
        pub struct $name {
            /// The code that goes on the wire.
            pub code: Code,
            /// For people: which rule was broken. Never bytes of the peer's.
            pub reason: &'static str,
            /// The line that found it.
            pub source: &'static Location<'static>,
        }

        impl $name {
            /// An error with this code, found at the caller's line.
            #[track_caller]
            pub const fn new(code: Code, reason: &'static str) -> Self {
                Self { code, reason, source: Location::caller() }
            }
        }

        /// Two errors are the same when they say the same; where they were found does not matter.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                (self.code, self.reason) == (other.code, other.reason)
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self} (found at {})", self.source)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}: {}", self.code, self.reason)
            }
        }

        impl std::error::Error for $name {}
    };
}

error! {
    /// One stream cannot be completed: it is reset and no longer read, and the connection goes on (RFC 9114 §8).
    StreamError
}

error! {
    /// The connection is closed with it (RFC 9114 §8).
    ConnectionError
}

impl StreamError {
    /// The message is malformed.
    #[track_caller]
    pub(crate) const fn malformed(reason: &'static str) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2
        //# Malformed requests or responses that are detected MUST be treated as a stream
        //# error of type H3_MESSAGE_ERROR.
        Self::new(Code::H3_MESSAGE_ERROR, reason)
    }
}

/// What was received is wrong, for a stream or for the whole connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// Of one stream.
    Stream(StreamError),
    /// Of the connection.
    Connection(ConnectionError),
}

impl Error {
    /// The code that goes on the wire.
    pub const fn code(&self) -> Code {
        match self {
            Self::Stream(error) => error.code,
            Self::Connection(error) => error.code,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => write!(f, "stream error {error}"),
            Self::Connection(error) => write!(f, "connection error {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<qpack::ConnectionError> for ConnectionError {
    #[track_caller]
    fn from(error: qpack::ConnectionError) -> Self {
        Self::new(Code(error.code()), error.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_number_of_its_rfc() {
        // RFC 9114 §8.1 numbers its codes without a gap.
        for (number, code) in (0x100..=0x110).zip(Code::ALL) {
            assert_eq!(code.0, number, "{code}");
            assert!(code.label().starts_with("h3_"));
        }
        let others: Vec<u64> = Code::ALL.iter().skip(17).map(|code| code.0).collect();
        assert_eq!(others, [0x33, 0x200, 0x201, 0x202]);
        for code in Code::ALL {
            let name = code.name().unwrap();
            assert_eq!(name.to_ascii_lowercase(), code.label());
            assert_eq!(Code::ALL[code.index()], *code);
        }
    }

    #[test]
    fn unknown_codes_mean_no_error() {
        for number in [0, 0x21, 0x111, 0x1f * 7 + 0x21, u64::MAX] {
            assert_eq!(Code(number).meaning(), Code::H3_NO_ERROR);
            assert_eq!((Code(number).name(), Code(number).label()), (None, "other"));
            assert_eq!(Code(number).index(), Code::ALL.len());
        }
        assert_eq!(Code(0x10b).meaning(), Code::H3_REQUEST_REJECTED);
    }

    #[test]
    fn errors_say_where_they_were_found_and_are_equal_without_it() {
        let (one, other) = (StreamError::malformed("x"), StreamError::malformed("x"));
        assert_eq!(one, other);
        assert_ne!(one.source.column(), other.source.column());
        assert!(format!("{one:?}").contains("error.rs"), "{one:?}");
        assert_eq!(one.to_string(), "H3_MESSAGE_ERROR: x");
        let error = Error::from(ConnectionError::new(Code(7), "y"));
        assert_eq!((error.code(), error.to_string().as_str()), (Code(7), "connection error code 0x7: y"));
    }
}
