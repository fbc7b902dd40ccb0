//! The TLS alerts by name: a closed set, so that they can be metric labels.

use core::fmt;

macro_rules! alerts {
    ($($variant:ident = $code:literal, $name:literal;)*) => {
        /// A TLS alert (RFC 8446 §6), as it travels in CRYPTO_ERROR (RFC 9001 §4.8).
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Alert {
            $(#[doc = concat!("`", $name, "`, ", stringify!($code), ".")] $variant,)*
            /// A number RFC 8446 does not name.
            Other(u8),
        }

        impl Alert {
            /// The names of all alerts, for label sets; the last is that of all the unnamed.
            pub const NAMES: &'static [&'static str] = &[$($name,)* "other"];

            /// The alert with this number.
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// The number on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The name RFC 8446 gives it, or `other`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(_) => "other",
                }
            }
        }
    };
}

alerts! {
    CloseNotify = 0, "close_notify";
    UnexpectedMessage = 10, "unexpected_message";
    BadRecordMac = 20, "bad_record_mac";
    RecordOverflow = 22, "record_overflow";
    HandshakeFailure = 40, "handshake_failure";
    BadCertificate = 42, "bad_certificate";
    UnsupportedCertificate = 43, "unsupported_certificate";
    CertificateRevoked = 44, "certificate_revoked";
    CertificateExpired = 45, "certificate_expired";
    CertificateUnknown = 46, "certificate_unknown";
    IllegalParameter = 47, "illegal_parameter";
    UnknownCa = 48, "unknown_ca";
    AccessDenied = 49, "access_denied";
    DecodeError = 50, "decode_error";
    DecryptError = 51, "decrypt_error";
    ProtocolVersion = 70, "protocol_version";
    InsufficientSecurity = 71, "insufficient_security";
    InternalError = 80, "internal_error";
    InappropriateFallback = 86, "inappropriate_fallback";
    UserCanceled = 90, "user_canceled";
    MissingExtension = 109, "missing_extension";
    UnsupportedExtension = 110, "unsupported_extension";
    UnrecognizedName = 112, "unrecognized_name";
    BadCertificateStatusResponse = 113, "bad_certificate_status_response";
    UnknownPskIdentity = 115, "unknown_psk_identity";
    CertificateRequired = 116, "certificate_required";
    NoApplicationProtocol = 120, "no_application_protocol";
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(code) => write!(f, "{code}"),
            named => f.write_str(named.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_and_the_names_are_a_closed_set_of_28() {
        for code in 0..=u8::MAX {
            let alert = Alert::from_code(code);
            assert_eq!(alert.code(), code);
            assert!(Alert::NAMES.contains(&alert.as_str()));
        }
        assert_eq!(Alert::NAMES.len(), 28);
        assert_eq!(Alert::from_code(0x6d), Alert::MissingExtension);
        assert_eq!(Alert::from_code(0x78), Alert::NoApplicationProtocol);
    }
}
