//! Transport error codes (RFC 9000 §20.1, RFC 9001 §4.8, RFC 9368 §7).

use core::fmt;

/// The code of a CONNECTION_CLOSE frame of type 0x1c.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TransportErrorCode(pub u64);

macro_rules! codes {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        impl TransportErrorCode {
            $(#[doc = $doc] pub const $name: Self = Self($code);)*

            /// The name the RFC gives the code, or `None` if it names none (TLS alerts included).
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    NO_ERROR = 0x0, "The connection is closed in the absence of any error.";
    INTERNAL_ERROR = 0x1, "The endpoint cannot go on with the connection.";
    CONNECTION_REFUSED = 0x2, "The server refuses to accept a new connection.";
    FLOW_CONTROL_ERROR = 0x3, "More data was received than the advertised limits permit.";
    STREAM_LIMIT_ERROR = 0x4, "A frame named a stream beyond the advertised stream limit.";
    STREAM_STATE_ERROR = 0x5, "A frame came for a stream in a state that does not permit it.";
    FINAL_SIZE_ERROR = 0x6, "Data exceeded, or a frame changed, a stream's final size.";
    FRAME_ENCODING_ERROR = 0x7, "A frame was badly formatted.";
    TRANSPORT_PARAMETER_ERROR = 0x8, "Transport parameters were malformed, missing or not permitted.";
    CONNECTION_ID_LIMIT_ERROR = 0x9, "The peer gave more connection ids than the limit permits.";
    PROTOCOL_VIOLATION = 0xa, "A rule without a more specific code was broken.";
    INVALID_TOKEN = 0xb, "A client Initial carried an invalid Retry token.";
    APPLICATION_ERROR = 0xc, "The application caused the close; its own code is withheld in Initial and Handshake packets.";
    CRYPTO_BUFFER_EXCEEDED = 0xd, "More CRYPTO data was received than can be buffered.";
    KEY_UPDATE_ERROR = 0xe, "Errors in performing key updates.";
    AEAD_LIMIT_REACHED = 0xf, "The confidentiality or integrity limit of the AEAD was reached.";
    NO_VIABLE_PATH = 0x10, "The network path cannot support QUIC.";
    VERSION_NEGOTIATION_ERROR = 0x11, "Version information did not match what was negotiated (RFC 9368).";
}

impl TransportErrorCode {
    /// CRYPTO_ERROR: 0x0100 plus the TLS alert (RFC 9001 §4.8).
    pub const fn crypto(alert: u8) -> Self {
        Self(0x0100 | alert as u64)
    }

    /// The TLS alert, if this is a CRYPTO_ERROR.
    pub const fn alert(self) -> Option<u8> {
        if self.0 & !0xff == 0x0100 { Some((self.0 & 0xff) as u8) } else { None }
    }
}

impl fmt::Debug for TransportErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.alert()) {
            (Some(name), _) => f.write_str(name),
            (None, Some(alert)) => write!(f, "CRYPTO_ERROR({alert})"),
            (None, None) => write!(f, "{:#x}", self.0),
        }
    }
}

impl fmt::Display for TransportErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn codes_have_the_names_of_the_rfc() {
        assert_eq!(format!("{}", TransportErrorCode(0x7)), "FRAME_ENCODING_ERROR");
        assert_eq!(format!("{}", TransportErrorCode::crypto(120)), "CRYPTO_ERROR(120)");
        assert_eq!(TransportErrorCode(0x178).alert(), Some(0x78));
        assert_eq!(TransportErrorCode(0x200).alert(), None);
        assert_eq!(format!("{}", TransportErrorCode(0x1234)), "0x1234");
    }
}
